package split

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/stats"
)

// keptSamples bounds the groups of equal rows that a value lists.
const keptSamples = 1000

func samplesMix() *engine.Definition {
	return &engine.Definition{
		ID:         "TrainTestSamplesMix",
		Summary:    "Finds test rows that are also in the train table: the score on them tells nothing.",
		Formula:    "`test rows equal to some train row in all features and the label / test rows`; missing cells equal each other, numbers are equal when exactly equal.",
		Differs:    fmt.Sprintf("the value lists at most the %d most frequent of the rows found; there it lists all.", keptSamples),
		Scope:      engine.TrainTest,
		Params:     params(engine.SampleParams(largeSample)[:1], []engine.Param{count("n_to_show", 10, "rows to show")}, engine.SampleParams(largeSample)[1:]),
		Conditions: []engine.ConditionDef{maxRatio("duplicates_ratio_less_or_equal", 0.05, mixRatio)},
		Defaults:   []engine.Use{{ID: "duplicates_ratio_less_or_equal"}},
		New: func(a engine.Args, m engine.Mode) (engine.Check, error) {
			return mixCheck{args: a, mode: m}, nil
		},
	}
}

type mixCheck struct {
	args engine.Args
	mode engine.Mode
}

// SamplesMix is the value of TrainTestSamplesMix.
type SamplesMix struct {
	Ratio   float64
	Columns []string
	Groups  []MixedSample
	numeric []bool // the columns that hold numbers
}

// MixedSample is a row that is on both sides, with the row numbers that have it.
type MixedSample struct {
	Train, Test []int
	Cells       []frame.Value
}

// Encode returns the ratio and the rows found.
func (v SamplesMix) Encode() any {
	g := engine.Grid{Columns: v.Columns, Index: []any{}, Rows: [][]any{}}
	for _, s := range v.Groups {
		row := make([]any, len(s.Cells))
		for i, c := range s.Cells {
			row[i] = c.Native()
			if c.IsNull() && v.numeric[i] {
				row[i] = math.NaN()
			}
		}
		g.Index, g.Rows = append(g.Index, s.name()), append(g.Rows, row)
	}
	return engine.Object{{Key: "ratio", Value: v.Ratio}, {Key: "data", Value: g}}
}

func (s MixedSample) name() string {
	return "Train indices: " + shortList(s.Train) + "\nTest indices: " + shortList(s.Test)
}

// shortList joins row numbers and cuts what is too long, telling how many
// there are.
func shortList(rows []int) string {
	const most = 30
	var b strings.Builder
	for i, r := range rows {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Itoa(r))
		if b.Len() > most {
			return fmt.Sprintf("%s.. Tot. %d", b.String()[:most], len(rows))
		}
	}
	return b.String()
}

func (mixCheck) ID() string { return "TrainTestSamplesMix" }

func (m mixCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	features, err := c.Train().Features()
	if err != nil {
		return engine.Result{}, err
	}
	value := SamplesMix{Columns: slices.Clone(features)}
	if l := c.Train().Data.Label(); l != nil {
		value.Columns = append(value.Columns, l.Name())
	}
	var train, test []*frame.Column
	for _, name := range value.Columns {
		train, test = append(train, c.Train().Data.Column(name)), append(test, c.Test().Data.Column(name))
	}
	for _, col := range test {
		value.numeric = append(value.numeric, col.Kind().Numeric())
	}
	trainRows, testRows := c.Train().Unordered(m.args), c.Test().Unordered(m.args)
	if m.mode == engine.Deepchecks { // rows are listed in the order of the sample
		trainRows, testRows = c.Train().Sample(m.args), c.Test().Sample(m.args)
	}
	var found []int32
	for i, at := range frame.Match(train, test, trainRows, testRows) {
		if at >= 0 {
			found = append(found, testRows[i])
		}
	}
	value.Ratio = float64(len(found)) / float64(len(testRows))
	result := engine.Result{}
	if len(found) > 0 {
		m.list(&value, train, test, trainRows, found)
		for i := range value.Groups {
			for j := range value.Groups[i].Train {
				value.Groups[i].Train[j] = c.Train().Row(int32(value.Groups[i].Train[j]))
			}
			for j := range value.Groups[i].Test {
				value.Groups[i].Test[j] = c.Test().Row(int32(value.Groups[i].Test[j]))
			}
		}
		result.Displays = []engine.Display{m.display(value)}
	}
	result.Value = value
	return result, nil
}

// list puts the rows found together by their cells and finds the train rows
// equal to them.
func (m mixCheck) list(v *SamplesMix, train, test []*frame.Column, trainRows, found []int32) {
	groups := frame.GroupRows(test, found)
	order := m.order(test, groups)
	place := make([]int, len(groups.First)) // position in the value + 1
	for i, k := range order {
		place[k] = i + 1
	}
	v.Groups = make([]MixedSample, len(order))
	for i, k := range order {
		for _, col := range test {
			v.Groups[i].Cells = append(v.Groups[i].Cells, col.Value(int(groups.First[k])))
		}
	}
	for i, k := range groups.Of {
		if at := place[k]; at > 0 {
			v.Groups[at-1].Test = append(v.Groups[at-1].Test, int(found[i]))
		}
	}
	for i, k := range frame.Match(test, train, groups.First, trainRows) {
		if k >= 0 && place[k] > 0 {
			v.Groups[place[k]-1].Train = append(v.Groups[place[k]-1].Train, int(trainRows[i]))
		}
	}
}

// order lists the groups with most test rows first, equal ones by their cells.
// deepchecks lets an unstable sort decide between those.
func (m mixCheck) order(columns []*frame.Column, g frame.Groups) []int32 {
	groups := make([]int32, len(g.First))
	for i := range groups {
		groups[i] = int32(i)
	}
	byCells := frame.Order(columns)
	if m.mode != engine.Deepchecks {
		slices.SortFunc(groups, func(a, b int32) int {
			return cmp.Or(cmp.Compare(g.Size[b], g.Size[a]), byCells(g.First[a], g.First[b]))
		})
		return groups[:min(len(groups), keptSamples)]
	}
	slices.SortFunc(groups, func(a, b int32) int { return byCells(g.First[a], g.First[b]) })
	slices.Reverse(groups)
	sizes := make([]int, len(groups))
	for i, k := range groups {
		sizes[i] = int(g.Size[k])
	}
	out := make([]int32, 0, len(groups))
	for _, at := range slices.Backward(stats.Argsort(sizes)) {
		out = append(out, groups[at])
	}
	return out
}

func (m mixCheck) display(v SamplesMix) engine.Display {
	grid := engine.Grid{Columns: slices.Concat([]string{"Train rows", "Test rows"}, v.Columns)}
	for _, s := range v.Groups[:min(len(v.Groups), m.args.Int("n_to_show"))] {
		row := []any{shortList(s.Train), shortList(s.Test)}
		for _, c := range s.Cells {
			row = append(row, c.String())
		}
		grid.Rows = append(grid.Rows, row)
	}
	return engine.TableView{Title: "Rows that are in both tables", Grid: grid}
}

func mixRatio(limit float64, name string) engine.Condition {
	return engine.Condition{
		Name: "Percentage of test data samples that appear in train data is less or equal to " + name,
		Judge: engine.Judge(func(v SamplesMix) (engine.Verdict, string, error) {
			if v.Ratio == 0 {
				return engine.Pass, "No samples mix found", nil
			}
			return verdict(v.Ratio <= limit), "Percent of test data samples that appear in train data: " + format.Percent(v.Ratio), nil
		}),
	}
}
