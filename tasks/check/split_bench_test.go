package check_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"aloft/tasks/check"
	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
)

// splitInputs makes rows of which 70 % train, with an index, a datetime, a
// label of two classes and features: three fifths numbers, the others texts of
// twenty values; one cell in fifty is missing.
func splitInputs(tb testing.TB, rows, features int) engine.Inputs {
	tb.Helper()
	side := func(name string, from, n int, seed uint64) *frame.Dataset {
		r := rand.New(rand.NewPCG(seed, 1))
		index, dates, label := make([]int64, n), make([]int64, n), make([]string, n)
		for i := range n {
			index[i], dates[i], label[i] = int64(from+i), int64(from+i)*60, []string{"no", "yes"}[r.IntN(2)]
		}
		columns := []*frame.Column{frame.NewInts("id", index), frame.NewInts("at", dates), frame.NewTexts("y", label)}
		for f := range features {
			if f%5 < 3 {
				values := make([]float64, n)
				for i := range values {
					values[i] = float64(int(1000*r.NormFloat64())) / 1000
				}
				columns = append(columns, frame.NewFloats(fmt.Sprintf("num%d", f), values))
				continue
			}
			values := make([]string, n)
			for i := range values {
				if r.IntN(50) > 0 {
					values[i] = fmt.Sprintf("value %d", r.IntN(20))
				}
			}
			columns = append(columns, frame.NewTexts(fmt.Sprintf("cat%d", f), values))
		}
		t, err := frame.NewTable(name, columns...)
		if err != nil {
			tb.Fatal(err)
		}
		d, err := frame.NewDataset(t, frame.Roles{Label: "y", Index: "id", Datetime: "at", DatetimeUnit: "s"})
		if err != nil {
			tb.Fatal(err)
		}
		return d
	}
	train := rows * 7 / 10
	return engine.Inputs{Train: side("train", 0, train, 1), Test: side("test", train, rows-train, 2), Seed: 42}
}

// processorTime is what the process has used so far.
func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkTrainTestValidation runs the suite, and each check of it alone, on
// tables in memory.
func BenchmarkTrainTestValidation(b *testing.B) {
	for _, size := range []struct{ rows, features int }{{100_000, 20}, {100_000, 100}, {1_000_000, 20}} {
		name := fmt.Sprintf("%dx%d", size.rows, size.features)
		b.Run(name, func(b *testing.B) {
			in := splitInputs(b, size.rows, size.features)
			var items []engine.Item
			for _, def := range check.Tabular.SuiteChecks(check.TrainTestValidation) {
				item, problems := def.Build(nil, nil, engine.Mended)
				if len(problems) > 0 {
					b.Fatal(problems)
				}
				items = append(items, item)
			}
			b.Run("all", func(b *testing.B) { runItems(b, in, items) })
			for i := range items {
				b.Run(items[i].Def.ID, func(b *testing.B) { runItems(b, in, items[i:i+1]) })
			}
		})
	}
}

func runItems(b *testing.B, in engine.Inputs, items []engine.Item) {
	b.ReportAllocs()
	before := processorTime(b)
	for b.Loop() {
		r, err := engine.Run(context.Background(), engine.Suite{Name: "bench", Items: items}, in)
		if err != nil || r.Err != nil {
			b.Fatal(err, r.Err)
		}
		if n := r.Counts(); n.NotRun+n.Error > 0 {
			b.Fatalf("%+v", n)
		}
	}
	b.ReportMetric((processorTime(b)-before).Seconds()/float64(b.N), "cpu-s/op")
}
