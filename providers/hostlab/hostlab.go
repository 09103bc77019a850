// Package hostlab makes real hosts for tests on one Linux machine: each has a network namespace with an address of its own,
// its own processes, mounts and host name, a Debian root (the machine's own, under an overlay, with what is private to the
// machine masked) and sshd. What a virtual machine would have and a host of the lab does not: a kernel of its own and
// systemd.
//
// A host lives as long as the process that made it: when that ends, however it ends, the kernel ends the host. What then
// remains (a bridge, a directory) is removed by the next New. Nothing of this is linked into a program.
package hostlab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// stateDir holds one record for each lab that lives on this machine.
const stateDir = "/run/hostlab"

// Options of New.
type Options struct {
	// Dir is where the lab makes the directory with the disks of its hosts, which Close removes; "" = where there is room.
	Dir string
	// Log gets what happens to hosts; nil = nobody.
	Log *slog.Logger
}

// Lab is a network of hosts.
type Lab struct {
	log    *slog.Logger
	dir    string
	bridge string
	index  int // x*256+y of the network 10.x.y.0/24

	mu     sync.Mutex
	hosts  map[byte]*Host // by the last byte of the address
	links  int            // made so far
	closed bool
}

// Spec is one host.
type Spec struct {
	Name string // host name; letters, digits and dashes
	// Boot is the user data or startup script: executed as root at every boot before sshd is started. A first line
	// "#cloud-boothook" is allowed; then a #! line. Empty = nothing is run.
	Boot []byte
	// Metadata is served to this host alone at http://169.254.169.254 and metadata.google.internal; nil = none.
	Metadata http.Handler
	// PowerOff is called once per boot when the host shut itself down: shutdown, poweroff or halt ran inside, or its
	// first process ended. Not for Stop and Remove.
	PowerOff func()
	// Env is the environment of the boot script and of everybody who logs in.
	Env map[string]string
}

// record says who owns a lab, for those who clean up after it.
type record struct {
	PID    int    `json:"pid"`
	Start  string `json:"start"` // when that process began, as the kernel counts
	Bridge string `json:"bridge"`
	Dir    string `json:"dir"`
}

