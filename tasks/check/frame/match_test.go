package frame_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"aloft/tasks/check/frame"
)

func all(n int) []int32 {
	rows := make([]int32, n)
	for i := range rows {
		rows[i] = int32(i)
	}
	return rows
}

func TestMatch(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	a := []*frame.Column{frame.NewFloats("n", []float64{1, 2, nan, 0, 1}), frame.NewTexts("k", []string{"x", "y", "", "z", "x"})}
	for _, tt := range []struct {
		name string
		b    []*frame.Column
		want []int32
	}{
		{"floats", []*frame.Column{frame.NewFloats("n", []float64{2, 1, nan, math.Copysign(0, -1), 2}), frame.NewTexts("k", []string{"y", "x", "", "z", "x"})}, []int32{1, 0, 2, 3, -1}},
		{"whole numbers", []*frame.Column{frame.NewInts("n", []int64{2, 1, 0}), frame.NewTexts("k", []string{"y", "x", "z"})}, []int32{1, 0, 3}},
		{"texts are no numbers", []*frame.Column{frame.NewTexts("n", []string{"1", ""}), frame.NewTexts("k", []string{"x", ""})}, []int32{-1, 2}},
	} {
		if got := frame.Match(a, tt.b, all(5), all(tt.b[0].Len())); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	if got := frame.Match(a, a, nil, all(5)); !slices.Equal(got, []int32{-1, -1, -1, -1, -1}) {
		t.Errorf("among no rows: %v", got)
	}
}

// Match finds what comparing every pair finds.
func TestMatchIsEquality(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := func() ([]*frame.Column, []string) {
			n := rapid.IntRange(0, 30).Draw(t, "n")
			x, k, key := make([]float64, n), make([]string, n), make([]string, n)
			for i := range n {
				x[i] = float64(rapid.IntRange(0, 3).Draw(t, "x"))
				if x[i] == 3 {
					x[i] = math.NaN()
				}
				k[i] = []string{"", "a", "b"}[rapid.IntRange(0, 2).Draw(t, "k")]
				key[i] = fmt.Sprint(x[i], k[i])
			}
			return []*frame.Column{frame.NewFloats("x", x), frame.NewTexts("k", k)}, key
		}
		a, keysA := draw()
		b, keysB := draw()
		for i, at := range frame.Match(a, b, all(len(keysA)), all(len(keysB))) {
			if want := slices.Index(keysA, keysB[i]); int(at) != want {
				t.Fatalf("row %d matches %d, want %d", i, at, want)
			}
		}
	})
}

func TestCountLevels(t *testing.T) {
	t.Parallel()
	a, b := frame.NewInts("x", []int64{1, 2, 1}), frame.NewFloats("x", []float64{1, 2.5, math.NaN(), math.NaN()})
	for _, nulls := range []bool{false, true} {
		l := frame.CountLevels(a, b, all(3), all(4), nulls)
		got, want := fmt.Sprint(l.Values, l.A, l.B), "[1 2 2.5] [2 1 0] [1 0 1]"
		if nulls {
			want = "[1 2 2.5 nan] [2 1 0 0] [1 0 1 2]"
		}
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
		for i, v := range l.Values {
			if l.Of[v.Key()] != i {
				t.Errorf("%v is at %d", v, l.Of[v.Key()])
			}
		}
	}
}

func TestFloatsOfTexts(t *testing.T) {
	t.Parallel()
	c := frame.NewTexts("x", []string{"1.5", "", "two", " 3"})
	if got := c.Floats(all(4)); !slices.Equal(got, []float64{1.5, 3}) {
		t.Errorf("%v", got)
	}
	if got := c.FloatsOrNaN(all(4)); len(got) != 4 || got[0] != 1.5 || !math.IsNaN(got[1]) || !math.IsNaN(got[2]) || got[3] != 3 {
		t.Errorf("%v", got)
	}
	if !c.Textual() || frame.NewTexts("x", []string{"1", "2"}).Textual() || frame.NewInts("x", []int64{1}).Textual() {
		t.Error("wrong about texts")
	}
}

func TestBaseForm(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{"Mis-Labeled!": "mislabeled", "--": "--", "": "", "Ä b_1": "äb1", "N/A": "na"} {
		if got := frame.BaseForm(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
	if got := frame.BareForm("--"); got != "" {
		t.Errorf("%q", got)
	}
}
