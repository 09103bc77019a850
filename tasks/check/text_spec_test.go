package check_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aloft/tasks/check"
	"aloft/tasks/check/report"
)

// texts writes data sets of texts: tables, tokens, properties, predictions.
func texts(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, side := range []string{"train", "test"} {
		table := "text,label,source,y_pred,proba_a,proba_b,e_0,e_1,Toxicity\n"
		properties, guesses, tokens := "Sentiment,Language\n", "y_pred,proba_a,proba_b\n", ""
		for i := range 60 {
			class := []string{"a", "b"}[i%2]
			table += fmt.Sprintf("\"%s <b>%s</b> number %d, of %s.\",%s,s%d,%s,0.7,0.3,%d,%d,0.%d\n", class, strings.Repeat("word ", i%7), i, side, class, i%3, class, i%5, i%4, i%10)
			properties += fmt.Sprintf("0.%d,en\n", i%10)
			guesses += class + ",0.5,0.5\n"
			tokens += fmt.Sprintf("{\"tokens\": [\"in\", \"New\", \"York %d\\\"]\"], \"label\": [\"O\", \"B-LOC\", \"I-LOC\"], \"y_pred\": [\"O\", \"B-LOC\", \"I-LOC\"]}\n", i)
		}
		write(side+".csv", table)
		write("properties_"+side+".csv", properties)
		write("guesses_"+side+".csv", guesses)
		write(side+".jsonl", tokens)
	}
	write("vocab.txt", "[UNK]\nword\n")
	return dir
}

// TestTextDocuments runs documents of every form.
func TestTextDocuments(t *testing.T) {
	t.Parallel()
	dir := texts(t)
	for _, c := range []struct {
		name, doc string
		want      []string // in the report
	}{
		{"least", "kind: nlp\nsuites: [data_integrity]\ntrain: train.csv", []string{`"task_type": "other"`, `"Text Length"`, `"source"`}},
		{"full", "kind: nlp\nsuites: [full_suite]\ntrain: train.csv\ntest: test.csv\nlabel: label\nembeddings: e_*\nvocabulary: vocab.txt\nproperties: {columns: [Toxicity], compute: all}\nmetadata: [source]", []string{`"Toxicity"`, `"URLs Count"`, `"unknown_word_ratio"`, `"domain_classifier_auc"`, `"Recall"`}},
		{"files", "kind: nlp\nsuites: [model_evaluation]\ntrain: train.csv\ntest: test.csv\nlabel: label\nmetadata: []\npredictions: {train: guesses_train.csv, test: guesses_test.csv}\nproperties: {train: properties_train.csv, test: properties_test.csv, exclude: [Text Length]}\nembeddings: {train: guesses_train.csv}\n", nil},
		{"tokens", "kind: nlp\nsuites: [full_suite]\ntrain: train.jsonl\ntest: test.jsonl\nlabel: label\n", []string{`"token_classification"`, `"LOC"`}},
		{"columns", "kind: nlp\nchecks: [SingleDatasetPerformance, ConfusionMatrixReport]\ntrain: train.csv\nlabel: label\nclasses: [a, b]\npredictions: {column: y_pred, proba: {a: proba_a, b: proba_b}}", []string{`"Accuracy"`}},
		{"none", "kind: nlp\nchecks: [PropertyDrift]\ntrain: train.csv\ntest: test.csv\nproperties: none", []string{"requires properties"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			doc := c.doc
			if c.name == "files" {
				doc = strings.Replace(doc, "embeddings: {train: guesses_train.csv}\n", "", 1)
			}
			spec, err := check.ParseSuite("suite.yaml", []byte(doc))
			if err != nil {
				t.Fatal(err)
			}
			r, err := check.RunSpec(context.Background(), spec, dir)
			if err != nil {
				t.Fatal(err)
			}
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			var b bytes.Buffer
			if err := report.JSON(&b, r); err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if !strings.Contains(b.String(), want) {
					t.Errorf("the report lacks %s", want)
				}
			}
			for _, o := range r.Outcomes {
				if o.NotRun() && c.name != "none" {
					t.Errorf("%s: %v", o.Def.ID, o.Err)
				}
			}
			for name, form := range map[string]func(*bytes.Buffer) error{
				"HTML": func(b *bytes.Buffer) error { return report.HTML(b, r) }, "Markdown": func(b *bytes.Buffer) error { return report.Markdown(b, r) },
				"JUnit": func(b *bytes.Buffer) error { return report.JUnit(b, r) }, "deepchecks": func(b *bytes.Buffer) error { return report.Deepchecks(b, r) },
				"text": func(b *bytes.Buffer) error { return report.Text(b, r, report.TextOptions{}) },
			} {
				b.Reset()
				if err := form(&b); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if name == "HTML" && strings.Contains(b.String(), "<b>word") {
					t.Error("the page holds a text that is not escaped")
				}
				if name == "deepchecks" && !json.Valid(b.Bytes()) {
					t.Error("deepchecks' JSON is not valid")
				}
			}
		})
	}
}

