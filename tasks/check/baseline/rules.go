package baseline

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"aloft/tasks/check/engine"
)

// direction says which way a measure is better.
type direction int

const (
	neither direction = iota
	lower
	higher
)

// measure is one number of a result by which it is compared.
type measure struct {
	name   string
	value  float64
	better direction
}

// rule says which numbers of a check's result are compared.
type rule struct {
	better direction
	// path leads to them in the value; "" takes the reduced value, or the value
	// where there is none.
	path string
	// scores marks tables of scores by metric, class and data set.
	scores bool
	// none leaves the check to its conditions.
	none bool
}

// rules lists the rule of each check. What a check without a rule, such as one
// of the user's own, gives is compared without a better direction.
func rules() map[string]rule {
	byConditions := rule{none: true}
	return map[string]rule{
		"IsSingleValue":                  byConditions,
		"SpecialCharacters":              {better: lower, path: "*"},
		"MixedNulls":                     {better: lower},
		"MixedDataTypes":                 byConditions,
		"StringMismatch":                 {better: lower},
		"DataDuplicates":                 {better: lower},
		"StringLengthOutOfBounds":        byConditions,
		"ConflictingLabels":              {better: lower, path: "percent_of_conflicting_samples"},
		"OutlierSampleDetection":         byConditions,
		"FeatureLabelCorrelation":        {better: lower, path: "*"},
		"FeatureFeatureCorrelation":      byConditions,
		"IdentifierLabelCorrelation":     {better: lower, path: "*"},
		"PercentOfNulls":                 {better: lower, path: "*.Percent of nulls in sample"},
		"ColumnsInfo":                    byConditions,
		"ClassImbalance":                 {path: "*"},
		"DatasetsSizeComparison":         {path: "*"},
		"NewLabelTrainTest":              {better: lower},
		"NewCategoryTrainTest":           {better: lower, path: "*.Ratio of New Categories"},
		"StringMismatchComparison":       byConditions,
		"DateTrainTestLeakageDuplicates": {better: lower},
		"DateTrainTestLeakageOverlap":    {better: lower},
		"IndexTrainTestLeakage":          {better: lower},
		"TrainTestSamplesMix":            {better: lower, path: "ratio"},
		"FeatureLabelCorrelationChange":  {better: lower, path: "train-test difference.*"},
		"FeatureDrift":                   {better: lower, path: "*.Drift score"},
		"LabelDrift":                     {better: lower, path: "Drift score"},
		"PredictionDrift":                {better: lower, path: "Drift score"},
		"MultivariateDrift":              {better: lower, path: "domain_classifier_drift_score"},
		"TrainTestPerformance":           {better: higher, scores: true},
		"SingleDatasetPerformance":       {better: higher, scores: true},
		"MultiModelPerformanceReport":    {better: higher, scores: true},
		"RocReport":                      {better: higher, path: "*"},
		"ConfusionMatrixReport":          byConditions,
		"SimpleModelComparison":          {better: higher, path: "scores"},
		"WeakSegmentsPerformance":        {better: higher, path: "weak_segments_list"},
		"SegmentPerformance":             byConditions,
		"CalibrationScore":               {better: lower, path: "*"},
		"RegressionErrorDistribution":    byConditions,
		"RegressionSystematicError":      byConditions,
		"UnusedFeatures":                 byConditions,
		"BoostingOverfit":                {better: higher, path: "test.-1"},
		"ModelInferenceTime":             byConditions, // times differ between machines
		"ModelInfo":                      byConditions,
		"PerformanceBias":                byConditions,
		"SchemaValidation":               {better: lower},
	}
}

