package text

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"aloft/tasks/check/frame"
	"aloft/tasks/check/nearest"
)

// Layout says which columns of a table hold what.
type Layout struct {
	// Task is the task; "" takes that of tokens where Tokens is set and labels
	// are lists, else that of texts.
	Task Task
	// Text and Tokens are the column of raw texts, or of lists of tokens.
	Text, Tokens string
	// Label is the column of labels, "" for none.
	Label string
	// Predicted is the column of predicted labels and Proba a pattern with one
	// *, which stands for the class, of columns of probabilities; "" for none.
	Predicted, Proba string
	// ProbaColumns names the column of each class instead.
	ProbaColumns map[string]string
	// Classes name the places of labels that are lists of 0 and 1 (multilabel).
	Classes []string
	// Properties are columns that hold properties.
	Properties []string
	// Embeddings is a pattern with one * of columns that hold embeddings.
	Embeddings string
	// Metadata are columns of metadata; nil takes all columns without another
	// meaning.
	Metadata []string
}

// matching lists the columns that a pattern with one * stands for, with what
// the * stands for.
func matching(t *frame.Table, pattern string) (names, parts []string, err error) {
	before, after, ok := strings.Cut(pattern, "*")
	if !ok || strings.Contains(after, "*") {
		return nil, nil, fmt.Errorf("%q must hold one *, which stands for what differs between the columns", pattern)
	}
	for _, name := range t.Names() {
		part, starts := strings.CutPrefix(name, before)
		part, ends := strings.CutSuffix(part, after)
		if starts && ends && part != "" {
			names, parts = append(names, name), append(parts, part)
		}
	}
	if names == nil {
		return nil, nil, fmt.Errorf("%s has no column %s%s", t.Name(), pattern, nearest.Hint(pattern, t.Names()))
	}
	return names, parts, nil
}

// FromTable makes a set out of a table. All faults are reported together,
// joined.
func FromTable(t *frame.Table, l Layout) (*Set, error) {
	r := &reader{table: t, set: &Set{Name: t.Name(), Task: l.Task}, taken: make(map[string]bool)}
	switch {
	case l.Text == "" && l.Tokens == "":
		r.fault(fmt.Errorf("%s: name the column that holds the texts, or the one that holds lists of tokens; there are %s", t.Name(), strings.Join(t.Names(), ", ")))
	case l.Text != "" && l.Tokens != "":
		r.fault(fmt.Errorf("%s: name the column of texts or that of tokens, not both", t.Name()))
	}
	r.texts(l)
	label := r.column(l.Label)
	if r.set.Task == "" {
		r.set.Task = Classification
		if label == nil {
			r.set.Task = Other
		}
		if l.Tokens != "" && label != nil && looksListed(label) {
			r.set.Task = Tokens
		}
	}
	predicted := r.column(l.Predicted)
	r.set.names = l.Classes
	switch {
	case r.set.Task == Tokens:
		r.set.Tags, r.set.PredictedTags = r.lists(label), r.lists(predicted)
	case label != nil && several(label):
		r.set.Multi, r.set.PredictedMulti = r.multi(label), r.multi(predicted)
	default:
		r.set.Label, r.set.Predicted = labels(label), labels(predicted)
		if predicted != nil && predicted.HasNulls() {
			r.fault(fmt.Errorf("%s: the column %q of predictions has missing cells", t.Name(), l.Predicted))
		}
	}
	if l.Proba != "" {
		r.proba(l.Proba)
	}
	if l.ProbaColumns != nil {
		r.probaOf(l.ProbaColumns)
	}
	if l.Embeddings != "" {
		names, _, err := matching(t, l.Embeddings)
		r.fault(err)
		for _, n := range names {
			r.taken[n] = true
		}
		if err == nil {
			only, _ := t.Only(names) // they are there
			r.set.Embeddings, err = embeddingRows(only)
			r.fault(err)
		}
	}
	if len(l.Properties) > 0 {
		for _, n := range l.Properties {
			r.taken[n] = true
		}
		r.set.Properties = r.columns(l.Properties)
	}
	rest := l.Metadata
	if rest == nil {
		for _, n := range t.Names() {
			if !r.taken[n] {
				rest = append(rest, n)
			}
		}
	}
	if len(rest) > 0 {
		r.set.Metadata = r.columns(rest)
	}
	if len(r.faults) > 0 {
		return nil, errors.Join(r.faults...)
	}
	return r.set, nil
}

// reader turns a table into a set.
type reader struct {
	table  *frame.Table
	set    *Set
	taken  map[string]bool // columns with a meaning
	faults []error
}

func (r *reader) fault(err error) {
	if err != nil {
		r.faults = append(r.faults, err)
	}
}

func (r *reader) column(name string) *frame.Column {
	if name == "" {
		return nil
	}
	c, err := r.table.Lookup(name)
	r.fault(err)
	r.taken[name] = true
	return c
}

