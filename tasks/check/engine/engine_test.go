package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
)

// fake is a check whose behaviour is a function.
type fake struct {
	id  string
	run func(*engine.Context) (engine.Result, error)
}

func (f fake) ID() string { return f.id }
func (f fake) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	return f.run(c)
}

func good(*engine.Context) (engine.Result, error) {
	return engine.Result{Value: engine.Scalar(1)}, nil
}

// item makes a check with conditions of the given verdicts.
func item(scope engine.Scope, run func(*engine.Context) (engine.Result, error), verdicts ...engine.Verdict) engine.Item {
	it := engine.Item{Def: &engine.Definition{ID: "FakeCheck", Scope: scope}, Check: fake{"FakeCheck", run}}
	for _, v := range verdicts {
		it.Conditions = append(it.Conditions, engine.Condition{Name: "fake", Judge: func(engine.Result) (engine.Verdict, string, error) { return v, "", nil }})
	}
	return it
}

func inputs(t *testing.T, mode engine.Mode) engine.Inputs {
	t.Helper()
	table, err := frame.NewTable("t", frame.NewInts("x", []int64{1, 2}), frame.NewTexts("y", []string{"a", "b"}))
	if err != nil {
		t.Fatal(err)
	}
	d, err := frame.NewDataset(table, frame.Roles{Label: "y"})
	if err != nil {
		t.Fatal(err)
	}
	return engine.Inputs{Train: d, Mode: mode, Seed: 42}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	crash := func(*engine.Context) (engine.Result, error) { panic("boom") }
	fails := func(*engine.Context) (engine.Result, error) { return engine.Result{}, errors.New("no luck") }
	empty := func(*engine.Context) (engine.Result, error) { return engine.Result{}, nil }
	lacks := func(c *engine.Context) (engine.Result, error) {
		_, err := c.Side().Predictions()
		return engine.Result{}, err
	}
	demanded := item(engine.SingleDataset, lacks)
	demanded.Demanded = true
	broken := item(engine.SingleDataset, good)
	broken.Conditions = []engine.Condition{{Name: "crashes", Judge: func(engine.Result) (engine.Verdict, string, error) { panic("boom") }}}
	misfit := item(engine.SingleDataset, good)
	misfit.Conditions = []engine.Condition{{Name: "misfit", Judge: engine.Judge(func(other) (engine.Verdict, string, error) { return engine.Pass, "", nil })}}
	pass := item(engine.SingleDataset, good, engine.Pass)
	tests := []struct {
		name               string
		items              []engine.Item
		fail, warn, compat bool // acceptable at fail_on fail, at warn, in mode Deepchecks
	}{
		{"all pass", []engine.Item{pass}, true, true, true},
		{"a warning", []engine.Item{item(engine.SingleDataset, good, engine.Pass, engine.Warn)}, true, false, true},
		{"a failure", []engine.Item{pass, item(engine.SingleDataset, good, engine.Fail)}, false, false, false},
		{"a check without conditions", []engine.Item{item(engine.SingleDataset, good)}, true, true, true},
		{"a crash", []engine.Item{pass, item(engine.SingleDataset, crash, engine.Pass)}, false, false, true},
		{"an error", []engine.Item{pass, item(engine.SingleDataset, fails, engine.Pass)}, false, false, true},
		{"no value", []engine.Item{pass, item(engine.SingleDataset, empty, engine.Pass)}, false, false, true},
		{"a condition that crashes", []engine.Item{pass, broken}, false, false, false},
		{"a condition for other results", []engine.Item{pass, misfit}, false, false, false},
		{"a missing input", []engine.Item{pass, item(engine.SingleDataset, lacks)}, true, true, true},
		{"a missing input of a demanded check", []engine.Item{pass, demanded}, false, false, true},
		{"a missing test table", []engine.Item{pass, item(engine.TrainTest, good, engine.Pass)}, true, true, true},
		{"nothing ran", []engine.Item{item(engine.SingleDataset, lacks)}, false, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := engine.Run(t.Context(), engine.Suite{Items: tt.items}, inputs(t, engine.Mended))
			if err != nil {
				t.Fatal(err)
			}
			for on, want := range map[engine.FailOn]bool{engine.FailOnFail: tt.fail, engine.FailOnWarn: tt.warn, engine.FailNever: true} {
				if got := r.Verdict(on); got != want {
					t.Errorf("Verdict(%s) = %v, want %v; counts %+v", on, got, want, r.Counts())
				}
			}
			r, err = engine.Run(t.Context(), engine.Suite{Items: tt.items}, inputs(t, engine.Deepchecks))
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Verdict(engine.FailOnFail); got != tt.compat {
				t.Errorf("in mode deepchecks: %v, want %v", got, tt.compat)
			}
		})
	}
}

