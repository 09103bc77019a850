package ssh_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aloft/providers"
	"aloft/providers/providertest"
	"aloft/providers/shell"
	"aloft/providers/shell/shelltest"
	"aloft/providers/ssh"
)

// place is some servers, a person who may log in there, and a home with an inventory.
type place struct {
	home, user string
	servers    []*shelltest.Server
}

// newPlace starts servers. The person's home is HOME of this process: no test here runs beside another.
func newPlace(t *testing.T, n int) *place {
	t.Helper()
	user, host := shelltest.Key("user"), shelltest.Key("host")
	p := &place{home: t.TempDir(), user: t.TempDir()}
	t.Setenv("HOME", p.user)
	t.Setenv("SSH_AUTH_SOCK", "")
	private, err := shell.PrivateKey(user, "")
	if err != nil {
		t.Fatal(err)
	}
	public, err := shell.PublicKey(host, "")
	if err != nil {
		t.Fatal(err)
	}
	var known, config, inventory strings.Builder
	inventory.WriteString("lab:\n  user: root\n  hosts:\n")
	for i := range n {
		s := shelltest.Start(t, shelltest.Options{HostKey: host, Authorized: []ed25519.PrivateKey{user}})
		p.servers = append(p.servers, s)
		fmt.Fprintf(&known, "[%s]:%d %s\n", s.Host, s.Port, public)
		fmt.Fprintf(&config, "Host gpu%d\n  HostName %s\n  Port %d\n", i, s.Host, s.Port)
		fmt.Fprintf(&inventory, "    - host: gpu%d\n      gpus: V100:2\n      cpus: 4\n      memory: 16\n", i)
	}
	write(t, filepath.Join(p.user, ".ssh", "id_ed25519"), string(private))
	write(t, filepath.Join(p.user, ".ssh", "known_hosts"), known.String())
	write(t, filepath.Join(p.user, ".ssh", "config"), config.String())
	write(t, filepath.Join(p.home, "ssh.yaml"), inventory.String())
	return p
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p *place) provider(t testing.TB) *ssh.Provider {
	t.Helper()
	x, err := ssh.New(providers.Config{Home: p.home})
	if err != nil {
		t.Fatal(err)
	}
	x.SetLinger(100 * time.Millisecond)
	return x
}

func spec() providers.NodeSpec {
	return providers.NodeSpec{Region: "lab", InstanceType: "4CPU--16GB--V100:2", CPUs: 4, MemoryGB: 16}
}

func request(token string) providers.CreateRequest {
	return providers.CreateRequest{Token: token, Name: "c-head", Spec: spec(), Tags: providers.Tags{Installation: "me", ClusterID: "c", ClusterName: "c", Owner: "ann"}}
}

func TestConformance(t *testing.T) {
	p := newPlace(t, 4)
	providertest.Run(t, providertest.Config{
		New: func(t *testing.T) providers.Provider {
			if err := os.RemoveAll(filepath.Join(p.home, "ssh-leases")); err != nil {
				t.Fatal(err)
			}
			for _, s := range p.servers {
				if err := os.RemoveAll(filepath.Join(s.Dir, ".aloft")); err != nil {
					t.Fatal(err)
				}
			}
			return p.provider(t)
		},
		Spec: spec,
		Many: 4,
		Stranger: func(t *testing.T, x providers.Provider) string {
			r := request("sky1-stranger")
			r.Tags.Installation = "somebody"
			in, err := x.Create(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			return in.ID
		},
	})
}

func describe(t *testing.T, x *ssh.Provider, s providers.Selector) (out []providers.Instance) {
	t.Helper()
	for in, err := range x.Describe(t.Context(), s) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, in)
	}
	return out
}

func run(t *testing.T, sh providers.Shell, line string) string {
	t.Helper()
	var out bytes.Buffer
	if _, err := sh.Run(t.Context(), providers.Cmd{Line: line, Stdout: &out, Stderr: &out}); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.String())
}

