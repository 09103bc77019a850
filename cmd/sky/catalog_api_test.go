package main

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aloft/providers"
	"aloft/providers/fake"
)

// teller is a cloud that tells its catalogue.
type teller struct {
	*fake.Cloud
	rows []providers.CatalogRow
	err  error
}

// Catalog tells the rows, then fails.
func (p teller) Catalog(_ context.Context, row func(providers.CatalogRow) error) error {
	for _, r := range p.rows {
		if err := row(r); err != nil {
			return err
		}
	}
	return p.err
}

// TestCatalogFromAPI brings catalogues from clouds themselves: what they do not tell stays open, what fails leaves the old file.
func TestCatalogFromAPI(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	day := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	toy := teller{Cloud: fake.New(fake.Config{Name: "aws"}), rows: []providers.CatalogRow{
		{InstanceType: "m7i.large", CPUs: 2, MemoryGB: 8, Arch: "x86_64", Region: "us-east-1", Zone: "us-east-1a", Price: 0.1008, SpotPrice: nan, Dated: day},
		{InstanceType: "p4d.24xlarge", Accelerator: "A100", AcceleratorCount: 8, DeviceGB: 40, CPUs: 96, MemoryGB: 1152, Region: "us-east-1", Zone: "us-east-1a", Price: nan, SpotPrice: nan},
	}}
	broken := teller{Cloud: fake.New(fake.Config{Name: "gcp"}), rows: toy.rows,
		err: &providers.Error{Provider: "gcp", Op: "catalog", Kind: providers.Auth, Code: "denied", Err: errors.New("permission cloudbilling is missing")}}
	factory := func(p providers.Provider, on bool) providers.Factory {
		return providers.Factory{Name: p.Name(), ByDefault: on, New: func(context.Context, providers.Config) (providers.Provider, error) { return p, nil }}
	}
	home := t.TempDir()
	table := map[string]providers.Factory{"aws": factory(toy, true), "gcp": factory(broken, true), "mute": factory(fake.New(fake.Config{Name: "mute"}), true),
		"off": factory(teller{Cloud: fake.New(fake.Config{Name: "off"})}, false)}
	run := func(wantCode int, args []string, words ...string) {
		t.Helper()
		var out, errOut bytes.Buffer
		a := &app{in: strings.NewReader(""), out: &out, errOut: &errOut, home: home, width: 120, providers: table, getenv: func(string) (string, bool) { return "", false }}
		root := newRoot(a)
		root.SetArgs(args)
		cmd, err := root.ExecuteContextC(t.Context())
		wants(t, a.report(cmd, args, err), wantCode, out.String(), errOut.String(), words...)
	}
	run(exitOK, []string{"catalog", "update", "--from", "api", "aws"}, "aws/vms.csv: new, 2 rows")
	b, err := os.ReadFile(filepath.Join(home, "catalog", "aws", "vms.csv"))
	if err != nil {
		t.Fatal(err)
	}
	want := `InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,AvailabilityZone,Arch,PriceDate
m7i.large,,,2,8,,0.1008,,us-east-1,us-east-1a,x86_64,2026-03-04
p4d.24xlarge,A100,8,96,1152,"{'Gpus': [{'Name': 'A100', 'Count': 8, 'MemoryInfo': {'SizeInMiB': 40960}}], 'TotalGpuMemoryInMiB': 327680}",,,us-east-1,us-east-1a,,
`
	if string(b) != want {
		t.Errorf("got\n%s\nwant\n%s", b, want)
	}
	run(exitOK, []string{"catalog", "list"}, "api:aws")
	run(exitOK, []string{"launch", "--dryrun", "--clouds", "aws", "--gpus", "A100:8", "-o", "json"}, `"hourly_cost": null`, "!NaN")
	run(exitFailure, []string{"catalog", "update", "--from", "api"}, "aws/vms.csv", "permission cloudbilling is missing", "what was here before is still used")
	if _, err := os.Stat(filepath.Join(home, "catalog", "gcp", "vms.csv")); err == nil {
		t.Error("half a catalogue was put in place")
	}
	run(exitConfig, []string{"catalog", "update", "--from", "api", "--clouds", "mute"}, "no catalogue of its own", "sky catalog update mute")
	run(exitConfig, []string{"catalog", "update", "--from", "api", "off"}, "not turned on in the configuration", "enabled: true")
	run(exitConfig, []string{"catalog", "update", "--from", "api", "moon"}, "no such provider", "sky check")
	run(exitUsage, []string{"catalog", "update", "--from", "moon"}, "allowed are url and api")
	run(exitUsage, []string{"catalog", "update", "--from", "api", "--url", "http://x"}, "give one of them")
	table = map[string]providers.Factory{"mute": table["mute"]}
	run(exitConfig, []string{"catalog", "update", "--from", "api"}, "no cloud is enabled that can tell", "sky check")
}
