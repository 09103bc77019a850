package nlp

import (
	"context"
	"fmt"
	"math"

	"aloft/tasks/check/drift"
	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/stats"
	"aloft/tasks/check/stats/hgb"
)

// The numbers of the reduction to few dimensions.
const (
	reducedTo     = 10   // dimensions
	reduceFrom    = 30   // dimensions from which "auto" reduces
	reducerSample = 1000 // rows by which the directions are found
)

func embeddingsDrift() *engine.Definition {
	return &engine.Definition{
		ID:      "TextEmbeddingsDrift",
		Header:  "Embeddings Drift",
		Summary: "Measures how well a classifier can tell the embeddings of test texts from those of train texts: drift of what the texts say.",
		Formula: fmt.Sprintf("As many texts of each side are taken; a classifier (100 gradient boosted trees of depth 2 over histograms) learns on 70 %% of their embeddings and is judged on the rest: `score = max(2·AUC − 1, 0)`. Embeddings of %d dimensions or more are first reduced to their %d principal components, found on %d of the texts.", reduceFrom, reducedTo, reducerSample),
		Differs: "trees are grown over histograms; there, over all cuts. Whether a report is drawn changes nothing; there, it changes how embeddings are reduced. Reduction by umap is not there.",
		Scope:   engine.TrainTest,
		Params: []engine.Param{
			{Name: "sample_size", Type: engine.IntParam, Default: 10_000, Min: 2, Max: math.MaxFloat64, Doc: "texts of each side to look at, at most"},
			sampleParams(0)[1],
			{Name: "test_size", Type: engine.FloatParam, Default: 0.3, Min: 0.001, Max: 0.999, Doc: "share of the texts by which the classifier is judged"},
			{Name: "dimension_reduction_method", Type: engine.TextParam, Default: "auto", Allowed: []string{"auto", "none", "pca", "umap"}, Doc: "how embeddings are reduced; umap is known and refused"},
			count("num_samples_in_display", 500, "texts to draw"),
		},
		Conditions: []engine.ConditionDef{{
			ID:     "overall_drift_value_less_than",
			Params: []engine.Param{{Name: "max_drift_value", Type: engine.FloatParam, Default: 0.25, Min: 0, Max: 1, Doc: "score that must not be reached"}},
			New:    lowDrift,
		}},
		Defaults: []engine.Use{{ID: "overall_drift_value_less_than"}},
		New: func(a engine.Args, _ engine.Mode) (engine.Check, error) {
			if a.Text("dimension_reduction_method") == "umap" {
				return nil, engine.Errorf(engine.ValueError, "dimension_reduction_method umap is not there: take pca, none or auto")
			}
			return embeddings{a}, nil
		},
	}
}

type embeddings struct{ args engine.Args }

// EmbeddingsDrift is the value of TextEmbeddingsDrift.
type EmbeddingsDrift struct{ AUC, Score float64 }

// Encode returns both numbers.
func (v EmbeddingsDrift) Encode() any {
	return engine.Object{{Key: "domain_classifier_auc", Value: v.AUC}, {Key: "domain_classifier_drift_score", Value: v.Score}}
}

func (embeddings) ID() string { return "TextEmbeddingsDrift" }

