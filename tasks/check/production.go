package check

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/nearest"
)

// suiteParams lists the parameters of a suite. Those that its checks know are
// handed on to them.
func (k Kind) suiteParams(suite string) []engine.Param {
	if k != Tabular {
		samples := engine.Param{Name: "n_samples", Type: engine.IntParam, Min: 1, Max: math.MaxFloat64, Doc: "images or texts to look at in each check; null means the check's own number"}
		if suite == FullSuite && k == Vision {
			samples.Default = 5000
		}
		return []engine.Param{samples,
			{Name: "random_state", Type: engine.IntParam, Min: 0, Max: math.MaxUint32, Doc: "seed of every sampling; null means the document's"},
		}
	}
	params := append(engine.ColumnParams(),
		engine.Param{Name: "n_top_columns", Type: engine.IntParam, Min: 0, Max: math.MaxFloat64, Doc: "columns to show in each check; null means the check's own number"},
		engine.Param{Name: "n_samples", Type: engine.IntParam, Min: 1, Max: math.MaxFloat64, Doc: "rows to look at in each check; null means the check's own number"},
		engine.Param{Name: "n_to_show", Type: engine.IntParam, Default: 5, Min: 0, Max: 1000, Doc: "rows, groups or values to show in each check"},
		engine.Param{Name: "random_state", Type: engine.IntParam, Min: 0, Max: math.MaxUint32, Doc: "seed of every sampling; null means the document's"},
	)
	if suite == ProductionSuite {
		params = append(params,
			engine.Param{Name: "is_comparative", Type: engine.BoolParam, Default: true, Doc: "compare the test table with the train table rather than look at one table"},
			engine.Param{Name: "task_type", Type: engine.TextParam, Allowed: engine.Tasks(), Doc: "leave out the checks of other tasks; null means none"},
		)
	}
	return params
}

// completeSuite checks the parameters given to a suite and fills in defaults.
func (k Kind) completeSuite(suite string, given map[string]any) (engine.Args, []engine.Problem) {
	params := k.suiteParams(suite)
	args := make(engine.Args, len(params))
	names := make([]string, len(params))
	var problems []engine.Problem
	for i, p := range params {
		names[i], args[p.Name] = p.Name, p.Default
		v, ok := given[p.Name]
		if !ok {
			continue
		}
		converted, err := p.Convert(v)
		if err != nil {
			problems = append(problems, engine.Problem{Path: []any{p.Name}, Message: fmt.Sprintf("%q %v", p.Name, err)})
			continue
		}
		args[p.Name] = converted
	}
	for _, name := range sortedKeys(given) {
		if !slices.Contains(names, name) {
			problems = append(problems, engine.Problem{Path: []any{name}, Message: fmt.Sprintf("unknown parameter %q%s; a suite knows %s",
				name, nearest.Hint(name, names), strings.Join(names, ", "))})
		}
	}
	return args, problems
}

// handOn lists the parameters of a suite that a check knows and that are set.
func handOn(def *engine.Definition, args engine.Args) map[string]any {
	out := make(map[string]any)
	for _, p := range def.Params {
		v, ok := args[p.Name]
		if !ok || v == nil || p.Name == "task_type" || p.Name == "is_comparative" {
			continue
		}
		out[p.Name] = v
	}
	return out
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// productionUses lists the checks for a model at work: the table of its
// training against that of today, or today's alone.
func productionUses(args engine.Args) []use {
	task, comparative := engine.Task(args.Text("task_type")), args == nil || args.Bool("is_comparative")
	var out []use
	add := func(id string, params map[string]any, conditions ...engine.Use) {
		if def := definition(id); def != nil {
			out = append(out, use{def: def, params: params, conditions: conditions})
		}
	}
	none := func(id string) {
		if def := definition(id); def != nil {
			out = append(out, use{def: def, conditions: []engine.Use{}})
		}
	}
	add("WeakSegmentsPerformance", nil)
	none("PercentOfNulls")
	if task != engine.Regression {
		none("ConfusionMatrixReport")
		add("RocReport", nil)
	}
	if task == engine.Regression || task == engine.Unknown {
		add("RegressionErrorDistribution", nil, engine.Use{ID: "kurtosis_greater_than"})
	}
	if !comparative {
		add("StringMismatch", nil)
		add("FeatureLabelCorrelation", nil)
		add("FeatureFeatureCorrelation", nil)
		none("SingleDatasetPerformance")
		return out
	}
	add("StringMismatchComparison", nil)
	add("FeatureLabelCorrelationChange", nil, engine.Use{ID: "feature_pps_difference_less_than"})
	add("FeatureDrift", nil)
	add("MultivariateDrift", nil)
	add("LabelDrift", map[string]any{"ignore_na": true})
	add("PredictionDrift", nil)
	add("TrainTestPerformance", nil)
	add("NewCategoryTrainTest", nil)
	return out
}

// definition finds a check by its ID.
func definition(id string) *engine.Definition {
	r, err := Tabular.Registry()
	if err != nil {
		return nil // tests keep the registry whole
	}
	return r.Lookup(id)
}
