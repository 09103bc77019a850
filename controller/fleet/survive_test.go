package fleet_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"aloft/controller/fleet"
	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
)

func readFile(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(b)
}

// cutter is a stream that breaks after so many bytes.
type cutter struct {
	net.Conn
	left atomic.Int64
	cuts *atomic.Int64
	once sync.Once
}

func (c *cutter) spend(n int) {
	if c.left.Add(-int64(n)) < 0 {
		c.once.Do(func() {
			c.cuts.Add(1)
			_ = c.Conn.Close()
		})
	}
}

func (c *cutter) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.spend(n)
	return n, err
}

func (c *cutter) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.spend(n)
	return n, err
}

// The stream is cut a thousand times while a job writes; the log is what was written, byte for byte, and every phase was
// reported once.
func TestCuts(t *testing.T) {
	t.Parallel()
	want := int64(1000)
	if testing.Short() {
		want = 50
	}
	r := newRig(t, 1)
	n := r.nodes[0]
	var cuts atomic.Int64
	rnd := rand.New(rand.NewPCG(1, 2))
	n.dial = func(ctx context.Context) (net.Conn, error) {
		socket := strings.TrimSpace(readFile(filepath.Join(n.state(), "socket")))
		if socket == "" {
			return nil, os.ErrNotExist
		}
		var d net.Dialer
		c, err := d.DialContext(ctx, "unix", socket)
		if err != nil || cuts.Load() >= want {
			return c, err
		}
		cut := &cutter{Conn: c, cuts: &cuts}
		cut.left.Store(200 + rnd.Int64N(60_000))
		return cut, nil
	}
	r.up()
	stop := filepath.Join(r.dir, "stop")
	id := r.submit(1, &statev1.TaskSpec{Run: fmt.Sprintf(
		`i=0; while [ ! -e %s ]; do for k in 1 2 3 4 5 6 7 8 9; do i=$((i+1)); echo "line $i of what is written while the stream breaks again and again"; done; sleep 0.001; done | tee ~/copy`, stop)})
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	for cuts.Load() < want && ctx.Err() == nil {
		// The fleet waits between attempts; asking for a connection ends the wait.
		cctx, ccancel := context.WithTimeout(ctx, time.Second)
		_ = r.fleet.Connect(cctx, r.cluster, n.record(), n.dialer)
		ccancel()
		time.Sleep(time.Millisecond)
	}
	write(t, stop, "")
	j := r.until(id, "complete", complete)
	r.wantPhase(j, statev1.JobPhase_JOB_SUCCEEDED)
	copied := readFile(filepath.Join(n.home, "copy"))
	got := r.log(id, 0, "run")
	if got != copied || len(copied) == 0 {
		t.Errorf("log of %d bytes differs from the %d that were written", len(got), len(copied))
	}
	seen := map[string]int{}
	r.view(func(tx store.Tx) error {
		evs, err := tx.Events(0, store.Filter{Kind: store.Job, ID: id}, 0)
		for _, e := range evs {
			if e.GetOldPhase() != e.GetNewPhase() {
				seen[e.GetNewPhase()]++
			}
		}
		return err
	})
	for phase, times := range seen {
		if times != 1 {
			t.Errorf("phase %s was entered %d times", phase, times)
		}
	}
	t.Logf("%d cuts, log of %d bytes identical, phases %v", cuts.Load(), len(got), seen)
}

