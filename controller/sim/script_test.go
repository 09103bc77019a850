package sim_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"aloft/controller/api"
	"aloft/controller/catalog"
	"aloft/controller/state"
	"aloft/controller/store"
	"aloft/controller/store/boltstore"
	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

// cell is a recorded step while a verb is carried out.
type cell struct{ verb, point string }

// target is where the controller of a run ends: the nth time that a step is passed under a verb.
type target struct {
	cell
	nth     int
	forever bool // no controller comes back: leases alone end what there is
	asleep  bool // it does not die: the machine it runs on sleeps for two hours
}

// extends reports whether the controller is to die while it moves a deadline.
func (t *target) extends() bool { return t != nil && strings.HasSuffix(t.point, "-extend") }

// powersOff reports whether the death is to come while a place is told what a shutdown from within does.
func (t *target) powersOff() bool { return t != nil && strings.HasSuffix(t.point, "-poweroff") }

// entropy is a seeded source of bytes.
type entropy struct{ *rand.ChaCha8 }

// Read never fails.
func (e entropy) Read(p []byte) (int, error) { return e.ChaCha8.Read(p) }

// server is the API of one life of the controller.
func (w *world) server(c *controller, life int) *api.Server {
	var seed [32]byte
	copy(seed[:], fmt.Sprintf("%d/%d", w.seed, life))
	return api.New(api.Options{
		Store: c.gate, Providers: w.clouds, Placer: w, Kick: c.loop.Kick, Entropy: entropy{rand.NewChaCha8(seed)},
		Logger: slog.New(slog.DiscardHandler), Busy: func() {},
	}, 1)
}

// Place gives every candidate there is.
func (w *world) Place(context.Context, *statev1.TaskSpec) (*catalog.Placement, error) {
	return &catalog.Placement{Candidates: w.candidates()}, nil
}

// patient calls the API as a client does that does not give up: a controller that is dead or dies meanwhile is called
// again, and so is, sometimes, one whose answer got lost. It reports the refusal.
func (w *world) patient(fn func(ctx context.Context, s *api.Server) error) error {
	for {
		w.mu.Lock()
		c, gone := w.ctl, w.forever
		w.mu.Unlock()
		if gone {
			return io.EOF
		}
		if c == nil {
			time.Sleep(time.Duration(1 + w.rng.Int64N(int64(10*time.Second))))
			continue
		}
		err := fn(context.Background(), c.api)
		time.Sleep(time.Microsecond) // let the event be worked on
		if c.gate.dead.Load() || w.rng.IntN(5) == 0 {
			time.Sleep(time.Duration(1 + w.rng.Int64N(int64(5*time.Second))))
			continue
		}
		return err
	}
}

// launch asks for a cluster; repeated calls are one request.
func (w *world) launch(name string, nodes int32, retry bool, stop *statev1.Autostop) (string, error) {
	w.request++
	r := &controlv1.LaunchRequest{
		RequestId: fmt.Sprintf("%d/%d", w.seed, w.request), User: "user", ClusterName: name, HasRun: true, RetryUntilUp: retry, Autostop: stop,
		Task: &statev1.TaskSpec{NumNodes: nodes, Run: "true", Setup: "true"},
	}
	var got string
	err := w.patient(func(ctx context.Context, s *api.Server) error {
		out, err := s.Launch(ctx, r)
		if err != nil {
			return err
		}
		if got != "" && got != out.GetClusterName() {
			w.t.Errorf("seed %d: request %s made %s, then %s", w.seed, r.GetRequestId(), got, out.GetClusterName())
		}
		got = out.GetClusterName()
		return nil
	})
	return got, err
}

// ask applies a verb to a cluster; a refusal is fine.
func (w *world) ask(name string, verb func(s *api.Server, ctx context.Context, r *controlv1.ClustersRequest) (*controlv1.ClustersResponse, error)) {
	_ = w.patient(func(ctx context.Context, s *api.Server) error {
		_, err := verb(s, ctx, &controlv1.ClustersRequest{Names: []string{name}, User: "user"})
		return err
	})
}

// enter begins the time of a verb.
func (w *world) enter(verb string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.forever {
		w.verb = verb
	}
}

