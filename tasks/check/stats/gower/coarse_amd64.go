package gower

// compareCoarse writes the coarse distances between the row x and n others, at
// least one, as comparePlain does. SSE2, which every amd64 has, adds up the
// differences of sixteen bytes in one instruction.
//
//go:noescape
func compareCoarse(x, rows *uint64, numbers, categories, masked, n int, out *int32)

func (c *coarse) compare(i, first, end int, out []int32) {
	masked := 0
	if c.masked {
		masked = 1
	}
	compareCoarse(&c.rows[i*c.stride], &c.rows[first*c.stride], c.numbers, c.categories, masked, end-first, &out[:end-first][0])
}
