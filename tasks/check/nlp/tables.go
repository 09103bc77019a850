package nlp

import (
	"context"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/integrity"
	"aloft/tasks/check/model"
	"aloft/tasks/check/split"
	"aloft/tasks/check/text"
)

// labelColumn is the name of the label among columns named by users.
const labelColumn = " label"

// table makes a table of some rows of columns. Label, when set, is one column
// more and has as many rows.
func table(from *text.Columns, names []string, rows []int32, label *frame.Column) (*frame.Dataset, error) {
	roles := frame.Roles{Features: []string{}, Categorical: []string{}}
	var list []*frame.Column
	if from != nil {
		t, err := from.Table.Only(names)
		if err != nil {
			return nil, engine.Errorf(engine.ValueError, "%v", err)
		}
		list = slices.Clone(t.Take(rows).Columns())
		roles.Features = names
		for _, name := range names {
			if slices.Contains(from.Categorical, name) {
				roles.Categorical = append(roles.Categorical, name)
			}
		}
	}
	if label != nil {
		list, roles.Label = append(list, label), label.Name()
	}
	t, err := frame.NewTable("texts", list...)
	if err != nil {
		return nil, engine.Errorf(engine.ValueError, "%v", err)
	}
	d, err := frame.NewDataset(t, roles)
	if err != nil {
		return nil, engine.Errorf(engine.ValueError, "%v", err)
	}
	return d, nil
}

// labelOf is the label of some rows under its name in tables.
func labelOf(s *text.Set, rows []int32) *frame.Column {
	values := make([]string, len(rows))
	for i, r := range rows {
		if !s.Label.IsNull(int(r)) {
			values[i] = s.Label.Value(int(r)).String()
		}
	}
	return frame.NewTexts(labelColumn, values)
}

// answers are the predictions for some rows.
func answers(s *text.Set, rows []int32) *engine.Predictions {
	p := &engine.Predictions{}
	if s.Predicted != nil {
		p.Labels = s.Predicted.Take(rows)
	}
	if s.Proba != nil {
		for k, name := range s.Classes {
			values := make([]float64, len(rows))
			for i, r := range rows {
				values[i] = s.Proba[k][r]
			}
			p.Classes, p.Proba = append(p.Classes, frame.TextValue(name)), append(p.Proba, values)
		}
	}
	return p
}

// tabular is a check of tables, which there must be.
func tabular(id string) *engine.Definition {
	for _, d := range slices.Concat(model.Checks(), model.Extra(), split.Checks(), integrity.Checks()) {
		if d.ID == id {
			return d
		}
	}
	return &engine.Definition{ID: id}
}

// borrowed runs a check of tables on a context over tables.
func borrowed(ctx context.Context, c *engine.Context, def *engine.Definition, params map[string]any, in engine.Inputs) (engine.Result, error) {
	item, problems := def.Build(params, []engine.Use{}, c.Mode())
	if len(problems) > 0 {
		return engine.Result{}, engine.Errorf(engine.ValueError, "%s: %s", def.ID, problems[0].Message)
	}
	over, err := c.OnTables(ctx, in)
	if err != nil {
		return engine.Result{}, err
	}
	return item.Check.Run(ctx, over)
}

// shared picks out the arguments that a check of tables has too.
func shared(args engine.Args, def *engine.Definition, names ...string) map[string]any {
	out := make(map[string]any)
	for _, p := range def.Params {
		if v, ok := args[p.Name]; ok && (len(names) == 0 || slices.Contains(names, p.Name)) {
			if list, ok := v.([][2]string); ok { // as a document gives it
				v = encoded(list)
			}
			out[p.Name] = v
		}
	}
	return out
}

func encoded(list [][2]string) any {
	out := make(engine.Object, len(list))
	plain := make([]any, len(list))
	named := false
	for i, p := range list {
		out[i], plain[i] = engine.Field{Key: p[0], Value: p[1]}, p[1]
		named = named || p[0] != ""
	}
	if named {
		return out
	}
	return plain
}

// classification is what checks of tables look at: the labels and predictions
// of rows whose label is present.
func classification(c *engine.Context, s *engine.Side, args engine.Args) (*frame.Dataset, *engine.Predictions, error) {
	rows, err := labelled(c, s, s.TextRows(args))
	if err != nil {
		return nil, nil, err
	}
	if err := predicted(c, s); err != nil {
		return nil, nil, err
	}
	d, err := table(nil, nil, rows, labelOf(s.Texts, rows))
	return d, answers(s.Texts, rows), err
}
