package nlp_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/nlp"
	"aloft/tasks/check/text"
)

// find is the result of a check on a side, "" for both.
func find(t testing.TB, list []recorded, check, side string) recorded {
	t.Helper()
	for _, r := range list {
		if r.Check == check && (side == "" && r.Dataset == nil || r.Dataset == side) {
			return r
		}
	}
	t.Fatalf("there is no result of %s %s", check, side)
	return recorded{}
}

func all() []*engine.Definition {
	return slices.Concat(nlp.Model(), nlp.Split(), nlp.Integrity(), nlp.Extra())
}

// made is a set of n texts of two classes: those of the class long are longer,
// and the model errs on the longest.
func made(n int, seed uint64) *text.Set {
	r := rand.New(rand.NewPCG(seed, 1))
	s := &text.Set{Name: fmt.Sprint("made ", seed), Task: text.Classification, Classes: []string{"long", "short"}, Proba: make([][]float64, 2)}
	var label, predicted, source []string
	for i := range n {
		words, class := 2+r.IntN(8), "short"
		if r.IntN(2) == 0 {
			words, class = 10+r.IntN(30), "long"
		}
		parts := make([]string, words)
		for k := range parts {
			parts[k] = []string{"alpha", "beta", "gamma", "delta", "pi"}[r.IntN(5)]
		}
		p := 0.75
		if (class == "short") != (words > 36) {
			p = 0.25
		}
		s.Texts = append(s.Texts, strings.Join(parts, " ")+fmt.Sprintf(" %d.", i))
		label, source = append(label, class), append(source, []string{"web", "mail"}[r.IntN(2)])
		predicted = append(predicted, map[bool]string{true: "long", false: "short"}[p > 0.5])
		s.Proba[0], s.Proba[1] = append(s.Proba[0], p), append(s.Proba[1], 1-p)
	}
	s.Label, s.Predicted = frame.NewTexts("y", label), frame.NewTexts("p", predicted)
	table, _ := frame.NewTable("metadata", frame.NewTexts("source", source), frame.NewTexts("copy", source))
	s.Metadata = &text.Columns{Table: table}
	return s
}

