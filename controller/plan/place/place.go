// Package place chooses where a task can run: it filters offers by what the task asks for and ranks them by price. It is
// pure: offers come in, candidates go out.
package place

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

// Offer is a machine that a named provider sells.
type Offer struct {
	Provider string
	providers.Offer
}

// Query is what a task asks for, and of whom.
type Query struct {
	Resources     []*statev1.Resources // alternatives; none = anything
	Kind          string               // single | any_of | ordered
	NumNodes      int32
	MaxHourlyCost float64                           // USD for the whole cluster, 0 = no cap
	Implicit      []string                          // providers that may be used unasked, in order of preference
	Caps          map[string]providers.Capabilities // by provider
}

const (
	countTolerance = 0.01
	usualCPUs      = 8 // of a machine of which a task asks nothing
	maxCandidates  = 256
	maxSuggestions = 5
)

// free are providers whose machines are what they are: "exactly 4 CPUs" means "at least 4" there.
func free(o Offer) bool { return o.HourlyPrice == 0 && o.SpotPrice == 0 }

// Rank gives the candidates for a query, the best first, and hints for people. Alternatives of kind ordered keep their
// order; otherwise the cheapest comes first, whichever alternative it satisfies. With none, the failure says why.
func Rank(q Query, offers []Offer) ([]*statev1.Candidate, []string, *statev1.Failure) {
	alternatives := q.Resources
	if len(alternatives) == 0 {
		alternatives = []*statev1.Resources{{}}
	}
	var out []*statev1.Candidate
	var why []string
	for _, r := range alternatives {
		cs, reason := q.satisfying(r, offers)
		if len(cs) == 0 {
			why = append(why, reason)
		}
		out = append(out, cs...)
	}
	if len(out) == 0 {
		return nil, nil, q.failure(alternatives, offers, why)
	}
	if q.Kind != "ordered" {
		slices.SortStableFunc(out, q.compare)
	}
	return dedupe(out), why, nil
}

// satisfying are the candidates for one alternative: the cheapest machine of every place, cheapest place first.
func (q Query) satisfying(r *statev1.Resources, offers []Offer) ([]*statev1.Candidate, string) {
	var fits []*statev1.Candidate
	reasons := map[string]int{}
	undemanding := r.GetInstanceType() == "" && r.GetAccelerator() == "" && r.GetCpus() == 0 && r.GetMemoryGb() == 0
	var small []*statev1.Candidate
	for _, o := range offers {
		if reason := q.lacks(r, o); reason != "" {
			reasons[reason]++
			continue
		}
		c := candidate(r, o)
		if undemanding && !free(o) && o.CPUs < usualCPUs {
			small = append(small, c)
			continue
		}
		fits = append(fits, c)
	}
	if len(fits) == 0 {
		fits = small
	}
	if len(fits) == 0 {
		return nil, Describe(r) + ": " + most(reasons)
	}
	slices.SortStableFunc(fits, q.compare)
	seen := map[string]bool{}
	return slices.DeleteFunc(fits, func(c *statev1.Candidate) bool {
		place := c.GetProvider() + "/" + c.GetRegion() + "/" + c.GetZone()
		if seen[place] {
			return true
		}
		seen[place] = true
		return false
	}), ""
}

// lacks says why o does not satisfy r; "" = it does.
func (q Query) lacks(r *statev1.Resources, o Offer) string {
	price := o.HourlyPrice
	if r.GetUseSpot() {
		price = o.SpotPrice
	}
	caps := q.Caps[o.Provider]
	pin := func(want, have string) bool { return want != "" && !strings.EqualFold(want, have) }
	switch {
	case r.GetCloud() == "" && !slices.Contains(q.Implicit, o.Provider):
		return "not among the enabled clouds"
	case pin(r.GetCloud(), o.Provider):
		return r.GetCloud() + " offers none"
	case pin(r.GetRegion(), o.Region):
		return "not in region " + r.GetRegion()
	case pin(r.GetZone(), o.Zone):
		return "not in zone " + r.GetZone()
	case pin(r.GetInstanceType(), o.InstanceType):
		return "no instance type " + r.GetInstanceType()
	case caps.Fixed && r.GetImage() != "":
		return fmt.Sprintf("%s takes no image_id: its machines are what they are", o.Provider)
	case caps.MaxNodes > 0 && int(q.NumNodes) > caps.MaxNodes:
		return fmt.Sprintf("%s gives at most %d nodes", o.Provider, caps.MaxNodes)
	}
	if r.GetAccelerator() != "" {
		want := r.GetAcceleratorCount()
		if want == 0 {
			want = 1
		}
		if !strings.EqualFold(r.GetAccelerator(), o.Accelerator) {
			return "no " + r.GetAccelerator()
		}
		if math.Abs(math.Ceil(want-countTolerance)-o.AcceleratorCount) > countTolerance {
			return fmt.Sprintf("no machine with %s:%v", r.GetAccelerator(), want)
		}
	} else if o.Accelerator != "" && r.GetInstanceType() == "" {
		return "no machine without accelerators"
	}
	if !enough(r.GetCpus(), o.CPUs, r.GetCpusAtLeast() || free(o)) {
		return "no machine with that many CPUs"
	}
	if !enough(r.GetMemoryGb(), o.MemoryGB, r.GetMemoryAtLeast() || free(o)) {
		return "no machine with that much memory"
	}
	switch {
	case r.GetUseSpot() && !caps.Spot, r.GetUseSpot() && o.SpotPrice == 0 && o.HourlyPrice > 0:
		return "not sold as spot"
	case r.GetMaxHourlyCost() > 0 && price > r.GetMaxHourlyCost():
		return fmt.Sprintf("dearer than max_hourly_cost (%.2f USD)", r.GetMaxHourlyCost())
	case q.MaxHourlyCost > 0 && price*float64(max(q.NumNodes, 1)) > q.MaxHourlyCost:
		return fmt.Sprintf("%d nodes are dearer than max_hourly_cost (%.2f USD)", max(q.NumNodes, 1), q.MaxHourlyCost)
	}
	return ""
}

