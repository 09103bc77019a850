package tasks_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"aloft/tasks"
)

// one parses a file that must be valid and returns its only task.
func one(t *testing.T, src string, o tasks.Overrides) *tasks.Task {
	t.Helper()
	doc, ds := tasks.Parse("t.yaml", []byte(src), o)
	if doc == nil {
		t.Fatalf("rejected:\n%s", ds.Error())
	}
	return doc.Tasks[0]
}

func ptr[T any](v T) *T { return &v }

// The texts that environment values get from YAML 1.1, as PyYAML types them.
func TestScalars(t *testing.T) {
	t.Parallel()
	tests := []struct{ yaml, want string }{
		{"true", "True"}, {"yes", "True"}, {"on", "True"}, {"No", "False"}, {"OFF", "False"}, {"Y", "Y"}, {"n", "n"}, {"tRue", "tRue"},
		{"010", "8"}, {"017", "15"}, {"08", "08"}, {"0x1F", "31"}, {"0b101", "5"}, {"0o17", "0o17"}, {"1_000", "1000"}, {"+7", "7"}, {"-0x10", "-16"},
		{"1e3", "1e3"}, {"1.0e+3", "1000.0"}, {"1.5e3", "1.5e3"}, {"1.10", "1.1"}, {".5", "0.5"}, {"5.", "5.0"}, {"1e-7", "1e-7"}, {"1.e-7", "1e-07"},
		{"1.0e+16", "1e+16"}, {"123456789012345.0", "123456789012345.0"}, {"-.inf", "-inf"}, {".NaN", "nan"},
		{"12:30", "750"}, {"1:2:3", "3723"}, {"-1:30", "-90"}, {"1:30.5", "90.5"}, {"12:60", "12:60"}, {"0:30", "0:30"},
		{"2024-01-01", "2024-01-01"}, {"2024-1-1", "2024-1-1"}, {"2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43.100000-05:00"},
		{"2001-12-15 2:59:43", "2001-12-15 02:59:43"}, {"2001-12-15 2:59:43Z", "2001-12-15 02:59:43+00:00"},
		{"[1]", "[1]"}, {"[a, 'b''c', 1.0, null, yes]", `['a', "b'c", 1.0, None, True]`}, {"{b: 1}", "{'b': 1}"},
		{"[2024-01-01]", "[datetime.date(2024, 1, 1)]"}, {`"é\n"`, "é\n"}, {`["é\n\x01"]`, `['é\n\x01']`},
		{"!!str 010", "010"}, {"!!int '7'", "7"}, {"!!float 1", "1.0"}, {"'yes'", "yes"}, {`""`, ""}, {"12345678901234567890123", "12345678901234567890123"},
		{"a: b", "{'a': 'b'}"},
	}
	for _, tt := range tests {
		t.Run(tt.yaml, func(t *testing.T) {
			t.Parallel()
			src := "run: x\nenvs:\n  A: " + tt.yaml + "\n"
			if strings.HasPrefix(tt.yaml, "a: ") {
				src = "run: x\nenvs:\n  A:\n    " + tt.yaml + "\n"
			}
			if got := one(t, src, tasks.Overrides{}).Envs["A"]; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Where a problem is reported, and as what.
func TestDiagnostics(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, src  string
		line, col  int
		field      string
		message    string
		suggestion string
	}{
		{"slip in a key", "rum: x\n", 1, 1, "rum", `no key "rum"`, "did you mean run?"},
		{"old key", "resources:\n  spot_recovery: x\n", 2, 3, "resources.spot_recovery", "no key", "use job_recovery instead"},
		{"inside an alternative", "resources:\n  any_of:\n    - infra: aws\n    - accelerators: [A, B]\n", 4, 21, "resources.any_of[1].accelerators", "one accelerator", ""},
		{"bad count", "resources:\n  accelerators: V100:abc\n", 2, 17, "resources.accelerators", `"V100:abc"`, ""},
		{"three parts", "resources: {accelerators: 'A:1:2'}\n", 1, 27, "resources.accelerators", "not an accelerator", ""},
		{"empty list", "resources: {accelerators: []}\n", 1, 27, "resources.accelerators", "empty", ""},
		{"both names", "resources: {accelerators: A, gpus: B}\n", 1, 36, "resources.gpus", "cannot be used together", ""},
		{"TPU elsewhere", "resources: {infra: aws, accelerators: tpu-v3-8}\n", 1, 39, "resources.accelerators", "TPU", ""},
		{"number as text", "num_nodes: \"2\"\n", 1, 12, "num_nodes", "whole number", "remove the quotes"},
		{"boolean as name", "name: yes\n", 1, 7, "name", "boolean", `write "yes" in quotes`},
		{"cloud name", "resources: {infra: gpc}\n", 1, 20, "resources.infra", "no known cloud", "did you mean gcp?"},
		{"own place in a file", "resources: {infra: local}\n", 1, 20, "resources.infra", "no known cloud", "--infra local"},
		{"choice", "resources: {disk_tier: hihg}\n", 1, 24, "resources.disk_tier", `"hihg"`, "did you mean high?"},
		{"choice in a service", "service: {load_balancing_policy: round_robbin}\n", 1, 34, "service.load_balancing_policy", "not known", "did you mean round_robin?"},
		{"unit", "resources: {memory: 16GiB}\n", 1, 21, "resources.memory", `"16GiB"`, "GB or Gi"},
		{"fractional disk", "resources: {disk_size: 100MB}\n", 1, 24, "resources.disk_size", "whole gigabytes", ""},
		{"autostop in quotes", "resources: {autostop: \"true\"}\n", 1, 23, "resources.autostop", "autostop takes", "remove the quotes"},
		{"duplicate key", "envs:\n  A: 1\n  A: 2\n", 3, 3, "A", "lines 2 and 3", "remove one"},
		{"required env", "envs: {A: }\n", 1, 8, "envs.A", "no value", "--env A=VALUE"},
		{"second document", "run: x\n---\nrun: y\nfoo: 1\n", 4, 1, "[2].foo", "no key", ""},
		{"mode with a config", "file_mounts:\n  /d: {name: abc, config: {mount_cached: {transfers: 1}}}\n", 2, 42, "file_mounts./d.config.mount_cached", "no effect", "mode: MOUNT_CACHED"},
		{"same target", "envs: {P: /x}\nfile_mounts: {/x: a, $P: b}\n", 2, 22, "file_mounts./x", "same path", ""},
		{"hook event", "config: {hooks: [{run: a, events: [halt]}]}\n", 1, 36, "config.hooks[0].events[0]", `"halt"`, ""},
		{"hook under resources", "resources: {hooks: []}\n", 1, 13, "resources.hooks", "no key", "config.hooks"},
		{"budget", "budget: {max_cost: -1}\n", 1, 20, "budget.max_cost", "greater than 0", ""},
		{"duration", "budget: {max_duration: soon}\n", 1, 24, "budget.max_duration", `"soon"`, ""},
		{"fail_on", "tests: {fail_on: maybe}\n", 1, 18, "tests.fail_on", `"maybe"`, ""},
		{"predictions", "tests: [{predictions: {trian: a}}]\n", 1, 24, "tests[0].predictions.trian", "no key", "did you mean train?"},
		{"artifact", "artifacts: [{dest: a}]\n", 1, 13, "artifacts[0].path", "needs the key path", ""},
		{"priorities differ", "resources:\n  any_of: [{priority: 1}, {priority: 2}]\n", 2, 11, "resources.any_of", "different priorities", ""},
		{"group name", "execution: parallel\n---\nname: a\nrun: x\n", 1, 1, "name", "needs a name", ""},
		{"unknown primary", "name: g\nexecution: parallel\nprimary_tasks: [tran]\n---\nname: train\nrun: x\n", 0, 0, "primary_tasks[0]", `"tran"`, "did you mean train?"},
		{"delay", "name: g\nexecution: parallel\ntermination_delay: 5x\n---\nname: a\nrun: x\n", 3, 20, "termination_delay", `"5x"`, ""},
		{"capital execution", "name: g\nexecution: PARALLEL\n---\nrun: x\n", 2, 12, "execution", `"PARALLEL"`, "did you mean parallel?"},
		{"header alone", "name: p\nexecution: serial\n---\n", 1, 1, "", "no task after", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			doc, ds := tasks.Parse("t.yaml", []byte(tt.src), tasks.Overrides{})
			if doc != nil || !ds.HasErrors() {
				t.Fatal("accepted")
			}
			d := ds.Errors()[0]
			if d.Line != tt.line || d.Column != tt.col || d.Field != tt.field || !strings.Contains(d.Message, tt.message) || !strings.Contains(d.Suggestion, tt.suggestion) {
				t.Errorf("got %d:%d %q: %s (%s)\nwant %d:%d %q: %s (%s)", d.Line, d.Column, d.Field, d.Message, d.Suggestion,
					tt.line, tt.col, tt.field, tt.message, tt.suggestion)
			}
			if d.File != "t.yaml" || d.Severity != tasks.SeverityError {
				t.Errorf("file %q, severity %q", d.File, d.Severity)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, src, message string }{
		{"base 60", "envs: {T: 12:30}\nrun: x\n", "12:30"},
		{"octal port", "resources: {ports: 0777}\nrun: x\n", "511"},
		{"boolean key", "envs: {on: 1}\nrun: x\n", "True"},
		{"boolean key further down", "tests: {train: a.csv, dtypes: {on: int64}}\nrun: x\n", "boolean"},
		{"list as value", "envs: {A: [1]}\nrun: x\n", "becomes the text"},
		{"unset variable", "workdir: $NOPE\nrun: x\n", "NOPE is not set"},
		{"idle time missing", "resources: {autostop: {down: true}}\nrun: x\n", "idle_minutes"},
		{"older hook", "resources: {autostop: {idle_minutes: 5, hook: x}}\nrun: x\n", "older form"},
		{"group header", "name: g\nexecution: parallel\nfoo: 1\n---\nname: a\nrun: x\n", "ignored"},
		{"recovery key", "resources: {job_recovery: {foo: 1}}\nrun: x\n", "no meaning"},
		{"task name", "name: my task\nrun: x\n", "a launch will refuse this"},
		{"label", "resources: {infra: gcp, labels: {Team: x}}\nrun: x\n", "Team"},
		{"label nowhere", "resources: {labels: {'a b!': x}}\nrun: x\n", "any cloud"},
		{"AMI without region", "resources: {infra: aws, image_id: ami-1}\nrun: x\n", "one region"},
		{"image without cloud", "resources: {image_id: ami-1}\nrun: x\n", "needs a cloud"},
		{"image elsewhere", "resources: {infra: aws/eu-west-1, image_id: {us-east-1: a}}\nrun: x\n", "no image for the region"},
		{"strategy", "resources: {job_recovery: foo}\nrun: x\n", "recovery strategy"},
		{"exit code", "resources: {job_recovery: {recover_on_exit_codes: 137}}\nrun: x\n", "137"},
		{"workdir clash", "workdir: .\nfile_mounts: {~/sky_workdir: a}\n", "workdir"},
		{"trailing slash", "file_mounts: {/a/: b}\n", "slash"},
		{"bucket as target", "file_mounts: {\"s3://x\": ./f}\n", "is a bucket"},
		{"name and URI", "file_mounts: {/d: {name: abc, source: s3://b}}\n", "both"},
		{"registry login", "envs: {SKYPILOT_DOCKER_USERNAME: u}\nrun: x\n", "registry login"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			doc, ds := tasks.Parse("t.yaml", []byte(tt.src), tasks.Overrides{})
			if doc == nil {
				t.Fatalf("rejected:\n%s", ds.Error())
			}
			if w := ds.Warnings(); len(w) == 0 || !strings.Contains(w.Error(), tt.message) || w[0].Severity != tasks.SeverityWarning {
				t.Errorf("warnings %v, want one with %q", w, tt.message)
			}
		})
	}
}

// A launch refuses what Parse warned about, with errors.
func TestCheckLaunch(t *testing.T) {
	t.Parallel()
	task := one(t, "name: my task\nrun: x\nresources: {any_of: [{infra: aws}, {infra: gcp, labels: {A: b}}]}\n", tasks.Overrides{})
	ds := task.CheckLaunch()
	if len(ds) != 2 || !ds.HasErrors() || ds[0].Line != 1 || ds[1].Field != "resources.any_of[1].labels.A" || ds[1].Line != 3 {
		t.Errorf("got %v", ds)
	}
	if ds := one(t, "run: x\n", tasks.Overrides{}).CheckLaunch(); ds != nil {
		t.Errorf("a plain task: %v", ds)
	}
	line, col := task.Position("resources.any_of[1].infra")
	if line != 3 || col != 44 {
		t.Errorf("position %d:%d", line, col)
	}
}

func TestSecretsNeverPrint(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	task := one(t, `
secrets: {TOKEN: hunter2}
file_mounts: {/d: "s3://b-${TOKEN}/x", "/k-$TOKEN": a}
volumes: {/v: "v-${TOKEN}"}
workdir: /w/${TOKEN}
service:
  readiness_probe: {path: "/${TOKEN}", post_data: '{"t": "${TOKEN}"}', headers: {A: "$TOKEN"}}
`, tasks.Overrides{})
	js, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	log := slog.New(slog.NewTextHandler(&logged, nil))
	log.Info("x", "task", task, "secret", task.Secrets["TOKEN"], "all", task.Secrets)
	s := task.Secrets["TOKEN"]
	text, err := s.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{
		"YAML": string(task.YAML()), "JSON": string(js), "String": task.String(), "%+v": fmt.Sprintf("%+v", task),
		"%#v": fmt.Sprintf("%#v", task), "secret %v %s %q %x %#v": fmt.Sprintf("%v %s %q %x %#v", s, s, s, s, s),
		"map": fmt.Sprint(task.Secrets), "log": logged.String(), "text": string(text),
	} {
		if strings.Contains(got, secret) || strings.Contains(got, fmt.Sprintf("%x", secret)) {
			t.Errorf("%s shows the secret: %s", name, got)
		}
	}
	if s.Reveal() != secret || task.FileMounts[0].Src != "s3://b-hunter2/x" || task.Environment()["TOKEN"] != secret {
		t.Error("the real values are gone")
	}
	// Nor do messages about it.
	for _, src := range []string{
		"secrets: {T: hunter2}\nfile_mounts: {/a: {name: x, mode: $T}}\n",
		"secrets: {T: hunter2}\nservice: {$T: 1}\n",
		"secrets: {T: hunter2}\nservice: {readiness_probe: $T}\n",
		"secrets: hunter2\n",
		"secrets: [hunter2]\n",
		"secrets: {T: 'hunter2 \"'}\nfile_mounts: {/a: s3://$T}\n",
	} {
		if _, ds := tasks.Parse("t.yaml", []byte(src), tasks.Overrides{}); !ds.HasErrors() || strings.Contains(ds.Error(), secret) {
			t.Errorf("%s gives\n%s", src, ds.Error())
		}
	}
}

func TestOwnSections(t *testing.T) {
	t.Parallel()
	task := one(t, `
run: x
tests:
  - {name: a, suites: [data_integrity], train: t.csv, label: y, seed: 3, fail_on: warn, checks: [{drift: {max: 0.1}}]}
  - {kind: tabular, suites: full}
artifacts: {model.pt: out/, logs/*: null}
budget: {max_cost: 5, max_duration: 1h30m, max_hourly_cost: $2.5}
`, tasks.Overrides{})
	if len(task.Tests) != 2 || task.Tests[0].FailOn != "warn" || task.Tests[0].Label != "y" || task.Tests[1].FailOn != "fail" ||
		!reflect.DeepEqual(task.Tests[1].Suites, []string{"full"}) || task.Tests[0].Raw["seed"] != int64(3) {
		t.Errorf("tests are %+v", task.Tests)
	}
	if want := []tasks.Artifact{{Path: "model.pt", Dest: "out/"}, {Path: "logs/*"}}; !reflect.DeepEqual(task.Artifacts, want) {
		t.Errorf("artifacts are %+v", task.Artifacts)
	}
	if want := (tasks.Budget{MaxCost: 5, MaxHourlyCost: 2.5, MaxDuration: 90 * time.Minute}); task.Budget != want {
		t.Errorf("budget is %+v", task.Budget)
	}
}

func TestFromCommand(t *testing.T) {
	t.Parallel()
	doc, ds := tasks.FromCommand("echo $HOME: yes", tasks.Overrides{Env: []string{"A=1"}, Infra: ptr("local"), GPUs: ptr("T4:2")})
	if doc == nil {
		t.Fatal(ds.Error())
	}
	task := doc.Tasks[0]
	r := task.Resources.Alternatives[0]
	if task.Name != "sky-cmd" || task.Run != "echo $HOME: yes" || task.Envs["A"] != "1" || r.Infra.Cloud != "local" || r.Accelerators[0].Count != 2 {
		t.Errorf("got %s", task)
	}
	if doc, _ := tasks.FromCommand("", tasks.Overrides{}); doc == nil || doc.Tasks[0].HasRun {
		t.Error("an empty command must leave run out")
	}
}

func TestVariablePrecedence(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	envFile := write("a.env", "A=file\nB=file\nS=file\nR=file\nNEW=file\n")
	later := write("b.env", "B=later\n")
	secretFile := write("s.env", "S=sfile\nU=sfile\n")
	task := one(t, "envs: {A: yaml, B: yaml, C: yaml, Q: null}\nsecrets: {S: yaml, R: null, T: yaml, U: yaml}\nrun: x\n", tasks.Overrides{
		EnvFiles: []string{envFile, later}, SecretFiles: []string{secretFile}, Env: []string{"A=flag", "Q", "A=last"}, Secrets: []string{"U=flag", "V=new"},
		LookupEnv: func(k string) (string, bool) { return "local", k == "Q" },
	})
	if want := map[string]string{"A": "last", "B": "later", "C": "yaml", "Q": "local", "S": "file", "R": "file", "NEW": "file"}; !reflect.DeepEqual(task.Envs, want) {
		t.Errorf("envs are %v", task.Envs)
	}
	got := map[string]string{}
	for k, v := range task.Secrets {
		got[k] = v.Reveal()
	}
	if want := map[string]string{"S": "sfile", "R": "file", "T": "yaml", "U": "flag", "V": "new"}; !reflect.DeepEqual(got, want) {
		t.Errorf("secrets are %v", got)
	}
	for _, o := range []tasks.Overrides{
		{Env: []string{"NOPE"}}, {Env: []string{"1A=x"}}, {EnvFiles: []string{filepath.Join(dir, "none")}}, {Secrets: []string{"=x"}},
		{SecretFiles: []string{write("bad.env", "A-B=1\n")}},
	} {
		if doc, ds := tasks.Parse("t.yaml", []byte("run: x\n"), o); doc != nil || !ds.HasErrors() {
			t.Errorf("%+v: accepted", o)
		}
	}
}
