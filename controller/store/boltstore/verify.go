package boltstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
)

// The page layout of bbolt files, version 2. bbolt itself panics on a damaged page, partly in goroutines of its own where
// nobody can recover, and reads beyond the end of a truncated file as a memory fault. So every page is checked here, by
// plain reads, before bbolt maps the file.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2
	pageHeader  = 16
	elemSize    = 16
	leafElem    = 16
	bucketHead  = 16
	flagBranch  = 0x01
	flagLeaf    = 0x02
	bucketFlag  = 0x01
	metaSize    = 64 // with its checksum
	maxDepth    = 64
)

// boltMeta is what a meta page says.
type boltMeta struct {
	pageSize   int64
	root, pgid uint64
	txid       uint64
}

type verifier struct {
	f    *os.File
	size int64
	meta boltMeta
	seen []bool
}

var errNotStore = errors.New("not a bbolt file")

// verify checks that every page that the newest meta page reaches is whole.
func verify(f *os.File) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	v := &verifier{f: f, size: fi.Size()}
	if v.size == 0 {
		return errors.New("the file is empty")
	}
	if v.meta, err = v.readMeta(); err != nil {
		return err
	}
	// Pages beyond the end are no fault while they are free: a file that grows without sync has them.
	v.seen = make([]bool, min(v.meta.pgid, uint64(v.size/v.meta.pageSize)))
	return v.tree(v.meta.root, nil, nil, 0)
}

// readMeta finds the newest valid meta page, as bbolt does.
func (v *verifier) readMeta() (boltMeta, error) {
	first, err := v.metaAt(0)
	if err == nil {
		if second, err := v.metaAt(first.pageSize); err == nil && second.txid > first.txid {
			return second, nil
		}
		return first, nil
	}
	// The first one is damaged: the second is at a distance that only it knows.
	for ps := int64(1024); ps <= 64<<10; ps *= 2 {
		if m, err2 := v.metaAt(ps); err2 == nil && m.pageSize == ps {
			return m, nil
		}
	}
	return boltMeta{}, err
}

func (v *verifier) metaAt(off int64) (boltMeta, error) {
	var b [pageHeader + metaSize]byte
	if _, err := v.f.ReadAt(b[:], off); err != nil {
		return boltMeta{}, fmt.Errorf("%w: %w", errNotStore, err)
	}
	m := b[pageHeader:]
	le := binary.NativeEndian
	if le.Uint32(m) != boltMagic || le.Uint32(m[4:]) != boltVersion {
		return boltMeta{}, errNotStore
	}
	h := fnv.New64a()
	_, _ = h.Write(m[:56])
	if h.Sum64() != le.Uint64(m[56:]) {
		return boltMeta{}, errors.New("checksum of the meta page does not match")
	}
	out := boltMeta{pageSize: int64(le.Uint32(m[8:])), root: le.Uint64(m[16:]), pgid: le.Uint64(m[40:]), txid: le.Uint64(m[48:])}
	if out.pageSize < 1024 || out.pageSize > 64<<10 || out.root >= out.pgid {
		return boltMeta{}, errors.New("meta page makes no sense")
	}
	return out, nil
}

// tree checks the pages under id; their keys must lie in [lo, hi).
func (v *verifier) tree(id uint64, lo, hi []byte, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("page %d: nested too deep", id)
	}
	page, flags, count, err := v.page(id)
	if err != nil {
		return err
	}
	prev := lo
	for i := range count {
		e := page[pageHeader+i*elemSize:]
		key, val, err := element(page, i, flags)
		if err != nil {
			return fmt.Errorf("page %d: %w", id, err)
		}
		if (i > 0 && string(key) <= string(prev)) || string(key) < string(prev) || (hi != nil && string(key) >= string(hi)) {
			return fmt.Errorf("page %d: keys out of order", id)
		}
		prev = key
		switch {
		case flags == flagBranch:
			next := hi
			if i+1 < count {
				if next, _, err = element(page, i+1, flags); err != nil {
					return fmt.Errorf("page %d: %w", id, err)
				}
			}
			err = v.tree(binary.NativeEndian.Uint64(e[8:]), key, next, depth+1)
		case binary.NativeEndian.Uint32(e)&bucketFlag != 0:
			err = v.bucket(val, depth)
		}
		if err != nil {
			return err
		}
	}
	if flags == flagBranch && count == 0 {
		return fmt.Errorf("page %d: branch without elements", id)
	}
	return nil
}

