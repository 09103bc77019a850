//go:build linux

package machine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// BootID names this run of the kernel: nothing that was a process before is one after.
func BootID() string { return Host{}.BootID() }

// BootID is the package's BootID for a host.
func (h Host) BootID() string {
	b, err := os.ReadFile(h.path("/proc/sys/kernel/random/boot_id"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// Load1 is the load average of the last minute.
func Load1() (float64, error) { return Host{}.Load1() }

// Load1 is the package's Load1 for a host.
func (h Host) Load1() (float64, error) {
	b, err := os.ReadFile(h.path("/proc/loadavg"))
	if err != nil {
		return 0, fmt.Errorf("load: %w", err)
	}
	first, _, _ := strings.Cut(string(b), " ")
	v, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0, fmt.Errorf("load: %w", err)
	}
	return v, nil
}

// cpus is the smallest of: processors of the machine, those we may run on, and what cgroups grant.
func (h Host) cpus() (float64, error) {
	n := float64(runtime.NumCPU()) // what we were started with may run on, already
	if h.Root == "" {
		var set unix.CPUSet
		if err := unix.SchedGetaffinity(0, &set); err == nil && set.Count() > 0 {
			n = float64(set.Count())
		}
	}
	quota, err := h.limit("cpu", func(dir string, v2 bool) (float64, bool) {
		if v2 {
			f := strings.Fields(h.text(path.Join(dir, "cpu.max")))
			if len(f) != 2 {
				return 0, false
			}
			return ratio(f[0], f[1])
		}
		return ratio(h.text(path.Join(dir, "cpu.cfs_quota_us")), h.text(path.Join(dir, "cpu.cfs_period_us")))
	})
	if quota > 0 {
		n = min(n, quota)
	}
	return round(n), err
}

// ratio is a/b where both are positive numbers; "max" and -1 mean no limit.
func ratio(a, b string) (float64, bool) {
	x, err1 := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	if err1 != nil || err2 != nil || x <= 0 || y <= 0 {
		return 0, false
	}
	return x / y, true
}

func (h Host) memoryGB() (float64, error) {
	total := 0.0
	for line := range strings.Lines(h.text("/proc/meminfo")) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "MemTotal:" {
			kb, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				return 0, fmt.Errorf("memory: %w", err)
			}
			total = kb * 1024
		}
	}
	if total == 0 {
		return 0, errors.New("memory: /proc/meminfo says nothing")
	}
	limit, err := h.limit("memory", func(dir string, v2 bool) (float64, bool) {
		name := "memory.limit_in_bytes"
		if v2 {
			name = "memory.max"
		}
		v, err := strconv.ParseFloat(h.text(path.Join(dir, name)), 64)
		return v, err == nil && v > 0
	})
	if limit > 0 {
		total = min(total, limit)
	}
	return round(total / gib), err
}

// limit is the smallest value that read finds from our cgroup up to the root of its hierarchy, 0 = none. Version 1 and 2
// hierarchies may be there side by side.
func (h Host) limit(controller string, read func(dir string, v2 bool) (float64, bool)) (float64, error) {
	groups, err := os.ReadFile(h.path("/proc/self/cgroup"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil // a kernel without cgroups
	}
	if err != nil {
		return 0, fmt.Errorf("cgroup of %s: %w", controller, err)
	}
	least := 0.0
	for line := range strings.Lines(string(groups)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		v2 := f[0] == "0" && f[1] == ""
		if !v2 && !slices.Contains(strings.Split(f[1], ","), controller) {
			continue
		}
		mount, root, ok := h.cgroupMount(controller, v2)
		if !ok {
			continue
		}
		// In a container the group's path is the host's, and what is mounted is the part below root.
		rel, inside := strings.CutPrefix(f[2], root)
		if !inside {
			rel = ""
		}
		for dir := path.Join(mount, rel); ; dir = path.Dir(dir) {
			if v, ok := read(dir, v2); ok && (least == 0 || v < least) {
				least = v
			}
			if dir == mount || len(dir) <= len(mount) {
				break
			}
		}
	}
	return least, nil
}

// cgroupMount finds where a hierarchy is mounted, and which part of it.
func (h Host) cgroupMount(controller string, v2 bool) (mount, root string, ok bool) {
	for line := range strings.Lines(h.text("/proc/self/mountinfo")) {
		before, after, found := strings.Cut(strings.TrimSpace(line), " - ")
		b, a := strings.Fields(before), strings.Fields(after)
		if !found || len(b) < 5 || len(a) < 3 {
			continue
		}
		if v2 && a[0] == "cgroup2" || !v2 && a[0] == "cgroup" && slices.Contains(strings.Split(a[2], ","), controller) {
			return b[4], strings.TrimSuffix(b[3], "/"), true
		}
	}
	return "", "", false
}

// text is a small file without surrounding space, "" when it cannot be read.
func (h Host) text(p string) string {
	b, err := os.ReadFile(h.path(p))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// ptyMajors are the device majors of pseudo terminals.
const ptyFirst, ptyLast = 136, 143

// SSHSessions counts the terminals that somebody has open through sshd. Commands and tunnels without a terminal, and what
// outlives a session on purpose (tmux, nohup), are not sessions.
func SSHSessions() int { return Host{}.SSHSessions() }

// SSHSessions is the package's SSHSessions for a host.
func (h Host) SSHSessions() int {
	type process struct {
		ppid, tty int
		sshd      bool
	}
	names, err := os.ReadDir(h.path("/proc"))
	if err != nil {
		return 0
	}
	all := map[int]process{}
	for _, n := range names {
		pid, err := strconv.Atoi(n.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile(h.path("/proc/" + n.Name() + "/stat"))
		if err != nil {
			continue // gone
		}
		open, closing := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
		if open < 0 || closing < open {
			continue
		}
		f := strings.Fields(string(b[closing+1:]))
		if len(f) < 5 {
			continue
		}
		ppid, err1 := strconv.Atoi(f[1])
		tty, err2 := strconv.Atoi(f[4])
		if err1 != nil || err2 != nil {
			continue
		}
		name := string(b[open+1 : closing])
		all[pid] = process{ppid, tty, name == "sshd" || name == "sshd-session"}
	}
	ttys := map[int]bool{}
	for _, p := range all {
		if major := p.tty >> 8 & 0xfff; major < ptyFirst || major > ptyLast {
			continue
		}
		for at, steps := p, 0; steps < 64; steps++ {
			up, ok := all[at.ppid]
			if !ok {
				break
			}
			if up.sshd {
				ttys[p.tty] = true
				break
			}
			at = up
		}
	}
	return len(ttys)
}
