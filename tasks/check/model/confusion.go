package model

import (
	"context"
	"fmt"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/frame"
)

func confusionMatrix() *engine.Definition {
	return &engine.Definition{
		ID:          "ConfusionMatrixReport",
		Summary:     "Counts, for each true class, what the model took its rows for.",
		Formula:     "Cell (i, j) counts the rows of class i that were predicted as class j. The condition compares each cell off the diagonal with `ceil(threshold · rows)`.",
		Scope:       engine.SingleDataset,
		Predictions: true,
		Params: slices.Concat([]engine.Param{
			{Name: "normalize_display", Type: engine.BoolParam, Default: true, Doc: "shade each true class by shares rather than counts"},
		}, engine.SampleParams(largeSample)),
		Conditions: []engine.ConditionDef{{
			ID: "misclassified_samples_lower_than_condition",
			Params: []engine.Param{{
				Name: "misclassified_samples_threshold", Type: engine.FloatParam, Default: 0.2, Min: 0, Max: 1,
				Doc: "largest share of all rows in one wrong cell",
			}},
			New: misclassified,
		}},
		New: func(a engine.Args, _ engine.Mode) (engine.Check, error) { return confusionCheck{a}, nil },
	}
}

type confusionCheck struct{ args engine.Args }

// Confusion is the value of ConfusionMatrixReport.
type Confusion struct {
	Classes []frame.Value // of labels and predictions together, ascending
	Counts  [][]int       // Counts[i][j]: rows of class i taken for class j
}

func (c Confusion) names() []string {
	out := make([]string, len(c.Classes))
	for i, v := range c.Classes {
		out[i] = v.String()
	}
	return out
}

// Encode returns a table with the true classes down and the predicted across.
func (c Confusion) Encode() any {
	g := engine.Grid{Columns: c.names()}
	for i, row := range c.Counts {
		cells := make([]any, len(row))
		for j, n := range row {
			cells[j] = n
		}
		g.Index, g.Rows = append(g.Index, c.Classes[i].String()), append(g.Rows, cells)
	}
	return g
}

func (confusionCheck) ID() string { return "ConfusionMatrixReport" }

func (m confusionCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	if err := c.Classification(); err != nil {
		return engine.Result{}, err
	}
	e, err := evaluate(c, c.Side(), m.args)
	if err != nil {
		return engine.Result{}, err
	}
	value := confuse(e)
	heat := engine.Heatmap{Title: "Confusion matrix", RowName: "True class", ColName: "Predicted class", Rows: value.names(), Cols: value.names()}
	for _, row := range value.Counts {
		total := 0
		counts, shares := make([]float64, len(row)), make([]float64, len(row))
		for j, n := range row {
			total, counts[j] = total+n, float64(n)
		}
		for j, n := range row {
			shares[j] = float64(n) / float64(max(total, 1))
		}
		heat.Values = append(heat.Values, counts)
		if m.args.Bool("normalize_display") {
			heat.Shares = append(heat.Shares, shares)
		}
	}
	return engine.Result{Value: value, Displays: []engine.Display{heat}}, nil
}

// confuse counts the cells over the classes that occur.
func confuse(e *evaluation) Confusion {
	occurs := make([]bool, len(e.classes))
	for i, t := range e.truth {
		occurs[t] = true
		if p := e.predicted[i]; p >= 0 {
			occurs[p] = true
		}
	}
	var order []int
	for k, o := range occurs {
		if o {
			order = append(order, k)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return frame.Compare(e.classes[a], e.classes[b]) })
	place := make([]int, len(e.classes))
	v := Confusion{}
	for i, k := range order {
		place[k] = i
		v.Classes = append(v.Classes, e.classes[k])
		v.Counts = append(v.Counts, make([]int, len(order)))
	}
	for i, t := range e.truth {
		if p := e.predicted[i]; p >= 0 {
			v.Counts[place[t]][place[p]]++
		}
	}
	return v
}

func misclassified(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("misclassified_samples_threshold")
	percent := format.Percent(limit)
	return engine.Condition{
		Name: fmt.Sprintf("Misclassified cell size lower than %s of the total samples", percent),
		Judge: engine.Judge(func(v Confusion) (engine.Verdict, string, error) {
			total := 0
			for _, row := range v.Counts {
				for _, n := range row {
					total += n
				}
			}
			most := int(math.Ceil(limit * float64(total)))
			over, worst, wi, wj := 0, 0, 0, 0
			for i, row := range v.Counts {
				for j, n := range row {
					if i == j || n <= most {
						continue
					}
					over++
					if n > worst {
						worst, wi, wj = n, i, j
					}
				}
			}
			if over == 0 {
				return engine.Pass, fmt.Sprintf("All misclassified confusion matrix cells contain less than %s of the data.", percent), nil
			}
			return engine.Fail, fmt.Sprintf("Detected %d misclassified confusion matrix cell(s) each one containing more than %s of the data. "+
				"Largest misclassified cell (%s of the data) is samples with a true value of \"%s\" and a predicted value of \"%s\".",
				over, percent, format.Percent(float64(worst)/float64(total)), v.Classes[wi], v.Classes[wj]), nil
		}),
	}, nil
}
