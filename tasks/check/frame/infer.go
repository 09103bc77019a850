package frame

import "math"

// The defaults of categorical inference: the share of distinct values below
// which a feature, or a label, counts as categorical.
const (
	FeatureRatio = 0.01
	LabelRatio   = 0.05
)

// Categorical reports whether the column's values look like categories:
// distinct/max(present, 1000) < ratio, and no more distinct values than the
// kind allows: 150 for text, 30 for integers, booleans and whole floats, 5
// for other floats and times. A column without values is not categorical.
func (c *Column) Categorical(ratio float64) bool {
	return categorical([]*Column{c}, ratio)
}

// CategoricalTogether is Categorical over the union of several columns, as
// train and test labels are judged.
func CategoricalTogether(columns []*Column, ratio float64) bool { return categorical(columns, ratio) }

func categorical(columns []*Column, ratio float64) bool {
	distinct := make(map[Value]struct{})
	present, limit := 0, math.MaxInt
	const most = 150 // no kind allows more: stop counting there
	for _, c := range columns {
		limit = min(limit, c.distinctLimit())
		if c.whole != nil {
			present += c.whole.present
			values, _, ok := c.whole.distinct(c)
			if !ok || len(values) > most {
				return false
			}
			for _, v := range values {
				distinct[v.Key()] = struct{}{}
			}
			if len(distinct) > most {
				return false
			}
			continue
		}
		present += c.NonNull()
		seen := make(map[uint64]struct{})
		for i := range c.n {
			if c.IsNull(i) {
				continue
			}
			b := c.Bits(i)
			if _, ok := seen[b]; ok {
				continue
			}
			seen[b] = struct{}{}
			distinct[c.FromBits(b).Key()] = struct{}{}
			if len(distinct) > most {
				return false
			}
		}
	}
	if len(distinct) == 0 {
		return false
	}
	share := float64(len(distinct)) / float64(max(present, 1000))
	return share < ratio && len(distinct) <= limit
}

func (c *Column) distinctLimit() int {
	switch c.kind {
	case Text:
		if c.allNumbers() {
			return 30
		}
		return 150
	case Int, Bool:
		return 30
	case Float:
		if c.whole != nil {
			if c.whole.fraction {
				return 5
			}
			return 30
		}
		for i := range c.n {
			if !c.IsNull(i) && c.floats[i] != math.Trunc(c.floats[i]) {
				return 5
			}
		}
		return 30
	default:
		return 5
	}
}

// allNumbers reports whether every text is a number: a column declared as
// text whose content is numeric follows the numeric rule.
func (c *Column) allNumbers() bool {
	for _, s := range c.dict {
		if !isNumber(s) {
			return false
		}
	}
	return len(c.dict) > 0
}
