package engine

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"aloft/tasks/check/frame"
	"aloft/tasks/check/stats"
)

// Importance weighs features. Weights are not negative and sum to 1, or are all
// zero.
type Importance struct {
	// Method says where they come from: "given", "internal_built_in" or
	// "permutation_importance".
	Method  string
	Weights map[string]float64 // by feature
}

// The ways to come by importances.
const (
	GivenImportance       = "given"
	BuiltInImportance     = "internal_built_in"
	PermutationImportance = "permutation_importance"
)

// Of lists the weights of features in their order; nil for nil.
func (i *Importance) Of(features []string) []float64 {
	if i == nil {
		return nil
	}
	out := make([]float64, len(features))
	for k, f := range features {
		out[k] = i.Weights[f]
	}
	return out
}

// Order sorts features by falling weight; without importances it keeps their
// order. The list is not changed.
func (i *Importance) Order(features []string) []string {
	out := slices.Clone(features)
	if i != nil {
		slices.SortStableFunc(out, func(a, b string) int {
			switch x, y := i.Weights[a], i.Weights[b]; {
			case x > y:
				return -1
			case x < y:
				return 1
			}
			return 0
		})
	}
	return out
}

// ImportanceOptions say how importances are computed when none are given.
type ImportanceOptions struct {
	// Timeout bounds the time that permutation importance is predicted to
	// take; 0 is two minutes.
	Timeout time.Duration
	// Permutation ignores the model's own weights.
	Permutation bool
}

// The recipe of permutation importance.
const (
	importanceRows    = 10_000
	importanceRepeats = 30
	importanceSeed    = 42
	importanceTimeout = 2 * time.Minute
)

// weighed is the outcome of computing importances: one of both is set.
type weighed struct {
	importance *Importance
	why        *Error
}

// Importance returns how much each feature weighs in the model: the importances
// given, the model's own, or what permuting each feature costs in score on the
// test table, or the train table without one. It is nil when there is no model
// or when the model could not be asked; then a note says so. The error is that
// of a cancelled run.
func (c *Context) Importance(ctx context.Context) (*Importance, error) {
	w, err := c.weigh(ctx)
	if err != nil {
		return nil, err
	}
	if w.why != nil && w.why.Cause == Failed {
		c.Note("feature importance is not available: " + w.why.Message)
	}
	return w.importance, nil
}

// DemandImportance is Importance for checks that cannot do without it.
func (c *Context) DemandImportance(ctx context.Context) (*Importance, error) {
	w, err := c.weigh(ctx)
	if err != nil {
		return nil, err
	}
	if w.why != nil {
		return nil, w.why
	}
	return w.importance, nil
}

func (c *Context) weigh(ctx context.Context) (weighed, error) {
	switch {
	case c.given != nil:
		return weighed{importance: c.given}, nil
	case c.model == nil && c.mode != Deepchecks:
		return weighed{why: missing(ValueError, "Feature importance is not available: give `feature_importance`, or a `model` (docs/suites.md)")}, nil
	case c.model == nil:
		return weighed{why: missing(ValueError, "Feature Importance is not available.")}, nil
	case c.modelErr != nil:
		return weighed{why: asError(c.modelErr)}, nil
	}
	type key struct{}
	return Memo(c, key{}, func() (weighed, error) {
		imp, err := c.computeImportance(ctx)
		if ctx.Err() != nil {
			return weighed{}, fmt.Errorf("weigh features: %w", context.Cause(ctx))
		}
		if err != nil {
			return weighed{why: asError(err)}, nil
		}
		return weighed{importance: imp}, nil
	})
}

func (c *Context) computeImportance(ctx context.Context) (*Importance, error) {
	side := c.test
	if side == nil {
		side = c.train
	}
	features, err := side.Features()
	if err != nil {
		return nil, err
	}
	if own := c.info.Importance; len(own) == len(features) && !c.importanceOptions.Permutation {
		weights := make([]float64, len(features))
		known := true
		for i, f := range features {
			w, ok := own[f]
			known, weights[i] = known && ok && !math.IsNaN(w) && !math.IsInf(w, 0), math.Abs(w)
		}
		if known {
			return normalised(BuiltInImportance, features, weights), nil
		}
	}
	if len(features) == 1 {
		return normalised(PermutationImportance, features, []float64{1}), nil
	}
	return c.permute(ctx, side, features)
}

