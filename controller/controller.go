// Package controller is the daemon: it opens the store, wires the parts, serves the API on a unix socket and runs the
// reconciler. It holds no logic of its own.
package controller

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"aloft/controller/access"
	"aloft/controller/api"
	"aloft/controller/blobs"
	"aloft/controller/catalog"
	"aloft/controller/catalog/shelf"
	"aloft/controller/config"
	"aloft/controller/fleet"
	"aloft/controller/logs"
	"aloft/controller/plan"
	"aloft/controller/reconcile"
	"aloft/controller/seal"
	"aloft/controller/series"
	"aloft/controller/ship"
	"aloft/controller/socket"
	"aloft/controller/store"
	"aloft/controller/store/boltstore"
	"aloft/controller/sweep"
	"aloft/providers"
)

// ErrRunning is returned by Run when another controller has the home.
var ErrRunning = errors.New("another controller runs for this home")

// idleExit is how long a controller without clusters and callers stays.
const idleExit = 30 * time.Minute

// Options say what to run.
type Options struct {
	Home            string
	Version, Commit string
	// LogTo takes the daemon's own log.
	LogTo     io.Writer
	Payload   *ship.Payload
	Providers map[string]providers.Factory
	Getenv    func(string) (string, bool)
	// Ready is called once the API answers.
	Ready func()
	// CrashAt names a point of reconcile.Points at which the process kills itself, for tests of recovery: "after-create",
	// or "after-create:3" for the third time.
	CrashAt string
}

// Run is the daemon's life. It returns when ctx ends or the API is asked to stop; agents and jobs go on without it.
func Run(ctx context.Context, o Options) error {
	log := slog.New(slog.NewTextHandler(o.LogTo, nil))
	if err := os.MkdirAll(o.Home, 0o700); err != nil {
		return fmt.Errorf("make the home: %w", err)
	}
	lock, err := lockHome(o.Home)
	if err != nil {
		return err
	}
	defer lock.Close()
	conf, err := config.Load(filepath.Join(o.Home, "config.yaml"), o.Providers)
	if err != nil {
		return err
	}
	now := time.Now()
	me, lost, err := who(o.Home, now)
	if err != nil {
		return err
	}
	if me.installation == "" {
		if me, err = newKin(o.Home, now); err != nil {
			return err
		}
	}
	if lost {
		log.Warn("the store is gone; a new one is made for the same installation: sky gc --adopt rebuilds what its machines tell", "installation", me.installation)
	}
	// A store that is made now begins its epochs with the time: agents refuse those lower than what they have seen.
	st, err := boltstore.Open(filepath.Join(o.Home, "state.db"), boltstore.Options{Installation: me.installation, FirstEpoch: uint64(now.Unix()), Logger: log})
	if err != nil {
		return err
	}
	defer func() {
		if err := st.Close(); err != nil {
			log.Error("close the store", "err", err)
		}
	}()
	if err := st.View(ctx, func(tx store.Tx) error { me.installation = tx.Installation(); return nil }); err != nil {
		return fmt.Errorf("read the installation: %w", err)
	}
	if err := me.write(o.Home); err != nil {
		return err
	}
	d := &daemon{o: o, me: me, log: log, store: st, reg: newRegistry(o.Home, o.Providers, conf, o.Getenv)}
	return d.run(ctx)
}

// lockHome makes this process the only controller of a home. The lock ends with the process.
func lockHome(home string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(home, "controller.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the home: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		pid := make([]byte, 32)
		n, _ := f.ReadAt(pid, 0)
		f.Close()
		return nil, fmt.Errorf("%w: %s (pid %s)", ErrRunning, home, strings.TrimSpace(string(pid[:n])))
	}
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock the home: %w", err)
		}
	}
	return f, nil
}

type daemon struct {
	o     Options
	me    identity
	log   *slog.Logger
	store *boltstore.Store
	reg   *registry
	heap  heap
}