func (r *reader) columns(names []string) *Columns {
	t, err := r.table.Only(names)
	r.fault(err)
	if err != nil {
		return nil
	}
	return &Columns{Table: t}
}

// texts reads the texts or tokens.
func (r *reader) texts(l Layout) {
	s := r.set
	s.Texts = make([]string, r.table.Rows())
	if c := r.column(l.Text); c != nil {
		for i := range s.Texts {
			if c.IsNull(i) {
				s.missing(i)
				continue
			}
			s.Texts[i] = c.Value(i).String()
		}
	}
	c := r.column(l.Tokens)
	if c == nil {
		return
	}
	s.Tokens = r.lists(c)
	for i, tokens := range s.Tokens {
		if tokens == nil {
			s.missing(i)
		}
		s.Texts[i] = strings.Join(tokens, " ")
	}
}

// missing marks a text as missing.
func (s *Set) missing(i int) {
	if s.Missing == nil {
		s.Missing = make([]bool, len(s.Texts))
	}
	s.Missing[i] = true
}

// lists reads cells that hold lists: JSON, or words apart by blanks. A missing
// cell is nil.
func (r *reader) lists(c *frame.Column) [][]string {
	if c == nil {
		return nil
	}
	out := make([][]string, c.Len())
	for i := range out {
		if c.IsNull(i) {
			continue
		}
		list, err := ParseList(c.Value(i).String())
		if err != nil {
			r.fault(fmt.Errorf("%s: row %d of the column %q: %w", r.table.Name(), i, c.Name(), err))
			return out
		}
		out[i] = list
	}
	return out
}

// ParseList reads a list of texts: a JSON array of texts and numbers, or words
// apart by white space. It is never nil without an error.
func ParseList(cell string) ([]string, error) {
	trimmed := strings.TrimSpace(cell)
	if !strings.HasPrefix(trimmed, "[") {
		return append([]string{}, strings.Fields(trimmed)...), nil
	}
	var raw []json.RawMessage
	if err := json.Unmarshal([]byte(trimmed), &raw); err != nil {
		return nil, fmt.Errorf("%s is no list: write [\"a\", \"b\"] as JSON does, or words with blanks between", short(trimmed))
	}
	out := make([]string, len(raw))
	for i, m := range raw {
		if err := json.Unmarshal(m, &out[i]); err == nil && len(m) > 0 && m[0] == '"' {
			continue
		}
		if len(m) == 0 || m[0] == '{' || m[0] == '[' || string(m) == "null" {
			return nil, fmt.Errorf("entry %d of the list %s is no text", i, short(trimmed))
		}
		out[i] = string(m)
	}
	return out, nil
}

// short cuts what a message quotes.
func short(s string) string {
	const most = 40
	for i := range s {
		if i >= most {
			return s[:i] + "..."
		}
	}
	return s
}

// looksListed reports whether the first label is a list.
func looksListed(c *frame.Column) bool {
	for i := range c.Len() {
		if !c.IsNull(i) {
			v := strings.TrimSpace(c.Value(i).String())
			return strings.HasPrefix(v, "[") || len(strings.Fields(v)) > 1
		}
	}
	return false
}

// several reports whether the first label is a JSON list: of several labels.
func several(c *frame.Column) bool {
	for i := range c.Len() {
		if !c.IsNull(i) {
			v := strings.TrimSpace(c.Value(i).String())
			_, err := ParseList(v)
			return strings.HasPrefix(v, "[") && err == nil
		}
	}
	return false
}

// multi reads the labels of texts that may have several: lists of names, or
// lists of one 0 or 1 for each class.
func (r *reader) multi(c *frame.Column) [][]string {
	if c == nil {
		return nil
	}
	out := r.lists(c)
	width := -1
	for _, list := range out {
		if list == nil {
			continue
		}
		if width < 0 {
			width = len(list)
		}
		if len(list) != width || slices.ContainsFunc(list, func(v string) bool { return v != "0" && v != "1" }) {
			return out // names
		}
	}
	if r.set.names != nil && len(r.set.names) != width {
		r.fault(fmt.Errorf("%s: the column %q has lists of %d labels, and there are %d classes: %s", r.table.Name(), c.Name(), width, len(r.set.names), strings.Join(r.set.names, ", ")))
		return out
	}
	for i, list := range out {
		if list == nil {
			continue
		}
		out[i] = []string{}
		for k, v := range list {
			name := fmt.Sprint(k)
			if r.set.names != nil {
				name = r.set.names[k]
			}
			if v == "1" {
				out[i] = append(out[i], name)
			}
		}
	}
	return out
}

// labels is a column as texts.
func labels(c *frame.Column) *frame.Column {
	if c == nil || c.Kind() == frame.Text {
		return c
	}
	values := make([]string, c.Len())
	for i := range values {
		if !c.IsNull(i) {
			values[i] = c.Value(i).String()
		}
	}
	return frame.NewTexts(c.Name(), values)
}

