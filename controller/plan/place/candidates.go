package place

import (
	"cmp"
	"math"
	"slices"
	"strings"

	statev1 "aloft/proto/sky/state/v1"
)

// Title is how a provider is written in tables: AWS, GCP, local.
func Title(provider string) string {
	switch provider {
	case "aws", "gcp", "oci", "scp", "ibm":
		return strings.ToUpper(provider)
	case "":
		return "-"
	}
	return provider
}

// Candidates are the picks as the store keeps them, in their order, with a candidate for every zone that sells the machine:
// a pick of a whole region becomes its zones, by name. So failing over goes from zone to zone, then to the next region, then
// to the next cloud, as prices have it.
func (c Choice) Candidates(markets []Market) []*statev1.Candidate {
	var out []*statev1.Candidate
	for _, p := range c.Picks {
		zones := []string{p.Zone}
		if i := slices.IndexFunc(markets, func(m Market) bool { return m.Cloud == p.Cloud }); p.Zone == "" && i >= 0 {
			if named := markets[i].zonesOf(p); len(named) > 0 {
				zones = named
			}
		}
		for _, z := range zones {
			q := p
			q.Zone = z
			out = append(out, q.Candidate())
		}
	}
	return out
}

// zonesOf are those of p's region in which its machine is sold.
func (m Market) zonesOf(p Pick) []string {
	var out []string
	for i := range m.Sheet.Types {
		t := &m.Sheet.Types[i]
		if t.Name != p.InstanceType {
			continue
		}
		for _, row := range m.Sheet.Rows(t) {
			if z := m.Sheet.Zone(row); z != "" && m.Sheet.Region(row) == p.Region && !slices.Contains(out, z) {
				out = append(out, z)
			}
		}
	}
	slices.Sort(out)
	return out
}

// Merge ranks candidates of several sources as one list: by alternative where the query orders them, then known prices
// before unknown ones, the cheaper first, then as q.Implicit prefers. Within a provider the given order is kept.
func Merge(q Query, lists ...[]*statev1.Candidate) []*statev1.Candidate {
	out := slices.Concat(lists...)
	slices.SortStableFunc(out, func(a, b *statev1.Candidate) int {
		ordered := 0
		if q.Kind == "ordered" {
			ordered = cmp.Compare(q.alternative(a), q.alternative(b))
		}
		return cmp.Or(ordered, cmp.Compare(priceOrInf(a), priceOrInf(b)), cmp.Compare(q.preference(a.GetProvider()), q.preference(b.GetProvider())))
	})
	return out[:min(len(out), maxCandidates)]
}

// alternative is the index of the one that c satisfies.
func (q Query) alternative(c *statev1.Candidate) int { return slices.Index(q.Resources, c.GetWanted()) }

func priceOrInf(c *statev1.Candidate) float64 {
	if c.GetPriceUnknown() {
		return math.Inf(1)
	}
	return c.GetHourlyPrice()
}

// Rows are the lines of the table of considered resources: those of a choice, and of other candidates the best of every
// provider and alternative. By the price that is printed, then by name; with ordered alternatives, by those first.
func (q Query) Rows(c Choice, others []*statev1.Candidate) []*statev1.Candidate {
	var out []*statev1.Candidate
	for _, p := range c.Shown {
		out = append(out, p.Candidate())
	}
	for _, o := range others {
		if !slices.ContainsFunc(out, func(h *statev1.Candidate) bool {
			return h.GetProvider() == o.GetProvider() && h.GetWanted() == o.GetWanted() ||
				h.GetProvider() == o.GetProvider() && h.GetInstanceType() == o.GetInstanceType() && h.GetSpot() == o.GetSpot() && h.GetAccelerator() == o.GetAccelerator()
		}) {
			out = append(out, o)
		}
	}
	slices.SortStableFunc(out, func(a, b *statev1.Candidate) int {
		ordered := 0
		if q.Kind == "ordered" {
			ordered = cmp.Compare(q.alternative(a), q.alternative(b))
		}
		return cmp.Or(ordered, cmp.Compare(q.cents(a), q.cents(b)), cmp.Compare(a.GetProvider(), b.GetProvider()))
	})
	return out
}

func (q Query) cents(c *statev1.Candidate) float64 {
	return math.Round(priceOrInf(c) * float64(max(q.NumNodes, 1)) * 100)
}

// Unmet are the alternatives that no candidate satisfies.
func (q Query) Unmet(cs []*statev1.Candidate) []*statev1.Resources {
	var out []*statev1.Resources
	for i, r := range q.Resources {
		if !slices.ContainsFunc(cs, func(c *statev1.Candidate) bool { return q.alternative(c) == i }) {
			out = append(out, r)
		}
	}
	return out
}
