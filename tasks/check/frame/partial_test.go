package frame_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"aloft/tasks/check/frame"
)

// TestPartOfATable reads tables in every form of which some rows are kept:
// cells, kinds, distinct values and counts are those of the whole table.
func TestPartOfATable(t *testing.T) {
	t.Parallel()
	const rows = 5000
	for name, src := range tables(t, rows) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole, err := frame.Parse(src, frame.Options{Name: "t"})
			if err != nil {
				t.Fatal(err)
			}
			sample := []int32{4999, 3, 17, 0, 2500}
			part, err := frame.Parse(src, frame.Options{Name: "t", MaxRows: 1000, Select: func(total int) *frame.Selection {
				if total != rows {
					t.Errorf("%d rows counted", total)
				}
				return frame.NewSelection(total, map[int][]int32{7: sample})
			}})
			if err != nil {
				t.Fatal(err)
			}
			if part.Rows() != len(sample) || part.Total() != rows {
				t.Fatalf("%d of %d rows", part.Rows(), part.Total())
			}
			order, _ := part.Selection().Order(7)
			for i, at := range order {
				if part.Row(int(at)) != int(sample[i]) {
					t.Fatalf("the sample's row %d is %d", i, part.Row(int(at)))
				}
			}
			if !slices.Equal(part.Names(), whole.Names()) {
				t.Fatalf("columns %v, %v", part.Names(), whole.Names())
			}
			for _, w := range whole.Columns() {
				p := part.Column(w.Name())
				for i := range p.Len() {
					if got, want := p.Value(i), w.Value(part.Row(i)); got != want {
						t.Errorf("%s row %d: %v, want %v", w.Name(), part.Row(i), got, want)
					}
				}
				got, want := describe(p), describe(w)
				if got != want {
					t.Errorf("%s:\n%s\nwant\n%s", w.Name(), got, want)
				}
			}
		})
	}
}

func describe(c *frame.Column) string {
	cells, rows, ok := c.Counts()
	return fmt.Sprint(c.Kind(), c.Categorical(frame.LabelRatio), c.HasNulls(), ok, cells, rows, c.Levels(), strings.Join(c.Dict(), "|"))
}
