// Package stats holds the pure functions under the checks: the seeded
// sampling, sorting and scoring whose outcomes are fixed to the last digit.
package stats

// mt is the Mersenne Twister MT19937 (Matsumoto and Nishimura 1998) with the
// seeding and the bounded draws of numpy's RandomState.
type mt struct {
	state [624]uint32
	next  int
}

func newMT(seed uint32) *mt {
	m := &mt{next: 624}
	m.state[0] = seed
	for i := 1; i < len(m.state); i++ {
		prev := m.state[i-1]
		m.state[i] = 1812433253*(prev^prev>>30) + uint32(i)
	}
	return m
}

func (m *mt) uint32() uint32 {
	if m.next >= len(m.state) {
		m.refill()
	}
	y := m.state[m.next]
	m.next++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

func (m *mt) refill() {
	const n, shift = len(m.state), 397
	for k := range n {
		y := m.state[k]&0x80000000 | m.state[(k+1)%n]&0x7fffffff
		v := m.state[(k+shift)%n] ^ y>>1
		if y&1 != 0 {
			v ^= 0x9908b0df
		}
		m.state[k] = v
	}
	m.next = 0
}

// bounded draws a number in [0, most] by rejecting draws under the smallest
// covering mask.
func (m *mt) bounded(most uint32) uint32 {
	if most == 0 {
		return 0
	}
	mask := most
	for _, s := range []int{1, 2, 4, 8, 16} {
		mask |= mask >> s
	}
	for {
		if v := m.uint32() & mask; v <= most {
			return v
		}
	}
}

// Permutation returns the numbers 0 to n-1 in the order that numpy's
// RandomState(seed).permutation(n) gives: a Fisher–Yates shuffle from the end.
func Permutation(n int, seed uint32) []int32 {
	return newMT(seed).permutation(n)
}

func (m *mt) permutation(n int) []int32 {
	p := make([]int32, n)
	for i := range p {
		p[i] = int32(i)
	}
	m.shuffle(p)
	return p
}

func (m *mt) shuffle(p []int32) {
	for i := len(p) - 1; i > 0; i-- {
		j := m.bounded(uint32(i))
		p[i], p[j] = p[j], p[i]
	}
}

// Sample returns the first min(k, n) entries of Permutation(n, seed): the
// rows, in order, of pandas' DataFrame.sample(k, random_state=seed).
func Sample(n, k int, seed uint32) []int32 {
	p := Permutation(n, seed)
	return p[:min(k, n)]
}
