package state_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aloft/controller/state"
	statev1 "aloft/proto/sky/state/v1"
)

var update = flag.Bool("update", false, "rewrite the tables in docs")

// nodePhases are all phases of a node, in the order of their numbers.
func nodePhases() []statev1.NodePhase {
	var out []statev1.NodePhase
	for i := int32(0); i < 128; i++ {
		if _, ok := statev1.NodePhase_name[i]; ok {
			out = append(out, statev1.NodePhase(i))
		}
	}
	return out
}

func TestNodePhases(t *testing.T) {
	t.Parallel()
	reach := map[statev1.NodePhase]bool{statev1.NodePhase_NODE_PLANNED: true}
	for range nodePhases() {
		for _, from := range nodePhases() {
			for _, to := range state.NextPhases(from) {
				reach[to] = reach[to] || reach[from]
			}
		}
	}
	for _, from := range nodePhases() {
		if from != 0 && !reach[from] {
			t.Errorf("%v cannot be reached", from)
		}
		if state.NodeEnded(from) != (len(state.NextPhases(from)) == 0) {
			t.Errorf("%v: ended is %v, next are %v", from, state.NodeEnded(from), state.NextPhases(from))
		}
		for _, to := range nodePhases() {
			ok := state.CanGo(from, to)
			back := from == statev1.NodePhase_NODE_STOPPED && to == statev1.NodePhase_NODE_BOOTING
			if ok && to <= from && !back {
				t.Errorf("%v may go back to %v", from, to)
			}
			// Whatever may be a machine must have a way to its end.
			if state.NodeBilled(from) && to == statev1.NodePhase_NODE_DELETING && from != to && !ok {
				t.Errorf("%v cannot be deleted", from)
			}
		}
	}
	if state.CanGo(statev1.NodePhase(77), statev1.NodePhase_NODE_GONE) {
		t.Error("unknown phase may go on")
	}
}

// TestNodePhasesInDocs keeps the table in the docs what the code says.
func TestNodePhasesInDocs(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- node phases: begin -->\n", "<!-- node phases: end -->\n"
	var b strings.Builder
	b.WriteString("| phase | number | may be followed by |\n|---|---|---|\n")
	for _, from := range nodePhases()[1:] {
		var next []string
		for _, to := range state.NextPhases(from) {
			next = append(next, state.PhaseName(to))
		}
		if len(next) == 0 {
			next = []string{"– (end)"}
		}
		b.WriteString("| " + state.PhaseName(from) + " | " + itoa(int(from)) + " | " + strings.Join(next, ", ") + " |\n")
	}
	path := filepath.Join("..", "..", "docs", "no-leak.md")
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := bytes.Cut(doc, []byte(begin))
	old, tail, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", path)
	}
	if string(old) == b.String() {
		return
	}
	if !*update {
		t.Fatalf("%s differs from the code; run: go test ./controller/state -update", path)
	}
	out := string(head) + begin + b.String() + end + string(tail)
	if err := os.WriteFile(path, []byte(out), 0o644); err != nil {
		t.Fatal(err)
	}
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

