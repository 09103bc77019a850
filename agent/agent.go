// Package agent is the process that runs on every node: it takes assignments from a controller, when one is there, runs
// them, and keeps their outcome until it is safe elsewhere.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"aloft/agent/gang"
	"aloft/agent/link"
	"aloft/agent/machine"
	"aloft/agent/mounts"
	"aloft/agent/shim"
	"aloft/agent/supervise"
	agentv1 "aloft/proto/sky/agent/v1"
)

// Options say where an agent lives. Zero fields have the defaults named.
type Options struct {
	StateDir string // ~/.aloft/agent
	Home     string // of the user whose jobs run here; the user's own
	Socket   string // <StateDir>/agent.sock
	Version  string
	Self     string // path of this binary; what the kernel says
	Logger   *slog.Logger
	// PowerOff ends the node; nil = the machine's own.
	PowerOff func(ctx context.Context, down bool) error
	// GangAddress is host:port to take other agents' calls on; "" = a free port on the address that peers use.
	GangAddress string
	// GangGrace is how long another node of a gang may be silent; 0 = 60 s.
	GangGrace time.Duration
	// NodeID is who the node is, when the one who started the agent knows.
	NodeID string
}

func (o *Options) fill() error {
	if o.Home == "" {
		h, err := os.UserHomeDir()
		if err != nil {
			return fmt.Errorf("find the home directory: %w", err)
		}
		o.Home = h
	}
	if o.StateDir == "" {
		o.StateDir = filepath.Join(o.Home, ".aloft", "agent")
	}
	abs, err := filepath.Abs(o.StateDir)
	if err != nil {
		return fmt.Errorf("find the state directory: %w", err)
	}
	o.StateDir = abs
	if o.Socket == "" {
		o.Socket = filepath.Join(o.StateDir, "agent.sock")
	}
	if o.Self == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find this binary: %w", err)
		}
		o.Self = self
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.GangAddress == "" && os.Getenv(machine.LocalNodeEnv) != "" {
		o.GangAddress = "127.0.0.1:0" // the other nodes are on this machine, too
	}
	if o.PowerOff == nil {
		o.PowerOff = machine.PowerOff
	}
	return nil
}

// agent is one running agent.
type agent struct {
	o       Options
	log     *slog.Logger
	boot    string
	facts   machine.Facts
	digest  string // of this binary
	keeper  *shim.Keeper
	procs   *processes
	sup     *supervise.Supervisor
	gang    *gang.Gang
	mounts  *mounts.Mounts
	memory  memory
	uploads *uploads

	mu      sync.Mutex
	session *link.Session
	ctx     context.Context
	follows sync.WaitGroup
	upgrade func() error // set when the agent is to replace itself
	cancel  context.CancelFunc
}

// Run is the life of an agent: it returns when ctx ends, when another agent has the state directory, or, instead of
// returning, becomes a newer version of itself. Processes of jobs outlive it.
func Run(ctx context.Context, o Options) error {
	if err := o.fill(); err != nil {
		return err
	}
	if err := os.MkdirAll(o.StateDir, 0o700); err != nil {
		return fmt.Errorf("make the state directory: %w", err)
	}
	lock, err := lockDir(o.StateDir)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if err := settle(ctx, &o); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a := &agent{o: o, log: o.Logger, ctx: ctx, cancel: cancel}
	err = a.run(ctx)
	if a.upgrade != nil {
		// The lock goes with the process image; whoever comes first is this agent again.
		return a.upgrade()
	}
	return err
}

func (a *agent) run(ctx context.Context) (err error) {
	if err := a.open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.keeper.Close()) }()
	l, err := link.Listen(a.o.StateDir, a.o.Socket)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	fail := make(chan error, 3)
	part := func(name string, run func(context.Context) error) {
		wg.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				fail <- fmt.Errorf("%s: %w", name, err)
				a.cancel()
			}
		})
	}
	part("supervisor", a.sup.Run)
	part("gang", a.gang.Run)
	part("mounts", a.mounts.Run)
	part("link", func(ctx context.Context) error { return link.Serve(ctx, l, a, a.log) })
	a.log.Info("agent is up", "version", a.o.Version, "socket", l.Addr().String())
	<-ctx.Done()
	wg.Wait()
	a.follows.Wait()
	select {
	case err := <-fail:
		return err
	default:
		return nil
	}
}

