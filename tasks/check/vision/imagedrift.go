package vision

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"aloft/tasks/check/drift"
	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

func imagePropertyDrift() *engine.Definition {
	return &engine.Definition{
		ID:      "ImagePropertyDrift",
		Summary: "Measures for each property of the images, such as their brightness, how far its distribution in the test images has moved from that in the train images.",
		Formula: driftFormula,
		Differs: "categories of one's own properties are held to the same score as numbers; there, they fail whatever they score.",
		Scope:   engine.TrainTest,
		Params: slices.Concat([]engine.Param{propertiesParam("image_properties", "images")},
			without(drift.Params(false, false), "ignore_na", "min_samples", "categorical_drift_method"), []engine.Param{aggregation("max")}, drift.Params(false, false)[8:], []engine.Param{sampleParam()}),
		Conditions: []engine.ConditionDef{{
			ID:     "drift_score_less_than",
			Params: []engine.Param{{Name: "max_allowed_drift_score", Type: engine.FloatParam, Default: 0.2, Min: 0, Max: math.MaxFloat64, Doc: "score that must not be reached"}},
			New:    propertiesLess,
		}},
		Defaults: []engine.Use{{ID: "drift_score_less_than"}},
		New: func(a engine.Args, m engine.Mode) (engine.Check, error) {
			o, err := drift.FromArgs(a, m)
			return imageDriftCheck{a, o}, err
		},
	}
}

type imageDriftCheck struct {
	args    engine.Args
	options drift.Options
}

func (imageDriftCheck) ID() string { return "ImagePropertyDrift" }

func (d imageDriftCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	properties, err := imageProperties(c, c.Train(), d.args)
	if err != nil {
		return engine.Result{}, err
	}
	value := measure(c, properties, d.args, d.options)
	if !slices.ContainsFunc(value.List, drift.Named.Measured) {
		return engine.Result{}, drift.TooFew(d.options.MinSamples, "properties")
	}
	return engine.Result{
		Value: value, Reduced: value.Reduce(cmp.Or(d.args.Text("aggregation_method"), "none")),
		Displays: showDrift(c, properties, d.args, value),
	}, nil
}

// propertiesLess bounds the score of every property by one number.
func propertiesLess(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("max_allowed_drift_score")
	return engine.Condition{
		Name: fmt.Sprintf("drift score < %s for image properties drift", format.Param(limit)),
		Judge: engine.Judge(func(v drift.Scores) (engine.Verdict, string, error) {
			kinds := []struct {
				failed, highest string
				over            []format.Pair
				top             drift.Named
			}{{failed: "categorical", highest: "categorical"}, {failed: "numeric", highest: "numerical"}}
			failing := 0
			for _, n := range v.List {
				if !n.Known() {
					continue
				}
				k, bound := &kinds[1], limit
				if n.Categorical() {
					k = &kinds[0]
					if r.Mode == engine.Deepchecks {
						bound = 0
					}
				}
				if k.top.Method == "" || n.Value > k.top.Value {
					k.top = n
				}
				if n.Value >= bound {
					failing++
					k.over = append(k.over, format.Pair{Key: format.Quote(n.Name), Value: format.Quote(format.Number(n.Value))})
				}
			}
			if failing > 0 {
				lines := []string{fmt.Sprintf("Failed for %d out of %d properties.", failing, len(v.List))}
				for _, k := range kinds {
					if len(k.over) > 0 {
						lines = append(lines, fmt.Sprintf("Found %d %s properties with %s above threshold: %s", len(k.over), k.failed, k.top.Method, format.Dict(k.over)))
					}
				}
				return engine.Fail, strings.Join(lines, "\n"), nil
			}
			lines := []string{fmt.Sprintf("Passed for %d properties out of %d properties.", len(v.List), len(v.List))}
			for _, k := range kinds {
				if k.top.Method != "" {
					lines = append(lines, fmt.Sprintf("Found property \"%s\" has the highest %s drift score: %s", k.top.Name, k.highest, format.Number(k.top.Value)))
				}
			}
			return engine.Pass, strings.Join(lines, "\n"), nil
		}),
	}, nil
}
