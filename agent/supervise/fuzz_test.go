package supervise_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"aloft/agent/shim"
	"aloft/agent/supervise"
	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

const fakeCPUs = 2

// world is what outlives the agent: the processes of jobs, and the disk.
type world struct {
	dir string

	mu     sync.Mutex
	procs  map[string]*fakeProcess
	starts map[string]int
	most   int // run processes at one time
}

type fakeProcess struct {
	w       *world
	id      string
	done    chan struct{}
	verdict shim.Verdict
}

func newWorld(dir string) *world {
	return &world{dir: dir, procs: map[string]*fakeProcess{}, starts: map[string]int{}}
}

func (p *fakeProcess) ID() string       { return p.id }
func (p *fakeProcess) PID() int         { return 1 }
func (p *fakeProcess) StartedMS() int64 { return 1 }
func (p *fakeProcess) Stop(context.Context, syscall.Signal, time.Duration) error {
	p.w.exit(p.id, 143, int(syscall.SIGTERM))
	return nil
}

func (p *fakeProcess) Wait(ctx context.Context) (shim.Verdict, error) {
	select {
	case <-p.done:
		return p.verdict, nil
	case <-ctx.Done():
		return shim.Verdict{}, ctx.Err()
	}
}

func (w *world) Start(_ context.Context, s shim.Spec) (supervise.Process, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.procs[s.ID]; p != nil {
		return p, nil
	}
	w.starts[s.ID]++
	p := &fakeProcess{w: w, id: s.ID, done: make(chan struct{})}
	w.procs[s.ID] = p
	w.most = max(w.most, len(w.runningLocked()))
	return p, nil
}

func (w *world) Known(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.procs[id] != nil
}

func (w *world) Forget(id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.procs[id]; p != nil {
		select {
		case <-p.done:
			delete(w.procs, id)
		default:
			return errors.New("it runs")
		}
	}
	return nil
}

