package integrity

import (
	"cmp"
	"context"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/stats"
)

func conflictingLabels() *engine.Definition {
	return &engine.Definition{
		ID:         "ConflictingLabels",
		Summary:    "Finds rows whose features are all equal and whose labels differ: no model can get them all right.",
		Formula:    "Rows are put together by their features, missing values being equal. `rows of groups with more than one label / rows`; a missing label conflicts with nothing.",
		Differs:    "groups of equal size come in the order of their features; there, an unstable sort decides.",
		Scope:      engine.SingleDataset,
		Params:     params(engine.ColumnParams(), nToShow(), engine.SampleParams(largeSample)),
		Conditions: []engine.ConditionDef{maxRatio("ratio_of_conflicting_labels_less_or_equal", 0, conflictRatio)},
		Defaults:   []engine.Use{{ID: "ratio_of_conflicting_labels_less_or_equal"}},
		New: func(a engine.Args, m engine.Mode) (engine.Check, error) {
			return conflicts{args: a, mode: m}, nil
		},
	}
}

type conflicts struct {
	args engine.Args
	mode engine.Mode
}

// Conflicts is the value of ConflictingLabels.
type Conflicts struct {
	// Ratio is the share of rows in conflict, from 0 to 1.
	Ratio float64
	// Rows lists the row numbers of each group of equal features, largest
	// group first.
	Rows [][]int
}

// Encode returns the ratio and the row numbers.
func (c Conflicts) Encode() any {
	groups := make([]any, len(c.Rows))
	for i, g := range c.Rows {
		rows := make([]any, len(g))
		for j, r := range g {
			rows[j] = r
		}
		groups[i] = rows
	}
	return engine.Object{{Key: "percent_of_conflicting_samples", Value: c.Ratio}, {Key: "samples_indices", Value: groups}}
}

func (conflicts) ID() string { return "ConflictingLabels" }

func (c conflicts) Run(_ context.Context, ctx *engine.Context) (engine.Result, error) {
	side := ctx.Side()
	if err := ctx.Classification(); err != nil {
		return engine.Result{}, err
	}
	label, err := side.Label()
	if err != nil {
		return engine.Result{}, err
	}
	features, err := side.Features()
	if err != nil {
		return engine.Result{}, err
	}
	columns, err := side.Columns(c.args, features)
	if err != nil {
		return engine.Result{}, err
	}
	rows := side.Sample(c.args)
	groups := frame.GroupRows(columns, rows)
	mixed := mixedGroups(groups, label, rows)
	total := 0
	for k, is := range mixed {
		if is {
			total += int(groups.Size[k])
		}
	}
	order := c.order(columns, groups, mixed)
	place := make(map[int32]int, len(order))
	for i, k := range order {
		place[k] = i
	}
	value := Conflicts{Ratio: float64(total) / float64(len(rows)), Rows: make([][]int, len(order))}
	members := make([][]int32, len(order))
	for i, k := range groups.Of {
		if at, ok := place[k]; ok {
			members[at] = append(members[at], rows[i])
			value.Rows[at] = append(value.Rows[at], side.Row(rows[i]))
		}
	}
	result := engine.Result{Value: value}
	if len(order) > 0 {
		result.Displays = []engine.Display{c.display(label, columns, groups, order, members, value)}
	}
	return result, nil
}

// mixedGroups tells for each group whether its labels differ. Missing labels
// are no label: they conflict with nothing.
func mixedGroups(g frame.Groups, label *frame.Column, rows []int32) []bool {
	mixed := make([]bool, len(g.First))
	first := make([]int32, len(g.First)) // row + 1 of the group's first label
	for i, k := range g.Of {
		r := rows[i]
		if g.Size[k] < 2 || label.IsNull(int(r)) {
			continue
		}
		if first[k] == 0 {
			first[k] = r + 1
		} else if label.Bits(int(first[k]-1)) != label.Bits(int(r)) {
			mixed[k] = true
		}
	}
	return mixed
}

// order lists the groups in conflict, largest first. Equal sizes come in the
// order of their features; deepchecks lets an unstable sort over all groups
// decide, which is repeated in its mode.
func (c conflicts) order(columns []*frame.Column, g frame.Groups, mixed []bool) []int32 {
	byCells := frame.Order(columns)
	var groups []int32
	for k := range g.First {
		if mixed[k] || c.mode == engine.Deepchecks {
			groups = append(groups, int32(k))
		}
	}
	slices.SortFunc(groups, func(a, b int32) int { return byCells(g.First[a], g.First[b]) })
	if c.mode != engine.Deepchecks {
		slices.SortStableFunc(groups, func(a, b int32) int { return cmp.Compare(g.Size[b], g.Size[a]) })
		return groups
	}
	// A descending sort there is an ascending one of the reversed list, read
	// backwards.
	slices.Reverse(groups)
	sizes := make([]int, len(groups))
	for i, k := range groups {
		sizes[i] = int(g.Size[k])
	}
	var out []int32
	for _, at := range slices.Backward(stats.Argsort(sizes)) {
		if k := groups[at]; mixed[k] {
			out = append(out, k)
		}
	}
	return out
}

func (c conflicts) display(label *frame.Column, columns []*frame.Column, g frame.Groups, order []int32, members [][]int32, v Conflicts) engine.Display {
	grid := engine.Grid{Columns: []string{"Observed labels", "Rows"}}
	for _, col := range columns {
		grid.Columns = append(grid.Columns, col.Name())
	}
	for i, k := range order[:min(len(order), c.args.Int("n_to_show"))] {
		var seen []string
		for _, r := range members[i] {
			if l := label.Value(int(r)).String(); !slices.Contains(seen, l) {
				seen = append(seen, l)
			}
		}
		slices.Sort(seen)
		shown := v.Rows[i][:min(len(v.Rows[i]), shownRows)]
		row := []any{format.Shorten(seen), rowList(shown, len(v.Rows[i]))}
		for _, col := range columns {
			row = append(row, col.Value(int(g.First[k])).String())
		}
		grid.Rows = append(grid.Rows, row)
	}
	return engine.TableView{Title: "Rows with equal features and different labels", Grid: grid}
}

func conflictRatio(limit float64, name string) engine.Condition {
	return engine.Condition{
		Name: "Ambiguous sample ratio is less or equal to " + name,
		Judge: engine.Judge(func(v Conflicts) (engine.Verdict, string, error) {
			details := "Ratio of samples with conflicting labels: " + format.Percent(v.Ratio)
			if v.Ratio > limit {
				return engine.Fail, details, nil
			}
			return engine.Pass, details, nil
		}),
	}
}
