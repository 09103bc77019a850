package frame

import (
	"fmt"
	"slices"

	"aloft/tasks/check/nearest"
)

// Table is a named set of columns of equal length.
type Table struct {
	name    string
	columns []*Column
	index   map[string]int
	rows    int
	// selection is not nil when only some rows are kept.
	selection *Selection
}

// NewTable makes a table. Columns must have distinct names and equal length.
func NewTable(name string, columns ...*Column) (*Table, error) {
	t := &Table{name: name, columns: columns, index: make(map[string]int, len(columns))}
	for i, c := range columns {
		if _, dup := t.index[c.name]; dup {
			return nil, fmt.Errorf("%s: the column %q occurs twice", name, c.name)
		}
		t.index[c.name] = i
		if i == 0 {
			t.rows = c.n
		} else if c.n != t.rows {
			return nil, fmt.Errorf("%s: column %q has %d rows, column %q has %d", name, c.name, c.n, columns[0].name, t.rows)
		}
	}
	return t, nil
}

// Name returns what the table is called in messages: its file, as a rule.
func (t *Table) Name() string { return t.name }

// Rows returns the number of rows in memory: all, but of a table that is larger
// than the memory for it.
func (t *Table) Rows() int { return t.rows }

// Total returns the number of rows of the files.
func (t *Table) Total() int {
	if t.selection != nil {
		return t.selection.total
	}
	return t.rows
}

// Row returns the number in the files, from 0, of a row in memory.
func (t *Table) Row(i int) int {
	if t.selection != nil {
		return int(t.selection.rows[i])
	}
	return i
}

// Selection says which rows are in memory; nil means all of them.
func (t *Table) Selection() *Selection { return t.selection }

// Columns lists the columns in file order.
func (t *Table) Columns() []*Column { return t.columns }

// Names lists the column names in file order.
func (t *Table) Names() []string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return names
}

// Column returns the named column, or nil.
func (t *Table) Column(name string) *Column {
	if i, ok := t.index[name]; ok {
		return t.columns[i]
	}
	return nil
}

// Lookup returns the named column, or an error that names the nearest one.
func (t *Table) Lookup(name string) (*Column, error) {
	if c := t.Column(name); c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("%s has no column %q%s", t.name, name, nearest.Hint(name, t.Names()))
}

// Without returns the table without the named columns.
func (t *Table) Without(names []string) *Table {
	out := &Table{name: t.name, index: make(map[string]int), rows: t.rows, selection: t.selection}
	for _, c := range t.columns {
		if !slices.Contains(names, c.name) {
			out.index[c.name] = len(out.columns)
			out.columns = append(out.columns, c)
		}
	}
	return out
}

// replace puts c in the place of the column of the same name.
func (t *Table) replace(c *Column) {
	t.columns = slices.Clone(t.columns)
	t.columns[t.index[c.name]] = c
}
