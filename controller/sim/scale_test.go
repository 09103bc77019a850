package sim_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"aloft/controller/api"
	"aloft/controller/catalog"
	"aloft/controller/plan"
	"aloft/controller/reconcile"
	"aloft/controller/state"
	"aloft/controller/store"
	"aloft/controller/store/boltstore"
	"aloft/controller/sweep"
	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
	"aloft/providers/fake"
)

// fleet is many machines whose agents answer at once.
type fleet struct {
	b     *testing.B
	cloud places
	path  string
	st    *boltstore.Store
	open  atomic.Int64 // sessions opened in this life of the controller
}

// Ship takes no time.
func (f *fleet) Ship(context.Context, *statev1.Cluster, *statev1.Node, providers.Shell) error {
	return nil
}

// Connect records the session, as the fleet does.
func (f *fleet) Connect(ctx context.Context, _ *statev1.Cluster, n *statev1.Node, _ func(context.Context) (net.Conn, error)) error {
	_, err := f.st.Update(ctx, func(tx store.Tx) error {
		n, err := store.GetNode(tx, n.GetId())
		if err != nil {
			return err
		}
		n.Session = true
		tx.Emit(&statev1.Event{Kind: "node", Id: n.GetId(), ClusterId: n.GetClusterId(), Actor: "fleet", Reason: "session opened", AtMs: time.Now().UnixMilli(), Name: n.GetName()})
		return tx.Put(store.Node, n.GetId(), n)
	})
	if err == nil {
		f.open.Add(1)
	}
	return err
}

// Place gives one place.
func (f *fleet) Place(context.Context, *statev1.TaskSpec) (*catalog.Placement, error) {
	o := fake.DefaultOffers()[0]
	return &catalog.Placement{Candidates: []*statev1.Candidate{{
		Provider: "fake", Region: o.Region, Zone: o.Zone, InstanceType: o.InstanceType, Cpus: o.CPUs, MemoryGb: o.MemoryGB, HourlyPrice: o.HourlyPrice,
	}}}, nil
}

// life runs one controller while do runs.
func (f *fleet) life(do func(l *reconcile.Loop, s *api.Server, sw *sweep.Sweeper)) {
	f.b.Helper()
	var err error
	if f.st, err = boltstore.Open(f.path, boltstore.Options{Installation: "scale"}); err != nil {
		f.b.Fatal(err)
	}
	f.open.Store(0)
	ctx, cancel := context.WithCancel(context.Background())
	l := reconcile.New(reconcile.Options{Store: f.st, Providers: f.cloud, Shipper: f, Connector: f, Policy: plan.Policy{Hold: time.Hour}})
	srv := api.New(api.Options{
		Store: f.st, Providers: f.cloud, Placer: f, Kick: l.Kick, Entropy: rand.Reader, Logger: slog.New(slog.DiscardHandler), Busy: func() {},
	}, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := l.Run(ctx); !errors.Is(err, context.Canceled) {
			f.b.Errorf("run: %v", err)
		}
	})
	do(l, srv, sweep.New(sweep.Options{Store: f.st, Providers: f.cloud}))
	cancel()
	wg.Wait()
	if err := f.st.Close(); err != nil {
		f.b.Fatal(err)
	}
}

// clusters counts the open clusters by status, and gives their ids.
func (f *fleet) clusters() (ids []string, byStatus map[string]int) {
	byStatus = map[string]int{}
	if err := f.st.View(context.Background(), func(tx store.Tx) error {
		for _, c := range store.OpenClusters(tx) {
			ids = append(ids, c.GetId())
			byStatus[state.ClusterStatus(c, store.NodesOf(tx, c.GetId()))]++
		}
		return nil
	}); err != nil {
		f.b.Fatal(err)
	}
	return ids, byStatus
}

// wait polls until ok, for the longest half an hour, and not at all once something went wrong.
func (f *fleet) wait(what string, ok func() bool) {
	f.b.Helper()
	for end := time.Now().Add(30 * time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if f.b.Failed() || time.Now().After(end) {
			f.b.Fatalf("waited too long: %s", what)
		}
	}
}

// BenchmarkScale holds many machines in one controller, on a real file: it launches them, restarts, opens all sessions
// again, looks at every machine and lists the place. Memory is that of the whole process, the cloud included.
func BenchmarkScale(b *testing.B) {
	for _, shape := range []struct{ clusters, nodes int }{{10000, 1}, {625, 16}, {10, 1000}} {
		b.Run(fmt.Sprintf("%dx%d", shape.clusters, shape.nodes), func(b *testing.B) {
			for b.Loop() {
				scale(b, shape.clusters, int32(shape.nodes))
			}
		})
	}
}

func scale(b *testing.B, clusters int, nodes int32) {
	s := scenario{}
	f := &fleet{b: b, path: filepath.Join(b.TempDir(), "state.db"), cloud: places{newPlace(&s, placeMoves, fake.Config{Name: "fake", Tokens: true})}}
	total := int64(clusters) * int64(nodes)
	timed := func(name string, do func()) {
		began, used := time.Now(), processor()
		do()
		b.ReportMetric(time.Since(began).Seconds(), "s-"+name)
		b.ReportMetric((processor() - used).Seconds(), "cpu-s-"+name)
	}
	f.life(func(_ *reconcile.Loop, srv *api.Server, _ *sweep.Sweeper) {
		timed("launch", func() {
			var wg sync.WaitGroup
			for w := range 64 {
				wg.Go(func() {
					for i := w; i < clusters; i += 64 {
						r := &controlv1.LaunchRequest{ClusterName: fmt.Sprintf("c%d", i), User: "u", HasRun: true, Task: &statev1.TaskSpec{NumNodes: nodes, Run: "true"}}
						if _, err := srv.Launch(context.Background(), r); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			if ids, _ := f.clusters(); len(ids) != clusters {
				b.Fatalf("%d clusters of %d are recorded", len(ids), clusters)
			}
			f.wait("all machines ready", func() bool { return f.open.Load() >= total })
			f.wait("all clusters up", func() bool { _, by := f.clusters(); return by[state.ClusterUp] == clusters })
		})
	})
	runtime.GC()
	timed("restart", func() {
		f.life(func(l *reconcile.Loop, srv *api.Server, sw *sweep.Sweeper) {
			timed("sessions", func() { f.wait("all sessions open", func() bool { return f.open.Load() >= total }) })
			timed("refresh", func() {
				ids, _ := f.clusters()
				if err := l.Refresh(context.Background(), ids); err != nil {
					b.Error(err)
				}
			})
			timed("sweep", func() {
				if r, err := sw.Sweep(context.Background(), true); err != nil || int64(r.Owned) != total {
					b.Errorf("sweep: %d owned, %v", r.Owned, err)
				}
			})
			timed("status", func() {
				r, err := srv.Clusters(context.Background(), &controlv1.ClustersQuery{})
				if err != nil || len(r.GetClusters()) != clusters {
					b.Errorf("status: %d clusters, %v", len(r.GetClusters()), err)
				}
			})
			b.ReportMetric(resident("VmRSS"), "MB-rss")
			b.ReportMetric(resident("VmHWM"), "MB-peak")
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "MB-heap")
		})
	})
}

// processor is the processor time that this process has taken.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident reads a figure of this process's memory, in MB; 0 where the system does not tell.
func resident(field string) float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024
		}
	}
	return 0
}
