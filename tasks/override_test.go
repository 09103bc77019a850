package tasks_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"aloft/tasks"
)

func TestResourceOverrides(t *testing.T) {
	t.Parallel()
	const file = `
run: x
workdir: .
resources:
  cpus: 4
  disk_tier: high
  any_of:
    - {infra: aws/us-east-1, accelerators: A100, ports: 80}
    - {cloud: gcp, region: us-central1, accelerators: H100, cpus: 8}
`
	tests := []struct {
		name  string
		o     tasks.Overrides
		check func(*tasks.Task, []tasks.Resources) bool
	}{
		{"infra replaces infra and its older form", tasks.Overrides{Infra: ptr("k8s/ctx")}, func(_ *tasks.Task, r []tasks.Resources) bool {
			want := tasks.Infra{Cloud: "kubernetes", Region: "ctx"}
			return len(r) == 2 && r[0].Infra == want && r[1].Infra == want
		}},
		{"local", tasks.Overrides{Infra: ptr("local")}, func(_ *tasks.Task, r []tasks.Resources) bool { return r[1].Infra.Cloud == "local" }},
		{"none resets", tasks.Overrides{Infra: ptr("none"), CPUs: ptr("NONE"), DiskTier: ptr("none"), GPUs: ptr("none")}, func(_ *tasks.Task, r []tasks.Resources) bool {
			return r[0].Infra == tasks.Infra{} && !r[0].CPUs.Set && !r[1].CPUs.Set && r[0].DiskTier == "" && len(r[0].Accelerators) == 0
		}},
		{"quantities", tasks.Overrides{CPUs: ptr("2+"), Memory: ptr("16GB"), DiskSize: ptr("1TB")}, func(_ *tasks.Task, r []tasks.Resources) bool {
			return r[1].CPUs.Value == 2 && r[1].CPUs.AtLeast && r[0].Memory.Value == 16 && r[0].DiskSizeGB == 1024
		}},
		{"plain numbers", tasks.Overrides{CPUs: ptr("2"), Memory: ptr("7.5"), DiskSize: ptr("100")}, func(_ *tasks.Task, r []tasks.Resources) bool {
			return r[0].CPUs.Value == 2 && r[0].Memory.Value == 7.5 && r[0].DiskSizeGB == 100
		}},
		{"accelerators", tasks.Overrides{GPUs: ptr("T4:2")}, func(_ *tasks.Task, r []tasks.Resources) bool {
			return len(r) == 2 && r[0].Accelerators[0] == tasks.Accelerator{Name: "T4", Count: 2} && r[1].Accelerators[0].Name == "T4"
		}},
		{"the rest", tasks.Overrides{Name: ptr("n"), NumNodes: ptr(3), UseSpot: ptr(true), Ports: []string{"443", "8000-8001"}, ImageID: ptr("docker:x"),
			InstanceType: ptr("m5"), NetworkTier: ptr("BEST"), Workdir: ptr("$X")}, func(task *tasks.Task, r []tasks.Resources) bool {
			return task.Name == "n" && task.NumNodes == 3 && r[1].UseSpot && reflect.DeepEqual(r[0].Ports, []string{"443", "8000-8001"}) &&
				r[1].ImageID["us-central1"] == "docker:x" && r[0].InstanceType == "m5" && r[0].NetworkTier == "best" && task.Workdir.Path == "$X"
		}},
		{"spot off", tasks.Overrides{UseSpot: ptr(false)}, func(_ *tasks.Task, r []tasks.Resources) bool { return !r[0].UseSpot && r[0].UseSpotSet }},
		{"git", tasks.Overrides{GitURL: ptr("https://x/y.git"), GitRef: ptr("v1")}, func(task *tasks.Task, _ []tasks.Resources) bool {
			return task.Workdir.Path == "" && *task.Workdir.Git == tasks.GitSource{URL: "https://x/y.git", Ref: "v1"}
		}},
		{"no workdir", tasks.Overrides{Workdir: ptr("none")}, func(task *tasks.Task, _ []tasks.Resources) bool { return !task.Workdir.Set() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			task := one(t, file, tt.o)
			if !tt.check(task, task.Resources.Alternatives) {
				t.Errorf("got\n%s", task)
			}
		})
	}
}

