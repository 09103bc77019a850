package shelf_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aloft/controller/catalog/sheet"
	"aloft/controller/catalog/shelf"
)

const csv = "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,AvailabilityZone\n"

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestBuiltin holds what is built in to what is known: specifications, and only prices with a date.
func TestBuiltin(t *testing.T) {
	t.Parallel()
	s := shelf.Home(t.TempDir())
	clouds, err := s.Clouds()
	if err != nil || !slices.Equal(clouds, shelf.BuiltinClouds()) {
		t.Fatalf("%v, %v", clouds, err)
	}
	// Families whose prices in us-west-2 in 2021, and accelerators whose prices in the US in 2022, are on record.
	priced := map[string][]string{
		"aws": {"p2.", "p3.", "p3dn.", "p4d.", "g3.", "g4dn.", "m5.", "m6i.", "c5.", "c6i.", "r5.", "t3.", "m6g.", "c6g."},
		"gcp": {"T4", "V100", "P100", "P4", "K80", "A100"},
	}
	for _, c := range clouds {
		b, err := s.Open(c)
		if err != nil || b.Bad > 0 || !b.Date.IsZero() || b.Path != "" {
			t.Fatalf("%+v, %v", b, err)
		}
		prices := 0
		for i := range b.Sheet.Types {
			ty := &b.Sheet.Types[i]
			for _, r := range b.Sheet.Rows(ty) {
				known, dated := sheet.Known(r.Price) || sheet.Known(r.Spot), b.Sheet.Dated(r)
				if known != (dated != "") {
					t.Errorf("%s %+v: price %v, spot %v, date %q", c, ty, r.Price, r.Spot, dated)
				}
				if !known {
					continue
				}
				prices++
				ok := slices.ContainsFunc(priced[c], func(p string) bool {
					return c == "aws" && strings.HasPrefix(ty.Name, p) && b.Sheet.Region(r) == "us-west-2" && dated == "2021" && !sheet.Known(r.Spot) ||
						c == "gcp" && ty.Name == "" && ty.Accelerator == p && strings.HasPrefix(b.Sheet.Region(r), "us-") && dated == "2022"
				})
				if !ok {
					t.Errorf("%s has a price for %s%s in %s of %q", c, ty.Name, ty.Accelerator, b.Sheet.Region(r), dated)
				}
			}
		}
		if prices == 0 || b.Sheet.Len() < 100 {
			t.Errorf("%s: %d prices, %d rows", c, prices, b.Sheet.Len())
		}
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	s := shelf.Home(home)
	path := filepath.Join(s.Dir, "aws", "vms.csv")
	write(t, path, csv+"m,,,2,8,,0.1,,us,id1\nm,,,2,8,,0.1,,us,id2\n")
	write(t, filepath.Join(s.Dir, "lambda", "vms.csv"), csv+"m,,,2,8,,0.1,,us,\nx\n")
	if clouds, err := s.Clouds(); err != nil || !slices.Equal(clouds, []string{"aws", "gcp", "lambda"}) {
		t.Fatalf("%v, %v", clouds, err)
	}
	open := func(cached bool, rows int) *shelf.Book {
		t.Helper()
		b, err := s.Open("aws")
		if err != nil || b.Cached != cached || b.Sheet.Len() != rows {
			t.Fatalf("%+v, %v; want cached %v, %d rows", b, err, cached, rows)
		}
		return b
	}
	if b := open(false, 2); time.Since(b.Date) > time.Hour {
		t.Errorf("dated %v", b.Date)
	}
	open(true, 2)
	// Names of zones make another catalogue of it.
	write(t, filepath.Join(s.Dir, "aws", "az_mappings-default.csv"), "AvailabilityZoneName,AvailabilityZone\nus-a,id1\n")
	b := open(false, 1)
	if got := b.Sheet.Zone(b.Sheet.Rows(&b.Sheet.Types[0])[0]); got != "us-a" {
		t.Errorf("zone %q", got)
	}
	open(true, 1)
	// A change is seen; a broken cache is read over.
	write(t, path, csv+"m,,,2,8,,0.1,,us,id1\nn,,,2,8,,0.1,,us,id1\no,,,2,8,,0.1,,us,id1\n")
	open(false, 3)
	caches, err := filepath.Glob(filepath.Join(s.Cache, "*.bin"))
	if err != nil || len(caches) != 1 {
		t.Fatalf("%v, %v", caches, err)
	}
	write(t, caches[0], "rubbish")
	open(false, 3)
	// Bad rows are told every time: such a file is not cached.
	for range 2 {
		if b, err := s.Open("lambda"); err != nil || b.Bad != 1 || !strings.HasSuffix(b.Problems[0].String(), "vms.csv:3: 1 fields, the header has 10") {
			t.Fatalf("%+v, %v", b, err)
		}
	}
	// A directory that was named has nothing built in.
	if _, err := shelf.At(home, t.TempDir()).Open("aws"); !errors.Is(err, shelf.ErrNone) {
		t.Fatalf("got %v", err)
	}
	if _, err := s.Open("../aws"); err == nil {
		t.Fatal("a path is no cloud")
	}
	write(t, filepath.Join(s.Dir, "gcp", "vms.csv"), "<html>")
	if _, err := s.Open("gcp"); !errors.Is(err, sheet.ErrNotCatalogue) || !strings.Contains(err.Error(), "vms.csv:1") {
		t.Fatalf("got %v", err)
	}
	write(t, filepath.Join(s.Dir, "aws", "az_mappings-x.csv"), "a,b\n")
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(s.Dir, "aws", "az_mappings-x.csv"), later, later); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open("aws"); !errors.Is(err, sheet.ErrNotCatalogue) {
		t.Fatalf("got %v", err)
	}
}