func (w *world) runningLocked() []string {
	var out []string
	for id, p := range w.procs {
		select {
		case <-p.done:
		default:
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

func (w *world) running() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.runningLocked()
}

func (w *world) exit(id string, code, signal int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.procs[id]
	if p == nil {
		return
	}
	select {
	case <-p.done:
	default:
		p.verdict = shim.Verdict{ExitCode: code, Signal: signal, EndedMS: time.Now().UnixMilli()}
		close(p.done)
	}
}

// Files of the fake world: nothing to lay out, nothing to bring back.
func (w *world) Prefetch(*agentv1.Assignment) {}
func (w *world) Prepare(context.Context, *agentv1.Assignment, string, map[string]string) (string, error) {
	return w.dir, nil
}
func (w *world) Collect(context.Context, supervise.Collection) ([]*statev1.StoredFile, error) {
	return nil, nil
}

type fakeFiles struct{ *world }

func (f fakeFiles) Forget(*agentv1.Assignment, string) {}

type noGang struct{}

func (noGang) Enter(*agentv1.Assignment, int32, func(*agentv1.StopCause)) supervise.Part { return nil }
func (noGang) Cluster(*agentv1.NodePolicy)                                               {}
func (noGang) Report(r *agentv1.NodeReport) *agentv1.NodeReport                          { return r }
func (noGang) Off(*agentv1.NodeOrder)                                                    {}

// life is one life of the agent.
type life struct {
	sup    *supervise.Supervisor
	cancel context.CancelFunc
	done   chan error
}

func (w *world) live(t rapid.TB, vault *supervise.Vault) *life {
	sup, err := supervise.Open(supervise.Options{
		StateDir: w.dir, Home: w.dir, Log: slog.New(slog.DiscardHandler), CPUs: fakeCPUs, SpoolDir: w.dir,
		Processes: w, Files: fakeFiles{w}, Gang: noGang{}, Vault: vault,
		PowerOff: func(context.Context, bool) error { return nil }, Announce: func(*agentv1.Autostopping) {},
		Opened: func(*agentv1.StreamKey, supervise.Process) {}, Forgotten: func(string, int32, bool) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &life{sup: sup, cancel: cancel, done: make(chan error, 1)}
	go func() { l.done <- sup.Run(ctx) }()
	return l
}

func (l *life) end(t rapid.TB) {
	l.cancel()
	if err := <-l.done; err != nil {
		t.Fatal(err)
	}
}

// book is what a controller writes down of the statuses it gets.
type book struct {
	next     uint64
	phase    map[string]statev1.RankPhase
	verdicts map[string]int
	seen     map[uint64]*agentv1.Status
}

// drain takes statuses until there are no more.
func (b *book) drain(t rapid.TB, sup *supervise.Supervisor, from uint64) {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
		sts, err := sup.Statuses(ctx, from)
		cancel()
		if err != nil {
			return
		}
		for _, st := range sts {
			if st.GetSeq() != from+1 && from >= b.next {
				t.Fatalf("status %d follows %d", st.GetSeq(), from)
			}
			from = st.GetSeq()
			b.take(t, st)
		}
	}
}

func (b *book) take(t rapid.TB, st *agentv1.Status) {
	if old := b.seen[st.GetSeq()]; old != nil {
		if !proto.Equal(old, st) {
			t.Fatalf("status %d was %v and is %v", st.GetSeq(), old, st)
		}
		return
	}
	b.seen[st.GetSeq()] = st
	b.next = max(b.next, st.GetSeq())
	id := st.GetJobId()
	if st.GetPhase() < b.phase[id] {
		t.Fatalf("job %s went from %s back to %s", id, b.phase[id], st.GetPhase())
	}
	b.phase[id] = st.GetPhase()
	if st.GetPhase() >= statev1.RankPhase_RANK_EXITED {
		if b.verdicts[id]++; b.verdicts[id] > 1 {
			t.Fatalf("job %s has a second verdict: %v", id, st)
		}
	}
}

// Assignments, acknowledgements and forgetting come in any order, twice or not at all, processes end when they like, and
// the agent is restarted in between. Whatever happens: sequence numbers have no holes, phases only grow, every job has
// one verdict, nothing is started twice, and the queue never takes more than there is.
func TestAnyOrderOfFrames(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp("", "aloft-supervise-")
		if err != nil {
			rt.Fatal(err)
		}
		vault, err := supervise.OpenVault(dir)
		if err != nil {
			rt.Fatal(err)
		}
		w := newWorld(dir)
		l := w.live(rt, vault)
		defer func() {
			l.end(rt)
			_ = vault.Destroy()
			_ = os.RemoveAll(dir)
		}()
		b := &book{phase: map[string]statev1.RankPhase{}, verdicts: map[string]int{}, seen: map[uint64]*agentv1.Status{}}
		wanted := map[string]*agentv1.Assignment{} // what the controller knows it wants, and has not forgotten
		accepted := map[string]bool{}
		applied, sets, acked := "", 0, uint64(0)
		apply := func(set *agentv1.AssignmentSet) {
			got, ok, err := l.sup.Apply(context.Background(), set)
			if err != nil {
				rt.Fatal(err)
			}
			fits := set.GetFull() || set.GetAppliesTo() == applied
			if ok != fits {
				rt.Fatalf("set on %q taken %v, here is %q", set.GetAppliesTo(), ok, applied)
			}
			if ok {
				applied = got
				for _, a := range set.GetItems() {
					accepted[a.GetJobId()] = true
				}
			}
		}
		newSet := func(full bool, items ...*agentv1.Assignment) *agentv1.AssignmentSet {
			sets++
			return &agentv1.AssignmentSet{SetId: fmt.Sprint(sets), Full: full, AppliesTo: applied, Items: items}
		}
		all := func() []*agentv1.Assignment {
			var out []*agentv1.Assignment
			for _, id := range slices.Sorted(maps.Keys(wanted)) {
				if wanted[id] != nil {
					out = append(out, wanted[id])
				}
			}
			return out
		}
		var last *agentv1.AssignmentSet
		rt.Repeat(map[string]func(*rapid.T){
			"assign": func(rt *rapid.T) {
				n := len(wanted) + 1
				a := &agentv1.Assignment{JobId: fmt.Sprintf("j%03d", n), Number: uint32(n), Attempt: 1, NumRanks: 1,
					Secrets: map[string]string{"S": "value"}, Task: &statev1.TaskSpec{Run: "x", CpusPerRank: 1}}
				if rapid.Bool().Draw(rt, "setup") {
					a.WithSetup, a.Task.Setup = true, "y"
				}
				wanted[a.GetJobId()] = a
				last = newSet(false, a)
				if !rapid.Bool().Draw(rt, "lost") {
					apply(last)
				}
			},
			"again": func(rt *rapid.T) {
				if last != nil {
					apply(last)
				}
			},
			"full": func(*rapid.T) { apply(newSet(true, all()...)) },
			"stop": func(rt *rapid.T) {
				if len(wanted) == 0 {
					return
				}
				a := wanted[rapid.SampledFrom(slices.Sorted(maps.Keys(wanted))).Draw(rt, "job")]
				if a == nil {
					return
				}
				a.Stop, a.StopReason = true, "cancel"
				apply(newSet(false, a))
			},
			"exit": func(rt *rapid.T) {
				if ids := w.running(); len(ids) > 0 {
					w.exit(rapid.SampledFrom(ids).Draw(rt, "process"), rapid.IntRange(0, 1).Draw(rt, "code"), 0)
				}
			},
			"ack": func(rt *rapid.T) {
				b.drain(rt, l.sup, acked)
				acked = rapid.Uint64Range(acked, b.next).Draw(rt, "seq")
				l.sup.Ack(acked)
				l.sup.Ack(rapid.Uint64Range(0, acked).Draw(rt, "old"))
			},
			"forget": func(rt *rapid.T) {
				l.sup.Forget("unknown")
				for id, n := range b.verdicts {
					if n > 0 && wanted[id] != nil && accepted[id] {
						l.sup.Forget(id)
						delete(accepted, id)
						// The controller that forgets a job does not assign it again.
						wanted[id] = nil
						return
					}
				}
			},
			"restart": func(rt *rapid.T) {
				l.end(rt)
				l = w.live(rt, vault)
				if set, _ := l.sup.Applied(); set != applied {
					rt.Fatalf("after a restart the set is %q, not %q", set, applied)
				}
			},
			"": func(rt *rapid.T) {
				w.mu.Lock()
				defer w.mu.Unlock()
				for id, n := range w.starts {
					if n > 1 {
						rt.Fatalf("%s was started %d times", id, n)
					}
				}
				if w.most > fakeCPUs {
					rt.Fatalf("%d ran at one time", w.most)
				}
			},
		})
		// In the end everything that was accepted gets its verdict.
		for until := time.Now().Add(20 * time.Second); time.Now().Before(until); {
			for _, id := range w.running() {
				w.exit(id, 0, 0)
			}
			b.drain(rt, l.sup, acked)
			if left := openJobs(accepted, b); left == "" {
				return
			}
		}
		rt.Fatalf("no verdict for %s", openJobs(accepted, b))
	})
}

func openJobs(accepted map[string]bool, b *book) string {
	var out []string
	for id := range accepted {
		if b.verdicts[id] == 0 {
			out = append(out, id)
		}
	}
	return strings.Join(out, " ")
}