func (d *daemon) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	o := d.o
	d.heap.busy() // and at rest soon
	logStore, err := logs.Open(filepath.Join(o.Home, "logs"), logs.Options{Logger: d.log, Busy: d.heap.busy})
	if err != nil {
		return err
	}
	defer logStore.Close()
	blobStore, err := blobs.Open(filepath.Join(o.Home, "blobs"))
	if err != nil {
		return err
	}
	var installation string
	var epoch uint64
	hasData := false
	if err := d.store.View(ctx, func(tx store.Tx) error {
		installation, epoch = tx.Installation(), tx.WriterEpoch()
		hasData = len(store.Clusters(tx)) > 0
		return nil
	}); err != nil {
		return err
	}
	sealer, err := seal.Open(o.Home, hasData)
	if err != nil {
		return err
	}
	kin, err := kinOf(sealer)
	if err != nil {
		return err
	}
	fl := fleet.New(fleet.Options{Store: d.store, Logs: logStore, Blobs: blobStore, Seal: sealer, Epoch: epoch, Installation: installation, Shared: kin != "",
		Logger: d.log, Agent: func(goos, goarch string) (fleet.Agent, error) {
			a, err := o.Payload.Agent(goos, goarch)
			return fleet.Agent{Path: a.Path, SHA256: a.SHA256, Version: o.Version}, err
		}})
	shipper := ship.New(o.Payload, d.log)
	loop := reconcile.New(reconcile.Options{Store: d.store, Providers: d.reg, Shipper: shipper, Connector: fl, Dial: shipper.Dial, Keys: nodeKeys(sealer, d.log),
		Policy: plan.Policy{}, Crash: crasher(o.CrashAt), Log: d.log})
	sweeper := sweep.New(sweep.Options{Store: d.store, Providers: d.reg, Made: d.me.made, Kin: kin, Log: d.log})
	swept := make(chan struct{})
	var once sync.Once
	srv := api.New(api.Options{Store: d.store, Logs: logStore, Series: series.New(logStore), Blobs: blobStore, Sealer: sealer, Providers: d.reg, Placer: catalog.New(d.reg, shelf.Home(o.Home)),
		Sweeper: sweeper, Kick: loop.Kick, Refresh: loop.Refresh, Stop: stop, Logger: d.log, Entropy: rand.Reader,
		Version: o.Version, Commit: o.Commit, Home: o.Home, Socket: "", Sessions: fl.Sessions, Busy: d.heap.busy,
		Ready: func() bool {
			select {
			case <-swept:
				return true
			default:
				return false
			}
		}}, os.Getpid())
	lis, err := listen(o.Home)
	if err != nil {
		return err
	}
	srv.SetSocket(lis.Addr().String())
	g := srv.GRPC(d.log)
	d.log.Info("controller started", "pid", os.Getpid(), "version", o.Version, "home", o.Home, "installation", installation, "epoch", epoch)
	eg, ctx := errgroup.WithContext(ctx)
	eg.Go(func() error { return ignoreEnd(loop.Run(ctx)) })
	eg.Go(func() error {
		ready := make(chan struct{}, 1)
		go func() {
			select {
			case <-ready:
				once.Do(func() { close(swept) })
			case <-ctx.Done():
			}
		}()
		return ignoreEnd(sweeper.Run(ctx, ready))
	})
	eg.Go(func() error {
		return ignoreEnd(access.New(access.Options{Store: d.store, Providers: d.reg, Keys: nodeKeys(sealer, d.log), Home: o.Home, Log: d.log}).Run(ctx))
	})
	eg.Go(func() error { return g.Serve(lis) })
	eg.Go(func() error { return d.exitWhenIdle(ctx, srv, stop) })
	eg.Go(func() error {
		<-ctx.Done()
		srv.Drain(g)
		fl.Close()
		return nil
	})
	select {
	case <-loop.Recovered():
	case <-ctx.Done():
	}
	if o.Ready != nil && ctx.Err() == nil {
		o.Ready()
	}
	err = eg.Wait()
	d.log.Info("controller ended", "err", err)
	return err
}

// ignoreEnd drops the error that only says that we are stopping.
func ignoreEnd(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// listen takes the home's socket; only its user may call.
func listen(home string) (net.Listener, error) {
	path, err := socket.Path(home)
	if err != nil {
		return nil, err
	}
	// The home's lock is ours: a socket file that lies here is a dead controller's.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the stale socket: %w", err)
	}
	old := syscall.Umask(0o177)
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return l, nil
}

// exitWhenIdle ends a controller that has had neither clusters nor callers for a while: the next command starts one.
func (d *daemon) exitWhenIdle(ctx context.Context, srv *api.Server, stop func()) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if srv.Idle() < idleExit {
			continue
		}
		live := false
		if err := d.store.View(ctx, func(tx store.Tx) error {
			for _, c := range store.Clusters(tx) {
				live = live || c.GetEndedMs() == 0 && c.GetTakenMs() == 0
			}
			return nil
		}); err != nil {
			return ignoreEnd(err)
		}
		if !live {
			d.log.Info("nothing lives and nobody calls: ending")
			stop()
			return nil
		}
	}
}

// crasher kills this process at a named point, as power loss would: nothing after it runs.
func crasher(at string) func(string) {
	if at == "" {
		return nil
	}
	point, times, _ := strings.Cut(at, ":")
	left, err := strconv.Atoi(times)
	if err != nil {
		left = 1
	}
	var mu sync.Mutex
	return func(p string) {
		mu.Lock()
		defer mu.Unlock()
		if p != point {
			return
		}
		if left--; left == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal ends us before anything else is done
		}
	}
}
