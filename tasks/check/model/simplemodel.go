package model

import (
	"cmp"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/stats"
	"aloft/tasks/check/stats/tree"
)

// simple evaluates the simple model, learned from train, on test.
func (s simpleCheck) simple(c *engine.Context, train, test *evaluation) (*evaluation, error) {
	random := stats.NewRandom(uint32(s.args.Int("random_state")))
	if s.args.Text("strategy") == "tree" {
		return s.tree(c, train, test, random)
	}
	n := test.rows()
	if train.y != nil {
		p := make([]float64, n)
		lo, hi, m := slices.Min(train.y), slices.Max(train.y), mean(train.y)
		draws := random.Choice(n, len(train.y))
		for i := range p {
			switch s.args.Text("strategy") {
			case "uniform":
				p[i] = lo + random.Float64()*(hi-lo)
			case "stratified":
				p[i] = train.y[draws[i]]
			default:
				p[i] = m
			}
		}
		return test.with(nil, p), nil
	}
	code := test.translate(train)
	predicted := make([]int32, n)
	switch s.args.Text("strategy") {
	case "uniform":
		var present []int32
		for _, k := range train.present() {
			present = append(present, code[k])
		}
		for i, d := range random.Choice(n, len(present)) {
			predicted[i] = present[d]
		}
	case "stratified":
		for i, d := range random.Choice(n, len(train.truth)) {
			predicted[i] = code[train.truth[d]]
		}
	default:
		best := code[train.mostFrequent()]
		for i := range predicted {
			predicted[i] = best
		}
	}
	return test.with(predicted, nil), nil
}

// translate maps the class numbers of another evaluation to those of e; -1
// where e lacks the class.
func (e *evaluation) translate(from *evaluation) []int32 {
	number := make(map[frame.Value]int32, len(e.classes))
	for i, v := range e.classes {
		number[v.Key()] = int32(i)
	}
	out := make([]int32, len(from.classes))
	for i, v := range from.classes {
		k, ok := number[v.Key()]
		if !ok {
			k = -1
		}
		out[i] = k
	}
	return out
}

func (e *evaluation) counts() []int {
	counts := make([]int, len(e.classes))
	for _, t := range e.truth {
		counts[t]++
	}
	return counts
}

// present lists the classes that have rows, in ascending order.
func (e *evaluation) present() []int {
	var out []int
	for k, n := range e.counts() {
		if n > 0 {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b int) int { return frame.Compare(e.classes[a], e.classes[b]) })
	return out
}

// mostFrequent returns the class with most rows, the smallest of equals.
func (e *evaluation) mostFrequent() int {
	counts, best := e.counts(), -1
	for _, k := range e.present() {
		if best < 0 || counts[k] > counts[best] {
			best = k
		}
	}
	return best
}

// tree learns a small decision tree from the features.
func (s simpleCheck) tree(c *engine.Context, train, test *evaluation, random *stats.Random) (*evaluation, error) {
	features, err := c.Train().Features()
	if err != nil {
		return nil, err
	}
	var learn, apply []*tree.Feature
	for _, name := range features {
		a, b := c.Train().Data.Column(name), c.Test().Data.Column(name)
		if b == nil {
			continue
		}
		fit, use := inputs(a, b, train.rowIDs, test.rowIDs, slices.Contains(c.Train().Data.CategoricalFeatures(), name))
		for i := range fit {
			learn, apply = append(learn, tree.NewFeature(fit[i])), append(apply, tree.NewFeature(use[i]))
		}
	}
	if len(learn) == 0 {
		return nil, engine.Errorf(engine.NotSupported, "Dataset does not contain any feature columns")
	}
	seed := random.TreeSeed()
	options := tree.Options{MaxDepth: s.args.Int("max_depth"), MinSamplesLeaf: 1, Shuffle: &seed}
	var fitter tree.Fitter
	if train.y != nil {
		options.Criterion = tree.SquaredError
		grown := fitter.Fit(learn, tree.Numbers(train.y), nil, options)
		p := make([]float64, test.rows())
		for i := range p {
			p[i] = grown.Predict(apply, int32(i))
		}
		return test.with(nil, p), nil
	}
	options.Weights = tree.Balanced(train.truth, len(train.classes), nil)
	grown := fitter.Fit(learn, tree.Classes(train.truth, len(train.classes)), nil, options)
	code, predicted := test.translate(train), make([]int32, test.rows())
	leaves := make([]int, len(predicted))
	for i := range predicted {
		leaves[i] = grown.Leaf(apply, int32(i))
		predicted[i] = code[int(grown.Nodes()[leaves[i]].Value)]
	}
	out := test.with(predicted, nil)
	for i, leaf := range leaves {
		for k, p := range grown.Probabilities(nil, leaf) {
			if to := code[k]; to >= 0 && int(to) < out.known {
				out.proba[to][i] = p
			}
		}
	}
	return out, nil
}

