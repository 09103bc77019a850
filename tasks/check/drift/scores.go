package drift

import (
	"fmt"
	"math"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

// Named is the score of one column or property.
type Named struct {
	Name string
	Score
	// Importance is the weight of the feature; NaN when it is not known.
	Importance float64
}

// Measured reports whether there were enough values for a score.
func (n Named) Measured() bool { return n.Score.Measured() }

// Scores is the value of the checks that score several columns or properties.
type Scores struct {
	List []Named
	// WithImportance tells that results show the importance of each.
	WithImportance bool
}

// Encode returns score, method and importance by name.
func (s Scores) Encode() any {
	out := make(engine.Object, len(s.List))
	for i, n := range s.List {
		fields := n.fields()
		if s.WithImportance {
			fields = append(fields, engine.Field{Key: "Importance", Value: orNull(n.Importance)})
		}
		out[i] = engine.Field{Key: n.Name, Value: fields}
	}
	return out
}

func (s Score) fields() engine.Object {
	fields := engine.Object{{Key: "Drift score", Value: orNull(s.Value)}, {Key: "Method", Value: nil}}
	if s.Method != "" {
		fields[1].Value = s.Method
	}
	return fields
}

// Encode returns score and method.
func (s Score) Encode() any { return s.fields() }

func orNull(v float64) any {
	if math.IsNaN(v) {
		return nil
	}
	return v
}

// Reduce folds the scores into one number; without importances weighted
// methods are the plain mean.
func (s Scores) Reduce(method string) engine.Object {
	var names []string
	var values, weights []float64
	weighted := true
	for _, n := range s.List {
		names, values, weights = append(names, n.Name), append(values, n.Value), append(weights, n.Importance)
		weighted = weighted && !math.IsNaN(n.Importance)
	}
	if !weighted {
		weights = nil
	}
	return engine.ReduceFeatures(method, "Drift Score", names, values, weights)
}

// Less is the condition that bounds the scores; noun is what each score is of
// ("column") and nouns its plural. Suffix ends the condition's name.
func Less(noun, nouns, suffix string, categorical, numeric float64) engine.ConditionDef {
	return engine.ConditionDef{
		ID: "drift_score_less_than",
		Params: []engine.Param{
			{Name: "max_allowed_categorical_score", Type: engine.FloatParam, Default: categorical, Min: 0, Max: math.MaxFloat64, Doc: "score that categories must stay below"},
			{Name: "max_allowed_numeric_score", Type: engine.FloatParam, Default: numeric, Min: 0, Max: math.MaxFloat64, Doc: "score that numbers must stay below"},
			{Name: "allowed_num_features_exceeding_threshold", Type: engine.IntParam, Default: 0, Min: 0, Max: math.MaxFloat64, Doc: nouns + " that may exceed it"},
		},
		New: func(r engine.Request) (engine.Condition, error) {
			l := limits{noun, nouns, r.Args.Float("max_allowed_categorical_score"), r.Args.Float("max_allowed_numeric_score"), r.Args.Int("allowed_num_features_exceeding_threshold")}
			return engine.Condition{
				Name:  fmt.Sprintf("categorical drift score < %s and numerical drift score < %s%s", format.Param(l.categorical), format.Param(l.numeric), suffix),
				Judge: engine.Judge(l.judge),
			}, nil
		},
	}
}

type limits struct {
	noun, nouns          string
	categorical, numeric float64
	allowed              int
}

func (l limits) judge(s Scores) (engine.Verdict, string, error) {
	kinds := []struct {
		limit           float64
		categorical     bool
		failed, highest string
		over            []format.Pair
		method          string
		top             Named
		any             bool
	}{
		{limit: l.categorical, categorical: true, failed: "categorical", highest: "categorical"},
		{limit: l.numeric, failed: "numeric", highest: "numerical"},
	}
	n, failing := 0, 0
	for _, score := range s.List {
		if !score.Known() {
			continue
		}
		n++
		k := &kinds[1]
		if score.Categorical() {
			k = &kinds[0]
		}
		if !k.any || score.Value > k.top.Value {
			k.any, k.top, k.method = true, score, score.Method
		}
		if score.Value >= k.limit {
			failing++
			k.over = append(k.over, format.Pair{Key: format.Quote(score.Name), Value: format.Quote(format.Number(score.Value))})
		}
	}
	if failing > l.allowed {
		lines := []string{fmt.Sprintf("Failed for %d out of %d %s.", failing, n, l.nouns)}
		for _, k := range kinds {
			if len(k.over) > 0 {
				lines = append(lines, fmt.Sprintf("Found %d %s %s with %s above threshold: %s", len(k.over), k.failed, l.nouns, k.method, format.Dict(k.over)))
			}
		}
		return engine.Fail, strings.Join(lines, "\n"), nil
	}
	lines := []string{fmt.Sprintf("Passed for %d %s out of %d %s.", n-failing, l.nouns, n, l.nouns)}
	for _, k := range kinds {
		if k.any {
			lines = append(lines, fmt.Sprintf("Found %s \"%s\" has the highest %s drift score: %s", l.noun, k.top.Name, k.highest, format.Number(k.top.Value)))
		}
	}
	return engine.Pass, strings.Join(lines, "\n"), nil
}