// Available is nil, or why hosts cannot be made here: tests skip loudly with it.
func Available() error {
	if runtime.GOOS != "linux" {
		return errors.New("hosts need Linux")
	}
	if os.Geteuid() != 0 {
		return errors.New("hosts need root")
	}
	for name, pkg := range map[string]string{
		"sshd": "openssh-server", "ssh-keygen": "openssh-client", "ip": "iproute2", "nsenter": "util-linux", "unshare": "util-linux",
		"pivot_root": "util-linux", "setpriv": "util-linux", "useradd": "passwd", "base64": "coreutils",
	} {
		if _, err := lookSystem(name); err != nil {
			return fmt.Errorf("%s is missing (apt-get install %s)", name, pkg)
		}
	}
	out, err := exec.Command("unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "true").CombinedOutput()
	if err != nil {
		return fmt.Errorf("namespaces cannot be made: %s", strings.TrimSpace(string(out)))
	}
	dir, err := diskDir("")
	if err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// lookSystem finds a program of the system, whatever PATH says.
func lookSystem(name string) (string, error) {
	for _, d := range []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		if st, err := os.Stat(filepath.Join(d, name)); err == nil && !st.IsDir() {
			return filepath.Join(d, name), nil
		}
	}
	return "", os.ErrNotExist
}

// diskDir makes a directory that can be the upper half of an overlay, below a given one or where there is room.
func diskDir(below string) (string, error) {
	bases := []string{os.TempDir(), "/dev/shm"}
	if below != "" {
		bases = []string{below}
	}
	var first error
	for _, base := range bases {
		dir, err := os.MkdirTemp(base, "hostlab-")
		if err == nil {
			if err = tryOverlay(dir); err == nil {
				return dir, nil
			}
			_ = os.RemoveAll(dir)
		}
		if first == nil {
			first = err
		}
	}
	return "", first
}

func tryOverlay(dir string) error {
	for _, d := range []string{"u", "w", "m"} {
		if err := os.MkdirAll(filepath.Join(dir, "try", d), 0o755); err != nil {
			return err
		}
	}
	defer func() { _ = os.RemoveAll(filepath.Join(dir, "try")) }()
	out, err := exec.Command("unshare", "--mount", "sh", "-c", `cd "$1" && mount -t overlay overlay -o lowerdir=/,upperdir=u,workdir=w m && : >m/probe`,
		"sh", filepath.Join(dir, "try")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("an overlay over / cannot be mounted on %s: %s", dir, strings.TrimSpace(string(out)))
	}
	return nil
}

// New makes an empty network 10.x.y.0/24 that nobody on this machine uses, reachable from this process, and removes what
// labs left behind whose process is dead.
func New(o Options) (*Lab, error) {
	if runtime.GOOS != "linux" {
		return nil, errors.New("hostlab: hosts need Linux")
	}
	l := &Lab{log: o.Log, hosts: map[byte]*Host{}}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(stateDir, 0o755); err != nil {
		return nil, fmt.Errorf("hostlab: %w", err)
	}
	unlock, err := lock(filepath.Join(stateDir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("hostlab: %w", err)
	}
	defer unlock()
	l.sweep()
	if l.index, err = freeNetwork(); err != nil {
		return nil, err
	}
	if l.dir, err = diskDir(o.Dir); err != nil {
		return nil, fmt.Errorf("hostlab: %w", err)
	}
	l.bridge = fmt.Sprintf("hlab%d", l.index)
	start, err := startTime(os.Getpid())
	if err != nil {
		return nil, fmt.Errorf("hostlab: %w", err)
	}
	// The record comes first: what is made after it can be found by it.
	b, err := json.Marshal(record{PID: os.Getpid(), Start: start, Bridge: l.bridge, Dir: l.dir})
	if err != nil {
		return nil, fmt.Errorf("hostlab: %w", err)
	}
	if err := os.WriteFile(l.recordFile(), b, 0o644); err != nil {
		return nil, fmt.Errorf("hostlab: %w", err)
	}
	err = ip(context.Background(), 0,
		"link add "+l.bridge+" type bridge forward_delay 0 stp_state 0",
		"address add "+l.Gateway()+"/24 dev "+l.bridge,
		"link set "+l.bridge+" up")
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

func (l *Lab) recordFile() string { return filepath.Join(stateDir, l.bridge+".json") }

// Gateway is the address of this machine as the hosts see it: servers of a test that listen on it can be reached by them.
func (l *Lab) Gateway() string { return l.address(1) }

func (l *Lab) address(n byte) string { return fmt.Sprintf("10.%d.%d.%d", l.index>>8, l.index&255, n) }

// freeNetwork picks x*256+y such that no address of this machine is in 10.x.y.0/24. The caller holds the lock.
func freeNetwork() (int, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return 0, fmt.Errorf("hostlab: %w", err)
	}
	routes, err := exec.Command("ip", "-4", "route", "show").Output()
	if err != nil {
		return 0, fmt.Errorf("hostlab: ip route: %w", err)
	}
	// Start at different places in different processes: fewer neighbours reuse a network that was just given up.
	first := os.Getpid() % (40 * 256)
	for i := range 40 * 256 {
		idx := 200*256 + (first+i)%(40*256)
		gw := net.IPv4(10, byte(idx>>8), byte(idx&255), 1)
		taken := strings.Contains(string(routes), fmt.Sprintf("10.%d.%d.", idx>>8, idx&255))
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.Contains(gw) {
				taken = true
			}
		}
		if !taken {
			return idx, nil
		}
	}
	return 0, errors.New("hostlab: no network 10.x.y.0/24 is free")
}

// sweep removes what dead labs left. The caller holds the lock.
func (l *Lab) sweep() {
	files, err := filepath.Glob(filepath.Join(stateDir, "*.json"))
	if err != nil {
		return
	}
	for _, f := range files {
		var r record
		b, err := os.ReadFile(f)
		if err != nil || json.Unmarshal(b, &r) != nil || r.Bridge == "" {
			continue
		}
		if start, err := startTime(r.PID); err == nil && start == r.Start {
			continue
		}
		l.log.Info("removing a lab whose process is dead", "bridge", r.Bridge, "pid", r.PID)
		removeNetwork(r.Bridge)
		if err := os.RemoveAll(r.Dir); err == nil {
			_ = os.Remove(f)
		}
	}
}

// removeNetwork removes a bridge and the links on it.
func removeNetwork(bridge string) {
	ports, _ := filepath.Glob("/sys/class/net/" + bridge + "/brif/*")
	for _, p := range ports {
		_ = ip(context.Background(), 0, "link del "+filepath.Base(p))
	}
	if _, err := os.Stat("/sys/class/net/" + bridge); err == nil {
		_ = ip(context.Background(), 0, "link del "+bridge)
	}
}

// Close ends every host and removes every namespace, mount and link.
func (l *Lab) Close() error {
	l.mu.Lock()
	l.closed = true
	hosts := make([]*Host, 0, len(l.hosts))
	for _, h := range l.hosts {
		hosts = append(hosts, h)
	}
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	errs := make([]error, len(hosts))
	var wg sync.WaitGroup
	for i, h := range hosts {
		wg.Go(func() { errs[i] = h.Remove(ctx) })
	}
	wg.Wait()
	unlock, err := lock(filepath.Join(stateDir, "lock"))
	if err != nil {
		return fmt.Errorf("hostlab: %w", err)
	}
	defer unlock()
	removeNetwork(l.bridge)
	if err := os.RemoveAll(l.dir); err != nil {
		errs = append(errs, err)
	}
	if err := os.Remove(l.recordFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// startTime is when a process began, in ticks since the machine's boot: with the pid it names a process for ever.
func startTime(pid int) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 20 || f[0] == "Z" || f[0] == "X" {
		return "", os.ErrNotExist
	}
	return f[19], nil
}

// ip runs commands of ip(8) in one go, in the network namespace of process pid, 0 = our own.
func ip(ctx context.Context, pid int, lines ...string) error {
	args := []string{"ip", "-batch", "-"}
	if pid != 0 {
		args = append([]string{"nsenter", "-t", fmt.Sprint(pid), "-n"}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("hostlab: ip: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
