package split

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/frame"
)

func dateDuplicates() *engine.Definition {
	return &engine.Definition{
		ID:         "DateTrainTestLeakageDuplicates",
		Header:     "Date Train-Test Leakage (duplicates)",
		Summary:    "Finds test rows whose date also occurs in the train table: the model may have seen the very event.",
		Formula:    "`test rows whose date is that of a train row / test rows`; missing dates match nothing.",
		Scope:      engine.TrainTest,
		Params:     params([]engine.Param{count("n_to_show", 5, "dates to show")}, engine.SampleParams(largeSample)),
		Conditions: []engine.ConditionDef{maxRatio("leakage_ratio_less_or_equal", 0, leakedDates)},
		Defaults:   []engine.Use{{ID: "leakage_ratio_less_or_equal"}},
		New:        func(a engine.Args, _ engine.Mode) (engine.Check, error) { return dateDuplicateCheck{a}, nil },
	}
}

type dateDuplicateCheck struct{ args engine.Args }

func (dateDuplicateCheck) ID() string { return "DateTrainTestLeakageDuplicates" }

func (d dateDuplicateCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	train, test, err := both(c, (*engine.Side).Datetime)
	if err != nil {
		return engine.Result{}, err
	}
	rows := c.Test().Unordered(d.args)
	leaked := matched(train, test, present(train, c.Train().Unordered(d.args)), present(test, rows))
	result := engine.Result{Value: engine.Scalar(float64(len(leaked)) / float64(len(rows)))}
	if len(leaked) > 0 {
		result.Displays = []engine.Display{mostCommon("Dates on both sides", "Date", test, leaked, d.args.Int("n_to_show"))}
	}
	return result, nil
}

// matched lists the test rows whose cell occurs among the train rows.
func matched(train, test *frame.Column, trainRows, testRows []int32) []int32 {
	var out []int32
	for i, at := range frame.Match([]*frame.Column{train}, []*frame.Column{test}, trainRows, testRows) {
		if at >= 0 {
			out = append(out, testRows[i])
		}
	}
	return out
}

// mostCommon shows the cells that most of the rows have.
func mostCommon(title, name string, c *frame.Column, rows []int32, most int) engine.Display {
	groups := frame.GroupRows([]*frame.Column{c}, rows)
	order := make([]int32, len(groups.First))
	for i := range order {
		order[i] = int32(i)
	}
	compare := frame.Order([]*frame.Column{c})
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(groups.Size[b], groups.Size[a]), compare(groups.First[a], groups.First[b]))
	})
	grid := engine.Grid{Columns: []string{name, "Test rows"}}
	for _, k := range order[:min(len(order), most)] {
		grid.Rows = append(grid.Rows, []any{c.Value(int(groups.First[k])).String(), int(groups.Size[k])})
	}
	return engine.TableView{Title: fmt.Sprintf("%s: %d, the most frequent", title, len(order)), Grid: grid}
}

func leakedDates(limit float64, name string) engine.Condition {
	return engine.Condition{
		Name: "Date leakage ratio is less or equal to " + name,
		Judge: engine.Judge(func(v engine.Scalar) (engine.Verdict, string, error) {
			if v == 0 {
				return engine.Pass, "No leaked dates found", nil
			}
			return verdict(float64(v) <= limit), fmt.Sprintf("Found %s leaked dates", format.Percent(float64(v))), nil
		}),
	}
}

func dateOverlap() *engine.Definition {
	return &engine.Definition{
		ID:         "DateTrainTestLeakageOverlap",
		Header:     "Date Train-Test Leakage (overlap)",
		Summary:    "Finds test rows from before the end of the train table: the model has seen their future.",
		Formula:    "`test rows with a date before the latest date of train / test rows`; a test row at exactly that date is no leak.",
		Differs:    "missing dates are left out. There, a missing date in the first row looked at makes the result 0.",
		Scope:      engine.TrainTest,
		Params:     engine.SampleParams(1_000_000),
		Conditions: []engine.ConditionDef{maxRatio("leakage_ratio_less_or_equal", 0, leakedDates)},
		Defaults:   []engine.Use{{ID: "leakage_ratio_less_or_equal"}},
		New: func(a engine.Args, m engine.Mode) (engine.Check, error) {
			return dateOverlapCheck{args: a, mode: m}, nil
		},
	}
}

type dateOverlapCheck struct {
	args engine.Args
	mode engine.Mode
}

func (dateOverlapCheck) ID() string { return "DateTrainTestLeakageOverlap" }

func (d dateOverlapCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	train, test, err := both(c, (*engine.Side).Datetime)
	if err != nil {
		return engine.Result{}, err
	}
	trainRows := c.Train().Sample(d.args)
	if d.mode == engine.Deepchecks && train.IsNull(int(trainRows[0])) {
		return engine.Result{Value: engine.Scalar(0)}, nil // nothing is later than a missing date
	}
	known := present(train, trainRows)
	rows := c.Test().Unordered(d.args)
	if len(known) == 0 {
		return engine.Result{}, engine.Errorf(engine.DatasetValidation, "every date of the train dataset is missing")
	}
	latest := known[0]
	compare := frame.Order([]*frame.Column{train})
	for _, r := range known {
		if compare(r, latest) > 0 {
			latest = r
		}
	}
	end := train.Value(int(latest))
	early := 0
	for _, r := range rows {
		if !test.IsNull(int(r)) && frame.Compare(test.Value(int(r)), end) < 0 {
			early++
		}
	}
	ratio := float64(early) / float64(len(rows))
	result := engine.Result{Value: engine.Scalar(ratio)}
	if early > 0 {
		result.Displays = []engine.Display{engine.Note{Text: fmt.Sprintf("%s of the test rows (%d) are from before %s, the latest date of train.",
			format.Percent(ratio), early, end)}}
	}
	return result, nil
}
