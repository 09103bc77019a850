// Package access lets people reach the machines of their clusters with their own ssh: for every cluster that is up it keeps
// a piece of ssh_config with addresses, keys and pinned host keys below $ALOFT_HOME/ssh, which ~/.ssh/config includes.
package access

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
	"aloft/providers/shell"
)

// Dir is where the pieces of a home lie.
func Dir(home string) string { return filepath.Join(home, "ssh") }

// Pattern is what ~/.ssh/config includes.
func Pattern(home string) string { return filepath.Join(Dir(home), "*.conf") }

// Providers finds the places where machines are.
type Providers interface {
	Get(name string) (providers.Provider, error)
}

// Options are the ports of a Keeper.
type Options struct {
	Store     store.Store
	Providers Providers
	Keys      func(c *statev1.Cluster, n *statev1.Node) providers.Keys
	Home      string
	Log       *slog.Logger // nil = none
}

// Keeper keeps the pieces as the records say.
type Keeper struct{ o Options }

// New makes a Keeper.
func New(o Options) *Keeper {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Keeper{o: o}
}

// gather is how long events are gathered before files are written.
const gather = 100 * time.Millisecond

// Run keeps the files until ctx ends: all of them at the start, then those of clusters of which something changed.
func (k *Keeper) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		rev, err := k.All(ctx)
		if err != nil && ctx.Err() == nil {
			k.o.Log.Warn("write for ssh how machines are reached", "err", err)
		}
		k.follow(ctx, rev)
		pause(ctx, time.Second)
	}
	return ctx.Err()
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// follow writes what changes, until events are lost.
func (k *Keeper) follow(ctx context.Context, from store.Rev) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changed := make(chan string)
	go func() {
		defer close(changed)
		for ev, err := range k.o.Store.Watch(ctx, from, store.Filter{}) {
			if err != nil {
				return
			}
			if ev.GetClusterId() == "" || ev.GetKind() == string(store.Job) {
				continue
			}
			select {
			case changed <- ev.GetClusterId():
			case <-ctx.Done():
				return
			}
		}
	}()
	dirty := map[string]bool{}
	var due <-chan time.Time
	for {
		select {
		case id, ok := <-changed:
			if !ok {
				return
			}
			if dirty[id] = true; due == nil {
				due = time.After(gather)
			}
		case <-due:
			for id := range dirty {
				if err := k.cluster(ctx, id); err != nil && ctx.Err() == nil {
					k.o.Log.Warn("write for ssh how a cluster is reached", "cluster", id, "err", err)
				}
			}
			clear(dirty)
			due = nil
		}
	}
}

// All writes the files of every cluster and removes others; it returns the revision that it saw.
func (k *Keeper) All(ctx context.Context) (store.Rev, error) {
	var rev store.Rev
	var clusters []*statev1.Cluster
	nodes := map[string][]*statev1.Node{}
	if err := k.o.Store.View(ctx, func(tx store.Tx) error {
		rev = tx.Rev()
		clusters = store.OpenClusters(tx)
		for _, c := range clusters {
			nodes[c.GetId()] = store.NodesOf(tx, c.GetId())
		}
		return nil
	}); err != nil {
		return 0, fmt.Errorf("read the clusters: %w", err)
	}
	var errs []error
	known := map[string]bool{}
	for _, c := range clusters {
		known[c.GetName()] = true
		errs = append(errs, k.write(ctx, c, nodes[c.GetId()]))
	}
	pieces, err := filepath.Glob(Pattern(k.o.Home))
	errs = append(errs, err)
	for _, p := range pieces {
		if name := strings.TrimSuffix(filepath.Base(p), ".conf"); !known[name] {
			errs = append(errs, k.remove(name))
		}
	}
	return rev, errors.Join(errs...)
}

