package check_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"aloft/tasks/check"
)

// writeBig writes a table of rows × 20 columns with its predictions.
func writeBig(tb testing.TB, dir, name string, rows, seed int) {
	tb.Helper()
	state := uint64(seed)*2654435761 + 12345
	next := func() uint64 {
		state = state*6364136223846793005 + 1442695040888963407
		return state >> 33
	}
	create := func(name string) (*bufio.Writer, func()) {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			tb.Fatal(err)
		}
		w := bufio.NewWriterSize(f, 1<<20)
		return w, func() {
			if err := w.Flush(); err != nil {
				tb.Fatal(err)
			}
			if err := f.Close(); err != nil {
				tb.Fatal(err)
			}
		}
	}
	table, closeTable := create(name + ".csv")
	pred, closePred := create("pred_" + name + ".csv")
	for i := range 19 {
		fmt.Fprintf(table, "c%d,", i)
	}
	fmt.Fprintln(table, "y")
	fmt.Fprintln(pred, "y_pred,proba_0,proba_1")
	for range rows {
		for i := range 19 {
			switch r := next(); {
			case i < 10:
				fmt.Fprintf(table, "%d.%03d,", r%1000, r>>10%1000)
			case i < 14:
				fmt.Fprintf(table, "%d,", r%100000)
			case r%50 == 0:
				fmt.Fprint(table, ",")
			default:
				fmt.Fprintf(table, "value %d,", r%(1<<(i-10)))
			}
		}
		y, p := next()%2, next()%1000
		fmt.Fprintf(table, "%d\n", y)
		fmt.Fprintf(pred, "%d,%.3f,%.3f\n", p/500, float64(1000-p)/1000, float64(p)/1000)
	}
	closeTable()
	closePred()
}

// BenchmarkFullSuite reads and checks a train table of the given size and a
// test table of a tenth of it, 20 columns each.
func BenchmarkFullSuite(b *testing.B) {
	for _, rows := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("%dx20", rows), func(b *testing.B) {
			dir := b.TempDir()
			writeBig(b, dir, "train", rows, 1)
			writeBig(b, dir, "test", rows/10, 2)
			spec, err := check.SpecFromMap(map[string]any{
				"suites": []string{"full_suite"}, "train": "train.csv", "test": "test.csv", "label": "y",
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