func pair(t testing.TB) (train, test *text.Set) {
	t.Helper()
	train, test = made(400, 1), made(300, 2)
	for _, s := range []*text.Set{train, test} {
		if err := s.Compute(text.Selection{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := text.Agree(train, test, nil, nil); err != nil {
		t.Fatal(err)
	}
	return train, test
}

// TestSuites runs every check as it is by default.
func TestSuites(t *testing.T) {
	t.Parallel()
	train, test := pair(t)
	got := run(t, all(), engine.Inputs{TrainTexts: train, TestTexts: test})
	for _, r := range got {
		if r.Error != nil && r.Error.Kind == "error" {
			t.Errorf("%s %v: %+v", r.Check, r.Dataset, r.Error)
		}
	}
	weak := find(t, got, "PropertySegmentsPerformance", "train")
	if weak.Conditions[0].Category != "WARN" || !strings.Contains(fmt.Sprint(weak.Value), "Text Length") && !strings.Contains(fmt.Sprint(weak.Value), "Reading") {
		t.Errorf("the longest texts, on which the model errs, were not found: %+v %v", weak.Conditions, weak.Value)
	}
	if r := find(t, got, "PropertyLabelCorrelation", "train"); r.Conditions[0].Category != "FAIL" {
		t.Errorf("the length predicts the label: %+v", r)
	}
	if r := find(t, got, "PropertyDrift", ""); r.Conditions[0].Category != "PASS" {
		t.Errorf("nothing drifts: %+v", r)
	}
	if r := find(t, got, "PropertyDrift", ""); len(r.Notes) == 0 || !strings.Contains(r.Notes[0], "Language") {
		t.Errorf("it is not told which properties were not computed: %q", r.Notes)
	}
	if r := find(t, got, "PredictionDrift", ""); fmt.Sprint(r.Value) == "" || strings.Contains(fmt.Sprint(r.Value), "long:700") {
		t.Errorf("texts are not counted by class: %v", r.Value)
	}
}

// TestMissing names what each check lacks.
func TestMissing(t *testing.T) {
	t.Parallel()
	bare := func() *text.Set {
		return &text.Set{Name: "bare", Task: text.Classification, Texts: slices.Repeat([]string{"a", "b c", "d"}, 20)}
	}
	got := run(t, all(), engine.Inputs{TrainTexts: bare(), TestTexts: bare()})
	for check, want := range map[string]string{
		"TextPropertyOutliers": "requires properties", "UnknownTokens": "vocab.txt", "UnderAnnotatedPropertySegments": "requires labels",
		"PropertyLabelCorrelation": "requires properties", "ConflictingLabels": "requires labels", "SingleDatasetPerformance": "requires labels",
		"ConfusionMatrixReport": "requires labels", "PropertySegmentsPerformance": "requires properties", "MetadataSegmentsPerformance": "requires metadata",
	} {
		r := find(t, got, check, "test")
		if r.Error == nil || r.Error.Kind != "missing_input" || !strings.Contains(r.Error.Message, want) {
			t.Errorf("%s: %+v, want %q", check, r.Error, want)
		}
	}
	for check, want := range map[string]string{
		"PropertyDrift": "requires properties", "LabelDrift": "requires labels", "TextEmbeddingsDrift": "requires embeddings", "PredictionDrift": "requires predictions", "TrainTestPerformance": "requires labels",
	} {
		r := find(t, got, check, "")
		if r.Error == nil || r.Error.Kind != "missing_input" || !strings.Contains(r.Error.Message, want) {
			t.Errorf("%s: %+v, want %q", check, r.Error, want)
		}
	}
	labelled := bare()
	labelled.Label = frame.NewTexts("y", slices.Repeat([]string{"p", "q", "p"}, 20))
	got = run(t, all(), engine.Inputs{TrainTexts: labelled})
	for _, check := range []string{"SingleDatasetPerformance", "ConfusionMatrixReport"} {
		if r := find(t, got, check, "train"); r.Error == nil || !strings.Contains(r.Error.Message, "requires predictions") {
			t.Errorf("%s: %+v", check, r.Error)
		}
	}
}

// item builds a check with parameters and conditions.
func item(t testing.TB, check string, params map[string]any, uses ...engine.Use) engine.Item {
	t.Helper()
	for _, d := range all() {
		if d.ID == check {
			out, problems := d.Build(params, uses, engine.Mended)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			return out
		}
	}
	t.Fatalf("there is no check %s", check)
	return engine.Item{}
}

func only(t testing.TB, i engine.Item, in engine.Inputs) recorded {
	t.Helper()
	return runSuite(t, engine.Suite{Items: []engine.Item{i}}, in)[0]
}

func TestEmbeddings(t *testing.T) {
	t.Parallel()
	cloud := func(n, d int, shift float32, seed uint64) [][]float32 {
		r := rand.New(rand.NewPCG(seed, 2))
		out := make([][]float32, n)
		for i := range out {
			out[i] = make([]float32, d)
			for j := range out[i] {
				out[i][j] = float32(r.NormFloat64())
			}
			out[i][1] = out[i][1]*4 + shift
		}
		return out
	}
	set := func(e [][]float32) *text.Set {
		return &text.Set{Name: "e", Task: text.Other, Texts: make([]string, len(e)), Embeddings: e}
	}
	def := item(t, "TextEmbeddingsDrift", nil, engine.Use{ID: "overall_drift_value_less_than"})
	for _, c := range []struct {
		d     int
		shift float32
		want  string
	}{{8, 0, "PASS"}, {8, 12, "FAIL"}, {64, 0, "PASS"}, {64, 12, "FAIL"}} {
		r := only(t, def, engine.Inputs{TrainTexts: set(cloud(600, c.d, 0, 1)), TestTexts: set(cloud(500, c.d, c.shift, 2))})
		if r.Error != nil || r.Conditions[0].Category != c.want {
			t.Errorf("%d dimensions moved by %v: %+v %+v", c.d, c.shift, r.Conditions, r.Error)
		}
		if reduced := len(r.Notes) > 0; reduced != (c.d >= 30) {
			t.Errorf("%d dimensions: %q", c.d, r.Notes)
		}
	}
	same := make([][]float32, 100)
	for i := range same {
		same[i] = make([]float32, 64)
	}
	if r := only(t, def, engine.Inputs{TrainTexts: set(same), TestTexts: set(same)}); r.Error != nil || r.Conditions[0].Category != "PASS" {
		t.Errorf("equal embeddings: %+v %+v", r.Conditions, r.Error)
	}
	if r := only(t, def, engine.Inputs{TrainTexts: set(cloud(50, 8, 0, 1)), TestTexts: set(cloud(50, 9, 0, 2))}); r.Error == nil || !strings.Contains(r.Error.Message, "8 dimensions") {
		t.Errorf("embeddings of two models: %+v", r.Error)
	}
	for _, d := range all() {
		if d.ID == "TextEmbeddingsDrift" {
			if _, problems := d.Build(map[string]any{"dimension_reduction_method": "umap"}, nil, engine.Mended); len(problems) == 0 || !strings.Contains(problems[0].Message, "umap is not there") {
				t.Errorf("umap: %v", problems)
			}
		}
	}
}

// TestTokens scores entities and their drift.
func TestTokens(t *testing.T) {
	t.Parallel()
	set := func(guess []string) *text.Set {
		s := &text.Set{Name: "tokens", Task: text.Tokens}
		for range 40 {
			s.Texts, s.Tokens = append(s.Texts, "I saw New York"), append(s.Tokens, []string{"I", "saw", "New", "York"})
			s.Tags, s.PredictedTags = append(s.Tags, []string{"B-PER", "O", "B-LOC", "I-LOC"}), append(s.PredictedTags, guess)
		}
		return s
	}
	train, test := set([]string{"B-PER", "O", "B-LOC", "I-LOC"}), set([]string{"B-PER", "O", "B-LOC", "B-LOC"})
	got := run(t, all(), engine.Inputs{TrainTexts: train, TestTexts: test})
	r := find(t, got, "TrainTestPerformance", "")
	if r.Error != nil {
		t.Fatal(r.Error)
	}
	table, _ := r.Value.(map[string]any)
	want := map[string]float64{"Train LOC F1": 1, "Train PER Recall": 1, "Test LOC F1": 0, "Test PER F1": 1, "Test LOC Precision": 0}
	for _, row := range table["data"].([]any) {
		cells := row.([]any)
		key := fmt.Sprint(cells[0], " ", cells[1], " ", cells[2])
		if w, ok := want[key]; ok && cells[3] != w {
			t.Errorf("%s is %v, want %v", key, cells[3], w)
		}
		delete(want, key)
		if cells[4] != float64(40) {
			t.Errorf("%s counts %v entities", key, cells[4])
		}
	}
	if len(want) > 0 {
		t.Errorf("there are no scores %v", want)
	}
	if r := find(t, got, "LabelDrift", ""); r.Error != nil || r.Conditions[0].Category != "PASS" {
		t.Errorf("labels do not drift: %+v", r)
	}
	if r := find(t, got, "PredictionDrift", ""); r.Error != nil || !strings.Contains(fmt.Sprint(r.Value), "LOC:160") {
		t.Errorf("the predicted labels are counted as %v, %+v", r.Value, r.Error)
	}
	for _, check := range []string{"ConfusionMatrixReport", "PropertyLabelCorrelation"} {
		if r := find(t, got, check, "train"); r.Error == nil || r.Error.Kind != "irrelevant" {
			t.Errorf("%s of tokens: %+v", check, r.Error)
		}
	}
	broken := set(nil)
	broken.PredictedTags = broken.PredictedTags[:3]
	report, err := engine.Run(t.Context(), engine.Suite{}, engine.Inputs{TrainTexts: broken})
	if err != nil || report.Err == nil || !strings.Contains(report.Err.Message, "3 lists of predicted token labels for 40 texts") {
		t.Errorf("predictions of other length: %v %+v", err, report.Err)
	}
}

// TestMultilabel scores texts with several labels each.
func TestMultilabel(t *testing.T) {
	t.Parallel()
	set := func(guess []string) *text.Set {
		s := &text.Set{Name: "multi", Task: text.Classification}
		for i := range 40 {
			s.Texts, s.Multi = append(s.Texts, fmt.Sprint("text ", i)), append(s.Multi, []string{"a", "b"})
			if guess != nil {
				s.PredictedMulti = append(s.PredictedMulti, guess)
			}
		}
		return s
	}
	train, test := set([]string{"a", "b"}), set(nil)
	test.Classes, test.Proba = []string{"a", "b", "c"}, [][]float64{slices.Repeat([]float64{0.9}, 40), slices.Repeat([]float64{0.2}, 40), slices.Repeat([]float64{0.6}, 40)}
	got := run(t, all(), engine.Inputs{TrainTexts: train, TestTexts: test})
	r := find(t, got, "TrainTestPerformance", "")
	if r.Error != nil {
		t.Fatal(r.Error)
	}
	table, _ := r.Value.(map[string]any)
	want := map[string]any{"Train a F1": 1.0, "Test a Recall": 1.0, "Test b Recall": 0.0, "Test c Precision": "NaN"}
	for _, row := range table["data"].([]any) {
		cells := row.([]any)
		key := fmt.Sprint(cells[0], " ", cells[1], " ", cells[2])
		if w, ok := want[key]; ok && cells[3] != w {
			t.Errorf("%s is %v, want %v", key, cells[3], w)
		}
		delete(want, key)
	}
	if len(want) > 0 {
		t.Errorf("there are no scores %v", want)
	}
	if r := find(t, got, "LabelDrift", ""); r.Error != nil || r.Conditions[0].Category != "PASS" {
		t.Errorf("labels do not drift: %+v", r)
	}
	if r := find(t, got, "PredictionDrift", ""); r.Error != nil || r.Conditions[0].Category != "FAIL" || !strings.Contains(fmt.Sprint(r.Value), "c:40") {
		t.Errorf("predictions drift: %+v %+v", r.Value, r.Error)
	}
	for _, check := range []string{"ConflictingLabels", "PropertyLabelCorrelation", "PropertySegmentsPerformance", "ConfusionMatrixReport"} {
		if r := find(t, got, check, "train"); r.Error == nil || r.Error.Kind != "irrelevant" || !strings.Contains(r.Error.Message, "multilabel") {
			t.Errorf("%s of several labels: %+v", check, r.Error)
		}
	}
}

func TestUnknownTokens(t *testing.T) {
	t.Parallel()
	v, err := text.ParseVocabulary(strings.NewReader("[UNK]\nhello\nworld\n##ly\n.\n"))
	if err != nil {
		t.Fatal(err)
	}
	s := &text.Set{Name: "u", Task: text.Other, Vocabulary: v, Texts: []string{"Hello world.", "worldly zebra", "zebra hello"}}
	r := only(t, item(t, "UnknownTokens", nil, engine.Use{ID: "ratio_of_unknown_words_less_or_equal"}), engine.Inputs{TrainTexts: s})
	if value, _ := r.Value.(map[string]any); value["unknown_word_ratio"] != 2.0/7 || fmt.Sprint(value["unknown_word_details"]) != "map[zebra:map[indexes:[1 2] ratio:0.2857142857142857]]" || r.Conditions[0].Category != "FAIL" {
		t.Errorf("%v %+v", r.Value, r.Conditions)
	}
}

func TestFrequentSubstrings(t *testing.T) {
	t.Parallel()
	s := &text.Set{Name: "f", Task: text.Other}
	for i := range 40 {
		body := fmt.Sprintf("Text number %d says %d.", i, i*i)
		if i%2 == 0 {
			body += " Sent from my new phone today."
		}
		s.Texts = append(s.Texts, body)
	}
	r := only(t, item(t, "FrequentSubstrings", nil, engine.Use{ID: "zero_result"}), engine.Inputs{TrainTexts: s})
	value, _ := r.Value.(map[string]any)
	if fmt.Sprint(value["Text"]) != "[Sent from my new phone today.]" || fmt.Sprint(value["% In data"]) != "[50%]" || r.Conditions[0].Category != "WARN" {
		t.Errorf("%v %+v", r.Value, r.Conditions)
	}
	s.Texts = s.Texts[:1]
	if r := only(t, item(t, "FrequentSubstrings", nil, engine.Use{ID: "zero_result"}), engine.Inputs{TrainTexts: s}); r.Conditions[0].Category != "PASS" {
		t.Errorf("one text: %v", r.Value)
	}
}

// TestEqualTexts finds duplicates, conflicts and leaks.
func TestEqualTexts(t *testing.T) {
	t.Parallel()
	train := &text.Set{Name: "a", Task: text.Classification, Texts: []string{"The cat sat.", "cat SAT", "dog", "", "bird"}, Missing: []bool{false, false, false, true, false}, Label: frame.NewTexts("y", []string{"p", "q", "p", "q", "q"})}
	test := &text.Set{Name: "b", Task: text.Classification, Texts: []string{"DOG!", "fish"}, Label: frame.NewTexts("y", []string{"p", "q"})}
	got := run(t, all(), engine.Inputs{TrainTexts: train, TestTexts: test})
	for _, c := range []struct{ check, side, key, want string }{
		{"TextDuplicates", "train", "percent_of_duplicates", "0.25"}, {"ConflictingLabels", "train", "percent_of_conflicting_samples", "0.5"},
		{"TrainTestSamplesMix", "", "ratio", "0.5"}, {"TextDuplicates", "test", "percent_of_duplicates", "0"},
	} {
		r := find(t, got, c.check, c.side)
		if value, _ := r.Value.(map[string]any); fmt.Sprint(value[c.key]) != c.want {
			t.Errorf("%s %s: %v, want %s", c.check, c.side, r.Value, c.want)
		}
	}
	r := only(t, item(t, "TextDuplicates", map[string]any{"ignore_case": false}), engine.Inputs{TrainTexts: train})
	if value, _ := r.Value.(map[string]any); value["percent_of_duplicates"] != 0.0 {
		t.Errorf("with case: %v", r.Value)
	}
}

// TestUnderAnnotated finds where labels are missing.
func TestUnderAnnotated(t *testing.T) {
	t.Parallel()
	train, _ := pair(t)
	labels := make([]string, train.Len())
	for i := range labels {
		if len(train.Texts[i]) < 120 {
			labels[i] = "x"
		}
	}
	train.Label = frame.NewTexts("y", labels)
	i := item(t, "UnderAnnotatedPropertySegments", nil, engine.Use{ID: "segments_relative_performance_greater_than"}, engine.Use{ID: "segments_annotation_ratio_greater_than"})
	r := only(t, i, engine.Inputs{TrainTexts: train})
	if r.Error != nil || r.Conditions[0].Category != "WARN" || r.Conditions[1].Category != "WARN" || r.Conditions[1].Details != "Found a segment with annotation ratio of 0" {
		t.Errorf("%+v %+v", r.Conditions, r.Error)
	}
	few := &text.Set{Name: "few", Task: text.Classification, Texts: []string{"a"}, Label: frame.NewTexts("y", []string{""})}
	if r := only(t, i, engine.Inputs{TrainTexts: few}); r.Error == nil || r.Error.Class != "NotEnoughSamplesError" {
		t.Errorf("one text: %+v", r.Error)
	}
}
