package frame

import "hash/maphash"

// texts numbers the distinct texts of one piece of a column in the order in
// which they first appear. Their bytes lie in one buffer.
type texts struct {
	seed   maphash.Seed
	slots  []int32 // code + 1; 0 is free
	hashes []uint64
	ends   []int
	bytes  []byte
}

func (t *texts) reset() {
	clear(t.slots)
	t.hashes, t.ends, t.bytes = t.hashes[:0], t.ends[:0], t.bytes[:0]
}

// at returns the text of a code.
func (t *texts) at(code int32) []byte {
	if code == 0 {
		return t.bytes[:t.ends[0]]
	}
	return t.bytes[t.ends[code-1]:t.ends[code]]
}

// code returns the number of a text, and whether it is new.
func (t *texts) code(b []byte) (int32, bool) {
	if 2*len(t.hashes) >= len(t.slots) {
		t.slots = rehash(t.hashes, max(2*len(t.slots), 64))
	}
	h := maphash.Bytes(t.seed, b)
	mask := uint64(len(t.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		k := t.slots[i] - 1
		if k < 0 {
			k = int32(len(t.hashes))
			t.slots[i] = k + 1
			t.bytes = append(t.bytes, b...)
			t.hashes, t.ends = append(t.hashes, h), append(t.ends, len(t.bytes))
			return k, true
		}
		if t.hashes[k] == h && string(t.at(k)) == string(b) {
			return k, false
		}
	}
}

// rehash fills size slots, a power of two, with the codes of the hashes.
func rehash(hashes []uint64, size int) []int32 {
	slots := make([]int32, size)
	mask := uint64(size - 1)
	for k, h := range hashes {
		i := h & mask
		for slots[i] != 0 {
			i = (i + 1) & mask
		}
		slots[i] = int32(k) + 1
	}
	return slots
}

// dictionary numbers the distinct texts of a whole column.
type dictionary struct {
	slots  []int32
	hashes []uint64
	texts  []string
	size   int     // bytes of the texts
	codes  []int32 // of the piece merged last
	fresh  []int32
}

// merge takes in the texts of a piece, or the used ones of them, and returns
// the column's code of each. What it returns holds until the next call.
func (d *dictionary) merge(t *texts, used []bool) []int32 {
	d.codes, d.fresh = d.codes[:0], d.fresh[:0]
	size := 0
	for k, h := range t.hashes {
		if used != nil && !used[k] {
			d.codes = append(d.codes, 0)
			continue
		}
		if 2*len(d.hashes) >= len(d.slots) {
			d.slots = rehash(d.hashes, max(2*len(d.slots), 64))
		}
		code, found := d.find(h, t.at(int32(k)), t)
		if !found {
			d.fresh = append(d.fresh, int32(k))
			size += len(t.at(int32(k)))
		}
		d.codes = append(d.codes, code)
	}
	d.adopt(t, size)
	return d.codes
}

// find looks a text up and makes room for it when it is new. A text that is
// new in this piece cannot be looked up twice: pieces hold distinct texts.
func (d *dictionary) find(h uint64, b []byte, t *texts) (int32, bool) {
	mask := uint64(len(d.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		k := d.slots[i] - 1
		if k < 0 {
			k = int32(len(d.hashes))
			d.slots[i] = k + 1
			d.hashes = append(d.hashes, h)
			return k, false
		}
		if d.hashes[k] == h && int(k) < len(d.texts) && d.texts[k] == string(b) {
			return k, true
		}
	}
}

// adopt copies the new texts of a piece into one string of their own, so that
// they are few objects to the garbage collector.
func (d *dictionary) adopt(t *texts, size int) {
	if len(d.fresh) == 0 {
		return
	}
	joined := make([]byte, 0, size)
	for _, k := range d.fresh {
		joined = append(joined, t.at(k)...)
	}
	all, at := string(joined), 0
	for _, k := range d.fresh {
		n := len(t.at(k))
		d.texts = append(d.texts, all[at:at+n])
		at += n
	}
	d.size += size
}
