package tree

// visitor chooses the order in which the features of a node are looked at. In
// the shuffled order, features found constant in a node are not drawn for the
// nodes below it; drawing them costs random numbers nevertheless, as in
// scikit-learn.
type visitor struct {
	seed      *uint32
	state     uint32
	n         int
	features  []int32
	constants []int32 // features known to be constant, a prefix of features

	// of the current node
	known, drawn, found int
	left                int // features not yet visited, constants included
	at                  int
}

func (v *visitor) reset(n int, seed *uint32) {
	v.seed, v.n = seed, n
	if seed == nil {
		return
	}
	v.state = *seed
	v.features, v.constants = resize(v.features, n), resize(v.constants, n)
	for i := range v.features {
		v.features[i] = int32(i)
	}
}

func (v *visitor) begin(known int) {
	v.known, v.drawn, v.found, v.left, v.at = known, 0, 0, v.n, -1
}

// next returns the feature to look at; constant or taken must follow.
func (v *visitor) next() (int, bool) {
	if v.seed == nil {
		v.at++
		return v.at, v.at < v.n
	}
	for v.left > v.known+v.found {
		j := v.drawn + int(v.random()%uint32(v.left-v.found-v.drawn))
		if j < v.known {
			v.features[v.drawn], v.features[j] = v.features[j], v.features[v.drawn]
			v.drawn++
			continue
		}
		v.at = j + v.found
		return int(v.features[v.at]), true
	}
	return 0, false
}

// constant notes that the feature has one value in this node.
func (v *visitor) constant() {
	if v.seed == nil {
		return
	}
	total := v.known + v.found
	v.features[v.at], v.features[total] = v.features[total], v.features[v.at]
	v.found++
}

// taken notes that the feature was looked at.
func (v *visitor) taken() {
	if v.seed == nil {
		return
	}
	v.left--
	v.features[v.left], v.features[v.at] = v.features[v.at], v.features[v.left]
}

// end returns how many features are constant in this node and all below it.
func (v *visitor) end() int {
	if v.seed == nil {
		return 0
	}
	// The order of the constants inherited must be the same for every child.
	copy(v.features[:v.known], v.constants[:v.known])
	copy(v.constants[v.known:v.known+v.found], v.features[v.known:v.known+v.found])
	return v.known + v.found
}

// random is the xorshift generator with shifts 13, 17 and 5.
func (v *visitor) random() uint32 {
	if v.state == 0 {
		v.state = 1
	}
	v.state ^= v.state << 13
	v.state ^= v.state >> 17
	v.state ^= v.state << 5
	return v.state % (1 << 31)
}
