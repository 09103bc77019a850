package plan_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aloft/controller/plan"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

var update = flag.Bool("update", false, "rewrite the table in docs/failover.md")

// TestRulesAreWhole: every kind and scope that a provider can name has a row, and no more.
func TestRulesAreWhole(t *testing.T) {
	t.Parallel()
	p := plan.Policy{}.WithDefaults()
	seen := map[string]bool{}
	for _, r := range p.Rules() {
		seen[fmt.Sprint(r.Kind, r.Scope)] = true
	}
	var want int
	for k := providers.KindUnknown; !strings.HasPrefix(k.String(), "kind "); k++ {
		for s := providers.ScopeZone; !strings.HasPrefix(s.String(), "scope "); s++ {
			want++
			if !seen[fmt.Sprint(k, s)] {
				t.Errorf("no row for %s, %s", k, s)
			}
		}
	}
	if want != len(p.Rules()) {
		t.Errorf("%d rows, want %d", len(p.Rules()), want)
	}
}

// around are candidates about the one that is refused, by what is different of them.
func around() (refused *statev1.Candidate, others map[string]*statev1.Candidate) {
	make := func(edit func(*statev1.Candidate)) *statev1.Candidate {
		c := &statev1.Candidate{Provider: "aws", Region: "r1", Zone: "r1a", InstanceType: "p3.8xlarge", Accelerator: "V100", AcceleratorCount: 4, Cpus: 32}
		if edit != nil {
			edit(c)
		}
		return c
	}
	smaller := func(c *statev1.Candidate) { c.InstanceType, c.AcceleratorCount, c.Cpus = "p3.2xlarge", 1, 8 }
	larger := func(c *statev1.Candidate) { c.InstanceType, c.AcceleratorCount, c.Cpus = "p3.16xlarge", 8, 64 }
	cpu := func(c *statev1.Candidate) {
		c.InstanceType, c.Accelerator, c.AcceleratorCount, c.Cpus = "m6i.8xlarge", "", 0, 32
	}
	zone := func(c *statev1.Candidate) { c.Zone = "r1b" }
	region := func(c *statev1.Candidate) { c.Region, c.Zone = "r2", "r2a" }
	both := func(fs ...func(*statev1.Candidate)) func(*statev1.Candidate) {
		return func(c *statev1.Candidate) {
			for _, f := range fs {
				f(c)
			}
		}
	}
	return make(nil), map[string]*statev1.Candidate{
		"same": make(nil), "spot": make(func(c *statev1.Candidate) { c.Spot = true }),
		"smaller": make(smaller), "larger": make(larger), "cpu": make(cpu),
		"zone": make(zone), "zone larger": make(both(zone, larger)), "zone smaller": make(both(zone, smaller)), "zone cpu": make(both(zone, cpu)),
		"region": make(region), "region larger": make(both(region, larger)), "region cpu": make(both(region, cpu)),
		"provider": make(func(c *statev1.Candidate) { c.Provider = "gcp" }),
	}
}

