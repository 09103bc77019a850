package main

import (
	"errors"
	"fmt"

	"aloft/tasks"
	"aloft/tasks/check"
)

// suiteDiagnostics checks the suite documents of a task's tests section as the node will read them: a mistake there must
// not wait for the end of the training.
//
// found is what parsing found already: one mistake is told once.
func suiteDiagnostics(doc *tasks.Document, found tasks.Diagnostics) tasks.Diagnostics {
	var out tasks.Diagnostics
	told := map[string]bool{}
	for _, d := range found.Errors() {
		told[d.Field] = true
	}
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
					if d := t.Diagnose(tasks.SeverityError, at, p.Message, "", ""); !told[d.Field] {
						out = append(out, d)
					}
				}
			case err != nil:
				out = append(out, t.Diagnose(tasks.SeverityError, field, err.Error(), "", ""))
			}
		}
	}
	return out
}
