package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
)

// goldenPick is a resource as SkyPilot's optimizer printed it.
type goldenPick struct {
	Cloud        string             `json:"cloud"`
	InstanceType string             `json:"instance_type"`
	Region       string             `json:"region"`
	Zone         *string            `json:"zone"`
	HourlyCost   float64            `json:"hourly_cost"`
	Accelerators map[string]float64 `json:"accelerators"`
	UseSpot      bool               `json:"use_spot"`
	Str          string             `json:"str"`
}

func (p goldenPick) String() string {
	zone := "-"
	if p.Zone != nil {
		zone = *p.Zone
	}
	return fmt.Sprintf("%s %s %s %s %.4f %v %v", p.Cloud, p.InstanceType, p.Region, zone, p.HourlyCost, p.Accelerators, p.UseSpot)
}

// goldenRow is one request and the real optimizer's answer.
type goldenRow struct {
	Case       string      `json:"case"`
	OK         bool        `json:"ok"`
	YAML       string      `json:"yaml"`
	Printed    string      `json:"printed"`
	NumNodes   int         `json:"num_nodes"`
	Fuzzy      []string    `json:"fuzzy_candidates"`
	Best       *goldenPick `json:"best"`
	Launchable []struct {
		Candidates []goldenPick `json:"candidates"`
	} `json:"launchable"`
}

// oursOnPurpose are the cases where we do not do as SkyPilot does; docs/compatibility.md says why.
func oursOnPurpose() map[string]string {
	return map[string]string{
		"spot-cpu": "spot machines without accelerators are chosen by their spot price",
	}
}

func readGolden(t *testing.T) []goldenRow {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "optimizer", "expected.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows []goldenRow
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var r goldenRow
		if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	if len(rows) != 66 {
		t.Fatalf("%d golden rows, want 66", len(rows))
	}
	return rows
}

// dryRun runs the command line in this process; no controller, no network.
func dryRun(t *testing.T, home string, args ...string) (int, string, string) {
	t.Helper()
	var out, errOut bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &out, errOut: &errOut, getenv: func(string) (string, bool) { return "", false }, home: home, width: 120}
	root := newRoot(a)
	args = append([]string{"launch", "--dryrun"}, args...)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(t.Context())
	return a.report(cmd, args, err), out.String(), errOut.String()
}

// TestGoldenOptimizer compares every choice with that of the real SkyPilot for the same catalogue.
func TestGoldenOptimizer(t *testing.T) {
	t.Parallel()
	home, catalog := t.TempDir(), filepath.Join("testdata", "optimizer", "catalog")
	for _, row := range readGolden(t) {
		t.Run(row.Case, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "task.yaml")
			if err := os.WriteFile(file, []byte(row.YAML), 0o600); err != nil {
				t.Fatal(err)
			}
			code, out, errOut := dryRun(t, home, "--clouds", "aws,gcp", "--catalog", catalog, "-o", "json", file)
			var got struct {
				OK         bool         `json:"ok"`
				NumNodes   int          `json:"num_nodes"`
				Best       *goldenPick  `json:"best"`
				Candidates []goldenPick `json:"candidates"`
				Fuzzy      []string     `json:"fuzzy_candidates"`
			}
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatalf("exit %d, %v\n%s%s", code, err, out, errOut)
			}
			if got.OK != row.OK || (code == exitOK) != row.OK {
				t.Fatalf("ok %v, exit %d; SkyPilot says %v\n%s%s", got.OK, code, row.OK, out, errOut)
			}
			if !slices.Equal(got.Fuzzy, append([]string{}, row.Fuzzy...)) {
				t.Errorf("near: %v, SkyPilot has %v", got.Fuzzy, row.Fuzzy)
			}
			if !row.OK {
				return
			}
			if why := oursOnPurpose()[row.Case]; why != "" {
				if got.Best.HourlyCost > row.Best.HourlyCost {
					t.Errorf("%s: %v is dearer than SkyPilot's %v", why, got.Best, row.Best)
				}
				return
			}
			if got.Best.String() != row.Best.String() || got.NumNodes != row.NumNodes {
				t.Errorf("best %v for %d nodes, SkyPilot has %v for %d", got.Best, got.NumNodes, row.Best, row.NumNodes)
			}
			if want := withoutArgs(row.Best.Str); got.Best.Str != want {
				t.Errorf("best is written %s, SkyPilot has %s", got.Best.Str, want)
			}
			compareCandidates(t, got.Candidates, row)
			code, out, errOut = dryRun(t, home, "--clouds", "aws,gcp", "--catalog", catalog, file)
			if code != exitOK {
				t.Fatalf("exit %d\n%s%s", code, out, errOut)
			}
			if g, w := tableOf(out), tableOf(row.Printed); g != w {
				t.Errorf("table:\n%s\nSkyPilot's:\n%s", g, w)
			}
		})
	}
}

// withoutArgs drops accelerator_args, which are no part of the choice.
func withoutArgs(s string) string {
	if i := strings.Index(s, ", accelerator_args="); i >= 0 {
		return s[:i] + ")"
	}
	return s
}

// compareCandidates wants the same candidates, each no dearer than the next within its alternative.
func compareCandidates(t *testing.T, got []goldenPick, row goldenRow) {
	t.Helper()
	seen := map[string]bool{}
	var want []goldenPick
	for _, l := range row.Launchable {
		for _, c := range l.Candidates {
			if !seen[c.String()] {
				seen[c.String()] = true
				want = append(want, c)
			}
		}
	}
	if !strings.Contains(row.YAML, "ordered:") && !strings.Contains(row.YAML, "[A100:1") {
		for i := range got[1:] {
			if got[i].HourlyCost > got[i+1].HourlyCost+1e-9 {
				t.Errorf("%v is before %v", got[i], got[i+1])
			}
		}
		if len(row.Launchable) == 1 {
			for i := range want {
				if i < len(got) && got[i].String() != want[i].String() {
					t.Errorf("candidate %d is %v, SkyPilot has %v", i, got[i], want[i])
				}
			}
		}
	}
	texts := func(ps []goldenPick) string {
		var out []string
		for _, p := range ps {
			out = append(out, p.String())
		}
		sort.Strings(out)
		return strings.Join(out, "\n")
	}
	if g, w := texts(got), texts(want); g != w {
		t.Errorf("candidates:\n%s\nSkyPilot's:\n%s", g, w)
	}
	for _, p := range got {
		if math.IsNaN(p.HourlyCost) || p.HourlyCost <= 0 {
			t.Errorf("%v has no price", p)
		}
	}
}

// tableOf is the table in a screen, without blanks that nobody sees.
func tableOf(screen string) string {
	var out []string
	for _, l := range strings.Split(screen, "\n") {
		if strings.HasPrefix(l, " ") || strings.HasPrefix(l, "Considered") {
			out = append(out, strings.Join(strings.Fields(l), " "))
		}
	}
	return strings.Join(out, "\n")
}
