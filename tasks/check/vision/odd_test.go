package vision_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/images"
)

// oddSet makes records that no reader lets through, and some that it does:
// nothing at all, labels without predictions, boxes without area, values that
// are no numbers.
func oddSet(r *rand.Rand, task images.Task) *images.Set {
	s := &images.Set{Task: task, Properties: images.Defaults(), Classes: map[int]string{0: "a", 1: "a", 2: "b"}}
	odd := []float64{0, 1, -1, math.NaN(), math.Inf(1), math.Inf(-1), 1e300, 5e-324}
	value := func() float64 {
		if r.IntN(4) == 0 {
			return odd[r.IntN(len(odd))]
		}
		return r.Float64() * 100
	}
	boxes := func() []images.Box {
		var out []images.Box
		for range r.IntN(4) {
			out = append(out, images.Box{Class: r.IntN(3), X: value(), Y: value(), W: value(), H: value(), Score: r.Float64()})
		}
		return out
	}
	areas := func() []images.Area {
		var out []images.Area
		for k := range r.IntN(4) {
			out = append(out, images.Area{Class: k, Pixels: r.IntN(10)})
		}
		return out
	}
	for range r.IntN(60) {
		x := images.Record{HasLabel: r.IntN(5) > 0, HasPrediction: r.IntN(5) > 0, Class: r.IntN(4)}
		if r.IntN(6) > 0 {
			for range s.Properties {
				x.Values = append(x.Values, value())
			}
		}
		for range r.IntN(4) {
			x.Proba = append(x.Proba, value())
		}
		x.Boxes, x.Predicted, x.Areas, x.PredictedArea, x.Overlaps = boxes(), boxes(), areas(), areas(), areas()
		for range x.Boxes {
			x.Crops = append(x.Crops, x.Values)
		}
		s.Records = append(s.Records, x)
	}
	if r.IntN(2) == 0 {
		s.Heat = &images.Mean{Height: 2, Width: 1 + r.IntN(3), Count: 1}
		s.Heat.Values = make([]float64, s.Heat.Height*s.Heat.Width)
	}
	return s
}

// TestOddRecords runs every check on odd records: errors are fine, crashes not.
func TestOddRecords(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 3))
		for _, task := range tasks() {
			for _, mode := range []engine.Mode{engine.Mended, engine.Deepchecks} {
				rep := runReport(t, all(), engine.Inputs{TrainImages: oddSet(r, task), TestImages: oddSet(r, task), Mode: mode})
				for _, o := range rep.Outcomes {
					if o.Err != nil && o.Err.Class == engine.Internal {
						t.Errorf("seed %d: %s of %s: %v", seed, o.Def.ID, task, o.Err)
					}
					for _, c := range o.Conditions {
						if c.Verdict == engine.Broken && len(c.Details) > 0 && seed == 0 {
							t.Logf("%s: %s", o.Def.ID, c.Details)
						}
					}
				}
				jsonOf(t, rep)
			}
		}
	}
}