// gone reports whether there will be no controller any more.
func (w *world) gone() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.forever
}

// until lets the world go on until the cluster is where it is wanted, or limit is over.
func (w *world) until(limit time.Duration) {
	for end := time.Now().Add(limit); time.Now().Before(end) && !w.gone() && !w.settled(); {
		w.tick(20 * time.Second)
	}
}

// tick lets some time pass.
func (w *world) tick(most time.Duration) {
	time.Sleep(time.Duration(1 + w.rng.Int64N(int64(most))))
	w.renew()
	for _, p := range w.clouds {
		p.expire()
	}
	w.agents()
}

// renew tells machines with a session of their lease, as the fleet does.
func (w *world) renew() {
	w.mu.Lock()
	g := w.gate
	w.mu.Unlock()
	if g == nil {
		return
	}
	_ = g.View(context.Background(), func(tx store.Tx) error {
		for _, n := range store.List[statev1.Node](tx, store.Node, store.ByPhase, statev1.NodePhase_NODE_READY.String()) {
			in, err := tx.Intent(n.GetId(), n.GetAttempt())
			if err == nil && n.GetSession() && w.runs(n.GetInstanceId()) {
				w.clouds.find(n.GetCandidate().GetProvider()).renew(n.GetInstanceId(), in.GetToken(), time.UnixMilli(n.GetDeadlineMs()))
			}
		}
		return nil
	})
}

// settled reports whether everything is as wanted.
func (w *world) settled() bool {
	w.mu.Lock()
	g := w.gate
	w.mu.Unlock()
	if g == nil {
		return false
	}
	ok := true
	lives := w.clouds.lives()
	err := g.View(context.Background(), func(tx store.Tx) error {
		for _, c := range store.OpenClusters(tx) {
			ok = ok && len(w.stuck(c, store.NodesOf(tx, c.GetId()), lives)) == 0
		}
		ok = ok && len(store.OpenJobs(tx)) == 0
		return nil
	})
	return ok && err == nil
}

// script is a campaign's run: one cluster from its launch to its end.
func (w *world) script() {
	r := w.rng
	patience := func(limit time.Duration) time.Duration {
		if r.IntN(4) == 0 {
			return time.Duration(r.Int64N(int64(4 * time.Minute))) // the next verb comes in the middle of this one
		}
		return limit
	}
	first := "launch"
	if w.s.failover {
		first = "failover"
	}
	w.enter(first)
	name := []string{"c", ""}[r.IntN(2)]
	var stop *statev1.Autostop
	if r.IntN(4) == 0 {
		stop = &statev1.Autostop{Enabled: true, IdleMinutes: 5, Down: r.IntN(2) == 0}
	}
	if w.s.target.powersOff() {
		stop = &statev1.Autostop{Enabled: true, IdleMinutes: 5}
	}
	name, err := w.launch(name, int32(1+r.IntN(3)), r.IntN(3) == 0, stop)
	if err != nil && !errors.Is(err, io.EOF) {
		w.t.Errorf("seed %d: launch: %v", w.seed, err)
	}
	w.until(patience(90 * time.Minute))
	w.enter("up")
	hold := time.Duration(r.Int64N(int64(25 * time.Minute)))
	if w.s.target.extends() {
		hold = w.s.ttl
	}
	for end := time.Now().Add(hold); time.Now().Before(end) && !w.gone(); {
		w.tick(time.Minute)
		if stop != nil {
			w.autostop(name)
		}
	}
	w.enter("stop")
	w.ask(name, (*api.Server).Stop)
	w.until(patience(time.Hour))
	if t := w.s.target; t != nil && t.verb == "start" && slices.Contains(repairs(), t.point) {
		w.take() // a start that has to make a machine anew
	}
	w.enter("start")
	w.ask(name, func(s *api.Server, ctx context.Context, r *controlv1.ClustersRequest) (*controlv1.ClustersResponse, error) {
		return s.Start(ctx, &controlv1.StartRequest{Clusters: r})
	})
	w.until(patience(time.Hour))
	w.enter("down")
	w.ask(name, (*api.Server).Down)
	w.until(patience(time.Hour))
	w.quiet()
	if !w.gone() {
		w.until(4 * time.Hour) // longer than any jump of the clock
		w.tick(time.Minute)
		return
	}
	most := w.s.ttl + w.jumped + lateness + bootGrace + 5*time.Minute
	for end := time.Now().Add(most); time.Now().Before(end); {
		w.tick(time.Minute)
	}
	for _, l := range w.clouds.lives() {
		if l.Ended.IsZero() && l.State != providers.InstanceStopped {
			w.overdue = append(w.overdue, fmt.Sprintf("%s runs %s after the last controller died, its lease is %s", l.ID, most, w.s.ttl))
		}
	}
}

