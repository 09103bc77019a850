package check_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"aloft/tasks/check"
	"aloft/tasks/check/engine"
)

// run runs a document on files and returns its report.
func run(t *testing.T, dir, src string) *check.Report {
	t.Helper()
	spec, err := check.ParseSuite(filepath.Join(dir, "s.yaml"), []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	r, err := check.RunSpec(t.Context(), spec, dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// told lists "Check suite: condition=verdict, …" for each outcome on train.
func told(r *check.Report) []string {
	var out []string
	for _, o := range r.Outcomes {
		if o.Which == engine.Test {
			continue
		}
		line := o.Def.ID
		if o.Suite != "" {
			line += " " + o.Suite
		}
		if o.Err != nil {
			line += ": " + string(o.Err.Class)
		}
		for _, c := range o.Conditions {
			line += ", " + c.ID + "=" + string(c.Verdict)
		}
		out = append(out, line)
	}
	return out
}

// small are tables with a duplicate row: one of four in train.
func small(t *testing.T) string {
	t.Helper()
	return files(t, map[string]string{
		"a.csv":                "x,y,z\n1,a,5\n1,a,5\n2,b,5\n3,c,5\n",
		"b.csv":                "x,y,z\n1,a,5\n4,b,6\n",
		"suites/common.yaml":   "include: deeper.yaml\ndefine:\n  shared: [deep, {check: DatasetsSizeComparison}]\n",
		"suites/deeper.yaml":   "include: [common2.yaml]\ndefine: {deep: [DataDuplicates]}\n",
		"suites/common2.yaml":  "define: {other: [IsSingleValue]}\n",
		"suites/cycle.yaml":    "include: [cycle2.yaml]\n",
		"suites/cycle2.yaml":   "include: [cycle.yaml]\n",
		"suites/bad.yaml":      "define:\n  data_integrity: [DataDuplicates]\n  DataDuplicates: [IsSingleValue]\n  a.b: [IsSingleValue]\n  fine: [NoSuchCheck]\nchecks: []\n",
		"suites/notyaml.yaml":  "a: [",
		"suites/again.yaml":    "define:\n  mine: [IsSingleValue]\n",
		"suites/itself.yaml":   "include: itself.yaml\n",
		"suites/nothing.yaml":  "",
		"suites/selfsuite.yml": "define:\n  loop: [{suite: loop2}]\n  loop2: [loop, IsSingleValue]\n",
	})
}

func TestSelection(t *testing.T) {
	t.Parallel()
	dir := small(t)
	const head = "train: a.csv\nseed: 3\n"
	tests := []struct {
		name, src string
		want      []string
	}{
		{"only", "suites: [{suite: data_integrity, only: [DataDuplicates, IsSingleValue]}]", []string{
			"IsSingleValue data_integrity, not_single_value=FAIL", "DataDuplicates data_integrity, ratio_less_or_equal=WARN",
		}},
		{"skip", "suites: [{suite: data_integrity, only: [DataDuplicates, IsSingleValue], skip: []}, {suite: data_integrity, only: IsSingleValue, params: {columns: [x]}}]", []string{
			"IsSingleValue data_integrity, not_single_value=FAIL", "DataDuplicates data_integrity, ratio_less_or_equal=WARN", "IsSingleValue data_integrity, not_single_value=PASS",
		}},
		{"changes", `
suites:
  - suite: data_integrity
    only: [DataDuplicates, IsSingleValue]
    params: {columns: [x, z], n_samples: 1000, n_to_show: null}
    checks:
      IsSingleValue: {params: {columns: [x]}}
      DataDuplicates:
        conditions:
          replace: [ratio_less_or_equal: {max_ratio: 0.3}]
          add: [less_than: 0.1, greater_than: {value: 0.2, severity: warn}, between: [0, 1], equals: {value: 0.25}]
`, []string{
			"IsSingleValue data_integrity, not_single_value=PASS",
			"DataDuplicates data_integrity, ratio_less_or_equal=PASS, less_than=FAIL, greater_than=PASS, between=PASS, equals=PASS",
		}},
		{"remove", "suites: [{suite: data_integrity, only: [DataDuplicates], checks: {DataDuplicates: {conditions: {remove: [ratio_less_or_equal]}}}}]", []string{"DataDuplicates data_integrity"}},
		{"a bare list is all", "suites: [{suite: data_integrity, only: [DataDuplicates], checks: {DataDuplicates: {conditions: [less_than: 1]}}}]", []string{"DataDuplicates data_integrity, less_than=PASS"}},
		{"a single check", "checks: [{check: DataDuplicates, conditions: {add: [less_or_equal: 0.25]}}]", []string{"DataDuplicates, ratio_less_or_equal=WARN, less_or_equal=PASS"}},
		{"severities", "checks: [{check: DataDuplicates, conditions: [ratio_less_or_equal: {severity: fail}, less_than: {value: 0, severity: warn}, less_than: {value: 0}]}]", []string{
			"DataDuplicates, ratio_less_or_equal=FAIL, less_than=WARN, less_than=FAIL",
		}},
		{"path", "checks: [{check: IsSingleValue, conditions: [greater_than: {value: 1, path: '*'}, equals: {value: 1, path: z}, less_than: {value: 9, path: zz}]}]", []string{
			"IsSingleValue, greater_than=FAIL, equals=PASS, less_than=ERROR",
		}},
		{"defined", `
define:
  mine: [{suite: data_integrity, only: [DataDuplicates]}, IsSingleValue, {check: MixedNulls, conditions: []}]
  outer: [{suite: mine, skip: [MixedNulls], params: {columns: [x]}}]
suites: [outer, {suite: mine, only: MixedNulls}]
`, []string{"DataDuplicates outer, ratio_less_or_equal=WARN", "IsSingleValue outer, not_single_value=PASS", "MixedNulls mine"}},
		{"included", "include: suites/common.yaml\nsuites: [shared, other]\n", []string{
			"DataDuplicates shared, ratio_less_or_equal=WARN", "DatasetsSizeComparison shared: DeepchecksNotSupportedError", "IsSingleValue other, not_single_value=FAIL",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got, want := strings.Join(told(run(t, dir, head+tt.src)), "\n"), strings.Join(tt.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestSelectionProblems(t *testing.T) {
	t.Parallel()
	dir := small(t)
	const head = "train: a.csv\n"
	tests := []struct {
		name, src string
		want      []string
	}{
		{"names", "suites:\n- suite: data_integrity\n  only: [DataDuplicate]\n  skip: [MixedNull]\n  checks:\n    IsSingle: {}\n", []string{
			`s.yaml:4: suites[0].only[0]: the suite "data_integrity" has no check "DataDuplicate" (did you mean "DataDuplicates"?)`,
			`s.yaml:5: suites[0].skip[0]: the suite "data_integrity" has no check "MixedNull" (did you mean "MixedNulls"?)`,
			`s.yaml:7: suites[0].checks.IsSingle: the suite "data_integrity" has no check "IsSingle"`,
		}},
		{"conditions", "checks:\n- check: DataDuplicates\n  conditions:\n    remove: [ratio_les_or_equal]\n    replace: [less_than: 3]\n    ad: []\n- check: DataDuplicates\n  conditions:\n  - between: 3\n  - less_than: {valu: 3}\n  - ratio_less_or_equal: 3\n  - less_than: {value: 1, severity: wran}\n  - between: [2, 1]\n  - less_than: {value: 1, path: 'a..b'}", []string{
			`s.yaml:5: checks[0].conditions.remove[0]: DataDuplicates has no condition "ratio_les_or_equal" here to remove (did you mean "ratio_less_or_equal"?)`,
			`s.yaml:6: checks[0].conditions.replace[0]: DataDuplicates has no condition "less_than" here to replace`,
			`s.yaml:7: checks[0].conditions: unknown key "ad" (did you mean "add"?)`,
			"s.yaml:10: checks[1].conditions[0].between: must be two numbers in a list",
			`s.yaml:11: checks[1].conditions[1].less_than: the parameter "value" is needed`, `s.yaml:11: checks[1].conditions[1].less_than.valu: unknown parameter "valu" (did you mean "value"?)`,
			"s.yaml:12: checks[1].conditions[2].ratio_less_or_equal: must be a mapping",
			`s.yaml:13: checks[1].conditions[3].less_than.severity: "severity" must be fail or warn, not wran`,
			"s.yaml:14: checks[1].conditions[4]: low 2 is above high 1", `s.yaml:15: checks[1].conditions[5]: the path "a..b" has an empty part`,
		}},
		{"both", "suites: [{suite: data_integrity, only: [MixedNulls], skip: [MixedNulls]}]", []string{"stands under", "stands under"}},
		{"wrong lists", "suites: [IsSingleValue]\nchecks: [data_integrity]", []string{`unknown suite "IsSingleValue": it is a check, which goes under "checks"`, `"data_integrity" is a suite, which goes under "suites"`}},
		{"parameters", "define: {mine: [IsSingleValue]}\nsuites:\n- suite: data_integrity\n  params:\n    n_sample: 3\n- suite: mine\n  params:\n    n_samples: -1\n    n_sample: 3\n- suite: data_integrity\n  params: {n_samples: -1}", []string{
			`s.yaml:6: suites[0].params.n_sample: unknown parameter "n_sample" (did you mean "n_samples"?)`,
			`s.yaml:9: suites[1].params.n_samples: "n_samples" must be at least 1, not -1`,
			`s.yaml:10: suites[1].params.n_sample: unknown parameter "n_sample" (did you mean "n_samples"?)`,
			`s.yaml:12: suites[2].params.n_samples: "n_samples" must be at least 1`,
		}},
		{"nothing left", "suites: [{suite: train_test_validation, only: []}]", []string{"nothing is left of the suite"}},
		{"no name", "suites: [{only: [MixedNulls]}]", []string{`s.yaml:2: suites[0]: the key "suite" is missing`}},
		{"loop", "include: suites/selfsuite.yml\nsuites: [loop]", []string{`selfsuite.yml:3: define.loop2[0]: the suite "loop" contains itself: loop contains loop2 contains loop`}},
		{"defined twice", "include: suites/again.yaml\nsuites: [mine]\ndefine:\n  mine: [MixedNulls]", []string{`s.yaml:5: define.mine: the suite "mine" is defined twice, first in`}},
		{"included problems", "include: [suites/bad.yaml, suites/no.yaml, suites/notyaml.yaml, suites/nothing.yaml, suites/itself.yaml, suites/cycle.yaml]\nsuites: [fine, finee]", []string{
			"s.yaml:2: include[1]: cannot include suites/no.yaml: no such file", `s.yaml:3: suites[1]: unknown suite "finee" (did you mean "fine"?)`,
			"bad.yaml:2: define.data_integrity: \"data_integrity\" is a suite already", "bad.yaml:3: define.DataDuplicates: \"DataDuplicates\" is a check", `bad.yaml:4: define: "a.b" cannot be the name`,
			`bad.yaml:5: define.fine[0]: neither a suite nor a check is called "NoSuchCheck"`, `bad.yaml:6: unknown key "checks"`,
			"cycle2.yaml:1: include[0]: cycle.yaml includes itself", "itself.yaml:1: include: itself.yaml includes itself", "nothing.yaml: the document is empty", "notyaml.yaml: line 1",
		}},
		{"custom", "checks:\n- check: {name: MixedNulls, command: x}\n- check: {command: x}\n- check: {name: a, command: x, timeout: soon, scope: all}\n- {check: {name: b, command: x}, params: {}}\n- check: {name: c, command: x, conditions: [nope]}", []string{
			`s.yaml:3: checks[0].check.name: "MixedNulls" is a check already`, "s.yaml:4: checks[1].check: a custom check needs", "s.yaml:5", "s.yaml:5", "s.yaml:6: checks[3]: parameters and conditions of a custom check stand beside its command",
			`s.yaml:7: checks[4].check.conditions[0]: c has no condition "nope"; like every check it has greater_than,`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := check.ParseSuite(filepath.Join(dir, "s.yaml"), []byte(head+tt.src))
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

// A task's tests section is read where its files are not: suites that an
// included file may define are taken on trust there.
func TestDeferredInclude(t *testing.T) {
	t.Parallel()
	_, err := check.SpecFromMap(map[string]any{"include": []any{"common.yaml"}, "suites": []any{"shared", map[string]any{"suite": "other", "skip": []any{"MixedNulls"}}}, "train": "a.csv"})
	if err != nil {
		t.Error(err)
	}
}

// Every combination of a condition's verdict and fail_on.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	dir := small(t)
	for _, tt := range []struct {
		condition          string
		fail, warn, accept bool // what fail_on fail, warn and never say
	}{
		{"less_than: {value: 1}", true, true, true},
		{"less_than: {value: 0, severity: warn}", true, false, true},
		{"less_than: {value: 0}", false, false, true},
		{"less_than: {value: 1, path: x}", false, false, true}, // cannot be judged
	} {
		for failOn, want := range map[string]bool{"fail": tt.fail, "warn": tt.warn, "never": tt.accept} {
			r := run(t, dir, "train: a.csv\nfail_on: "+failOn+"\nchecks: [{check: DataDuplicates, conditions: ["+tt.condition+"]}]")
			if got := r.Passed(); got != want {
				t.Errorf("%s with fail_on %s passes: %v", tt.condition, failOn, got)
			}
		}
	}
}
