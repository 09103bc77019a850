package access_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aloft/controller/access"
	"aloft/controller/store"
	"aloft/controller/store/boltstore"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
	"aloft/providers/shell/shelltest"
)

// cloud says how its machines are reached by ssh.
type cloud struct {
	providers.Provider
	targets map[string]providers.SSHTarget // by instance
}

func (c *cloud) Get(string) (providers.Provider, error) { return c, nil }

func (c *cloud) SSH(_ context.Context, in providers.Instance) (providers.SSHTarget, error) {
	return c.targets[in.ID], nil
}

type rig struct {
	*testing.T
	store *boltstore.Store
	home  string
	cloud *cloud
}

func newRig(t *testing.T) *rig {
	t.Helper()
	home := filepath.Join(t.TempDir(), "a home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		t.Fatal(err)
	}
	st, err := boltstore.Open(filepath.Join(home, "state.db"), boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return &rig{T: t, store: st, home: home, cloud: &cloud{targets: map[string]providers.SSHTarget{}}}
}

func (r *rig) keeper() *access.Keeper {
	return access.New(access.Options{Store: r.store, Providers: r.cloud, Home: r.home, Keys: func(*statev1.Cluster, *statev1.Node) providers.Keys {
		return providers.Keys{User: shelltest.Key("user"), Host: shelltest.Key("host")}
	}})
}

// put writes a cluster and its machines, and an event as whoever changes them does.
func (r *rig) put(c *statev1.Cluster, nodes ...*statev1.Node) {
	r.Helper()
	_, err := r.store.Update(r.Context(), func(tx store.Tx) error {
		if err := tx.Put(store.Cluster, c.GetId(), c); err != nil {
			return err
		}
		for _, n := range nodes {
			if err := tx.Put(store.Node, n.GetId(), n); err != nil {
				return err
			}
		}
		tx.Emit(&statev1.Event{Kind: string(store.Cluster), Id: c.GetId(), ClusterId: c.GetId(), Reason: "test"})
		return nil
	})
	if err != nil {
		r.Fatal(err)
	}
}

func node(id string, slot int32, phase statev1.NodePhase) *statev1.Node {
	return &statev1.Node{Id: id, ClusterId: "c1", Slot: slot, Phase: phase, InstanceId: "i-" + id, Candidate: &statev1.Candidate{Provider: "cloud"}}
}

func (r *rig) read(name string) string {
	b, err := os.ReadFile(filepath.Join(access.Dir(r.home), name))
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	if err != nil {
		r.Error(err)
	}
	return string(b)
}

func (r *rig) await(what string, ok func() bool) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.Fatalf("not in time: %s", what)
		}
	}
}

// TestFiles: files come, change and go with the machines.
func TestFiles(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cloud.targets["i-a"] = providers.SSHTarget{Host: "192.0.2.1", User: "ubuntu", ProxyJump: "me@gate:23"}
	r.cloud.targets["i-b"] = providers.SSHTarget{Host: "h", Port: 2200, User: "x", Identity: "/k 1", Own: true, HostKeyAlias: "h", ProxyCommand: "nc %h %p"}
	if err := os.MkdirAll(access.Dir(r.home), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(access.Dir(r.home), "old.conf"), []byte("Host old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.keeper().Run(ctx) }()
	defer func() { cancel(); <-done }()
	r.await("files of clusters that are no more go", func() bool { return r.read("old.conf") == "" })
	c := &statev1.Cluster{Id: "c1", Name: "train", Project: "default", NumNodes: 2}
	r.put(c, node("a", 0, statev1.NodePhase_NODE_READY), node("b", 1, statev1.NodePhase_NODE_SHIPPING))
	r.await("the head", func() bool { return r.read("train.conf") != "" })
	if got := r.read("train.conf"); strings.Contains(got, "worker") {
		t.Errorf("a machine that is not ready is there:\n%s", got)
	}
	r.put(c, node("b", 1, statev1.NodePhase_NODE_READY))
	r.await("the worker", func() bool { return strings.Contains(r.read("train.conf"), "worker1") })
	dir := access.Dir(r.home)
	want := "Host train\n  HostName 192.0.2.1\n  User ubuntu\n  IdentityFile \"" + dir + "/keys/train\"\n  IdentitiesOnly yes\n  HostKeyAlias aloft-a\n" +
		"  UserKnownHostsFile \"" + dir + "/known_hosts/train\"\n  StrictHostKeyChecking yes\n  HostKeyAlgorithms ssh-ed25519\n  ProxyJump me@gate:23\n  ServerAliveInterval 20\n" +
		"Host train-worker1\n  HostName h\n  Port 2200\n  User x\n  IdentityFile \"/k 1\"\n  HostKeyAlias h\n  ProxyCommand nc %h %p\n  ServerAliveInterval 20\n"
	if _, got, _ := strings.Cut(r.read("train.conf"), "\n"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if fi, err := os.Stat(filepath.Join(dir, "keys", "train")); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", fi, err)
	}
	r.cloud.targets["i-a"] = providers.SSHTarget{Host: "192.0.2.9", User: "ubuntu"}
	r.put(c, node("a", 0, statev1.NodePhase_NODE_READY))
	r.await("the new address", func() bool { return strings.Contains(r.read("train.conf"), "192.0.2.9") })
	r.put(c, node("a", 0, statev1.NodePhase_NODE_STOPPED), node("b", 1, statev1.NodePhase_NODE_STOPPED))
	r.await("nothing of a stopped cluster", func() bool { return r.read("train.conf")+r.read("keys/train")+r.read("known_hosts/train") == "" })
}

// TestSSH: OpenSSH itself reaches the machine by the cluster's name, and no other machine at the same address.
func TestSSH(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("SKIPPED: no ssh (Debian: openssh-client)")
	}
	r := newRig(t)
	s := shelltest.Start(t, shelltest.Options{HostKey: shelltest.Key("host"), Authorized: []ed25519.PrivateKey{shelltest.Key("user")}})
	other := shelltest.Start(t, shelltest.Options{HostKey: shelltest.Key("other"), Authorized: []ed25519.PrivateKey{shelltest.Key("user")}})
	r.put(&statev1.Cluster{Id: "c1", Name: "train", Project: "default", NumNodes: 1}, node("a", 0, statev1.NodePhase_NODE_READY))
	ssh := func(port int) (string, error) {
		r.cloud.targets["i-a"] = providers.SSHTarget{Host: "127.0.0.1", Port: port, User: "root"}
		if _, err := r.keeper().All(t.Context()); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("ssh", "-F", filepath.Join(access.Dir(r.home), "train.conf"), "-o", "BatchMode=yes", "train", "echo in").CombinedOutput()
		return string(out), err
	}
	if out, err := ssh(s.Port); err != nil || out != "in\n" {
		t.Errorf("ssh: %v: %s", err, out)
	}
	if out, err := ssh(other.Port); err == nil || !strings.Contains(out, "HOST IDENTIFICATION HAS CHANGED") {
		t.Errorf("ssh to another machine: %v: %s", err, out)
	}
}
