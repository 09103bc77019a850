package check_test

import (
	"math"
	"strings"
	"testing"

	"aloft/tasks/check"
	"aloft/tasks/check/engine"
)

// shop is a small folder: a train and a test table with faults of every kind,
// and predictions for both.
func shop(t *testing.T) string {
	return files(t, map[string]string{
		"train.csv":      "a,b,c,y\n1,NA,k,no\n2,,k,yes\n1,NA,k,yes\n3,x,k,no\n3,x,k,no\n4,null,k,yes\n",
		"test.csv":       "a,b,c,y\n1,x,k,no\n2,x,k,maybe\n5,x,k,yes\n",
		"pred_train.csv": "y_pred,proba_no,proba_yes\nno,0.9,0.1\nyes,0.2,0.8\nyes,0.3,0.7\nno,0.8,0.2\nno,0.7,0.3\nyes,0.4,0.6\n",
		"pred_test.csv":  "y_pred,proba_no,proba_yes\nno,0.9,0.1\nno,0.8,0.2\nno,0.6,0.4\n",
		"r.csv":          "x,y\n1,1.5\n2,2.5\n3,3.5\n4,4.25\n",
		"pr.csv":         "y_pred\n1\n2\n3\n5\n",
		"tiny.csv":       "x,y\n1,1.25\n",
		"pt.csv":         "y_pred\n1\n",
		"nulls.csv":      "x\n\"\"\n\"\"\n",
	})
}

// outcome runs one check with one condition over train.csv and test.csv.
func outcomes(t *testing.T, dir string, doc map[string]any, entry any) []engine.Outcome {
	t.Helper()
	full := map[string]any{
		"train": "train.csv", "test": "test.csv", "label": "y", "predictions": map[string]any{"train": "pred_train.csv", "test": "pred_test.csv"},
		"checks": []any{entry},
	}
	for k, v := range doc {
		full[k] = v
		if v == nil {
			delete(full, k)
		}
	}
	spec, err := check.SpecFromMap(full)
	if err != nil {
		t.Fatal(err)
	}
	r, err := check.RunSpec(t.Context(), spec, dir)
	if err != nil {
		t.Fatal(err)
	}
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	return r.Outcomes
}