func TestOverrideProblems(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, src  string
		o          tasks.Overrides
		file, want string
	}{
		{"cloud", "run: x\n", tasks.Overrides{Infra: ptr("gpc")}, "--infra", "no known cloud"},
		{"cpus", "run: x\n", tasks.Overrides{CPUs: ptr("many")}, "--cpus", "vCPUs"},
		{"ports", "run: x\n", tasks.Overrides{Ports: []string{"99999"}}, "--ports", "not between"},
		{"nodes", "run: x\n", tasks.Overrides{NumNodes: ptr(0)}, "--num-nodes", "at least 1"},
		{"tier", "run: x\n", tasks.Overrides{DiskTier: ptr("hgh")}, "--disk-tier", "not known"},
		{"both workdirs", "run: x\n", tasks.Overrides{Workdir: ptr("."), GitURL: ptr("u")}, "--workdir", "together"},
		{"several tasks", "run: x\n---\nrun: y\n", tasks.Overrides{CPUs: ptr("4")}, "command line", "ignored"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, ds := tasks.Parse("t.yaml", []byte(tt.src), tt.o)
			if len(ds) == 0 || ds[0].File != tt.file || !strings.Contains(ds[0].String(), tt.want) {
				t.Errorf("got %v", ds)
			}
		})
	}
}

// An alias used twice must not carry an override, or a substitution, along.
func TestSharedNodesStayApart(t *testing.T) {
	t.Parallel()
	task := one(t, `
envs: {A: v, B: &s "$A"}
workdir: *s
run: x
resources:
  any_of: [&r {infra: aws, labels: {a: b}}, *r]
`, tasks.Overrides{CPUs: ptr("2")})
	if task.Workdir.Path != "v" || task.Envs["B"] != "$A" {
		t.Errorf("got\n%s", task)
	}
	alts := task.Resources.Alternatives
	alts[0].Labels["a"] = "changed"
	if alts[1].Labels["a"] != "b" {
		t.Error("alternatives share their labels")
	}
}

func TestSubstitution(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"$A", "va"}, {"${A}", "va"}, {"x${A}y", "xvay"}, {"$A-$B", "va-sb"}, {"$A_x", "$A_x"}, {"$NOPE", "$NOPE"}, {"${NOPE}", "${NOPE}"},
		{"$$A", "$A"}, {"$$", "$"}, {"$$$A", "$va"}, {"$1", "$1"}, {"a$", "a$"}, {"${A:-d}", "va"}, {"${NOPE:-d/e}", "d/e"}, {"${E:-d}", "d"}, {"${E}", ""},
		{"${NOPE:-}", ""}, {"${A", "${A"}, {"$A}", "va}"}, {"${A-x}", "${A-x}"}, {"$Q", `a"b\n`}, {"$C", "$A"}, {"$BOTH", "secret"},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			t.Parallel()
			task := one(t, "envs: {A: va, Q: 'a\"b\\n', E: '', C: $A, BOTH: env}\nsecrets: {B: sb, BOTH: secret}\nrun: $A\nfile_mounts: {/d: 'p"+tt.in+"'}\n", tasks.Overrides{})
			if got := task.FileMounts[0].Src; got != "p"+tt.want {
				t.Errorf("got %q, want %q", got, "p"+tt.want)
			}
			if task.Run != "$A" {
				t.Error("run was changed")
			}
		})
	}
}

