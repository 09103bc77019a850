package integrity

import (
	"cmp"
	"context"
	"math"
	"slices"

	"aloft/tasks/check/engine"
)

func columnsInfo() *engine.Definition {
	return &engine.Definition{
		ID:      "ColumnsInfo",
		Summary: "Tells what each column is taken for: label, index, date, or a numerical, categorical or other feature.",
		Formula: "Nothing is computed: the roles are those of the document or inferred.",
		Scope:   engine.SingleDataset,
		Params:  []engine.Param{topColumns()},
		New:     func(a engine.Args, _ engine.Mode) (engine.Check, error) { return info{a}, nil },
	}
}

type info struct{ args engine.Args }

func (info) ID() string { return "ColumnsInfo" }

// ColumnRoles is the value of ColumnsInfo, the most important column first.
type ColumnRoles struct{ Columns, Roles []string }

// Encode returns an object of roles by column.
func (v ColumnRoles) Encode() any {
	out := make(engine.Object, len(v.Columns))
	for i, c := range v.Columns {
		out[i] = engine.Field{Key: c, Value: v.Roles[i]}
	}
	return out
}

func (n info) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	data := c.Side().Data
	importance, err := c.Importance(ctx)
	if err != nil {
		return engine.Result{}, err
	}
	roles := data.Roles()
	numerical := data.NumericalFeatures()
	role := func(name string) string {
		switch {
		case name == roles.Index && data.Index() != nil:
			return "index"
		case name == roles.Datetime && data.Datetime() != nil:
			return "date"
		case name == roles.Label && data.Label() != nil:
			return "label"
		case slices.Contains(data.CategoricalFeatures(), name):
			return "categorical feature"
		case slices.Contains(numerical, name):
			return "numerical feature"
		case slices.Contains(data.Features(), name):
			return "other feature"
		}
		return "other"
	}
	// What is no feature comes first, then features as they weigh.
	weight := func(name string) float64 {
		switch {
		case !slices.Contains(data.Features(), name):
			return math.Inf(1)
		case importance == nil:
			return 0
		default:
			return importance.Weights[name]
		}
	}
	names := data.Names()
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(weight(b), weight(a)) })
	value := ColumnRoles{Columns: names}
	grid := engine.Grid{Columns: []string{"Column", "Role", "Type"}}
	for _, name := range names {
		value.Roles = append(value.Roles, role(name))
		if len(grid.Rows) < n.args.Int("n_top_columns") {
			grid.Rows = append(grid.Rows, []any{name, role(name), data.Column(name).Kind().String()})
		}
	}
	result := engine.Result{Value: value}
	if len(grid.Rows) > 0 {
		result.Displays = []engine.Display{engine.TableView{Title: "What columns are taken for", Grid: grid}}
	}
	return result, nil
}