// imageRules lists the rule of each check of images.
func imageRules() map[string]rule {
	byConditions := rule{none: true}
	return map[string]rule{
		"ClassPerformance":               {better: higher, scores: true},
		"MeanAveragePrecisionReport":     {better: higher},
		"MeanAverageRecallReport":        {better: higher},
		"PredictionDrift":                {better: lower, path: "*.Drift score"},
		"SimpleModelComparison":          byConditions, // ClassPerformance compares the model's own scores
		"ConfusionMatrixReport":          byConditions,
		"WeakSegmentsPerformance":        {better: higher, path: "weak_segments_list"},
		"NewLabels":                      {better: lower},
		"HeatmapComparison":              byConditions,
		"LabelDrift":                     {better: lower, path: "*.Drift score"},
		"ImagePropertyDrift":             {better: lower, path: "*.Drift score"},
		"ImageDatasetDrift":              {better: lower, path: "domain_classifier_drift_score"},
		"PropertyLabelCorrelationChange": {better: lower, path: "*.train-test difference.*"},
		"ImagePropertyOutliers":          {better: lower},
		"LabelPropertyOutliers":          {better: lower},
		"PropertyLabelCorrelation":       {better: lower, path: "*"},
		"SingleDatasetPerformance":       {better: higher, scores: true},
	}
}

// textRules lists the rule of each check of texts.
func textRules() map[string]rule {
	byConditions := rule{none: true}
	return map[string]rule{
		"TextPropertyOutliers":           {better: lower},
		"UnknownTokens":                  {better: lower},
		"UnderAnnotatedPropertySegments": byConditions,
		"UnderAnnotatedMetaDataSegments": byConditions,
		"PropertyLabelCorrelation":       {better: lower, path: "*"},
		"ConflictingLabels":              {better: lower},
		"TextDuplicates":                 {better: lower},
		"SpecialCharacters":              {better: lower},
		"FrequentSubstrings":             {better: lower},
		"PropertyDrift":                  {better: lower, path: "*.Drift score"},
		"LabelDrift":                     {better: lower, path: "Drift score"},
		"TextEmbeddingsDrift":            {better: lower, path: "domain_classifier_drift_score"},
		"TrainTestSamplesMix":            {better: lower},
		"PredictionDrift":                {better: lower, path: "Drift score"},
		"TrainTestPerformance":           {better: higher, scores: true},
		"PropertySegmentsPerformance":    {better: higher, path: "weak_segments_list"},
		"MetadataSegmentsPerformance":    {better: higher, path: "weak_segments_list"},
		"ConfusionMatrixReport":          byConditions,
		"SingleDatasetPerformance":       {better: higher, scores: true},
	}
}

func ruleOf(kind, check string) rule {
	switch kind {
	case engine.KindVision:
		return imageRules()[check]
	case engine.KindNLP:
		return textRules()[check]
	}
	return rules()[check]
}

// measures are the numbers of a result that the rule compares.
func (r rule) measures(x *result) []measure {
	switch {
	case r.none:
		return nil
	case r.scores:
		return r.table(x.value)
	case x.check == "SimpleModelComparison":
		return r.models(x.value)
	case x.check == "WeakSegmentsPerformance", x.check == "PropertySegmentsPerformance", x.check == "MetadataSegmentsPerformance":
		return r.weakest(x.value)
	}
	var leaves []engine.Leaf
	var err error
	switch {
	case r.path != "":
		leaves, err = engine.Find(x.value, r.path)
	case x.reduced != nil:
		leaves, err = engine.Find(x.reduced, "*")
	default:
		if f, ok := number(x.value); ok {
			return []measure{{"value", f, r.better}}
		}
		leaves, err = engine.Find(x.value, "*")
	}
	if err != nil {
		return nil // the result has another form, such as that of no data
	}
	var out []measure
	for _, l := range leaves {
		if f, ok := number(l.Value); ok {
			out = append(out, measure{shortName(l.Path, r.path), f, r.better})
		}
	}
	return out
}

// shortName leaves out of a path what all paths of the rule share.
func shortName(path, pattern string) string {
	if head, tail, ok := strings.Cut(pattern, "*"); ok {
		path = strings.TrimSuffix(strings.TrimPrefix(path, head), tail)
	}
	return strings.TrimSuffix(strings.TrimPrefix(path, "["), "]")
}