// The agent is killed while a job runs, and started again: the job goes on, nothing is lost.
func TestAgentKilled(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.up()
	n := r.nodes[0]
	stop := filepath.Join(r.dir, "stop")
	id := r.submitJob(&statev1.Job{Number: 1, WithSetup: true, SealedSecrets: seal(t, map[string]string{"TOKEN": "s3cr3t-value-1"}),
		Task: &statev1.TaskSpec{Setup: "echo once >> ~/setups", Run: fmt.Sprintf(
			`echo once >> ~/runs; i=0; while [ ! -e %s ]; do i=$((i+1)); echo line $i; sleep 0.002; done | tee ~/copy; [ "$TOKEN" = s3cr3t-value-1 ] && exit 5`, stop),
			Artifacts: []*statev1.Artifact{{Path: "nothing"}}}})
	next := r.submitJob(&statev1.Job{Number: 2, SealedSecrets: seal(t, map[string]string{"TOKEN": "s3cr3t-value-2"}),
		Task: &statev1.TaskSpec{CpusPerRank: 1000, Run: `[ "$TOKEN" = s3cr3t-value-2 ] && exit 6`}})
	r.until(next, "accepted", func(j *statev1.Job) bool { return j.GetRanks()[0].GetPhase() >= statev1.RankPhase_RANK_ACCEPTED })
	for round := range 3 {
		r.eventually("the job writes", func() bool { return strings.Count(r.log(id, 0, "run"), "\n") > 20*(round+1) })
		n.kill()
		n.start()
		r.connect(n)
	}
	write(t, stop, "")
	j := r.until(id, "complete", complete)
	if j.GetExitCode() != 5 || r.log(id, 0, "run") != readFile(filepath.Join(n.home, "copy")) {
		t.Errorf("job %v, log of %d bytes, written %d", j, len(r.log(id, 0, "run")), len(readFile(filepath.Join(n.home, "copy"))))
	}
	if readFile(filepath.Join(n.home, "runs")) != "once\n" || readFile(filepath.Join(n.home, "setups")) != "once\n" {
		t.Error("commands ran more than once")
	}
	if j := r.until(next, "complete", complete); j.GetExitCode() != 6 {
		t.Errorf("the secret of a queued job did not survive the restart: %v", j)
	}
	r.eventually("nothing of the jobs is left", func() bool {
		left, _ := filepath.Glob(filepath.Join(n.state(), "spool", "*"))
		return len(left) == 0
	})
}