func TestConditions(t *testing.T) {
	t.Parallel()
	dir := shop(t)
	type args = map[string]any
	regression := args{"train": "r.csv", "test": "r.csv", "predictions": args{"train": "pr.csv", "test": "pr.csv"}, "task_type": "regression"}
	tests := []struct {
		name      string
		doc       args
		check     string
		params    args
		condition any
		verdict   engine.Verdict
		title     string
		details   string // of the train table where there are two
	}{
		{"single value", nil, "IsSingleValue", nil, "not_single_value", engine.Fail, "Does not contain only a single value", "Found 1 out of 4 columns with a single value: ['c']"},
		{"single value elsewhere", nil, "IsSingleValue", args{"ignore_columns": "c"}, "not_single_value", engine.Pass, "", "Passed for 3 relevant columns"},
		{"single value, nulls counted", args{"train": "nulls.csv", "test": nil, "label": nil, "predictions": nil}, "IsSingleValue", args{"ignore_nan": false}, "not_single_value", engine.Fail, "", "Found 1 out of 1 columns with a single value: ['x']"},
		{"nulls", nil, "MixedNulls", nil, "different_nulls_less_equal_to", engine.Fail, "Number of different null types is less or equal to 1", "Found 1 out of 4 columns with amount of null types above threshold: ['b']"},
		{"nulls allowed", nil, "MixedNulls", nil, args{"different_nulls_less_equal_to": args{"max_allowed_null_types": 3}}, engine.Pass, "Number of different null types is less or equal to 3", "Passed for 4 relevant columns"},
		{"declared nulls keep their spelling", args{"na_values": []any{"NA"}}, "MixedNulls", args{"columns": "b"}, args{"different_nulls_less_equal_to": args{"max_allowed_null_types": 2}}, engine.Fail, "", "Found 1 out of 1 columns with amount of null types above threshold: ['b']"},
		{"declared nulls are one in deepchecks", args{"na_values": []any{"NA"}, "compat": "deepchecks"}, "MixedNulls", args{"columns": "b"}, args{"different_nulls_less_equal_to": args{"max_allowed_null_types": 2}}, engine.Pass, "", "Passed for 1 relevant column"},
		{"own null texts", nil, "MixedNulls", args{"null_string_list": []any{"x"}, "columns": []any{"b"}}, "different_nulls_less_equal_to", engine.Fail, "", "Found 1 out of 1 columns with amount of null types above threshold: ['b']"},
		{"duplicates", nil, "DataDuplicates", nil, "ratio_less_or_equal", engine.Warn, "Duplicate data ratio is less or equal to 5%", "Found 16.67% duplicate data"},
		{"duplicates allowed", nil, "DataDuplicates", nil, args{"ratio_less_or_equal": args{"max_ratio": 0.2}}, engine.Pass, "Duplicate data ratio is less or equal to 20%", "Found 16.67% duplicate data"},
		{"conflicts", nil, "ConflictingLabels", nil, "ratio_of_conflicting_labels_less_or_equal", engine.Fail, "Ambiguous sample ratio is less or equal to 0%", "Ratio of samples with conflicting labels: 33.33%"},
		{"test size", nil, "DatasetsSizeComparison", nil, args{"test_size_greater_or_equal": args{"value": 3}}, engine.Pass, "Test dataset size is greater or equal to 3", "Test dataset contains 3 samples"},
		{"test size in deepchecks", args{"compat": "deepchecks"}, "DatasetsSizeComparison", nil, args{"test_size_greater_or_equal": args{"value": 3}}, engine.Fail, "", "Test dataset contains 3 samples"},
		{"size ratio", nil, "DatasetsSizeComparison", nil, args{"test_train_size_ratio_greater_than": args{"ratio": 0.5}}, engine.Fail, "Test-Train size ratio is greater than 0.5", "Test-Train size ratio is 0.5"},
		{"train larger", nil, "DatasetsSizeComparison", nil, "train_dataset_greater_or_equal_test", engine.Pass, "Train dataset is greater or equal to test dataset", "Train dataset contains 6 samples, test dataset contains 3"},
		{"new labels", nil, "NewLabelTrainTest", nil, "new_labels_number_less_or_equal", engine.Fail, "Number of new label values is less or equal to 0", "Found 1 new labels in test data: ['maybe']"},
		{"new label allowed", nil, "NewLabelTrainTest", nil, args{"new_labels_number_less_or_equal": args{"max_new": 1}}, engine.Pass, "", "Found 1 new labels in test data: ['maybe']"},
		{"new label ratio", nil, "NewLabelTrainTest", nil, args{"new_label_ratio_less_or_equal": args{"max_ratio": 0.3}}, engine.Fail, "Ratio of samples with new label is less or equal to 30%", "Found 33.33% of new labels in test data: ['maybe']"},
		{"degradation", nil, "TrainTestPerformance", nil, "train_test_relative_degradation_less_than", engine.Fail, "Train-Test scores relative degradation is less than 0.1", "5 scores failed. Found max degradation of 100% for metric F1 and class yes."},
		{"least score", nil, "TrainTestPerformance", args{"scorers": []any{"accuracy"}}, args{"test_performance_greater_than": args{"min_score": 0.4}}, engine.Fail, "Scores are greater than 0.4", "Found 1 scores below threshold.\nFound minimum score for accuracy metric of value 0.33."},
		{"least score renamed", nil, "TrainTestPerformance", args{"scorers": args{"Acc": "accuracy"}}, args{"test_performance_greater_than": args{"min_score": 0.3}}, engine.Pass, "", "Found minimum score for Acc metric of value 0.33."},
		{"least score in deepchecks", args{"compat": "deepchecks"}, "TrainTestPerformance", args{"scorers": []any{"accuracy"}}, args{"test_performance_greater_than": args{"min_score": 0.3}}, engine.Pass, "", "Found minimum score for accuracy metric of value 0.33 for class <NA>."},
		{"imbalance", nil, "TrainTestPerformance", nil, args{"class_performance_imbalance_ratio_less_than": args{"score": "Recall"}}, engine.Fail, "Relative ratio difference between labels 'Recall' score is less than 30%", "Relative ratio difference between highest and lowest in Test dataset classes is 100%, using Recall metric. Lowest class - yes: 0; Highest class - no: 1"},
		{"imbalance of nothing", nil, "TrainTestPerformance", nil, args{"class_performance_imbalance_ratio_less_than": args{"score": "AUC"}}, engine.Broken, "", "Exception in condition: DeepchecksValueError: Data was not calculated using the scoring function: AUC"},
		{"regression", regression, "TrainTestPerformance", nil, args{"test_performance_greater_than": args{"min_score": -1}}, engine.Pass, "", "Found minimum score for Neg RMSE metric of value -0.57."},
		{"AUC", nil, "RocReport", nil, "auc_greater_than", engine.Pass, "AUC score for all the classes is greater than 0.7", "All classes passed, minimum AUC found is 1 for class yes"},
		{"AUC of chosen classes", nil, "RocReport", args{"excluded_classes": []any{"yes"}}, args{"auc_greater_than": args{"min_auc": 1}}, engine.Fail, "AUC score for all the classes is greater than 1 except: ['yes']", "Found classes with AUC below threshold: {'no': '1'}"},
		{"confusion", nil, "ConfusionMatrixReport", nil, args{"misclassified_samples_lower_than_condition": args{"misclassified_samples_threshold": 0.1}}, engine.Pass, "Misclassified cell size lower than 10% of the total samples", "All misclassified confusion matrix cells contain less than 10% of the data."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			entry := args{"check": tt.check, "conditions": []any{tt.condition}}
			if tt.params != nil {
				entry["params"] = tt.params
			}
			o := outcomes(t, dir, tt.doc, entry)[0]
			if o.Err != nil {
				t.Fatalf("%s: %s", o.Err.Class, o.Err.Message)
			}
			c := o.Conditions[0]
			if c.Verdict != tt.verdict || c.Details != tt.details || tt.title != "" && c.Name != tt.title {
				t.Errorf("got %s %q\n%q, want %s %q\n%q", c.Verdict, c.Name, c.Details, tt.verdict, tt.title, tt.details)
			}
		})
	}
}

