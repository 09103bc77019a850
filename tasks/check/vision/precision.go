package vision

import (
	"context"
	"fmt"
	"math"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/images"
	"aloft/tasks/check/vision/detect"
)

const cocoFormula = "As COCO: predicted boxes of a class are taken by falling confidence, each takes the free labelled box of its class with the largest IoU that reaches the threshold, one of 0.50, 0.55 … 0.95. Labelled boxes outside the range of areas, what is paired with them, and unpaired predictions outside it do not count. "

func areaParam() engine.Param {
	return engine.Param{Name: "area_range", Type: engine.NumbersParam, Default: []any{1024, 9216}, Doc: "the areas in pixels between small, medium and large boxes"}
}

func averagePrecision() *engine.Definition {
	return &engine.Definition{
		ID:      "MeanAveragePrecisionReport",
		Summary: "Scores detections by their mean average precision, of all boxes and of small, medium and large ones.",
		Formula: cocoFormula + "The average precision of a class is the mean, over the recalls 0, 0.01 … 1, of the largest precision at that recall or above; the score is the mean over the classes that have boxes in the range, at most 100 predictions of an image and class.",
		Differs: "a range of areas without any box has no score (NaN); there, the check crashes.",
		Scope:   engine.SingleDataset, Predictions: true,
		Params: []engine.Param{areaParam(), sampleParam()},
		Conditions: []engine.ConditionDef{
			{ID: "mean_average_precision_greater_than", Params: []engine.Param{fraction("min_score", 0.3, "every score must exceed this")}, New: everyScore},
			{ID: "average_mean_average_precision_greater_than", Params: []engine.Param{fraction("min_score", 0.3, "the score of all boxes and thresholds must exceed this")}, New: wholeScore},
		},
		Defaults: []engine.Use{{ID: "average_mean_average_precision_greater_than"}},
		New: func(a engine.Args, m engine.Mode) (engine.Check, error) {
			return newReport("MeanAveragePrecisionReport", a, m, []string{"mAP@[.50::.95] (avg.%)", "mAP@.50 (%)", "mAP@.75 (%)"})
		},
	}
}

func averageRecall() *engine.Definition {
	return &engine.Definition{
		ID:      "MeanAverageRecallReport",
		Summary: "Scores detections by their mean average recall: how many of the boxes are found, of all and of small, medium and large ones.",
		Formula: cocoFormula + "The average recall is the mean over thresholds and classes of the share of labelled boxes found, when at most 1, 10 or 100 predictions of an image and class are looked at.",
		Differs: "a range of areas without any box has no score (NaN); there, the check crashes.",
		Scope:   engine.SingleDataset, Predictions: true,
		Params: []engine.Param{areaParam(), sampleParam()},
		Conditions: []engine.ConditionDef{
			{ID: "test_average_recall_greater_than", Params: []engine.Param{fraction("min_score", 0.3, "every score must exceed this")}, New: everyScore},
		},
		New: func(a engine.Args, m engine.Mode) (engine.Check, error) {
			return newReport("MeanAverageRecallReport", a, m, []string{"AR@1 (%)", "AR@10 (%)", "AR@100 (%)"})
		},
	}
}

// reportCheck is either report: both have a row for each range of areas.
type reportCheck struct {
	id      string
	args    engine.Args
	mode    engine.Mode
	columns []string
	lo, hi  float64
}

func newReport(id string, a engine.Args, m engine.Mode, columns []string) (engine.Check, error) {
	area := a.Numbers("area_range")
	if len(area) != 2 || area[0] <= 0 || area[1] <= area[0] {
		return nil, engine.Errorf(engine.ValueError, "area_range must be two ascending areas, as [1024, 9216]")
	}
	return reportCheck{id, a, m, columns, area[0], area[1]}, nil
}

// Areas is the value of both reports.
type Areas struct {
	Columns []string
	Areas   []string
	Scores  [][]float64 // by area and column; NaN without boxes
}

// Encode returns a table with a row for each range of areas.
func (v Areas) Encode() any {
	g := engine.Grid{Columns: v.Columns, IndexName: "Area size"}
	for i, row := range v.Scores {
		g.Index, g.Rows = append(g.Index, v.Areas[i]), append(g.Rows, list(row))
	}
	return g
}

func (r reportCheck) ID() string { return r.id }

