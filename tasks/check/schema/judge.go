package schema

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"aloft/tasks/check/format"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/nearest"
)

// rule is one thing that a schema asks for.
type rule string

const (
	present    rule = "missing_column"
	extra      rule = "new_column"
	kind       rule = "kind"
	nulls      rule = "nulls"
	ranges     rule = "range"
	categories rule = "categories"
	lengths    rule = "length"
	patterns   rule = "pattern"
	unique     rule = "unique"
)

// violation is one column that breaks one rule.
type violation struct {
	column   string
	rule     rule
	rows     int     // that break it; 0 for rules about the column
	ratio    float64 // of the rows present, or of all for nulls
	expected string
	found    string // what was found instead, with examples
}

// shownExamples bounds the values named for one violation.
const shownExamples = 3

// judgeTable compares the rows of a table with the schema.
func judgeTable(s *Schema, t *frame.Dataset, rows []int32) []violation {
	var out []violation
	known := make(map[string]bool, len(s.Columns))
	var names []string
	for _, c := range s.Columns {
		known[c.Name] = true
		names = append(names, c.Name)
	}
	for i := range s.Columns {
		c := &s.Columns[i]
		col := t.Column(c.Name)
		if col == nil {
			if !c.Optional {
				out = append(out, violation{column: c.Name, rule: present, expected: "a column " + c.Name, found: "none" + nearest.Hint(c.Name, unknownOf(t, known))})
			}
			continue
		}
		out = append(out, judgeColumn(c, col, rows)...)
	}
	for _, col := range t.Columns() {
		if !known[col.Name()] {
			out = append(out, violation{column: col.Name(), rule: extra, expected: "no such column", found: "a column of " + col.Kind().String() + nearest.Hint(col.Name(), names)})
		}
	}
	return out
}

// unknownOf lists the columns that the schema does not know.
func unknownOf(t *frame.Dataset, known map[string]bool) []string {
	var out []string
	for _, n := range t.Names() {
		if !known[n] {
			out = append(out, n)
		}
	}
	return out
}

func judgeColumn(c *Column, col *frame.Column, rows []int32) []violation {
	var out []violation
	distinct, missing := col.Distinct(rows)
	held := len(rows) - missing
	if ratio := share(missing, len(rows)); ratio > c.MaxNulls {
		out = append(out, violation{c.Name, nulls, missing, ratio, "at most " + format.Percent(c.MaxNulls) + " missing", format.Percent(ratio) + " missing"})
	}
	if held == 0 {
		return out
	}
	if !sameKind(c.Kind, col) {
		return append(out, violation{column: c.Name, rule: kind, expected: c.Kind.String(), found: col.Kind().String() + strangers(c.Kind, col, rows)})
	}
	add := func(r rule, bad *examples, expected string) {
		if bad.rows > 0 {
			out = append(out, violation{c.Name, r, bad.rows, share(bad.rows, held), expected, bad.text()})
		}
	}
	if c.Min != nil || c.Max != nil {
		add(ranges, outside(c, col, rows), rangeText(c))
	}
	if col.Kind() == frame.Text {
		counts := countTexts(col, rows)
		if c.Categories != nil {
			add(categories, unseen(c, col, counts), "one of "+format.Shorten(c.Categories))
		}
		if c.MinLength >= 0 || c.MaxLength >= 0 {
			add(lengths, selectTexts(col, counts, func(s string) bool {
				n := utf8.RuneCountInString(s)
				return n < c.MinLength || c.MaxLength >= 0 && n > c.MaxLength
			}), lengthText(c))
		}
		if c.Pattern != nil {
			add(patterns, selectTexts(col, counts, func(s string) bool { return !c.Pattern.MatchString(s) }), strings.TrimSuffix(strings.TrimPrefix(c.Pattern.String(), "^(?:"), ")$"))
		}
	}
	if c.Unique && distinct < held {
		out = append(out, violation{c.Name, unique, held - distinct, share(held-distinct, held), "every value once", format.Number(float64(held-distinct)) + " again"})
	}
	return out
}

func share(part, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(part) / float64(of)
}

// sameKind tells whether a column can hold what the schema asks for: whole
// numbers are numbers, and numbers that are all whole are whole numbers.
func sameKind(want frame.Kind, col *frame.Column) bool {
	switch got := col.Kind(); {
	case want == frame.Null || want == got:
		return true
	case want == frame.Float:
		return got == frame.Int
	case want == frame.Int:
		return got == frame.Float && whole(col)
	}
	return false
}

// strangers names texts that keep a column from being of a kind of numbers.
func strangers(want frame.Kind, col *frame.Column, rows []int32) string {
	if col.Kind() != frame.Text || want == frame.Text {
		return ""
	}
	bad := selectTexts(col, countTexts(col, rows), func(s string) bool {
		return strings.Trim(s, "0123456789.+-eE ") != ""
	})
	if bad.rows == 0 {
		return ""
	}
	return ": " + bad.text()
}

// examples are values that break a rule.
type examples struct {
	rows int
	list []string
}

func (e *examples) add(rows int, text func() string) {
	e.rows += rows
	if len(e.list) < shownExamples {
		if s := text(); !contains(e.list, s) {
			e.list = append(e.list, s)
		}
	}
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

func (e *examples) text() string { return strings.Join(e.list, ", ") }

func outside(c *Column, col *frame.Column, rows []int32) *examples {
	low, high := math.Inf(-1), math.Inf(1)
	if c.Min != nil {
		low = *c.Min
	}
	if c.Max != nil {
		high = *c.Max
	}
	bad := &examples{}
	for _, i := range rows {
		if col.IsNull(int(i)) {
			continue
		}
		if f := number(col, int(i)); f < low || f > high {
			bad.add(1, func() string { return col.Value(int(i)).String() })
		}
	}
	return bad
}

func rangeText(c *Column) string {
	switch {
	case c.Min == nil:
		return "at most " + bound(*c.Max, c.Kind)
	case c.Max == nil:
		return "at least " + bound(*c.Min, c.Kind)
	}
	return bound(*c.Min, c.Kind) + " to " + bound(*c.Max, c.Kind)
}

func lengthText(c *Column) string {
	switch {
	case c.MinLength < 0:
		return fmt.Sprintf("at most %d characters", c.MaxLength)
	case c.MaxLength < 0:
		return fmt.Sprintf("at least %d characters", c.MinLength)
	}
	return fmt.Sprintf("%d to %d characters", c.MinLength, c.MaxLength)
}

// countTexts counts the rows of each text, by its code.
func countTexts(col *frame.Column, rows []int32) []int {
	counts := make([]int, len(col.Dict()))
	for _, i := range rows {
		if !col.IsNull(int(i)) {
			counts[col.Bits(int(i))]++
		}
	}
	return counts
}

// selectTexts collects the texts that are bad, in order of first appearance.
func selectTexts(col *frame.Column, counts []int, bad func(string) bool) *examples {
	out := &examples{}
	for code, s := range col.Dict() {
		if counts[code] > 0 && bad(s) {
			out.add(counts[code], func() string { return format.Quote(format.Truncate(s, 40)) })
		}
	}
	return out
}

// unseen collects texts that are no known category, each with the nearest one.
func unseen(c *Column, col *frame.Column, counts []int) *examples {
	allowed := make(map[string]bool, len(c.Categories))
	for _, s := range c.Categories {
		allowed[s] = true
	}
	out := &examples{}
	for code, s := range col.Dict() {
		if counts[code] > 0 && !allowed[s] {
			out.add(counts[code], func() string { return format.Quote(format.Truncate(s, 40)) + nearest.Hint(s, c.Categories) })
		}
	}
	return out
}