func (e embeddings) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	for _, s := range []*engine.Side{c.Train(), c.Test()} {
		if s.Texts.Embeddings == nil {
			return engine.Result{}, c.MissingInput(fmt.Sprintf("Functionality requires embeddings, but the %s texts have none: the engine has no language model, give those of yours "+
				"(set_embeddings, or \"embeddings\" in a suite document)", s.Which))
		}
	}
	a, b := c.Train().Texts.Embeddings, c.Test().Texts.Embeddings
	if len(a[0]) != len(b[0]) {
		return engine.Result{}, engine.Errorf(engine.DatasetValidation, "train embeddings have %d dimensions, test embeddings %d: both must come from one model", len(a[0]), len(b[0]))
	}
	if len(a[0]) == 0 {
		return engine.Result{}, engine.Errorf(engine.DatasetValidation, "the embeddings have no dimension")
	}
	seed := uint32(e.args.Int("random_state"))
	n := min(len(a), len(b), e.args.Int("sample_size"))
	const least = 4
	if n < least {
		return engine.Result{}, tooFew(n)
	}
	points := make([][]float32, 0, 2*n)
	for _, side := range [][][]float32{a, b} {
		for _, r := range stats.Permutation(len(side), seed)[:n] {
			points = append(points, side[r])
		}
	}
	columns, reduced := e.columns(points, seed)
	side, truth := make([]int32, 2*n), make([]float64, 2*n)
	for i := n; i < 2*n; i++ {
		side[i], truth[i] = 1, 1
	}
	known, judged := stats.StratifiedSplit(side, 2, e.args.Float("test_size"), seed)
	if len(known) == 0 || len(judged) == 0 {
		return engine.Result{}, tooFew(n)
	}
	list := make([]hgb.Column, len(columns))
	for i, values := range columns {
		list[i].Values = func() []float64 { return values }
	}
	options := hgb.Drift()
	options.Iterations = 100
	fitted, err := hgb.Fit(list, truth, known, known, options)
	if err != nil {
		return engine.Result{}, engine.Errorf(engine.Internal, "learn to tell the texts apart: %v", err)
	}
	binned, err := fitted.Bin(list, judged)
	if err != nil {
		return engine.Result{}, engine.Errorf(engine.Internal, "tell the texts apart: %v", err)
	}
	isTest := make([]bool, len(judged))
	for i, r := range judged {
		isTest[i] = side[r] == 1
	}
	auc := stats.AUC(isTest, fitted.Raw(binned))
	value := EmbeddingsDrift{auc, stats.DomainScore(auc)}
	out := engine.Result{Value: value, Displays: []engine.Display{drift.ShowScore("Drift of the embeddings", drift.Score{Value: value.Score, Method: "AUC of a domain classifier"}, 0.25)}}
	if c.Mode() != engine.Deepchecks {
		out.Reduced = engine.Object{{Key: "Embeddings Drift Score", Value: value.Score}}
	}
	if reduced {
		c.Note(fmt.Sprintf("%d dimensions were reduced to %d principal components", len(a[0]), len(columns)))
		out.Displays = append(out.Displays, e.scatter(columns, n))
	}
	return out, nil
}

// columns are the dimensions that the classifier sees: those of the embeddings,
// or of fewer.
func (e embeddings) columns(points [][]float32, seed uint32) (columns [][]float64, reduced bool) {
	d := len(points[0])
	method := e.args.Text("dimension_reduction_method")
	if method == "none" || method == "auto" && d < reduceFrom || d <= reducedTo {
		columns = make([][]float64, d)
		for k := range columns {
			columns[k] = make([]float64, len(points))
			for i, p := range points {
				columns[k][i] = float64(p[k])
			}
		}
		return columns, false
	}
	rows := stats.Permutation(len(points), seed)
	rows = rows[:min(len(rows), reducerSample)]
	sample := make([][]float32, len(rows))
	for i, r := range rows {
		sample[i] = points[r]
	}
	mean, axes := stats.PrincipalAxes(sample, reducedTo)
	columns = make([][]float64, len(axes))
	for k, axis := range axes {
		columns[k] = make([]float64, len(points))
		for i, p := range points {
			sum := 0.0
			for j, x := range p {
				sum += (float64(x) - mean[j]) * axis[j]
			}
			columns[k][i] = sum
		}
	}
	return columns, true
}

// scatter draws texts of both sides along the first two components.
func (e embeddings) scatter(columns [][]float64, n int) engine.Display {
	s := engine.Scatter{Title: "Embeddings along their first two components", XName: "first component", YName: "second component", ColorName: "test"}
	if len(columns) < 2 {
		return engine.Note{Text: "The embeddings lie on one line."}
	}
	shown := min(n, e.args.Int("num_samples_in_display")/2)
	for side := range 2 {
		for i := range shown {
			at := side*n + i
			s.X, s.Y, s.Color = append(s.X, columns[0][at]), append(s.Y, columns[1][at]), append(s.Color, float64(side))
		}
	}
	return s
}

func lowDrift(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("max_drift_value")
	return engine.Condition{
		Name: "Drift value is less than " + format.Param(limit),
		Judge: engine.Judge(func(v EmbeddingsDrift) (engine.Verdict, string, error) {
			details := "Found drift value of: " + format.Number(v.Score) + ", corresponding to a domain classifier AUC of: " + format.Number(v.AUC)
			if v.Score >= limit {
				return engine.Fail, details, nil
			}
			return engine.Pass, details, nil
		}),
	}, nil
}
