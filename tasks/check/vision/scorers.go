package vision

import (
	"math"
	"slices"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/images"
	"aloft/tasks/check/nearest"
	"aloft/tasks/check/stats"
	"aloft/tasks/check/vision/detect"
)

// evaluation is what measures are computed from: the images of a side with
// label and prediction.
type evaluation struct {
	sample
	mode    engine.Mode
	classes []int       // that have labels, ascending
	support map[int]int // labels by class
	all     int         // labels
	// tallies of classification and detection by class.
	tallies map[int]stats.Tally
	right   int // images predicted rightly, of classification
	boxes   *detect.Evaluator
	masks   map[int][]detect.Overlap // by class, of segmentation
}

// evaluate gathers what measures need.
func evaluate(c *engine.Context, s *engine.Side, args engine.Args) (*evaluation, error) {
	if err := known(c); err != nil {
		return nil, err
	}
	list, err := judged(c, s, args)
	if err != nil {
		return nil, err
	}
	return newEvaluation(list, c.Mode()), nil
}

func newEvaluation(list sample, mode engine.Mode) *evaluation {
	e := &evaluation{sample: list, mode: mode}
	e.support, e.all = list.tally()
	for k := range e.support {
		e.classes = append(e.classes, k)
	}
	slices.Sort(e.classes)
	switch list.set.Task {
	case images.Classification:
		truth, guessed := make([]int, len(list.at)), make([]int, len(list.at))
		for i := range list.at {
			r := list.record(i)
			truth[i], guessed[i] = r.Class, best(r.Proba)
		}
		e.classify(truth, guessed)
	case images.ObjectDetection:
		pairs := list.pairs()
		e.boxes = detect.NewEvaluator(pairs, detect.Thresholds())
		e.tallies = make(map[int]stats.Tally)
		const overlap, confidence = 0.5, 0.5
		for k, t := range detect.Tallies(pairs, confidence, overlap, mode == engine.Deepchecks) {
			e.tallies[k] = stats.Tally{TP: t.TP, FP: t.FP, FN: t.FN}
		}
	case images.Segmentation:
		e.masks = make(map[int][]detect.Overlap)
		for i := range list.at {
			r := list.record(i)
			for _, o := range detect.Overlaps(r.Areas, r.PredictedArea, r.Overlaps) {
				e.masks[o.Class] = append(e.masks[o.Class], o)
			}
		}
	}
	return e
}

// pairs lists labels and predictions of detection.
func (s sample) pairs() []detect.Pair {
	out := make([]detect.Pair, len(s.at))
	for i := range s.at {
		r := s.record(i)
		out[i] = detect.Pair{Label: r.Boxes, Predicted: r.Predicted}
	}
	return out
}

// classify counts right and wrong predictions by class.
func (e *evaluation) classify(truth, guessed []int) {
	e.tallies, e.right = make(map[int]stats.Tally), 0
	for i, k := range truth {
		if k == guessed[i] {
			e.right++
			t := e.tallies[k]
			t.TP++
			e.tallies[k] = t
			continue
		}
		t := e.tallies[k]
		t.FN++
		e.tallies[k] = t
		t = e.tallies[guessed[i]]
		t.FP++
		e.tallies[guessed[i]] = t
	}
	for k, t := range e.tallies {
		t.TN = len(truth) - t.TP - t.FP - t.FN
		e.tallies[k] = t
	}
}

// scorer is a measure.
type scorer struct {
	shown, name string
	perClass    bool
	// score returns one number, or one for each of e.classes.
	score func(e *evaluation) ([]float64, error)
}

// defaultScorers are the measures of a task, by class.
func defaultScorers(task images.Task) [][2]string {
	switch task {
	case images.Classification:
		return [][2]string{{"Precision", "precision_per_class"}, {"Recall", "recall_per_class"}}
	case images.ObjectDetection:
		return [][2]string{{"Average Precision", "average_precision_per_class"}, {"Average Recall", "average_recall_per_class"}}
	default:
		return [][2]string{{"Dice", "dice_per_class"}}
	}
}

// scorersParam declares the parameter that names measures.
func scorersParam() engine.Param {
	return engine.Param{Name: "scorers", Type: engine.NamesParam, Doc: "measures to compute; null means precision and recall per class, of detection average precision and average recall per class, of segmentation Dice per class"}
}

// chooseScorers makes the measures that a parameter names.
func chooseScorers(names [][2]string, defaults [][2]string, task images.Task) ([]scorer, error) {
	if names == nil {
		names = defaults
	}
	known := make(map[string]scorer)
	var order []string
	for _, s := range scorers(task) {
		known[s.name] = s
		order = append(order, s.name)
	}
	var out []scorer
	for _, n := range names {
		s, ok := known[strings.ToLower(n[1])]
		if !ok {
			return nil, engine.Errorf(engine.ValueError, "there is no measure %q of %s%s; there are %s", n[1], task, nearest.Hint(n[1], order), strings.Join(order, ", "))
		}
		s.shown = n[0]
		if s.shown == "" {
			s.shown = n[1]
		}
		out = append(out, s)
	}
	return out, nil
}

