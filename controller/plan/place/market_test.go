package place_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"aloft/controller/catalog/sheet"
	"aloft/controller/plan/place"
	statev1 "aloft/proto/sky/state/v1"
)

const marketHead = "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Price,SpotPrice,Region,AvailabilityZone,PriceDate\n"

func market(t testing.TB, cloud, rows string) place.Market {
	t.Helper()
	s, rep, err := sheet.Read(cloud, strings.NewReader(marketHead+rows))
	if err != nil || rep.Bad > 0 {
		t.Fatalf("%v %v", err, rep.Problems)
	}
	return place.Market{Cloud: cloud, Sheet: s}
}

// TestZoneIDs: a catalogue that has ids of zones, as the published one of AWS does, serves a task that names a zone.
func TestZoneIDs(t *testing.T) {
	t.Parallel()
	ms := []place.Market{market(t, "aws", `m6i.2xlarge,,,8,32,0.4,0.2,us-east-1,use1-az1,2021
m6i.2xlarge,,,8,32,0.4,0.1,us-east-1,use1-az2,2021
m6i.2xlarge,,,8,32,0.3,0.1,us-west-2,usw2-az1,2021
`)}
	for _, x := range []struct {
		r    *statev1.Resources
		want string // zones of the candidates
	}{
		{&statev1.Resources{Cloud: "aws", Region: "us-east-1"}, "use1-az1 use1-az2"},
		{&statev1.Resources{Cloud: "aws", Region: "us-east-1", Zone: "us-east-1b"}, "us-east-1b"},
		{&statev1.Resources{Cloud: "aws", Zone: "us-east-1b", UseSpot: true}, "us-east-1b"},
		{&statev1.Resources{Cloud: "aws", Zone: "use1-az2"}, "use1-az2"},
		{&statev1.Resources{Cloud: "aws", Zone: "us-west-1b"}, ""},
	} {
		var got []string
		for _, c := range place.Choose(place.Query{Resources: []*statev1.Resources{x.r}}, ms).Candidates(ms) {
			got = append(got, c.GetZone())
		}
		if g := strings.Join(got, " "); g != x.want {
			t.Errorf("%v: %q, want %q", x.r, g, x.want)
		}
	}
}

// clouds are small, but have one of everything.
func clouds(t testing.TB) []place.Market {
	return []place.Market{
		market(t, "aws", `m6i.2xlarge,,,8,32,0.4,0.2,us-east-1,us-east-1a,2021
m6i.2xlarge,,,8,32,0.4,0.15,us-east-1,us-east-1b,2021
m6i.2xlarge,,,8,32,0.4,0.1,eu-west-1,eu-west-1a,2021
m7i.2xlarge,,,8,32,0.41,0.09,us-east-1,us-east-1a,2021
m6i.xlarge,,,4,16,0.2,,us-east-1,us-east-1a,2021
c5.2xlarge,,,8,32,0.01,0.01,us-east-1,us-east-1a,2021
p3.2xlarge,V100,1,8,61,3,0.9,us-east-1,us-east-1a,2021
p3.2xlarge,V100,1,8,61,3,0.8,us-east-1,us-east-1b,2021
p3.16xlarge,V100,8,64,488,24,7,us-east-1,us-east-1a,2021
p5.48xlarge,H100,8,192,2048,,,us-west-2,us-west-2a,
`),
		market(t, "gcp", `n4-standard-8,,,8,32,0.39,0.12,us1,us1-a,
n1-highmem-8,,,8,52,0.5,0.1,us1,us1-a,
n1-highmem-8,,,8,52,0.5,0.1,us1,us1-b,
n1-standard-32,,,32,120,1.5,0.3,us1,us1-a,
a2-highgpu-1g,,,12,85,0.7,0.3,us1,us1-a,
,V100,1,,,2,0.5,us1,us1-a,
,V100,1,,,2,0.5,us1,us1-c,
,A100,1,,,3,1,us1,us1-a,
,tpu-v2-8,1,,,4.5,1.3,us1,us1-b,
`),
	}
}

func pickText(p place.Pick) string {
	s := p.Cloud + "/" + p.InstanceType + "/" + p.Region
	if p.Zone != "" {
		s = p.Cloud + "/" + p.InstanceType + "/" + p.Zone
	}
	if math.IsNaN(p.Price) {
		return s + "@-"
	}
	return fmt.Sprintf("%s@%.4g", s, p.Price)
}

