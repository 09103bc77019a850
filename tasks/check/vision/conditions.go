package vision

import (
	"fmt"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

// of names the class of a score in details.
func (s Score) of() string {
	if s.PerClass {
		return " and class " + s.Name + "."
	}
	return "."
}

// decline is the loss from train to test as a share of the train score.
func decline(train, test float64) float64 {
	switch {
	case train == 0 && test == 0:
		return 0
	case train == 0:
		return 1
	default:
		return (train - test) / math.Abs(train)
	}
}

func degradation(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("threshold")
	return engine.Condition{
		Name: "Train-Test scores relative degradation is less than " + format.Param(limit),
		Judge: engine.Judge(func(v Scores) (engine.Verdict, string, error) {
			failed, worst := 0, math.Inf(-1)
			var at Score
			for _, a := range v.List {
				if a.Group != "Train" {
					continue
				}
				i := slices.IndexFunc(v.List, func(b Score) bool {
					return b.Group == "Test" && b.Metric == a.Metric && b.PerClass == a.PerClass && b.Class == a.Class
				})
				if i < 0 || math.IsNaN(a.Value) || math.IsNaN(v.List[i].Value) {
					continue
				}
				d := decline(a.Value, v.List[i].Value)
				if d > worst {
					worst, at = d, a
				}
				if d >= limit {
					failed++
				}
			}
			if math.IsInf(worst, -1) {
				return engine.Pass, "No scores to compare", nil
			}
			details := fmt.Sprintf("Found max degradation of %s for metric %s%s", format.Percent(worst), at.Metric, at.of())
			if failed > 0 {
				return engine.Fail, fmt.Sprintf("%d scores failed. %s", failed, details), nil
			}
			return engine.Pass, details, nil
		}),
	}, nil
}

func minScore(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("min_score")
	return engine.Condition{
		Name: "Scores are greater than " + format.Param(limit),
		Judge: engine.Judge(func(v Scores) (engine.Verdict, string, error) {
			failed, least := 0, math.Inf(1)
			var at Score
			for _, s := range v.List {
				if s.Group != "Test" || math.IsNaN(s.Value) {
					continue
				}
				if s.Value < least {
					least, at = s.Value, s
				}
				if s.Value <= limit {
					failed++
				}
			}
			if math.IsInf(least, 1) {
				return engine.Pass, "No scores to compare", nil
			}
			details := fmt.Sprintf("Found minimum score for %s metric of value %s", at.Metric, format.Number(least))
			if at.PerClass {
				details += " for class " + at.Name
			}
			details += "."
			if failed > 0 {
				return engine.Fail, fmt.Sprintf("Found %d scores below threshold.\n%s", failed, details), nil
			}
			return engine.Pass, details, nil
		}),
	}, nil
}

func imbalance(r engine.Request) (engine.Condition, error) {
	metric, limit := r.Args.Text("score"), r.Args.Float("threshold")
	return engine.Condition{
		Name: fmt.Sprintf("Relative ratio difference between labels '%s' score is less than %s", metric, format.Percent(limit)),
		Judge: engine.Judge(func(v Scores) (engine.Verdict, string, error) {
			found, worst, details := false, math.Inf(-1), ""
			for _, dataset := range []string{"Train", "Test"} {
				lo, hi := Score{Value: math.Inf(1)}, Score{Value: math.Inf(-1)}
				for _, s := range v.List {
					if s.Group != dataset || s.Metric != metric || !s.PerClass {
						continue
					}
					found = true
					if s.Value < lo.Value {
						lo = s
					}
					if s.Value > hi.Value {
						hi = s
					}
				}
				if math.IsInf(lo.Value, 0) {
					continue
				}
				ratio := 0.0
				if hi.Value != 0 {
					ratio = math.Abs((lo.Value - hi.Value) / hi.Value)
				}
				if ratio > worst {
					worst = ratio
					details = fmt.Sprintf("Relative ratio difference between highest and lowest in %s dataset classes is %s, using %s metric. "+
						"Lowest class - %s: %s; Highest class - %s: %s", dataset, format.Percent(ratio), metric,
						lo.Name, format.Number(lo.Value), hi.Name, format.Number(hi.Value))
				}
			}
			if !found {
				return engine.Broken, "", engine.Errorf(engine.ValueError, "Data was not calculated using the scoring function: %s", metric)
			}
			return verdict(worst < limit), details, nil
		}),
	}, nil
}