// cluster writes or removes the files of one cluster.
func (k *Keeper) cluster(ctx context.Context, id string) error {
	var c *statev1.Cluster
	var nodes []*statev1.Node
	err := k.o.Store.View(ctx, func(tx store.Tx) (err error) {
		if c, err = store.GetCluster(tx, id); err != nil {
			return err
		}
		nodes = store.NodesOf(tx, id)
		return nil
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil // its name may be another's by now
	}
	if err != nil {
		return fmt.Errorf("read the cluster: %w", err)
	}
	if c.GetEndedMs() > 0 && k.successor(ctx, c) {
		return nil
	}
	return k.write(ctx, c, nodes)
}

// successor reports whether a living cluster has the name of one that ended.
func (k *Keeper) successor(ctx context.Context, c *statev1.Cluster) bool {
	found := false
	_ = k.o.Store.View(ctx, func(tx store.Tx) error {
		other, err := store.FindCluster(tx, c.GetProject(), c.GetName())
		found = err == nil && other.GetId() != c.GetId()
		return nil
	})
	return found
}

// write writes the files of a cluster, or removes them when it has no machine that can be reached by ssh.
func (k *Keeper) write(ctx context.Context, c *statev1.Cluster, nodes []*statev1.Node) error {
	if name := c.GetName(); name == "" || strings.ContainsAny(name, "/\\*?\"% \t\n") || strings.HasPrefix(name, ".") {
		return nil
	}
	bySlot := map[int32]*statev1.Node{}
	for _, n := range nodes {
		if p := n.GetPhase(); c.GetEndedMs() == 0 && (p == statev1.NodePhase_NODE_READY || p == statev1.NodePhase_NODE_DRAINING) {
			bySlot[n.GetSlot()] = n
		}
	}
	p := &piece{cluster: c.GetName(), dir: Dir(k.o.Home)}
	var errs []error
	for _, slot := range slices.Sorted(maps.Keys(bySlot)) {
		n := bySlot[slot]
		t, ok, err := k.target(ctx, n)
		errs = append(errs, err)
		if !ok {
			continue
		}
		errs = append(errs, p.host(n, t, k.o.Keys(c, n)))
	}
	if p.conf.Len() == 0 {
		return errors.Join(append(errs, k.remove(c.GetName()))...)
	}
	return errors.Join(append(errs, p.save())...)
}

// target asks the place how a person reaches a machine; false = not by ssh.
func (k *Keeper) target(ctx context.Context, n *statev1.Node) (providers.SSHTarget, bool, error) {
	p, err := k.o.Providers.Get(n.GetCandidate().GetProvider())
	if err != nil {
		return providers.SSHTarget{}, false, err
	}
	s, ok := p.(providers.SSHer)
	if !ok {
		return providers.SSHTarget{}, false, nil
	}
	t, err := s.SSH(ctx, providers.Instance{
		InstanceRef: providers.InstanceRef{ID: n.GetInstanceId(), Region: n.GetCandidate().GetRegion(), Zone: n.GetCandidate().GetZone()},
		State:       providers.InstanceRunning, Address: n.GetAddress(), PublicAddress: n.GetPublicAddress(),
	})
	if err != nil || t.Host == "" {
		return t, false, err
	}
	return t, true, nil
}

// remove removes the files of a cluster, last the one by which others are found.
func (k *Keeper) remove(name string) error {
	var errs []error
	p := piece{cluster: name, dir: Dir(k.o.Home)}
	for _, f := range []string{p.keyFile(), p.knownFile(), p.file()} {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// piece is the ssh_config of one cluster.
type piece struct {
	cluster, dir string
	conf, known  strings.Builder
	key          []byte
}

func (p *piece) file() string      { return filepath.Join(p.dir, p.cluster+".conf") }
func (p *piece) keyFile() string   { return filepath.Join(p.dir, "keys", p.cluster) }
func (p *piece) knownFile() string { return filepath.Join(p.dir, "known_hosts", p.cluster) }

// host adds one machine: the head by the cluster's name, others with their number.
func (p *piece) host(n *statev1.Node, t providers.SSHTarget, k providers.Keys) error {
	name := p.cluster
	if n.GetSlot() > 0 {
		name += "-worker" + strconv.Itoa(int(n.GetSlot()))
	}
	line := func(key, value string) { fmt.Fprintf(&p.conf, "  %s %s\n", key, value) }
	for _, v := range []string{t.Host, t.User, t.ProxyJump, t.HostKeyAlias, t.ProxyCommand, t.Identity} {
		if strings.ContainsAny(v, "\n\r\x00") {
			return fmt.Errorf("node %s: what the provider says of the way to it has several lines", n.GetName())
		}
	}
	if p.conf.Len() == 0 {
		fmt.Fprintf(&p.conf, "# Machines of the cluster %s. sky writes this file and removes it when the cluster stops or ends.\n", p.cluster)
	}
	fmt.Fprintf(&p.conf, "Host %s\n", name)
	line("HostName", strings.ReplaceAll(t.Host, "%", "%%"))
	if t.Port != 0 {
		line("Port", strconv.Itoa(t.Port))
	}
	if t.User != "" {
		line("User", t.User)
	}
	switch {
	case t.Identity != "":
		line("IdentityFile", quote(t.Identity))
	case !t.Own && len(k.User) > 0:
		key, err := shell.PrivateKey(k.User, "")
		if err != nil {
			return err
		}
		p.key = key
		line("IdentityFile", quote(p.keyFile()))
		line("IdentitiesOnly", "yes")
	}
	if t.Own {
		if t.HostKeyAlias != "" {
			line("HostKeyAlias", t.HostKeyAlias)
		}
	} else if len(k.Host) > 0 {
		// The address may be another machine's tomorrow: the key is noted under a name that is this machine's alone.
		alias := "aloft-" + n.GetId()
		pub, err := shell.PublicKey(k.Host, "")
		if err != nil {
			return err
		}
		fmt.Fprintf(&p.known, "%s %s\n", alias, pub)
		line("HostKeyAlias", alias)
		line("UserKnownHostsFile", quote(p.knownFile()))
		line("StrictHostKeyChecking", "yes")
		line("HostKeyAlgorithms", "ssh-ed25519")
	}
	switch {
	case t.ProxyCommand != "":
		line("ProxyCommand", t.ProxyCommand)
	case t.ProxyJump != "":
		line("ProxyJump", t.ProxyJump)
	}
	line("ServerAliveInterval", "20")
	return nil
}

// quote is a path for ssh_config.
func quote(path string) string { return `"` + strings.ReplaceAll(path, "%", "%%") + `"` }

// save writes what differs from what is there.
func (p *piece) save() error {
	var errs []error
	if p.key != nil {
		errs = append(errs, put(p.keyFile(), p.key))
	}
	if p.known.Len() > 0 {
		errs = append(errs, put(p.knownFile(), []byte(p.known.String())))
	}
	return errors.Join(append(errs, put(p.file(), []byte(p.conf.String())))...)
}

// put writes a file that only its owner may read, whole or not at all.
func put(path string, b []byte) error {
	if old, err := os.ReadFile(path); err == nil && string(old) == string(b) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the directory: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // with mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(tmp.Name())))
	}
	return nil
}
