package supervise_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aloft/agent/supervise"
	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// leased is an agent of whom nobody but its node is there.
type leased struct {
	*testing.T
	sup    *supervise.Supervisor
	mu     sync.Mutex
	told   told
	refuse int // renewals that fail
	left   time.Duration
	tells  bool // the machine has a count of its own
}

// told is what the agent did.
type told struct {
	offs    []time.Time
	down    []bool
	said    []*agentv1.Autostopping
	renewed []time.Duration
}

// seen is what the agent has done so far.
func (l *leased) seen() told {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told
}

func lease(t *testing.T, dir string, l *leased) (end func()) {
	t.Helper()
	vault, err := supervise.OpenVault(dir)
	if err != nil {
		t.Fatal(err)
	}
	l.T = t
	w := newWorld(dir)
	l.sup, err = supervise.Open(supervise.Options{
		StateDir: dir, Home: dir, Log: slog.New(slog.DiscardHandler), CPUs: fakeCPUs, SpoolDir: dir,
		Processes: w, Files: fakeFiles{w}, Gang: noGang{}, Vault: vault,
		PowerOff: func(_ context.Context, down bool) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.told.offs, l.told.down = append(l.told.offs, time.Now()), append(l.told.down, down)
			return nil
		},
		Announce: func(a *agentv1.Autostopping) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.told.said = append(l.told.said, a)
		},
		Renew: func(_ time.Time, left time.Duration) error {
			if l.refuse--; l.refuse >= 0 {
				return errors.New("disk full")
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			l.told.renewed = append(l.told.renewed, left)
			return nil
		},
		LeaseLeft: func() (time.Duration, bool) { return l.left, l.tells },
		Opened:    func(*agentv1.StreamKey, supervise.Process) {}, Forgotten: func(string, int32, bool) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.sup.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = vault.Destroy()
	}
}

func (l *leased) policy(p *agentv1.NodePolicy) {
	l.Helper()
	if err := l.sup.SetPolicy(l.Context(), p); err != nil {
		l.Fatal(err)
	}
}

// ended checks that the node ended itself for good at about the time given, for the reason given.
func (l *leased) ended(at time.Time, code string) {
	l.Helper()
	if len(l.seen().offs) == 0 || !l.seen().down[0] {
		l.Fatalf("not ended for good: %v %v", l.seen().offs, l.seen().down)
	}
	if d := l.seen().offs[0].Sub(at); d < 0 || d > 15*time.Second {
		l.Errorf("ended at %v, want %v", l.seen().offs[0], at)
	}
	if got := l.seen().said[len(l.seen().said)-1]; got.GetCode() != code || !got.GetBudget() || got.GetReason() == "" {
		l.Errorf("said %v, want %s", got, code)
	}
}

// TestLeaseEndsTheNode: with nobody there, at the time that is left by the controller's clock, whatever the node's says.
func TestLeaseEndsTheNode(t *testing.T) {
	for name, skew := range map[string]time.Duration{"right": 0, "a year behind": 365 * 24 * time.Hour, "a year ahead": -365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &leased{refuse: 2}
				defer lease(t, t.TempDir(), l)()
				start := time.Now()
				theirs := start.Add(skew)
				l.policy(&agentv1.NodePolicy{DeadlineMs: theirs.Add(time.Hour).UnixMilli(), SentMs: theirs.UnixMilli(), Nodes: 1})
				synctest.Wait()
				time.Sleep(59 * time.Minute)
				if len(l.seen().offs) > 0 {
					t.Fatal("ended too early")
				}
				if len(l.seen().renewed) != 1 || l.seen().renewed[0] > time.Hour || l.seen().renewed[0] < 59*time.Minute {
					t.Errorf("the machine was told of %v", l.seen().renewed)
				}
				theirs = theirs.Add(59 * time.Minute)
				l.policy(&agentv1.NodePolicy{DeadlineMs: theirs.Add(2 * time.Hour).UnixMilli(), SentMs: theirs.UnixMilli(), Nodes: 1})
				time.Sleep(119 * time.Minute)
				if len(l.seen().offs) > 0 {
					t.Fatal("ended though it was renewed")
				}
				if len(l.seen().renewed) != 2 || l.seen().renewed[1] != 2*time.Hour {
					t.Errorf("the machine was told of %v", l.seen().renewed)
				}
				time.Sleep(5 * time.Minute)
				l.ended(start.Add(59*time.Minute+2*time.Hour), "LEASE")
			})
		})
	}
}