// TestRules is the whole table: what each refusal keeps a launch from, for how long, and who else looks elsewhere.
func TestRules(t *testing.T) {
	t.Parallel()
	const (
		here     = "same"
		zoneAll  = "cpu larger same smaller spot"
		regional = "same zone"
		all      = "cpu larger region region cpu region larger same smaller spot zone zone cpu zone larger zone smaller"
	)
	p := plan.Policy{}.WithDefaults()
	now := time.UnixMilli(1_700_000_000_000)
	refused, others := around()
	type row struct {
		blocks        string
		ttl           time.Duration
		shared, again bool
	}
	capacity := func(b string) row { return row{b, 3 * time.Minute, true, true} }
	quota := func(b string) row { return row{b, 10 * time.Minute, true, true} }
	auth := func(b string) row { return row{b, 10 * time.Minute, true, false} }
	never := func(b string) row { return row{b, 0, false, false} }
	short := row{here, time.Minute, false, true}
	want := map[providers.Kind][4]row{ // zone, region, account, provider
		providers.Capacity:    {capacity(here), capacity(regional), capacity("region same zone"), capacity("region same zone")},
		providers.Quota:       {quota("larger same"), quota("larger same zone zone larger"), quota("larger region region larger same zone zone larger"), quota("larger region region larger same zone zone larger")},
		providers.Auth:        {auth(all), auth("cpu larger same smaller spot zone zone cpu zone larger zone smaller"), auth(all), auth(all)},
		providers.Invalid:     {never(here), never(regional), never("region same zone"), never(all)},
		providers.Unsupported: {never(here), never(regional), never("region same zone"), never(all)},
		providers.NotFound:    {never(here), never(regional), never("region same zone"), never(all)},
		providers.Conflict:    {short, short, short, short},
		providers.Throttled:   {short, short, short, short},
		providers.Transient:   {short, short, short, short},
		providers.KindUnknown: {short, short, short, short},
	}
	if len(want) != len(plan.Kinds()) || len(plan.Scopes()) != 4 {
		t.Fatal("the test does not know every kind and scope")
	}
	for kind, rows := range want {
		for scope, w := range rows {
			f := plan.FailureOf(&plan.Problem{Kind: kind, Scope: providers.Scope(scope), Message: "No."}, now.UnixMilli())
			r := p.Rule(kind, providers.Scope(scope))
			b := r.Block(refused, f, now)
			var got []string
			for name, c := range others {
				if plan.Covers(b, c) {
					got = append(got, name)
				}
			}
			slices.Sort(got)
			if g := strings.Join(got, " "); g != w.blocks {
				t.Errorf("%s, %s blocks %q, want %q", kind, providers.Scope(scope), g, w.blocks)
			}
			ends := now.Add(w.ttl)
			if w.ttl > 0 && (!plan.Holds(b, 0, ends.Add(-time.Millisecond)) || plan.Holds(b, 0, ends)) || w.ttl == 0 && !plan.Holds(b, now.UnixMilli(), now.Add(1e6*time.Hour)) {
				t.Errorf("%s, %s: blocked until %v", kind, providers.Scope(scope), b.GetUntilMs())
			}
			if w.ttl == 0 && plan.Holds(b, now.Add(time.Second).UnixMilli(), now.Add(time.Second)) {
				t.Errorf("%s, %s: the next launch is blocked, too", kind, providers.Scope(scope))
			}
			if p.Shared(b) != w.shared || r.Again != w.again {
				t.Errorf("%s, %s: shared %v, again %v", kind, providers.Scope(scope), p.Shared(b), r.Again)
			}
		}
	}
	// A machine without accelerators has the quota of its family.
	cpu := func(t string, cpus float64) *statev1.Candidate {
		return &statev1.Candidate{Provider: "aws", Region: "r1", InstanceType: t, Cpus: cpus}
	}
	f := plan.FailureOf(&plan.Problem{Kind: providers.Quota, Scope: providers.ScopeRegion}, now.UnixMilli())
	b := p.Rule(providers.Quota, providers.ScopeRegion).Block(cpu("m6i.2xlarge", 8), f, now)
	for c, covered := range map[*statev1.Candidate]bool{cpu("m6i.2xlarge", 8): true, cpu("m6i.4xlarge", 16): true, cpu("m6i.large", 2): false, cpu("c6i.4xlarge", 16): false} {
		if plan.Covers(b, c) != covered {
			t.Errorf("%v covered: %v", c, !covered)
		}
	}
}

// TestRulesInDocs: the document has the table that the code has.
func TestRulesInDocs(t *testing.T) {
	t.Parallel()
	file := filepath.Join("..", "..", "docs", "failover.md")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- table: go test ./controller/plan -update -->\n", "<!-- end of the table -->"
	before, rest, ok := strings.Cut(string(raw), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("docs/failover.md has no table")
	}
	want := before + begin + table() + end + after
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(raw) {
		t.Errorf("docs/failover.md is not what the code does: go test ./controller/plan -update")
	}
}

// table is the table of classes in Markdown; rows that say the same are one.
func table() string {
	type line struct{ class, scopes, where, what, how, again string }
	var lines []line
	for _, r := range (plan.Policy{}).WithDefaults().Rules() {
		l := line{class: r.Kind.String(), scopes: r.Scope.String(), where: "the " + r.Reach.String(), what: r.Extent.String(), how: "the rest of the launch"}
		if r.Market {
			l.what += ", that market"
		}
		if r.For > 0 {
			l.how = strings.TrimSuffix(r.For.String(), "0s")
		}
		if r.Shared {
			l.how += ", other launches too"
		}
		switch {
		case r.Tries:
			l.again = "the call itself, with back-off; then `-r`"
		case r.Again:
			l.again = "`-r`"
		default:
			l.again = "no"
		}
		if n := len(lines) - 1; n >= 0 {
			if same := lines[n]; same.class == l.class {
				same.scopes = l.scopes
				if same == l {
					lines[n].scopes += ", " + l.scopes
					continue
				}
			}
			if last := lines[n]; strings.Contains(last.scopes, ",") && last.class == l.class {
				last.scopes = l.scopes
				if last == l {
					lines[n].scopes += ", " + l.scopes
					continue
				}
			}
		}
		lines = append(lines, l)
	}
	var b strings.Builder
	b.WriteString("| class | scope | keeps from, in | what | for | tried again |\n|---|---|---|---|---|---|\n")
	for _, l := range lines {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", l.class, l.scopes, l.where, l.what, l.how, l.again)
	}
	return b.String()
}
