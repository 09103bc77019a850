package place

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"aloft/controller/catalog/sheet"
	statev1 "aloft/proto/sky/state/v1"
)

// Market is what one cloud sells, by its catalogue.
type Market struct {
	Cloud string // lower case
	Sheet *sheet.Sheet
}

// Pick is a machine in a place that satisfies one alternative of a query.
type Pick struct {
	Cloud, Region, Zone string // Zone "" = any of the region
	InstanceType        string
	Accelerator         string
	Count               float64
	CPUs, MemoryGB      float64 // 0 = not told
	DeviceGB            float64 // memory of one accelerator; 0 = not told
	Price               float64 // USD per hour for one node; NaN = unknown
	Dated               string  // when the price was seen, when the catalogue says
	Spot                bool
	Alternative         int // index in Query.Resources
	Wanted              *statev1.Resources
}

// Candidate is the pick as the store keeps it.
func (p Pick) Candidate() *statev1.Candidate {
	c := &statev1.Candidate{Provider: p.Cloud, Region: p.Region, Zone: p.Zone, InstanceType: p.InstanceType, Accelerator: p.Accelerator,
		AcceleratorCount: p.Count, Cpus: p.CPUs, MemoryGb: p.MemoryGB, Spot: p.Spot, Wanted: p.Wanted}
	if sheet.Known(p.Price) {
		c.HourlyPrice, c.PriceDated = p.Price, p.Dated
	} else {
		c.PriceUnknown = true
	}
	return c
}

// Choice is the answer of Choose.
type Choice struct {
	Picks   []Pick               // every place, the best first
	Shown   []Pick               // one line of the table each: the best of every cloud and alternative
	Others  []Others             // machine types among which a shown one was the cheapest
	Unmet   []*statev1.Resources // alternatives that nothing satisfies
	Near    []string             // accelerators on sale that come near to one that is not
	Failure *statev1.Failure     // why there are no picks
}

// Others are machine types of a cloud that satisfy an alternative.
type Others struct {
	Cloud  string
	Wanted *statev1.Resources
	Chosen string
	Types  []string
}

// machine is a type that can be had, with the accelerator that is attached to it, if any.
type machine struct {
	host *sheet.Type
	acc  *sheet.Type // nil = the host has its own, or none
	name string
}

// Choose ranks what clouds sell as SkyPilot does: every cloud offers its cheapest machine type that satisfies an
// alternative, wherever that is sold; the cheapest place comes first. Alternatives of kind ordered keep their order. Of
// Query it reads Resources, Kind, NumNodes and MaxHourlyCost; the markets are the enabled clouds, in order of preference.
func Choose(q Query, markets []Market) Choice {
	alternatives := q.Resources
	if len(alternatives) == 0 {
		alternatives = []*statev1.Resources{{}}
	}
	rank := map[string]int{}
	for i, m := range markets {
		rank[m.Cloud] = i
	}
	byPrice := func(a, b Pick) int { return comparePicks(a, b, rank) }
	var out Choice
	near := map[string]bool{}
	for i, r := range alternatives {
		var all []Pick
		for _, m := range markets {
			if r.GetCloud() != "" && !strings.EqualFold(r.GetCloud(), m.Cloud) {
				continue
			}
			picks, types := m.search(q, r)
			for j := range picks {
				picks[j].Alternative = i
			}
			slices.SortFunc(picks, byPrice)
			if len(picks) > 0 {
				out.show(picks[0])
				if len(types) > 1 {
					out.Others = append(out.Others, Others{m.Cloud, r, picks[0].InstanceType, types})
				}
			}
			all = append(all, picks...)
			for _, n := range m.near(r) {
				near[n] = true
			}
		}
		if len(all) == 0 {
			out.Unmet = append(out.Unmet, r)
		}
		slices.SortFunc(all, byPrice)
		out.Picks = append(out.Picks, all...)
	}
	if q.Kind != "ordered" {
		slices.SortStableFunc(out.Picks, byPrice)
	}
	out.Picks = dedupePicks(out.Picks)
	out.sortShown(q)
	for n := range near {
		out.Near = append(out.Near, n)
	}
	slices.Sort(out.Near)
	if len(out.Picks) == 0 {
		out.Failure = noPick(alternatives, markets, out.Near)
	}
	return out
}

