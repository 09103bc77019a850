package vision

import (
	"cmp"
	"context"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/images"
	"aloft/tasks/check/vision/detect"
)

func confusionMatrix() *engine.Definition {
	return &engine.Definition{
		ID:      "ConfusionMatrixReport",
		Header:  "Confusion Matrix",
		Summary: "Counts, for each true class, what the model took it for.",
		Formula: "Cell (i, j) counts the images of class i whose most probable class is j; the classes are those of labels and predictions in ascending order. Of detection: predictions of a confidence above confidence_threshold are paired with labelled boxes one to one, by falling IoU above iou_threshold, whatever their classes; the last column counts labelled boxes without a prediction, the last row predictions without a label.",
		Differs: "a paired prediction's class is its own; there, it is looked up at a wrong place once predictions of low confidence come before it. A pair takes nothing away from a box that may be paired otherwise, and predictions without a label count in every image, not only in those with a pair. Classes that are never predicted have zeros, not NaN.",
		Scope:   engine.SingleDataset, Predictions: true,
		Params: []engine.Param{
			{Name: "categories_to_display", Type: engine.IntParam, Default: 10, Min: 1, Max: math.MaxFloat64, Doc: "classes to show, those most often confused"},
			fraction("confidence_threshold", 0.3, "confidence that a predicted box must exceed"),
			fraction("iou_threshold", 0.5, "overlap that a pair must exceed"),
			{Name: "normalized", Type: engine.BoolParam, Default: true, Doc: "shade each true class by shares rather than counts"},
			sampleParam(),
		},
		New: func(a engine.Args, _ engine.Mode) (engine.Check, error) { return confusionCheck{a}, nil },
	}
}

type confusionCheck struct{ args engine.Args }

// Confusion is the value of ConfusionMatrixReport.
type Confusion struct {
	Names  []string // of rows and columns
	Counts [][]float64
}

// Encode returns the rows of counts.
func (v Confusion) Encode() any {
	out := make([]any, len(v.Counts))
	for i, row := range v.Counts {
		out[i] = list(row)
	}
	return out
}

func (confusionCheck) ID() string { return "ConfusionMatrixReport" }

func (m confusionCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	if err := only(c, images.Classification, images.ObjectDetection); err != nil {
		return engine.Result{}, err
	}
	data, err := judged(c, c.Side(), m.args)
	if err != nil {
		return engine.Result{}, err
	}
	var value Confusion
	if c.ImageTask() == images.Classification {
		value = confuse(c, data)
	} else {
		value = m.boxes(c, data)
	}
	return engine.Result{Value: value, Displays: m.displays(c, data, value)}, nil
}

// classes lists the classes of labels and predictions, ascending.
func (s sample) classes() []int {
	seen := make(map[int]bool)
	for i := range s.at {
		r := s.record(i)
		if s.set.Task == images.Classification {
			seen[r.Class], seen[best(r.Proba)] = true, true
			continue
		}
		for _, b := range slices.Concat(r.Boxes, r.Predicted) {
			seen[b.Class] = true
		}
	}
	out := make([]int, 0, len(seen))
	for k := range seen {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// confuse counts the cells of a classification.
func confuse(c *engine.Context, data sample) Confusion {
	classes := data.classes()
	v := Confusion{Counts: make([][]float64, len(classes))}
	for i, k := range classes {
		v.Names = append(v.Names, className(c, k))
		v.Counts[i] = make([]float64, len(classes))
	}
	labelled, guessed := make([]bool, len(classes)), make([]bool, len(classes))
	for i := range data.at {
		r := data.record(i)
		a, _ := slices.BinarySearch(classes, r.Class)
		b, _ := slices.BinarySearch(classes, best(r.Proba))
		v.Counts[a][b]++
		labelled[a], guessed[b] = true, true
	}
	if c.Mode() == engine.Deepchecks { // there, what never occurs is not a number
		for i := range v.Counts {
			for k := range v.Counts[i] {
				if !labelled[i] || !guessed[k] {
					v.Counts[i][k] = math.NaN()
				}
			}
		}
	}
	return v
}

// boxes counts the cells of a detection.
func (m confusionCheck) boxes(c *engine.Context, data sample) Confusion {
	matrix := detect.NewConfusion(data.classes())
	for _, p := range data.pairs() {
		matrix.Add(p, m.args.Float("confidence_threshold"), m.args.Float("iou_threshold"), c.Mode() == engine.Deepchecks)
	}
	v := Confusion{}
	for _, k := range matrix.Classes {
		v.Names = append(v.Names, className(c, k))
	}
	v.Names = append(v.Names, "no overlapping")
	for _, row := range matrix.Counts {
		v.Counts = append(v.Counts, each(row, func(n int) float64 { return float64(n) }))
	}
	return v
}

// displays draws the matrix of the classes most often confused, and shows
// images of the largest wrong cell.
func (m confusionCheck) displays(c *engine.Context, data sample, v Confusion) []engine.Display {
	wrong := make([]float64, len(v.Counts))
	worst, wi, wj := 0.0, 0, 0
	for i, row := range v.Counts {
		for j, n := range row {
			if i == j || math.IsNaN(n) {
				continue
			}
			wrong[i], wrong[j] = wrong[i]+n, wrong[j]+n
			if n > worst {
				worst, wi, wj = n, i, j
			}
		}
	}
	order := make([]int, len(v.Counts))
	for i := range order {
		order[i] = i
	}
	most := m.args.Int("categories_to_display")
	if len(order) > most {
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(wrong[b], wrong[a]) })
		order = order[:most]
		slices.Sort(order)
	}
	heat := engine.Heatmap{Title: "Confusion matrix", RowName: "True class", ColName: "Predicted class"}
	for _, i := range order {
		heat.Rows, heat.Cols = append(heat.Rows, v.Names[i]), append(heat.Cols, v.Names[i])
		total := 0.0
		for _, n := range v.Counts[i] {
			if !math.IsNaN(n) {
				total += n
			}
		}
		counts, shares := make([]float64, len(order)), make([]float64, len(order))
		for at, j := range order {
			if n := v.Counts[i][j]; !math.IsNaN(n) {
				counts[at], shares[at] = n, n/max(total, 1)
			}
		}
		heat.Values = append(heat.Values, counts)
		if m.args.Bool("normalized") {
			heat.Shares = append(heat.Shares, shares)
		}
	}
	out := []engine.Display{heat}
	if worst == 0 || c.ImageTask() != images.Classification {
		return out
	}
	const shown = 4
	g := gallery{sample: data, title: v.Names[wi] + " taken for " + v.Names[wj], most: shown}
	classes := data.classes()
	for i := range data.at {
		if r := data.record(i); r.Class == classes[wi] && best(r.Proba) == classes[wj] {
			g.add(i, answerCaption(data.set, r)[len(", "):])
		}
	}
	return g.show(out)
}