// permute measures how much the score falls when one feature is shuffled, with
// the numbers that scikit-learn's permutation_importance draws.
func (c *Context) permute(ctx context.Context, side *Side, features []string) (*Importance, error) {
	args := Args{"n_samples": importanceRows, "random_state": importanceSeed}
	picked, err := side.Labelled(args)
	if err != nil {
		return nil, err
	}
	all, err := side.Data.Only(features)
	if err != nil {
		return nil, Errorf(Internal, "%v", err)
	}
	rows, label := all.Take(picked), side.Data.Label().Take(picked)
	score := func(t *frame.Table) (float64, error) {
		p, _, err := c.model.Predict(ctx, t, side.Data.Label())
		if err != nil {
			return 0, err
		}
		return c.firstScore(label, p)
	}
	started := time.Now()
	base, err := score(rows)
	if err != nil {
		return nil, err
	}
	limit := c.importanceOptions.Timeout
	if limit == 0 {
		limit = importanceTimeout
	}
	predicted := time.Duration(math.Ceil(time.Since(started).Seconds()*importanceRepeats*float64(len(features)))) * time.Second
	if predicted > limit {
		return nil, Errorf(Timeout, "Skipping permutation importance calculation: calculation was projected to finish in %d seconds, but timeout was configured to %d seconds",
			int(predicted.Seconds()), int(limit.Seconds()))
	}
	orders := stats.Shuffles(len(picked), importanceRepeats, importanceSeed)
	weights := make([]float64, len(features))
	for i, name := range features {
		column, sum := rows.Column(name), 0.0
		for _, order := range orders {
			s, err := score(rows.With(column.Take(order)))
			if err != nil {
				return nil, err
			}
			sum += base - s
		}
		weights[i] = max(sum/importanceRepeats, 0)
	}
	return normalised(PermutationImportance, features, weights), nil
}

// firstScore is the measure by which importances are judged: accuracy, or the
// negative root of the mean squared error.
func (c *Context) firstScore(label *frame.Column, p *Predictions) (float64, error) {
	labels := p.Labels
	if labels == nil {
		labels = mostProbable(p)
	}
	n := label.Len()
	if labels.Len() != n {
		return 0, Errorf(ModelValidation, "the model answered %d rows of %d", labels.Len(), n)
	}
	if c.task == Regression {
		sum := 0.0
		for i := range n {
			d := label.Float(i) - labels.Float(i)
			sum += d * d
		}
		return -math.Sqrt(sum / float64(n)), nil
	}
	right := 0
	for i := range n {
		if label.Value(i).Key() == labels.Value(i).Key() {
			right++
		}
	}
	return float64(right) / float64(n), nil
}

// normalised makes the weights sum to 1.
func normalised(method string, features []string, weights []float64) *Importance {
	total := 0.0
	for _, w := range weights {
		total += w
	}
	out := &Importance{Method: method, Weights: make(map[string]float64, len(features))}
	for i, f := range features {
		out.Weights[f] = weights[i]
		if total > 0 {
			out.Weights[f] = weights[i] / total
		}
	}
	return out
}

// checkImportance refuses importances that do not fit the features, and makes
// them sum to 1.
func checkImportance(given *Importance, features []string) (*Importance, error) {
	var absent, extra []string
	weights := make([]float64, len(features))
	for i, f := range features {
		w, ok := given.Weights[f]
		if !ok {
			absent = append(absent, f)
		}
		if math.IsNaN(w) || math.IsInf(w, 0) {
			return nil, Errorf(ValueError, "feature_importance of %q is not a number", f)
		}
		if w < 0 {
			return nil, Errorf(ValueError, "feature_importance of %q is negative: %v", f, w)
		}
		weights[i] = w
	}
	for f := range given.Weights {
		if !slices.Contains(features, f) {
			extra = append(extra, f)
		}
	}
	if len(absent)+len(extra) > 0 {
		slices.Sort(extra)
		var parts []string
		if len(absent) > 0 {
			parts = append(parts, "it lacks "+strings.Join(absent, ", "))
		}
		if len(extra) > 0 {
			parts = append(parts, "there is no feature "+strings.Join(extra, ", "))
		}
		return nil, Errorf(ValueError, "feature_importance must name exactly the features: %s", strings.Join(parts, "; "))
	}
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	if sum > 0.999 && sum < 1.001 {
		return given, nil
	}
	return normalised(given.Method, features, weights), nil
}
