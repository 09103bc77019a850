// Package redact removes secret values from a stream of bytes before anything touches a disk.
//
// Every occurrence of a value, and of the forms in which values usually leak (base64 in both alphabets and at every
// alignment, URL escapes, JSON escapes), becomes `***`; occurrences that overlap become one. The result depends on the
// bytes alone, never on how they were cut into writes.
//
// What is not removed: values shorter than MinValue, encoded forms of values shorter than MinEncoded, and a value that
// something broke apart (base64 wrapped into lines, hex, compression).
package redact

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

const (
	// MinValue is the shortest value that is replaced: shorter ones are found everywhere and would eat the log.
	MinValue = 4
	// MinEncoded is the shortest value whose encoded forms are replaced.
	MinEncoded = 8
	// Mask takes the place of a value.
	Mask = "***"
	// longHold is a beginning of a value too long to be chance: Flush keeps it unless forced.
	longHold = 8
)

// Set is a compiled set of values. It does not change and may be shared.
type Set struct {
	groups map[uint32][][]byte // by the first four bytes; longest first
	sorted [][]byte            // all, for beginnings shorter than four bytes
	bloom  [1 << 10]uint64     // of the hashes of the first four bytes
	// The longest pattern bounds how far a look ahead may have to go.
	longest int
}

// New compiles values. Duplicates and short ones are fine.
func New(values []string) *Set {
	s := &Set{groups: map[uint32][][]byte{}}
	for _, v := range values {
		for _, f := range forms(v) {
			s.sorted = append(s.sorted, []byte(f))
		}
	}
	slices.SortFunc(s.sorted, bytes.Compare)
	s.sorted = slices.CompactFunc(s.sorted, bytes.Equal)
	for _, p := range s.sorted {
		key := binary.LittleEndian.Uint32(p)
		s.groups[key] = append(s.groups[key], p)
		h := hash(key)
		s.bloom[h>>6] |= 1 << (h & 63)
		s.longest = max(s.longest, len(p))
	}
	for _, g := range s.groups {
		slices.SortFunc(g, func(a, b []byte) int { return cmp.Compare(len(b), len(a)) })
	}
	return s
}

// hash spreads four bytes over 16 bits.
func hash(v uint32) uint32 { return v * 0x9E3779B1 >> 16 }

// Empty says that nothing would ever be replaced.
func (s *Set) Empty() bool { return len(s.sorted) == 0 }

// at looks for patterns at the start of b. full is the length of the longest that is there whole; more says that a longer
// one may follow when b goes on.
func (s *Set) at(b []byte) (full int, more bool) {
	if len(b) < MinValue {
		return 0, s.begins(b)
	}
	for _, p := range s.groups[binary.LittleEndian.Uint32(b)] {
		switch {
		case len(p) <= len(b):
			if bytes.Equal(p, b[:len(p)]) {
				return len(p), more // the rest of the group is shorter
			}
		case bytes.Equal(p[:len(b)], b):
			more = true
		}
	}
	return 0, more
}

// begins says whether some pattern begins with b.
func (s *Set) begins(b []byte) bool {
	i, exact := slices.BinarySearchFunc(s.sorted, b, bytes.Compare)
	return exact || i < len(s.sorted) && bytes.HasPrefix(s.sorted[i], b)
}

// Stream is the state of one stream of bytes. It is for one goroutine.
type Stream struct {
	set  *Set
	emit func([]byte)
	// held is what cannot be decided yet: it begins a pattern, or lies behind something that does.
	held []byte
	// hidden is how many bytes at the start of held belong to an occurrence whose mask is out already.
	hidden int
	// shown is how many bytes at the start of held are not to be passed on: they are hidden, or Flush let them go.
	shown int
	final bool // nothing follows: a longer pattern that might is not waited for
	out   []byte
}

// Stream starts a stream; emit gets what may be seen and must not keep it.
func (s *Set) Stream(emit func([]byte)) *Stream { return &Stream{set: s, emit: emit} }

// Write passes p on, without the secrets.
func (s *Stream) Write(p []byte) {
	if len(s.held) == 0 {
		rest := s.scan(p)
		s.held = append(s.held[:0], p[len(p)-rest:]...)
	} else {
		s.held = append(s.held, p...)
		rest := s.scan(s.held)
		s.held = s.held[:copy(s.held, s.held[len(s.held)-rest:])]
	}
	s.send()
}

// scan decides what it can of b and returns how many bytes at its end must wait.
func (s *Stream) scan(b []byte) (rest int) {
	set := s.set
	cover := s.hidden // end of the occurrence that is open: its mask is out
	from := s.shown
	i := 0
	for i < len(b) {
		if len(b)-i >= MinValue {
			h := hash(binary.LittleEndian.Uint32(b[i:]))
			if set.bloom[h>>6]&(1<<(h&63)) == 0 {
				i++
				continue
			}
		}
		full, more := set.at(b[i:])
		if more && !s.final {
			break
		}
		if full > 0 {
			if i >= cover { // a new occurrence, else it prolongs the open one
				if i > from {
					s.out = append(s.out, b[from:i]...)
				}
				s.out = append(s.out, Mask...)
			}
			cover = max(cover, i+full)
			from = max(from, cover)
		}
		i++
	}
	if i > from {
		s.out = append(s.out, b[from:i]...)
		from = i
	}
	s.hidden, s.shown = max(0, cover-i), max(0, from-i)
	return len(b) - i
}

// Held says how many bytes wait for what follows them.
func (s *Stream) Held() int { return len(s.held) - s.shown }

// Flush lets go of what is held, for when nothing follows for a while: all of it when force is set, otherwise only a
// beginning that is short enough to be chance. When the rest of the value comes after all, that is replaced still.
func (s *Stream) Flush(force bool) {
	n := s.Held()
	if n <= 0 || n >= longHold && !force {
		return
	}
	switch {
	case !s.whole():
		s.out = append(s.out, s.held[s.shown:]...)
		s.shown = len(s.held)
	case force:
		s.final = true
		s.scan(s.held)
		s.final, s.held, s.hidden, s.shown = false, s.held[:0], 0, 0
	}
	s.send()
}

// whole says whether what is held has a whole value in it, beside the beginning of a longer one.
func (s *Stream) whole() bool {
	for i := range s.held {
		if full, _ := s.set.at(s.held[i:]); full > 0 {
			return true
		}
	}
	return false
}

func (s *Stream) send() {
	if len(s.out) == 0 {
		return
	}
	s.emit(s.out)
	s.out = s.out[:0]
}