// table reads scores that stand in rows.
func (r rule) table(v any) []measure {
	g, ok := v.(engine.Grid)
	metric, value := slices.Index(g.Columns, "Metric"), slices.Index(g.Columns, "Value")
	if !ok || metric < 0 || value < 0 {
		return nil
	}
	var out []measure
	for _, row := range g.Rows {
		f, ok := number(row[value])
		if !ok {
			continue
		}
		name := fmt.Sprint(row[metric])
		m := measure{name, f, r.better}
		if lowerIsBetter(name) {
			m.better = lower
		}
		class := "Class"
		if slices.Contains(g.Columns, "Class Name") {
			class = "Class Name"
		}
		for _, part := range []struct{ column, words string }{{"Model", ", model %v"}, {class, ", class %v"}, {"Dataset", ", %v"}} {
			if k := slices.Index(g.Columns, part.column); k >= 0 && row[k] != nil && row[k] != "NaN" {
				m.name += fmt.Sprintf(part.words, row[k])
			}
		}
		out = append(out, m)
	}
	return out
}

// models reads SimpleModelComparison's scores of the user's model.
func (r rule) models(v any) []measure {
	o, ok := v.(engine.Object)
	if !ok {
		return nil
	}
	var out []measure
	var walk func(name string, v any)
	walk = func(name string, v any) {
		o, ok := v.(engine.Object)
		if !ok {
			return
		}
		if f, ok := number(o.Get("Origin")); ok {
			m := measure{name, f, r.better}
			if lowerIsBetter(name) {
				m.better = lower
			}
			out = append(out, m)
			return
		}
		for _, f := range o {
			sep := ", class "
			if name == "" {
				sep = ""
			}
			walk(name+sep+f.Key, f.Value)
		}
	}
	walk("", o.Get("scores"))
	return out
}

// weakest is the score of the weakest segment: the first of the list.
func (r rule) weakest(v any) []measure {
	o, ok := v.(engine.Object)
	if !ok {
		return nil
	}
	g, ok := o.Get("weak_segments_list").(engine.Grid)
	if !ok || len(g.Rows) == 0 || len(g.Columns) == 0 {
		return nil
	}
	f, ok := number(g.Rows[0][0])
	if !ok {
		return nil
	}
	return []measure{{g.Columns[0] + " of the weakest segment", f, r.better}}
}

// lowerIsBetter tells the scorers that are errors. Those named "neg" are
// turned round already.
func lowerIsBetter(scorer string) bool {
	s := strings.ToLower(scorer)
	for _, e := range []string{"rmse", "mae", "mse", "fpr", "fnr", "false positive rate", "false negative rate", "brier", "log loss", "log_loss"} {
		if strings.HasPrefix(s, e) {
			return true
		}
	}
	return false
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	}
	return 0, false
}

// revive turns tables and series, as reports write them, back into what they
// were.
func revive(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = revive(e)
		}
		return out
	case engine.Object:
		switch text(v, "__type__") {
		case "DataFrame":
			if g, ok := grid(v); ok {
				return g
			}
		case "Series":
			s := engine.Series{Values: list(v.Get("data"))}
			for _, e := range list(v.Get("index")) {
				s.Index = append(s.Index, fmt.Sprint(e))
			}
			if len(s.Index) == len(s.Values) {
				return s
			}
		}
		out := make(engine.Object, len(v))
		for i, f := range v {
			out[i] = engine.Field{Key: f.Key, Value: revive(f.Value)}
		}
		return out
	}
	return v
}

func grid(o engine.Object) (engine.Grid, bool) {
	g := engine.Grid{Index: list(o.Get("index"))}
	for _, c := range list(o.Get("columns")) {
		g.Columns = append(g.Columns, fmt.Sprint(c))
	}
	for _, r := range list(o.Get("data")) {
		row := list(r)
		if len(row) != len(g.Columns) {
			return g, false
		}
		g.Rows = append(g.Rows, row)
	}
	return g, len(g.Index) == 0 || len(g.Index) == len(g.Rows)
}
