package check_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"aloft/tasks/check"
	"aloft/tasks/check/engine"
)

func TestSplitConditions(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{
		"train.csv": "id,at,city,n,y\n1,2024-01-01,Paris,1,a\n2,2024-01-02,Rome,2,b\n3,2024-01-05,Rome!,,a\n4,,Bonn,1,b\n5,2024-01-03,Bonn,1,b\n",
		"test.csv":  "id,at,city,n,y\n5,2024-01-05,paris,1,a\n6,2024-01-03,Bonn,1.0,b\n6,2024-01-09,Rome!,,a\n7,,Oslo,9,a\n",
	})
	type args = map[string]any
	doc := args{"predictions": nil, "index": "id", "datetime": "at", "categorical": []string{"city"}}
	for _, tt := range []struct {
		name, check    string
		compat         bool
		condition      any
		verdict        engine.Verdict
		title, details string
	}{
		{"new categories", "NewCategoryTrainTest", false, nil, engine.Fail, "Ratio of samples with a new category is less or equal to 0%", "Found 1 features with ratio of new categories above threshold: \n{'city': '50%'}"},
		{"number of new categories", "NewCategoryTrainTest", false, args{"new_categories_less_or_equal": args{"max_new": 1}}, engine.Fail, "Number of new category values is less or equal to 1", "Found 1 features with number of new categories above threshold: \n{'city': 2}"},
		{"few new categories", "NewCategoryTrainTest", false, args{"new_categories_less_or_equal": args{"max_new": 2}}, engine.Pass, "", "Passed for 1 relevant feature"},
		{"new spellings", "StringMismatchComparison", false, nil, engine.Fail, "No new variants allowed in test data", "Found 1 out of 2 relevant columns with ratio of variants above threshold: {'city': '25%'}"},
		{"few new spellings", "StringMismatchComparison", false, args{"ratio_new_variants_less_or_equal": args{"ratio": 0.25}}, engine.Pass, "Ratio of new variants in test data is less or equal to 25%", "Passed for 2 relevant columns"},
		{"equal dates", "DateTrainTestLeakageDuplicates", false, nil, engine.Fail, "Date leakage ratio is less or equal to 0%", "Found 50% leaked dates"},
		{"allowed dates", "DateTrainTestLeakageDuplicates", false, args{"leakage_ratio_less_or_equal": args{"max_ratio": 0.5}}, engine.Pass, "", "Found 50% leaked dates"},
		{"early dates", "DateTrainTestLeakageOverlap", false, nil, engine.Fail, "Date leakage ratio is less or equal to 0%", "Found 25% leaked dates"},
		{"indexes", "IndexTrainTestLeakage", false, nil, engine.Fail, "Ratio of leaking indices is less or equal to 0%", "Found 25% of index leakage"},
		{"rows", "TrainTestSamplesMix", false, nil, engine.Fail, "Percentage of test data samples that appear in train data is less or equal to 5%", "Percent of test data samples that appear in train data: 50%"},
		{"rows there", "TrainTestSamplesMix", true, args{"duplicates_ratio_less_or_equal": args{"max_ratio": 0.5}}, engine.Pass, "", "Percent of test data samples that appear in train data: 50%"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			entry, full := args{"check": tt.check}, args{}
			for k, v := range doc {
				full[k] = v
			}
			if tt.compat {
				full["compat"] = "deepchecks"
			}
			if tt.condition != nil {
				entry["conditions"] = []any{tt.condition}
			}
			o := outcomes(t, dir, full, entry)[0]
			if o.Err != nil {
				t.Fatalf("%s: %s", o.Err.Class, o.Err.Message)
			}
			if c := o.Conditions[0]; c.Verdict != tt.verdict || c.Details != tt.details || tt.title != "" && c.Name != tt.title {
				t.Errorf("got %s %q\n%q, want %s %q\n%q", c.Verdict, c.Name, c.Details, tt.verdict, tt.title, tt.details)
			}
			if len(o.Result.Displays) == 0 {
				t.Error("shows nothing")
			}
		})
	}
}

