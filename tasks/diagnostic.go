package tasks

import (
	"fmt"
	"sort"
	"strings"
)

// Severity says whether a diagnostic stops the task from being used.
type Severity string

// The two severities.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Diagnostic is one problem, or one doubtful spot, of a task file.
type Diagnostic struct {
	Severity Severity `json:"severity"`
	// File is the name given to Parse, or the command-line flag a value came from.
	File string `json:"file"`
	// Line and Column are 1-based; 0 means the problem has no position in a file.
	Line   int `json:"line"`
	Column int `json:"column"`
	// Field is the path inside the document, e.g. resources.any_of[1].accelerators.
	// In files with several documents it starts with the document, e.g. [2].run.
	Field string `json:"field"`
	// Message is one sentence that includes the offending value.
	Message string `json:"message"`
	// Allowed says what would be accepted; may be empty.
	Allowed string `json:"allowed"`
	// Suggestion is the nearest valid spelling or the next thing to do; may be empty.
	Suggestion string `json:"suggestion"`
}

// String returns "file:line:col: field: message (allowed: ...; suggestion)".
func (d Diagnostic) String() string {
	var b strings.Builder
	b.WriteString(d.File)
	if d.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", d.Line, d.Column)
	}
	b.WriteString(": ")
	if d.Severity == SeverityWarning {
		b.WriteString("warning: ")
	}
	if d.Field != "" {
		b.WriteString(d.Field + ": ")
	}
	b.WriteString(d.Message)
	if d.Allowed != "" {
		b.WriteString("; allowed: " + d.Allowed)
	}
	if d.Suggestion != "" {
		b.WriteString("; " + d.Suggestion)
	}
	return b.String()
}

// Diagnostics is everything found in one file, in file order.
type Diagnostics []Diagnostic

// HasErrors reports whether any entry is an error.
func (ds Diagnostics) HasErrors() bool {
	for _, d := range ds {
		if d.Severity == SeverityError {
			return true
		}
	}
	return false
}

// Errors returns the entries that are errors.
func (ds Diagnostics) Errors() Diagnostics { return ds.only(SeverityError) }

// Warnings returns the entries that are warnings.
func (ds Diagnostics) Warnings() Diagnostics { return ds.only(SeverityWarning) }

func (ds Diagnostics) only(s Severity) Diagnostics {
	var out Diagnostics
	for _, d := range ds {
		if d.Severity == s {
			out = append(out, d)
		}
	}
	return out
}

// Error returns all entries, one per line, so that Diagnostics is an error.
// Callers decide with HasErrors whether it is one.
func (ds Diagnostics) Error() string {
	lines := make([]string, len(ds))
	for i, d := range ds {
		lines[i] = d.String()
	}
	return strings.Join(lines, "\n")
}

// Err returns ds as an error when it has errors, and nil otherwise.
func (ds Diagnostics) Err() error {
	if ds.HasErrors() {
		return ds
	}
	return nil
}

// sorted orders by position and drops exact repeats (an alias used twice would
// otherwise report the same spot twice).
func (ds Diagnostics) sorted() Diagnostics {
	sort.SliceStable(ds, func(i, j int) bool {
		a, b := ds[i], ds[j]
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
	seen := make(map[Diagnostic]bool, len(ds))
	out := ds[:0]
	for _, d := range ds {
		if !seen[d] {
			seen[d] = true
			out = append(out, d)
		}
	}
	return out
}
