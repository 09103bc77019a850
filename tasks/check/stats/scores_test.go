package stats_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"aloft/tasks/check/stats"
)

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-12 && !(math.IsNaN(got) && math.IsNaN(want)) {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func TestRanks(t *testing.T) {
	t.Parallel()
	truth, score := []bool{false, false, true, true}, []float64{.1, .4, .35, .8}
	near(t, "AUC", stats.AUC(truth, score), .75)
	near(t, "curve's area", stats.ROC(truth, score).AUC(), .75)
	near(t, "average precision", stats.AveragePrecision(truth, score), .8333333333333333)
	near(t, "all tied", stats.AUC(truth, []float64{1, 1, 1, 1}), .5)
	near(t, "one class", stats.AUC([]bool{true, true}, []float64{1, 2}), math.NaN())
	if c := stats.ROC(truth, score); c.Youden() != 1 || c.TPR[1] != .5 || c.FPR[1] != 0 {
		t.Errorf("curve %+v, best %d", c, c.Youden())
	}
}

// The area counts the pairs that are ranked rightly, ties half.
func TestAUCIsThePairCount(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 40).Draw(t, "n")
		truth, score := make([]bool, n), make([]float64, n)
		for i := range truth {
			truth[i], score[i] = rapid.Bool().Draw(t, "y"), float64(rapid.IntRange(0, 5).Draw(t, "p"))
		}
		right, pairs := 0.0, 0.0
		for i := range truth {
			for j := range truth {
				if truth[i] && !truth[j] {
					pairs++
					switch {
					case score[i] > score[j]:
						right++
					case score[i] == score[j]:
						right += .5
					}
				}
			}
		}
		got := stats.AUC(truth, score)
		if pairs == 0 {
			if !math.IsNaN(got) {
				t.Fatalf("%v without pairs", got)
			}
			return
		}
		if math.Abs(got-right/pairs) > 1e-12 || math.Abs(stats.ROC(truth, score).AUC()-got) > 1e-12 {
			t.Fatalf("AUC %v, curve %v, pairs %v", got, stats.ROC(truth, score).AUC(), right/pairs)
		}
	})
}

func TestTallies(t *testing.T) {
	t.Parallel()
	// Label 3 and prediction -1 are unknown to a model of three classes.
	tallies := stats.Tallies([]int32{0, 0, 1, 2, 3, 1}, []int32{0, 1, 1, 2, 0, -1}, 3)
	want := []stats.Tally{{TP: 1, FP: 1, FN: 1, TN: 3}, {TP: 1, FP: 1, FN: 1, TN: 3}, {TP: 1, TN: 5}}
	for i, w := range want {
		if tallies[i] != w {
			t.Errorf("class %d: %+v, want %+v", i, tallies[i], w)
		}
	}
	a := tallies[0]
	near(t, "precision", a.Precision(), .5)
	near(t, "F1", a.F1(), .5)
	near(t, "Jaccard", a.Jaccard(), 1./3)
	near(t, "FPR", a.FPR(), .25)
	near(t, "TNR", a.TNR(), .75)
	near(t, "FNR", a.FNR(), .5)
	near(t, "nothing", stats.Tally{}.Precision(), 0)
}

func TestErrors(t *testing.T) {
	t.Parallel()
	y, p := []float64{3, -0.5, 2, 7}, []float64{2.5, 0, 2, 8}
	near(t, "MSE", stats.MSE(y, p), .375)
	near(t, "MAE", stats.MAE(y, p), .5)
	near(t, "R2", stats.R2(y, p), .9486081370449679)
	near(t, "explained variance", stats.ExplainedVariance(y, p), .9571734475374732)
	near(t, "median", stats.MedianAbsoluteError(y, p), .5)
	near(t, "max", stats.MaxError(y, p), 1)
	near(t, "log of a negative", stats.MeanSquaredLogError(y, p), math.NaN())
	near(t, "log", stats.MeanSquaredLogError([]float64{3, 5, 2.5, 7}, []float64{2.5, 5, 4, 8}), .03973012298459379)
	near(t, "Poisson", stats.PoissonDeviance([]float64{2, 0, 1, 4}, []float64{.5, .5, 2, 2}), 1.4260151319598084)
	near(t, "gamma", stats.GammaDeviance([]float64{2, .5, 1, 4}, []float64{.5, .5, 2, 2}), 1.0568528194400546)
	near(t, "constant, met", stats.R2([]float64{1, 1}, []float64{1, 1}), 1)
	near(t, "constant, missed", stats.R2([]float64{1, 1}, []float64{1, 2}), 0)
	near(t, "one row", stats.R2([]float64{1}, []float64{1}), math.NaN())
}
