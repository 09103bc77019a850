package report_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aloft/tasks/check"
	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
)

// wave is a repeatable sequence of numbers between 0 and 1.
func wave(i int) float64 {
	f := math.Sin(float64(i)*12.9898) * 43758.5453
	return f - math.Floor(f)
}

// names makes n names of different lengths.
func names(n int, long bool) []string {
	parts := []string{"age", "income_bracket", "zip", "number_of_previous_claims", "x", "Körpergröße", "is_member"}
	if long {
		parts = []string{strings.Repeat("Donaudampfschiff", 8), "a name with " + strings.Repeat("very many words ", 12), "<b>&\"'", strings.Repeat("W", 60), "漢字の列名前漢字の列名前漢字の列名前漢字の列名前", "🙂", "\u202eright to left\x00\x1b[31m"}
	}
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s %d", parts[i%len(parts)], i)
	}
	return out
}

func definition(id string) *engine.Definition {
	return &engine.Definition{
		ID: id, Summary: "Looks at `" + id + "` as a reader would, and tells in one sentence what it finds.", Scope: engine.SingleDataset,
		Formula: "The value is `sum((x - mean(x))**2) / n` over the rows present. See `n_samples`.", Differs: "Rows without a label are left out, since they have no score.",
		Params: engine.SampleParams(10000),
	}
}

// ran makes the outcomes of one check, on train and on test.
func ran(id string, sides bool, displays []engine.Display, verdicts ...engine.Verdict) []engine.Outcome {
	which := []engine.Which{""}
	if sides {
		which = []engine.Which{engine.Train, engine.Test}
	}
	var out []engine.Outcome
	for _, w := range which {
		def := definition(id)
		o := engine.Outcome{Suite: "full_suite", Def: def, Args: engine.Args{"n_samples": 10000, "random_state": 42}, Which: w, Header: def.Name(), Elapsed: 12 * time.Millisecond}
		o.Sampled = engine.Sampled{Train: 10000, Test: 5000, TrainTotal: 120000, TestTotal: 5000}
		o.Result = engine.Result{Value: engine.Scalar(.25), Displays: displays}
		for i, v := range verdicts {
			o.Conditions = append(o.Conditions, engine.Judged{ID: fmt.Sprint(i), Name: "Drift score is less than 0.2", Verdict: v, Details: "Found 3 out of 12 columns with a score above threshold: {'age': 0.31, 'income': 0.44}"})
		}
		out = append(out, o)
	}
	return out
}

