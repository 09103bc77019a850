package stats_test

import (
	"slices"
	"testing"

	"aloft/tasks/check/stats"
)

func TestPermutation(t *testing.T) {
	t.Parallel()
	for n, want := range map[int][]int32{
		10: {8, 1, 5, 0, 7, 2}, 1000: {521, 737, 740, 660, 411, 678}, 200000: {119737, 72272, 158154, 65426, 30074},
	} {
		if got := stats.Permutation(n, 42)[:len(want)]; !slices.Equal(got, want) {
			t.Errorf("Permutation(%d, 42) begins %v, want %v", n, got, want)
		}
	}
	if got := stats.Sample(3, 10, 42); len(got) != 3 {
		t.Errorf("Sample of more rows than there are: %v", got)
	}
}

func TestArgsortSorts(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 16, 17, 1000, 5000} {
		for _, spread := range []int32{1, 3, 1 << 30} {
			values := make([]int, n)
			for i, p := range stats.Permutation(n, 7) {
				values[i] = int(p % spread)
			}
			order := stats.Argsort(values)
			if !slices.IsSortedFunc(order, func(a, b int32) int { return values[a] - values[b] }) {
				t.Errorf("n=%d spread=%d: not sorted", n, spread)
			}
			seen := slices.Sorted(slices.Values(order))
			for i, v := range seen {
				if int(v) != i {
					t.Fatalf("n=%d spread=%d: not a permutation", n, spread)
				}
			}
		}
	}
}

// An organ pipe drives the quicksort to its depth limit and so into the heap.
func TestArgsortWorstCase(t *testing.T) {
	t.Parallel()
	const n = 1 << 14
	values := make([]int, n)
	for i := range values {
		values[i] = min(i, n-i) * (1 + i%2)
	}
	order := stats.Argsort(values)
	if !slices.IsSortedFunc(order, func(a, b int32) int { return values[a] - values[b] }) {
		t.Error("not sorted")
	}
}

// numpy.random.RandomState(42).randint(0, 2**31 - 1)
func TestTreeSeed(t *testing.T) {
	t.Parallel()
	if got := stats.NewRandom(42).TreeSeed(); got != 1608637542 {
		t.Errorf("got %d", got)
	}
}

func BenchmarkPermutation(b *testing.B) {
	for b.Loop() {
		stats.Permutation(1_000_000, 42)
	}
}
