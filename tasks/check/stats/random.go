package stats

// Random draws numbers as numpy's RandomState does. It is for one goroutine.
type Random struct{ mt *mt }

// NewRandom returns a generator with the seed.
func NewRandom(seed uint32) *Random { return &Random{newMT(seed)} }

// TreeSeed draws the number with which scikit-learn seeds the order of a
// tree's features: randint(0, 2³¹−1).
func (r *Random) TreeSeed() uint32 { return r.mt.bounded(1<<31 - 2) }