// TestLease: one lease per host, whoever asks; what ran under it ends with it, and nothing else.
func TestLease(t *testing.T) {
	p := newPlace(t, 1)
	x, other := p.provider(t), p.provider(t)
	in, err := x.Create(t.Context(), request("sky1-a"))
	if err != nil {
		t.Fatal(err)
	}
	if in.Address != "127.0.0.1" || in.Region != "lab" {
		t.Errorf("created %+v", in)
	}
	_, err = other.Create(t.Context(), request("sky1-b"))
	var e *providers.Error
	if !errors.As(err, &e) || e.Kind != providers.Capacity || !strings.Contains(e.Error(), "gpu0 by c of ann") {
		t.Errorf("a second lease: %v", err)
	}
	sh, err := other.Shell(t.Context(), in, providers.Keys{})
	if err != nil {
		t.Fatal(err)
	}
	run(t, sh, "nohup setsid sleep 4321 >/dev/null 2>&1 & (trap '' TERM; exec setsid sleep 4322 >/dev/null 2>&1) & sleep 0.2; mkdir -p .aloft/agent; echo x >.aloft/agent/x; echo y >mine")
	_ = sh.Close()
	apart, err := shell.Dial(t.Context(), p.target(t), shell.Options{Provider: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer apart.Close()
	run(t, apart, "nohup setsid sleep 4323 >/dev/null 2>&1 &")
	if got := run(t, apart, "pgrep -xa sleep | cut -d' ' -f3 | sort | tr '\n' ' '"); got != "4321 4322 4323" {
		t.Fatalf("running: %q", got)
	}
	if err := other.Delete(t.Context(), in.InstanceRef); err != nil {
		t.Fatal(err)
	}
	if got := run(t, apart, "pgrep -xa sleep | cut -d' ' -f3 | tr '\n' ' '; ls .aloft/agent 2>/dev/null; cat mine"); got != "4323 y" {
		t.Errorf("left: %q", got)
	}
	if _, err := x.Shell(t.Context(), in, providers.Keys{}); providers.KindOf(err) != providers.NotFound {
		t.Errorf("a shell on what was deleted: %v", err)
	}
	// The host is free again, and the agent's own end gives it back, too.
	in, err = other.Create(t.Context(), request("sky1-c"))
	if err != nil {
		t.Fatal(err)
	}
	if sh, err = other.Shell(t.Context(), in, providers.Keys{}); err != nil {
		t.Fatal(err)
	}
	defer sh.Close()
	run(t, sh, `"$HOME/.aloft/end" terminate`)
	await(t, "the lease ends by itself", func() bool {
		got := describe(t, x, providers.Selector{IDs: []string{in.ID}})
		return len(got) == 1 && got[0].State == providers.InstanceTerminated && got[0].Reason == "powered off"
	})
	// So does its deadline.
	r := request("sky1-d")
	r.Deadline = time.Now().Add(-time.Second)
	if in, err = x.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if got := describe(t, x, providers.Selector{Token: "sky1-d"}); len(got) != 1 || got[0].State != providers.InstanceTerminated || got[0].Reason != "deadline" {
		t.Errorf("past its deadline: %+v", got)
	}
	if got := describe(t, x, providers.Selector{Ours: true}); len(got) != 0 {
		t.Errorf("left: %+v", got)
	}
}

func (p *place) target(t *testing.T) shell.Target {
	t.Helper()
	c, err := shell.ReadConfig(p.user)
	if err != nil {
		t.Fatal(err)
	}
	target, err := c.Resolve(shell.Target{Host: "gpu0", User: "root"})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not in time: %s", what)
		}
	}
}

// TestHostDown: a host that does not answer is left out of offers and of new leases, and its leases are unknown, not gone.
func TestHostDown(t *testing.T) {
	p := newPlace(t, 2)
	inventory, err := os.ReadFile(filepath.Join(p.home, "ssh.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(p.home, "ssh.yaml"), string(inventory)+"    - gpu9\nasked:\n  user: root\n  hosts: [gpu0, gpu1]\n")
	x := p.provider(t)
	a, err := x.Create(t.Context(), request("sky1-a"))
	if err != nil {
		t.Fatal(err)
	}
	down := p.servers[0]
	if !strings.Contains(a.ID, "gpu0") {
		down = p.servers[1]
	}
	down.Down()
	unknown := false
	for in, err := range x.Describe(t.Context(), providers.Selector{IDs: []string{a.ID}}) {
		if err == nil {
			t.Errorf("described as %+v", in)
		}
		unknown = unknown || providers.KindOf(err) == providers.Transient
	}
	if !unknown {
		t.Error("a host that is down is not unknown")
	}
	if err := x.Delete(t.Context(), a.InstanceRef); providers.KindOf(err) != providers.Transient {
		t.Errorf("delete on a host that is down: %v", err)
	}
	if _, err := x.Create(t.Context(), request("sky1-b")); err != nil {
		t.Error(err)
	}
	_, err = x.Create(t.Context(), request("sky1-c"))
	if e := new(providers.Error); !errors.As(err, &e) || e.Kind != providers.Capacity || !strings.Contains(e.Error(), "not reachable") || !strings.Contains(e.Error(), "in use") {
		t.Errorf("no host left: %v", err)
	}
	var regions []string
	for o, err := range x.Offers(t.Context(), providers.OfferQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		regions = append(regions, o.Region)
	}
	slices.Sort(regions)
	if got := strings.Join(slices.Compact(regions), " "); got != "asked lab" {
		t.Errorf("offers of %q", got)
	}
	acc, err := x.CheckAccount(t.Context())
	if err != nil || len(acc.Notes) < 2 || !strings.Contains(strings.Join(acc.Notes, "\n"), "ssh.yaml:") {
		t.Errorf("check: %+v, %v", acc, err)
	}
	down.Up()
	if got := describe(t, x, providers.Selector{IDs: []string{a.ID}}); len(got) != 1 || got[0].State != providers.InstanceRunning {
		t.Errorf("after the host came back: %+v", got)
	}
}