// proba reads columns of probabilities.
func (r *reader) proba(pattern string) {
	names, classes, err := matching(r.table, pattern)
	if err != nil {
		r.fault(err)
		return
	}
	for _, n := range names {
		r.taken[n] = true
	}
	r.fault(r.set.setProba(r.table, names, classes))
}

// probaOf reads the columns of probabilities that are named.
func (r *reader) probaOf(of map[string]string) {
	var names, classes []string
	for class, name := range of {
		if r.column(name) == nil {
			return // told
		}
		names, classes = append(names, name), append(classes, class)
	}
	r.fault(r.set.setProba(r.table, names, classes))
}

// setProba takes probabilities from columns.
func (s *Set) setProba(t *frame.Table, names, classes []string) error {
	order := make([]int, len(names))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(classes[a], classes[b]) })
	s.Classes, s.Proba = nil, nil
	for _, i := range order {
		c := t.Column(names[i])
		if !c.Kind().Numeric() || c.HasNulls() {
			return fmt.Errorf("%s: the column %q must hold a probability in every row", t.Name(), names[i])
		}
		values := make([]float64, c.Len())
		for k := range values {
			values[k] = c.Float(k)
		}
		s.Classes, s.Proba = append(s.Classes, classes[i]), append(s.Proba, values)
	}
	return nil
}

// The columns of files of predictions.
const (
	predictedColumn = "y_pred"
	probaPattern    = "proba_*"
)

// SetPredictions takes predictions from a table with the columns y_pred and
// proba_<class>, of which one kind may be missing.
func (s *Set) SetPredictions(t *frame.Table) error {
	c := t.Column(predictedColumn)
	names, classes, err := matching(t, probaPattern)
	if c == nil && err != nil {
		return fmt.Errorf("%s holds no predictions: a column y_pred, or columns proba_<class>, are needed", t.Name())
	}
	for _, n := range t.Names() {
		if n != predictedColumn && !slices.Contains(names, n) {
			return fmt.Errorf("%s: unexpected column %q; known are y_pred and proba_<class>", t.Name(), n)
		}
	}
	if c != nil {
		r := &reader{table: t, set: s}
		switch {
		case s.Task == Tokens:
			s.PredictedTags = r.lists(c)
		case c.HasNulls():
			return fmt.Errorf("%s: the column y_pred has missing cells", t.Name())
		case s.Multi != nil:
			s.PredictedMulti = r.multi(c)
		default:
			s.Predicted = labels(c)
		}
		if len(r.faults) > 0 {
			return errors.Join(r.faults...)
		}
	}
	if err != nil {
		return nil // no probabilities
	}
	return s.setProba(t, names, classes)
}

// SetEmbeddings takes embeddings from a table of numbers.
func (s *Set) SetEmbeddings(t *frame.Table) error {
	rows, err := embeddingRows(t)
	s.Embeddings = rows
	return err
}

// embeddingRows reads each row of a table as a vector.
func embeddingRows(t *frame.Table) ([][]float32, error) {
	list := t.Columns()
	for _, c := range list {
		if !c.Kind().Numeric() || c.HasNulls() {
			return nil, fmt.Errorf("%s: the column %q of embeddings must hold a number in every row", t.Name(), c.Name())
		}
	}
	all := make([]float32, t.Rows()*len(list))
	out := make([][]float32, t.Rows())
	for i := range out {
		out[i] = all[i*len(list) : (i+1)*len(list)]
		for k, c := range list {
			out[i][k] = float32(c.Float(i))
		}
	}
	return out, nil
}

// Agree decides which columns of metadata and properties hold categories: those
// named, or where names are nil those that look like it in train. Both sets
// then agree. Test may be nil.
func Agree(train, test *Set, metadata, properties []string) error {
	for _, part := range []struct {
		what  string
		named []string
		of    func(*Set) *Columns
	}{{"metadata", metadata, func(s *Set) *Columns { return s.Metadata }}, {"properties", properties, func(s *Set) *Columns { return s.Properties }}} {
		from := part.of(train)
		if from == nil {
			continue
		}
		for _, name := range part.named {
			if from.Table.Column(name) == nil {
				return fmt.Errorf("categorical_%s: the train texts have no %q%s", part.what, name, nearest.Hint(name, from.Table.Names()))
			}
		}
		from.Categorical = part.named
		if part.named == nil {
			from.Categorical = []string{}
			for _, c := range from.Table.Columns() {
				is := c.Categorical(frame.FeatureRatio)
				if kind, builtin := Kind(c.Name()); builtin && part.what == "properties" {
					is = kind
				}
				if is {
					from.Categorical = append(from.Categorical, c.Name())
				}
			}
		}
		if test == nil || part.of(test) == nil {
			continue
		}
		to := part.of(test)
		to.Categorical = slices.DeleteFunc(slices.Clone(from.Categorical), func(n string) bool { return to.Table.Column(n) == nil })
	}
	return nil
}