// page reads a page with its overflow and checks its header.
func (v *verifier) page(id uint64) (page []byte, flags uint16, count int, err error) {
	if id < 2 || id >= v.meta.pgid {
		return nil, 0, 0, fmt.Errorf("page %d: out of range", id)
	}
	if id >= uint64(len(v.seen)) {
		return nil, 0, 0, fmt.Errorf("page %d: the file is truncated", id)
	}
	var head [pageHeader]byte
	off := int64(id) * v.meta.pageSize
	if _, err := v.f.ReadAt(head[:], off); err != nil {
		return nil, 0, 0, fmt.Errorf("page %d: %w", id, err)
	}
	ne := binary.NativeEndian
	flags, count = ne.Uint16(head[8:]), int(ne.Uint16(head[10:]))
	over := uint64(ne.Uint32(head[12:]))
	if ne.Uint64(head[:]) != id || (flags != flagBranch && flags != flagLeaf) || over >= v.meta.pgid-id {
		return nil, 0, 0, fmt.Errorf("page %d: damaged header", id)
	}
	if id+over >= uint64(len(v.seen)) {
		return nil, 0, 0, fmt.Errorf("page %d: the file is truncated", id)
	}
	for p := id; p <= id+over; p++ {
		if v.seen[p] {
			return nil, 0, 0, fmt.Errorf("page %d: used twice", p)
		}
		v.seen[p] = true
	}
	page = make([]byte, int64(over+1)*v.meta.pageSize)
	if _, err := v.f.ReadAt(page, off); err != nil {
		return nil, 0, 0, fmt.Errorf("page %d: %w", id, err)
	}
	if pageHeader+count*elemSize > len(page) {
		return nil, 0, 0, fmt.Errorf("page %d: damaged header", id)
	}
	return page, flags, count, nil
}

// element reads element i of a page; a branch element has no value.
func element(page []byte, i int, flags uint16) (key, val []byte, err error) {
	at := pageHeader + i*elemSize
	e := page[at : at+elemSize]
	ne := binary.NativeEndian
	pos, ksize, vsize := uint64(ne.Uint32(e)), uint64(ne.Uint32(e[4:])), uint64(0)
	if flags == flagLeaf {
		pos, ksize, vsize = uint64(ne.Uint32(e[4:])), uint64(ne.Uint32(e[8:])), uint64(ne.Uint32(e[12:]))
	}
	start := uint64(at) + pos
	if start+ksize+vsize > uint64(len(page)) || pos < elemSize {
		return nil, nil, fmt.Errorf("element %d: out of the page", i)
	}
	return page[start : start+ksize], page[start+ksize : start+ksize+vsize], nil
}

// bucket checks a nested bucket: an inline page, or a tree of its own.
func (v *verifier) bucket(val []byte, depth int) error {
	if len(val) < bucketHead {
		return errors.New("bucket header is cut off")
	}
	root := binary.NativeEndian.Uint64(val)
	if root != 0 {
		return v.tree(root, nil, nil, depth+1)
	}
	page := val[bucketHead:]
	if len(page) < pageHeader || binary.NativeEndian.Uint16(page[8:]) != flagLeaf {
		return errors.New("inline bucket is damaged")
	}
	count := int(binary.NativeEndian.Uint16(page[10:]))
	if pageHeader+count*elemSize > len(page) {
		return errors.New("inline bucket is damaged")
	}
	for i := range count {
		if _, _, err := element(page, i, flagLeaf); err != nil {
			return fmt.Errorf("inline bucket: %w", err)
		}
	}
	return nil
}
