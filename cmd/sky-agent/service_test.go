package main

import (
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
)

// systemctl stands in for systemd's, which no machine of tests has: it only notes how it is called.
const systemctl = `#!/bin/sh
echo "$*" >>"$STANDIN/calls"
`

// TestService: where systemd is, it runs the agent; the unit says who and with what.
func TestService(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: units are installed as root")
	}
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, d := range []string{"units", "bin", "run", "state"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "bin", "systemctl"), []byte(systemctl), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("STANDIN", dir)
	t.Setenv("PATH", filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
	t.Setenv("ALOFT_LEASE", "0123")
	t.Setenv("SECRET", "hush")
	s := &service{running: filepath.Join(dir, "run"), units: filepath.Join(dir, "units"), user: u.Username, environ: os.Environ()}
	l := launch{state: filepath.Join(dir, "state"), node: "n 1", gang: "10.0.0.1:0"}
	said := filepath.Join(l.state, "socket")
	// No agent is run here: the name of its socket is put there for it.
	if err := os.WriteFile(said, []byte("/a/socket\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path, ok := s.start(l, said)
	if !ok || path != "/a/socket" {
		t.Fatalf("started: %q, %v", path, ok)
	}
	b, err := os.ReadFile(filepath.Join(s.units, unitName))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\nUser=" + u.Username + "\n", `Environment="ALOFT_LEASE=0123"`, `" "run" "--state-dir" "` + l.state + `" "--node" "n 1" "--gang-address" "10.0.0.1:0"`,
		"Restart=always", "KillMode=process", "WantedBy=multi-user.target", "append:" + l.state + "/agent.log",
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the unit does not say %q:\n%s", want, b)
		}
	}
	if strings.Contains(string(b), "hush") {
		t.Error("the unit has more of the environment than it should")
	}
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil || string(calls) != "daemon-reload\nenable --quiet sky-agent.service\nrestart sky-agent.service\n" {
		t.Errorf("calls %q, %v", calls, err)
	}
	// Somebody else's agent is left alone, and so is a machine without systemd.
	if err := os.WriteFile(filepath.Join(s.units, unitName), []byte("[Service]\nUser=other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.start(l, said); ok {
		t.Error("somebody else's unit is replaced")
	}
	s.running = filepath.Join(dir, "none")
	if _, ok := s.start(l, said); ok {
		t.Error("started by a systemd that is not there")
	}
}

func TestUnitQuote(t *testing.T) {
	t.Parallel()
	if got := unitQuote(`a "b" \c %d`); got != `"a \"b\" \\c %%d"` {
		t.Error(got)
	}
}
