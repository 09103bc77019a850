package engine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"aloft/tasks/check/nearest"
)

// Leaf is one plain value inside an encoded value, with where it stands.
type Leaf struct {
	Path  string
	Value any // nil, bool, int, int64, float64 or string
}

// step is one part of a path: a name or position, "*" for all, or a filter on
// the rows of a table.
type step struct {
	name   string
	all    bool
	filter [][2]string // column and text, all of which must agree
}

// parsePath reads a path into a value: names divided by points, `*` for every
// entry, `[name]` for names with points, and `[column=text,…]` for the rows of
// a table in which the columns have these texts.
func parsePath(path string) ([]step, error) {
	var out []step
	rest := path
	for rest != "" {
		if rest[0] == '[' {
			inner, after, ok := strings.Cut(rest[1:], "]")
			if !ok || inner == "" {
				return nil, fmt.Errorf("the path %q has a bracket that is not closed or empty", path)
			}
			out = append(out, bracket(inner))
			rest = after
			if strings.HasPrefix(rest, ".") && len(rest) > 1 {
				rest = rest[1:]
			}
			continue
		}
		end := strings.IndexAny(rest, ".[")
		name := rest
		if end >= 0 {
			name = rest[:end]
		}
		if name == "" {
			return nil, fmt.Errorf("the path %q has an empty part", path)
		}
		out = append(out, step{name: name, all: name == "*"})
		rest = rest[len(name):]
		if strings.HasPrefix(rest, ".") {
			if rest = rest[1:]; rest == "" || rest[0] == '[' {
				return nil, fmt.Errorf("the path %q has an empty part", path)
			}
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("the path is empty")
	}
	return out, nil
}

func bracket(inner string) step {
	if !strings.Contains(inner, "=") {
		return step{name: inner}
	}
	var s step
	for _, part := range strings.Split(inner, ",") {
		column, text, _ := strings.Cut(part, "=")
		s.filter = append(s.filter, [2]string{strings.TrimSpace(column), strings.TrimSpace(text)})
	}
	return s
}

// Find lists the plain values at a path inside an encoded value. A path that
// ends at a mapping or list stands for the plain values directly in it. A path
// that leads nowhere is an error that names what is there.
func Find(value any, path string) ([]Leaf, error) {
	steps, err := parsePath(path)
	if err != nil {
		return nil, err
	}
	at := []Leaf{{"", value}}
	for _, s := range steps {
		var next []Leaf
		for _, l := range at {
			below, err := s.walk(l)
			if err != nil {
				return nil, err
			}
			next = append(next, below...)
		}
		at = next
	}
	var out []Leaf
	for _, l := range at {
		below, err := leaves(l)
		if err != nil {
			return nil, err
		}
		out = append(out, below...)
	}
	return out, nil
}

// leaves are the plain values at l, or directly below it.
func leaves(l Leaf) ([]Leaf, error) {
	if isPlain(l.Value) {
		return []Leaf{l}, nil
	}
	var out []Leaf
	for _, e := range entries(l) {
		if !isPlain(e.Value) {
			return nil, fmt.Errorf("%s holds further values: go on with one of %s, or *", called(l.Path), offered(entries(l), l.Path))
		}
		out = append(out, e)
	}
	return out, nil
}

func called(path string) string {
	if path == "" {
		return "the value"
	}
	return fmt.Sprintf("%q", path)
}

func isPlain(v any) bool {
	switch v.(type) {
	case nil, bool, int, int64, float64, string:
		return true
	}
	return false
}

// walk takes one step from l.
func (s step) walk(l Leaf) ([]Leaf, error) {
	if isPlain(l.Value) {
		return nil, fmt.Errorf("%s is %v: the path ends there", called(l.Path), l.Value)
	}
	all := entries(l)
	if s.all {
		return all, nil
	}
	if s.filter != nil {
		return s.rows(l, all)
	}
	for _, e := range all {
		if last(e.Path, l.Path) == s.name {
			return []Leaf{e}, nil
		}
	}
	if list, ok := l.Value.([]any); ok {
		if i, err := strconv.Atoi(s.name); err == nil && i < 0 && len(list)+i >= 0 {
			return []Leaf{all[len(list)+i]}, nil
		}
	}
	if g, ok := l.Value.(Grid); ok {
		if k := slices.Index(g.Columns, s.name); k >= 0 { // a whole column
			out := make([]Leaf, len(g.Rows))
			for i, row := range g.Rows {
				out[i] = Leaf{join(all[i].Path, s.name), row[k]}
			}
			return out, nil
		}
	}
	names := make([]string, len(all))
	for i, e := range all {
		names[i] = last(e.Path, l.Path)
	}
	return nil, fmt.Errorf("%s has no %q%s; it has %s", called(l.Path), s.name, nearest.Hint(s.name, names), offered(all, l.Path))
}

// rows are the entries of a table that the filter keeps.
func (s step) rows(l Leaf, all []Leaf) ([]Leaf, error) {
	g, ok := l.Value.(Grid)
	if !ok {
		return nil, fmt.Errorf("%s is no table: [column=text] chooses rows of tables", called(l.Path))
	}
	var out []Leaf
	for i, row := range g.Rows {
		keep := true
		for _, f := range s.filter {
			k := slices.Index(g.Columns, f[0])
			if k < 0 {
				return nil, fmt.Errorf("%s has no column %q%s; it has %s", called(l.Path), f[0], nearest.Hint(f[0], g.Columns), strings.Join(g.Columns, ", "))
			}
			keep = keep && fmt.Sprint(row[k]) == f[1]
		}
		if keep {
			out = append(out, all[i])
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has no row with %v", called(l.Path), s.filter)
	}
	return out, nil
}

// entries are the parts directly below l, in order.
func entries(l Leaf) []Leaf {
	var out []Leaf
	add := func(name string, v any) { out = append(out, Leaf{join(l.Path, name), v}) }
	switch v := l.Value.(type) {
	case Object:
		for _, f := range v {
			add(f.Key, f.Value)
		}
	case []any:
		for i, e := range v {
			add(strconv.Itoa(i), e)
		}
	case Series:
		for i, e := range v.Values {
			add(v.Index[i], e)
		}
	case Grid:
		for i, row := range v.Rows {
			name := strconv.Itoa(i)
			if i < len(v.Index) {
				name = fmt.Sprint(v.Index[i])
			}
			cells := make(Object, len(v.Columns))
			for k, c := range v.Columns {
				cells[k] = Field{c, row[k]}
			}
			add(name, cells)
		}
	}
	return out
}

func join(path, name string) string {
	if strings.ContainsAny(name, ".[") {
		return path + "[" + name + "]"
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// last is the name by which path goes on from above.
func last(path, above string) string {
	name := strings.TrimPrefix(path[len(above):], ".")
	if strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]") {
		return name[1 : len(name)-1]
	}
	return name
}

// offered lists the names below a path for a message.
func offered(all []Leaf, above string) string {
	const most = 12
	if len(all) == 0 {
		return "nothing"
	}
	var names []string
	for i, e := range all {
		if i == most {
			names = append(names, fmt.Sprintf("and %d more", len(all)-most))
			break
		}
		names = append(names, last(e.Path, above))
	}
	return strings.Join(names, ", ")
}
