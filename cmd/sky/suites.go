package main

import (
	"errors"
	"fmt"

	"aloft/tasks"
	"aloft/tasks/check"
)

// suiteDiagnostics checks the suite documents of a task's tests section as the node will read them: a mistake there must
// not wait for the end of the training.
func suiteDiagnostics(doc *tasks.Document) tasks.Diagnostics {
	var out tasks.Diagnostics
	if doc == nil {
		return nil
	}
	for _, t := range doc.Tasks {
		for i, ts := range t.Tests {
			field := "tests"
			if line, _ := t.Position(fmt.Sprintf("tests[%d]", i)); line > 0 && len(t.Tests) > 1 {
				field = fmt.Sprintf("tests[%d]", i)
			}
			_, err := check.SpecFromMap(ts.Raw)
			var se *check.SpecError
			switch {
			case errors.As(err, &se):
				for _, p := range se.Problems {
					at := field
					if p.Path != "" {
						at += "." + p.Path
					}
					out = append(out, t.Diagnose(tasks.SeverityError, at, p.Message, "", ""))
				}
			case err != nil:
				out = append(out, t.Diagnose(tasks.SeverityError, field, err.Error(), "", ""))
			}
		}
	}
	return out
}
