// Package ship puts the agent on a node through a provider's Shell: it finds the platform, sends the binary unless it
// is there, verifies it by hash, starts it, and learns where it listens.
package ship

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path"
	"strings"
	"sync"

	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

// Shipper installs agents and remembers where they listen.
type Shipper struct {
	payload *Payload
	log     *slog.Logger
	mu      sync.Mutex
	sockets map[string]string // by node id
}

// New makes a Shipper of the agents in p.
func New(p *Payload, log *slog.Logger) *Shipper {
	return &Shipper{payload: p, log: log, sockets: map[string]string{}}
}

// Dial opens a stream to the agent that Ship put on a node.
func (s *Shipper) Dial(ctx context.Context, _ *statev1.Cluster, node *statev1.Node, sh providers.Shell) (net.Conn, error) {
	s.mu.Lock()
	socket := s.sockets[node.GetId()]
	s.mu.Unlock()
	if socket == "" {
		// Another controller shipped it: the agent wrote down where it listens.
		out, err := s.run(ctx, sh, `cat "$HOME/.aloft/agent/socket"`, nil)
		if err != nil {
			return nil, fmt.Errorf("find the agent's socket on node %s: %w", node.GetName(), err)
		}
		socket = strings.TrimSpace(out)
	}
	c, err := sh.Dial(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("reach the agent on node %s: %w", node.GetName(), err)
	}
	s.mu.Lock()
	s.sockets[node.GetId()] = socket
	s.mu.Unlock()
	return c, nil
}

// Ship makes sure that an agent runs on the node. Doing it again is harmless: a running agent is left alone; one of
// another build is upgraded by the fleet once its session is up.
func (s *Shipper) Ship(ctx context.Context, _ *statev1.Cluster, node *statev1.Node, sh providers.Shell) error {
	// One round trip says what the machine is and which agents lie there already.
	facts, err := s.run(ctx, sh, `uname -s; uname -m; if command -v zstd >/dev/null 2>&1; then echo zstd; fi; ls "$HOME/.aloft/bin" 2>/dev/null; exit 0`, nil)
	if err != nil {
		return fmt.Errorf("ask node %s what it is: %w", node.GetName(), err)
	}
	lines := strings.Split(strings.TrimSpace(facts), "\n")
	if len(lines) < 2 {
		return fmt.Errorf("ask node %s what it is: answer %q", node.GetName(), facts)
	}
	goos, goarch, err := platform(lines[0], lines[1])
	if err != nil {
		return never(codeNoAgent, "ask for another instance type or image: agents are built for Linux and macOS on amd64 and arm64",
			fmt.Errorf("node %s: %w", node.GetName(), err))
	}
	agent, err := s.payload.Agent(goos, goarch)
	if err != nil {
		return never(codeNoAgent, "build sky with `make build`, or unset ALOFT_AGENT; then launch again", err)
	}
	name := "sky-agent-" + agent.SHA256[:16]
	have, unpacks := false, false
	for _, l := range lines[2:] {
		have = have || strings.TrimSpace(l) == name
		unpacks = unpacks || strings.TrimSpace(l) == "zstd"
	}
	if !have {
		if err := s.upload(ctx, sh, agent, name, unpacks); err != nil {
			return fmt.Errorf("send the agent to node %s: %w", node.GetName(), err)
		}
		s.log.Info("agent sent", "node", node.GetId(), "sha256", agent.SHA256)
	}
	out, err := s.run(ctx, sh, fmt.Sprintf(`exec "$HOME/.aloft/bin/%s" start --node %s%s`, name, quote(node.GetId()), gangAddress(node)), nil)
	if err != nil {
		return unstarted(fmt.Errorf("start the agent on node %s: %w", node.GetName(), err))
	}
	all := strings.Split(strings.TrimSpace(out), "\n")
	socket := all[len(all)-1]
	if !path.IsAbs(socket) {
		return unstarted(fmt.Errorf("start the agent on node %s: answer %q is not the path of a socket", node.GetName(), out))
	}
	s.mu.Lock()
	s.sockets[node.GetId()] = socket
	s.mu.Unlock()
	return nil
}

// gangAddress tells the agent where the agents of other nodes reach it: at its private address and nowhere else.
func gangAddress(n *statev1.Node) string {
	ip, err := netip.ParseAddr(n.GetAddress())
	if err != nil || ip.IsLoopback() || ip.IsUnspecified() {
		return ""
	}
	return " --gang-address " + quote(net.JoinHostPort(ip.String(), "0"))
}

// upload streams the binary beside its place and moves it there only when its hash is right.
func (s *Shipper) upload(ctx context.Context, sh providers.Shell, a Agent, name string, unpacks bool) error {
	receive := "cat"
	var from io.Reader = bytes.NewReader(a.zstd)
	if unpacks && len(a.zstd) > 0 {
		receive = "zstd -dcq"
	} else {
		f, err := os.Open(a.Path)
		if err != nil {
			return fmt.Errorf("open the unpacked agent: %w", err)
		}
		defer f.Close()
		from = f
	}
	script := fmt.Sprintf(`set -e; umask 077; d="$HOME/.aloft/bin"; mkdir -p "$d"; t="$d/.up.$$"; trap 'rm -f "$t"' EXIT; %s >"$t"
if command -v sha256sum >/dev/null 2>&1; then h=$(sha256sum <"$t"); else h=$(shasum -a 256 <"$t"); fi
h=${h%%%% *}; if [ "$h" != %s ]; then echo "what arrived has the hash $h" >&2; exit 65; fi
chmod 700 "$t"; mv -f "$t" "$d/%s"`, receive, a.SHA256, name)
	_, err := s.run(ctx, sh, script, from)
	return err
}

// run runs a script; its standard error becomes the error's text.
func (s *Shipper) run(ctx context.Context, sh providers.Shell, script string, stdin io.Reader) (string, error) {
	var out, errOut bytes.Buffer
	cmd := providers.Cmd{Line: script, Stdin: stdin, Stdout: &out, Stderr: &errOut}
	exit, err := sh.Run(ctx, cmd)
	if err != nil {
		return "", err
	}
	if exit.Signal != 0 {
		return "", fmt.Errorf("ended by signal %d", exit.Signal)
	}
	if exit.Code != 0 {
		msg := strings.TrimSpace(errOut.String())
		if msg == "" {
			msg = strings.TrimSpace(out.String())
		}
		return "", fmt.Errorf("exit code %d: %s", exit.Code, msg)
	}
	return out.String(), nil
}

// errPlatform is returned for machines we have no agent for.
var errPlatform = errors.New("no agent for this platform")

// platform turns uname's words into Go's.
func platform(sys, machine string) (goos, goarch string, err error) {
	switch strings.TrimSpace(sys) {
	case "Linux":
		goos = "linux"
	case "Darwin":
		goos = "darwin"
	}
	switch strings.TrimSpace(machine) {
	case "x86_64", "amd64":
		goarch = "amd64"
	case "aarch64", "arm64":
		goarch = "arm64"
	}
	if goos == "" || goarch == "" {
		return "", "", fmt.Errorf("%w: %s %s", errPlatform, sys, machine)
	}
	return goos, goarch, nil
}

// quote makes a word for /bin/sh.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