type other struct{}

func (other) Encode() any { return nil }

func TestPriority(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		verdicts     []engine.Verdict
		worst, first int
	}{
		{[]engine.Verdict{engine.Pass, engine.Warn, engine.Fail}, 1, 2},
		{[]engine.Verdict{engine.Broken, engine.Fail}, 1, 3},
		{[]engine.Verdict{engine.Pass}, 4, 4},
		{nil, 5, 5},
	} {
		o := engine.Outcome{}
		for _, v := range tt.verdicts {
			o.Conditions = append(o.Conditions, engine.Judged{Verdict: v})
		}
		if got := o.Priority(engine.Mended); got != tt.worst {
			t.Errorf("%v: %d, want %d", tt.verdicts, got, tt.worst)
		}
		if got := o.Priority(engine.Deepchecks); got != tt.first {
			t.Errorf("%v in mode deepchecks: %d, want %d", tt.verdicts, got, tt.first)
		}
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := engine.Run(ctx, engine.Suite{Items: []engine.Item{item(engine.SingleDataset, good)}}, inputs(t, engine.Mended)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestInputErrors(t *testing.T) {
	t.Parallel()
	col := func(values ...int64) *frame.Column { return frame.NewInts("x", values) }
	dataset := func(roles frame.Roles, columns ...*frame.Column) *frame.Dataset {
		table, err := frame.NewTable("t", columns...)
		if err != nil {
			t.Fatal(err)
		}
		d, err := frame.NewDataset(table, roles)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	x := dataset(frame.Roles{}, col(1, 2))
	xy := dataset(frame.Roles{}, col(1, 2), frame.NewInts("z", []int64{1, 2}))
	labelled := dataset(frame.Roles{Label: "y"}, col(1, 2, 3), frame.NewTexts("y", []string{"a", "b", "c"}))
	single := dataset(frame.Roles{Label: "y"}, col(1, 2), frame.NewTexts("y", []string{"a", "a"}))
	values := func(v ...int64) (out []frame.Value) {
		for _, i := range v {
			out = append(out, frame.IntValue(i))
		}
		return out
	}
	for _, tt := range []struct {
		name  string
		in    engine.Inputs
		class engine.Class
		text  string
	}{
		{"nothing", engine.Inputs{}, engine.ValueError, "At least one dataset"},
		{"test alone", engine.Inputs{Test: x}, engine.DatasetValidation, "only test"},
		{"other features", engine.Inputs{Train: x, Test: xy}, engine.DatasetValidation, "only test has z"},
		{"other label", engine.Inputs{Train: x, Test: labelled}, engine.DatasetValidation, "same label"},
		{"empty classes", engine.Inputs{Train: x, Classes: []frame.Value{}}, engine.ValueError, "empty model_classes"},
		{"unsorted classes", engine.Inputs{Train: x, Classes: values(2, 1)}, engine.ValueError, "unsorted model_classes"},
		{"one class", engine.Inputs{Train: single}, engine.DatasetValidation, "only one class"},
		{"binary with three", engine.Inputs{Train: labelled, Task: engine.Binary}, engine.DatasetValidation, "3 classes"},
		{"regression of texts", engine.Inputs{Train: labelled, Task: engine.Regression}, engine.ValueError, "must be a number"},
		{"short predictions", engine.Inputs{Train: x, TrainPredictions: &engine.Predictions{Labels: col(1)}}, engine.ModelValidation, "1 rows"},
		{"predictions without a table", engine.Inputs{Train: x, TestPredictions: &engine.Predictions{Labels: col(1)}}, engine.ValueError, "without a test table"},
		{"other number of classes", engine.Inputs{Train: x, Classes: values(1, 2), TrainPredictions: &engine.Predictions{
			Labels: col(1, 2), Classes: values(1), Proba: [][]float64{{1, 1}},
		}}, engine.ModelValidation, "probabilities of 1 classes"},
		{"other classes", engine.Inputs{Train: x, Classes: values(1, 2), TrainPredictions: &engine.Predictions{
			Labels: col(1, 2), Classes: values(1, 3), Proba: [][]float64{{1, 1}, {0, 0}},
		}}, engine.ModelValidation, "hold the probabilities of [1, 3], the model has the classes [1, 2]"},
	} {
		r, err := engine.Run(t.Context(), engine.Suite{}, tt.in)
		if err != nil {
			t.Fatal(err)
		}
		if r.Err == nil || r.Err.Class != tt.class || !strings.Contains(r.Err.Message, tt.text) || r.Passed() {
			t.Errorf("%s: %+v, passed %v", tt.name, r.Err, r.Passed())
		}
	}
}

func TestBuildReportsAllProblems(t *testing.T) {
	t.Parallel()
	def := &engine.Definition{
		ID: "FakeCheck",
		Params: append(engine.SampleParams(10), engine.Param{Name: "mode", Type: engine.TextParam, Default: "a", Allowed: []string{"a", "b"}},
			engine.Param{Name: "old", Type: engine.BoolParam, Default: true, CompatOnly: true}),
		Conditions: []engine.ConditionDef{{
			ID: "less_than", Params: []engine.Param{{Name: "limit", Type: engine.FloatParam, Required: true, Min: 0, Max: 1}},
			New: func(engine.Request) (engine.Condition, error) { return engine.Condition{}, nil },
		}},
		New: func(engine.Args, engine.Mode) (engine.Check, error) { return fake{"FakeCheck", good}, nil },
	}
	_, problems := def.Build(map[string]any{"n_sample": 3, "mode": "c", "random_state": 1.5, "old": true}, []engine.Use{
		{ID: "les_than"}, {ID: "less_than"}, {ID: "less_than", Args: map[string]any{"limit": 2}},
	}, engine.Mended)
	var all []string
	for _, p := range problems {
		all = append(all, p.Message)
	}
	text := strings.Join(all, "\n")
	for _, want := range []string{
		`unknown parameter "n_sample" (did you mean "n_samples"?)`, `"mode" must be one of a, b, not "c"`, `"random_state" must be a whole number`,
		`unknown parameter "old"`, `did you mean "less_than"`, `"limit" is needed`, `"limit" must be between 0 and 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing %q in\n%s", want, text)
		}
	}
	if len(problems) != 7 {
		t.Errorf("%d problems", len(problems))
	}
	if _, problems := def.Build(map[string]any{"old": false}, nil, engine.Deepchecks); len(problems) > 0 {
		t.Errorf("in mode deepchecks: %v", problems)
	}
}

func TestReduceFeatures(t *testing.T) {
	t.Parallel()
	names, values, weights := []string{"a", "b"}, []float64{0.2, 0.4}, []float64{1, 3}
	for method, want := range map[string]float64{"mean": 0.3, "max": 0.4, "weighted": 0.35} {
		o := engine.ReduceFeatures(method, "X", names, values, weights)
		if got := o[0].Value.(float64); got < want-1e-12 || got > want+1e-12 {
			t.Errorf("%s: %v, want %v", method, got, want)
		}
	}
	if o := engine.ReduceFeatures("none", "X", names, values, nil); o.Get("b") != 0.4 {
		t.Errorf("none: %v", o)
	}
	if o := engine.ReduceFeatures("l3_weighted", "X", names, values, nil); o[0].Value.(float64) != 0.30000000000000004 {
		t.Errorf("without weights: %v", o)
	}
}