func TestChecksThatDoNotRun(t *testing.T) {
	t.Parallel()
	dir := shop(t)
	type args = map[string]any
	tests := []struct {
		name  string
		doc   args
		entry any
		class engine.Class
		cause engine.Cause
		text  string
	}{
		{"no label", args{"label": nil}, "ConflictingLabels", engine.NotSupported, engine.Missing, "Dataset does not contain a label column"},
		{"no test", args{"test": nil, "predictions": nil}, "NewLabelTrainTest", engine.NotSupported, engine.Missing, "Check is irrelevant if not supplied with both train and test datasets"},
		{"no predictions", args{"predictions": nil}, "ConfusionMatrixReport", engine.NotSupported, engine.Missing, "Check is irrelevant for Datasets without model"},
		{"no probabilities", args{"predictions": args{"train": "pl.csv"}, "test": nil}, "RocReport", engine.NotSupported, engine.Missing, "Predicted probabilities not supplied"},
		{"both selections", nil, args{"check": "DataDuplicates", "params": args{"columns": "a", "ignore_columns": "b"}}, engine.ValueError, engine.Failed, "only one must be used"},
		{"unknown column", nil, args{"check": "DataDuplicates", "params": args{"columns": "aa"}}, engine.ValueError, engine.Failed, `Given columns do not exist in dataset: aa (did you mean "a"?)`},
		{"unknown scorer", nil, args{"check": "TrainTestPerformance", "params": args{"scorers": "acuracy"}}, engine.ValueError, engine.Failed, `Scorer name acuracy is unknown (did you mean "accuracy"?)`},
	}
	copyTo(t, dir, "pl.csv", "y_pred\nno\nyes\nyes\nno\nno\nyes\n")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := outcomes(t, dir, tt.doc, tt.entry)[0]
			if o.Err == nil || o.Err.Class != tt.class || o.Err.Cause != tt.cause || !strings.Contains(o.Err.Message, tt.text) {
				t.Errorf("%+v", o.Err)
			}
		})
	}
}

// Labels alone, or probabilities alone, are predictions too.
func TestPredictionsFromProbabilities(t *testing.T) {
	t.Parallel()
	dir := shop(t)
	copyTo(t, dir, "pp.csv", "proba_yes,proba_no\n0.1,0.9\n0.8,0.2\n0.7,0.3\n0.2,0.8\n0.5,0.5\n0.6,0.4\n")
	o := outcomes(t, dir, map[string]any{"predictions": map[string]any{"train": "pp.csv"}}, "ConfusionMatrixReport")[0]
	grid := o.Result.Value.Encode().(engine.Grid)
	if len(grid.Rows) != 2 || grid.Rows[0][0] != 3 || grid.Rows[0][1] != 0 || grid.Rows[1][0] != 0 || grid.Rows[1][1] != 3 {
		t.Errorf("%v", grid)
	}
}