// show adds a line of the table, unless the same machine is there already.
func (c *Choice) show(p Pick) {
	same := func(o Pick) bool {
		return o.Cloud == p.Cloud && o.InstanceType == p.InstanceType && o.Accelerator == p.Accelerator && o.Count == p.Count && o.Spot == p.Spot
	}
	if i := slices.IndexFunc(c.Shown, func(o Pick) bool {
		return same(o) && o.Region == p.Region && o.Zone == p.Zone || same(o) && o.Alternative < p.Alternative
	}); i < 0 {
		c.Shown = append(c.Shown, p)
	}
}

// sortShown puts the table into SkyPilot's order: by the price that is printed, then by name.
func (c *Choice) sortShown(q Query) {
	cents := func(p Pick) float64 {
		if !sheet.Known(p.Price) {
			return math.Inf(1)
		}
		return math.Round(p.Price * float64(max(q.NumNodes, 1)) * 100)
	}
	slices.SortStableFunc(c.Shown, func(a, b Pick) int {
		ordered := 0
		if q.Kind == "ordered" {
			ordered = cmp.Compare(a.Alternative, b.Alternative)
		}
		return cmp.Or(ordered, cmp.Compare(cents(a), cents(b)), cmp.Compare(a.Cloud, b.Cloud))
	})
}

// comparePicks ranks known prices before unknown ones, then by price, then by preference: of the cloud, for regions in the
// US on AWS as SkyPilot tries them, then by name.
func comparePicks(a, b Pick, rank map[string]int) int {
	return cmp.Or(
		comparePrices(a.Price, b.Price),
		cmp.Compare(rank[a.Cloud], rank[b.Cloud]),
		cmp.Compare(abroad(a), abroad(b)),
		cmp.Compare(a.Region, b.Region), cmp.Compare(a.Zone, b.Zone),
		cmp.Compare(a.CPUs, b.CPUs), cmp.Compare(a.InstanceType, b.InstanceType),
	)
}

// comparePrices puts unknown prices last.
func comparePrices(a, b float64) int {
	switch ka, kb := sheet.Known(a), sheet.Known(b); {
	case ka && kb:
		return cmp.Compare(a, b)
	case ka:
		return -1
	case kb:
		return 1
	}
	return 0
}

func abroad(p Pick) int {
	if p.Cloud == "aws" && !strings.HasPrefix(p.Region, "us-") {
		return 1
	}
	return 0
}

// dedupePicks drops what satisfies several alternatives the same way.
func dedupePicks(ps []Pick) []Pick {
	type key struct {
		cloud, region, zone, instance, accelerator string
		count                                      float64
		spot                                       bool
	}
	seen := make(map[key]bool, len(ps))
	return slices.DeleteFunc(ps, func(p Pick) bool {
		k := key{p.Cloud, p.Region, p.Zone, p.InstanceType, p.Accelerator, p.Count, p.Spot}
		if seen[k] {
			return true
		}
		seen[k] = true
		return false
	})
}

