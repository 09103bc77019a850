package ssh

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInventory(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ name, text, want string }{
		{"empty", "", ""},
		{"skypilot's", "lab:\n  user: ubuntu\n  identity_file: ~/k\n  hosts:\n    - 10.0.0.1\n    - {ip: 10.0.0.2, user: root}\n", ""},
		{"a list", "- a\n", "f:1: the inventory must be a map"},
		{"no hosts", "lab: {user: me}\n", "f:1: pool lab: hosts must be a list of at least one host"},
		{"password", "lab:\n  hosts: [a]\n  password: x\n", "f:3: pool lab: passwords are not used"},
		{"unknown field", "lab:\n  hosts: [a]\n  color: red\n", `f:3: pool lab: unknown field "color"; allowed: hosts, user`},
		{"unknown field of a host", "lab:\n  hosts:\n   - host: a\n     colour: red\n", `f:4: pool lab: unknown field "colour" of a host`},
		{"port", "lab:\n  port: 99999\n  hosts: [a]\n", `f:2: pool lab: port "99999"; allowed: 1 to 65535`},
		{"gpus", "lab:\n  gpus: V100:x\n  hosts: [a]\n", `f:2: pool lab: gpus "V100:x": "x" is no count`},
		{"cpus", "lab:\n  cpus: NaN\n  hosts: [a]\n", `f:2: pool lab: cpus "NaN" is no positive number`},
		{"twice", "lab:\n  hosts: [a, b, a]\n", "f:2: pool lab: host a is there twice"},
		{"option", "lab:\n  hosts: [-oProxyCommand=x]\n", `is no host name`},
		{"pool name", "a/b:\n  hosts: [a]\n", `f:1: pool "a/b"`},
		{"not YAML", "a: [\n", "f: yaml:"},
	} {
		v, bad := parseInventory("f", []byte(x.text))
		got := strings.Join(bad, "\n")
		if x.want == "" && got != "" || !strings.Contains(got, x.want) {
			t.Errorf("%s: %q, want %q", x.name, got, x.want)
		}
		if x.name == "skypilot's" && (len(v.hosts) != 2 || v.hosts[0].User != "ubuntu" || v.hosts[1].User != "root" || v.hosts[1].Identity != "~/k" || v.hosts[1].At != "f:6") {
			t.Errorf("%s: %+v", x.name, v)
		}
	}
}

func TestTwoFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for path, text := range map[string]string{a: "lab: {hosts: [x@one:7, two]}\n", b: "lab: {hosts: [three]}\nother: {hosts: [four]}\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	v, err := readInventory([]string{a, filepath.Join(dir, "none"), b})
	if err != nil || len(v.pools) != 2 || len(v.hosts) != 3 || v.hosts[0].Name != "one" || v.hosts[0].User != "x" || v.hosts[0].Port != 7 {
		t.Errorf("%+v, %v", v, err)
	}
}

func FuzzInventory(f *testing.F) {
	f.Add("lab:\n  hosts: [a]\n")
	f.Add("a: &x {hosts: [{host: b, gpus: 'V:1'}]}\nb: *x\n")
	f.Fuzz(func(_ *testing.T, text string) { parseInventory("f", []byte(text)) })
}

func TestParseFacts(t *testing.T) {
	t.Parallel()
	f := parseFacts("Welcome!\n\ncpus 64\nmemory 527912345\nNVIDIA A100-SXM4-80GB, 81920\nNVIDIA A100-SXM4-80GB, 81920\n")
	if f.instanceType() != "64CPU--503.4GB--A100-80GB:2" {
		t.Errorf("%+v: %s", f, f.instanceType())
	}
}
