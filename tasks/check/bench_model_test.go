package check_test

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"aloft/tasks/check"
	"aloft/tasks/check/stats"
)

// writeModelled writes a table of rows × 20 features with a label that
// depends on some of them, and the predictions of a model that is worse where
// one of them is large.
func writeModelled(tb testing.TB, dir, name string, rows int, seed uint32) {
	tb.Helper()
	random := stats.NewRandom(seed)
	var writers [2]*bufio.Writer
	for i, file := range []string{name + ".csv", "pred_" + name + ".csv"} {
		f, err := os.Create(filepath.Join(dir, file))
		if err != nil {
			tb.Fatal(err)
		}
		writers[i] = bufio.NewWriterSize(f, 1<<20)
		defer func() {
			if err := writers[i].Flush(); err != nil {
				tb.Error(err)
			}
			if err := f.Close(); err != nil {
				tb.Error(err)
			}
		}()
	}
	table, pred := writers[0], writers[1]
	for i := range 14 {
		fmt.Fprintf(table, "n%d,", i)
	}
	for i := range 6 {
		fmt.Fprintf(table, "c%d,", i)
	}
	fmt.Fprintln(table, "y")
	fmt.Fprintln(pred, "y_pred,proba_0,proba_1")
	for range rows {
		var x [14]float64
		for i := range x {
			x[i] = math.Round(1e4*(random.Float64()+random.Float64())) / 1e4
			if i > 9 {
				x[i] = math.Floor(x[i] * 20)
			}
			if i == 5 && random.Float64() < 0.05 {
				fmt.Fprint(table, ",")
				continue
			}
			fmt.Fprintf(table, "%v,", x[i])
		}
		category := 0
		for i := range 6 {
			k := int(random.Float64() * random.Float64() * float64(4+3*i))
			category += k
			fmt.Fprintf(table, "v%d,", k)
		}
		z := 4*(x[0]-1) + 2*(x[1]-1) + 0.3*float64(category%3)
		p := 1 / (1 + math.Exp(-z))
		y := 0
		if random.Float64() < p {
			y = 1
		}
		fmt.Fprintf(table, "%d\n", y)
		if x[2] > 1.6 {
			p = 1 - p
		}
		label := 0
		if p > 0.5 {
			label = 1
		}
		fmt.Fprintf(pred, "%d,%v,%v\n", label, 1-p, p)
	}
}

// BenchmarkModelEvaluation reads and checks 70 % of the rows as train and the
// rest as test, as the recorded runs of deepchecks do.
func BenchmarkModelEvaluation(b *testing.B) {
	for _, rows := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("%dx20", rows), func(b *testing.B) {
			dir := b.TempDir()
			writeModelled(b, dir, "train", rows*7/10, 1)
			writeModelled(b, dir, "test", rows*3/10, 2)
			spec, err := check.SpecFromMap(map[string]any{
				"suites": []string{"model_evaluation"}, "train": "train.csv", "test": "test.csv", "label": "y",
				"predictions": map[string]any{"train": "pred_train.csv", "test": "pred_test.csv"},
			})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				r, err := check.RunSpec(context.Background(), spec, dir)
				if err != nil {
					b.Fatal(err)
				}
				if n := r.Counts(); n.NotRun+n.Error > 0 {
					b.Fatalf("%+v", n)
				}
			}
		})
	}
}
