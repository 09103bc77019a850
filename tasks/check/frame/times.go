package frame

import (
	"fmt"
	"math"
	"time"
)

// layouts are the date forms understood, tried in order.
var layouts = []string{
	"2006-01-02",
	"2006-01-02 15:04:05.999999999",
	"2006-01-02T15:04:05.999999999",
	time.RFC3339Nano,
	"2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02 15:04",
	"2006-01-02T15:04",
	"2006/01/02",
	"2006/01/02 15:04:05.999999999",
	"2006/01/02 15:04",
	"01/02/2006",
	"01/02/2006 15:04:05.999999999",
	"01/02/2006 15:04",
	"20060102",
	"2006-01",
	"Jan 2 2006",
	"Jan 2, 2006",
	"2 Jan 2006",
	"January 2, 2006",
	time.RFC1123,
	time.RFC1123Z,
}

// units are the lengths of a number's unit in Table.ParseTimes.
var units = map[string]float64{"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9, "D": 86400e9}

// ParseTimes turns the named column into times. Text is read in ISO 8601 and
// other common forms (month first before slashes);
// numbers count units ("s", "ms", "us", "ns", "m", "h", "D"; "" is "ns")
// since 1970 UTC. Times without a zone are UTC.
func (t *Table) ParseTimes(name, unit string) error {
	c, err := t.Lookup(name)
	if err != nil {
		return err
	}
	if c.kind == Time {
		return nil
	}
	if unit == "" {
		unit = "ns"
	}
	scale, ok := units[unit]
	if !ok {
		return fmt.Errorf("%s: column %q: unknown time unit %q; use s, ms, us, ns, m, h or D", t.name, name, unit)
	}
	out := &Column{name: c.name, kind: Time, n: c.n, nulls: c.nulls, spellings: c.spellings, ints: make([]int64, c.n)}
	var parsed []int64
	if c.kind == Text {
		parsed = make([]int64, len(c.dict))
		last := 0
		for i, s := range c.dict {
			ns, layout, err := parseTime(s, last)
			if err != nil {
				return fmt.Errorf("%s: column %q: %w", t.name, name, err)
			}
			parsed[i], last = ns, layout
		}
	}
	for i := range c.n {
		switch {
		case c.IsNull(i):
		case c.kind == Text:
			out.ints[i] = parsed[c.codes[i]]
		default:
			if c.kind == Int && scale == 1 { // too long for a float64
				out.ints[i] = c.ints[i]
				continue
			}
			ns := c.Float(i) * scale
			if math.Abs(ns) > math.MaxInt64/2 {
				return fmt.Errorf("%s: column %q: %v %s is out of the range of times (1678 to 2262)", t.name, name, c.Float(i), unit)
			}
			out.ints[i] = int64(math.Round(ns))
		}
	}
	if c.whole != nil {
		out.whole = c.whole.times(c, parsed, scale)
	}
	t.replace(out)
	return nil
}

// parseTime tries the layout that worked last time first: a column has one.
func parseTime(s string, hint int) (ns int64, layout int, err error) {
	for k := range len(layouts) {
		i := (hint + k) % len(layouts)
		t, err := time.Parse(layouts[i], s)
		if err != nil {
			continue
		}
		if y := t.Year(); y < 1678 || y > 2261 {
			return 0, 0, fmt.Errorf("%q is out of the range of times (1678 to 2262)", clip(s))
		}
		return t.UnixNano(), i, nil
	}
	return 0, 0, fmt.Errorf("%q is no date or time in a form understood (like 2024-01-31 or 2024-01-31T12:00:00Z)", clip(s))
}

// withTimes parses the columns declared as times.
func (t *Table) withTimes(types map[string]Kind) (*Table, error) {
	for _, name := range sortedKeys(types) {
		if types[name] == Time && t.Column(name) != nil {
			if err := t.ParseTimes(name, ""); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}
