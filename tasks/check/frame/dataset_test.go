package frame_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"aloft/tasks/check/frame"
)

func TestCategorical(t *testing.T) {
	t.Parallel()
	ints := func(n, distinct int) *frame.Column {
		v := make([]int64, n)
		for i := range v {
			v[i] = int64(i % distinct)
		}
		return frame.NewInts("x", v)
	}
	floats := func(n, distinct int, step float64) *frame.Column {
		v := make([]float64, n)
		for i := range v {
			v[i] = float64(i%distinct) * step
		}
		return frame.NewFloats("x", v)
	}
	texts := func(n, distinct int) *frame.Column {
		v := make([]string, n)
		for i := range v {
			v[i] = fmt.Sprintf("t%d", i%distinct)
		}
		return frame.NewTexts("x", v)
	}
	for _, tt := range []struct {
		name   string
		column *frame.Column
		want   bool
	}{
		{"9 integers in few rows", ints(100, 9), true},
		{"10 integers in few rows", ints(100, 10), false},
		{"30 integers in many rows", ints(4000, 30), true},
		{"31 integers in many rows", ints(4000, 31), false},
		{"5 fractions", floats(1000, 5, .5), true},
		{"6 fractions", floats(1000, 6, .5), false},
		{"9 whole floats", floats(1000, 9, 1), true},
		{"149 texts in many rows", texts(15000, 149), true},
		{"150 texts in many rows", texts(15000, 150), false},
		{"150 texts in more rows", texts(15001, 150), true},
		{"151 texts", texts(20000, 151), false},
		{"nothing", texts(0, 1), false},
	} {
		if got := tt.column.Categorical(frame.FeatureRatio); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	if !frame.CategoricalTogether([]*frame.Column{ints(100, 3), texts(100, 3)}, frame.LabelRatio) {
		t.Error("labels of two kinds")
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	table, err := frame.ParseCSV([]byte("id,a,b,t,y\n1,1.5,x,2024-01-01,0\n2,2.5,y,2024-01-02,1\n"), frame.Options{Name: "t.csv"})
	if err != nil {
		t.Fatal(err)
	}
	d, err := frame.NewDataset(table, frame.Roles{Label: "y", Index: "id", Datetime: "t"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(d.Features(), []string{"a", "b"}) || !slices.Equal(d.CategoricalFeatures(), []string{"a", "b"}) || len(d.NumericalFeatures()) != 0 {
		t.Errorf("features %v, categorical %v, numerical %v", d.Features(), d.CategoricalFeatures(), d.NumericalFeatures())
	}
	if d.Datetime().Kind() != frame.Time || d.Label().Name() != "y" || d.Index().Name() != "id" {
		t.Error("roles are lost")
	}
	_, err = frame.NewDataset(table, frame.Roles{Label: "Y", Features: []string{"a", "id"}, Index: "id", Categorical: []string{"c"}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`no column "Y"`, `did you mean "y"`, `"id" of t.csv cannot be a feature`, `"c" is not among the features`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not mention %q", err, want)
		}
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	values := []frame.Value{
		frame.FloatValue(-1.5), frame.BoolValue(false), frame.IntValue(1), frame.FloatValue(1.5), frame.TimeValue(5), frame.TextValue("A"), frame.TextValue("a"), {},
	}
	if !slices.IsSortedFunc(values, frame.Compare) {
		t.Error("not in order")
	}
	if frame.IntValue(1).Key() != frame.FloatValue(1).Key() || frame.IntValue(1).Key() != frame.BoolValue(true).Key() {
		t.Error("equal numbers of different kinds have different keys")
	}
}

// Rows of a group are equal, rows of different groups are not, whatever the
// hashes do.
func TestGroupRows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(t, "n")
		a, b := make([]float64, n), make([]string, n)
		rows := make([]int32, n)
		for i := range a {
			a[i] = float64(rapid.IntRange(0, 3).Draw(t, "a"))
			b[i] = rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "b")
			rows[i] = int32(i)
		}
		columns := []*frame.Column{frame.NewFloats("a", a), frame.NewTexts("b", b)}
		g := frame.GroupRows(columns, rows)
		total := 0
		for _, s := range g.Size {
			total += int(s)
		}
		if total != n {
			t.Fatalf("%d rows in groups of %d", total, n)
		}
		order := frame.Order(columns)
		for i := range n {
			for j := range n {
				same := a[i] == a[j] && b[i] == b[j]
				if same != (g.Of[i] == g.Of[j]) || same != (order(int32(i), int32(j)) == 0) {
					t.Fatalf("rows %d and %d", i, j)
				}
			}
		}
		distinct, nulls := columns[1].Distinct(rows)
		seen := map[string]bool{}
		empty := 0
		for _, s := range b {
			if s == "" {
				empty++
			} else {
				seen[s] = true
			}
		}
		if distinct != len(seen) || nulls != empty {
			t.Fatalf("%d distinct, %d nulls", distinct, nulls)
		}
	})
}