func TestDotenv(t *testing.T) {
	t.Parallel()
	src := "\ufeff# comment\n\nA=1\nexport B = two words # c\nC='single ${A} \\n'\nD=\"double ${A}\\n${NOPE:-def}\" # c\r\nE=\nF=a#b\nG=\"line1\nline2\"\nH=${HOST}\nI=#x\nnovalue\n"
	pairs, ds := tasks.ParseDotenv("x.env", []byte(src), func(k string) (string, bool) { return "h", k == "HOST" })
	want := []tasks.KeyValue{{"A", "1"}, {"B", "two words"}, {"C", `single ${A} \n`}, {"D", "double 1\ndef"}, {"E", ""}, {"F", "a#b"}, {"G", "line1\nline2"}, {"H", "h"}, {"I", ""}}
	if !reflect.DeepEqual(pairs, want) {
		t.Errorf("got %q", pairs)
	}
	if len(ds) != 1 || ds.HasErrors() || ds[0].Line != 13 {
		t.Errorf("diagnostics %v", ds)
	}
	var bomb strings.Builder
	bomb.WriteString("A0=xxxxxxxxxxxxxxxx\n")
	for i := 1; i < 60; i++ {
		fmt.Fprintf(&bomb, "A%d=${A%d}${A%d}\n", i, i-1, i-1)
	}
	if _, ds := tasks.ParseDotenv("x.env", []byte(bomb.String()), nil); !ds.HasErrors() {
		t.Error("a file that doubles itself is accepted")
	}
	for _, bad := range []string{"1A=x\n", "A B=x\n", "=x\n", "A=\"open\n"} {
		if _, ds := tasks.ParseDotenv("x.env", []byte(bad), nil); !ds.HasErrors() || ds[0].Line != 1 {
			t.Errorf("%q: %v", bad, ds)
		}
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]time.Duration{
		"30": 30 * time.Minute, "90s": 90 * time.Second, "30m": 30 * time.Minute, "1.5h": 90 * time.Minute, "2D": 48 * time.Hour, "1w": 168 * time.Hour,
		"1h30m": 90 * time.Minute, " 5m ": 5 * time.Minute, "0.5s": 500 * time.Millisecond,
	} {
		if got, err := tasks.ParseDuration(in); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "x", "5x", "-5m", "0m", "1h-2m", "99999999999d", "m", "1.2.3h", "NaN", "inf", "1e3"} {
		if got, err := tasks.ParseDuration(in); err == nil {
			t.Errorf("ParseDuration(%q) = %v", in, got)
		}
	}
	for in, want := range map[string]int{"30": 30, "45M": 45, "1h": 60, "0.5h": 30, "1.7h": 102, "1d": 1440, "1.01h": 61, "0.01d": 15} {
		if got, err := tasks.ParseMinutes(in); err != nil || got != want {
			t.Errorf("ParseMinutes(%q) = %v, %v, want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "30x", "m30", "1.2.3h", "30mm", "-30m", "30m2h"} {
		if got, err := tasks.ParseMinutes(in); err == nil {
			t.Errorf("ParseMinutes(%q) = %v", in, got)
		}
	}
	for in, want := range map[string]tasks.Autostop{
		"true": {Enabled: true, IdleMinutes: 5}, "false": {}, "10": {Enabled: true, IdleMinutes: 10}, "2h": {Enabled: true, IdleMinutes: 120},
	} {
		if got, err := tasks.ParseAutostop(in); err != nil || got != want {
			t.Errorf("ParseAutostop(%q) = %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"90s", "1.5h", "", "soon"} {
		if _, err := tasks.ParseAutostop(in); err == nil {
			t.Errorf("ParseAutostop(%q) accepted", in)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{"a": true, "a-b_c.d": true, "A1": true, "1a": false, "": false, "a-": false, "-a": false, "a b": false, "ä": false} {
		if err := tasks.ValidClusterName(name); (err == nil) != ok {
			t.Errorf("ValidClusterName(%q) = %v", name, err)
		}
	}
	for name, ok := range map[string]bool{"1": true, "a--b": true, "a---b": false, "a_.b": true, "a b": false, "": false} {
		if err := tasks.ValidTaskName(name); (err == nil) != ok {
			t.Errorf("ValidTaskName(%q) = %v", name, err)
		}
	}
	doc, _ := tasks.Parse("t", []byte("name: p\n---\nrun: x\n---\nname: b\nrun: y\n"), tasks.Overrides{})
	if doc.TaskName(0) != "p-0" || doc.TaskName(1) != "b" {
		t.Errorf("names %q, %q", doc.TaskName(0), doc.TaskName(1))
	}
	for in, want := range map[string]string{"acclerators": "accelerators", "NAME": "name", "xyzzy": "", "": ""} {
		if got := tasks.Nearest(in, []string{"accelerators", "name", "run"}); got != want {
			t.Errorf("Nearest(%q) = %q", in, got)
		}
	}
}

func TestInfra(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in, out string
		want    tasks.Infra
	}{
		{"AWS/us-east-1", "aws/us-east-1", tasks.Infra{Cloud: "aws", Region: "us-east-1"}},
		{"gcp/*/us-central1-a", "gcp/*/us-central1-a", tasks.Infra{Cloud: "gcp", Zone: "us-central1-a"}},
		{"*/us-east-1", "*/us-east-1", tasks.Infra{Region: "us-east-1"}},
		{"*", "", tasks.Infra{}}, {"aws/*/*", "aws", tasks.Infra{Cloud: "aws"}},
		{"k8s/a/b", "kubernetes/a/b", tasks.Infra{Cloud: "kubernetes", Region: "a/b"}},
		{"local", "local", tasks.Infra{Cloud: "local"}},
		{"slurm/c/p", "slurm/c/p", tasks.Infra{Cloud: "slurm", Region: "c", Zone: "p"}},
	}
	for _, tt := range tests {
		got, err := tasks.ParseInfra(tt.in)
		if err != nil || got != tt.want || got.String() != tt.out {
			t.Errorf("ParseInfra(%q) = %+v (%s), %v", tt.in, got, got, err)
		}
	}
	for _, in := range []string{"", "foo", "aws/", "aws//r", "aws/a/b/c", "k8s/", "a w s"} {
		if got, err := tasks.ParseInfra(in); err == nil {
			t.Errorf("ParseInfra(%q) = %+v", in, got)
		}
	}
}
