package hgb_test

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"aloft/tasks/check/stats"
	"aloft/tasks/check/stats/hgb"
)

// data are n rows, half of each class, with the rows to learn from.
func data(n int) (truth []float64, rows []int32) {
	for i := range n {
		truth, rows = append(truth, float64(i%2)), append(rows, int32(i))
	}
	return truth, rows
}

func fit(t *testing.T, truth []float64, rows []int32, columns ...hgb.Column) (*hgb.Model, []float64) {
	t.Helper()
	m, err := hgb.Fit(columns, truth, rows, rows, hgb.Drift())
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.Bin(columns, rows)
	if err != nil {
		t.Fatal(err)
	}
	return m, m.Raw(b)
}

func column(n int, categorical bool, f func(i int) float64) hgb.Column {
	values := make([]float64, n)
	for i := range values {
		values[i] = f(i)
	}
	return given(values, categorical)
}

func given(values []float64, categorical bool) hgb.Column {
	return hgb.Column{Values: func() []float64 { return values }, Categorical: categorical}
}

func auc(truth, raw []float64) float64 {
	is := make([]bool, len(truth))
	for i, y := range truth {
		is[i] = y == 1
	}
	return stats.AUC(is, raw)
}

func TestTellsApart(t *testing.T) {
	t.Parallel()
	const n = 400
	truth, rows := data(n)
	inf := []float64{math.Inf(-1), math.Inf(1)}
	for _, tt := range []struct {
		name   string
		column hgb.Column
		want   float64
	}{
		{"numbers", column(n, false, func(i int) float64 { return float64(i%2) + float64(i)/1000 }), 1},
		{"many numbers", column(n, false, func(i int) float64 { return float64(i%2)*1000 + float64(i) }), 1},
		{"categories", column(n, true, func(i int) float64 { return float64(i % 6) }), 1},
		{"missing values", column(n, false, func(i int) float64 {
			if i%2 == 0 {
				return math.NaN()
			}
			return float64(i % 7)
		}), 1},
		{"infinities", column(n, false, func(i int) float64 { return inf[i%2] }), 1},
		{"a constant", column(n, false, func(int) float64 { return 3 }), 0.5},
		{"nothing but missing values", column(n, false, func(int) float64 { return math.NaN() }), 0.5},
		{"rare categories", column(n, true, func(i int) float64 { return float64(i % 250) }), 0.5},
		{"both classes alike", column(n, false, func(i int) float64 { return float64(i / 2 % 50) }), 0.5},
	} {
		if _, raw := fit(t, truth, rows, tt.column); math.Abs(auc(truth, raw)-tt.want) > 1e-4 {
			t.Errorf("%s: AUC %v, want %v", tt.name, auc(truth, raw), tt.want)
		}
	}
}

// Categories not seen when learning go where most rows went.
func TestUnknownCategory(t *testing.T) {
	t.Parallel()
	const n = 300
	truth, rows := data(n)
	m, _ := fit(t, truth, rows, column(n, true, func(i int) float64 { // class 1 has the codes 1 and 5, class 0 the code 0 and some of 1
		switch {
		case i%4 == 3:
			return 5
		case i%2 == 1 || i%6 == 0:
			return 1
		}
		return 0
	}))
	probe := given([]float64{0, 1, 5, 2, 200}, true)
	b, err := m.Bin([]hgb.Column{probe}, []int32{0, 1, 2, 3, 4})
	if err != nil {
		t.Fatal(err)
	}
	raw := m.Raw(b)
	if raw[3] != raw[4] || raw[3] <= raw[0] || raw[0] >= raw[1] || raw[1] >= raw[2] {
		t.Errorf("log odds %v", raw)
	}
}

func TestImportance(t *testing.T) {
	t.Parallel()
	const n = 400
	truth, rows := data(n)
	columns := []hgb.Column{
		column(n, false, func(i int) float64 { return float64(i / 2 % 11) }),
		column(n, false, func(i int) float64 { return float64(i%2) + float64(i%13)/100 }),
	}
	m, _ := fit(t, truth, rows, columns...)
	b, err := m.Bin(columns, rows)
	if err != nil {
		t.Fatal(err)
	}
	is := make([]bool, n)
	for i := range is {
		is[i] = truth[i] == 1
	}
	lost, err := m.Importance(b, is, 10, 42)
	if err != nil {
		t.Fatal(err)
	}
	again, err := m.Importance(b, is, 10, 42)
	if err != nil || !slices.Equal(lost, again) {
		t.Errorf("not repeated: %v, %v, %v", lost, again, err)
	}
	if lost[0] != 0 || lost[1] < 0.4 || lost[1] > 0.6 {
		t.Errorf("importance %v", lost)
	}
}

// Whatever the data, log odds are finite and do not depend on the values of a
// number as long as their order is kept.
func TestOrderDecides(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(4, 300).Draw(rt, "n")
		truth, rows := data(n)
		values, code := make([]float64, n), make([]float64, n)
		for i := range values {
			values[i] = float64(rapid.IntRange(0, 40).Draw(rt, "x"))
			if rapid.IntRange(0, 9).Draw(rt, "missing") == 0 {
				values[i] = math.NaN()
			}
			code[i] = float64(rapid.IntRange(0, 8).Draw(rt, "k"))
		}
		grown := make([]float64, n)
		for i, v := range values {
			grown[i] = v*v*v + 5
		}
		raw := func(v []float64) []float64 {
			columns := []hgb.Column{given(v, false), given(code, true)}
			m, err := hgb.Fit(columns, truth, rows, rows, hgb.Drift())
			if err != nil {
				rt.Fatal(err)
			}
			b, err := m.Bin(columns, rows)
			if err != nil {
				rt.Fatal(err)
			}
			return m.Raw(b)
		}
		a, b := raw(values), raw(grown)
		for i := range a {
			if math.IsNaN(a[i]) || math.IsInf(a[i], 0) || a[i] != b[i] {
				rt.Fatalf("row %d: %v and %v", i, a[i], b[i])
			}
		}
	})
}

func BenchmarkFit(b *testing.B) {
	const n = 12_600
	truth, rows := data(n)
	var columns []hgb.Column
	for f := range 100 {
		p := stats.Permutation(n, uint32(f))
		columns = append(columns, column(n, f%5 > 2, func(i int) float64 {
			if f%5 > 2 {
				return float64(p[i] % 20)
			}
			return float64(p[i])
		}))
	}
	for b.Loop() {
		if _, err := hgb.Fit(columns, truth, rows, rows, hgb.Drift()); err != nil {
			b.Fatal(err)
		}
	}
}
