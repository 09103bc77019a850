package catalog_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aloft/controller/catalog"
	"aloft/controller/catalog/shelf"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
	"aloft/providers/fake"
	"aloft/providers/local"
)

const head = "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,AvailabilityZone,PriceDate\n"

// shelfWith is a shelf with catalogues of that age.
func shelfWith(t testing.TB, age time.Duration, books map[string]string) shelf.Shelf {
	t.Helper()
	home := t.TempDir()
	for cloud, rows := range books {
		dir := filepath.Join(home, "catalog", cloud)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "vms.csv")
		if err := os.WriteFile(file, []byte(head+rows), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, time.Now().Add(-age), time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	return shelf.Home(home)
}

const (
	awsRows = `p3.2xlarge,V100,1,8,61,,3.06,1.2,us-east-1,us-east-1b,2026-11-01
p3.2xlarge,V100,1,8,61,,3.06,0.9,us-east-1,us-east-1a,2026-11-01
p3.2xlarge,V100,1,8,61,,3.30,,eu-west-1,eu-west-1a,2026-11-01
p5.48xlarge,H100,8,192,2048,,,,us-east-1,us-east-1a,
m6i.2xlarge,,,8,32,,0.384,0.1,us-east-1,us-east-1a,2026-11-01
`
	gcpRows = `n1-highmem-8,,,8,52,,0.47,0.1,us-central1,us-central1-a,
n1-highmem-8,,,8,52,,0.47,0.1,us-central1,us-central1-b,
,V100,1,,,,2.48,0.74,us-central1,us-central1-a,
,V100,1,,,,2.48,0.74,us-central1,us-central1-b,
n4-standard-8,,,8,32,,0.39,0.12,us-central1,us-central1-a,
`
)

func where(cs []*statev1.Candidate) string {
	var out []string
	for _, c := range cs {
		price := fmt.Sprintf("%.4g", c.GetHourlyPrice())
		if c.GetPriceUnknown() {
			price = "?"
		}
		at := c.GetZone()
		if at == "" {
			at = c.GetRegion()
		}
		out = append(out, fmt.Sprintf("%s/%s/%s@%s", c.GetProvider(), at, c.GetInstanceType(), price))
	}
	return strings.Join(out, " ")
}

// TestPlaceByCatalogue: clouds by their catalogues, the others by their offers, one ranked list with every zone in it.
func TestPlaceByCatalogue(t *testing.T) {
	t.Parallel()
	host, err := local.New(providers.Config{Home: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	pool := fake.New(fake.Config{Name: "pool", Offers: []providers.Offer{
		{Region: "rack", InstanceType: "box", Accelerator: "V100", AcceleratorCount: 1, CPUs: 16, MemoryGB: 64, HourlyPrice: 2.99},
	}})
	all := map[string]providers.Provider{"local": host, "aws": fake.New(fake.Config{Name: "aws"}), "gcp": fake.New(fake.Config{Name: "gcp"}), "pool": pool}
	fresh := shelfWith(t, time.Hour, map[string]string{"aws": awsRows, "gcp": gcpRows})
	old := shelfWith(t, 8*24*time.Hour, map[string]string{"aws": awsRows, "gcp": gcpRows})
	v100 := func(edit func(*statev1.Resources)) *statev1.TaskSpec {
		r := &statev1.Resources{Accelerator: "V100", AcceleratorCount: 1}
		if edit != nil {
			edit(r)
		}
		return &statev1.TaskSpec{Resources: []*statev1.Resources{r}}
	}
	every := []string{"aws", "gcp", "local", "pool"}
	for _, x := range []struct {
		name    string
		shelf   shelf.Shelf
		enabled []string
		task    *statev1.TaskSpec
		want    string // candidates, or ! and words of the failure
		shown   string
		hint    string
	}{
		{name: "every enabled cloud competes, zone by zone", shelf: fresh, enabled: every, task: v100(nil),
			want:  "gcp/us-central1-a/n1-highmem-8@2.95 gcp/us-central1-b/n1-highmem-8@2.95 pool/rack/box@2.99 aws/us-east-1a/p3.2xlarge@3.06 aws/us-east-1b/p3.2xlarge@3.06 aws/eu-west-1a/p3.2xlarge@3.3",
			shown: "gcp/us-central1-a/n1-highmem-8@2.95 pool/rack/box@2.99 aws/us-east-1/p3.2xlarge@3.06"},
		{name: "spot by zone", shelf: fresh, enabled: []string{"aws"}, task: v100(func(r *statev1.Resources) { r.UseSpot = true }),
			want: "aws/us-east-1a/p3.2xlarge@0.9 aws/us-east-1b/p3.2xlarge@1.2", shown: "aws/us-east-1a/p3.2xlarge@0.9"},
		{name: "pinned to a zone", shelf: fresh, enabled: every,
			task: v100(func(r *statev1.Resources) { r.Cloud, r.Region, r.Zone = "aws", "us-east-1", "us-east-1b" }),
			want: "aws/us-east-1b/p3.2xlarge@3.06", shown: "aws/us-east-1b/p3.2xlarge@3.06"},
		{name: "pinned to a region", shelf: fresh, enabled: every, task: v100(func(r *statev1.Resources) { r.Cloud, r.Region = "aws", "us-east-1" }),
			want: "aws/us-east-1a/p3.2xlarge@3.06 aws/us-east-1b/p3.2xlarge@3.06", shown: "aws/us-east-1/p3.2xlarge@3.06"},
		{name: "under a cap", shelf: fresh, enabled: every, task: v100(func(r *statev1.Resources) { r.MaxHourlyCost = 2.96 }),
			want: "gcp/us-central1-a/n1-highmem-8@2.95 gcp/us-central1-b/n1-highmem-8@2.95"},
		{name: "an unknown price is no price", shelf: fresh, enabled: []string{"aws"},
			task: &statev1.TaskSpec{Resources: []*statev1.Resources{{Accelerator: "H100", AcceleratorCount: 8}}},
			want: "aws/us-east-1a/p5.48xlarge@?", shown: "aws/us-east-1/p5.48xlarge@?", hint: "A cost of - is not known"},
		{name: "a budget needs a price", shelf: fresh, enabled: []string{"aws"},
			task: &statev1.TaskSpec{Budget: &statev1.Budget{MaxCost: 5}, Resources: []*statev1.Resources{{Accelerator: "H100", AcceleratorCount: 8}}},
			want: "aws/us-east-1a/p5.48xlarge@?", hint: "max_cost (5.00 USD) cannot be held"},
		{name: "ordered", shelf: fresh, enabled: every, task: &statev1.TaskSpec{ResourcesKind: "ordered", Resources: []*statev1.Resources{
			{Cloud: "aws", InstanceType: "p3.2xlarge", Region: "eu-west-1"}, {Cloud: "pool", Accelerator: "V100"}, {Cloud: "gcp", Cpus: 8}}},
			want: "aws/eu-west-1a/p3.2xlarge@3.3 pool/rack/box@2.99 gcp/us-central1-a/n4-standard-8@0.39"},
		{name: "any of", shelf: fresh, enabled: every, task: &statev1.TaskSpec{ResourcesKind: "any_of", Resources: []*statev1.Resources{
			{Cloud: "aws", InstanceType: "p3.2xlarge", Region: "eu-west-1"}, {Cloud: "pool", Accelerator: "V100"}, {Cloud: "gcp", Cpus: 8}}},
			want: "gcp/us-central1-a/n4-standard-8@0.39 pool/rack/box@2.99 aws/eu-west-1a/p3.2xlarge@3.3"},
		{name: "one alternative is nowhere", shelf: fresh, enabled: every, task: &statev1.TaskSpec{ResourcesKind: "any_of", Resources: []*statev1.Resources{
			{Accelerator: "A100", AcceleratorCount: 3}, {Cloud: "pool", Accelerator: "V100"}}},
			want: "pool/rack/box@2.99", hint: "No resource satisfying A100:3"},
		{name: "this host when asked for", shelf: fresh, enabled: every, task: &statev1.TaskSpec{Resources: []*statev1.Resources{{Cloud: "local"}}}, want: "local/local/local@0"},
		{name: "this host opens no ports", shelf: fresh, enabled: every, task: &statev1.TaskSpec{Resources: []*statev1.Resources{{Cloud: "local", Ports: []string{"8080"}}}},
			want: "local/local/local@0", hint: "local opens no ports: 8080"},
		{name: "this host takes no image", shelf: fresh, enabled: every, task: &statev1.TaskSpec{Resources: []*statev1.Resources{{Cloud: "local", Image: "docker:ubuntu"}}},
			want: "!local takes no image_id"},
		{name: "old prices say so", shelf: old, enabled: []string{"gcp"}, task: v100(nil),
			want: "gcp/us-central1-a/n1-highmem-8@2.95 gcp/us-central1-b/n1-highmem-8@2.95", hint: "GCP: prices are old"},
		{name: "built in", shelf: shelf.Shelf{Dir: t.TempDir(), Builtin: true}, enabled: []string{"aws"},
			task: &statev1.TaskSpec{Resources: []*statev1.Resources{{InstanceType: "p3.2xlarge"}}}, want: "aws/us-west-2/p3.2xlarge@3.06", hint: "AWS: prices are built in and old, of 2021"},
		{name: "not enabled", shelf: fresh, enabled: []string{"gcp"}, task: v100(func(r *statev1.Resources) { r.Cloud = "aws" }), want: "!aws is not enabled"},
		{name: "nowhere", shelf: fresh, enabled: every, task: &statev1.TaskSpec{Resources: []*statev1.Resources{{Accelerator: "V100", AcceleratorCount: 8}}}, want: "!V100:8"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			p, err := catalog.New(known{all, x.enabled}, x.shelf).Place(t.Context(), x.task)
			if want, ok := strings.CutPrefix(x.want, "!"); ok {
				var inf *catalog.Infeasible
				if !errors.As(err, &inf) || !strings.Contains(inf.GetFailure().GetMessage()+inf.GetFailure().GetHint(), want) {
					t.Fatalf("got %v, want %q", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := where(p.Candidates); got != x.want {
				t.Errorf("candidates\ngot  %s\nwant %s", got, x.want)
			}
			if got := where(p.Shown); x.shown != "" && got != x.shown {
				t.Errorf("shown\ngot  %s\nwant %s", got, x.shown)
			}
			if x.hint != "" && !slices.ContainsFunc(p.Hints, func(h string) bool { return strings.HasPrefix(h, x.hint) }) {
				t.Errorf("hints %q, want %q", p.Hints, x.hint)
			}
			for _, h := range p.Hints {
				if x.hint == "" && strings.Contains(h, "old") {
					t.Errorf("hint %q", h)
				}
			}
		})
	}
}

// TestCatalogueIsReadAgain when its file changes, and only then.
func TestCatalogueIsReadAgain(t *testing.T) {
	t.Parallel()
	s := shelfWith(t, time.Hour, map[string]string{"aws": awsRows})
	c := catalog.New(known{map[string]providers.Provider{"aws": fake.New(fake.Config{Name: "aws"})}, []string{"aws"}}, s)
	task := &statev1.TaskSpec{Resources: []*statev1.Resources{{InstanceType: "m6i.2xlarge"}}}
	for _, price := range []string{"0.384", "0.384", "0.5"} {
		if price == "0.5" {
			if err := os.WriteFile(filepath.Join(s.Dir, "aws", "vms.csv"), []byte(head+"m6i.2xlarge,,,8,32,,0.5,,us-east-1,us-east-1a,\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		p, err := c.Place(t.Context(), task)
		if err != nil || where(p.Candidates) != "aws/us-east-1a/m6i.2xlarge@"+price {
			t.Fatalf("%s: %v, %v", price, p, err)
		}
	}
}
