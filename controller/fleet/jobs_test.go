package fleet_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aloft/controller/blobs"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/tasks/snapshot"
)

// put stores the files of dir and returns the tree that names them.
func (r *rig) put(dir string) *statev1.FileTree {
	r.t.Helper()
	m, err := snapshot.Build(context.Background(), dir, snapshot.BuildOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	add := func(digest string, b []byte) {
		w, err := r.blobs.Create(digest)
		if err == nil {
			_, err = w.Write(b)
		}
		if err == nil {
			err = w.Commit()
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	for _, e := range m.Entries {
		if e.Mode.IsRegular() {
			b, err := os.ReadFile(filepath.Join(dir, e.Path))
			if err != nil {
				r.t.Fatal(err)
			}
			add(e.SHA256, b)
		}
	}
	add(m.Digest(), m.Encode())
	return &statev1.FileTree{Manifest: m.Digest()}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestFilesInAndOut(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	src := t.TempDir()
	write(t, filepath.Join(src, "wd", "train.py"), "print('x')\n")
	write(t, filepath.Join(src, "wd", "sub", "data.csv"), "a,b\n1,2\n")
	write(t, filepath.Join(src, "mount", "conf"), "conf\n")
	r.up()
	tree, mount := r.put(filepath.Join(src, "wd")), r.put(filepath.Join(src, "mount"))
	mount.Destination = "~/mnt"
	id := r.submit(1, &statev1.TaskSpec{
		Workdir: tree, Mounts: []*statev1.FileTree{mount},
		Run: `cat train.py sub/data.csv ~/mnt/conf; [ "$(readlink ~/sky_workdir)" = "$PWD" ] && echo linked
mkdir out; echo weights > out/model; ln -s /etc/passwd out/leak; mkfifo pipe; echo '{"loss": 0.5}' >> $ALOFT_METRICS; echo '{"loss": 0.25}' >> $ALOFT_METRICS`,
		Artifacts: []*statev1.Artifact{{Path: "out/mod*"}, {Path: "sub"}, {Path: "nothing*"}},
	})
	j := r.until(id, "complete", complete)
	r.wantPhase(j, statev1.JobPhase_JOB_SUCCEEDED)
	if got, want := r.log(id, 0, "run"), "print('x')\na,b\n1,2\nconf\nlinked\n"; got != want {
		t.Errorf("log %q, want %q", got, want)
	}
	names := map[string]string{}
	for _, f := range j.GetFiles() {
		names[f.GetName()] = f.GetKind()
		if !r.blobs.Has(f.GetSha256()) {
			t.Errorf("%s is not here", f.GetName())
		}
	}
	if fmt.Sprint(names) != "map[metrics.jsonl:metrics out/model:artifact sub/data.csv:artifact]" || j.GetMetrics()["loss"] != 0.25 {
		t.Errorf("files %v, metrics %v", names, j.GetMetrics())
	}
	// What leads out of the working directory, and what is no file, is refused and said.
	for n, path := range []string{"out/leak", "pipe", "../../lock", "/etc/passwd"} {
		id := r.submitJob(&statev1.Job{Number: uint32(2 + n), Task: &statev1.TaskSpec{Run: "true", Artifacts: []*statev1.Artifact{{Path: path}}}})
		j := r.until(id, "complete", complete)
		r.wantPhase(j, statev1.JobPhase_JOB_FAILED_USER)
		if j.GetFailure().GetCode() != "ARTIFACTS" || !strings.Contains(j.GetFailure().GetMessage(), "refused") || len(j.GetFiles()) > 0 {
			t.Errorf("%s: %v %v", path, j.GetFailure(), j.GetFiles())
		}
	}
}

func TestLargeArtifactIsVerified(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.up()
	id := r.submit(1, &statev1.TaskSpec{
		Run: "head -c 20000000 /dev/urandom > big; sha256sum big | cut -d' ' -f1", Artifacts: []*statev1.Artifact{{Path: "big"}},
	})
	j := r.until(id, "complete", complete)
	r.wantPhase(j, statev1.JobPhase_JOB_SUCCEEDED)
	sum := strings.TrimSpace(r.log(id, 0, "run"))
	if len(j.GetFiles()) != 1 || j.GetFiles()[0].GetSha256() != sum || len(r.blobs.Missing([]blobs.Ref{{Digest: sum, Size: 20000000}})) > 0 {
		t.Errorf("digest %s, files %v", sum, j.GetFiles())
	}
}

func TestSuites(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	src := t.TempDir()
	write(t, filepath.Join(src, "a.csv"), "x,y\n"+strings.Repeat("1,2\n3,4\n5,2\n", 20))
	write(t, filepath.Join(src, "same.csv"), "x,y\n"+strings.Repeat("1,2\n3,2\n5,2\n", 20))
	r.up()
	tree := r.put(src)
	suite := func(name, file string) *statev1.Suite {
		return &statev1.Suite{Name: name, FailOn: "fail", SpecJson: []byte(`{"train": "` + file + `", "checks": ["IsSingleValue"]}`)}
	}
	for n, tc := range []struct {
		suites   []*statev1.Suite
		phase    statev1.JobPhase
		verdicts string
	}{
		{[]*statev1.Suite{suite("good", "a.csv")}, statev1.JobPhase_JOB_SUCCEEDED, "pass"},
		{[]*statev1.Suite{suite("good", "a.csv"), suite("bad", "same.csv")}, statev1.JobPhase_JOB_FAILED_CHECKS, "pass fail"},
		{[]*statev1.Suite{suite("absent", "absent.csv")}, statev1.JobPhase_JOB_FAILED_CHECKS, "error"},
	} {
		id := r.submit(uint32(n+1), &statev1.TaskSpec{Workdir: tree, Run: "echo ran; ls -A", Suites: tc.suites})
		j := r.until(id, "complete", complete)
		r.wantPhase(j, tc.phase)
		var verdicts []string
		for _, s := range j.GetSuites() {
			verdicts = append(verdicts, s.GetVerdict())
			if s.GetVerdict() != "error" && (s.GetReportJson() == "" || s.GetReportHtml() == "" || len(s.GetRows()) == 0) {
				t.Errorf("suite %v", s)
			}
		}
		if got := strings.Join(verdicts, " "); got != tc.verdicts || r.log(id, 0, "check") == "" {
			t.Errorf("verdicts %q, want %q; log %q", got, tc.verdicts, r.log(id, 0, "check"))
		}
		if got := r.log(id, 0, "run"); got != "ran\na.csv\nsame.csv\n" {
			t.Errorf("run saw %q", got)
		}
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.up()
	for n, task := range []*statev1.TaskSpec{
		{Setup: "echo begun; sleep 1000 & wait", Run: "echo never"},
		{Run: "trap 'echo stopping; exit 0' TERM; echo begun; sleep 1000 & wait"},
	} {
		stream := "setup"
		if n == 1 {
			stream = "run"
		}
		id := r.submit(uint32(n+1), task)
		r.eventually("the log has begun", func() bool { return strings.Contains(r.log(id, 0, stream), "begun") })
		r.cancel(id)
		j := r.until(id, "complete", complete)
		r.wantPhase(j, statev1.JobPhase_JOB_CANCELLED)
		if stream == "run" && !strings.Contains(r.log(id, 0, "run"), "stopping") {
			t.Errorf("TERM did not come first: %q", r.log(id, 0, "run"))
		}
		if left := r.nodes[0].marked(); left != "" {
			t.Errorf("left running: %s", left)
		}
	}
	// One that waits in the queue never runs.
	first := r.submit(3, &statev1.TaskSpec{Run: "sleep 1000", CpusPerRank: 1000})
	second := r.submit(4, &statev1.TaskSpec{Run: "echo never", CpusPerRank: 1000})
	r.until(first, "running", func(j *statev1.Job) bool { return j.GetPhase() == statev1.JobPhase_JOB_RUNNING })
	r.until(second, "waiting", func(j *statev1.Job) bool { return strings.Contains(j.GetStateReason(), "CPU") })
	r.cancel(second)
	r.wantPhase(r.until(second, "complete", complete), statev1.JobPhase_JOB_CANCELLED)
	r.cancel(first)
	r.wantPhase(r.until(first, "complete", complete), statev1.JobPhase_JOB_CANCELLED)
}

// eventually waits for a condition.
func (r *rig) eventually(what string, cond func() bool) {
	r.t.Helper()
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
		if cond() {
			return
		}
	}
	r.dump()
	r.t.Fatalf("not so within 30 s: %s", what)
}

// marked lists processes of jobs on the node.
func (n *agentNode) marked() string {
	var out []string
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range procs {
		env, err := os.ReadFile(filepath.Join(p, "environ"))
		if err != nil || !strings.Contains(string(env), "HOME="+n.home+"\x00") || !strings.Contains(string(env), "ALOFT_RANK=") {
			continue
		}
		cmd, _ := os.ReadFile(filepath.Join(p, "cmdline"))
		stat, _ := os.ReadFile(filepath.Join(p, "stat"))
		if !strings.Contains(string(stat), ") Z ") {
			out = append(out, string(cmd))
		}
	}
	return strings.Join(out, "; ")
}

func TestSetupFailure(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.up()
	// Rank 0's setup fails while the other node's still runs; a node with only setup is told, too.
	id := r.submit(1, &statev1.TaskSpec{NumNodes: 1, Setup: `[ $SKYPILOT_SETUP_NODE_RANK = 0 ] && { sleep 0.2; exit 9; }; sleep 1000`, Run: "echo never"}, 0, ^int32(1))
	j := r.until(id, "complete", complete)
	r.wantPhase(j, statev1.JobPhase_JOB_FAILED_SETUP)
	if r.log(id, 0, "run") != "" || !strings.Contains(j.GetFailure().GetMessage(), "node 0") {
		t.Errorf("failure %v", j.GetFailure())
	}
	// And the other way round: setup on the node without a rank fails.
	id = r.submit(2, &statev1.TaskSpec{NumNodes: 1, Setup: `[ $SKYPILOT_SETUP_NODE_RANK = 1 ] && exit 9; true`, Run: "echo never"}, 0, ^int32(1))
	j = r.until(id, "complete", complete)
	r.wantPhase(j, statev1.JobPhase_JOB_FAILED_SETUP)
	if r.log(id, 0, "run") != "" {
		t.Error("ran although setup failed on a node")
	}
	// Setup on all nodes, run on one.
	id = r.submit(3, &statev1.TaskSpec{NumNodes: 1, Setup: `echo node $SKYPILOT_SETUP_NODE_RANK`, Run: "echo $SKYPILOT_NUM_NODES"}, 0, ^int32(1))
	j = r.until(id, "complete", complete)
	r.wantPhase(j, statev1.JobPhase_JOB_SUCCEEDED)
	if r.log(id, 1, "setup") != "node 1\n" || r.log(id, 0, "run") != "1\n" {
		t.Errorf("logs %q %q", r.log(id, 1, "setup"), r.log(id, 0, "run"))
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.up()
	id := r.submit(1, &statev1.TaskSpec{Run: "echo begun; sleep 1000", Budget: &statev1.Budget{MaxDurationMs: 300}})
	j := r.until(id, "complete", complete)
	r.wantPhase(j, statev1.JobPhase_JOB_TIMED_OUT)
	if j.GetFailure().GetCode() != "MAX_DURATION" || j.GetFailure().GetKind() != statev1.FailureKind_TIMEOUT {
		t.Errorf("failure %v", j.GetFailure())
	}
	if ms := j.GetEndedMs() - j.GetStartedMs(); ms < 300 || ms > 10_000 {
		t.Errorf("ran for %d ms", ms)
	}
}

func TestFractionsAndQueue(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	write(t, filepath.Join(r.nodes[0].home, ".aloft", "pretend-gpus"), "T4 16\nT4 16\n")
	r.up()
	go1 := filepath.Join(r.dir, "go1")
	wait := "echo $CUDA_VISIBLE_DEVICES; while [ ! -e " + go1 + " ]; do sleep 0.01; done"
	const tiny = 0.01
	half := func() *statev1.TaskSpec { return &statev1.TaskSpec{Run: wait, GpusPerRank: 0.5, CpusPerRank: tiny} }
	a, b, c := r.submit(1, half()), r.submit(2, half()), r.submit(3, half())
	both := r.submit(4, &statev1.TaskSpec{Run: "echo $CUDA_VISIBLE_DEVICES", GpusPerRank: 2, CpusPerRank: tiny})
	late := r.submit(5, half()) // would take what job 4 waits for
	side := r.submit(6, &statev1.TaskSpec{Run: "echo \"[$CUDA_VISIBLE_DEVICES]\"", CpusPerRank: tiny})
	running := func(j *statev1.Job) bool { return j.GetPhase() == statev1.JobPhase_JOB_RUNNING }
	for _, id := range []string{a, b, c} {
		r.until(id, "running", running)
	}
	r.until(side, "complete", complete)
	j := r.until(both, "waiting", func(j *statev1.Job) bool { return strings.Contains(j.GetStateReason(), "2 GPU") })
	if running(j) || running(r.job(late)) {
		t.Error("took what another job holds or waits for")
	}
	write(t, go1, "")
	for _, id := range []string{a, b, c, both, late} {
		r.wantPhase(r.until(id, "complete", complete), statev1.JobPhase_JOB_SUCCEEDED)
	}
	if r.log(a, 0, "run") != r.log(b, 0, "run") || r.log(a, 0, "run") == r.log(c, 0, "run") || r.log(both, 0, "run") != "0,1\n" || r.log(side, 0, "run") != "[]\n" {
		t.Errorf("devices %q %q %q %q %q", r.log(a, 0, "run"), r.log(b, 0, "run"), r.log(c, 0, "run"), r.log(both, 0, "run"), r.log(side, 0, "run"))
	}
	if r.job(late).GetStartedMs() < r.job(both).GetStartedMs() {
		t.Error("a later job took what an earlier one waited for")
	}
}
