package check

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/nearest"
)

// The columns of prediction files.
const (
	predictedColumn = "y_pred"
	probaPrefix     = "proba_"
)

// PredictionColumns says which columns of the tables hold what a model
// answered. They are no part of the data then.
type PredictionColumns struct {
	// Column holds the predicted labels or numbers; "" when there are only
	// probabilities.
	Column string
	// Proba is a pattern with one *, which stands for the class: proba_*; ""
	// for none.
	Proba string
	// Classes names the column of each class instead.
	Classes map[string]string
}

// answers are the columns of one table that hold predictions.
type answers struct {
	labels  *frame.Column
	classes []string // as the names of the columns tell them
	proba   []*frame.Column
}

// takeOut splits the columns that hold predictions off a table.
func (l *loader) takeOut(key string, t *frame.Table) (*frame.Table, *answers) {
	p := l.spec.Columns
	if t == nil || p == nil {
		return t, nil
	}
	a := &answers{}
	var taken []string
	take := func(at, name string) *frame.Column {
		c, err := t.Lookup(name)
		if err != nil {
			l.fault(at, err)
			return nil
		}
		taken = append(taken, name)
		return c
	}
	if p.Column != "" {
		a.labels = take("predictions.column", p.Column)
		if a.labels != nil && l.textLabel(t) && a.labels.Kind() != frame.Text {
			types := map[string]frame.Kind{p.Column: frame.Text}
			for k, v := range l.spec.Types {
				types[k] = v
			}
			if again := l.table(key, l.files(key), types); again != nil {
				t, a.labels = again, again.Column(p.Column)
			}
		}
	}
	if before, after, ok := strings.Cut(p.Proba, "*"); ok {
		for _, c := range t.Columns() {
			name, found := strings.CutPrefix(c.Name(), before)
			class, ends := strings.CutSuffix(name, after)
			if found && ends && class != "" && c.Name() != p.Column {
				a.classes, a.proba = append(a.classes, class), append(a.proba, take("predictions.proba", c.Name()))
			}
		}
		if len(a.proba) == 0 {
			l.fault("predictions.proba", fmt.Errorf("%s has no column %s%s", t.Name(), p.Proba, nearest.Hint(p.Proba, t.Names())))
		}
	}
	for _, class := range sortedClasses(p.Classes) {
		if c := take("predictions.proba", p.Classes[class]); c != nil {
			a.classes, a.proba = append(a.classes, class), append(a.proba, c)
		}
	}
	return t.Without(taken), a
}

// textLabel reports whether the labels of the table are texts.
func (l *loader) textLabel(t *frame.Table) bool {
	label := t.Column(l.spec.Label)
	return label != nil && label.Kind() == frame.Text
}

func (l *loader) files(key string) []string {
	if key == "test" {
		return l.spec.Test
	}
	return l.spec.Train
}

func sortedClasses(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for class := range m {
		names = append(names, class)
	}
	slices.Sort(names)
	return names
}

// predictions are those of the columns taken out of the table or of a
// prediction file.
func (l *loader) predictions(key string, files []string, a *answers, label *frame.Column) *engine.Predictions {
	if a != nil {
		return l.assemble(key, "the table", a, 0, label)
	}
	t := l.table(key, files, nil)
	if t == nil {
		return nil
	}
	if y := t.Column(predictedColumn); y != nil && label != nil && label.Kind() == frame.Text && y.Kind() != frame.Text {
		if t = l.table(key, files, map[string]frame.Kind{predictedColumn: frame.Text}); t == nil {
			return nil
		}
	}
	a = &answers{labels: t.Column(predictedColumn)}
	for _, c := range t.Columns() {
		name, isProba := strings.CutPrefix(c.Name(), probaPrefix)
		switch {
		case c.Name() == predictedColumn:
		case !isProba:
			l.fault(key, fmt.Errorf("%s: unexpected column %q; known are y_pred and proba_<class>", t.Name(), c.Name()))
		default:
			a.classes, a.proba = append(a.classes, name), append(a.proba, c)
		}
	}
	if a.labels == nil && len(a.proba) == 0 {
		l.fault(key, fmt.Errorf("%s holds no predictions: a column y_pred, or columns proba_<class>, are needed", t.Name()))
	}
	return l.assemble(key, t.Name(), a, t.Total(), label)
}

// assemble checks the columns of predictions and puts them into the order of
// the classes.
func (l *loader) assemble(key, file string, a *answers, total int, label *frame.Column) *engine.Predictions {
	p := &engine.Predictions{Labels: a.labels, Total: total}
	if a.labels != nil && a.labels.HasNulls() {
		l.fault(key, fmt.Errorf("%s: the column %q has missing cells", file, a.labels.Name()))
	}
	type class struct {
		value  frame.Value
		column *frame.Column
	}
	var classes []class
	for i, c := range a.proba {
		if c == nil {
			continue
		}
		if !c.Kind().Numeric() || c.HasNulls() {
			l.fault(key, fmt.Errorf("%s: the column %q must hold a probability in every row", file, c.Name()))
			continue
		}
		v, err := classFromText(a.classes[i], label)
		if err != nil {
			l.fault(key, fmt.Errorf("%s: column %q: %w", file, c.Name(), err))
		}
		classes = append(classes, class{v, c})
	}
	slices.SortStableFunc(classes, func(a, b class) int { return frame.Compare(a.value, b.value) })
	for _, c := range classes {
		p.Classes = append(p.Classes, c.value)
		values := make([]float64, c.column.Len())
		for i := range values {
			values[i] = c.column.Float(i)
		}
		p.Proba = append(p.Proba, values)
	}
	return p
}

// errClass reports a probability column of a class that no label can have.
var errClass = errors.New("the class is not of the label's type")

// classFromText reads the class in a column's name as a label is read.
func classFromText(s string, label *frame.Column) (frame.Value, error) {
	if label == nil || label.Kind() == frame.Text {
		return frame.TextValue(s), nil
	}
	if label.Kind() == frame.Bool {
		switch strings.ToLower(s) {
		case "true", "1":
			return frame.BoolValue(true), nil
		case "false", "0":
			return frame.BoolValue(false), nil
		}
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return frame.IntValue(i), nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return frame.Value{}, fmt.Errorf("%w: labels are %s", errClass, label.Kind())
	}
	return frame.FloatValue(f), nil
}

// classValue turns a class of the document into a label.
func classValue(c any, label *frame.Column) frame.Value {
	if label != nil && label.Kind() == frame.Text {
		if s, ok := c.(string); ok {
			return frame.TextValue(s)
		}
		return frame.TextValue(fmt.Sprint(c))
	}
	switch c := c.(type) {
	case int:
		return frame.IntValue(int64(c))
	case float64:
		return frame.FloatValue(c)
	case bool:
		return frame.BoolValue(c)
	default:
		return frame.TextValue(fmt.Sprint(c))
	}
}
