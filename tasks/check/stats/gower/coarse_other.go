//go:build !amd64

package gower

func (c *coarse) compare(i, first, end int, out []int32) { c.comparePlain(i, first, end, out) }