func (r reportCheck) ranges() []detect.Range {
	lo, hi := side(r.lo), side(r.hi)
	return []detect.Range{
		{Name: "All", High: math.Inf(1)},
		{Name: fmt.Sprintf("Small (area < %s)", lo), High: r.lo, OpenHigh: true},
		{Name: fmt.Sprintf("Medium (%s < area < %s)", lo, hi), Low: r.lo, High: r.hi},
		{Name: fmt.Sprintf("Large (%s < area)", hi), Low: r.hi, High: math.Inf(1), OpenLow: true},
	}
}

// side writes an area as the square of a length.
func side(area float64) string { return fmt.Sprint(int(math.Sqrt(area))) + "^2" }

func (r reportCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	if err := only(c, images.ObjectDetection); err != nil {
		return engine.Result{}, err
	}
	data, err := judged(c, c.Side(), r.args)
	if err != nil {
		return engine.Result{}, err
	}
	boxes := detect.NewEvaluator(data.pairs(), detect.Thresholds())
	limits := []int{mostDetections}
	if r.id == "MeanAverageRecallReport" {
		limits = []int{1, 10, mostDetections}
	}
	ranges := r.ranges()
	curves, err := boxes.ScoreAll(boxes.Classes, ranges, limits)
	if err != nil {
		return engine.Result{}, engine.Errorf(engine.Internal, "score boxes: %v", err)
	}
	value := Areas{Columns: r.columns}
	var reduced engine.Object
	chart := engine.BarChart{Title: "Scores by area", Series: r.columns}
	for a, rng := range ranges {
		row := r.row(curves[a])
		if math.IsNaN(row[0]) && r.mode == engine.Deepchecks {
			return engine.Result{}, engine.Errorf("ZeroDivisionError", "division by zero")
		}
		value.Areas, value.Scores = append(value.Areas, rng.Name), append(value.Scores, row)
		for i, name := range r.columns {
			reduced = append(reduced, engine.Field{Key: rng.Name + " " + name, Value: row[i]})
		}
		chart.Groups = append(chart.Groups, engine.BarGroup{Label: rng.Name, Values: row})
	}
	if r.mode == engine.Deepchecks {
		reduced = nil // there, it has none
	}
	return engine.Result{Value: value, Reduced: reduced, Displays: []engine.Display{chart}}, nil
}

// row folds the classes of one range.
func (r reportCheck) row(byLimit [][]detect.Curves) []float64 {
	fold := func(limit int, of func(detect.Curves) float64) float64 {
		values := make([]float64, len(byLimit[limit]))
		for i, c := range byLimit[limit] {
			values[i] = of(c)
		}
		return mean(values)
	}
	if r.id == "MeanAverageRecallReport" {
		out := make([]float64, len(byLimit))
		for i := range byLimit {
			out[i] = fold(i, detect.Curves.MeanRecall)
		}
		return out
	}
	const at75 = 5 // the place of 0.75 among the thresholds
	return []float64{
		fold(0, detect.Curves.MeanAP),
		fold(0, func(c detect.Curves) float64 { return c.AP[0] }),
		fold(0, func(c detect.Curves) float64 { return c.AP[at75] }),
	}
}

func everyScore(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("min_score")
	return engine.Condition{
		Name: "Scores are greater than " + format.Param(limit),
		Judge: engine.Judge(func(v Areas) (engine.Verdict, string, error) {
			least, area, column := math.Inf(1), "", ""
			for i, row := range v.Scores {
				for k, score := range row {
					if score < least { // never of NaN
						least, area, column = score, v.Areas[i], v.Columns[k]
					}
				}
			}
			if math.IsInf(least, 1) {
				return engine.Broken, "", engine.Errorf(engine.ProcessError, "there are no boxes to score")
			}
			return verdict(least > limit), fmt.Sprintf("Found lowest score of %s for area %s and %s", format.Number(least), area, column), nil
		}),
	}, nil
}

func wholeScore(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("min_score")
	return engine.Condition{
		Name: "mAP score is greater than " + format.Param(limit),
		Judge: engine.Judge(func(v Areas) (engine.Verdict, string, error) {
			score := v.Scores[0][0]
			if math.IsNaN(score) {
				return engine.Broken, "", engine.Errorf(engine.ProcessError, "there are no boxes to score")
			}
			return verdict(score > limit), "mAP score is: " + format.Number(score), nil
		}),
	}, nil
}
