package model

import (
	"math"
	"slices"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/nearest"
	"aloft/tasks/check/stats"
)

// scorer is a measure of quality. It gives one score for the whole table, or
// with perClass one for each of the model's classes.
type scorer struct {
	id       string
	shown    string
	perClass bool
	proba    bool // needs probabilities
	score    func(*evaluation) []float64
}

// rates are the measures of one class against the others.
func rates(mode engine.Mode) map[string]func(stats.Tally) float64 {
	out := map[string]func(stats.Tally) float64{
		"precision": stats.Tally.Precision, "recall": stats.Tally.Recall, "f1": stats.Tally.F1, "jaccard": stats.Tally.Jaccard,
		"fpr": stats.Tally.FPR, "fnr": stats.Tally.FNR, "tnr": stats.Tally.TNR,
	}
	if mode == engine.Deepchecks { // its denominators are swapped
		out["fpr"], out["fnr"], out["tnr"] = stats.Tally.SwappedFPR, stats.Tally.SwappedFNR, stats.Tally.SwappedTNR
	}
	out["sensitivity"], out["specificity"] = out["recall"], out["tnr"]
	return out
}

// averages fold the rates of all classes into one.
var averages = []string{"macro", "micro", "weighted", "per_class"}

// scorers lists the measures of a task by name.
func scorers(task engine.Task, mode engine.Mode) map[string]scorer {
	out := make(map[string]scorer)
	add := func(id string, s scorer) {
		s.id, s.shown = id, id
		out[id] = s
	}
	if task == engine.Regression {
		for id, f := range regression() {
			add(id, scorer{score: func(e *evaluation) []float64 { return []float64{f(e.y, e.p)} }})
		}
		return out
	}
	one := func(f func(*evaluation) float64) func(*evaluation) []float64 {
		return func(e *evaluation) []float64 { return []float64{f(e)} }
	}
	add("accuracy", scorer{score: one(accuracy)})
	add("neg_log_loss", scorer{proba: true, score: one(negLogLoss)})
	for name, rate := range rates(mode) {
		for _, avg := range averages {
			add(name+"_"+avg, scorer{perClass: avg == "per_class", score: averaged(rate, avg)})
		}
		if task == engine.Binary {
			add(name, scorer{score: one(func(e *evaluation) float64 { return rate(e.tallies()[e.positive()]) })})
		}
	}
	add("roc_auc_per_class", scorer{proba: true, perClass: true, score: aucPerClass})
	if task == engine.Binary {
		add("balanced_accuracy", scorer{score: one(balancedAccuracy)})
		add("average_precision", scorer{proba: true, score: one(func(e *evaluation) float64 {
			return stats.AveragePrecision(e.is(e.positive()), e.proba[e.positive()])
		})})
		add("neg_brier_score", scorer{proba: true, score: one(negBrier)})
		add("roc_auc", scorer{proba: true, score: one(func(e *evaluation) float64 {
			return stats.AUC(e.is(e.positive()), e.proba[e.positive()])
		})})
		return out
	}
	for _, weighted := range []bool{false, true} {
		suffix := ""
		if weighted {
			suffix = "_weighted"
		}
		add("roc_auc_ovr"+suffix, scorer{proba: true, score: one(func(e *evaluation) float64 { return aucOneVsRest(e, weighted) })})
		add("roc_auc_ovo"+suffix, scorer{proba: true, score: one(func(e *evaluation) float64 { return aucOneVsOne(e, weighted) })})
	}
	return out
}

func regression() map[string]func(y, p []float64) float64 {
	neg := func(f func(y, p []float64) float64) func(y, p []float64) float64 {
		return func(y, p []float64) float64 { return -f(y, p) }
	}
	rmse := func(y, p []float64) float64 { return math.Sqrt(stats.MSE(y, p)) }
	return map[string]func(y, p []float64) float64{
		"rmse": rmse, "mae": stats.MAE, "mse": stats.MSE,
		"neg_rmse": neg(rmse), "neg_mae": neg(stats.MAE), "neg_mse": neg(stats.MSE),
		"r2": stats.R2, "explained_variance": stats.ExplainedVariance, "max_error": neg(stats.MaxError),
		"neg_mean_squared_log_error":  neg(stats.MeanSquaredLogError),
		"neg_median_absolute_error":   neg(stats.MedianAbsoluteError),
		"neg_mean_poisson_deviance":   neg(stats.PoissonDeviance),
		"neg_mean_gamma_deviance":     neg(stats.GammaDeviance),
		"neg_root_mean_squared_error": neg(rmse),
		"neg_mean_absolute_error":     neg(stats.MAE),
		"neg_mean_squared_error":      neg(stats.MSE),
	}
}

// defaultScorers are what checks compute when not told: per class, or with
// averages for the whole table.
func defaultScorers(task engine.Task, whole bool) [][2]string {
	switch {
	case task == engine.Regression:
		return [][2]string{{"Neg RMSE", "neg_rmse"}, {"Neg MAE", "neg_mae"}, {"R2", "r2"}}
	case !whole:
		return [][2]string{{"F1", "f1_per_class"}, {"Precision", "precision_per_class"}, {"Recall", "recall_per_class"}}
	case task == engine.Binary:
		return [][2]string{{"Accuracy", "accuracy"}, {"Precision", "precision"}, {"Recall", "recall"}}
	default:
		return [][2]string{{"Accuracy", "accuracy"}, {"Precision - Macro Average", "precision_macro"}, {"Recall - Macro Average", "recall_macro"}}
	}
}

