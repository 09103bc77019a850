package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// Bounds of a file of metrics.
const (
	mostMetrics = 10_000
	mostDepth   = 20
)

// Metric is one number, or a series of them of which the last counts.
type Metric struct {
	Name   string
	Value  float64
	Series []float64 // nil = a single number
}

// ParseMetrics reads a file of metrics: JSON, whose objects are folded to names with dots, or lines NAME: VALUE,
// NAME = VALUE and NAME VALUE. Whatever is no number is left out.
func ParseMetrics(src []byte) ([]Metric, error) {
	text := bytes.TrimSpace(bytes.TrimPrefix(src, []byte("\xef\xbb\xbf")))
	if len(text) == 0 {
		return nil, nil
	}
	if text[0] != '{' {
		return metricLines(string(text)), nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	m := &metricReader{d: d, at: map[string]int{}}
	if err := m.value("", 0); err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read metrics: there is something after the object")
	}
	return m.out, nil
}

// metricReader walks through JSON in the order of the file.
type metricReader struct {
	d   *json.Decoder
	out []Metric
	at  map[string]int
}

func (m *metricReader) value(name string, depth int) error {
	if depth > mostDepth {
		return errors.New("it is nested too deeply")
	}
	tok, err := m.d.Token()
	if err != nil {
		return noEOF(err)
	}
	switch v := tok.(type) {
	case json.Number:
		if f, err := v.Float64(); err == nil {
			return m.add(Metric{Name: name, Value: f})
		}
	case json.Delim:
		if v == '[' {
			return m.series(name, depth)
		}
		for m.d.More() {
			key, err := m.d.Token()
			if err != nil {
				return noEOF(err)
			}
			k, _ := key.(string)
			if name != "" {
				k = name + "." + k
			}
			if err := m.value(k, depth+1); err != nil {
				return err
			}
		}
		_, err := m.d.Token()
		return noEOF(err)
	}
	return nil
}

// series reads a list: of numbers, else it is left out.
func (m *metricReader) series(name string, depth int) error {
	var all []float64
	numbers := true
	for m.d.More() {
		var raw json.RawMessage
		if err := m.d.Decode(&raw); err != nil {
			return noEOF(err)
		}
		var f float64
		if bytes.Equal(bytes.TrimSpace(raw), []byte("null")) || json.Unmarshal(raw, &f) != nil {
			numbers = false
			continue
		}
		all = append(all, f)
	}
	if _, err := m.d.Token(); err != nil {
		return noEOF(err)
	}
	if !numbers || len(all) == 0 {
		return nil
	}
	return m.add(Metric{Name: name, Value: all[len(all)-1], Series: all})
}

// add keeps the last of what has one name.
func (m *metricReader) add(x Metric) error {
	if i, ok := m.at[x.Name]; ok {
		m.out[i] = x
		return nil
	}
	if len(m.out) == mostMetrics {
		return fmt.Errorf("there are more than %d", mostMetrics)
	}
	m.at[x.Name] = len(m.out)
	m.out = append(m.out, x)
	return nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

var metricLine = regexp.MustCompile(`^(.*?\S)\s*(?:[:=]\s*|\s+)([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)\s*(%?)$`)

func metricLines(text string) []Metric {
	m := &metricReader{at: map[string]int{}}
	for _, line := range strings.Split(text, "\n") {
		found := metricLine.FindStringSubmatch(strings.TrimSpace(strings.TrimLeft(line, "-*# \t")))
		if found == nil {
			continue
		}
		f, err := strconv.ParseFloat(found[2], 64)
		if err != nil {
			continue
		}
		if found[3] == "%" {
			f /= 100
		}
		if m.add(Metric{Name: strings.TrimSpace(found[1]), Value: f}) != nil {
			break
		}
	}
	return m.out
}

// direction says which way a metric gets better, by its name: 1 = up, -1 = down, 0 = not known.
func direction(name string) int {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return strings.ContainsRune("._-/ ()@", r) })
	sort.Strings(words)
	has := func(list ...string) bool {
		for _, w := range list {
			if i := sort.SearchStrings(words, w); i < len(words) && words[i] == w {
				return true
			}
		}
		return false
	}
	switch {
	case has("loss", "error", "err", "rmse", "mse", "mae", "mape", "logloss", "perplexity", "latency", "wer", "cer", "fpr", "fnr", "rmsle", "brier"):
		return -1
	case has("accuracy", "acc", "f1", "auc", "precision", "recall", "r2", "score", "map", "iou", "bleu", "rouge", "throughput", "dice", "mcc", "ap"):
		return 1
	}
	return 0
}

// number writes a value with as many digits as are worth reading.
func number(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1e15 {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return strconv.FormatFloat(f, 'g', 5, 64)
}

// spark draws a series in a line of at most width characters.
func spark(series []float64, width int) string {
	bars := []rune("▁▂▃▄▅▆▇█")
	n := min(len(series), width)
	points := make([]float64, n)
	lo, hi := math.Inf(1), math.Inf(-1)
	for i := range points {
		points[i] = series[i*(len(series)-1)/max(n-1, 1)]
		lo, hi = min(lo, points[i]), max(hi, points[i])
	}
	var b strings.Builder
	for _, p := range points {
		k := 0
		if hi > lo {
			k = int((p/2 - lo/2) / (hi/2 - lo/2) * float64(len(bars)-1))
		}
		b.WriteRune(bars[min(max(k, 0), len(bars)-1)])
	}
	return b.String()
}
