package vision

import (
	"context"
	"math"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/images"
)

// table makes a table with a column for each property of images. Label, when
// set, is one column more.
func table(name string, properties []property, list []*images.Record, label *frame.Column) (*frame.Dataset, error) {
	rows := make([][]float64, len(properties))
	for k, p := range properties {
		for _, r := range list {
			v := math.NaN()
			if got := p.values(r); len(got) > 0 {
				v = got[0]
			}
			rows[k] = append(rows[k], v)
		}
	}
	return tableOf(name, properties, rows, label)
}

// tableOf makes a table out of columns.
func tableOf(name string, properties []property, columns [][]float64, label *frame.Column) (*frame.Dataset, error) {
	var list []*frame.Column
	roles := frame.Roles{Categorical: []string{}}
	for k, p := range properties {
		list = append(list, frame.NewFloats(p.Name, columns[k]))
		roles.Features = append(roles.Features, p.Name)
		if p.categorical() {
			roles.Categorical = append(roles.Categorical, p.Name)
		}
	}
	if label != nil {
		list, roles.Label = append(list, label), label.Name()
	}
	t, err := frame.NewTable(name, list...)
	if err != nil {
		return nil, engine.Errorf(engine.ValueError, "properties: %v", err)
	}
	d, err := frame.NewDataset(t, roles)
	if err != nil {
		return nil, engine.Errorf(engine.ValueError, "properties: %v", err)
	}
	return d, nil
}

// pointers returns the images of a side that a check looks at.
func pointers(list []images.Record) []*images.Record {
	out := make([]*images.Record, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out
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
