// Package schema knows what the columns of a table must be like: it infers
// that from a table, writes it down for people to edit, and judges others by
// it.
package schema

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"aloft/tasks/check/frame"
	"aloft/tasks/check/nearest"
)

// Schema says what the columns of a table must be like.
type Schema struct {
	Columns []Column
}

// Column says what one column must be like. What is not set is not asked for.
type Column struct {
	Name string
	// Kind is the type of the cells; frame.Null asks for none.
	Kind frame.Kind
	// Optional columns may be absent.
	Optional bool
	// MaxNulls is the largest share of missing cells; NaN asks for none.
	MaxNulls float64
	// Min and Max bound numbers, and times as nanoseconds since 1970.
	Min, Max *float64
	// Categories are the texts allowed; nil allows all.
	Categories []string
	// MinLength and MaxLength bound the characters of texts; -1 is unbounded.
	MinLength, MaxLength int
	// Pattern must match texts as a whole; nil matches all.
	Pattern *regexp.Regexp
	// Unique columns hold no value twice.
	Unique bool
}

// Problem is one fault of a schema.
type Problem struct {
	Line    int
	Path    string
	Message string
}

// kinds are the types that a schema may name.
func kinds() map[string]frame.Kind {
	return map[string]frame.Kind{"int64": frame.Int, "float64": frame.Float, "bool": frame.Bool, "text": frame.Text, "datetime": frame.Time}
}

// keys are what may be said of a column.
func keys() []string {
	return []string{"kind", "required", "max_null_ratio", "min", "max", "categories", "min_length", "max_length", "pattern", "unique"}
}

// maxColumns bounds a schema.
const maxColumns = 100_000

// reader collects what is wrong with a schema.
type reader struct{ problems []Problem }

func (r *reader) fault(n *yaml.Node, path, format string, args ...any) {
	r.problems = append(r.problems, Problem{n.Line, path, fmt.Sprintf(format, args...)})
}

// Parse reads a schema: what stands under the key "schema" of a document.
func Parse(path string, n *yaml.Node) (*Schema, []Problem) {
	r := &reader{}
	s := &Schema{}
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 || n.Content[0].Value != "columns" {
		r.fault(n, path, "a schema is a mapping with the one key \"columns\"")
		return s, r.problems
	}
	columns := alias(n.Content[1])
	path += ".columns"
	if columns.Kind != yaml.MappingNode || len(columns.Content) == 0 || len(columns.Content) > 2*maxColumns {
		r.fault(n.Content[0], path, "must be a mapping of columns to what they must be like")
		return s, r.problems
	}
	seen := make(map[string]int)
	for i := 0; i+1 < len(columns.Content); i += 2 {
		key := columns.Content[i]
		at := path + "." + key.Value
		if line, dup := seen[key.Value]; dup {
			r.fault(key, at, "the column occurs twice, first in line %d", line)
			continue
		}
		seen[key.Value] = key.Line
		s.Columns = append(s.Columns, r.column(at, key.Value, alias(columns.Content[i+1])))
	}
	return s, r.problems
}

func alias(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

func (r *reader) column(path, name string, n *yaml.Node) Column {
	c := Column{Name: name, MaxNulls: math.NaN(), MinLength: -1, MaxLength: -1}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return c // only its presence is asked for
	}
	if n.Kind != yaml.MappingNode {
		r.fault(n, path, "must be a mapping; known are %s", strings.Join(keys(), ", "))
		return c
	}
	var low, high *yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, v := n.Content[i], alias(n.Content[i+1])
		at := path + "." + key.Value
		switch key.Value {
		case "kind":
			kind, ok := kinds()[v.Value]
			if !ok {
				known := []string{"int64", "float64", "bool", "text", "datetime"}
				r.fault(v, at, "unknown kind %q%s; known are %s", v.Value, nearest.Hint(v.Value, known), strings.Join(known, ", "))
			}
			c.Kind = kind
		case "required":
			required := true
			r.decode(v, at, "true or false", &required)
			c.Optional = !required
		case "max_null_ratio":
			r.decode(v, at, "a number", &c.MaxNulls)
			if c.MaxNulls < 0 || c.MaxNulls > 1 {
				r.fault(v, at, "must be between 0 and 1, not %v", v.Value)
			}
		case "min":
			low = v
		case "max":
			high = v
		case "categories":
			if r.decode(v, at, "a list of texts", &c.Categories) && c.Categories == nil {
				c.Categories = []string{}
			}
		case "min_length":
			r.length(v, at, &c.MinLength)
		case "max_length":
			r.length(v, at, &c.MaxLength)
		case "pattern":
			p, err := regexp.Compile(`^(?:` + v.Value + `)$`)
			if err != nil {
				r.fault(v, at, "not a regular expression: %v", err)
			}
			c.Pattern = p
		case "unique":
			r.decode(v, at, "true or false", &c.Unique)
		default:
			r.fault(key, path, "unknown key %q%s; known are %s", key.Value, nearest.Hint(key.Value, keys()), strings.Join(keys(), ", "))
		}
	}
	c.Min, c.Max = r.bound(low, path+".min", c.Kind), r.bound(high, path+".max", c.Kind)
	if c.Min != nil && c.Max != nil && *c.Min > *c.Max {
		r.fault(low, path+".min", "min is above max")
	}
	if c.Kind != frame.Null && c.Kind != frame.Text && (c.Categories != nil || c.Pattern != nil || c.MinLength >= 0 || c.MaxLength >= 0) {
		r.fault(n, path, "categories, lengths and patterns are for columns of kind text, not %s", c.Kind)
	}
	return c
}

func (r *reader) decode(n *yaml.Node, path, want string, to any) bool {
	if err := n.Decode(to); err != nil {
		r.fault(n, path, "must be %s", want)
		return false
	}
	return true
}

func (r *reader) length(n *yaml.Node, path string, to *int) {
	if r.decode(n, path, "a whole number", to) && *to < 0 {
		r.fault(n, path, "must be at least 0, not %d", *to)
	}
}

// bound reads a limit of numbers, or of times.
func (r *reader) bound(n *yaml.Node, path string, kind frame.Kind) *float64 {
	if n == nil {
		return nil
	}
	if kind == frame.Time {
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"} {
			if t, err := time.Parse(layout, n.Value); err == nil {
				f := float64(t.UnixNano())
				return &f
			}
		}
		r.fault(n, path, "must be a time such as 2024-01-31 or 2024-01-31T12:00:00, not %q", n.Value)
		return nil
	}
	var f float64
	if !r.decode(n, path, "a number", &f) {
		return nil
	}
	if !slices.Contains([]frame.Kind{frame.Null, frame.Int, frame.Float}, kind) {
		r.fault(n, path, "bounds are for numbers and times, not for columns of kind %s", kind)
	}
	return &f
}
