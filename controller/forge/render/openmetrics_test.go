package render

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

// parseOpenMetrics reads a text with Prometheus' parser of the format, which is strict, and gives values by name.
func parseOpenMetrics(text string) (map[string]float64, error) {
	p := textparse.NewOpenMetricsParser([]byte(text), labels.NewSymbolTable())
	out := map[string]float64{}
	for {
		entry, err := p.Next()
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, err
		}
		switch entry {
		case textparse.EntryType:
			if _, kind := p.Type(); kind != "gauge" {
				return nil, errors.New("a metric is no gauge")
			}
		case textparse.EntrySeries:
			series, _, value := p.Series()
			out[string(series)] = value
		}
	}
}

// TestOpenMetricsParser: what is written is read by a parser that is not ours, whatever the metrics are called.
func TestOpenMetricsParser(t *testing.T) {
	t.Parallel()
	list := []Metric{{Name: "accuracy", Value: 0.9}, {Name: "val/loss", Value: 1e-12}, {Name: "2nd", Value: -3}, {Name: "größe µ", Value: math.MaxFloat64}, {Name: "", Value: 7},
		{Name: "a\"b\\c\nd{e=\"f\"}", Value: 1}, {Name: "nan", Value: math.NaN()}, {Name: "inf", Value: math.Inf(1)}, {Name: "-inf", Value: math.Inf(-1)}, {Name: "accuracy", Value: 0.1},
		{Name: "x_total", Value: 2}, {Name: "x_created", Value: 2}, {Name: "x_bucket", Value: 3}, {Name: "# EOF", Value: 4}}
	var b strings.Builder
	if err := OpenMetrics(&b, list); err != nil {
		t.Fatal(err)
	}
	got, err := parseOpenMetrics(b.String())
	if err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	for name, want := range map[string]float64{"accuracy": 0.9, "val_loss": 1e-12, "_2nd": -3, "_": 7, "inf": math.Inf(1), "_inf": math.Inf(-1), "x_total": 2} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v", name, v)
		}
	}
	if v, ok := got["nan"]; !ok || !math.IsNaN(v) || len(got) != len(list)-1 {
		t.Errorf("%v", got)
	}
	// That the parser would complain:
	for _, bad := range []string{"# TYPE a gauge\na 1\n", "# TYPE a gauge\na one\n# EOF\n", "# TYPE a gauge\na b 1\n# EOF\n"} {
		if _, err := parseOpenMetrics(bad); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func FuzzOpenMetrics(f *testing.F) {
	f.Add("loss", 0.5)
	f.Add("a b{c=\"d\"}\n# EOF", math.Inf(-1))
	f.Fuzz(func(t *testing.T, name string, value float64) {
		var b strings.Builder
		if err := OpenMetrics(&b, []Metric{{Name: name, Value: value}}); err != nil {
			t.Fatal(err)
		}
		if got, err := parseOpenMetrics(b.String()); err != nil || len(got) != 1 {
			t.Errorf("%v, %v: %q", got, err, b.String())
		}
	})
}
