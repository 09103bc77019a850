package fleet_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"aloft/controller/blobs"
	"aloft/controller/fleet"
	"aloft/controller/logs"
	"aloft/controller/store"
	"aloft/controller/store/boltstore"
	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// binary is the sky-agent under test, built once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "aloft-fleet-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "sky-agent")
	args := []string{"build", "-o", path, "aloft/cmd/sky-agent"}
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if os.Getenv("ALOFT_TEST_RACE_AGENT") != "" {
		cmd = exec.Command("go", slices.Insert(args, 1, "-race")...)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build sky-agent: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// plain is a Sealer for tests: what it seals cannot be read, but only just.
type plain struct{}

func (plain) Seal(b []byte) ([]byte, error) {
	out := slices.Clone(b)
	for i := range out {
		out[i] ^= 0x5a
	}
	return out, nil
}
func (p plain) Open(b []byte) ([]byte, error) { return p.Seal(b) }

// rig is a controller's half with real disks, and the nodes of one cluster.
type rig struct {
	t       testing.TB
	dir     string
	store   *boltstore.Store
	logs    *logs.Store
	blobs   *blobs.Store
	fleet   *fleet.Fleet
	epoch   uint64
	cluster *statev1.Cluster
	nodes   []*agentNode
	options func(*fleet.Options)
}

// agentNode is a node with a real agent.
type agentNode struct {
	r    *rig
	id   string
	slot int32
	home string
	args []string
	env  []string
	mu   sync.Mutex
	cmd  *exec.Cmd
	dial func(ctx context.Context) (net.Conn, error)
}

func newRig(t testing.TB, nodes int, change ...func(*rig)) *rig {
	t.Helper()
	if _, err := binary(); err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, dir: t.TempDir(), cluster: &statev1.Cluster{
		Id: "c1", Name: "test", Project: "default", Desired: statev1.ClusterDesired_CLUSTER_DESIRED_UP, NumNodes: int32(nodes),
	}}
	for i := range nodes {
		home := filepath.Join(r.dir, fmt.Sprintf("node%d", i), "home")
		if err := os.MkdirAll(home, 0o700); err != nil {
			t.Fatal(err)
		}
		r.nodes = append(r.nodes, &agentNode{r: r, id: fmt.Sprintf("n%d", i), slot: int32(i), home: home})
	}
	for _, c := range change {
		c(r)
	}
	r.open()
	r.update(func(tx store.Tx) error {
		if err := tx.Put(store.Cluster, r.cluster.Id, r.cluster); err != nil {
			return err
		}
		for _, n := range r.nodes {
			if err := tx.Put(store.Node, n.id, n.record()); err != nil {
				return err
			}
		}
		return nil
	})
	t.Cleanup(func() {
		r.close()
		for _, n := range r.nodes {
			n.stop()
			n.reap()
			n.forgetKey()
			if log := readFile(filepath.Join(n.home, "agent.log")); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic:") {
				t.Errorf("agent %s:\n%s", n.id, log)
			}
		}
	})
	return r
}

func (n *agentNode) record() *statev1.Node {
	return &statev1.Node{
		Id: n.id, ClusterId: "c1", Slot: n.slot, Attempt: 1, Desired: statev1.NodeDesired_NODE_DESIRED_UP,
		Phase: statev1.NodePhase_NODE_READY, Address: "127.0.0.1", Name: n.id,
	}
}

// open opens the controller's half, as after a start.
func (r *rig) open() {
	r.t.Helper()
	var err error
	if r.store, err = boltstore.Open(filepath.Join(r.dir, "state.db"), boltstore.Options{}); err != nil {
		r.t.Fatal(err)
	}
	if r.logs, err = logs.Open(filepath.Join(r.dir, "logs"), logs.Options{}); err != nil {
		r.t.Fatal(err)
	}
	if r.blobs, err = blobs.Open(filepath.Join(r.dir, "blobs")); err != nil {
		r.t.Fatal(err)
	}
	r.view(func(tx store.Tx) error { r.epoch = tx.WriterEpoch(); return nil })
	o := fleet.Options{
		Store: r.store, Logs: r.logs, Blobs: r.blobs, Seal: plain{}, Epoch: r.epoch, Installation: "test",
		Logger: r.logger("fleet"), Heartbeat: time.Second,
	}
	if r.options != nil {
		r.options(&o)
	}
	r.fleet = fleet.New(o)
}

func (r *rig) close() {
	if r.fleet == nil {
		return
	}
	for _, c := range []interface{ Close() error }{r.fleet, r.logs, r.store} {
		if err := c.Close(); err != nil {
			r.t.Errorf("close: %v", err)
		}
	}
	r.fleet = nil
}

