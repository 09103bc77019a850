package sim_test

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aloft/controller/reconcile"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

// play runs the world of a seed to its end in virtual time.
func play(t *testing.T, dir string, seed uint64, s scenario) outcome {
	t.Helper()
	var out outcome
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dir, seed, s)
		var wg sync.WaitGroup
		wg.Go(w.live)
		if s.campaign {
			w.script()
		} else {
			w.users()
		}
		close(w.done)
		wg.Wait()
		out = w.judge()
		if err := os.Remove(w.path); err != nil {
			t.Error(err)
		}
	})
	return out
}

// scratch is a directory on a memory-backed file system where there is one.
func scratch(t *testing.T) string {
	t.Helper()
	if dir, err := os.MkdirTemp("/dev/shm", "sim"); err == nil {
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		return dir
	}
	return t.TempDir()
}

// seeds is how many seeds to run.
func seeds(t *testing.T, usual int) int {
	t.Helper()
	if s := os.Getenv("ALOFT_SIM_SEEDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("ALOFT_SIM_SEEDS: %v", err)
		}
		return n
	}
	if testing.Short() {
		return usual / 10
	}
	return usual
}

// tally is the sum of many runs.
type tally struct {
	runs, leaks, dups, stuck, unknown, billed, left, machines, crashes, events atomic.Int64

	mu           sync.Mutex
	died, passed map[cell]int
}

// sweepSeeds plays n seeds on all processors. fail reports whether anything that went wrong is a failure of the test.
func sweepSeeds(t *testing.T, n int, of func(seed uint64) scenario, fail bool) *tally {
	t.Helper()
	dir := scratch(t)
	sum := &tally{died: map[cell]int{}, passed: map[cell]int{}}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				seed := next.Add(1)
				if seed > int64(n) || t.Failed() && fail {
					return
				}
				o := play(t, dir, uint64(seed), of(uint64(seed)))
				sum.runs.Add(1)
				sum.machines.Add(int64(o.machines))
				sum.crashes.Add(int64(o.crashes))
				sum.events.Add(int64(o.events))
				sum.mu.Lock()
				for at, n := range o.died {
					sum.died[at] += n
				}
				for at, n := range o.passed {
					sum.passed[at] += n
				}
				sum.mu.Unlock()
				count := func(c *atomic.Int64, what string, xs []string) {
					if len(xs) == 0 {
						return
					}
					c.Add(1)
					if fail {
						t.Errorf("seed %d: %s: %v", seed, what, xs)
					}
				}
				count(&sum.leaks, "leaked", o.leaked)
				count(&sum.dups, "made twice", o.duplicates)
				count(&sum.stuck, "stuck", o.stuck)
				count(&sum.unknown, "unknown to the store", o.unknown)
				count(&sum.billed, "billed past its lease", o.billed)
				count(&sum.left, "left over", o.left)
			}
		})
	}
	wg.Wait()
	return sum
}

// always is the same scenario for every seed.
func always(s scenario) func(uint64) scenario { return func(uint64) scenario { return s } }

func (s *tally) report(t *testing.T, name string, began time.Time) {
	t.Helper()
	t.Logf("%s: %d seeds, %d machines, %d crashes, %d events: leaked in %d runs, duplicate machine in %d, stuck in %d, unknown in %d, billed past its lease in %d, left over in %d (%.1f s)",
		name, s.runs.Load(), s.machines.Load(), s.crashes.Load(), s.events.Load(), s.leaks.Load(), s.dups.Load(), s.stuck.Load(), s.unknown.Load(), s.billed.Load(), s.left.Load(),
		time.Since(began).Seconds())
}

// TestOneSeed plays the seed in ALOFT_SIM_SEED again and tells its story.
func TestOneSeed(t *testing.T) {
	seed, err := strconv.ParseUint(os.Getenv("ALOFT_SIM_SEED"), 10, 64)
	if err != nil {
		t.Skip("ALOFT_SIM_SEED names no seed")
	}
	for name, s := range map[string]scenario{
		"token": {idempotency: providers.IdempotencyToken}, "name": {idempotency: providers.IdempotencyName}, "none": {idempotency: providers.IdempotencyNone},
		"campaign": campaign(seed, aim(seed, cells())),
	} {
		t.Run(name, func(t *testing.T) {
			o := play(t, scratch(t), seed, s)
			slices.Sort(o.log)
			for _, line := range o.log {
				t.Log(line)
			}
			t.Log("leaked", o.leaked, "made twice", o.duplicates, "stuck", o.stuck, "unknown", o.unknown, "billed", o.billed, "left", o.left, "hash", o.hash)
		})
	}
}

