package split

import (
	"context"
	"fmt"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/frame"
)

func newLabels() *engine.Definition {
	ratio := engine.Param{Name: "max_ratio", Type: engine.FloatParam, Default: 0.0, Min: 0, Max: 1, Doc: "largest share of test rows with a new label"}
	return &engine.Definition{
		ID:      "NewLabelTrainTest",
		Summary: "Finds labels in the test table that the train table does not have: no model can have learned them.",
		Formula: "Labels of the test table that no train row has, and the test rows with each. `ratio = rows with a new label / test rows`. Missing labels are not counted.",
		Scope:   engine.TrainTest,
		Params:  engine.SampleParams(10_000_000),
		Conditions: []engine.ConditionDef{
			{
				ID:     "new_labels_number_less_or_equal",
				Params: []engine.Param{{Name: "max_new", Type: engine.IntParam, Default: 0, Min: 0, Max: math.MaxFloat64, Doc: "most labels that may be new"}},
				New:    newLabelCount,
			},
			{ID: "new_label_ratio_less_or_equal", Params: []engine.Param{ratio}, New: newLabelRatio},
		},
		Defaults: []engine.Use{{ID: "new_labels_number_less_or_equal"}},
		New:      func(a engine.Args, _ engine.Mode) (engine.Check, error) { return labelCheck{a}, nil },
	}
}

type labelCheck struct{ args engine.Args }

// NewLabels is the value of NewLabelTrainTest.
type NewLabels struct {
	Rows   int // test rows looked at
	Labels []frame.Value
	Counts []int // test rows with each new label
}

// total counts the test rows with a new label.
func (v NewLabels) total() int {
	n := 0
	for _, c := range v.Counts {
		n += c
	}
	return n
}

func (v NewLabels) list() string {
	parts := make([]string, len(v.Labels))
	for i, l := range v.Labels {
		parts[i] = l.Repr()
	}
	return format.List(parts)
}

// Encode returns counts and labels.
func (v NewLabels) Encode() any {
	labels, counts := make([]any, len(v.Labels)), make(engine.Object, len(v.Labels))
	for i, l := range v.Labels {
		labels[i] = l.Native()
		counts[i] = engine.Field{Key: l.String(), Value: v.Counts[i]}
	}
	return engine.Object{
		{Key: "n_samples", Value: v.Rows}, {Key: "n_new_labels_samples", Value: v.total()},
		{Key: "new_labels", Value: labels}, {Key: "n_samples_per_new_label", Value: counts},
	}
}

func (labelCheck) ID() string { return "NewLabelTrainTest" }

func (l labelCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	if err := c.Classification(); err != nil {
		return engine.Result{}, err
	}
	train, err := c.Train().Label()
	if err != nil {
		return engine.Result{}, err
	}
	test, err := c.Test().Label()
	if err != nil {
		return engine.Result{}, err
	}
	known := make(map[frame.Value]bool)
	for k := range labelCounts(train, c.Train().Sample(l.args)) {
		known[k.Key()] = true
	}
	rows := c.Test().Sample(l.args)
	value := NewLabels{Rows: len(rows)}
	counts := labelCounts(test, rows)
	for k := range counts {
		if !known[k.Key()] {
			value.Labels = append(value.Labels, k)
		}
	}
	slices.SortFunc(value.Labels, frame.Compare)
	grid := engine.Grid{Columns: []string{"New label", "Rows", "Share of test rows"}}
	for _, k := range value.Labels {
		value.Counts = append(value.Counts, counts[k])
		grid.Rows = append(grid.Rows, []any{k.String(), counts[k], format.Percent(float64(counts[k]) / float64(len(rows)))})
	}
	result := engine.Result{Value: value, Reduced: engine.Object{{Key: "Samples with New Labels", Value: value.total()}}}
	if len(value.Labels) > 0 {
		result.Displays = []engine.Display{engine.TableView{Title: "Labels that only the test table has", Grid: grid}}
	}
	return result, nil
}

// labelCounts counts the rows of each label present.
func labelCounts(c *frame.Column, rows []int32) map[frame.Value]int {
	byBits := make(map[uint64]int)
	for _, r := range rows {
		if !c.IsNull(int(r)) {
			byBits[c.Bits(int(r))]++
		}
	}
	out := make(map[frame.Value]int, len(byBits))
	for b, n := range byBits {
		out[c.FromBits(b)] = n
	}
	return out
}

func newLabelCount(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Int("max_new")
	return engine.Condition{
		Name: fmt.Sprintf("Number of new label values is less or equal to %d", limit),
		Judge: engine.Judge(func(v NewLabels) (engine.Verdict, string, error) {
			if v.Rows == 0 {
				return engine.Pass, "No new labels found", nil
			}
			return verdict(len(v.Labels) <= limit), fmt.Sprintf("Found %d new labels in test data: %s", len(v.Labels), v.list()), nil
		}),
	}, nil
}

func newLabelRatio(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("max_ratio")
	return engine.Condition{
		Name: "Ratio of samples with new label is less or equal to " + format.Percent(limit),
		Judge: engine.Judge(func(v NewLabels) (engine.Verdict, string, error) {
			if v.total() == 0 {
				return engine.Pass, "No new labels found", nil
			}
			ratio := float64(v.total()) / float64(v.Rows)
			return verdict(ratio <= limit), fmt.Sprintf("Found %s of new labels in test data: %s", format.Percent(ratio), v.list()), nil
		}),
	}, nil
}
