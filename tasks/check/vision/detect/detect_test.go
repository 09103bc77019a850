package detect_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"aloft/tasks/check/images"
	"aloft/tasks/check/vision/detect"
)

func box(class int, x, y, w, h, score float64) images.Box {
	return images.Box{Class: class, X: x, Y: y, W: w, H: h, Score: score}
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-12 && !(math.IsNaN(got) && math.IsNaN(want)) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// TestAveragePrecision has cases computed by hand.
func TestAveragePrecision(t *testing.T) {
	t.Parallel()
	two := []images.Box{box(0, 0, 0, 10, 10, 1), box(0, 50, 50, 10, 10, 1)}
	away := box(0, 200, 200, 10, 10, .8)
	half := box(0, 0, 0, 10, 6, .9) // IoU 0.6 with the first label
	small := detect.Range{High: 150, OpenHigh: true}
	for _, c := range []struct {
		name       string
		pair       detect.Pair
		area       detect.Range
		limit      int
		ap, recall float64
		positives  int
	}{
		{"all found", detect.Pair{Label: two, Predicted: two}, detect.All(), 100, 1, 1, 2},
		{"none found", detect.Pair{Label: two}, detect.All(), 100, 0, 0, 2},
		{"nothing to find", detect.Pair{Predicted: two}, detect.All(), 100, math.NaN(), math.NaN(), 0},
		{"right, wrong, right", detect.Pair{Label: two, Predicted: []images.Box{box(0, 0, 0, 10, 10, .9), away, box(0, 50, 50, 10, 10, .7)}},
			detect.All(), 100, (51 + 50*2.0/3) / 101, 1, 2},
		{"wrong first", detect.Pair{Label: two[:1], Predicted: []images.Box{box(0, 0, 0, 10, 10, .5), away}}, detect.All(), 100, .5, 1, 1},
		{"the most confident alone", detect.Pair{Label: two, Predicted: []images.Box{box(0, 50, 50, 10, 10, .7), box(0, 0, 0, 10, 10, .9)}}, detect.All(), 1, 51.0 / 101, .5, 2},
		{"overlap of 0.6 reaches three thresholds of ten", detect.Pair{Label: two[:1], Predicted: []images.Box{half}}, detect.All(), 100, .3, .3, 1},
		{"the second box on one label is wrong", detect.Pair{Label: two[:1], Predicted: []images.Box{box(0, 0, 0, 10, 10, .9), box(0, 0, 0, 10, 10, .8)}}, detect.All(), 100, 1, 1, 1},
		{"labels and predictions outside the range do not count",
			detect.Pair{Label: []images.Box{two[0], box(0, 50, 50, 20, 20, 1)}, Predicted: []images.Box{box(0, 50, 50, 20, 20, .9), box(0, 90, 0, 30, 30, .8), box(0, 0, 0, 10, 10, .7)}},
			small, 100, 1, 1, 1},
		{"no label in the range", detect.Pair{Label: []images.Box{box(0, 0, 0, 20, 20, 1)}}, small, 100, math.NaN(), math.NaN(), 0},
	} {
		e := detect.NewEvaluator([]detect.Pair{c.pair}, detect.Thresholds())
		got := e.Score(0, c.area, c.limit)
		near(t, c.name+": AP", got.MeanAP(), c.ap)
		near(t, c.name+": recall", got.MeanRecall(), c.recall)
		if got.Positives != c.positives {
			t.Errorf("%s: %d positives, want %d", c.name, got.Positives, c.positives)
		}
	}
}

func TestThresholds(t *testing.T) {
	t.Parallel()
	for i, v := range detect.Thresholds() {
		near(t, fmt.Sprint(i), v, .5+.05*float64(i))
	}
}

// scene makes images with labels and noisy predictions.
func scene(seed uint64, n int) []detect.Pair {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]detect.Pair, n)
	for i := range out {
		for range r.IntN(5) {
			b := box(r.IntN(3), float64(r.IntN(80)), float64(r.IntN(80)), 5+float64(r.IntN(60)), 5+float64(r.IntN(60)), 1)
			out[i].Label = append(out[i].Label, b)
			if r.IntN(4) > 0 {
				b.X, b.Y, b.W, b.Score = b.X+r.Float64()*6, b.Y+r.Float64()*6, b.W+r.Float64()*6, r.Float64()
				out[i].Predicted = append(out[i].Predicted, b)
			}
		}
	}
	return out
}

// TestOrderDoesNotMatter shuffles images and the boxes within them.
func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		pairs := scene(seed, 40)
		a := detect.NewEvaluator(pairs, detect.Thresholds())
		mixed := slices.Clone(pairs)
		r := rand.New(rand.NewPCG(seed, 2))
		r.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		for i := range mixed {
			mixed[i].Predicted = slices.Clone(mixed[i].Predicted)
			r.Shuffle(len(mixed[i].Predicted), func(j, k int) {
				p := mixed[i].Predicted
				p[j], p[k] = p[k], p[j]
			})
		}
		b := detect.NewEvaluator(mixed, detect.Thresholds())
		for _, class := range a.Classes {
			x, y := a.Score(class, detect.All(), 100), b.Score(class, detect.All(), 100)
			near(t, "AP", y.MeanAP(), x.MeanAP())
			near(t, "recall", y.MeanRecall(), x.MeanRecall())
			if x.MeanAP() < 0 || x.MeanAP() > 1 || x.MeanRecall() > 1 {
				t.Errorf("scores outside 0 to 1: %v, %v", x.MeanAP(), x.MeanRecall())
			}
		}
	}
}

