package metrics

import "math"

// Curve keeps the shape of a series in bounded memory: the smallest and the largest point of each of a bounded number of
// stretches, and the last point. Stretches grow as the series does.
type Curve struct {
	most    int
	width   uint64 // points of a full stretch
	n       uint64
	first   Point
	last    Point
	buckets []bucket
}

// bucket is one stretch: its extremes in the order in which they came. With one point, or with no finite one, both are it.
type bucket struct {
	lo, hi  Point
	n       uint64
	hiFirst bool
}

// NewCurve makes a curve of at most that many stretches (at least 2).
func NewCurve(stretches int) *Curve { return &Curve{most: max(stretches&^1, 2), width: 1} }

// Add takes one more point.
func (c *Curve) Add(p Point) {
	if c.n == 0 {
		c.first = p
	}
	c.n++
	c.last = p
	if k := len(c.buckets); k > 0 && c.buckets[k-1].n < c.width {
		c.buckets[k-1].add(bucket{lo: p, hi: p, n: 1})
		return
	}
	if len(c.buckets) == c.most {
		for i := range c.most / 2 {
			b := c.buckets[2*i]
			b.add(c.buckets[2*i+1])
			c.buckets[i] = b
		}
		c.buckets = c.buckets[:c.most/2]
		c.width *= 2
	}
	c.buckets = append(c.buckets, bucket{lo: p, hi: p, n: 1})
}

func (b *bucket) add(x bucket) {
	b.n += x.n
	switch {
	case math.IsNaN(x.lo.Value):
		return
	case math.IsNaN(b.lo.Value):
		b.lo, b.hi, b.hiFirst = x.lo, x.hi, x.hiFirst
		return
	}
	lo, hi := x.lo.Value < b.lo.Value, x.hi.Value > b.hi.Value
	switch {
	case lo && hi:
		b.lo, b.hi, b.hiFirst = x.lo, x.hi, x.hiFirst
	case lo:
		b.lo, b.hiFirst = x.lo, true
	case hi:
		b.hi, b.hiFirst = x.hi, false
	}
}

// Points is the curve with at most that many points (at least 4), the first and the last of the series among them, and
// its smallest and its largest. A series that has no more comes as it is.
func (c *Curve) Points(most int) []Point {
	if c.n == 0 {
		return nil
	}
	all := make([]Point, 0, 2*len(c.buckets)+2)
	for i := range c.buckets {
		b := &c.buckets[i]
		switch {
		case b.n == 1 || b.lo == b.hi || math.IsNaN(b.lo.Value):
			all = append(all, b.lo)
		case b.hiFirst:
			all = append(all, b.hi, b.lo)
		default:
			all = append(all, b.lo, b.hi)
		}
	}
	if !same(all[0], c.first) {
		all = append([]Point{c.first}, all...)
	}
	if !same(all[len(all)-1], c.last) {
		all = append(all, c.last)
	}
	return Downsample(all, most)
}

func same(a, b Point) bool {
	return a.Step == b.Step && a.AtMS == b.AtMS && (a.Value == b.Value || math.IsNaN(a.Value) && math.IsNaN(b.Value))
}

// Downsample picks at most that many points (at least 4) in their order: the first and the last, and of stretches between
// them the smallest and the largest. With no more points than that it picks them all.
func Downsample(all []Point, most int) []Point {
	if most = max(most, 4); len(all) <= most {
		return all
	}
	out := append(make([]Point, 0, most), all[0])
	inner := all[1 : len(all)-1]
	groups := (most - 2) / 2
	for g := range groups {
		part := inner[g*len(inner)/groups : (g+1)*len(inner)/groups]
		lo, hi := extremes(part)
		out = append(out, part[min(lo, hi)])
		if lo != hi {
			out = append(out, part[max(lo, hi)])
		}
	}
	return append(out, all[len(all)-1])
}

// extremes are the places of the smallest and the largest value; the first place when there is no number.
func extremes(part []Point) (lo, hi int) {
	lo, hi = -1, -1
	for i, p := range part {
		if math.IsNaN(p.Value) {
			continue
		}
		if lo < 0 || p.Value < part[lo].Value {
			lo = i
		}
		if hi < 0 || p.Value > part[hi].Value {
			hi = i
		}
	}
	return max(lo, 0), max(hi, 0)
}