// repairs are the points of a start that only machines made anew pass.
func repairs() []string {
	return []string{"before-intent", "after-intent", "before-create", "after-create", "before-bind", "after-bind"}
}

// take ends a machine, as its place would, and lets that be noticed.
func (w *world) take() {
	for _, p := range w.clouds {
		for _, l := range p.cloud.Lives() {
			if l.Ended.IsZero() {
				p.cloud.Preempt(l.ID)
				for end := time.Now().Add(15 * time.Minute); time.Now().Before(end) && !w.gone(); {
					w.tick(time.Minute)
				}
				return
			}
		}
	}
}

// autostop is what agents do once their cluster is idle: they say so, and power off.
func (w *world) autostop(name string) {
	type machine struct{ cloud, id string }
	var machines []machine
	w.act(func(tx store.Tx) error {
		machines = nil
		c, err := store.FindCluster(tx, "", name)
		if err != nil || c.GetAutostoppingMs() > 0 || len(store.OpenJobs(tx)) > 0 || c.GetDesired() != statev1.ClusterDesired_CLUSTER_DESIRED_UP {
			return nil
		}
		nodes := store.NodesOf(tx, c.GetId())
		if state.ClusterStatus(c, nodes) != state.ClusterUp {
			return nil
		}
		for _, n := range nodes {
			if n.GetSession() {
				machines = append(machines, machine{n.GetCandidate().GetProvider(), n.GetInstanceId()})
			}
		}
		c.AutostoppingMs = time.Now().UnixMilli()
		tx.Emit(&statev1.Event{Kind: "cluster", Id: c.GetId(), ClusterId: c.GetId(), Actor: "fleet", Reason: "autostopping", AtMs: time.Now().UnixMilli()})
		return tx.Put(store.Cluster, c.GetId(), c)
	})
	for _, m := range machines {
		time.Sleep(time.Duration(1 + w.rng.Int64N(int64(10*time.Second))))
		if p := w.clouds.find(m.cloud); p != nil {
			p.shutdown(m.id)
		}
	}
}

// jump moves every time on record, as if the clock had been put right while no controller lived.
func (w *world) jump(st *boltstore.Store, by time.Duration) error {
	_, err := st.Update(context.Background(), func(tx store.Tx) error {
		for _, c := range store.OpenClusters(tx) {
			for _, n := range store.NodesOf(tx, c.GetId()) {
				shift(n.ProtoReflect(), by)
				if err := tx.Put(store.Node, n.GetId(), n); err != nil {
					return err
				}
				for _, in := range tx.Intents(n.GetId()) {
					shift(in.ProtoReflect(), by)
					if err := tx.PutIntent(in); err != nil {
						return err
					}
				}
			}
			shift(c.ProtoReflect(), by)
			if err := tx.Put(store.Cluster, c.GetId(), c); err != nil {
				return err
			}
			if err := tx.Schedule(store.Key{Kind: store.Cluster, ID: c.GetId()}, time.Now().Add(by)); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// shift moves the instants of a record: its fields *_ms that are not durations.
func shift(m protoreflect.Message, by time.Duration) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		name := string(f.Name())
		switch {
		case f.Kind() == protoreflect.Int64Kind && !f.IsList() && len(name) > 3 && name[len(name)-3:] == "_ms" && name != "idle_ms" && name != "max_duration_ms":
			if v.Int() > 0 {
				m.Set(f, protoreflect.ValueOfInt64(v.Int()+by.Milliseconds()))
			}
		case f.Kind() == protoreflect.MessageKind && !f.IsList() && !f.IsMap():
			shift(m.Mutable(f).Message(), by)
		}
		return true
	})
}
