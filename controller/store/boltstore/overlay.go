package boltstore

import "slices"

// change is one pending write.
type change struct {
	key string
	val []byte
	del bool
}

// overlay holds the pending writes of one closure, per bucket and in key order.
type overlay struct {
	buckets [nBuckets][]change
}

func (o *overlay) find(b bucketID, key string) (int, bool) {
	l := o.buckets[b]
	if n := len(l); n == 0 || l[n-1].key < key {
		return n, false // the common case: keys come in order
	}
	return slices.BinarySearchFunc(l, key, func(c change, k string) int {
		switch {
		case c.key < k:
			return -1
		case c.key > k:
			return 1
		}
		return 0
	})
}

func (o *overlay) set(b bucketID, c change) {
	i, ok := o.find(b, c.key)
	if ok {
		o.buckets[b][i] = c
		return
	}
	o.buckets[b] = slices.Insert(o.buckets[b], i, c)
}

func (o *overlay) get(b bucketID, key string) (change, bool) {
	if len(o.buckets[b]) == 0 {
		return change{}, false
	}
	i, ok := o.find(b, key)
	if !ok {
		return change{}, false
	}
	return o.buckets[b][i], true
}

// after is the first change with a key > key, or >= key when inclusive.
func (o *overlay) after(b bucketID, key string, inclusive bool) (change, bool) {
	i, ok := o.find(b, key)
	if ok && !inclusive {
		i++
	}
	if i >= len(o.buckets[b]) {
		return change{}, false
	}
	return o.buckets[b][i], true
}

// before is the last change with a key < key; key "" means the last of all.
func (o *overlay) before(b bucketID, key string) (change, bool) {
	i := len(o.buckets[b])
	if key != "" {
		i, _ = o.find(b, key)
	}
	if i == 0 {
		return change{}, false
	}
	return o.buckets[b][i-1], true
}

func (o *overlay) empty() bool {
	for _, l := range o.buckets {
		if len(l) > 0 {
			return false
		}
	}
	return true
}
