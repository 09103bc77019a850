//go:build linux

package machine_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aloft/agent/machine"
)

// write puts files under dir.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

func TestThisMachine(t *testing.T) {
	t.Parallel()
	f := machine.Read(t.Context(), t.TempDir())
	if f.CPUs <= 0 || f.MemoryGB <= 0 || f.DiskFreeGB <= 0 || f.OS == "" || f.Arch == "" || f.Hostname == "" {
		t.Errorf("facts %+v", f)
	}
	if machine.BootID() == "" {
		t.Error("no boot id")
	}
	if _, err := machine.DiskFreeGB(filepath.Join(t.TempDir(), "nowhere")); err == nil {
		t.Error("free space of nothing")
	}
}

const meminfo = "MemTotal:       67108864 kB\nMemFree: 1 kB\n"

func TestLimits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		files map[string]string
		cpus  float64 // 0 = all there are
		gb    float64
	}{
		{"no cgroups", map[string]string{}, 0, 64},
		{"v2 without limits", map[string]string{
			"proc/self/cgroup":                 "0::/user.slice\n",
			"proc/self/mountinfo":              "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n",
			"sys/fs/cgroup/user.slice/cpu.max": "max 100000\n", "sys/fs/cgroup/user.slice/memory.max": "max\n",
		}, 0, 64},
		{"v2, the parent is tighter", map[string]string{
			"proc/self/cgroup":             "0::/a/b\n",
			"proc/self/mountinfo":          "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n",
			"sys/fs/cgroup/a/b/cpu.max":    "150000 100000\n",
			"sys/fs/cgroup/a/cpu.max":      "50000 100000\n",
			"sys/fs/cgroup/a/b/memory.max": "8589934592\n",
			"sys/fs/cgroup/a/memory.max":   "max\n",
			"sys/fs/cgroup/memory.max":     "17179869184\n",
		}, 0.5, 8},
		{"v2 in a container", map[string]string{
			"proc/self/cgroup":         "0::/\n",
			"proc/self/mountinfo":      "30 23 0:26 /../docker/x /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
			"sys/fs/cgroup/cpu.max":    "25000 100000\n",
			"sys/fs/cgroup/memory.max": "1073741824\n",
		}, 0.25, 1},
		{"v1", map[string]string{
			"proc/self/cgroup": "5:cpu,cpuacct:/job\n4:memory:/job\n1:name=systemd:/\n",
			"proc/self/mountinfo": "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
				"33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
			"sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us":  "75000\n",
			"sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us":      "-1\n",
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us":     "100000\n",
			"sys/fs/cgroup/memory/job/memory.limit_in_bytes":  "9223372036854771712\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":      "34359738368\n",
		}, 0.75, 32},
		{"v1 in a container", map[string]string{
			"proc/self/cgroup":                    "5:cpu:/docker/abc\n",
			"proc/self/mountinfo":                 "32 31 0:29 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us":  "10000\n",
			"sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
		}, 0.1, 64},
		{"hybrid", map[string]string{
			"proc/self/cgroup": "5:cpu:/\n0::/\n",
			"proc/self/mountinfo": "31 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n" +
				"32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us":  "90000\n",
			"sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
		}, 0.9, 64},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			write(t, root, map[string]string{"proc/meminfo": meminfo})
			write(t, root, tc.files)
			f := machine.Host{Root: root, Home: root, SMI: "/bin/true"}.Read(t.Context(), root)
			if tc.cpus > 0 && f.CPUs != tc.cpus || f.CPUs <= 0 || f.MemoryGB != tc.gb || len(f.Problems) > 0 {
				t.Errorf("%v cpus, want %v; %v GB, want %v; %v", f.CPUs, tc.cpus, f.MemoryGB, tc.gb, f.Problems)
			}
		})
	}
}