func TestConfusion(t *testing.T) {
	t.Parallel()
	label := []images.Box{box(0, 0, 0, 10, 10, 1), box(1, 50, 50, 10, 10, 1)}
	for _, c := range []struct {
		name      string
		predicted []images.Box
		quirks    bool
		want      [][]int
	}{
		{"one right, one missed", []images.Box{box(0, 0, 0, 10, 10, .9)}, false, [][]int{{1, 0, 0}, {0, 0, 1}, {0, 0, 0}}},
		{"taken for another class", []images.Box{box(1, 0, 0, 10, 10, .9)}, false, [][]int{{0, 1, 0}, {0, 0, 1}, {0, 0, 0}}},
		{"too little confidence", []images.Box{box(0, 0, 0, 10, 10, .2)}, false, [][]int{{0, 0, 1}, {0, 0, 1}, {0, 0, 0}}},
		{"nothing there", []images.Box{box(1, 200, 0, 10, 10, .9)}, false, [][]int{{0, 0, 1}, {0, 0, 1}, {0, 1, 0}}},
		{"nothing there, as deepchecks", []images.Box{box(1, 200, 0, 10, 10, .9)}, true, [][]int{{0, 0, 1}, {0, 0, 1}, {0, 0, 0}}},
		{"a weak prediction before", []images.Box{box(1, 200, 0, 10, 10, .1), box(0, 0, 0, 10, 10, .9)}, false, [][]int{{1, 0, 0}, {0, 0, 1}, {0, 0, 0}}},
		{"a weak prediction before, as deepchecks", []images.Box{box(1, 200, 0, 10, 10, .1), box(0, 0, 0, 10, 10, .9)}, true, [][]int{{0, 1, 0}, {0, 0, 1}, {0, 0, 0}}},
		{"two on one label", []images.Box{box(0, 0, 0, 10, 9, .9), box(0, 0, 0, 10, 10, .8)}, false, [][]int{{1, 0, 0}, {0, 0, 1}, {1, 0, 0}}},
	} {
		m := detect.NewConfusion([]int{0, 1})
		m.Add(detect.Pair{Label: label, Predicted: c.predicted}, .3, .5, c.quirks)
		if fmt.Sprint(m.Counts) != fmt.Sprint(c.want) {
			t.Errorf("%s: got %v, want %v", c.name, m.Counts, c.want)
		}
	}
}

func TestTallies(t *testing.T) {
	t.Parallel()
	label := []images.Box{box(0, 0, 0, 10, 10, 1), box(1, 50, 50, 10, 10, 1)}
	got := detect.Tallies([]detect.Pair{{Label: label, Predicted: []images.Box{
		box(0, 0, 0, 10, 10, .9), box(0, 0, 0, 10, 10, .8), box(1, 50, 50, 10, 10, .4),
	}}}, .5, .5, false)
	want := map[int]detect.Tally{0: {TP: 1, FP: 1}, 1: {FN: 1}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	// The order matters only as deepchecks does it: the weaker box takes the
	// better label first.
	labels := []images.Box{box(0, 0, 0, 10, 10, 1)}
	guesses := []images.Box{box(0, 0, 0, 10, 8, .6), box(0, 0, 0, 10, 10, .9)}
	for _, quirks := range []bool{false, true} {
		got := detect.Tallies([]detect.Pair{{Label: labels, Predicted: guesses}}, .5, .5, quirks)[0]
		if got != (detect.Tally{TP: 1, FP: 1}) {
			t.Errorf("quirks %v: got %v", quirks, got)
		}
	}
}

// TestMasks has pixels counted by hand: a label of two pixels of class 0 and
// two of class 1, of which the prediction takes one of class 1 for class 0.
func TestMasks(t *testing.T) {
	t.Parallel()
	label := []images.Area{{Class: 0, Pixels: 2}, {Class: 1, Pixels: 2}}
	predicted := []images.Area{{Class: 0, Pixels: 3}, {Class: 1, Pixels: 1}}
	both := []images.Area{{Class: 0, Pixels: 2}, {Class: 1, Pixels: 1}}
	list := detect.Overlaps(label, predicted, both)
	near(t, "Dice 0", list[0].Dice(), 4.001/5.001)
	near(t, "IoU 0", list[0].IoU(), 2.001/3.001)
	near(t, "Dice 1", list[1].Dice(), 2.001/3.001)
	near(t, "IoU 1", list[1].IoU(), 1.001/2.001)
	near(t, "mean", detect.MeanDice(label, predicted, both), (4.001/5.001+2.001/3.001)/2)
	near(t, "all right", detect.MeanDice(label, label, label), 1)
	near(t, "no label", detect.MeanDice(nil, predicted, nil), math.NaN())
}

func TestMeanIoU(t *testing.T) {
	t.Parallel()
	label := []images.Box{box(0, 0, 0, 10, 10, 1)}
	near(t, "same", detect.MeanIoU(label, label), 1)
	near(t, "another class", detect.MeanIoU(label, []images.Box{box(1, 0, 0, 10, 10, 1)}), 0)
	near(t, "mean of predictions", detect.MeanIoU(label, []images.Box{box(0, 0, 0, 10, 10, 1), box(0, 50, 0, 10, 10, 1)}), .5)
	near(t, "none predicted", detect.MeanIoU(label, nil), 0)
	near(t, "none at all", detect.MeanIoU(nil, nil), math.NaN())
}

// BenchmarkEvaluator scores 5,000 images of about two boxes each in three
// classes, under four ranges of areas.
func BenchmarkEvaluator(b *testing.B) {
	pairs := scene(1, 5000)
	for b.Loop() {
		e := detect.NewEvaluator(pairs, detect.Thresholds())
		if _, err := e.ScoreAll(e.Classes, []detect.Range{detect.All(), {High: 1024}, {Low: 1024, High: 9216}, {Low: 9216, High: math.Inf(1)}}, []int{100}); err != nil {
			b.Fatal(err)
		}
	}
}