// chooseScorers resolves pairs of shown name and name; nil means the defaults.
// Names are read without regard to case, and with blanks for underscores.
func chooseScorers(names, defaults [][2]string, task engine.Task, mode engine.Mode) ([]scorer, error) {
	if names == nil {
		names = defaults
	}
	known := scorers(task, mode)
	ids := make([]string, 0, len(known))
	for id := range known {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	out := make([]scorer, 0, len(names))
	for _, n := range names {
		s, ok := known[strings.ReplaceAll(strings.ToLower(n[1]), " ", "_")]
		if !ok {
			return nil, engine.Errorf(engine.ValueError, "Scorer name %s is unknown%s. Known for a %s task are: %s",
				n[1], nearest.Hint(n[1], ids), task, strings.Join(ids, ", "))
		}
		if n[0] != "" {
			s.shown = n[0]
		}
		out = append(out, s)
	}
	return out, nil
}

// chooseScorer resolves the one measure that a check may be given.
func chooseScorer(name string, fallback [2]string, task engine.Task, mode engine.Mode) (scorer, error) {
	pair := fallback
	if name != "" {
		pair = [2]string{"", name}
	}
	chosen, err := chooseScorers([][2]string{pair}, nil, task, mode)
	if err != nil {
		return scorer{}, err
	}
	if chosen[0].perClass {
		return scorer{}, engine.Errorf(engine.ValueError, "the measure %s gives one score for each class, a single score is needed", chosen[0].id)
	}
	return chosen[0], nil
}

// ready refuses a measure of probabilities where there are none.
func (s scorer) ready(e *evaluation, which engine.Which) error {
	if s.proba && e.proba == nil {
		return engine.Errorf(engine.NotSupported, "the measure %s needs probabilities, and the %s predictions hold none", s.id, which)
	}
	return nil
}

func (e *evaluation) tallies() []stats.Tally { return stats.Tallies(e.truth, e.predicted, e.known) }

// positive is the class that a binary task asks for: the second one.
func (e *evaluation) positive() int { return e.known - 1 }

func averaged(rate func(stats.Tally) float64, avg string) func(*evaluation) []float64 {
	return func(e *evaluation) []float64 {
		tallies := e.tallies()
		if avg == "micro" {
			return []float64{rate(stats.Sum(tallies))}
		}
		each, weights := make([]float64, len(tallies)), make([]float64, len(tallies))
		for k, t := range tallies {
			each[k], weights[k] = rate(t), 1
			if avg == "weighted" {
				weights[k] = float64(t.Support())
			}
		}
		if avg == "per_class" {
			return each
		}
		return []float64{weightedMean(each, weights)}
	}
}

func weightedMean(values, weights []float64) float64 {
	sum, total := 0.0, 0.0
	for i, v := range values {
		sum, total = sum+v*weights[i], total+weights[i]
	}
	if total == 0 {
		return 0
	}
	return sum / total
}

func accuracy(e *evaluation) float64 {
	right := 0
	for i, t := range e.truth {
		if t == e.predicted[i] {
			right++
		}
	}
	return float64(right) / float64(len(e.truth))
}

// balancedAccuracy is the mean recall of the classes that occur.
func balancedAccuracy(e *evaluation) float64 {
	sum, n := 0.0, 0
	for _, t := range e.tallies() {
		if t.Support() > 0 {
			sum, n = sum+t.Recall(), n+1
		}
	}
	return sum / float64(max(n, 1))
}

func negBrier(e *evaluation) float64 {
	k := e.positive()
	y := make([]float64, len(e.truth))
	for i, is := range e.is(k) {
		if is {
			y[i] = 1
		}
	}
	return -stats.MSE(y, e.proba[k])
}

// negLogLoss is the mean logarithm of the probability given to the true
// class; probabilities are clipped to [1e-15, 1-1e-15] and made to sum to 1.
// Rows of classes that the model does not know are left out.
func negLogLoss(e *evaluation) float64 {
	const eps = 1e-15
	sum, n := 0.0, 0
	for i, t := range e.truth {
		if int(t) >= e.known {
			continue
		}
		total := 0.0
		for k := range e.proba {
			total += min(max(e.proba[k][i], eps), 1-eps)
		}
		sum += math.Log(min(max(e.proba[t][i], eps), 1-eps) / total)
		n++
	}
	return sum / float64(n)
}

func aucPerClass(e *evaluation) []float64 {
	out := make([]float64, e.known)
	for k := range out {
		out[k] = stats.AUC(e.is(k), e.proba[k])
	}
	return out
}

func aucOneVsRest(e *evaluation, weighted bool) float64 {
	each, weights := aucPerClass(e), make([]float64, e.known)
	for k, t := range e.tallies() {
		weights[k] = 1
		if weighted {
			weights[k] = float64(t.Support())
		}
	}
	return weightedMean(each, weights)
}

// aucOneVsOne averages over all pairs of classes (Hand and Till 2001).
func aucOneVsOne(e *evaluation, weighted bool) float64 {
	var each, weights []float64
	for a := range e.known {
		for b := a + 1; b < e.known; b++ {
			var isA, isB []bool
			var pa, pb []float64
			for i, t := range e.truth {
				if int(t) == a || int(t) == b {
					isA, isB = append(isA, int(t) == a), append(isB, int(t) == b)
					pa, pb = append(pa, e.proba[a][i]), append(pb, e.proba[b][i])
				}
			}
			each = append(each, (stats.AUC(isA, pa)+stats.AUC(isB, pb))/2)
			w := 1.0
			if weighted {
				w = float64(len(isA)) / float64(len(e.truth))
			}
			weights = append(weights, w)
		}
	}
	return weightedMean(each, weights)
}