func TestSecretsAreNowhere(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.up()
	const secret = "tOp-SeCrEt-VaLuE-83214"
	id := r.submitJob(&statev1.Job{Number: 1, WithSetup: true, SealedSecrets: seal(t, map[string]string{"TOKEN": secret}),
		Task: &statev1.TaskSpec{Setup: "echo setup $TOKEN", Run: `echo "the token is $TOKEN"; [ ${#TOKEN} = 22 ] && echo good; touch ~/there; sleep 0.5; echo done`}})
	waits := r.submitJob(&statev1.Job{Number: 2, SealedSecrets: seal(t, map[string]string{"TOKEN": secret}),
		Task: &statev1.TaskSpec{CpusPerRank: 1000, Run: "true"}})
	r.eventually("it runs", func() bool {
		return readFile(filepath.Join(r.nodes[0].home, "there")) != "" || exists(filepath.Join(r.nodes[0].home, "there"))
	})
	look := func(when string) {
		err := filepath.WalkDir(r.dir, func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && strings.Contains(readFile(p), secret) {
				t.Errorf("%s: %s holds the secret", when, p)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	look("while it runs")
	r.until(id, "complete", complete)
	r.until(waits, "complete", complete)
	look("afterwards")
	if got := r.log(id, 0, "run"); !strings.Contains(got, "good") || strings.Contains(got, secret) {
		t.Errorf("log %q", got)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestLostSecretsEndTheJob(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.up()
	n := r.nodes[0]
	first := r.submit(1, &statev1.TaskSpec{Run: "sleep 1000", CpusPerRank: 1000})
	r.until(first, "running", func(j *statev1.Job) bool { return j.GetPhase() == statev1.JobPhase_JOB_RUNNING })
	id := r.submitJob(&statev1.Job{Number: 2, SealedSecrets: seal(t, map[string]string{"TOKEN": "abcdefgh"}), Task: &statev1.TaskSpec{Run: "true"}})
	r.until(id, "accepted", func(j *statev1.Job) bool { return j.GetRanks()[0].GetPhase() == statev1.RankPhase_RANK_ACCEPTED })
	r.close()
	n.kill()
	if err := os.Remove(n.keyPath()); err != nil {
		t.Fatal(err)
	}
	n.start()
	// The first job's end lets the second one start while no controller could send the secrets again.
	r.eventually("the first job was found", func() bool { return strings.Contains(readFile(filepath.Join(n.home, "agent.log")), "agent is up") })
	n.killJobs()
	r.eventually("the verdict is durable", func() bool { return strings.Contains(readFile(filepath.Join(n.state(), "journal")), "SECRETS_LOST") })
	r.open()
	r.connect(n)
	j := r.until(id, "complete", complete)
	r.wantPhase(j, statev1.JobPhase_JOB_FAILED_INFRA)
	if j.GetFailure().GetCode() != "SECRETS_LOST" {
		t.Errorf("failure %v", j.GetFailure())
	}
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	// Another build of the same: the trailing bytes do not matter to the loader.
	newer := filepath.Join(t.TempDir(), "sky-agent")
	write(t, newer, readFile(path)+"another build")
	sum := sha256.Sum256([]byte(readFile(newer)))
	digest := hex.EncodeToString(sum[:])
	var offer atomic.Bool
	r := newRig(t, 1, func(r *rig) {
		r.options = func(o *fleet.Options) {
			o.Agent = func(string, string) (fleet.Agent, error) {
				if !offer.Load() {
					return fleet.Agent{}, os.ErrNotExist
				}
				return fleet.Agent{Path: newer, SHA256: digest, Version: "newer"}, nil
			}
		}
	})
	r.up()
	stop := filepath.Join(r.dir, "stop")
	id := r.submit(1, &statev1.TaskSpec{Run: fmt.Sprintf(`i=0; while [ ! -e %s ]; do i=$((i+1)); echo line $i; sleep 0.002; done | tee ~/copy; exit 4`, stop)})
	r.eventually("the job writes", func() bool { return r.log(id, 0, "run") != "" })
	pid := r.nodes[0].cmd.Process.Pid
	offer.Store(true)
	r.close()
	r.open()
	r.connect(r.nodes[0])
	installed := filepath.Join(r.nodes[0].home, "sky-agent")
	r.eventually("the new build is there", func() bool { return readFile(installed) == readFile(newer) })
	r.eventually("it runs", func() bool {
		return strings.Count(readFile(filepath.Join(r.nodes[0].home, "agent.log")), "agent is up") == 2
	})
	r.connect(r.nodes[0])
	lines := strings.Count(r.log(id, 0, "run"), "\n")
	r.eventually("the job goes on", func() bool { return strings.Count(r.log(id, 0, "run"), "\n") > lines+10 })
	write(t, stop, "")
	j := r.until(id, "complete", complete)
	if j.GetExitCode() != 4 || r.log(id, 0, "run") != readFile(filepath.Join(r.nodes[0].home, "copy")) {
		t.Errorf("job %v", j)
	}
	if pid != r.nodes[0].cmd.Process.Pid || r.nodes[0].cmd.ProcessState != nil {
		t.Error("the agent became another process")
	}
}

// What keeps a process is killed: nobody saw the end, which is our failure and not the user's.
func TestShimKilled(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.up()
	id := r.submit(1, &statev1.TaskSpec{Run: "echo begun; sleep 1000"})
	r.eventually("it runs", func() bool { return r.log(id, 0, "run") != "" })
	n := r.nodes[0]
	var parent int
	r.eventually("its shim is found", func() bool { parent = n.parentOf("sleep\x001000"); return parent != 0 })
	if err := syscall.Kill(parent, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	j := r.until(id, "complete", complete)
	r.wantPhase(j, statev1.JobPhase_JOB_FAILED_INFRA)
	if r.log(id, 0, "run") != "begun\n" || n.marked() != "" {
		t.Errorf("log %q, left %q", r.log(id, 0, "run"), n.marked())
	}
}

// parentOf finds the shim above the job's process with a command line.
func (n *agentNode) parentOf(cmdline string) int {
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range procs {
		if !strings.HasPrefix(readFile(filepath.Join(p, "cmdline")), cmdline) || !strings.Contains(readFile(filepath.Join(p, "environ")), "HOME="+n.home+"\x00") {
			continue
		}
		for pid := filepath.Base(p); pid != "1" && pid != "0"; {
			stat := readFile(filepath.Join("/proc", pid, "stat"))
			fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
			if len(fields) < 2 {
				break // it has ended meanwhile
			}
			pid = fields[1]
			if strings.Contains(readFile(filepath.Join("/proc", pid, "cmdline")), "\x00shim\x00") {
				out, err := strconv.Atoi(pid)
				if err == nil {
					return out
				}
			}
		}
	}
	return 0
}

// Assignments that do not fit into one frame arrive, and files that were fetched ahead are there when the controller is not.
func TestManyAssignmentsWithFilesWithoutController(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	src := t.TempDir()
	write(t, filepath.Join(src, "data"), "from the snapshot\n")
	tree := r.put(src)
	const jobs = 300
	comment := "# " + strings.Repeat("a long script ", 300) + "\n"
	r.update(func(tx store.Tx) error {
		for n := 1; n <= jobs; n++ {
			task := &statev1.TaskSpec{Run: comment + "true", CpusPerRank: 0.1}
			if n == 1 {
				task.Run = "while [ ! -e " + r.dir + "/go ]; do sleep 0.01; done"
				task.CpusPerRank = 1000
			}
			if n == jobs {
				task.Run, task.Workdir = "cat data", tree
			}
			if err := r.place(tx, &statev1.Job{Number: uint32(n), Task: task}, 0); err != nil {
				return err
			}
		}
		return nil
	})
	r.up()
	last := r.jobID(jobs)
	r.until(last, "accepted", func(j *statev1.Job) bool { return j.GetRanks()[0].GetPhase() >= statev1.RankPhase_RANK_ACCEPTED })
	r.eventually("files were fetched", func() bool {
		blobs, _ := filepath.Glob(filepath.Join(r.nodes[0].state(), "blobs", "*"))
		return len(blobs) == 2 && !strings.Contains(strings.Join(blobs, ""), ".part")
	})
	r.close()
	write(t, r.dir+"/go", "")
	r.eventually("the last one has its directory", func() bool {
		return exists(filepath.Join(r.nodes[0].state(), "jobs", fmt.Sprintf("%d-1", jobs), "workdir", "data"))
	})
	r.open()
	r.connect(r.nodes...)
	for n := 1; n <= jobs; n++ {
		r.wantPhase(r.until(r.jobID(uint32(n)), "complete", complete), statev1.JobPhase_JOB_SUCCEEDED)
	}
	if got := r.log(last, 0, "run"); got != "from the snapshot\n" {
		t.Errorf("log %q", got)
	}
}

// A machine that becomes another node forgets what it was.
func TestAnotherNode(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.nodes[0].start()
	r.connect(r.nodes[0])
	id := r.submit(1, &statev1.TaskSpec{Run: "echo begun; sleep 1000"})
	r.eventually("it runs", func() bool { return r.log(id, 0, "run") != "" })
	r.nodes[0].stop()
	// A child that was being forked may hold the lock a moment longer than the agent lived.
	r.eventually("the state directory is free", func() bool {
		f, err := os.Open(filepath.Join(r.nodes[0].state(), "lock"))
		if err != nil {
			return false
		}
		defer func() { _ = f.Close() }()
		return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
	})
	other := r.nodes[1]
	other.home = r.nodes[0].home
	other.start()
	r.connect(other)
	if left := other.marked(); left != "" {
		t.Errorf("left running: %s", left)
	}
	id = r.submit(2, &statev1.TaskSpec{Run: "echo fresh"}, 1)
	r.wantPhase(r.until(id, "complete", complete), statev1.JobPhase_JOB_SUCCEEDED)
}