func TestChoose(t *testing.T) {
	t.Parallel()
	v100 := func() *statev1.Resources { return &statev1.Resources{Accelerator: "v100", AcceleratorCount: 1} }
	for _, x := range []struct {
		name string
		q    place.Query
		want string // picks, or ! and words of the failure
	}{
		{"nothing asked: the usual families", place.Query{}, "gcp/n4-standard-8/us1-a@0.39 aws/m6i.2xlarge/us-east-1@0.4 aws/m6i.2xlarge/eu-west-1@0.4"},
		{"spot by spot price, by zone", place.Query{Resources: []*statev1.Resources{{Cloud: "aws", UseSpot: true}}}, "aws/m7i.2xlarge/us-east-1a@0.09"},
		{"not sold as spot", place.Query{Resources: []*statev1.Resources{{Cloud: "aws", InstanceType: "m6i.xlarge", UseSpot: true}}}, "!m6i.xlarge"},
		{"attached accelerators: host and accelerator in one zone", place.Query{Resources: []*statev1.Resources{v100()}}, "gcp/n1-highmem-8/us1-a@2.5 aws/p3.2xlarge/us-east-1@3"},
		{"attached, as spot", place.Query{Resources: []*statev1.Resources{{Accelerator: "V100", UseSpot: true}}}, "gcp/n1-highmem-8/us1-a@0.6 aws/p3.2xlarge/us-east-1b@0.8 aws/p3.2xlarge/us-east-1a@0.9"},
		{"attached, more CPUs", place.Query{Resources: []*statev1.Resources{{Cloud: "gcp", Accelerator: "V100", Cpus: 32, MemoryGb: 100, MemoryAtLeast: true}}}, "gcp/n1-standard-32/us1-a@3.5"},
		{"bound accelerator", place.Query{Resources: []*statev1.Resources{{Accelerator: "A100", AcceleratorCount: 0.5}}}, "gcp/a2-highgpu-1g/us1-a@3.7"},
		{"a machine that always has one", place.Query{Resources: []*statev1.Resources{{InstanceType: "a2-highgpu-1g"}}}, "gcp/a2-highgpu-1g/us1-a@3.7"},
		{"a machine that cannot have it", place.Query{Resources: []*statev1.Resources{{InstanceType: "n4-standard-8", Accelerator: "V100"}}}, "!n4-standard-8"},
		{"a machine with another", place.Query{Resources: []*statev1.Resources{{InstanceType: "p3.2xlarge", Accelerator: "A100"}}}, "!p3.2xlarge"},
		{"a machine with its own", place.Query{Resources: []*statev1.Resources{{InstanceType: "p3.2xlarge", Accelerator: "V100"}}}, "aws/p3.2xlarge/us-east-1@3"},
		{"a machine without", place.Query{Resources: []*statev1.Resources{{InstanceType: "n1-highmem-8"}}}, "gcp/n1-highmem-8/us1-a@0.5 gcp/n1-highmem-8/us1-b@0.5"},
		{"a machine of another size", place.Query{Resources: []*statev1.Resources{{InstanceType: "n1-highmem-8", Cpus: 4}}}, "!n1-highmem-8"},
		{"TPU", place.Query{Resources: []*statev1.Resources{{Accelerator: "tpu-v2-8", AcceleratorCount: 1}}}, "gcp/TPU-VM/us1-b@4.5"},
		{"zone pin keeps the zone", place.Query{Resources: []*statev1.Resources{{Cloud: "aws", Zone: "us-east-1b"}}}, "aws/m6i.2xlarge/us-east-1b@0.4"},
		{"region pin", place.Query{Resources: []*statev1.Resources{{Region: "EU-west-1"}}}, "aws/m6i.2xlarge/eu-west-1@0.4"},
		{"the price cap binds attached accelerators too", place.Query{Resources: []*statev1.Resources{{Accelerator: "V100", MaxHourlyCost: 2.4}}}, "!max_hourly_cost"},
		{"the price cap lets the cheaper through", place.Query{Resources: []*statev1.Resources{{Accelerator: "V100", MaxHourlyCost: 2.6}}}, "gcp/n1-highmem-8/us1-a@2.5"},
		{"the cap of a cluster", place.Query{NumNodes: 2, MaxHourlyCost: 5.5, Resources: []*statev1.Resources{v100()}}, "gcp/n1-highmem-8/us1-a@2.5"},
		{"unknown price", place.Query{Resources: []*statev1.Resources{{Accelerator: "H100", AcceleratorCount: 8}}}, "aws/p5.48xlarge/us-west-2@-"},
		{"an unknown price is under no cap", place.Query{Resources: []*statev1.Resources{{Accelerator: "H100", AcceleratorCount: 8, MaxHourlyCost: 1000}}}, "!H100"},
		{"any_of: known prices first", place.Query{Kind: "any_of", Resources: []*statev1.Resources{{Accelerator: "H100", AcceleratorCount: 8}, {Accelerator: "V100", AcceleratorCount: 8}}}, "aws/p3.16xlarge/us-east-1@24 aws/p5.48xlarge/us-west-2@-"},
		{"ordered", place.Query{Kind: "ordered", Resources: []*statev1.Resources{v100(), {Cpus: 4}}}, "gcp/n1-highmem-8/us1-a@2.5 aws/p3.2xlarge/us-east-1@3 aws/m6i.xlarge/us-east-1@0.2"},
		{"CPUs that there are not", place.Query{Resources: []*statev1.Resources{{Cpus: 3}}}, "!write +"},
		{"count that nobody sells", place.Query{Resources: []*statev1.Resources{{Accelerator: "V100", AcceleratorCount: 4}}}, "!V100:8"},
		{"a region misspelt", place.Query{Resources: []*statev1.Resources{{Cloud: "aws", Region: "us-eest-1"}}}, "!no region us-eest-1 in the catalogue: did you mean us-east-1?"},
		{"a region that is another cloud's", place.Query{Resources: []*statev1.Resources{{Cloud: "gcp", Region: "eu-west-1"}}}, "!no region eu-west-1 in the catalogue: it has us1"},
		{"a zone misspelt", place.Query{Resources: []*statev1.Resources{{Zone: "us-east-1c"}}}, "!no zone us-east-1c in the catalogue: did you mean us-east-1a?"},
		{"a machine misspelt", place.Query{Resources: []*statev1.Resources{{InstanceType: "p3.2xlagre"}}}, "!did you mean p3.2xlarge?"},
		{"another cloud", place.Query{Resources: []*statev1.Resources{{Cloud: "azure"}}}, "!azure"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			c := place.Choose(x.q, clouds(t))
			if want, ok := strings.CutPrefix(x.want, "!"); ok {
				if c.Failure == nil || !strings.Contains(c.Failure.GetMessage()+c.Failure.GetHint(), want) {
					t.Fatalf("got %v, failure %v", c.Picks, c.Failure)
				}
				return
			}
			var got []string
			for _, p := range c.Picks {
				got = append(got, pickText(p))
				if p.Wanted == nil || c.Failure != nil {
					t.Errorf("%v wants nothing; failure %v", p, c.Failure)
				}
				if cand := p.Candidate(); math.IsNaN(cand.GetHourlyPrice()) || cand.GetProvider() != p.Cloud {
					t.Errorf("candidate %v", cand)
				}
			}
			if strings.Join(got, " ") != x.want {
				t.Fatalf("got %v\nwant %s", got, x.want)
			}
		})
	}
}

