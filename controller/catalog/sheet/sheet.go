// Package sheet reads cloud catalogues in SkyPilot's columns: which machine is sold where, at what price.
//
// A Sheet groups rows by machine type: an optimizer looks at some hundred types, not at a hundred thousand rows. Unknown
// prices are NaN, never zero.
package sheet

import (
	"math"
	"strings"
)

// Type is a machine type; or, with an empty Name, an accelerator that is attached to one (GCP).
type Type struct {
	Name         string
	Accelerator  string
	Count        float64 // of accelerators
	CPUs         float64
	MemoryGB     float64
	DeviceGB     float64 // memory of one accelerator; 0 = not told
	Arch         string
	first, count uint32 // its rows
}

// Row says that a type is sold in a place. Prices are USD per hour; NaN = unknown or not sold that way.
type Row struct {
	region, zone uint32
	dated        uint32
	Price        float64
	Spot         float64
}

// Sheet is one cloud's catalogue. It is never changed after it was read.
type Sheet struct {
	Types []Type
	rows  []Row
	words []string // regions, zones and dates
}

// Rows are the places where t is sold, in the order of the file.
func (s *Sheet) Rows(t *Type) []Row { return s.rows[t.first : t.first+t.count] }

// Len is the number of rows.
func (s *Sheet) Len() int { return len(s.rows) }

// Region of a row.
func (s *Sheet) Region(r Row) string { return s.words[r.region] }

// Zone of a row; "" when the catalogue does not tell.
func (s *Sheet) Zone(r Row) string { return s.words[r.zone] }

// Dated is when the price of a row was seen, as the file has it; "" when it does not say.
func (s *Sheet) Dated(r Row) string { return s.words[r.dated] }

// PlaceID tells places apart: equal ids, equal region and zone.
func (r Row) PlaceID() uint64 { return uint64(r.region)<<32 | uint64(r.zone) }

// Known reports whether a price is one.
func Known(price float64) bool { return !math.IsNaN(price) }

// Unknown is the price of what has none.
func Unknown() float64 { return math.NaN() }

// WithZones gives the sheet whose zone ids are replaced by names; rows in zones that are not in the map are dropped, as
// SkyPilot does: they belong to regions that the account does not have.
func (s *Sheet) WithZones(names map[string]string) *Sheet {
	words := newInterner(s.words)
	zone := make([]int64, len(s.words))
	for i, w := range s.words {
		zone[i] = -1
		if w == "" {
			zone[i] = int64(i)
		} else if n, ok := names[w]; ok {
			zone[i] = int64(words.id(n))
		}
	}
	out := &Sheet{rows: make([]Row, 0, len(s.rows))}
	for _, t := range s.Types {
		first := uint32(len(out.rows))
		for _, r := range s.Rows(&t) {
			if z := zone[r.zone]; z >= 0 {
				r.zone = uint32(z)
				out.rows = append(out.rows, r)
			}
		}
		t.first, t.count = first, uint32(len(out.rows))-first
		if t.count > 0 {
			out.Types = append(out.Types, t)
		}
	}
	out.words = words.words
	return out
}

// interner numbers strings.
type interner struct {
	words []string
	ids   map[string]uint32
}

func newInterner(words []string) *interner {
	in := &interner{ids: make(map[string]uint32, len(words))}
	for _, w := range words {
		in.id(w)
	}
	return in
}

func (in *interner) id(w string) uint32 {
	if id, ok := in.ids[w]; ok {
		return id
	}
	return in.add(strings.Clone(w))
}

// bytes is id without making a string of what is known.
func (in *interner) bytes(w []byte) uint32 {
	if id, ok := in.ids[string(w)]; ok {
		return id
	}
	return in.add(string(w))
}

func (in *interner) add(w string) uint32 {
	id := uint32(len(in.words))
	in.words = append(in.words, w)
	in.ids[w] = id
	return id
}
