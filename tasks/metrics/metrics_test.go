package metrics_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"aloft/tasks/metrics"
)

func TestLines(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`{"step": 1, "loss": 0.5}`:                             "loss 1 true 0 0.5",
		`{"epoch": 2, "a": {"b": {"c": 1e-3}}, "s": "text"}`:   "a.b.c 2 true 0 0.001",
		`{"step": 500, "epoch": 0.25, "loss": NaN}`:            "loss 500 true 0 NaN",
		`{"epoch": 0.25, "loss": -Infinity}`:                   "loss 0 false 0 -Inf",
		`{"time": 1700000000.5, "x": "NaN"}`:                   "x 0 false 1700000000500 NaN",
		`{"ts": "2026-01-02T03:04:05Z", "x": 1}`:               "x 0 false 1767323045000 1",
		`{"x": [1, 2], "y": null, "z": true, "w": [{"q": 1}]}`: "",
		"  ":                                  "",
		"{}":                                  "",
		"\xef\xbb\xbf{\"\\u0061\\n\": 2}\r\n": "a_ 0 false 0 2",
		`{"step": 1.5, "x": 1}`:               "error",
		`{"x": 1`:                             "error",
		`{"x": 1} {`:                          "error",
		`[1]`:                                 "error",
		`oops`:                                "error",
		`{"x": 0x10}`:                         "error",
		`{"x": 1e999}`:                        "error",
		`{"x" 1}`:                             "error",
		`{"x": 1,}`:                           "error",
		strings.Repeat(`{"a":`, 50) + "1" + strings.Repeat("}", 50): "error",
	} {
		l := metrics.NewLines()
		got := ""
		samples, err := l.Parse([]byte(line))
		for _, s := range samples {
			got = strings.TrimSpace(got + "\n" + fmt.Sprint(s.Name, " ", s.Step, s.HasStep, " ", s.AtMS, " ", s.Value))
		}
		if err != nil {
			got = "error"
		}
		if strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
			t.Errorf("%s: %q, want %q (%v)", line, got, want, err)
		}
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"train": {"loss": 0.5, "acc": [0.1, 0.9]}, "n": 3}`: "[{train.loss 0.5 []} {train.acc 0.9 [0.1 0.9]} {n 3 []}]",
		"accuracy: 0.93\nf1 = 93%\nloss 2e-1\n# note\n":       "[{accuracy 0.93 []} {f1 0.93 []} {loss 0.2 []}]",
		`{"loss": NaN}`: "[{loss NaN []}]",
		"":              "[]",
	} {
		got, err := metrics.ParseFile([]byte(text))
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s: %v, %v; want %s", text, got, err, want)
		}
	}
	if _, err := metrics.ParseFile([]byte(`{"a": `)); err == nil {
		t.Error("half an object is read")
	}
}

// TestEvents reads a file that another program wrote (testdata/events.py).
func TestEvents(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/events.out.tfevents.1700000000.host")
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]*metrics.Summary{}
	read := func(b []byte) error {
		for len(b) > 0 {
			data, size, err := metrics.NextRecord(b)
			if err != nil || size > int64(len(b)) {
				return err
			}
			samples, err := metrics.ParseEvent(data)
			if err != nil {
				return err
			}
			for _, s := range samples {
				if sums[s.Name] == nil {
					sums[s.Name] = &metrics.Summary{}
				}
				sums[s.Name].Add(metrics.Point{Step: s.Step, AtMS: s.AtMS, Value: s.Value})
			}
			b = b[size:]
		}
		return nil
	}
	if err := read(b); err != nil {
		t.Fatal(err)
	}
	if l := sums["loss"]; l == nil || l.Points != 20 || l.Last != float64(float32(0.05)) || l.LastStep != 20 || l.FirstMS != 1700000001000 {
		t.Errorf("loss: %+v", l)
	}
	if l := sums["epoch_accuracy"]; l == nil || l.Points != 20 || l.Max != 1 {
		t.Errorf("epoch_accuracy: %+v", l)
	}
	if l := sums["lr"]; l == nil || l.Last != 0.125 {
		t.Errorf("lr: %+v", l)
	}
	if l := sums["bad"]; l == nil || l.NotFinite != 1 || !math.IsNaN(l.Min) {
		t.Errorf("bad: %+v", l)
	}
	if len(sums) != 4 {
		t.Errorf("series: %v", sums)
	}
	// Whatever byte of a record is wrong, it is seen.
	for i := range 200 {
		x := slices.Clone(b)
		x[i] ^= 0x10
		if read(x) == nil {
			t.Fatalf("byte %d is wrong and nobody saw it", i)
		}
	}
}

func TestSummaryAndDirection(t *testing.T) {
	t.Parallel()
	var s metrics.Summary
	for i, v := range []float64{math.NaN(), 3, 1, math.Inf(1), 2} {
		s.Add(metrics.Point{Step: int64(i), Value: v})
	}
	if s.Points != 5 || s.NotFinite != 2 || s.Min != 1 || s.MinStep != 2 || s.Max != 3 || s.Last != 2 {
		t.Errorf("%+v", s)
	}
	if v, step, ok := s.Best("val/loss"); !ok || v != 1 || step != 2 {
		t.Error("the best loss is the least")
	}
	if v, _, ok := s.Best("accuracy"); !ok || v != 3 {
		t.Error("the best accuracy is the largest")
	}
	if _, _, ok := s.Best("lr"); ok {
		t.Error("nobody knows which way a rate is better")
	}
}

// TestCurve holds for any series: the ends and the extremes are there, the order is kept, and there are not too many points.
func TestCurve(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 7))
		n, most := 1+rng.IntN(5000), 4+rng.IntN(200)
		c := metrics.NewCurve(2 + rng.IntN(100))
		all := make([]metrics.Point, n)
		var sum metrics.Summary
		for i := range all {
			all[i] = metrics.Point{Step: int64(i), Value: rng.NormFloat64()}
			if rng.IntN(50) == 0 {
				all[i].Value = math.NaN()
			}
			c.Add(all[i])
			sum.Add(all[i])
		}
		for what, got := range map[string][]metrics.Point{"curve": c.Points(most), "downsampled": metrics.Downsample(all, most)} {
			var of metrics.Summary
			for i, p := range got {
				of.Add(p)
				if i > 0 && p.Step <= got[i-1].Step {
					t.Fatalf("seed %d: the %s goes back at %d", seed, what, i)
				}
				if want := all[p.Step].Value; p.Value != want && !math.IsNaN(want) {
					t.Fatalf("seed %d: the %s has a point that was not there", seed, what)
				}
			}
			if len(got) > most || got[0].Step != 0 || got[len(got)-1].Step != int64(n-1) {
				t.Fatalf("seed %d: %s of %d points, at most %d, from %d to %d of %d", seed, what, len(got), most, got[0].Step, got[len(got)-1].Step, n)
			}
			if of.Min != sum.Min || of.Max != sum.Max {
				if !math.IsNaN(sum.Min) {
					t.Fatalf("seed %d: the %s of %d has %v..%v of %v..%v", seed, what, n, of.Min, of.Max, sum.Min, sum.Max)
				}
			}
		}
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte(`{"step": 1, "loss": 0.5, "a": {"b": [1, "x", {}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		samples, _ := metrics.NewLines().Parse(b)
		for _, s := range samples {
			if s.Name == "" || len(s.Name) > 3*metrics.MostName || strings.ContainsAny(s.Name, "\n\r\x00") {
				t.Fatalf("name %q", s.Name)
			}
		}
	})
}

func FuzzFile(f *testing.F) {
	f.Add([]byte("a: 1\nb = 2%\n"))
	f.Add([]byte(`{"a": [1, 2]}`))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = metrics.ParseFile(b) })
}

func FuzzEvents(f *testing.F) {
	b, err := os.ReadFile("testdata/events.out.tfevents.1700000000.host")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	_, size, _ := metrics.NextRecord(b)
	f.Add(b[size+12:])
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = metrics.ParseEvent(b)
		for len(b) > 0 {
			data, size, err := metrics.NextRecord(b)
			if err != nil || size > int64(len(b)) {
				return
			}
			_, _ = metrics.ParseEvent(data)
			b = b[size:]
		}
	})
}

func BenchmarkLines(b *testing.B) {
	line := []byte(`{"step": 12345, "loss": 0.123456, "acc": 0.98765, "lr": 0.0001}`)
	l := metrics.NewLines()
	for b.Loop() {
		if _, err := l.Parse(line); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(3*float64(b.N)/b.Elapsed().Seconds(), "points/s")
}