// Every scorer of every task gives numbers on good predictions.
func TestAllScorers(t *testing.T) {
	t.Parallel()
	dir := shop(t)
	type args = map[string]any
	rates := []string{"precision", "recall", "f1", "jaccard", "fpr", "fnr", "tnr", "sensitivity", "specificity"}
	classification := []any{"accuracy", "neg_log_loss", "roc_auc_per_class"}
	for _, r := range rates {
		for _, a := range []string{"macro", "micro", "weighted", "per_class"} {
			classification = append(classification, r+"_"+a)
		}
	}
	binary := append([]any{"balanced_accuracy", "average_precision", "neg_brier_score", "roc_auc"}, classification...)
	for _, r := range rates {
		binary = append(binary, r)
	}
	multi := append([]any{"roc_auc_ovr", "roc_auc_ovo", "roc_auc_ovr_weighted", "roc_auc_ovo_weighted"}, classification...)
	regression := []any{
		"neg_rmse", "neg_mae", "neg_mse", "rmse", "mae", "mse", "r2", "explained_variance", "max_error", "neg_mean_squared_log_error",
		"neg_median_absolute_error", "neg_mean_poisson_deviance", "neg_mean_gamma_deviance",
	}
	copyTo(t, dir, "m.csv", "x,y\n1,a\n2,b\n3,c\n4,a\n5,b\n6,c\n")
	copyTo(t, dir, "pm.csv", "y_pred,proba_a,proba_b,proba_c\na,.8,.1,.1\nb,.1,.8,.1\nc,.1,.1,.8\nb,.3,.6,.1\nb,.2,.7,.1\na,.5,.1,.4\n")
	for _, tt := range []struct {
		doc     args
		scorers []any
	}{
		{args{"test": "train.csv", "predictions": args{"train": "pred_train.csv", "test": "pred_train.csv"}}, binary},
		{args{"train": "m.csv", "test": "m.csv", "predictions": args{"train": "pm.csv", "test": "pm.csv"}}, multi},
		{args{"train": "r.csv", "test": "r.csv", "task_type": "regression", "predictions": args{"train": "pr.csv", "test": "pr.csv"}}, regression},
	} {
		o := outcomes(t, dir, tt.doc, args{"check": "TrainTestPerformance", "params": args{"scorers": tt.scorers}})[0]
		if o.Err != nil {
			t.Error(o.Err)
			continue
		}
		for _, row := range o.Result.Value.Encode().(engine.Grid).Rows {
			if v := row[3].(float64); math.IsNaN(v) || math.IsInf(v, 0) {
				t.Errorf("%v: %v", row[2], v)
			}
		}
	}
	for _, tt := range []struct {
		scorer string
		want   float64
	}{
		{"roc_auc_ovr", (0.9375 + 0.9375 + 1) / 3}, {"neg_mae", -0.5625}, {"r2", 1 - 1.3125/4.296875}, {"max_error", -0.75},
	} {
		doc := args{"train": "m.csv", "test": "m.csv", "predictions": args{"train": "pm.csv", "test": "pm.csv"}}
		if strings.Contains(strings.Join(anyTexts(regression), " "), tt.scorer) {
			doc = args{"train": "r.csv", "test": "r.csv", "task_type": "regression", "predictions": args{"train": "pr.csv", "test": "pr.csv"}}
		}
		o := outcomes(t, dir, doc, args{"check": "TrainTestPerformance", "params": args{"scorers": tt.scorer}})[0]
		if got := o.Result.Value.Encode().(engine.Grid).Rows[0][3].(float64); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%s = %v, want %v", tt.scorer, got, tt.want)
		}
	}
}

// The test table takes the train table's categorical features; in mode
// deepchecks each is inferred and they may disagree.
func TestTrainDecidesCategories(t *testing.T) {
	t.Parallel()
	var train, test strings.Builder
	train.WriteString("x\n")
	test.WriteString("x\n")
	for i := range 1000 {
		train.WriteString(string(rune('a'+i%9)) + "\n")
		test.WriteString(string(rune('a'+i%20)) + "\n")
	}
	dir := files(t, map[string]string{"a.csv": train.String(), "b.csv": test.String()})
	doc := map[string]any{"suites": "data_integrity", "train": "a.csv", "test": "b.csv"}
	if got := runDocument(t, doc, dir); got.Error != nil {
		t.Errorf("refused: %+v", got.Error)
	}
	doc["compat"] = "deepchecks"
	if got := runDocument(t, doc, dir); got.Error == nil || got.Error.Class != "DatasetValidationError" {
		t.Errorf("accepted: %+v", got.Error)
	}
}

func anyTexts(list []any) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = v.(string)
	}
	return out
}
