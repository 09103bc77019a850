package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aloft/providers"
	"aloft/providers/boot"
	"aloft/providers/hostlab"
	"aloft/providers/shell"
)

// labKey is a key for tests, the same for the same label.
func labKey(label string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(label))
	return ed25519.NewKeyFromSeed(seed[:])
}

// newHosts makes hosts that the user of the world may log in to, and notes their host keys.
func (w *world) newHosts(names ...string) []*hostlab.Host {
	w.Helper()
	if err := hostlab.Available(); err != nil {
		w.Skipf("SKIPPED, no hosts can be made here: %v", err)
	}
	lab, err := hostlab.New(hostlab.Options{})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := lab.Close(); err != nil {
			w.Error(err)
		}
	})
	private, err := shell.PrivateKey(labKey("user"), "")
	if err != nil {
		w.Fatal(err)
	}
	public, err := shell.PublicKey(labKey("host"), "")
	if err != nil {
		w.Fatal(err)
	}
	script, err := boot.Script{User: "ubuntu", Keys: providers.Keys{User: labKey("user"), Host: labKey("host")}}.Bytes()
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	defer cancel()
	var hosts []*hostlab.Host
	var known strings.Builder
	for _, name := range names {
		h, err := lab.Start(ctx, hostlab.Spec{Name: name, Boot: script})
		if err != nil {
			w.Fatal(err)
		}
		hosts = append(hosts, h)
		fmt.Fprintf(&known, "%s %s\n", h.Address(), public)
	}
	w.write(".ssh/id_ed25519", string(private))
	w.write(".ssh/known_hosts", known.String())
	if err := os.Chmod(filepath.Join(w.dir, ".ssh", "id_ed25519"), 0o600); err != nil {
		w.Fatal(err)
	}
	for _, h := range hosts {
		w.eventually(h.Name()+" answers", func() bool {
			_, err := shell.Dial(ctx, shell.Target{Host: h.Address(), User: "ubuntu"}, shell.Options{Keys: providers.Keys{User: labKey("user"), Host: labKey("host")}})
			return err == nil
		})
	}
	return hosts
}

// inside runs a line as root on a host.
func (w *world) inside(h *hostlab.Host, line string) string {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := h.Run(ctx, line)
	if err != nil {
		w.Fatalf("%s: %s: %v: %s", h.Name(), line, err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestHostsOverSSH: two machines of the user's own, behind a third: a job on both, their agents talking at their private
// addresses, and a cut cable that ends the job as a failure of the infrastructure.
func TestHostsOverSSH(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hosts := w.newHosts("gate", "left", "right")
	gate, left, right := hosts[0], hosts[1], hosts[2]
	w.write(".ssh/config", "Host gate\n  HostName "+gate.Address()+"\n  User ubuntu\nHost *\n  IdentityFile "+
		filepath.Join(w.dir, ".ssh", "id_ed25519")+"\n  UserKnownHostsFile "+filepath.Join(w.dir, ".ssh", "known_hosts")+"\n")
	w.write(".aloft/ssh.yaml", fmt.Sprintf("lab:\n  user: ubuntu\n  proxy_jump: gate\n  hosts: [%s, %s]\n", left.Address(), right.Address()))
	// Nothing of this machine reaches the two but through the gate.
	for _, h := range []*hostlab.Host{left, right} {
		w.inside(h, "ip route add blackhole $(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p')/32; ip route add "+gate.Address()+" dev eth0 2>/dev/null; true")
	}
	w.exits(0, []string{"ssh: enabled"}, "check", "ssh")
	began := time.Now()
	r := w.ok("launch", "-y", "-c", "pair", "--infra", "ssh/lab", "--num-nodes", "2", "--", `echo "rank $SKYPILOT_NODE_RANK on $(hostname) of $SKYPILOT_NUM_NODES; $(echo $SKYPILOT_NODE_IPS)"`)
	t.Logf("launch of two nodes with a job: %s", time.Since(began).Round(time.Millisecond))
	for _, want := range []string{"rank 0 on ", "rank 1 on ", " on left of 2", " on right of 2", left.Address()} {
		if !strings.Contains(r.out, want) {
			t.Errorf("the job does not say %q:\n%s", want, r.out)
		}
	}
	for _, h := range []*hostlab.Host{left, right} {
		if out := w.inside(h, "ss -ltnH 2>/dev/null | awk '{print $4}' | grep -v ':22$' | tr '\\n' ' '"); !strings.HasPrefix(out, h.Address()+":") || strings.Contains(out, " ") {
			t.Errorf("%s listens at %q, not at its private address alone", h.Name(), out)
		}
	}
	// A person's own ssh finds the machines by the cluster's name.
	for name, host := range map[string]string{"pair": "left right", "pair-worker1": "left right"} {
		out, err := exec.Command("ssh", "-F", filepath.Join(w.dir, ".ssh", "config"), "-o", "BatchMode=yes", name, "hostname").CombinedOutput()
		if said := strings.TrimSpace(string(out)); err != nil || !strings.Contains(host, said) {
			t.Errorf("ssh %s: %v: %s", name, err, said)
		}
	}
	// The cable is cut while a job runs on both.
	w.ok("exec", "-d", "pair", "--num-nodes", "2", "--", "echo here; sleep 600")
	w.says("RUNNING", "queue", "pair")
	w.eventually("both ranks run", func() bool {
		return w.inside(left, "pgrep -x sleep; true") != "" && w.inside(right, "pgrep -x sleep; true") != ""
	})
	if err := right.Cut(true); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	// Both sides end their ranks by themselves, though no side hears of the other and the controller of one only.
	sleeping := func() bool {
		return w.inside(left, "pgrep -x sleep; true")+w.inside(right, "pgrep -x sleep; true") != ""
	}
	w.eventually("a minute without the other side", func() bool { return !sleeping() || time.Since(began) > time.Minute })
	w.eventually("the ranks end", func() bool { return !sleeping() })
	t.Logf("the ranks on both sides of a cut cable ended after %s", time.Since(began).Round(time.Second))
	if err := right.Cut(false); err != nil {
		t.Fatal(err)
	}
	w.eventually("the job ends", func() bool { return !strings.Contains(w.sky("queue", "pair").out, "RUNNING") })
	w.exits(0, []string{"INFRA", "silent"}, "why", "pair")
	w.ok("exec", "pair", "--num-nodes", "2", "--", "echo together again")
	// A host that was switched off and on has its lease still; its agent is started again.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := errors.Join(left.Stop(ctx), left.Boot(ctx)); err != nil {
		t.Fatal(err)
	}
	w.inside(left, "ip route add blackhole $(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p')/32; true")
	began = time.Now()
	w.eventually("the cluster is whole again", func() bool {
		return w.sky("exec", "pair", "--num-nodes", "2", "--timeout", "20s", "--", "echo after the boot").code == 0
	})
	t.Logf("a job on both after one was switched off and on: %s", time.Since(began).Round(time.Millisecond))
	w.ok("down", "-y", "pair")
	w.eventually("ssh forgets the cluster", func() bool {
		_, err := os.Stat(filepath.Join(w.home, "ssh", "pair.conf"))
		return errors.Is(err, os.ErrNotExist)
	})
	for _, h := range []*hostlab.Host{left, right} {
		if out := w.inside(h, "pgrep -u ubuntu -a sky-agent; ls /home/ubuntu/.aloft/host/lease 2>/dev/null; true"); out != "" {
			t.Errorf("left on %s: %s", h.Name(), out)
		}
	}
}