// scorers lists the measures of a task.
func scorers(task images.Task) []scorer {
	var out []scorer
	add := func(name string, perClass bool, f func(e *evaluation) ([]float64, error)) {
		out = append(out, scorer{name: name, perClass: perClass, score: f})
	}
	if task == images.Segmentation {
		for _, m := range []struct {
			name string
			of   func(detect.Overlap) float64
		}{{"dice", detect.Overlap.Dice}, {"iou", detect.Overlap.IoU}} {
			add(m.name+"_per_class", true, func(e *evaluation) ([]float64, error) { return e.maskScores(m.of), nil })
			add(m.name+"_macro", false, func(e *evaluation) ([]float64, error) { return []float64{mean(e.maskScores(m.of))}, nil })
			add(m.name+"_micro", false, func(e *evaluation) ([]float64, error) { return []float64{m.of(e.allMasks())}, nil })
		}
		return out
	}
	rates := []struct {
		name string
		of   func(stats.Tally) float64
	}{{"precision", stats.Tally.Precision}, {"recall", stats.Tally.Recall}, {"f1", f1}, {"jaccard", stats.Tally.Jaccard}, {"fnr", stats.Tally.FNR}}
	if task == images.Classification {
		add("accuracy", false, func(e *evaluation) ([]float64, error) { return []float64{float64(e.right) / float64(len(e.at))}, nil })
		rates = append(rates, rates[0])
		rates[len(rates)-1].name, rates[len(rates)-1].of = "fpr", stats.Tally.FPR
		rates = append(rates, rates[0])
		rates[len(rates)-1].name, rates[len(rates)-1].of = "tnr", stats.Tally.TNR
	} else {
		for _, m := range []struct {
			name string
			of   func(detect.Curves) float64
		}{{"average_precision", detect.Curves.MeanAP}, {"average_recall", detect.Curves.MeanRecall}} {
			add(m.name+"_per_class", true, func(e *evaluation) ([]float64, error) { return e.boxScores(m.of) })
			add(m.name+"_macro", false, func(e *evaluation) ([]float64, error) {
				list, err := e.boxScores(m.of)
				return []float64{mean(list)}, err
			})
		}
	}
	for _, m := range rates {
		add(m.name+"_per_class", true, func(e *evaluation) ([]float64, error) { return e.rates(m.of), nil })
		add(m.name+"_macro", false, func(e *evaluation) ([]float64, error) { return []float64{mean(e.rates(m.of))}, nil })
		add(m.name+"_micro", false, func(e *evaluation) ([]float64, error) {
			var all []stats.Tally
			for _, t := range e.tallies {
				all = append(all, t)
			}
			return []float64{m.of(stats.Sum(all))}, nil
		})
		add(m.name+"_weighted", false, func(e *evaluation) ([]float64, error) {
			sum := 0.0
			for i, v := range e.rates(m.of) {
				sum += v * float64(e.support[e.classes[i]])
			}
			return []float64{sum / float64(max(e.all, 1))}, nil
		})
	}
	return out
}

// f1 is the harmonic mean of precision and recall, rounded as such.
func f1(t stats.Tally) float64 {
	p, r := t.Precision(), t.Recall()
	if p+r == 0 {
		return 0
	}
	return 2 * p * r / (p + r)
}

func mean(values []float64) float64 {
	sum, n := 0.0, 0
	for _, v := range values {
		if !math.IsNaN(v) {
			sum, n = sum+v, n+1
		}
	}
	if n == 0 {
		return math.NaN()
	}
	return sum / float64(n)
}

// rates is a rate of each class.
func (e *evaluation) rates(of func(stats.Tally) float64) []float64 {
	out := make([]float64, len(e.classes))
	for i, k := range e.classes {
		out[i] = of(e.tallies[k])
	}
	return out
}

// mostDetections is how many predictions of an image and class COCO looks at.
const mostDetections = 100

// boxScores is a measure of detection of each class.
func (e *evaluation) boxScores(of func(detect.Curves) float64) ([]float64, error) {
	curves, err := e.boxes.ScoreAll(e.classes, []detect.Range{detect.All()}, []int{mostDetections})
	if err != nil {
		return nil, engine.Errorf(engine.Internal, "score boxes: %v", err)
	}
	out := make([]float64, len(e.classes))
	for i, c := range curves[0][0] {
		out[i] = of(c)
	}
	return out, nil
}

// maskScores is a measure of segmentation of each class: the mean over the
// images whose label has the class.
func (e *evaluation) maskScores(of func(detect.Overlap) float64) []float64 {
	out := make([]float64, len(e.classes))
	for i, k := range e.classes {
		sum := 0.0
		for _, o := range e.masks[k] {
			sum += of(o)
		}
		out[i] = sum / float64(len(e.masks[k]))
	}
	return out
}

// allMasks adds up the pixels of all classes and images.
func (e *evaluation) allMasks() detect.Overlap {
	var all detect.Overlap
	for _, list := range e.masks {
		for _, o := range list {
			all.Label, all.Predicted, all.Both = all.Label+o.Label, all.Predicted+o.Predicted, all.Both+o.Both
		}
	}
	return all
}
