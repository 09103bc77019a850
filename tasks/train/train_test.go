package train_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"aloft/tasks/train"
)

func toMap(env []string) map[string]string {
	out := map[string]string{}
	for _, e := range env {
		k, v, _ := strings.Cut(e, "=")
		out[k] = v
	}
	return out
}

func TestEnv(t *testing.T) {
	t.Parallel()
	two := train.RankInfo{
		Env:  map[string]string{"A": "1", "SKYPILOT_NODE_RANK": "99"},
		Rank: 1, NodeIPs: []string{"10.0.0.1", "10.0.0.2"}, GPUsPerNode: 2, GPUs: []int{0, 3},
		TaskID: "sky-1", TaskIDs: []string{"sky-1", "sky-2"}, User: "ada",
		Cluster:     train.Cluster{Name: "c", Cloud: "aws", Region: "us-east-1", Zone: "us-east-1a"},
		MetricsPath: "/m/metrics.jsonl", ManagedJobID: "7",
	}
	setup := two
	setup.Phase = train.Setup
	fraction := two
	fraction.GPUsPerNode, fraction.GPUs = 0.5, []int{}
	own := two
	own.Env = map[string]string{"MASTER_ADDR": "here", "MASTER_PORT": "1"}
	array := train.RankInfo{JobRank: 2, NumJobs: 5, MasterPort: 4000}

	tests := []struct {
		name   string
		info   train.RankInfo
		want   map[string]string
		absent []string
	}{
		{"run on two nodes", two, map[string]string{
			"A": "1", "SKYPILOT_NODE_RANK": "1", "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2", "SKYPILOT_NUM_NODES": "2",
			"SKYPILOT_NUM_GPUS_PER_NODE": "2", "SKYPILOT_TASK_ID": "sky-1", "SKYPILOT_TASK_IDS": "sky-1\nsky-2",
			"SKYPILOT_USER": "ada", "CUDA_VISIBLE_DEVICES": "0,3", "ALOFT_METRICS": "/m/metrics.jsonl",
			"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500", "SKYPILOT_MANAGED_JOB_ID": "7",
		}, []string{"SKYPILOT_SETUP_NODE_RANK", "SKYPILOT_JOB_RANK", "SKYPILOT_JOBGROUP_NAME"}},
		{"setup sees its own variables and no devices", setup, map[string]string{
			"SKYPILOT_SETUP_NODE_RANK": "1", "SKYPILOT_SETUP_NODE_IPS": "10.0.0.1\n10.0.0.2",
			"SKYPILOT_SETUP_NUM_GPUS_PER_NODE": "2", "SKYPILOT_NUM_NODES": "2", "SKYPILOT_TASK_ID": "sky-1",
		}, []string{"SKYPILOT_NODE_IPS", "CUDA_VISIBLE_DEVICES", "MASTER_ADDR"}},
		{"a fraction rounds up, no device hides all", fraction, map[string]string{
			"SKYPILOT_NUM_GPUS_PER_NODE": "1", "CUDA_VISIBLE_DEVICES": "",
		}, nil},
		{"a task may set the rendezvous itself", own, map[string]string{"MASTER_ADDR": "here", "MASTER_PORT": "1"}, nil},
		{"one nameless node of an array", array, map[string]string{
			"SKYPILOT_NUM_NODES": "1", "SKYPILOT_NODE_RANK": "0", "SKYPILOT_NODE_IPS": "", "SKYPILOT_JOB_RANK": "2",
			"SKYPILOT_NUM_JOBS": "5", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "4000",
		}, []string{"CUDA_VISIBLE_DEVICES", "ALOFT_METRICS"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			list := train.Env(tt.info)
			if !slices.IsSorted(list) {
				t.Error("the entries are not sorted")
			}
			got := toMap(list)
			for k, v := range tt.want {
				if g, ok := got[k]; !ok || g != v {
					t.Errorf("%s = %q (set: %v), want %q", k, g, ok, v)
				}
			}
			for _, k := range tt.absent {
				if v, ok := got[k]; ok {
					t.Errorf("%s = %q, want it absent", k, v)
				}
			}
		})
	}
}

func TestClusterInfo(t *testing.T) {
	t.Parallel()
	env := toMap(train.Env(train.RankInfo{Cluster: train.Cluster{Name: `q"x`, Cloud: "gcp", Region: "r", Zone: "z"}}))
	var got map[string]string
	if err := json.Unmarshal([]byte(env["SKYPILOT_CLUSTER_INFO"]), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"cluster_name": `q"x`, "cloud": "gcp", "region": "r", "zone": "z"}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s = %q, want %q", k, got[k], v)
		}
	}
}

func TestScriptText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, user, workdir string
		want                []string
	}{
		{"verbatim", "echo 'a'  # b\n\techo $X", "/w", []string{"cd -- '/w' || exit 1\n", "echo 'a'  # b\n\techo $X\n", "export PYTHONUNBUFFERED=1\n"}},
		{"home", "x", "~/sky_workdir", []string{`cd -- "$HOME"/'sky_workdir' || exit 1`}},
		{"quotes", "x", "/a'b", []string{`cd -- '/a'\''b'`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := string(train.Script(tt.user, tt.workdir))
			for _, w := range tt.want {
				if !strings.Contains(got, w) {
					t.Errorf("script\n%s\nlacks %q", got, w)
				}
			}
			if strings.Contains(got, "set -e") {
				t.Error("the script stops at the first failure")
			}
		})
	}
}

func TestScriptRuns(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal("the tests need bash: ", err)
	}
	dir := filepath.Join(t.TempDir(), "it's here")
	tests := []struct {
		name, user, workdir string
		code                int
		out                 string
	}{
		{"no set -e", "false\necho on", "", 0, "on\n"},
		{"exit code of the last command", "echo a; (exit 7)", "", 7, "a\n"},
		{"unbuffered", "echo $PYTHONUNBUFFERED", "", 0, "1\n"},
		{"missing workdir", "echo never", dir, 1, ""},
		{"empty text", "", "/", 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(bash, "-s")
			cmd.Stdin = strings.NewReader(string(train.Script(tt.user, tt.workdir)))
			out, err := cmd.Output()
			if err != nil && cmd.ProcessState == nil {
				t.Fatal(err)
			}
			if code := cmd.ProcessState.ExitCode(); code != tt.code || string(out) != tt.out {
				t.Errorf("exit code %d, output %q; want %d, %q", code, out, tt.code, tt.out)
			}
		})
	}
}
