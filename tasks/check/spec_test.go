package check_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"aloft/tasks/check"
	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
)

const goodSuite = `
kind: tabular
name: example
suites: [data_integrity, train_test_validation, model_evaluation]
checks:
  - DatasetsSizeComparison
  - check: DataDuplicates
    params: {columns: [a, b]}
    conditions:
      - ratio_less_or_equal: {max_ratio: 0.2}
  - check: ConfusionMatrixReport
    conditions: [misclassified_samples_lower_than_condition]
train: a.csv
test: b.csv
label: y
task_type: binary
features: [a, b]
categorical: [b]
index: id
datetime: when
datetime_unit: s
dtypes: {a: float64, b: str}
na_values: [NA, "?"]
classes: [0, 1]
predictions: {train: p.csv, test: q.csv}
seed: 7
fail_on: warn
compat: deepchecks
`

func TestParseSuite(t *testing.T) {
	t.Parallel()
	s, err := check.ParseSuite("suite.yaml", []byte(goodSuite))
	if err != nil {
		t.Fatal(err)
	}
	if s.Seed != 7 || s.FailOn != engine.FailOnWarn || s.Compat != engine.Deepchecks || s.Task != engine.Binary ||
		s.Types["b"] != frame.Text || !slices.Equal(s.TestPredictions, []string{"q.csv"}) || len(s.Checks) != 3 || !slices.Equal(s.NA, []string{"NA", "?"}) {
		t.Errorf("%+v", s)
	}
}

// The same document as JSON, with tabs, and as a decoded mapping.
func TestJSONSuite(t *testing.T) {
	t.Parallel()
	src := "{\n\t\"kind\": \"tabular\",\n\t\"suites\": [\"data_integrity\"],\n\t\"train\": \"a.csv\", \"seed\": 7,\n\t\"checks\": [{\"check\": \"DataDuplicates\", \"params\": {\"n_samples\": 10}}]\n}"
	if _, err := check.ParseSuite("suite.json", []byte(src)); err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal([]byte(src), &m); err != nil {
		t.Fatal(err)
	}
	s, err := check.SpecFromMap(m)
	if err != nil {
		t.Fatal(err)
	}
	if s.Seed != 7 || s.Checks[0] != "DataDuplicates" {
		t.Errorf("%+v", s)
	}
}