func (r *rig) logger(name string) *slog.Logger {
	if !testing.Verbose() {
		return slog.New(slog.DiscardHandler)
	}
	f, err := os.OpenFile(filepath.Join(r.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	return slog.New(slog.NewTextHandler(f, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (r *rig) update(fn func(store.Tx) error) {
	r.t.Helper()
	if _, err := r.store.Update(context.Background(), fn); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) view(fn func(store.Tx) error) {
	r.t.Helper()
	if err := r.store.View(context.Background(), fn); err != nil {
		r.t.Fatal(err)
	}
}

// start starts the agent of a node.
func (n *agentNode) start() {
	n.r.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	self := filepath.Join(n.home, "sky-agent")
	if _, err := os.Stat(self); err != nil {
		path, err := binary()
		if err != nil {
			n.r.t.Fatal(err)
		}
		if err := os.Link(path, self); err != nil {
			n.r.t.Fatal(err)
		}
	}
	_ = os.Remove(filepath.Join(n.state(), "socket"))
	args := append([]string{"run", "--home", n.home, "--state-dir", n.state(), "--node", n.id,
		"--gang-address", "127.0.0.1:0", "--log-level", "debug"}, n.args...)
	n.cmd = exec.Command(self, args...)
	n.cmd.Env = append(append(os.Environ(), "HOME="+n.home, "ALOFT_LOCAL_NODE=1"), n.env...)
	out, err := os.OpenFile(filepath.Join(n.home, "agent.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		n.r.t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	n.cmd.Stdout, n.cmd.Stderr = out, out
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := n.cmd.Start(); err != nil {
		n.r.t.Fatal(err)
	}
}

func (n *agentNode) state() string { return filepath.Join(n.home, ".aloft", "agent") }

// stop ends the agent; the processes of jobs go on.
func (n *agentNode) stop() { n.end(syscall.SIGTERM) }

func (n *agentNode) kill() { n.end(syscall.SIGKILL) }

func (n *agentNode) end(sig syscall.Signal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd == nil {
		return
	}
	_ = n.cmd.Process.Signal(sig)
	_ = n.cmd.Wait()
	n.cmd = nil
}

// reap kills every process of the node's jobs and shims.
func (n *agentNode) reap() { n.signalAll("") }

// keyPath is where the agent keeps the key of its secrets.
func (n *agentNode) keyPath() string {
	sum := sha256.Sum256([]byte(n.state()))
	return fmt.Sprintf("/dev/shm/aloft-%d-%s", os.Getuid(), hex.EncodeToString(sum[:8]))
}

func (n *agentNode) forgetKey() { _ = os.Remove(n.keyPath()) }

// killJobs kills the processes of jobs, not their shims.
func (n *agentNode) killJobs() { n.signalAll("ALOFT_RANK=") }

// signalAll kills the processes whose environment says that they are the node's, and has mark in it.
func (n *agentNode) signalAll(mark string) {
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range procs {
		env, err := os.ReadFile(filepath.Join(p, "environ"))
		if err != nil || !strings.Contains(string(env), "HOME="+n.home+"\x00") || !strings.Contains(string(env), mark) {
			continue
		}
		var pid int
		if _, err := fmt.Sscan(filepath.Base(p), &pid); err == nil && pid != os.Getpid() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// dialer reaches the agent's socket.
func (n *agentNode) dialer(ctx context.Context) (net.Conn, error) {
	if n.dial != nil {
		return n.dial(ctx)
	}
	b, err := os.ReadFile(filepath.Join(n.state(), "socket"))
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	return d.DialContext(ctx, "unix", strings.TrimSpace(string(b)))
}

// connect opens the sessions of nodes.
func (r *rig) connect(nodes ...*agentNode) {
	r.t.Helper()
	for _, n := range nodes {
		var err error
		until := time.Now().Add(20 * time.Second)
		for time.Now().Before(until) {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			err = r.fleet.Connect(ctx, r.cluster, n.record(), n.dialer)
			cancel()
			if err == nil || !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		if err != nil {
			log, _ := os.ReadFile(filepath.Join(n.home, "agent.log"))
			r.t.Fatalf("connect %s: %v\n%s", n.id, err, log)
		}
	}
}

// up starts and connects every node.
func (r *rig) up() {
	r.t.Helper()
	for _, n := range r.nodes {
		n.start()
	}
	r.connect(r.nodes...)
}

// submit places a job on slots, rank by rank; a slot below zero runs only setup (as its complement).
func (r *rig) submit(number uint32, task *statev1.TaskSpec, slots ...int32) string {
	r.t.Helper()
	return r.submitJob(&statev1.Job{Number: number, Task: task, WithSetup: true}, slots...)
}

func (r *rig) submitJob(j *statev1.Job, slots ...int32) string {
	r.t.Helper()
	r.update(func(tx store.Tx) error { return r.place(tx, j, slots...) })
	return j.Id
}

func (r *rig) place(tx store.Tx, j *statev1.Job, slots ...int32) error {
	if len(slots) == 0 {
		slots = []int32{0}
	}
	j.Id, j.ClusterId, j.ClusterName, j.Attempt, j.FailedRank = r.jobID(j.Number), "c1", "test", 1, -1
	j.Phase, j.SubmittedMs, j.Ranks = statev1.JobPhase_JOB_PLACED, time.Now().UnixMilli(), nil
	for i, s := range slots {
		rank := &statev1.Rank{Slot: s, Rank: int32(i), Phase: statev1.RankPhase_RANK_ASSIGNED, Address: "127.0.0.1"}
		if s < 0 {
			rank.Slot, rank.Rank = ^s, -1
		}
		rank.NodeId = r.nodes[rank.Slot].id
		j.Ranks = append(j.Ranks, rank)
	}
	tx.Emit(&statev1.Event{Kind: "job", Id: j.Id, ClusterId: "c1", NewPhase: "PLACED", Actor: "test"})
	return tx.Put(store.Job, j.Id, j)
}

// jobID is unique on this machine, as real ones are: processes of a job are found by it.
func (r *rig) jobID(number uint32) string {
	return fmt.Sprintf("j%d-%s", number, strings.ToLower(filepath.Base(filepath.Dir(r.dir))))
}

func (r *rig) job(id string) *statev1.Job {
	r.t.Helper()
	var j *statev1.Job
	r.view(func(tx store.Tx) (err error) { j, err = store.GetJob(tx, id); return err })
	return j
}

// cancel asks for the end of a job.
func (r *rig) cancel(id string) {
	r.t.Helper()
	r.update(func(tx store.Tx) error {
		j, err := store.GetJob(tx, id)
		if err != nil {
			return err
		}
		j.Desired, j.CancelMs = "cancel", time.Now().UnixMilli()
		tx.Emit(&statev1.Event{Kind: "job", Id: j.Id, ClusterId: "c1", Actor: "test"})
		return tx.Put(store.Job, id, j)
	})
}

// until waits for a job to be as wanted.
func (r *rig) until(id, what string, cond func(*statev1.Job) bool) *statev1.Job {
	r.t.Helper()
	return r.untilWithin(time.Minute, id, what, cond)
}

func (r *rig) untilWithin(limit time.Duration, id, what string, cond func(*statev1.Job) bool) *statev1.Job {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var from store.Rev
	r.view(func(tx store.Tx) error { from = tx.Rev(); return nil })
	if j := r.job(id); cond(j) {
		return j
	}
	for _, err := range r.store.Watch(ctx, from, store.Filter{Kind: store.Job, ID: id}) {
		if err != nil {
			break
		}
		if j := r.job(id); cond(j) {
			return j
		}
	}
	j := r.job(id)
	r.dump()
	r.t.Fatalf("job %s is not %s: %v", id, what, j)
	return nil
}

// dump shows what the agents said.
func (r *rig) dump() {
	for _, n := range r.nodes {
		b, _ := os.ReadFile(filepath.Join(n.home, "agent.log"))
		r.t.Logf("--- %s\n%s", n.id, b[max(0, len(b)-6000):])
		b, _ = os.ReadFile(filepath.Join(n.state(), "shims", "shims.log"))
		r.t.Logf("--- shims of %s\n%s", n.id, b)
	}
	if b, err := os.ReadFile(filepath.Join(r.dir, "fleet.log")); err == nil {
		r.t.Logf("--- fleet\n%s", b[max(0, len(b)-6000):])
	}
}

func ended(j *statev1.Job) bool { return j.GetPhase() >= statev1.JobPhase_JOB_SUCCEEDED }

func complete(j *statev1.Job) bool { return ended(j) && j.GetResultsComplete() }

// log reads a stream as the controller has it.
func (r *rig) log(id string, slot int32, name string) string {
	r.t.Helper()
	k := &agentv1.StreamKey{JobId: id, Attempt: 1, Slot: slot, Name: name}
	var b strings.Builder
	err := r.logs.Read(context.Background(), k, 0, false, func(c logs.Record) bool {
		if c.Gap > 0 {
			fmt.Fprintf(&b, "[gap %d]", c.Gap)
		}
		b.Write(c.Data)
		return true
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return b.String()
}

func (r *rig) wantPhase(j *statev1.Job, p statev1.JobPhase) {
	r.t.Helper()
	if j.GetPhase() != p {
		b, _ := json.Marshal(j)
		r.dump()
		r.t.Fatalf("job %s is %s, want %s: %s", j.GetId(), j.GetPhase(), p, b)
	}
}

// secrets seals secrets as the API does.
func seal(t testing.TB, m map[string]string) []byte {
	t.Helper()
	b, err := proto.Marshal(&statev1.SecretMap{Values: m})
	if err != nil {
		t.Fatal(err)
	}
	s, err := plain{}.Seal(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
