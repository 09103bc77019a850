package tree

import "math"

const (
	// nearTie is how close, relative to the node, two cuts must be for their
	// gains to be taken anew without the rounding of running sums.
	nearTie = 1e-11
	// mostTies bounds how many cuts of one feature are taken anew.
	mostTies = 32
)

// medianScan finds AbsoluteError cuts in linear time: the rows of one side
// leave a list that is sorted by target one after the other, while the list's
// median moves by at most one place.
type medianScan struct {
	values []float64
	rank   []int32 // by row: place in the sorted node

	sorted     []float64 // targets of the node by place
	y          []float64 // the same less the node's median
	next, prev []int32   // the list, by place; place 0 is before the first
	costs      []float64 // by number of rows on the left
	medians    [2][]float64
}

func (m *medianScan) reset(values []float64, rows, n int) {
	m.values = values
	m.rank = resize(m.rank, rows)
	m.sorted, m.y = resize(m.sorted, n+2), resize(m.y, n+2)
	m.next, m.prev = resize(m.next, n+2), resize(m.prev, n+2)
	m.costs = resize(m.costs, n+1)
	for i := range m.medians {
		m.medians[i] = resize(m.medians[i], n+1)
	}
}

// begin takes the rows of a node, sorted by target.
func (m *medianScan) begin(order []int32) {
	center := m.middle(order)
	for i, r := range order {
		m.rank[r] = int32(i + 1)
		m.sorted[i+1] = m.values[r]
		m.y[i+1] = m.values[r] - center
	}
}

// middle returns the median of rows sorted by target.
func (m *medianScan) middle(order []int32) float64 {
	n := len(order)
	if n%2 == 1 {
		return m.values[order[n/2]]
	}
	return (m.values[order[n/2]] + m.values[order[n/2-1]]) / 2
}

// spread is Σ|y − median|.
func (m *medianScan) spread(rows []int32, median float64) float64 {
	sum := 0.0
	for _, r := range rows {
		sum += math.Abs(m.values[r] - median)
	}
	return sum
}

// scan finds the best cut of rows sorted by x that beats the gain given.
func (m *medianScan) scan(rows []int32, x []float32, minRows int, minWeight, beat float64) cut {
	n := len(rows)
	least := max(minRows, int(math.Ceil(minWeight)))
	if n < 2*least {
		return cut{}
	}
	// From the full list the right rows leave from the end on, then the left
	// rows from the front on.
	total := m.remove(n, 0, func(p int) int32 { return rows[n-1-p] }, func(left int, cost float64) { m.costs[left] = cost })
	m.remove(n, 1, func(p int) int32 { return rows[p] }, func(right int, cost float64) { m.costs[n-right] += cost })
	least = max(least, 1)
	lowest := math.Inf(1)
	for p := least; p <= n-least; p++ {
		if x[rows[p]] > x[rows[p-1]]+minGap {
			lowest = min(lowest, m.costs[p])
		}
	}
	margin := nearTie * total
	best := cut{gain: beat}
	if -lowest < beat-margin {
		return best
	}
	tries := 0
	for p := least; p <= n-least && tries < mostTies; p++ {
		if m.costs[p] > lowest+margin || x[rows[p]] <= x[rows[p-1]]+minGap {
			continue
		}
		tries++
		nl, nr := float64(p), float64(n-p)
		il := m.spread(rows[:p], m.medians[0][p]) / nl
		ir := m.spread(rows[p:], m.medians[1][n-p]) / nr
		if gain := -nr*ir - nl*il; gain > best.gain {
			best.gain, best.rows = gain, p
		}
	}
	return best
}

// remove takes the rows that leaving names out of the full list of n, one
// after the other, and tells the cost of what remains: Σ|y − median|. It
// returns the cost of the full list.
func (m *medianScan) remove(n, side int, leaving func(int) int32, tell func(size int, cost float64)) float64 {
	for i := 1; i <= n; i++ {
		m.next[i], m.prev[i] = int32(i+1), int32(i-1)
	}
	m.prev[n+1] = int32(n)
	mid := int32((n + 1) / 2) // of an even number the lower one
	low, high := 0.0, 0.0     // sums up to the median and above
	for i := 1; i <= n; i++ {
		if int32(i) <= mid {
			low += m.y[i]
		} else {
			high += m.y[i]
		}
	}
	cost := func(size int) float64 {
		if size%2 == 1 {
			return high - low + m.y[mid]
		}
		return high - low
	}
	total := cost(n)
	for size := n; size > 1; size-- {
		e := m.rank[leaving(n-size)]
		y := m.y[e]
		if e <= mid {
			low -= y
		} else {
			high -= y
		}
		switch {
		case size%2 == 1 && e >= mid: // the median moves down
			if e > mid {
				low -= m.y[mid]
				high += m.y[mid]
			}
			mid = m.prev[mid]
		case size%2 == 0 && e <= mid: // the median moves up
			mid = m.next[mid]
			low += m.y[mid]
			high -= m.y[mid]
		}
		m.next[m.prev[e]], m.prev[m.next[e]] = m.next[e], m.prev[e]
		left := size - 1
		median := m.sorted[mid]
		if left%2 == 0 {
			median = (median + m.sorted[m.next[mid]]) / 2
		}
		m.medians[side][left] = median
		tell(left, cost(left))
	}
	return total
}