// The rows found are listed with the rows of both tables that have them.
func TestSamplesMixLists(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{"train.csv": "n,k\n1,a\n2,b\n1,a\n,\n", "test.csv": "n,k\n1.0,a\n3,b\n,\n1,a\n"})
	o := outcomes(t, dir, map[string]any{"label": nil, "predictions": nil}, "TrainTestSamplesMix")[0]
	g := o.Result.Value.Encode().(engine.Object).Get("data").(engine.Grid)
	if want := "[Train indices: 0, 2\nTest indices: 4, 7 Train indices: 3\nTest indices: 6]"; fmt.Sprint(g.Index) != want || fmt.Sprint(g.Rows) != "[[1 a] [NaN <nil>]]" {
		t.Errorf("%v\n%v", g.Index, g.Rows)
	}
}

// Checks of the family give results or named errors whatever the tables hold.
func TestSplitOfOddTables(t *testing.T) {
	t.Parallel()
	normal := series("x,k,y", 40, func(i int) string { return fmt.Sprintf("%d.5,%c,%s", i, 'a'+i%3, []string{"no", "yes"}[i%2]) })
	for name, test := range map[string]string{
		"one row":         "x,k,y\n1.5,a,no\n",
		"nulls":           series("x,k,y", 20, func(int) string { return ",,no" }),
		"constant":        series("x,k,y", 20, func(int) string { return "1,a,no" }),
		"infinities":      series("x,k,y", 20, func(i int) string { return []string{"inf,a,no", "-inf,b,yes"}[i%2] }),
		"texts":           series("x,k,y", 20, func(i int) string { return fmt.Sprintf("t%d,%d,no", i, i) }),
		"no label at all": series("x,k,y", 20, func(i int) string { return fmt.Sprintf("%d,a,", i) }),
		"new everything":  series("x,k,y", 20, func(i int) string { return fmt.Sprintf("%d,z%d,maybe", i-1000, i) }),
	} {
		for _, swapped := range []bool{false, true} {
			for _, mode := range []any{nil, "deepchecks"} {
				t.Run(fmt.Sprintf("%s %v %v", name, swapped, mode), func(t *testing.T) {
					t.Parallel()
					content := map[string]string{"train.csv": normal, "test.csv": test}
					if swapped {
						content = map[string]string{"train.csv": test, "test.csv": normal}
					}
					dir := files(t, content)
					doc := map[string]any{"predictions": nil, "categorical": []string{"k"}, "task_type": "multiclass", "compat": mode}
					for _, def := range check.Tabular.SuiteChecks(check.TrainTestValidation) {
						entries := []any{def.ID}
						if def.ID == "FeatureDrift" || def.ID == "LabelDrift" {
							entries = append(entries, map[string]any{"check": def.ID, "params": map[string]any{
								"numerical_drift_method": "EMD", "categorical_drift_method": "PSI", "ignore_na": false, "min_samples": 1, "max_num_categories_for_drift": 2,
							}})
						}
						for _, entry := range entries {
							for _, o := range outcomes(t, dir, doc, entry) {
								if o.Err != nil && (o.Err.Class == engine.Internal || o.Err.Message == "") {
									t.Errorf("%s: %s: %s", def.ID, o.Err.Class, o.Err.Message)
								}
								for _, c := range o.Conditions {
									if strings.Contains(c.Details, string(engine.Internal)) {
										t.Errorf("%s: %s", def.ID, c.Details)
									}
								}
							}
						}
					}
				})
			}
		}
	}
}

func TestFormerNames(t *testing.T) {
	t.Parallel()
	dir := shop(t)
	for former, now := range map[string]string{
		"CategoryMismatchTrainTest": "NewCategoryTrainTest", "TrainTestFeatureDrift": "FeatureDrift", "TrainTestLabelDrift": "LabelDrift",
		"TrainTestPredictionDrift": "PredictionDrift", "WholeDatasetDrift": "MultivariateDrift",
	} {
		o := outcomes(t, dir, nil, former)[0]
		if o.Def.ID != now || !slices.ContainsFunc(o.Notes, func(n string) bool { return strings.Contains(n, former) && strings.Contains(n, now) }) {
			t.Errorf("%s runs %s with the notes %q", former, o.Def.ID, o.Notes)
		}
	}
}