func TestAccelerators(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name string
		f    place.Filter
		want string
	}{
		{"all", place.Filter{}, "H100:8 p5.48xlarge us-west-2 NaN/NaN, V100:1 p3.2xlarge us-east-1 3/0.8, V100:8 p3.16xlarge us-east-1 24/7; A100:1 a2-highgpu-1g us1 3.7/1.3, V100:1 n1-highmem-8 us1 2.5/0.6, tpu-v2-8:1 TPU-VM us1 4.5/1.3"},
		{"part of a name", place.Filter{Accelerator: "100", Count: 8}, "H100:8 p5.48xlarge us-west-2 NaN/NaN, V100:8 p3.16xlarge us-east-1 24/7; "},
		{"region", place.Filter{Region: "us-west-2", AllRegions: true}, "H100:8 p5.48xlarge us-west-2 NaN/NaN; "},
		{"zone", place.Filter{Zone: "us-east-1a", Accelerator: "V100", Count: 1}, "V100:1 p3.2xlarge us-east-1 3/0.9; "},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, m := range clouds(t) {
				var one []string
				for _, l := range m.Accelerators(x.f) {
					one = append(one, fmt.Sprintf("%s:%v %s %s %.4g/%.4g", l.Accelerator, l.Count, l.InstanceType, l.Region, l.Price, l.SpotPrice))
				}
				got = append(got, strings.Join(one, ", "))
			}
			if g := strings.Join(got, "; "); g != x.want {
				t.Fatalf("got  %s\nwant %s", g, x.want)
			}
		})
	}
}

// BenchmarkChoose looks for a GPU in a catalogue as large as AWS's: a hundred thousand rows.
func BenchmarkChoose(b *testing.B) {
	var rows strings.Builder
	for i := range 100_000 {
		acc := ",,"
		if i/100%5 == 0 {
			acc = "V100,1,"
		}
		fmt.Fprintf(&rows, "m6i.t%d,%s8,32,%d.5,0.5,r%d,r%d-z%d,\n", i/100, strings.TrimSuffix(acc, ",")+",", 1+i%7, i%100/4, i%100/4, i%4)
	}
	ms := []place.Market{market(b, "aws", rows.String())}
	for _, x := range []struct {
		name string
		r    *statev1.Resources
	}{{"gpu", &statev1.Resources{Accelerator: "V100"}}, {"cpu", &statev1.Resources{Cpus: 4, CpusAtLeast: true}}, {"spot", &statev1.Resources{UseSpot: true}}} {
		b.Run(x.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if c := place.Choose(place.Query{Resources: []*statev1.Resources{x.r}}, ms); len(c.Picks) == 0 {
					b.Fatal(c.Failure)
				}
			}
		})
	}
}
