package gcelab

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestEveryMethodIsAnswered keeps the documents and the handlers together.
func TestEveryMethodIsAnswered(t *testing.T) {
	t.Parallel()
	docs, err := loadDocuments()
	if err != nil {
		t.Fatal(err)
	}
	have := handlers()
	for _, d := range docs {
		for _, m := range d.Methods {
			if have[m.ID] == nil {
				t.Errorf("the document %s has %s, the lab does not answer it", d.ID, m.ID)
			}
		}
	}
}

// TestAnswersAreChecked lets the lab answer what the document does not allow.
func TestAnswersAreChecked(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]object{
		"unknown field": {"kind": "compute#zone", "color": "blue"},
		"wrong type":    {"name": 7},
		"unknown enum":  {"status": "SIDEWAYS"},
		"number as id":  {"id": 12},
	} {
		l, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		l.handlers["compute.zones.get"] = func(*Lab, *call) (object, *apiError) { return answer, nil }
		res, err := http.Get(l.URL() + "/compute/v1/projects/lab-project/zones/us-central1-a")
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if v := l.Violations(); res.StatusCode != http.StatusInternalServerError || len(v) != 1 || !strings.HasPrefix(v[0], "compute.zones.get: ") {
			t.Errorf("%s: %s, violations %v: %s", name, res.Status, v, b)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}