func enough(want, have float64, atLeast bool) bool {
	if want == 0 {
		return true
	}
	if atLeast {
		return have+countTolerance >= want
	}
	return math.Abs(have-want) <= countTolerance
}

func candidate(r *statev1.Resources, o Offer) *statev1.Candidate {
	c := &statev1.Candidate{
		Provider: o.Provider, Region: o.Region, Zone: o.Zone, InstanceType: o.InstanceType, Accelerator: o.Accelerator,
		AcceleratorCount: o.AcceleratorCount, Cpus: o.CPUs, MemoryGb: o.MemoryGB, HourlyPrice: o.HourlyPrice, Wanted: r,
	}
	if r.GetUseSpot() {
		c.Spot, c.HourlyPrice = true, o.SpotPrice
	}
	return c
}

// compare ranks by price, then by the order of preference, then the smaller machine.
func (q Query) compare(a, b *statev1.Candidate) int {
	return cmp.Or(
		cmp.Compare(a.GetHourlyPrice(), b.GetHourlyPrice()),
		cmp.Compare(q.preference(a.GetProvider()), q.preference(b.GetProvider())),
		cmp.Compare(a.GetCpus(), b.GetCpus()),
		cmp.Compare(a.GetMemoryGb(), b.GetMemoryGb()),
	)
}

func (q Query) preference(provider string) int {
	if i := slices.Index(q.Implicit, provider); i >= 0 {
		return i
	}
	return len(q.Implicit)
}

// dedupe drops what satisfies several alternatives the same way, and what nobody would get to.
func dedupe(cs []*statev1.Candidate) []*statev1.Candidate {
	type key struct {
		provider, region, zone, instance, accelerator string
		spot                                          bool
	}
	seen := map[key]bool{}
	out := slices.DeleteFunc(cs, func(c *statev1.Candidate) bool {
		k := key{c.GetProvider(), c.GetRegion(), c.GetZone(), c.GetInstanceType(), c.GetAccelerator(), c.GetSpot()}
		if seen[k] {
			return true
		}
		seen[k] = true
		return false
	})
	return out[:min(len(out), maxCandidates)]
}

// failure says why nothing satisfies the query, and what comes near.
func (q Query) failure(alternatives []*statev1.Resources, offers []Offer, why []string) *statev1.Failure {
	f := &statev1.Failure{
		Kind: statev1.FailureKind_CONFIG, Scope: "account", Code: "infeasible",
		Message: "No machine on offer satisfies the task. " + strings.Join(slices.Compact(why), "; ") + ".",
		Hint:    "`sky gpus list` shows what is on offer, `sky check` which places are enabled",
	}
	if len(offers) == 0 {
		f.Code, f.Message, f.Hint = "no-provider", "No cloud is enabled that could run the task.", "sky check"
		return f
	}
	if near := suggestions(alternatives, offers); len(near) > 0 {
		f.Hint = "try one of these: " + strings.Join(near, ", ")
	}
	return f
}

// suggestions are accelerators on offer whose names or counts are near those asked for.
func suggestions(alternatives []*statev1.Resources, offers []Offer) []string {
	var out []string
	for _, r := range alternatives {
		want := strings.ToLower(r.GetAccelerator())
		if want == "" {
			continue
		}
		for _, o := range offers {
			have := strings.ToLower(o.Accelerator)
			if have == "" || !strings.HasPrefix(have, want) && !strings.HasPrefix(want, have) {
				continue
			}
			s := fmt.Sprintf("%s:%v", o.Accelerator, o.AcceleratorCount)
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out[:min(len(out), maxSuggestions)]
}

// Describe is r in few words.
func Describe(r *statev1.Resources) string {
	var parts []string
	for _, s := range []string{r.GetCloud(), r.GetRegion(), r.GetZone(), r.GetInstanceType()} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if r.GetAccelerator() != "" {
		parts = append(parts, fmt.Sprintf("%s:%v", r.GetAccelerator(), max(r.GetAcceleratorCount(), 1)))
	}
	amount := func(what string, n float64, atLeast bool) {
		if n > 0 {
			s := fmt.Sprintf("%s=%v", what, n)
			if atLeast {
				s += "+"
			}
			parts = append(parts, s)
		}
	}
	amount("cpus", r.GetCpus(), r.GetCpusAtLeast())
	amount("memory", r.GetMemoryGb(), r.GetMemoryAtLeast())
	if r.GetUseSpot() {
		parts = append(parts, "spot")
	}
	if len(parts) == 0 {
		return "any machine"
	}
	return strings.Join(parts, " ")
}

// most is the reason for which offers fell through last: the one nearest to fitting.
func most(reasons map[string]int) string {
	if len(reasons) == 0 {
		return "nothing is on offer"
	}
	order := []string{"not among", "offers none", "not in region", "not in zone", "no instance type", "gives at most", "without accelerators", "no "}
	best, rank := "", -1
	for reason := range reasons {
		r := len(order)
		for i, o := range order {
			if strings.Contains(reason, o) {
				r = i
				break
			}
		}
		if r > rank || r == rank && reason < best {
			best, rank = reason, r
		}
	}
	return best
}
