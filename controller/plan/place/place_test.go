package place_test

import (
	"fmt"
	"strings"
	"testing"

	"aloft/controller/plan/place"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

// offers are those of two clouds and this host.
func offers() []place.Offer {
	o := func(p, region, zone, typ, acc string, n, cpus, mem, price, spot float64) place.Offer {
		return place.Offer{Provider: p, Offer: providers.Offer{
			Region: region, Zone: zone, InstanceType: typ, Accelerator: acc, AcceleratorCount: n, CPUs: cpus, MemoryGB: mem, HourlyPrice: price, SpotPrice: spot,
		}}
	}
	return []place.Offer{
		o("aws", "us", "us-a", "m2", "", 0, 2, 8, 0.1, 0.03), o("aws", "us", "us-a", "m8", "", 0, 8, 32, 0.4, 0.1),
		o("aws", "us", "us-b", "m8", "", 0, 8, 32, 0.4, 0.1), o("aws", "us", "us-a", "p3.2", "V100", 1, 8, 61, 3, 0.9),
		o("aws", "us", "us-a", "p3.16", "V100", 8, 64, 488, 24, 7), o("aws", "eu", "eu-a", "p3.2", "V100", 1, 8, 61, 3.3, 1),
		o("gcp", "us1", "us1-a", "n8", "", 0, 8, 32, 0.39, 0.2), o("gcp", "us1", "us1-a", "n4", "", 0, 4, 16, 0.19, 0),
		o("gcp", "us1", "us1-a", "a2", "A100", 1, 12, 85, 3.7, 1.1), o("gcp", "us1", "us1-a", "v1", "V100", 1, 8, 30, 2.5, 0),
		o("local", "local", "", "local", "", 0, 2, 24, 0, 0), o("local", "local", "", "local", "V100", 1, 2, 24, 0, 0),
	}
}

func TestRank(t *testing.T) {
	t.Parallel()
	clouds := []string{"aws", "gcp"}
	v100 := func(n float64) *statev1.Resources {
		return &statev1.Resources{Accelerator: "v100", AcceleratorCount: n}
	}
	for _, x := range []struct {
		name string
		q    place.Query
		want string // first candidates, or ! and words of the failure
	}{
		{"nothing asked: a usual machine, cheapest first", place.Query{Implicit: clouds}, "gcp/n8 aws/m8 aws/m8"},
		{"nothing asked, this host only", place.Query{Implicit: []string{"local"}}, "local/local"},
		{"this host asked for", place.Query{Implicit: clouds, Resources: []*statev1.Resources{{Cloud: "local", Cpus: 1}}}, "local/local"},
		{"exact CPUs", place.Query{Implicit: clouds, Resources: []*statev1.Resources{{Cpus: 4}}}, "gcp/n4"},
		{"CPUs at least", place.Query{Implicit: clouds, Resources: []*statev1.Resources{{Cpus: 4, CpusAtLeast: true}}}, "gcp/n4 aws/m8 aws/m8"},
		{"memory at least", place.Query{Implicit: clouds, Resources: []*statev1.Resources{{MemoryGb: 20, MemoryAtLeast: true}}}, "gcp/n8 aws/m8 aws/m8"},
		{"more than this host has", place.Query{Implicit: clouds, Resources: []*statev1.Resources{{Cloud: "local", Cpus: 99}}}, "!CPUs"},
		{"accelerator, any case", place.Query{Implicit: clouds, Resources: []*statev1.Resources{v100(1)}}, "gcp/v1 aws/p3.2 aws/p3.2"},
		{"fraction of an accelerator", place.Query{Implicit: clouds, Resources: []*statev1.Resources{v100(0.5)}}, "gcp/v1 aws/p3.2 aws/p3.2"},
		{"count that nobody sells", place.Query{Implicit: clouds, Resources: []*statev1.Resources{v100(3)}}, "!V100:8"},
		{"name that nobody sells", place.Query{Implicit: clouds, Resources: []*statev1.Resources{{Accelerator: "A10"}}}, "!A100:1"},
		{"spot by spot price", place.Query{Implicit: clouds, Resources: []*statev1.Resources{{Accelerator: "V100", UseSpot: true}}}, "aws/p3.2@0.9 aws/p3.2@1"},
		{"region pin", place.Query{Implicit: clouds, Resources: []*statev1.Resources{{Region: "EU", Accelerator: "V100"}}}, "aws/p3.2@3.3"},
		{"zone pin", place.Query{Implicit: clouds, Resources: []*statev1.Resources{{Zone: "us-b"}}}, "aws/m8"},
		{"instance type pin", place.Query{Implicit: clouds, Resources: []*statev1.Resources{{InstanceType: "p3.16"}}}, "aws/p3.16"},
		{"price cap per node", place.Query{Implicit: clouds, Resources: []*statev1.Resources{{Accelerator: "V100", MaxHourlyCost: 2.6}}}, "gcp/v1"},
		{"price cap of the cluster", place.Query{Implicit: clouds, NumNodes: 4, MaxHourlyCost: 2, Resources: []*statev1.Resources{{Accelerator: "V100"}}}, "!dearer"},
		{"any_of: the cheapest", place.Query{Implicit: clouds, Kind: "any_of", Resources: []*statev1.Resources{{Accelerator: "A100"}, v100(1)}}, "gcp/v1 aws/p3.2 aws/p3.2 gcp/a2"},
		{"ordered: as written", place.Query{Implicit: clouds, Kind: "ordered", Resources: []*statev1.Resources{{Accelerator: "A100"}, v100(1)}}, "gcp/a2 gcp/v1 aws/p3.2 aws/p3.2"},
		{"one alternative infeasible", place.Query{Implicit: clouds, Kind: "any_of", Resources: []*statev1.Resources{{Accelerator: "TPU"}, v100(8)}}, "aws/p3.16"},
		{"no cloud", place.Query{}, "!enabled"},
		{"too many nodes", place.Query{Implicit: []string{"gcp"}, NumNodes: 3, Caps: map[string]providers.Capabilities{"gcp": {MaxNodes: 2}}}, "!at most 2"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			if x.q.Caps == nil {
				x.q.Caps = map[string]providers.Capabilities{"aws": {Spot: true}, "gcp": {Spot: true}}
			}
			cs, hints, f := place.Rank(x.q, offers())
			if want, ok := strings.CutPrefix(x.want, "!"); ok {
				if f == nil || !strings.Contains(f.Message+f.Hint, want) {
					t.Fatalf("got %v, failure %v, want %q", cs, f, want)
				}
				return
			}
			if f != nil {
				t.Fatalf("failure %v", f)
			}
			var got []string
			for _, c := range cs {
				s := c.Provider + "/" + c.InstanceType
				if strings.Contains(x.want, "@") {
					s += fmt.Sprintf("@%v", c.HourlyPrice)
				}
				got = append(got, s)
			}
			if strings.Join(got, " ") != x.want {
				t.Fatalf("got %v (hints %v), want %s", got, hints, x.want)
			}
		})
	}
	if _, _, f := place.Rank(place.Query{Implicit: clouds}, nil); f.GetCode() != "no-provider" {
		t.Fatalf("without offers: %v", f)
	}
}
