package stats_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"aloft/tasks/check/stats"
)

// Every row goes to one side, each class in its share, and equal seeds give
// equal splits.
func TestStratifiedSplit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 300).Draw(t, "n")
		class := make([]int32, n)
		for i := range class {
			class[i] = int32(rapid.IntRange(0, 2).Draw(t, "class"))
		}
		train, test := stats.StratifiedSplit(class, 3, 0.3, 7)
		again, _ := stats.StratifiedSplit(class, 3, 0.3, 7)
		all := slices.Sorted(slices.Values(slices.Concat(train, test)))
		for i, r := range all {
			if int(r) != i {
				t.Fatalf("rows %v", all)
			}
		}
		if len(all) != n || !slices.Equal(train, again) {
			t.Fatalf("%d rows of %d, or not repeated", len(all), n)
		}
		for k := range int32(3) {
			in, of := 0, 0
			for _, r := range test {
				if class[r] == k {
					in++
				}
			}
			for _, c := range class {
				if c == k {
					of++
				}
			}
			if share := float64(len(test)) / float64(n) * float64(of); float64(in) < share-1 || float64(in) > share+1 {
				t.Fatalf("class %d: %d of %d rows are in test", k, in, of)
			}
		}
	})
}

func TestShuffles(t *testing.T) {
	t.Parallel()
	orders := stats.Shuffles(50, 3, 42)
	for _, o := range orders {
		s := slices.Sorted(slices.Values(o))
		if len(s) != 50 || s[0] != 0 || s[49] != 49 || slices.IsSorted(o) {
			t.Errorf("no order of 50 rows: %v", o)
		}
	}
	if slices.Equal(orders[0], orders[1]) {
		t.Error("two rounds are alike")
	}
	if stats.FirstDraw(42) != 1608637542 {
		t.Errorf("first draw %d", stats.FirstDraw(42))
	}
}

func TestParallel(t *testing.T) {
	t.Parallel()
	done := make([]int, 100)
	if err := stats.Parallel(100, func(i int) { done[i]++ }); err != nil || slices.Contains(done, 0) {
		t.Errorf("%v %v", err, done)
	}
	var none []int
	if err := stats.Parallel(3, func(i int) { _ = none[i] }); err == nil {
		t.Error("a crash is not told")
	}
	if err := stats.Parallel(0, func(int) {}); err != nil {
		t.Error(err)
	}
}