// open brings the parts up in the order in which they need one another.
func (a *agent) open(ctx context.Context) error {
	var err error
	if a.digest, err = fileDigest(a.o.Self); err != nil {
		return err
	}
	a.facts = machine.Read(ctx, a.o.StateDir)
	for _, p := range a.facts.Problems {
		a.log.Warn("facts of the node", "problem", p)
	}
	a.boot = machine.BootID()
	spoolDir := filepath.Join(a.o.StateDir, "spool")
	a.uploads = newUploads(spoolDir, a.log, a.memory.busy)
	a.memory.busy() // and rest soon
	a.keeper = shim.NewKeeper(filepath.Join(a.o.StateDir, "shims"), a.o.Self, shim.Options{Log: a.log})
	a.procs = &processes{keeper: a.keeper}
	left, err := a.keeper.Adopt(ctx)
	if err != nil {
		return fmt.Errorf("find the processes of the last life: %w", err)
	}
	vault, err := supervise.OpenVault(a.o.StateDir)
	if err != nil {
		return err
	}
	a.mounts, err = mounts.Open(mounts.Options{StateDir: a.o.StateDir, Home: a.o.Home, Log: a.log})
	if err != nil {
		return err
	}
	a.gang = gang.New(gang.Options{
		StateDir: a.o.StateDir, Address: a.o.GangAddress, Grace: a.o.GangGrace, Log: a.log,
		Release: func(ctx context.Context, key string, port int32) error { return a.sup.Released(ctx, key, port) },
		Off:     func(o *agentv1.NodeOrder) { a.sup.PowerOffNow(o) },
	})
	var gpus []int
	for _, g := range a.facts.GPUs {
		gpus = append(gpus, g.Index)
	}
	sessions := machine.SSHSessions
	if os.Getenv(machine.LocalNodeEnv) != "" {
		sessions = nil // whoever is logged in here is not on the node
	}
	a.sup, err = supervise.Open(supervise.Options{
		StateDir: a.o.StateDir, Home: a.o.Home, Self: a.o.Self, User: userName(), Log: a.log,
		CPUs: a.facts.CPUs, GPUs: gpus, SpoolDir: spoolDir,
		Processes: a.procs, Files: a.mounts, Gang: a.gang, Vault: vault,
		PowerOff: a.o.PowerOff, Renew: machine.Renew, LeaseLeft: machine.LeaseLeft, Announce: a.announce, Evidence: a.evidence, SSHSessions: sessions,
		Opened: a.opened, Measure: a.measure, Forgotten: a.uploads.forget,
	})
	if err != nil {
		return err
	}
	if err := a.identify(ctx); err != nil {
		return err
	}
	if err := a.gang.Listen(a.sup.Identity()); err != nil {
		return err
	}
	// The next life listens there again: the address is in other nodes' assignments.
	address := a.gang.Address()
	if err := a.sup.SetIdentity(ctx, func(id *agentv1.NodeIdentity) { id.GangAddress = address }); err != nil {
		return err
	}
	a.mounts.Keep(a.sup.Policy().GetKeepEvidence())
	a.uploads.adopt(a.sup)
	a.endOrphans(ctx, left)
	return nil
}

// endOrphans stops what runs here although no assignment wants it.
func (a *agent) endOrphans(ctx context.Context, left []*shim.Process) {
	known := make(map[string]bool)
	for as := range a.sup.Jobs() {
		known[supervise.Key(as.GetJobId(), as.GetAttempt())] = true
	}
	for _, p := range left {
		_, key := p.Stream()
		if known[supervise.Key(key.JobID, key.Attempt)] {
			continue
		}
		a.follows.Go(func() {
			if err := p.Stop(ctx, 0, 0); err != nil {
				a.log.Warn("stop a process that nobody wants", "id", p.ID(), "err", err)
			}
			if _, err := p.Wait(ctx); err == nil {
				_ = a.keeper.Forget(p.ID())
			}
		})
	}
}

// opened follows the log of a process.
func (a *agent) opened(k *agentv1.StreamKey, p supervise.Process) {
	sp, ok := p.(*shim.Process)
	if !ok {
		return
	}
	a.follows.Go(func() { a.uploads.follow(a.ctx, k, sp) })
}
