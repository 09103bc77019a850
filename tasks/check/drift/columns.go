package drift

import "aloft/tasks/check/frame"

// missingName is the category of missing cells.
const missingName = "None"

// ColumnCounts counts the categories of rows of two columns; missing cells are
// one more category with nulls set, else left out.
func ColumnCounts(train, test *frame.Column, trainRows, testRows []int32, nulls bool) Counts {
	levels := frame.CountLevels(train, test, trainRows, testRows, nulls)
	c := Counts{Train: levels.A, Test: levels.B}
	for _, v := range levels.Values {
		name := missingName
		if !v.IsNull() {
			name = v.String()
		}
		c.Names = append(c.Names, name)
	}
	return c
}