// search finds the cheapest machine type for r and every place that sells it, and the names of all types that would
// do, the cheapest first; hosts that the accelerators are attached to are not counted.
func (m Market) search(q Query, r *statev1.Resources) ([]Pick, []string) {
	type offer struct {
		machine machine
		best    float64
	}
	var offers []offer
	for _, mc := range m.machines(r) {
		o, sold := offer{mc, sheet.Unknown()}, false
		m.eachRow(q, r, mc, func(_ sheet.Row, price float64, _ *sheet.Row) {
			sold = true
			if comparePrices(price, o.best) < 0 {
				o.best = price
			}
		})
		if sold {
			offers = append(offers, o)
		}
	}
	if len(offers) == 0 {
		return nil, nil
	}
	slices.SortStableFunc(offers, func(a, b offer) int {
		x, y := a.machine.host, b.machine.host
		return cmp.Or(comparePrices(a.best, b.best), cmp.Compare(x.CPUs, y.CPUs), cmp.Compare(x.MemoryGB, y.MemoryGB),
			cmp.Compare(familyRank(m.Cloud, x.Name), familyRank(m.Cloud, y.Name)), cmp.Compare(x.Name, y.Name))
	})
	var names []string
	for _, o := range offers {
		if o.machine.acc == nil && !slices.Contains(names, o.machine.name) {
			names = append(names, o.machine.name)
		}
	}
	// A type may be in the catalogue more than once, when its rows do not agree on its size.
	var picks []Pick
	for _, o := range offers {
		if o.machine.name == offers[0].machine.name && o.machine.host.CPUs == offers[0].machine.host.CPUs {
			picks = append(picks, m.places(q, r, o.machine)...)
		}
	}
	return picks, names
}

// places are where a machine can be had: zones, or whole regions where the price is the same in every zone and nothing needs
// one (AWS on demand).
func (m Market) places(q Query, r *statev1.Resources, mc machine) []Pick {
	byRegion := m.Cloud == "aws" && !r.GetUseSpot() && r.GetZone() == ""
	at := map[[2]string]int{}
	var out []Pick
	m.eachRow(q, r, mc, func(row sheet.Row, price float64, acc *sheet.Row) {
		p := Pick{Cloud: m.Cloud, Region: m.Sheet.Region(row), Zone: m.Sheet.Zone(row), InstanceType: mc.name, Accelerator: mc.host.Accelerator,
			Count: mc.host.Count, DeviceGB: mc.host.DeviceGB, CPUs: mc.host.CPUs, MemoryGB: mc.host.MemoryGB, Price: price, Dated: m.Sheet.Dated(row),
			Spot: r.GetUseSpot(), Wanted: r}
		if acc != nil {
			p.Accelerator, p.Count, p.DeviceGB, p.Dated = mc.acc.Accelerator, mc.acc.Count, mc.acc.DeviceGB, min(p.Dated, m.Sheet.Dated(*acc))
		}
		if byRegion {
			p.Zone = ""
		} else if r.GetZone() != "" {
			p.Zone = r.GetZone()
		}
		key := [2]string{p.Region, p.Zone}
		i, ok := at[key]
		switch {
		case !ok:
			at[key] = len(out)
			out = append(out, p)
		case comparePrices(p.Price, out[i].Price) < 0:
			out[i] = p
		}
	})
	return out
}

// eachRow yields the rows of a machine within r's pins and under the caps, with the price for one node and the row of the
// accelerator that is attached there, if any.
func (m Market) eachRow(q Query, r *statev1.Resources, mc machine, yield func(row sheet.Row, price float64, acc *sheet.Row)) {
	spot := r.GetUseSpot()
	var attached map[uint64]sheet.Row
	if mc.acc != nil {
		attached = make(map[uint64]sheet.Row)
		for _, row := range m.Sheet.Rows(mc.acc) {
			if have, ok := attached[row.PlaceID()]; !ok || cheaper(row, have, spot) {
				attached[row.PlaceID()] = row
			}
		}
	}
	for _, row := range m.Sheet.Rows(mc.host) {
		if !m.within(r, row) {
			continue
		}
		price := priceOf(row, spot)
		var acc *sheet.Row
		if mc.acc != nil {
			a, ok := attached[row.PlaceID()]
			if !ok {
				continue
			}
			price += priceOf(a, spot)
			acc = &a
		}
		if !q.affordable(r, price) || spot && !sheet.Known(price) && sheet.Known(row.Price) {
			continue
		}
		yield(row, price, acc)
	}
}