func TestSuiteParams(t *testing.T) {
	t.Parallel()
	dir := shop(t)
	type args = map[string]any
	run := func(suite string, params args) []engine.Outcome {
		t.Helper()
		doc := args{"suites": suite, "label": "y", "train": "train.csv", "test": "test.csv", "predictions": args{"train": "pred_train.csv", "test": "pred_test.csv"}}
		if params != nil {
			doc["suite_params"] = args{suite: params}
		}
		spec, err := check.SpecFromMap(doc)
		if err != nil {
			t.Fatal(err)
		}
		r, err := check.RunSpec(t.Context(), spec, dir)
		if err != nil || r.Err != nil {
			t.Fatal(err, r.Err)
		}
		return r.Outcomes
	}
	for _, o := range run(check.TrainTestValidation, args{"n_samples": 2, "n_top_columns": 1}) {
		if _, has := o.Args["n_samples"]; has && o.Args.Int("n_samples") != 2 || o.Def.ID == "TrainTestSamplesMix" && o.Args.Int("n_to_show") != 5 {
			t.Errorf("%s: %v", o.Def.ID, o.Args)
		}
	}
	registry, err := check.Tabular.Registry()
	if err != nil {
		t.Fatal(err)
	}
	always, classes := "WeakSegmentsPerformance PercentOfNulls ", "ConfusionMatrixReport RocReport "
	two := "StringMismatchComparison FeatureLabelCorrelationChange FeatureDrift MultivariateDrift LabelDrift PredictionDrift TrainTestPerformance NewCategoryTrainTest"
	one := "StringMismatch FeatureLabelCorrelation FeatureFeatureCorrelation SingleDatasetPerformance"
	for _, tt := range []struct {
		params args
		want   string
	}{
		{nil, always + classes + "RegressionErrorDistribution " + two},
		{args{"is_comparative": false}, always + classes + "RegressionErrorDistribution " + one},
		{args{"task_type": "binary"}, always + classes + two},
		{args{"task_type": "multiclass", "is_comparative": false}, always + classes + one},
		{args{"task_type": "regression"}, always + "RegressionErrorDistribution " + two},
		{args{"task_type": "regression", "is_comparative": false}, always + "RegressionErrorDistribution " + one},
	} {
		var got []string
		for _, o := range run(check.ProductionSuite, tt.params) {
			if !slices.Contains(got, o.Def.ID) {
				got = append(got, o.Def.ID)
			}
			if o.Def.ID == "LabelDrift" && !o.Args.Bool("ignore_na") {
				t.Error("LabelDrift counts missing labels")
			}
		}
		want := slices.DeleteFunc(strings.Fields(tt.want), func(id string) bool { return registry.Lookup(id) == nil })
		if !slices.Equal(got, want) {
			t.Errorf("production_suite %v has %q, want %q", tt.params, got, want)
		}
	}
	for _, tt := range []struct {
		doc  args
		want string
	}{
		{args{"suites": "data_integrity", "suite_params": args{"data_integrity": args{"n_sample": 1}}}, `unknown parameter "n_sample" (did you mean "n_samples"?)`},
		{args{"suites": "data_integrity", "suite_params": args{"data_integrity": args{"n_samples": "all"}}}, `"n_samples" must be a whole number`},
		{args{"suites": "data_integrity", "suite_params": args{"full_suite": args{}}}, `which is not among "suites"`},
		{args{"suites": "production_suite", "label": "y", "predictions": args{"train": "p"}}, `production_suite compares two tables: add "test"`},
	} {
		tt.doc["train"] = "train.csv"
		if _, err := check.SpecFromMap(tt.doc); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v", tt.doc, err)
		}
	}
}