// mostCategories is how many values of a category the tree tells apart.
const mostCategories = 10

// inputs turns a feature into the numbers that the tree learns from: a column
// scaled to [0, 1] with the mean for nulls, or one column for each frequent
// category.
func inputs(train, test *frame.Column, a, b []int32, categorical bool) (learn, apply [][]float32) {
	if !categorical && train.Kind().Numeric() {
		sum, n, lo, hi := 0.0, 0, math.Inf(1), math.Inf(-1)
		for _, r := range a {
			if v := train.Float(int(r)); !math.IsNaN(v) && !math.IsInf(v, 0) {
				sum, n, lo, hi = sum+v, n+1, min(lo, v), max(hi, v)
			}
		}
		m := 0.0
		if n > 0 {
			m = sum / float64(n)
		}
		width := hi - lo
		if !(width > 0) {
			width = 1
		}
		scaled := func(c *frame.Column, rows []int32) []float32 {
			out := make([]float32, len(rows))
			for i, r := range rows {
				v := c.Float(int(r))
				if math.IsNaN(v) || math.IsInf(v, 0) {
					v = m
				}
				if n > 0 {
					out[i] = float32((v - lo) / width)
				}
			}
			return out
		}
		return [][]float32{scaled(train, a)}, [][]float32{scaled(test, b)}
	}
	if !categorical {
		return nil, nil
	}
	return oneHot(train, test, a, b)
}

// oneHot makes a column of zeros and ones for each frequent category and one
// for the rest; a null counts as the most frequent category.
func oneHot(train, test *frame.Column, a, b []int32) (learn, apply [][]float32) {
	counts, nulls := make(map[frame.Value]int), 0
	for _, r := range a {
		if train.IsNull(int(r)) {
			nulls++
			continue
		}
		counts[train.Value(int(r)).Key()]++
	}
	if len(counts) == 0 {
		return [][]float32{make([]float32, len(a))}, [][]float32{make([]float32, len(b))}
	}
	order := make([]frame.Value, 0, len(counts))
	for v := range counts {
		order = append(order, v)
	}
	slices.SortFunc(order, func(x, y frame.Value) int {
		return cmp.Or(cmp.Compare(counts[y], counts[x]), frame.Compare(x, y))
	})
	frequent := order[0]
	order = order[:min(len(order), mostCategories)]
	slices.SortFunc(order, frame.Compare)
	place := make(map[frame.Value]int, len(order))
	for i, v := range order {
		place[v] = i
	}
	encode := func(c *frame.Column, rows []int32) [][]float32 {
		out := make([][]float32, len(order)+1)
		for k := range out {
			out[k] = make([]float32, len(rows))
		}
		for i, r := range rows {
			v := frequent
			if !c.IsNull(int(r)) {
				v = c.Value(int(r)).Key()
			}
			k, ok := place[v]
			if !ok {
				k = len(order)
			}
			out[k][i] = 1
		}
		return out
	}
	return encode(train, a), encode(test, b)
}
