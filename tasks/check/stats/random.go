package stats

// Random draws numbers as numpy's RandomState does. It is for one goroutine.
type Random struct{ mt *mt }

// NewRandom returns a generator with the seed.
func NewRandom(seed uint32) *Random { return &Random{newMT(seed)} }

// TreeSeed draws the number with which scikit-learn seeds the order of a
// tree's features: randint(0, 2³¹−1).
func (r *Random) TreeSeed() uint32 { return r.mt.bounded(1<<31 - 2) }

// Choice draws n numbers below k with replacement, as RandomState.choice does.
func (r *Random) Choice(n, k int) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(r.mt.bounded(uint32(k - 1)))
	}
	return out
}

// Float64 draws a number in [0, 1) of 53 random bits, as random_sample does.
func (r *Random) Float64() float64 {
	a, b := r.mt.uint32()>>5, r.mt.uint32()>>6
	return (float64(a)*(1<<26) + float64(b)) / (1 << 53)
}
