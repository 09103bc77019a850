package stats_test

import (
	"slices"
	"testing"

	"aloft/tasks/check/stats"
)

func TestFolds(t *testing.T) {
	t.Parallel()
	if got := stats.Folds(7, 3); !slices.Equal(got, []int32{0, 0, 0, 1, 1, 2, 2}) {
		t.Errorf("7 rows in 3: %v", got)
	}
	if got := stats.Folds(2, 3); !slices.Equal(got, []int32{0, 1}) {
		t.Errorf("2 rows in 3: %v", got)
	}
	for _, c := range []struct {
		classes, want []int32
		k             int
	}{
		{[]int32{0, 0, 1, 1, 0, 0, 1, 1}, []int32{0, 0, 0, 0, 1, 1, 1, 1}, 2},
		// The class that comes first is dealt first: 5 and 3 rows in 3 folds.
		{[]int32{7, 7, 3, 7, 3, 7, 3, 7}, []int32{0, 0, 0, 1, 1, 1, 2, 2}, 3},
		{[]int32{0, 1, 0, 1}, nil, 3},
		{nil, nil, 4},
	} {
		if got := stats.StratifiedFolds(c.classes, c.k); !slices.Equal(got, c.want) {
			t.Errorf("%v in %d: %v, want %v", c.classes, c.k, got, c.want)
		}
	}
}