func TestSuiteProblems(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, src string
		want      []string // every problem, in order
	}{
		{"empty", "", []string{"s.yaml: the document is empty"}},
		{"not YAML", "a: [", []string{"s.yaml: line 1"}},
		{"not a mapping", "- a", []string{"s.yaml:1: must be a mapping"}},
		{"nothing", "kind: tabular", []string{"nothing to run", "no table"}},
		{"misspelt key", "suites: [data_integrity]\ntrain: a.csv\ntraget: y", []string{`s.yaml:3: unknown key "traget"`}},
		{"hint", "suites: [data_integrity]\ntrain: a.csv\nlabl: y", []string{`unknown key "labl" (did you mean "label"?)`}},
		{"twice", "suites: [data_integrity]\ntrain: a\ntrain: b", []string{`s.yaml:3: the key "train" occurs twice, first in line 2`}},
		{"unknown suite", "suites: [data_integrety]\ntrain: a", []string{`s.yaml:1: suites[0]: unknown suite "data_integrety" (did you mean "data_integrity"?); known are data_integrity,`}},
		{"suite twice", "suites: [data_integrity, data_integrity]\ntrain: a", []string{"named twice"}},
		{"unknown check", "checks: [IsSinglValue]\ntrain: a", []string{`checks[0]: unknown check "IsSinglValue" (did you mean "IsSingleValue"?)`}},
		{"kind", "kind: sound\nsuites: [data_integrity]\ntrain: a", []string{`kind: must be tabular or vision or nlp, not "sound"`}},
		{"types", "suites: [data_integrity]\ntrain: a\ndtypes: {x: flot64}", []string{`s.yaml:3: dtypes.x: unknown type "flot64" (did you mean "float64"?)`}},
		{"many", "suites: data_integrity\ntrain: {a: b}\nseed: -1\nfail_on: fial\ntask_type: clustering\nclasses: 3", []string{
			"s.yaml:2: train: must be a file, a pattern or a list of them, not a mapping", "s.yaml:3: seed: must be a whole number", `s.yaml:4: fail_on: must be fail or warn or never, not "fial" (did you mean "fail"?)`,
			"s.yaml:5: task_type: must be binary or multiclass or regression", "s.yaml:6: classes: must be a list",
		}},
		{"missing inputs", "suites: [train_test_validation, model_evaluation]\ntrain: a", []string{"compares two tables", "needs predictions"}},
		{"no label", "suites: [model_evaluation]\ntrain: a\npredictions: {train: p}", []string{`add "label"`}},
		{"test alone", "suites: [data_integrity]\ntest: a", []string{`a single table goes under "train"`}},
		{"predictions of nothing", "suites: [data_integrity]\ntrain: a\npredictions: {test: q}", []string{`predictions.test`}},
		{"parameters", "train: a\nchecks:\n- check: DataDuplicates\n  params:\n    n_sample: 3\n  conditions:\n  - ratio: {}\n  - ratio_less_or_equal:\n      max_ratio: 2\n  - 3", []string{
			`s.yaml:5: checks[0].params.n_sample: unknown parameter "n_sample" (did you mean "n_samples"?)`,
			`s.yaml:7: checks[0].conditions[0]: DataDuplicates has no condition "ratio"`,
			`s.yaml:9: checks[0].conditions[1].ratio_less_or_equal.max_ratio: "max_ratio" must be between 0 and 1, not 2`,
			"s.yaml:10: checks[0].conditions[2]: must be the name of a condition",
		}},
		{"a parameter's own rule", "train: a\nchecks: [{check: MixedNulls, params: {null_string_list: []}}]", []string{"must be a non-empty list"}},
		{"an endless value", "train: a\nchecks: [{check: RocReport, params: {excluded_classes: &a [*a, *a]}}]", []string{"nested deeper than 32 levels"}},
		{"compat only", "train: a\nchecks: [{check: MixedNulls, params: {check_nan: true}}]", []string{`unknown parameter "check_nan"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := check.ParseSuite("s.yaml", []byte(tt.src))
			var bad *check.SpecError
			if !errors.As(err, &bad) {
				t.Fatalf("error %v", err)
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tt.want) {
				t.Fatalf("%d problems, want %d:\n%v", len(lines), len(tt.want), err)
			}
			for i, w := range tt.want {
				if !strings.Contains(lines[i], w) {
					t.Errorf("problem %d: %q does not contain %q", i, lines[i], w)
				}
			}
		})
	}
}

// files writes a folder of small files.
func files(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFileProblems(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{
		"a.csv": "x,y\n1,a\n2,b\n3,a\n", "ragged.csv": "x,y\n1,a\n2\n", "nolabel.csv": "x,z\n1,2\n", "empty.csv": "x,y\n",
		"p_ok.csv": "y_pred,proba_a,proba_b\na,1,0\nb,0,1\na,1,0\n", "p_odd.csv": "y_pred,prob_a\na,1\n", "p_null.csv": "y_pred,proba_a\na,\n,1\na,1\n",
		"p_none.csv": "z\n", "n.csv": "x,y\n1,0\n2,1\n", "p_class.csv": "proba_no,proba_yes\n1,0\n0,1\n",
	})
	tests := []struct {
		name, src string
		want      []string
	}{
		{"missing", "suites: [data_integrity]\ntrain: no.csv", []string{"s.yaml:2: train: read table: open "}},
		{"two at once", "suites: [data_integrity]\ntrain: no.csv\ntest: ragged.csv", []string{"s.yaml:2: train", "s.yaml:3: test: ragged.csv:3: this row has 1 fields, the header has 2"}},
		{"label", "suites: [data_integrity]\ntrain: a.csv\nlabel: Y", []string{`a.csv has no column "Y", which is to be the label (did you mean "y"?)`}},
		{"roles", "suites: [data_integrity]\ntrain: a.csv\nlabel: y\nfeatures: [x, y, zz]\ncategorical: [q]", []string{"cannot be a feature: it is the label", `no column "zz"`, `"q" is not among the features`}},
		{"no rows", "suites: [data_integrity]\ntrain: empty.csv", []string{"empty.csv has no rows"}},
		{"odd predictions", "suites: [model_evaluation]\ntrain: a.csv\nlabel: y\npredictions: {train: p_odd.csv}", []string{`unexpected column "prob_a"; known are y_pred and proba_<class>`}},
		{"null predictions", "suites: [model_evaluation]\ntrain: a.csv\nlabel: y\npredictions: {train: p_null.csv}", []string{`"y_pred" has missing cells`, `"proba_a" must hold a probability in every row`}},
		{"class of another type", "suites: [model_evaluation]\ntrain: n.csv\nlabel: y\npredictions: {train: p_class.csv}", []string{`column "proba_no": the class is not of the label's type`, "proba_yes"}},
		{"declared type", "suites: [data_integrity]\ntrain: a.csv\ndtypes: {yy: text}", []string{`a.csv has no column "yy"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			spec, err := check.ParseSuite("s.yaml", []byte(tt.src))
			if err != nil {
				t.Fatal(err)
			}
			_, err = check.RunSpec(t.Context(), spec, dir)
			if err == nil {
				t.Fatal("no error")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tt.want) {
				t.Fatalf("%d problems, want %d:\n%v", len(lines), len(tt.want), err)
			}
			for i, w := range tt.want {
				if !strings.Contains(lines[i], w) {
					t.Errorf("%q does not contain %q", lines[i], w)
				}
			}
		})
	}
}

func FuzzParseSuite(f *testing.F) {
	f.Add([]byte(goodSuite))
	f.Add([]byte("suites: &a [data_integrity]\ntrain: a\nfeatures: *a"))
	f.Add([]byte("{\"checks\": [{\"check\": \"RocReport\", \"params\": {\"excluded_classes\": [1, null]}}]}"))
	f.Add([]byte("define: {m: [{suite: data_integrity, only: [MixedNulls], params: {n_samples: 3}}, IsSingleValue]}\nsuites: [{suite: m, checks: {MixedNulls: {conditions: {add: [less_than: 1], remove: [a], replace: [between: [0, 1]]}}}}]\ntrain: a"))
	f.Add([]byte("schema: {columns: {a: {kind: int64, min: 1}}}\nsegments: [{column: a, bins: 3}]\nsegment_by: b\ntrain: a\nchecks: [{check: {name: N, command: c, timeout: 3s, params: {a: [1]}}}]"))
	f.Add([]byte("? [a]\n: b\n<<: {train: x}"))
	f.Fuzz(func(t *testing.T, src []byte) {
		s, err := check.ParseSuite("f.yaml", src)
		if err == nil && len(s.Suites)+len(s.Checks) == 0 && s.Schema == nil && s.SchemaFile == "" {
			t.Error("accepted a document that runs nothing")
		}
		if bad := (*check.SpecError)(nil); err != nil && (!errors.As(err, &bad) || len(bad.Problems) == 0) {
			t.Errorf("error without problems: %v", err)
		}
	})
}

// copyTo writes one more file.
func copyTo(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