// TestLeaseAfterARestart: an agent that hears nobody goes by the machine's own count, or else by the clock.
func TestLeaseAfterARestart(t *testing.T) {
	for name, tells := range map[string]bool{"count": true, "clock": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				first := &leased{}
				end := lease(t, dir, first)
				first.policy(&agentv1.NodePolicy{DeadlineMs: time.Now().Add(time.Hour).UnixMilli(), SentMs: time.Now().UnixMilli(), Nodes: 1})
				end()
				second := &leased{tells: tells, left: 3 * time.Hour}
				defer lease(t, dir, second)()
				start := time.Now()
				time.Sleep(4 * time.Hour)
				want := start.Add(time.Hour)
				if tells {
					want = start.Add(3 * time.Hour)
				}
				second.ended(want, "LEASE")
				if len(second.seen().renewed) > 0 {
					t.Errorf("renewed by nobody: %v", second.seen().renewed)
				}
			})
		})
	}
}

// TestBudgetsWithoutAController: each limit of a cluster's budget ends the node alone, jobs first, with a reason.
func TestBudgetsWithoutAController(t *testing.T) {
	for name, tc := range map[string]struct {
		budget *statev1.Budget
		price  float64
		nodes  int32
		billed time.Duration // node time of before
		after  time.Duration // 0 = never
		code   string
	}{
		"cost":                      {budget: &statev1.Budget{MaxCost: 10}, price: 2, nodes: 1, after: 5 * time.Hour, code: "MAX_COST"},
		"cost of several nodes":     {budget: &statev1.Budget{MaxCost: 12}, price: 2, nodes: 3, after: 2 * time.Hour, code: "MAX_COST"},
		"cost with a past":          {budget: &statev1.Budget{MaxCost: 10}, price: 2, nodes: 1, billed: 4 * time.Hour, after: time.Hour, code: "MAX_COST"},
		"cost of an unknown price":  {budget: &statev1.Budget{MaxCost: 10}, nodes: 4},
		"duration":                  {budget: &statev1.Budget{MaxDurationMs: 90 * 60 * 1000}, nodes: 2, after: 90 * time.Minute, code: "MAX_DURATION"},
		"the sooner one":            {budget: &statev1.Budget{MaxCost: 1, MaxDurationMs: 90 * 60 * 1000}, price: 1, nodes: 1, after: time.Hour, code: "MAX_COST"},
		"hourly cost":               {budget: &statev1.Budget{MaxHourlyCost: 5.99}, price: 2, nodes: 3, after: time.Nanosecond, code: "MAX_HOURLY_COST"},
		"hourly cost that is met":   {budget: &statev1.Budget{MaxHourlyCost: 0.3}, price: 0.1, nodes: 3},
		"hourly cost, free machine": {budget: &statev1.Budget{MaxHourlyCost: 1}, nodes: 3},
		"none":                      {budget: &statev1.Budget{}, price: 100, nodes: 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &leased{}
				defer lease(t, t.TempDir(), l)()
				start := time.Now()
				theirs := start.Add(-40 * 24 * time.Hour) // the node's clock is wrong
				set := &agentv1.AssignmentSet{SetId: "s1", Full: true, Items: []*agentv1.Assignment{{
					JobId: "j1", Number: 1, Attempt: 1, NumRanks: 1, Task: &statev1.TaskSpec{Run: "train", NumNodes: 1}, GraceMs: 1000,
				}}}
				if _, _, err := l.sup.Apply(t.Context(), set); err != nil {
					t.Fatal(err)
				}
				l.policy(&agentv1.NodePolicy{Budget: tc.budget, HourlyPrice: tc.price, Nodes: tc.nodes, BilledMs: tc.billed.Milliseconds(),
					BillingSinceMs: theirs.UnixMilli(), SentMs: theirs.UnixMilli()})
				time.Sleep(100 * time.Hour)
				if tc.after == 0 {
					if len(l.seen().offs) > 0 {
						t.Fatalf("ended: %v", l.seen().said)
					}
					return
				}
				l.ended(start.Add(tc.after), tc.code)
				sts, err := l.sup.Statuses(t.Context(), 0)
				if err != nil {
					t.Fatal(err)
				}
				i := slices.IndexFunc(sts, func(s *agentv1.Status) bool { return s.GetFailure() != nil })
				if i < 0 || sts[i].GetFailure().GetKind() != statev1.FailureKind_TIMEOUT || sts[i].GetFailure().GetCode() != tc.code {
					t.Errorf("the job's evidence does not say so: %v", sts)
				}
			})
		})
	}
}

// TestFirstWork: a node that is to end with its jobs does not take its own start for the end of them.
func TestFirstWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := time.Now()
		time.Sleep(5 * time.Second) // the machine comes up
		l := &leased{}
		defer lease(t, t.TempDir(), l)()
		l.policy(&agentv1.NodePolicy{Autostop: &statev1.Autostop{Enabled: true, Down: true, WaitFor: "jobs", SetMs: asked.UnixMilli()}, Nodes: 1})
		time.Sleep(50 * time.Second)
		if offs := l.seen().offs; len(offs) > 0 {
			t.Errorf("ended after %s, before any job could come", offs[0].Sub(asked))
		}
		time.Sleep(time.Minute)
		if offs := l.seen().offs; len(offs) == 0 {
			t.Error("waits for ever for a job that does not come")
		}
	})
}
