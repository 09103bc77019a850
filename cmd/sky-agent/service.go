package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"aloft/agent/machine"
)

const (
	unitName = "sky-agent.service"
	// serviceTime bounds what systemctl and sudo may take.
	serviceTime = 30 * time.Second
	// serviceLimit is how long an agent that systemd started may take to listen, before it is started without.
	serviceLimit = 5 * time.Second
)

// service is the machine's systemd: an agent that it runs comes back after a crash and after a boot.
type service struct {
	running string // a directory that is there while systemd is
	units   string // where units lie
	uid     int
	user    string
	environ []string
}

// systemService is this machine's.
func systemService() *service {
	s := &service{running: "/run/systemd/system", units: "/etc/systemd/system", uid: os.Getuid(), environ: os.Environ()}
	if u, err := user.Current(); err == nil {
		s.user = u.Username
	}
	return s
}

// start has systemd run the agent and waits until it listens. false = it has to be started without: there is no systemd,
// no right to use it, or a unit of somebody else.
func (s *service) start(l launch, said string) (string, bool) {
	if fi, err := os.Stat(s.running); err != nil || !fi.IsDir() || s.user == "" || os.Getenv(machine.LocalNodeEnv) != "" {
		return "", false
	}
	self, err := os.Executable()
	if err != nil {
		return "", false
	}
	ctx, cancel := context.WithTimeout(context.Background(), serviceTime)
	defer cancel()
	path := filepath.Join(s.units, unitName)
	if old, err := os.ReadFile(path); err == nil && !strings.Contains(string(old), "\nUser="+s.user+"\n") {
		return "", false
	}
	install := `set -e; cat >"$1.new"; chmod 600 "$1.new"; mv -f "$1.new" "$1"; systemctl daemon-reload; systemctl enable --quiet "$2"; systemctl restart "$2"`
	if err := s.root(ctx, s.unit(self, l), "/bin/sh", "-c", install, "sh", path, unitName); err != nil {
		return "", false
	}
	limit := time.NewTimer(serviceLimit)
	defer limit.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if b, err := os.ReadFile(said); err == nil && len(b) > 0 {
			return strings.TrimSpace(string(b)), true
		}
		select {
		case <-tick.C:
		case <-limit.C:
			// It cannot run there (SELinux does not let services run programs of a home): not again at every boot.
			remove := `systemctl disable --quiet --now "$2"; rm -f "$1"; systemctl daemon-reload`
			_ = s.root(ctx, "", "/bin/sh", "-c", remove, "sh", path, unitName)
			return "", false
		}
	}
}

// root runs a command as root, when that needs no password.
func (s *service) root(ctx context.Context, stdin string, argv ...string) error {
	if s.uid != 0 {
		argv = append([]string{"sudo", "-n"}, argv...)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &said, &said, time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", argv[0], err, strings.TrimSpace(said.String()))
	}
	return nil
}

// passed are variables of the login that jobs see, too, as they do when the agent is started without systemd.
func passed(name string) bool {
	return slices.Contains([]string{"PATH", "LANG", "TZ", "SHELL", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"}, name) ||
		strings.HasPrefix(name, "LC_") || strings.HasPrefix(name, "ALOFT_")
}

// unit is the unit's file. KillMode=process: the processes of jobs outlive their agent.
func (s *service) unit(self string, l launch) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("[Unit]\nDescription=Aloft agent\nAfter=network-online.target\nWants=network-online.target\nStartLimitIntervalSec=0\n")
	line("[Service]\nType=exec\nUser=%s", s.user)
	for _, kv := range s.environ {
		if name, _, ok := strings.Cut(kv, "="); ok && passed(name) && !strings.ContainsAny(kv, "\n\r") {
			line("Environment=%s", unitQuote(kv))
		}
	}
	args := []string{unitQuote(self)}
	for _, a := range l.args() {
		args = append(args, unitQuote(a))
	}
	line("ExecStart=%s", strings.ReplaceAll(strings.Join(args, " "), "$", "$$"))
	log := filepath.Join(l.state, "agent.log")
	line("StandardOutput=append:%s\nStandardError=append:%s", unitPercent(log), unitPercent(log))
	line("Restart=always\nRestartSec=1\nKillMode=process\nTimeoutStopSec=10\nLimitNOFILE=524288\n")
	line("[Install]\nWantedBy=multi-user.target")
	return b.String()
}

// unitQuote is a word of a unit's line.
func unitQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace(s) + `"`
}

func unitPercent(s string) string { return strings.ReplaceAll(s, "%", "%%") }
