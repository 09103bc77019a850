package place

import (
	"fmt"
	"slices"
	"strings"

	statev1 "aloft/proto/sky/state/v1"
	"aloft/tasks"
)

// misspelt names a region, a zone or a machine type of the alternatives that no catalogue asked has, and what comes near;
// "" = there is none.
func misspelt(alternatives []*statev1.Resources, markets []Market) string {
	for _, r := range alternatives {
		var asked []Market
		for _, m := range markets {
			if r.GetCloud() == "" || strings.EqualFold(r.GetCloud(), m.Cloud) {
				asked = append(asked, m)
			}
		}
		for _, x := range []struct {
			what, name string
			all        func(Market) []string
		}{
			{"region", r.GetRegion(), Market.regions}, {"zone", r.GetZone(), Market.zones}, {"instance type", r.GetInstanceType(), Market.types},
		} {
			if x.name == "" {
				continue
			}
			var all []string
			for _, m := range asked {
				all = append(all, x.all(m)...)
			}
			if slices.ContainsFunc(all, func(n string) bool { return strings.EqualFold(n, x.name) }) {
				continue
			}
			s := fmt.Sprintf("there is no %s %s in the catalogue", x.what, x.name)
			if near := tasks.Nearest(x.name, all); near != "" {
				return s + ": did you mean " + near + "?"
			}
			if x.what != "instance type" && len(all) > 0 {
				slices.Sort(all)
				return s + ": it has " + strings.Join(slices.Compact(all), ", ")
			}
			return s
		}
	}
	return ""
}

func (m Market) regions() []string {
	return m.eachName(func(region, _ string) string { return region })
}

func (m Market) zones() []string { return m.eachName(func(_, zone string) string { return zone }) }

// eachName gives what of says of every place of the market, once.
func (m Market) eachName(of func(region, zone string) string) []string {
	seen := map[uint64]bool{}
	var out []string
	for i := range m.Sheet.Types {
		for _, row := range m.Sheet.Rows(&m.Sheet.Types[i]) {
			if seen[row.PlaceID()] {
				continue
			}
			seen[row.PlaceID()] = true
			if n := of(m.Sheet.Region(row), m.Sheet.Zone(row)); n != "" && !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	return out
}

func (m Market) types() []string {
	var out []string
	for i := range m.Sheet.Types {
		if n := m.Sheet.Types[i].Name; n != "" && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}
