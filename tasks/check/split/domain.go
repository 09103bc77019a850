package split

import (
	"cmp"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/stats"
	"aloft/tasks/check/stats/hgb"
)

// mostCategories is how many categories of a feature the domain classifier
// tells apart; the rest is one more.
const mostCategories = 254

// heldBack is the number of rows from which the classifier learns on nine
// tenths of them only, as the original does for a stop it never makes.
const heldBack = 10_000

// importanceRounds is how often a feature's values are shuffled.
const importanceRounds = 10

// domain is the question to which table a row belongs.
type domain struct {
	train, test []int32 // the rows taken of each side
	columns     []hgb.Column
	seed        uint32
	testSize    float64
}

func newDomain(c *engine.Context, columns []driftColumn, args engine.Args) (*domain, error) {
	train, test := c.Train().Sample(args), c.Test().Sample(args)
	m := min(len(train), len(test))
	if m < 2 {
		return nil, engine.Errorf(engine.NotEnoughSamples, "there are too few rows to tell the tables apart: one of them has %d", m)
	}
	d := &domain{train: train[:m], test: test[:m], seed: uint32(args.Int("random_state")), testSize: args.Float("test_size"), columns: make([]hgb.Column, len(columns))}
	for i, col := range columns {
		a, b := c.Train().Data.Column(col.name), c.Test().Data.Column(col.name)
		d.columns[i] = hgb.Column{Categorical: col.categorical, Values: func() []float64 {
			if col.categorical {
				return d.categories(a, b)
			}
			return slices.Concat(a.FloatsOrNaN(d.train), b.FloatsOrNaN(d.test))
		}}
	}
	return d, nil
}

// categories numbers the categories of both sides in the order of their texts:
// the most frequent ones each, all others under one number.
func (d *domain) categories(a, b *frame.Column) []float64 {
	levels := frame.CountLevels(a, b, d.train, d.test, true)
	asFloat := a.Kind() == frame.Float || b.Kind() == frame.Float
	type category struct {
		text string
		n    int
		rank int
	}
	list := make([]category, len(levels.Values))
	for i, v := range levels.Values {
		text := v.String() // "nan" of a missing cell
		if f, ok := v.Number(); ok && asFloat {
			text = frame.FloatValue(f).String()
		}
		list[i] = category{text: text, n: levels.A[i] + levels.B[i]}
	}
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	if len(list) > mostCategories {
		slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(list[j].n, list[i].n) })
		for _, i := range order[mostCategories:] {
			list[i].text = "OTHER"
		}
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(list[i].text, list[j].text) })
	rank := -1
	for k, i := range order {
		if k == 0 || list[i].text != list[order[k-1]].text {
			rank++
		}
		list[i].rank = rank
	}
	out := make([]float64, 0, len(d.train)+len(d.test))
	for _, side := range []struct {
		c    *frame.Column
		rows []int32
	}{{a, d.train}, {b, d.test}} {
		known := make(map[uint64]float64)
		null := 0.0
		if at, ok := levels.Of[frame.Value{}]; ok {
			null = float64(list[at].rank)
		}
		for _, r := range side.rows {
			if side.c.IsNull(int(r)) {
				out = append(out, null)
				continue
			}
			bits := side.c.Bits(int(r))
			code, ok := known[bits]
			if !ok {
				code = float64(list[levels.Of[side.c.FromBits(bits).Key()]].rank)
				known[bits] = code
			}
			out = append(out, code)
		}
	}
	return out
}

// classify learns to tell the sides apart and returns how well it can, with
// the importance of each column.
func (d *domain) classify() (auc float64, importance []float64, err error) {
	n := len(d.train) + len(d.test)
	side, truth := make([]int32, n), make([]float64, n)
	for i := len(d.train); i < n; i++ {
		side[i], truth[i] = 1, 1
	}
	known, judged := stats.StratifiedSplit(side, 2, d.testSize, d.seed)
	learn := known
	if len(known) > heldBack {
		sides := make([]int32, len(known))
		for i, r := range known {
			sides[i] = side[r]
		}
		const reserve = 0.1
		part, _ := stats.StratifiedSplit(sides, 2, reserve, stats.FirstDraw(d.seed))
		learn = make([]int32, len(part))
		for i, at := range part {
			learn[i] = known[at]
		}
	}
	model, err := hgb.Fit(d.columns, truth, learn, known, hgb.Drift())
	if err != nil {
		return 0, nil, err
	}
	rows, isTest := make([]int32, len(judged)), make([]bool, len(judged))
	for i, at := range stats.Permutation(len(judged), d.seed) { // the order that shuffling starts from
		rows[i] = judged[at]
		isTest[i] = side[rows[i]] == 1
	}
	binned, err := model.Bin(d.columns, rows)
	if err != nil {
		return 0, nil, err
	}
	importance, err = d.importance(model, binned, isTest)
	return stats.AUC(isTest, model.Raw(binned)), importance, err
}

// importance is each column's share of the accuracy lost by shuffling.
func (d *domain) importance(model *hgb.Model, binned *hgb.Binned, isTest []bool) ([]float64, error) {
	if len(d.columns) == 1 {
		return []float64{1}, nil
	}
	lost, err := model.Importance(binned, isTest, importanceRounds, d.seed)
	if err != nil {
		return nil, err
	}
	total := 0.0
	for i, l := range lost {
		lost[i] = max(l, 0)
		total += lost[i]
	}
	if total > 0 {
		for i := range lost {
			lost[i] /= total
		}
	}
	return lost, nil
}
