package place

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"aloft/controller/catalog/sheet"
	statev1 "aloft/proto/sky/state/v1"
)

// Listed is an accelerator on sale: on a machine, in the place where it is cheapest. Pick.Price is that on demand.
type Listed struct {
	Pick
	SpotPrice float64 // NaN = unknown
}

// Filter narrows a listing; zero fields mean any.
type Filter struct {
	Accelerator  string // part of the name, without case
	Count        float64
	Region, Zone string
	AllRegions   bool // a row for every region, not for the cheapest only
}

// Accelerators lists what a market sells: for every accelerator and count, every machine that comes with them, and of those
// that they are attached to, the cheapest. By name, count and price.
func (m Market) Accelerators(f Filter) []Listed {
	var out []Listed
	type want struct {
		name  string
		count float64
	}
	done := map[want]bool{}
	for i := range m.Sheet.Types {
		t := &m.Sheet.Types[i]
		if t.Accelerator == "" || !strings.Contains(strings.ToLower(t.Accelerator), strings.ToLower(f.Accelerator)) ||
			f.Count > 0 && math.Abs(t.Count-f.Count) > countTolerance {
			continue
		}
		if w := (want{t.Accelerator, t.Count}); !done[w] {
			done[w] = true
			out = append(out, m.listed(f, &statev1.Resources{Accelerator: t.Accelerator, AcceleratorCount: t.Count})...)
		}
	}
	slices.SortStableFunc(out, func(a, b Listed) int {
		return cmp.Or(cmp.Compare(a.Accelerator, b.Accelerator), cmp.Compare(a.Count, b.Count), comparePrices(a.Price, b.Price),
			cmp.Compare(a.CPUs, b.CPUs), cmp.Compare(a.InstanceType, b.InstanceType), cmp.Compare(a.Region, b.Region))
	})
	return out
}

// listed are the machines with r's accelerators.
func (m Market) listed(f Filter, r *statev1.Resources) []Listed {
	var own []Listed
	hosts := map[string]Listed{} // by region, "" = anywhere
	for _, mc := range m.accelerated(r) {
		best := map[string]Listed{}
		m.eachPlace(f, mc, func(l Listed) {
			key := ""
			if f.AllRegions {
				key = l.Region
			}
			if have, ok := best[key]; !ok || compareListed(l, have) < 0 {
				best[key] = l
			}
		})
		for key, l := range best {
			if mc.acc == nil {
				own = append(own, l)
				continue
			}
			if have, ok := hosts[key]; !ok || cmp.Or(compareListed(l, have), cmp.Compare(l.CPUs, have.CPUs), cmp.Compare(l.MemoryGB, have.MemoryGB), cmp.Compare(l.InstanceType, have.InstanceType)) < 0 {
				hosts[key] = l
			}
		}
	}
	for _, l := range hosts {
		own = append(own, l)
	}
	return own
}

func compareListed(a, b Listed) int {
	return cmp.Or(comparePrices(a.Price, b.Price), comparePrices(a.SpotPrice, b.SpotPrice), cmp.Compare(a.Region, b.Region))
}

// eachPlace yields every place that sells a machine, with both prices.
func (m Market) eachPlace(f Filter, mc machine, yield func(Listed)) {
	s := m.Sheet
	var acc map[uint64]sheet.Row
	if mc.acc != nil {
		acc = make(map[uint64]sheet.Row)
		for _, row := range s.Rows(mc.acc) {
			acc[row.PlaceID()] = row
		}
	}
	from := mc.host
	if mc.acc != nil {
		from = mc.acc
	}
	for _, row := range s.Rows(mc.host) {
		l := Listed{Pick: Pick{Cloud: m.Cloud, Region: s.Region(row), Zone: s.Zone(row), InstanceType: mc.name, Accelerator: from.Accelerator,
			Count: from.Count, DeviceGB: from.DeviceGB, CPUs: mc.host.CPUs, MemoryGB: mc.host.MemoryGB, Price: row.Price, Dated: s.Dated(row)}, SpotPrice: row.Spot}
		if f.Region != "" && !strings.EqualFold(f.Region, l.Region) || f.Zone != "" && !strings.EqualFold(f.Zone, l.Zone) {
			continue
		}
		if mc.acc != nil {
			a, ok := acc[row.PlaceID()]
			if !ok {
				continue
			}
			l.Price, l.SpotPrice, l.Dated = l.Price+a.Price, l.SpotPrice+a.Spot, min(l.Dated, s.Dated(a))
		}
		yield(l)
	}
}