// shown are displays of every type, over n names.
func shown(n int, long bool) map[string][]engine.Display {
	cols := names(n, long)
	few := cols[:min(n, 5)]
	corr := engine.Heatmap{Title: "Correlation of features", RowName: "Feature", ColName: "Feature", Rows: cols, Cols: cols}
	for i := range cols {
		row := make([]float64, n)
		for j := range row {
			row[j] = math.Round((wave(min(i, j)*131+max(i, j))*2-1)*1000) / 1000
			if i == j {
				row[j] = 1
			}
		}
		corr.Values = append(corr.Values, row)
	}
	confusion := engine.Heatmap{Title: "Confusion matrix", RowName: "True class", ColName: "Predicted class", Rows: few, Cols: few}
	for i := range few {
		row, shares, sum := make([]float64, len(few)), make([]float64, len(few)), 0.0
		for j := range row {
			row[j] = math.Floor(wave(i*7+j) * 400 * float64(1+6*b2i(i == j)))
			sum += row[j]
		}
		for j := range row {
			shares[j] = row[j] / sum
		}
		confusion.Values, confusion.Shares = append(confusion.Values, row), append(confusion.Shares, shares)
	}
	roc := engine.LineChart{Title: "ROC curves", XName: "False positive rate", YName: "True positive rate", XMax: 1, YMax: 1, Diagonal: true}
	calibration := engine.LineChart{Title: "Calibration", XName: "Mean predicted probability", YName: "Share of positives", XMax: 1, YMax: 1, Diagonal: true}
	for k, name := range few {
		var xs, ys, cx, cy []float64
		for i := range 20001 {
			x := float64(i) / 20000
			xs, ys = append(xs, x), append(ys, math.Pow(x, 1/float64(k+2)))
		}
		for i := range 10 {
			cx, cy = append(cx, float64(i)/9), append(cy, min(max(float64(i)/9+(wave(i+k)-.5)/3, 0), 1))
		}
		roc.Lines = append(roc.Lines, engine.Line{Name: name, X: xs, Y: ys, Mark: 3000, MarkText: "cutoff 0.42"})
		calibration.Lines = append(calibration.Lines, engine.Line{Name: name, X: cx, Y: cy, Mark: -1})
	}
	hist := engine.Histogram{Title: "Distribution of " + cols[0], XName: cols[0], Series: []string{"Train", "Test"}, Shares: make([][]float64, 2), Marks: []float64{-1.2, 1.1, 1.3}, MarkNames: []string{"train mean", "test mean", "a mark at nearly the same place"}}
	for i := range 41 {
		x := float64(i)/5 - 4
		hist.Edges = append(hist.Edges, x)
		if i < 40 {
			hist.Shares[0] = append(hist.Shares[0], math.Exp(-(x+1)*(x+1))/10)
			hist.Shares[1] = append(hist.Shares[1], math.Exp(-(x-1)*(x-1)/2)/14)
		}
	}
	bars := engine.BarChart{Title: "Shares of " + cols[0], Unit: "share of rows", Series: []string{"Train", "Test"}}
	importance := engine.BarChart{Title: "Importance", Series: []string{"Importance"}}
	for i, name := range cols[:min(n, 14)] {
		bars.Groups = append(bars.Groups, engine.BarGroup{Label: name, Values: []float64{wave(i) / 4, wave(i+50) / 4}})
		importance.Groups = append(importance.Groups, engine.BarGroup{Label: name, Values: []float64{wave(i + 9)}})
	}
	errorsOf := engine.BarChart{Title: "Gain", Series: []string{"Model"}, Groups: []engine.BarGroup{{Label: few[0], Values: []float64{-1250.5}}, {Label: "b", Values: []float64{nan()}}, {Label: "c", Values: []float64{math.Inf(1)}}, {Label: "d", Values: []float64{318.25}}}}
	scatter := engine.Scatter{Title: "Rows in two dimensions", XName: cols[0], YName: "second component", ColorName: "outlier score"}
	plain := engine.Scatter{Title: "Prediction against label", XName: "label", YName: "prediction"}
	for i := range 6000 {
		x, y := wave(i)*wave(i+3)*40-3, wave(i+7)*9e6
		scatter.X, scatter.Y, scatter.Color = append(scatter.X, x), append(scatter.Y, y), append(scatter.Color, wave(i+11))
		plain.X, plain.Y = append(plain.X, x), append(plain.Y, x+wave(i+21))
	}
	table := engine.TableView{Title: "Worst segments", Grid: engine.Grid{Columns: []string{"Feature 1", "Range", "Feature 2", "Categories", "Score", "% of data"}}}
	for i := range min(n, 20) {
		table.Grid.Rows = append(table.Grid.Rows, []any{cols[i], "(0.5, inf]", nil, strings.Join(few, ", "), wave(i), "12.5%"})
	}
	gauges := []engine.Display{
		engine.Gauge{Title: "Drift of " + cols[0], Value: .31, Max: 1, Limit: .2, Method: "Kolmogorov-Smirnov"},
		engine.Gauge{Title: "Drift of " + cols[len(cols)-1], Value: .02, Max: 1, Limit: .2, Method: "Cramer's V"},
		engine.Gauge{Title: "At the end", Value: 1, Max: 1, Limit: 1, Method: "PSI"},
		engine.Gauge{Title: "Without a limit", Value: 12.5, Max: 20, Limit: nan(), Method: "Earth Mover's Distance"},
		engine.Gauge{Title: "Nothing", Value: nan(), Max: nan(), Limit: 0},
	}
	return map[string][]engine.Display{
		"correlation": {corr}, "confusion": {confusion}, "roc": {roc}, "calibration": {calibration}, "distribution": append([]engine.Display{hist, bars}, gauges...),
		"importance": {importance, errorsOf}, "scatter": {scatter, plain}, "table": {engine.Note{Text: "The segments in which the model does worst."}, table},
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func assembled(name string, n int, long bool) *engine.Report {
	d := shown(n, long)
	r := &engine.Report{
		Kind: "tabular", Name: name, Suite: "full_suite", Seed: 42, FailOn: engine.FailOnFail, Task: engine.Multiclass, Started: time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC), Elapsed: 1500 * time.Millisecond,
		Train: engine.Shape{Rows: 120000, Columns: n, Label: "y", Features: names(n, long), Numerical: names(n, long)}, Test: &engine.Shape{Rows: 5000, Columns: n},
	}
	for _, c := range names(3, long) {
		r.Classes = append(r.Classes, frame.TextValue(c))
	}
	r.Outcomes = append(r.Outcomes, ran("FeatureDrift", false, d["distribution"], engine.Fail, engine.Warn)...)
	r.Outcomes = append(r.Outcomes, ran("FeatureFeatureCorrelation", true, d["correlation"], engine.Fail)...)
	r.Outcomes = append(r.Outcomes, ran("ConfusionMatrixReport", true, d["confusion"], engine.Pass)...)
	r.Outcomes = append(r.Outcomes, ran("RocReport", true, d["roc"], engine.Pass)...)
	r.Outcomes = append(r.Outcomes, ran("CalibrationScore", true, d["calibration"])...)
	r.Outcomes = append(r.Outcomes, ran("WeakSegmentsPerformance", true, d["table"], engine.Warn)...)
	r.Outcomes = append(r.Outcomes, ran("OutlierSampleDetection", true, d["scatter"], engine.Broken)...)
	r.Outcomes = append(r.Outcomes, ran("UnusedFeatures", true, d["importance"], engine.Pass)...)
	r.Outcomes = append(r.Outcomes, ran("ColumnsInfo", true, nil)...)
	for i := range r.Outcomes {
		if r.Outcomes[i].Def.ID == "UnusedFeatures" {
			r.Outcomes[i].Notes = []string{"No model was given: the importances are those of the document."}
		}
	}
	broken := ran("BoostingOverfit", false, nil)[0]
	broken.Result, broken.Err = engine.Result{}, engine.Errorf(engine.Internal, "the check crashed: %s", strings.Join(names(3, long), ", "))
	skipped := ran("IndexTrainTestLeakage", false, nil)[0]
	skipped.Result, skipped.Err = engine.Result{}, &engine.Error{Class: engine.DatasetValidation, Cause: engine.Missing, Message: "Dataset does not contain an index"}
	r.Outcomes = append(r.Outcomes, broken, skipped)
	r.Baseline = &engine.Comparison{Name: "report of last week", Tolerance: .05, Steady: 112, Notes: []string{"The seed was another: " + names(1, long)[0]}}
	for i, kind := range []engine.Movement{engine.Worse, engine.Moved, engine.Better} {
		r.Baseline.Turns = append(r.Baseline.Turns, engine.Turn{Check: "FeatureDrift", Which: "train", Condition: "Drift score is less than 0.2 " + names(2, long)[1], Before: "PASS", After: "FAIL", Details: "Found " + strings.Join(names(9, long), ", "), Kind: kind})
		r.Baseline.Changes = append(r.Baseline.Changes, engine.Change{Check: "RocReport", Which: "test", Segment: "city=" + names(i+1, long)[i], Measure: names(i+1, long)[i], Before: .91, After: .72, Share: -.21, Kind: kind})
	}
	return r
}

// gallery is a report with every type of display.
func gallery() *engine.Report { return assembled("sales of 2024", 12, false) }

// hostile has names that are too long, markup, other scripts and controls.
func hostile() *engine.Report {
	r := assembled(strings.Repeat("Donaudampfschiff", 30), 9, true)
	for i := range r.Outcomes {
		for k := range r.Outcomes[i].Conditions {
			c := &r.Outcomes[i].Conditions[k]
			c.Name += strings.Join(names(3, true), ", ")
			c.Details += "\n" + strings.Join(names(40, true), ", ")
		}
	}
	return r
}

// hundred is a full suite on a hundred columns.
func hundred() *engine.Report {
	r := assembled("a hundred columns", 100, false)
	d := shown(100, false)
	for i := range 28 {
		verdict := []engine.Verdict{engine.Pass, engine.Pass, engine.Warn, engine.Fail}[i%4]
		all := [][]engine.Display{d["table"], d["distribution"], d["importance"], d["roc"], d["confusion"]}[i%5]
		r.Outcomes = append(r.Outcomes, ran(fmt.Sprintf("Check%sNumber%d", strings.Repeat("Long", i%4), i), true, all, verdict)...)
	}
	return r
}

// realReport runs every check there is on small tables.
func realReport(t *testing.T) *engine.Report {
	t.Helper()
	return runSuite(t, filepath.Join("..", "testdata", "orders"), map[string]any{
		"name": "orders of May", "label": "returned", "index": "order_id", "datetime": "placed",
	})
}

// realHundred runs them on a hundred columns.
func realHundred(t *testing.T) *engine.Report {
	t.Helper()
	dir := t.TempDir()
	for k, name := range []string{"train", "test"} {
		var table, pred strings.Builder
		pred.WriteString("y_pred,proba_a,proba_b,proba_c\n")
		for c := range 100 {
			fmt.Fprintf(&table, "a_rather_long_name_%d,", c)
		}
		table.WriteString("y\n")
		for i := range 400 {
			base := wave(i + 1000*k)
			for c := range 100 {
				v := wave(i*100 + c + k*7919)
				switch {
				case c%4 == 3:
					fmt.Fprintf(&table, "value %d,", int(v*float64(3+c/4)))
				case c%4 == 2 && v < .05:
					table.WriteString(",")
				default:
					fmt.Fprintf(&table, "%.4f,", base*float64(c%7)+v*float64(1+c%5)+float64(k*(c%3)))
				}
			}
			p := wave(i + 31)
			fmt.Fprintf(&table, "%c\n", 'a'+int(base*3))
			fmt.Fprintf(&pred, "%c,%.3f,%.3f,%.3f\n", 'a'+int(p*3), 1-p, p/2, p/2)
		}
		for file, text := range map[string]string{name + ".csv": table.String(), "pred_" + name + ".csv": pred.String()} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return runSuite(t, dir, map[string]any{"label": "y"})
}

// runSuite runs the full suite, and every check outside it that needs no
// parameters, on the tables in a folder.
func runSuite(t *testing.T, dir string, doc map[string]any) *engine.Report {
	t.Helper()
	reg, err := check.Tabular.Registry()
	if err != nil {
		t.Fatal(err)
	}
	var others []any
	for _, d := range reg.All() {
		needed := d.ID == "SchemaValidation" || slices.ContainsFunc(d.Params, func(p engine.Param) bool { return p.Required })
		if !needed && !slices.ContainsFunc(check.Tabular.SuiteChecks(check.FullSuite), func(o *engine.Definition) bool { return o.ID == d.ID }) {
			others = append(others, d.ID)
		}
	}
	doc["train"], doc["test"], doc["suites"], doc["checks"] = "train.csv", "test.csv", []any{check.FullSuite}, others
	doc["predictions"] = map[string]any{"train": "pred_train.csv", "test": "pred_test.csv"}
	spec, err := check.SpecFromMap(doc)
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
	return r
}