// TestTextFaults names what is wrong in a document or its files.
func TestTextFaults(t *testing.T) {
	t.Parallel()
	dir := texts(t)
	for _, c := range []struct{ name, doc, want string }{
		{"unknown key", "kind: nlp\nsuites: [data_integrity]\ntrain: train.csv\nfeatures: [a]", `suite.yaml:4: unknown key "features"`},
		{"no data", "kind: nlp\nsuites: [data_integrity]", `no texts: add "train"`},
		{"no test", "kind: nlp\nsuites: [train_test_validation]\ntrain: train.csv", `add "test"`},
		{"no label", "kind: nlp\nsuites: [model_evaluation]\ntrain: train.csv", `add "label"`},
		{"unknown suite", "kind: nlp\nsuites: [production_suite]\ntrain: train.csv", "production_suite"},
		{"unknown check", "kind: nlp\nchecks: [FeatureDrift]\ntrain: train.csv", "FeatureDrift"},
		{"task", "kind: nlp\nsuites: [data_integrity]\ntrain: train.csv\ntask_type: binary", "must be text_classification or token_classification or other"},
		{"properties", "kind: nlp\nsuites: [data_integrity]\ntrain: train.csv\nproperties: [Text Lenght]", `no built-in property "Text Lenght" (did you mean "Text Length"?)`},
		{"properties, both", "kind: nlp\nsuites: [data_integrity]\ntrain: train.csv\nproperties: {compute: [Text Length], exclude: [Toxicity]}", "not both"},
		{"embeddings", "kind: nlp\nsuites: [data_integrity]\ntrain: train.csv\nembeddings: e.npy", "one *"},
		{"column", "kind: nlp\nsuites: [data_integrity]\ntrain: train.csv\ntext: txt", `"txt"`},
		{"vocabulary", "kind: nlp\nsuites: [data_integrity]\ntrain: train.csv\nvocabulary: train.csv", "vocabulary: "},
		{"umap", "kind: nlp\nchecks:\n  - check: TextEmbeddingsDrift\n    params: {dimension_reduction_method: umap}\ntrain: train.csv\ntest: test.csv", "umap is not there"},
		{"length", "kind: nlp\nsuites: [data_integrity]\ntrain: train.csv\npredictions: {train: vocab.txt}", "holds no predictions"},
		{"rows", "kind: nlp\nsuites: [data_integrity]\ntrain: train.csv\nmetadata: {train: vocab.txt}", "1 rows of metadata for 60 texts"},
		{"classes", "kind: nlp\nsuites: [data_integrity]\ntrain: train.csv\nclasses: [a, c]", "the probabilities are of the classes a, b"},
		{"categorical", "kind: nlp\nsuites: [data_integrity]\ntrain: train.csv\ncategorical_metadata: [sauce]", `no "sauce" (did you mean "source"?)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			spec, err := check.ParseSuite("suite.yaml", []byte(c.doc))
			if err == nil {
				_, err = check.RunSpec(context.Background(), spec, dir)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