func TestClusterStatus(t *testing.T) {
	t.Parallel()
	type nodes = []*statev1.Node
	n := func(p statev1.NodePhase) *statev1.Node { return &statev1.Node{Phase: p, Session: true} }
	lostContact := &statev1.Node{Phase: statev1.NodePhase_NODE_READY, Tries: 5}
	justStarted := &statev1.Node{Phase: statev1.NodePhase_NODE_READY}
	up, stop, down := statev1.ClusterDesired_CLUSTER_DESIRED_UP, statev1.ClusterDesired_CLUSTER_DESIRED_STOPPED, statev1.ClusterDesired_CLUSTER_DESIRED_DOWN
	const planned, creating, ready, stopped, gone = statev1.NodePhase_NODE_PLANNED, statev1.NodePhase_NODE_CREATING,
		statev1.NodePhase_NODE_READY, statev1.NodePhase_NODE_STOPPED, statev1.NodePhase_NODE_GONE
	for _, x := range []struct {
		name    string
		cluster *statev1.Cluster
		nodes   nodes
		want    string
	}{
		{"ended", &statev1.Cluster{EndedMs: 1, NumNodes: 1}, nodes{n(gone)}, state.ClusterTerminated},
		{"nothing asked yet", &statev1.Cluster{Desired: up, NumNodes: 2}, nodes{n(planned), n(planned)}, state.ClusterPending},
		{"one being made", &statev1.Cluster{Desired: up, NumNodes: 2}, nodes{n(planned), n(creating)}, state.ClusterInit},
		{"up", &statev1.Cluster{Desired: up, NumNodes: 2}, nodes{n(gone), n(ready), n(ready)}, state.ClusterUp},
		{"agent not reached for long", &statev1.Cluster{Desired: up, NumNodes: 1}, nodes{lostContact}, state.ClusterInit},
		{"controller just started", &statev1.Cluster{Desired: up, NumNodes: 1}, nodes{justStarted}, state.ClusterUp},
		{"half gone", &statev1.Cluster{Desired: up, NumNodes: 2}, nodes{n(ready), n(statev1.NodePhase_NODE_LOST)}, state.ClusterInit},
		{"autostopping", &statev1.Cluster{Desired: up, NumNodes: 1, AutostoppingMs: 1}, nodes{n(ready)}, state.ClusterAutostopping},
		{"autostop done", &statev1.Cluster{Desired: up, NumNodes: 1, AutostoppingMs: 1}, nodes{n(stopped)}, state.ClusterStopped},
		{"stopping", &statev1.Cluster{Desired: stop, NumNodes: 1}, nodes{n(statev1.NodePhase_NODE_STOPPING)}, state.ClusterInit},
		{"stopped", &statev1.Cluster{Desired: stop, NumNodes: 2}, nodes{n(stopped), n(stopped)}, state.ClusterStopped},
		{"half stopped", &statev1.Cluster{Desired: stop, NumNodes: 2}, nodes{n(stopped), n(ready)}, state.ClusterInit},
		{"going down", &statev1.Cluster{Desired: down, NumNodes: 1}, nodes{n(stopped)}, state.ClusterInit},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			if got := state.ClusterStatus(x.cluster, x.nodes); got != x.want {
				t.Fatalf("got %s, want %s", got, x.want)
			}
		})
	}
}

func TestEveryJobPhaseHasAStatus(t *testing.T) {
	t.Parallel()
	for i := range statev1.JobPhase_name {
		p := statev1.JobPhase(i)
		got := state.JobStatus(&statev1.Job{Phase: p})
		if got == "" || (got == state.JobInit) != (p <= statev1.JobPhase_JOB_QUEUED) {
			t.Errorf("%v shows as %q", p, got)
		}
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_000_000)
	a, err := state.NewID(now, bytes.NewReader(make([]byte, 10)))
	if err != nil || len(a) != 26 || a != strings.ToLower(a) {
		t.Fatalf("id %q, %v", a, err)
	}
	if _, err := state.NewID(now, bytes.NewReader(nil)); err == nil {
		t.Fatal("no error without entropy")
	}
	d := state.DeriveID(now, "c", "1")
	if d != state.DeriveID(now, "c", "1") || d == state.DeriveID(now, "c1") || d[:10] != a[:10] || len(d) != 26 {
		t.Fatalf("derived %q beside %q", d, a)
	}
	tok := state.Token("i", "n", 1)
	if len(tok) != 37 || !strings.HasPrefix(tok, "sky1-") || tok == state.Token("i", "n", 2) || tok != strings.ToLower(tok) {
		t.Fatalf("token %q", tok)
	}
	if got := state.TaskID(time.Date(2026, 1, 2, 3, 4, 5, 678000, time.UTC), "c", 3); got != "sky-2026-01-02-03-04-05-000678_c_3" {
		t.Fatalf("task id %q", got)
	}
	if state.NodeName("c", 0) != "c-head" || state.NodeName("c", 2) != "c-worker2" {
		t.Fatal("node names")
	}
	j := state.Jitter(time.Second, 1, "a")
	if j != state.Jitter(time.Second, 1, "a") || j == state.Jitter(time.Second, 2, "a") || j >= time.Second || state.Jitter(0, 1) != 0 {
		t.Fatal("jitter")
	}
}

func TestCost(t *testing.T) {
	t.Parallel()
	c := &statev1.Cluster{Billing: []*statev1.BillingInterval{
		{StartMs: 0, EndMs: 3_600_000, HourlyPrice: 2, Nodes: 3},
		{StartMs: 3_600_000, HourlyPrice: 1, Nodes: 1},
	}}
	if got := state.Cost(c, 3_600_000+1_800_000); got != 6.5 {
		t.Fatalf("cost %v", got)
	}
	if got := state.HourlyPrice(c); got != 1 {
		t.Fatalf("hourly %v", got)
	}
}
