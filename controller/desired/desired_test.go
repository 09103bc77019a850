package desired_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"aloft/controller/desired"
	"aloft/controller/state"
	"aloft/controller/store"
	"aloft/controller/store/boltstore"
	statev1 "aloft/proto/sky/state/v1"
)

const (
	up      = statev1.NodePhase_NODE_READY
	stopped = statev1.NodePhase_NODE_STOPPED
	gone    = statev1.NodePhase_NODE_GONE
)

var now = time.UnixMilli(1_790_000_000_000)

// bench is a store with one verb after another done to it.
type bench struct {
	*testing.T
	st *boltstore.Store
	n  int
}

func open(t *testing.T) *bench {
	t.Helper()
	st, err := boltstore.Open(filepath.Join(t.TempDir(), "state.db"), boltstore.Options{NoSync: true, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return &bench{T: t, st: st}
}

func (b *bench) update(fn func(tx store.Tx) error) error {
	_, err := b.st.Update(context.Background(), fn)
	return err
}

func (b *bench) spec() desired.LaunchSpec {
	b.n++
	return desired.LaunchSpec{
		Project: "p", ClusterName: "c", User: "me", Seed: string(rune('a' + b.n)), HasJob: true, WithSetup: true, Now: now.Add(time.Duration(b.n) * time.Second),
		Task:       &statev1.TaskSpec{Name: "t", NumNodes: 2, Run: "true", Resources: []*statev1.Resources{{Accelerator: "V100", AcceleratorCount: 2}}, GpusPerRank: 2},
		Candidates: []*statev1.Candidate{{Provider: "aws", Region: "us", Zone: "us-a", InstanceType: "p3", Accelerator: "V100", AcceleratorCount: 2}},
	}
}

func (b *bench) launch(edit func(*desired.LaunchSpec)) (desired.Result, error) {
	s := b.spec()
	if edit != nil {
		edit(&s)
	}
	var r desired.Result
	err := b.update(func(tx store.Tx) (err error) { r, err = desired.Launch(tx, s); return err })
	return r, err
}

func (b *bench) target() desired.Target {
	b.n++
	return desired.Target{Project: "p", Name: "c", User: "me", Now: now.Add(time.Duration(b.n) * time.Second)}
}

// turn puts every living node of the cluster into a phase, as the reconciler would.
func (b *bench) turn(p statev1.NodePhase) {
	b.Helper()
	if err := b.update(func(tx store.Tx) error {
		c, err := store.FindCluster(tx, "p", "c")
		if err != nil {
			return err
		}
		if p == up {
			c.UpMs = now.UnixMilli()
		}
		for _, n := range store.NodesOf(tx, c.GetId()) {
			if state.NodeEnded(n.GetPhase()) {
				continue
			}
			n.Phase, n.Session, n.InstanceId = p, p == up, "i-"+n.GetId()
			if err := tx.Put(store.Node, n.GetId(), n); err != nil {
				return err
			}
		}
		return tx.Put(store.Cluster, c.GetId(), c)
	}); err != nil {
		b.Fatal(err)
	}
}

// look reads the cluster with its nodes and jobs.
func (b *bench) look() (c *statev1.Cluster, ns []*statev1.Node, js []*statev1.Job) {
	b.Helper()
	if err := b.st.View(context.Background(), func(tx store.Tx) (err error) {
		if c, err = store.FindCluster(tx, "p", "c"); err != nil {
			return err
		}
		ns, js = store.NodesOf(tx, c.GetId()), store.JobsOf(tx, c.GetId(), 0)
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	return c, ns, js
}

// refused checks that err is a refusal with that code, and a hint.
func (b *bench) refused(err error, code string) {
	b.Helper()
	var e *desired.Error
	if !errors.As(err, &e) || e.Failure.GetCode() != code || e.Failure.GetMessage() == "" || e.Failure.GetHint() == "" {
		b.Errorf("got %v, want a refusal %q with a hint", err, code)
	}
}

func TestLaunchMakesACluster(t *testing.T) {
	t.Parallel()
	b := open(t)
	r, err := b.launch(func(s *desired.LaunchSpec) { s.Autostop = &statev1.Autostop{Enabled: true, IdleMinutes: 5} })
	if err != nil || !r.Created || r.Restarted || r.Job.GetNumber() != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	c, ns, js := b.look()
	if len(ns) != 2 || ns[0].GetPhase() != statev1.NodePhase_NODE_PLANNED || c.GetAutostop().GetSetMs() == 0 || len(js) != 1 {
		t.Fatalf("%v %v %v", c, ns, js)
	}
	if j := js[0]; j.GetTaskId() != "sky-2026-09-21-14-13-21-000000_c_1" || j.GetResourcesText() != "2x[V100:2]" || j.GetFailedRank() != -1 || !j.GetWithSetup() {
		t.Errorf("job %v", j)
	}
	if state.ClusterStatus(c, ns) != state.ClusterPending {
		t.Errorf("status %s", state.ClusterStatus(c, ns))
	}
	if err := b.st.View(t.Context(), func(tx store.Tx) error {
		if _, ok := tx.Scheduled(store.Key{Kind: store.Cluster, ID: c.GetId()}); !ok {
			t.Error("the cluster has no timer")
		}
		evs, err := tx.Events(0, store.Filter{ClusterID: c.GetId()}, 100)
		if len(evs) != 4 {
			t.Errorf("%d events", len(evs))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	_, err = b.launch(func(s *desired.LaunchSpec) { s.ClusterName, s.Candidates = "other", nil })
	b.refused(err, "no-candidate")
}

func TestLaunchOnWhatThereIs(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name     string
		before   func(b *bench)
		edit     func(*desired.LaunchSpec)
		code     string // of the refusal
		restart  bool
		repaired int
	}{
		{name: "still starting"},
		{name: "up", before: func(b *bench) { b.turn(up) }},
		{name: "smaller task", before: func(b *bench) { b.turn(up) }, edit: func(s *desired.LaunchSpec) {
			s.Task = &statev1.TaskSpec{NumNodes: 1, Resources: []*statev1.Resources{{Accelerator: "v100", AcceleratorCount: 1}}}
		}},
		{name: "one alternative fits", before: func(b *bench) { b.turn(up) }, edit: func(s *desired.LaunchSpec) {
			s.Task = &statev1.TaskSpec{Resources: []*statev1.Resources{{Accelerator: "H100"}, {Cloud: "AWS", Region: "us"}}}
		}},
		{name: "too many nodes", edit: func(s *desired.LaunchSpec) { s.Task.NumNodes = 3 }, code: "too-many-nodes"},
		{name: "more accelerators", edit: func(s *desired.LaunchSpec) { s.Task.Resources[0].AcceleratorCount = 4 }, code: "resources-mismatch"},
		{name: "another cloud", edit: func(s *desired.LaunchSpec) { s.Task.Resources[0].Cloud = "gcp" }, code: "resources-mismatch"},
		{name: "another zone", edit: func(s *desired.LaunchSpec) { s.Task.Resources[0].Zone = "us-b" }, code: "resources-mismatch"},
		{name: "spot", edit: func(s *desired.LaunchSpec) { s.Task.Resources[0].UseSpot = true }, code: "resources-mismatch"},
		{name: "stopped", restart: true, before: func(b *bench) {
			b.turn(up)
			if err := b.update(func(tx store.Tx) error { _, err := desired.Stop(tx, b.target()); return err }); err != nil {
				b.Fatal(err)
			}
			b.turn(stopped)
		}},
		{name: "a machine is missing", repaired: 1, before: func(b *bench) {
			b.turn(up)
			_, ns, _ := b.look()
			if err := b.update(func(tx store.Tx) error { ns[1].Phase = gone; return tx.Put(store.Node, ns[1].GetId(), ns[1]) }); err != nil {
				b.Fatal(err)
			}
		}},
		{name: "going down", code: "terminating", before: func(b *bench) {
			if err := b.update(func(tx store.Tx) error { _, err := desired.Down(tx, b.target(), false); return err }); err != nil {
				b.Fatal(err)
			}
		}},
		{name: "stopping itself", code: "autostopping", before: func(b *bench) {
			b.turn(up)
			c, _, _ := b.look()
			c.AutostoppingMs = 1
			if err := b.update(func(tx store.Tx) error { return tx.Put(store.Cluster, c.GetId(), c) }); err != nil {
				b.Fatal(err)
			}
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			b := open(t)
			if _, err := b.launch(nil); err != nil {
				t.Fatal(err)
			}
			if x.before != nil {
				x.before(b)
			}
			r, err := b.launch(x.edit)
			if x.code != "" {
				b.refused(err, x.code)
				return
			}
			if err != nil || r.Created || r.Restarted != x.restart || r.Repaired != x.repaired || r.Job.GetNumber() != 2 {
				t.Fatalf("%+v, %v", r, err)
			}
			c, ns, _ := b.look()
			wanted := 0
			for _, n := range ns {
				if !state.NodeEnded(n.GetPhase()) && n.GetDesired() == statev1.NodeDesired_NODE_DESIRED_UP {
					wanted++
				}
			}
			if wanted != 2 || c.GetDesired() != statev1.ClusterDesired_CLUSTER_DESIRED_UP || c.GetLastJob() != 2 {
				t.Errorf("%d machines wanted, cluster %v", wanted, c)
			}
		})
	}
}

func TestExec(t *testing.T) {
	t.Parallel()
	b := open(t)
	exec := func() (r desired.Result, err error) {
		s := b.spec()
		err = b.update(func(tx store.Tx) (err error) { r, err = desired.Exec(tx, s); return err })
		return r, err
	}
	_, err := exec()
	b.refused(err, "no-cluster")
	if _, err := b.launch(nil); err != nil {
		t.Fatal(err)
	}
	_, err = exec()
	b.refused(err, "not-up")
	b.turn(up)
	if r, err := exec(); err != nil || r.Job.GetWithSetup() || r.Job.GetNumber() != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	if err := b.update(func(tx store.Tx) error { _, err := desired.Stop(tx, b.target()); return err }); err != nil {
		t.Fatal(err)
	}
	b.turn(stopped)
	_, err = exec()
	b.refused(err, "stopped")
}

func TestLifecycle(t *testing.T) {
	t.Parallel()
	b := open(t)
	do := func(what string, verb func(tx store.Tx) (string, error), want string) {
		t.Helper()
		var note string
		if err := b.update(func(tx store.Tx) (err error) { note, err = verb(tx); return err }); err != nil || note != want {
			t.Fatalf("%s: %q, %v; want %q", what, note, err, want)
		}
	}
	stop := func(tx store.Tx) (string, error) { return desired.Stop(tx, b.target()) }
	begin := func(tx store.Tx) (string, error) { return desired.Start(tx, b.target(), desired.StartSpec{}) }
	down := func(tx store.Tx) (string, error) { return desired.Down(tx, b.target(), false) }
	b.refused(b.update(func(tx store.Tx) error { _, err := stop(tx); return err }), "no-cluster")
	if _, err := b.launch(nil); err != nil {
		t.Fatal(err)
	}
	b.turn(up)
	do("start", begin, "already up")
	do("autostop", func(tx store.Tx) (string, error) {
		return desired.SetAutostop(tx, b.target(), &statev1.Autostop{Enabled: true, IdleMinutes: 1, Down: true})
	}, "autodown set")
	do("stop", stop, "stopping")
	do("stop", stop, "already stopping")
	if _, _, js := b.look(); js[0].GetPhase() != statev1.JobPhase_JOB_CANCELLED || js[0].GetFailure().GetMessage() == "" {
		t.Errorf("the queued job of a stopped cluster: %v", js[0])
	}
	b.turn(stopped)
	do("stop", stop, "already stopped")
	b.refused(b.update(func(tx store.Tx) error {
		_, err := desired.SetAutostop(tx, b.target(), &statev1.Autostop{Enabled: true})
		return err
	}), "stopped")
	do("start", begin, "starting")
	c, _, _ := b.look()
	if c.GetAutostop().GetSetMs() <= now.UnixMilli() || c.GetLaunchedMs() <= now.UnixMilli() {
		t.Errorf("the idle timer did not start again: %v", c)
	}
	do("down", down, "terminating")
	do("down", down, "already terminating")
	do("purge", func(tx store.Tx) (string, error) { return desired.Down(tx, b.target(), true) }, "terminating")
	for _, verb := range []func(store.Tx) (string, error){stop, begin} {
		b.refused(b.update(func(tx store.Tx) error { _, err := verb(tx); return err }), "terminating")
	}
	if c, ns, _ := b.look(); !c.GetPurge() || slices.ContainsFunc(ns, func(n *statev1.Node) bool { return n.GetDesired() != statev1.NodeDesired_NODE_DESIRED_GONE }) {
		t.Errorf("%v %v", c, ns)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	b := open(t)
	for range 3 {
		if _, err := b.launch(nil); err != nil {
			t.Fatal(err)
		}
	}
	_, _, js := b.look()
	if err := b.update(func(tx store.Tx) error { // the oldest one runs
		js[2].Phase, js[2].Ranks = statev1.JobPhase_JOB_RUNNING, []*statev1.Rank{{Phase: statev1.RankPhase_RANK_RUNNING}}
		return tx.Put(store.Job, js[2].GetId(), js[2])
	}); err != nil {
		t.Fatal(err)
	}
	cancel := func(numbers []uint32, all bool) (got []uint32, err error) {
		err = b.update(func(tx store.Tx) (err error) {
			got, err = desired.Cancel(tx, desired.CancelSpec{Target: b.target(), Numbers: numbers, All: all})
			return err
		})
		return got, err
	}
	for _, x := range []struct {
		numbers []uint32
		all     bool
		want    []uint32
	}{{nil, false, []uint32{3}}, {nil, true, []uint32{1, 2}}, {[]uint32{1, 3}, false, nil}, {nil, false, nil}} {
		if got, err := cancel(x.numbers, x.all); err != nil || !slices.Equal(got, x.want) {
			t.Errorf("cancel %v %v: %v, %v; want %v", x.numbers, x.all, got, err, x.want)
		}
	}
	_, err := cancel([]uint32{7}, false)
	b.refused(err, "no-job")
	_, _, js = b.look()
	if js[2].GetPhase() != statev1.JobPhase_JOB_RUNNING || js[2].GetDesired() != "cancel" || js[1].GetPhase() != statev1.JobPhase_JOB_CANCELLED {
		t.Errorf("%v", js)
	}
}