// within reports whether a row is in the region and zone that r names.
func (m Market) within(r *statev1.Resources, row sheet.Row) bool {
	region, zone := m.Sheet.Region(row), m.Sheet.Zone(row)
	return (r.GetRegion() == "" || strings.EqualFold(r.GetRegion(), region)) &&
		(r.GetZone() == "" || strings.EqualFold(r.GetZone(), zone) || m.Cloud == "aws" && mayBe(r.GetZone(), region, zone))
}

// mayBe reports whether a zone that AWS calls us-east-1a for one account, and c for another, may be the one with that id,
// as use1-az1: a catalogue that nobody mapped to the account's names has ids.
func mayBe(name, region, id string) bool {
	return strings.Contains(id, "-az") && len(name) == len(region)+1 && strings.EqualFold(name[:len(region)], region)
}

func priceOf(row sheet.Row, spot bool) float64 {
	if spot {
		return row.Spot
	}
	return row.Price
}

func cheaper(a, b sheet.Row, spot bool) bool {
	return comparePrices(priceOf(a, spot), priceOf(b, spot)) < 0
}

// affordable reports whether a price is under the caps; an unknown one is under none.
func (q Query) affordable(r *statev1.Resources, price float64) bool {
	nodes := float64(max(q.NumNodes, 1))
	return (r.GetMaxHourlyCost() == 0 || price <= r.GetMaxHourlyCost()) && (q.MaxHourlyCost == 0 || price*nodes <= q.MaxHourlyCost)
}

// near are accelerators whose names contain the one asked for, of at least that count, when the cloud has none exactly so.
func (m Market) near(r *statev1.Resources) []string {
	want, count := strings.ToLower(r.GetAccelerator()), asked(r)
	if want == "" {
		return nil
	}
	var out []string
	for i := range m.Sheet.Types {
		t := &m.Sheet.Types[i]
		if t.Accelerator == "" || !strings.Contains(strings.ToLower(t.Accelerator), want) || !m.sold(t, r) {
			continue
		}
		if strings.EqualFold(t.Accelerator, want) && math.Abs(t.Count-count) <= countTolerance {
			return nil
		}
		if s := fmt.Sprintf("%s:%v", t.Accelerator, t.Count); t.Count >= count && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// sold reports whether t is sold within the pins of r.
func (m Market) sold(t *sheet.Type, r *statev1.Resources) bool {
	if r.GetRegion() == "" && r.GetZone() == "" {
		return true
	}
	return slices.ContainsFunc(m.Sheet.Rows(t), func(row sheet.Row) bool { return m.within(r, row) })
}

// asked is the count of accelerators of r, whole: half of one is asked for as one.
func asked(r *statev1.Resources) float64 {
	return math.Ceil(cmp.Or(r.GetAcceleratorCount(), 1) - countTolerance)
}

// noPick says why no market sells what is asked for.
func noPick(alternatives []*statev1.Resources, markets []Market, near []string) *statev1.Failure {
	var clouds, wants []string
	for _, m := range markets {
		clouds = append(clouds, strings.ToUpper(m.Cloud))
	}
	caps := false
	for _, r := range alternatives {
		wants = append(wants, Describe(r))
		caps = caps || r.GetMaxHourlyCost() > 0
	}
	f := &statev1.Failure{
		Kind: statev1.FailureKind_CONFIG, Scope: "account", Code: "infeasible",
		Message: fmt.Sprintf("No machine in the catalogue of %s satisfies the task: %s.", strings.Join(clouds, ", "), strings.Join(slices.Compact(wants), "; ")),
		Hint:    "`sky gpus list` shows what is on offer; `sky catalog update` brings the newest catalogue",
	}
	wrong := misspelt(alternatives, markets)
	switch {
	case wrong != "":
		f.Hint = wrong
	case len(near) > 0:
		f.Hint = "try one of these: " + strings.Join(near, ", ")
	case caps:
		f.Hint = "raise max_hourly_cost, or leave it out to see what there is"
	case slices.ContainsFunc(alternatives, func(r *statev1.Resources) bool { return r.GetCpus() > 0 && !r.GetCpusAtLeast() }):
		f.Hint = "ask for at least that many CPUs: write + after the number"
	}
	return f
}