func TestGPUs(t *testing.T) {
	t.Parallel()
	const two = "0, NVIDIA A100-SXM4-80GB, GPU-aaaa-1, 81920\n1, NVIDIA A100-SXM4-80GB, GPU-bbbb-2, 81920\n"
	smi := func(body string) map[string]string {
		return map[string]string{"nvidia-smi": "#!/bin/sh\n" + body + "\n"}
	}
	tests := []struct {
		name    string
		files   map[string]string
		visible string
		want    string
		problem string
	}{
		{name: "none", files: smi("exit 0"), want: "[]"},
		{name: "two", files: smi("printf '" + strings.ReplaceAll(two, "\n", `\n`) + "'"),
			want: "[{0 NVIDIA A100-SXM4-80GB GPU-aaaa-1 80 false} {1 NVIDIA A100-SXM4-80GB GPU-bbbb-2 80 false}]"},
		// The query's own commas make columns of it.
		{name: "asks for what it parses", files: smi(`echo "0, $1"`), want: "[{0 --query-gpu=index name 0 false}]"},
		{name: "shared memory", files: smi("echo '0, NVIDIA GB10, GPU-c, [N/A]'"), want: "[{0 NVIDIA GB10 GPU-c 0 false}]"},
		{name: "broken driver", files: smi("echo 'NVIDIA-SMI has failed' >&2; exit 9"), want: "[]", problem: "has failed"},
		{name: "nonsense", files: smi("echo 'a, b, c, d'"), want: "[]", problem: "row"},
		{name: "one of them is ours", files: smi("printf '" + strings.ReplaceAll(two, "\n", `\n`) + "'"), visible: "1",
			want: "[{1 NVIDIA A100-SXM4-80GB GPU-bbbb-2 80 false}]"},
		{name: "one of them by UUID", files: smi("printf '" + strings.ReplaceAll(two, "\n", `\n`) + "'"), visible: "GPU-aaaa",
			want: "[{0 NVIDIA A100-SXM4-80GB GPU-aaaa-1 80 false}]"},
		{name: "pretended", files: map[string]string{
			"nvidia-smi": "#!/bin/sh\nexit 9\n", ".aloft/pretend-gpus": "# two\nA100-80GB 80\n\nRTX 4090 24 # big\n",
		}, want: "[{0 A100-80GB pretended-0 80 true} {1 RTX 4090 pretended-1 24 true}]"},
		{name: "pretended none", files: map[string]string{"nvidia-smi": "#!/bin/sh\nexit 9\n", ".aloft/pretend-gpus": ""}, want: "[]"},
		{name: "pretended wrongly", files: map[string]string{".aloft/pretend-gpus": "A100\n"}, want: "[]", problem: "pretend-gpus:1"},
		{name: "pretended memory", files: map[string]string{".aloft/pretend-gpus": "A100 lots\n"}, want: "[]", problem: "pretend-gpus:1"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			write(t, home, tc.files)
			h := machine.Host{Home: home, SMI: filepath.Join(home, "nvidia-smi"), Getenv: func(n string) string {
				if n == "CUDA_VISIBLE_DEVICES" {
					return tc.visible
				}
				return ""
			}}
			f := h.Read(t.Context(), home)
			got := fmt.Sprint(f.GPUs)
			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			text := strings.Join(f.Problems, "; ")
			if (tc.problem == "") != (text == "") || !strings.Contains(text, tc.problem) {
				t.Errorf("problems %q, want %q", text, tc.problem)
			}
		})
	}
	t.Run("hanging driver", func(t *testing.T) {
		t.Parallel()
		home := t.TempDir()
		write(t, home, smi("exec sleep 1000"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		f := machine.Host{Home: home, SMI: filepath.Join(home, "nvidia-smi")}.Read(ctx, home)
		if len(f.GPUs) != 0 || len(f.Problems) != 1 {
			t.Errorf("facts %+v", f)
		}
	})
}

func TestPowerOff(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		down bool
		kind string
	}{{true, "terminate"}, {false, "stop"}} {
		t.Run(tc.kind, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			env := map[string]string{machine.LocalNodeEnv: "1"}
			h := machine.Host{Home: filepath.Join(dir, "home"), Getenv: func(n string) string { return env[n] }}
			if err := h.PowerOff(t.Context(), tc.down); err != nil {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(filepath.Join(dir, "poweroff")); err != nil || string(b) != tc.kind+"\n" {
				t.Errorf("%q, %v", b, err)
			}
			said := filepath.Join(dir, "said")
			cmd := map[string]string{machine.PowerOffEnv: "echo $" + machine.KindEnv + " > '" + said + "'"}
			h.Getenv = func(n string) string { return cmd[n] }
			if err := h.PowerOff(t.Context(), tc.down); err != nil {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(said); err != nil || string(b) != tc.kind+"\n" {
				t.Errorf("%q, %v", b, err)
			}
			cmd[machine.PowerOffEnv] = "echo no right to >&2; exit 1"
			if err := h.PowerOff(t.Context(), tc.down); err == nil || !strings.Contains(err.Error(), "no right to") {
				t.Errorf("refused: %v", err)
			}
		})
	}
}

// TestPowerOffPrograms: a lease of a machine is ended by its own program, a machine made for us by the machine's.
func TestPowerOffPrograms(t *testing.T) {
	t.Parallel()
	root, home, said := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "said")
	h := machine.Host{Root: root, Home: home, Getenv: func(string) string { return "" }}
	for _, x := range []struct{ name, path string }{{"machine", filepath.Join(root, "var/lib/aloft/end")}, {"lease", filepath.Join(home, ".aloft/end")}} {
		if x.name == "machine" && os.Getuid() != 0 {
			continue // it is called through sudo
		}
		if err := os.MkdirAll(filepath.Dir(x.path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(x.path, []byte("#!/bin/sh\necho "+x.name+" $1 >'"+said+"'\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := h.PowerOff(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(said); err != nil || string(b) != x.name+" terminate\n" {
			t.Errorf("%s: %q, %v", x.name, b, err)
		}
	}
}

func TestSSHSessions(t *testing.T) {
	t.Parallel()
	const pts0, pts1, tty1 = 136 << 8, 136<<8 | 1, 4<<8 | 1
	stat := func(pid int, name string, ppid, tty int) string {
		return fmt.Sprintf("%d (%s) S %d %d %d %d -1 0 0\n", pid, name, ppid, pid, pid, tty)
	}
	tests := []struct {
		name  string
		stats []string
		want  int
	}{
		{"nobody", []string{stat(1, "systemd", 0, 0), stat(10, "sshd", 1, 0)}, 0},
		{"one shell with children", []string{
			stat(10, "sshd", 1, 0), stat(11, "sshd", 10, 0), stat(12, "sshd", 11, 0), stat(13, "bash", 12, pts0), stat(14, "vim", 13, pts0),
		}, 1},
		{"newer sshd, two shells", []string{
			stat(10, "sshd", 1, 0), stat(11, "sshd-session", 10, 0), stat(12, "bash", 11, pts0),
			stat(21, "sshd-session", 10, 0), stat(22, "zsh", 21, pts1),
		}, 2},
		{"command without a terminal", []string{stat(10, "sshd", 1, 0), stat(11, "sshd", 10, 0), stat(12, "rsync", 11, 0)}, 0},
		{"console", []string{stat(10, "sshd", 1, 0), stat(20, "login", 1, 0), stat(21, "bash", 20, tty1)}, 0},
		{"left in tmux", []string{stat(10, "sshd", 1, 0), stat(20, "tmux: server", 1, 0), stat(21, "bash", 20, pts0)}, 0},
		{"strange names", []string{stat(10, "sshd", 1, 0), stat(11, "a) S 1 (", 10, pts0), "garbage", stat(13, "sshd) S 1 1 1", 1, 0)}, 1},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			for i, s := range tc.stats {
				pid, _, ok := strings.Cut(s, " ")
				if !ok {
					pid = fmt.Sprint(9000 + i)
				}
				write(t, root, map[string]string{"proc/" + pid + "/stat": s, "proc/uptime": "1"})
			}
			if got := (machine.Host{Root: root}).SSHSessions(); got != tc.want {
				t.Errorf("%d sessions, want %d", got, tc.want)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, map[string]string{"proc/loadavg": "1.25 0.80 0.40 2/300 4242\n", "proc/sys/kernel/random/boot_id": "abc\n"})
	h := machine.Host{Root: root}
	if v, err := h.Load1(); v != 1.25 || err != nil {
		t.Errorf("load %v, %v", v, err)
	}
	if h.BootID() != "abc" {
		t.Errorf("boot id %q", h.BootID())
	}
	if _, err := (machine.Host{Root: t.TempDir()}).Load1(); err == nil {
		t.Error("load of nothing")
	}
}
