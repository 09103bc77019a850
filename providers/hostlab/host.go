package hostlab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"time"
)

const (
	path         = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	metadataAddr = "169.254.169.254"
	stopPatience = 5 * time.Second // an orderly end may take this long
)

var hostName = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]{0,62})$`)

// Host is one machine of a lab.
type Host struct {
	lab  *Lab
	spec Spec
	last byte // of the address
	dir  string

	op sync.Mutex // one of Boot, Stop, Remove, Cut at a time

	mu      sync.Mutex
	boot    *boot // nil = off
	cut     bool
	removed bool
}

// boot is one life of a host.
type boot struct {
	cmd      *exec.Cmd
	link     string
	expected bool          // we end it
	done     chan struct{} // closed when everything of it has ended
	metadata *http.Server
}

// Start makes a host and boots it; sshd answers soon after.
func (l *Lab) Start(ctx context.Context, s Spec) (*Host, error) {
	if !hostName.MatchString(s.Name) {
		return nil, fmt.Errorf("hostlab: %q is no host name", s.Name)
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, errors.New("hostlab: the lab is closed")
	}
	h := &Host{lab: l, spec: s}
	for n := byte(2); n < 255; n++ {
		if l.hosts[n] == nil {
			h.last = n
			break
		}
	}
	if h.last == 0 {
		l.mu.Unlock()
		return nil, errors.New("hostlab: the network is full (253 hosts)")
	}
	l.hosts[h.last] = h
	l.mu.Unlock()
	h.dir = filepath.Join(l.dir, fmt.Sprint(h.last))
	err := os.MkdirAll(filepath.Join(h.dir, "disk/upper"), 0o755)
	if err == nil {
		err = makeDisk(filepath.Join(h.dir, "disk/upper"), s, h.Address())
	}
	if err == nil {
		err = h.Boot(ctx)
	}
	if err != nil {
		_ = h.Remove(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("hostlab: start %s: %w", s.Name, err)
	}
	return h, nil
}

// Name is the host's name.
func (h *Host) Name() string { return h.spec.Name }

// Address is the host's IPv4 address, kept over Stop and Boot.
func (h *Host) Address() string { return h.lab.address(h.last) }

// Running reports whether the host is on.
func (h *Host) Running() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.boot != nil
}

// Boot turns the host on; nothing happens when it is on.
func (h *Host) Boot(ctx context.Context) error {
	h.op.Lock()
	defer h.op.Unlock()
	h.mu.Lock()
	on, removed, cut := h.boot != nil, h.removed, h.cut
	h.mu.Unlock()
	if removed {
		return fmt.Errorf("hostlab: %s was removed", h.spec.Name)
	}
	if on {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	console, err := os.OpenFile(filepath.Join(h.dir, "console"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer console.Close()
	cmd := exec.Command("/bin/sh", "-c", enterScript, "enter", h.dir)
	cmd.Env = []string{"PATH=" + path, "HOME=/root", "LANG=C.UTF-8"}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = console, console
	isolate(cmd)
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close()
	cmd.Stdin = r
	err = cmd.Start()
	_ = r.Close()
	if err != nil {
		return err
	}
	b := &boot{cmd: cmd, done: make(chan struct{})}
	if err := h.connect(ctx, b, cut); err != nil {
		b.end()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return err
	}
	h.mu.Lock()
	h.boot = b
	h.mu.Unlock()
	go h.watch(b)
	h.lab.log.Info("host boots", "host", h.spec.Name, "address", h.Address())
	_, err = io.WriteString(w, "go\n")
	if err != nil {
		return fmt.Errorf("%w: %s", err, h.Console())
	}
	return nil
}

// connect puts a host on the network of its lab.
func (h *Host) connect(ctx context.Context, b *boot, cut bool) error {
	l := h.lab
	l.mu.Lock()
	l.links++
	b.link = fmt.Sprintf("hv%d.%d", l.index, l.links)
	l.mu.Unlock()
	pid := b.cmd.Process.Pid
	state := "up"
	if cut {
		state = "down"
	}
	// The hardware address follows from the address: neighbours need not learn a new one after a boot.
	err := ip(ctx, 0,
		fmt.Sprintf("link add %s type veth peer name eth0 address 02:0a:%02x:%02x:%02x:01 netns %d", b.link, l.index>>8, l.index&255, h.last, pid),
		fmt.Sprintf("link set %s master %s %s", b.link, l.bridge, state))
	if err != nil {
		return err
	}
	err = ip(ctx, pid,
		"link set lo up", "address add "+metadataAddr+"/32 dev lo",
		"address add "+h.Address()+"/24 dev eth0", "link set eth0 up", "route add default via "+l.Gateway())
	if err != nil {
		return err
	}
	if h.spec.Metadata == nil {
		return nil
	}
	ln, err := listenIn(ctx, pid, metadataAddr+":80")
	if err != nil {
		return fmt.Errorf("metadata of %s: %w", h.spec.Name, err)
	}
	b.metadata = &http.Server{Handler: h.spec.Metadata, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = b.metadata.Serve(ln) }()
	return nil
}

// end gives back what a boot holds outside of its namespaces.
func (b *boot) end() {
	if b.metadata != nil {
		_ = b.metadata.Close()
	}
	if b.link != "" {
		_ = ip(context.Background(), 0, "link del "+b.link)
	}
}

// watch waits for the end of a boot.
func (h *Host) watch(b *boot) {
	err := b.cmd.Wait()
	b.end()
	h.mu.Lock()
	h.boot = nil
	expected := b.expected
	h.mu.Unlock()
	close(b.done)
	h.lab.log.Info("host is off", "host", h.spec.Name, "asked", expected, "err", err)
	if !expected && h.spec.PowerOff != nil {
		h.spec.PowerOff()
	}
}

// halt ends the current boot, in order when there is patience for it.
func (h *Host) halt(ctx context.Context, patience time.Duration) error {
	h.mu.Lock()
	b := h.boot
	if b != nil {
		b.expected = true
	}
	h.mu.Unlock()
	if b == nil {
		return nil
	}
	if patience > 0 && askToEnd(b.cmd.Process) == nil {
		t := time.NewTimer(patience)
		defer t.Stop()
		select {
		case <-b.done:
			return nil
		case <-t.C:
		case <-ctx.Done():
		}
	}
	_ = b.cmd.Process.Kill()
	select {
	case <-b.done:
		return nil
	case <-time.After(30 * time.Second):
		return fmt.Errorf("hostlab: %s does not end", h.spec.Name)
	}
}

// Stop shuts the host down; its disk and address are kept. Nothing happens when it is off.
func (h *Host) Stop(ctx context.Context) error {
	h.op.Lock()
	defer h.op.Unlock()
	return h.halt(ctx, stopPatience)
}

// Remove ends everything on the host at once, and its disk.
func (h *Host) Remove(ctx context.Context) error {
	h.op.Lock()
	defer h.op.Unlock()
	if err := h.halt(ctx, 0); err != nil {
		return err
	}
	h.mu.Lock()
	was := h.removed
	h.removed = true
	h.mu.Unlock()
	if was {
		return nil
	}
	err := os.RemoveAll(h.dir)
	h.lab.mu.Lock()
	delete(h.lab.hosts, h.last)
	h.lab.mu.Unlock()
	return err
}

// Cut cuts the host off the network, or connects it again; what runs on it goes on.
func (h *Host) Cut(cut bool) error {
	h.op.Lock()
	defer h.op.Unlock()
	h.mu.Lock()
	h.cut = cut
	b := h.boot
	h.mu.Unlock()
	if b == nil {
		return nil
	}
	state := "up"
	if cut {
		state = "down"
	}
	return ip(context.Background(), 0, "link set "+b.link+" "+state)
}

// Console is what the host printed since it was made: its first process, the boot script and sshd.
func (h *Host) Console() []byte {
	b, err := os.ReadFile(filepath.Join(h.dir, "console"))
	if err != nil {
		return nil
	}
	return b
}

// Run runs a line of shell inside as root, for tests, and gives what it printed.
func (h *Host) Run(ctx context.Context, line string) ([]byte, error) {
	h.mu.Lock()
	b := h.boot
	h.mu.Unlock()
	if b == nil {
		return nil, fmt.Errorf("hostlab: %s is off", h.spec.Name)
	}
	// The host's first process is in its own root once that has the lab's files; then it names the host and fills /run.
	for {
		root := fmt.Sprintf("/proc/%d/root", b.cmd.Process.Pid)
		if _, err := os.Stat(root + "/usr/lib/hostlab/init"); err == nil {
			if _, err := os.Stat(root + "/run/hostlab"); err == nil {
				break
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-b.done:
			return nil, fmt.Errorf("hostlab: %s went off", h.spec.Name)
		case <-time.After(5 * time.Millisecond):
		}
	}
	cmd := exec.CommandContext(ctx, "nsenter", "-t", fmt.Sprint(b.cmd.Process.Pid), "-m", "-u", "-i", "-n", "-p", "-r", "-w", "/bin/sh", "-c", line)
	cmd.Env = []string{"PATH=" + path, "HOME=/root", "LANG=C.UTF-8"}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	return out.Bytes(), err
}