// TestSameSeedSameStory: a failure that a seed shows can be looked at again.
func TestSameSeedSameStory(t *testing.T) {
	dir := scratch(t)
	for seed := range uint64(min(max(seeds(t, 300)/20, 16), 200)) {
		s := scenario{idempotency: []providers.Idempotency{providers.IdempotencyToken, providers.IdempotencyName, providers.IdempotencyNone}[seed%3]}
		if seed%2 == 0 {
			s = campaign(seed, aim(seed, cells()))
		}
		a, b := play(t, dir, seed, s), play(t, dir, seed, s)
		if a.hash == b.hash {
			continue
		}
		for i := range min(len(a.log), len(b.log)) {
			if a.log[i] != b.log[i] {
				t.Fatalf("seed %d: line %d differs:\n%s\n%s", seed, i, a.log[i], b.log[i])
			}
		}
		t.Fatalf("seed %d: %d lines, then %d", seed, len(a.log), len(b.log))
	}
}

// TestNoLeak is the leak model on the real planner, reconciler, sweeper and store.
func TestNoLeak(t *testing.T) {
	n := seeds(t, 100)
	for _, x := range []struct {
		name string
		s    scenario
		n    int
	}{
		{"cloud that remembers tokens", scenario{idempotency: providers.IdempotencyToken}, n / 2},
		{"cloud with unique names", scenario{idempotency: providers.IdempotencyName}, n / 4},
		{"cloud without either", scenario{idempotency: providers.IdempotencyNone}, n / 4},
		{"machines that end soon unless wanted", scenario{idempotency: providers.IdempotencyToken, ttl: 16 * time.Minute, crash: 12}, n / 6},
	} {
		t.Run(x.name, func(t *testing.T) {
			began := time.Now()
			sum := sweepSeeds(t, max(x.n, 1), always(x.s), true)
			sum.report(t, x.name, began)
			for _, point := range reconcile.Points() {
				if strings.HasSuffix(point, "-poweroff") || strings.HasSuffix(point, "-extend") && x.s.ttl == 0 {
					continue
				}
				if x.n >= 50 && sum.died[cell{"", point}] == 0 {
					t.Errorf("no controller died at %s", point)
				}
			}
		})
	}
}

// TestHarnessNotices: the same worlds with a rule broken leak or pay twice, so the silence of the others means something.
func TestHarnessNotices(t *testing.T) {
	caps := func(edit func(*providers.Capabilities)) *providers.Capabilities {
		c := providers.Capabilities{
			Idempotency: providers.IdempotencyToken, VisibilityLag: lag, RequestLateness: lateness + 3*time.Second, Tags: true, Stop: true, Shell: true,
			PollInterval: 2 * time.Second,
		}
		edit(&c)
		return &c
	}
	byToken := func(in *statev1.Intent, i providers.Instance) bool {
		return in.GetPhase() != statev1.IntentPhase_INTENT_RELEASED && in.GetToken() == i.Token
	}
	n := min(max(seeds(t, 300)/25, 12), 30)
	for _, x := range []struct {
		name        string
		s           scenario
		leaks, dups bool // what must be noticed
	}{
		{"forgets on the first empty look, no sweep", scenario{
			idempotency: providers.IdempotencyToken, noSweep: true,
			claim: caps(func(c *providers.Capabilities) { c.VisibilityLag, c.RequestLateness = 0, 0 }),
		}, true, true},
		{"cloud forgets tokens and says it does not, sweep by token only", scenario{
			idempotency: providers.IdempotencyNone, owns: byToken, claim: caps(func(*providers.Capabilities) {}),
		}, true, true},
		{"cloud forgets tokens and says it does not", scenario{
			idempotency: providers.IdempotencyNone, claim: caps(func(*providers.Capabilities) {}),
		}, false, true},
		{"all rules, no sweep", scenario{idempotency: providers.IdempotencyToken, noSweep: true}, false, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			began, n := time.Now(), n
			if x.s.noSweep && x.leaks {
				n = max(n/3, 4) // it makes ten times as many machines
			}
			sum := sweepSeeds(t, n, always(x.s), false)
			sum.report(t, x.name, began)
			if leaks := sum.leaks.Load() > 0; leaks != x.leaks {
				t.Errorf("leaks noticed: %v, want %v", leaks, x.leaks)
			}
			if dups := sum.dups.Load() > 0; dups != x.dups {
				t.Errorf("duplicates noticed: %v, want %v", dups, x.dups)
			}
		})
	}
}
