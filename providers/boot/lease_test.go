package boot_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aloft/providers"
	"aloft/providers/boot"
)

// about is a span of time to within the grain of the dead-man in a box.
func about(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if d := got - want; d < -405*time.Second || d > 405*time.Second {
		t.Errorf("%s: ended after %v, want %v", what, got, want)
	}
}

// TestLeaseRunsOut: nobody renews, the machine ends, whatever its clock says.
func TestLeaseRunsOut(t *testing.T) {
	t.Parallel()
	for name, now := range map[string]int64{
		"right": issued.Unix() + 30, "a year behind": issued.Unix() - 365*86400, "a year ahead": issued.Unix() + 365*86400, "1970": 20,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := sandbox(t, script())
			x.write("now", fmt.Sprint(now))
			x.boot()
			about(t, name, x.live(5*time.Hour), time.Hour)
			if log := x.read("log"); !strings.Contains(log, "shutdown -P now") {
				t.Errorf("not shut down: %s", log)
			}
		})
	}
}

// TestNoLengthKnown: without the time of the request the clock has to do, but never ends a machine that just booted.
func TestNoLengthKnown(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		now  int64
		want time.Duration
	}{
		"right": {issued.Unix() + 30, time.Hour - 30*time.Second}, "a year ahead": {issued.Unix() + 365*86400, 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := script()
			s.Issued = time.Time{}
			x := sandbox(t, s)
			x.write("now", fmt.Sprint(tc.now))
			x.boot()
			about(t, name, x.live(5*time.Hour), tc.want)
		})
	}
}

// TestRenewed: what is written into the file counts, what is no number does not.
func TestRenewed(t *testing.T) {
	t.Parallel()
	now := issued.Unix() + 30
	for name, tc := range map[string]struct {
		line string
		want time.Duration
	}{
		"length":           {"1 7200\n", 2 * time.Hour},
		"time only":        {fmt.Sprint(now+10800) + "\n", 3 * time.Hour},
		"no line's end":    {"1 7200", 2 * time.Hour},
		"end now":          {"1\n", 20 * time.Second},
		"too long":         {"1 99999999999999999999\n", 20 * time.Second}, // the first number counts
		"words":            {"tomorrow\n", time.Hour},
		"octal":            {"0177 010\n", time.Hour},
		"negative":         {"-5 -5\n", time.Hour},
		"shell":            {"$(reboot) `id`\n", time.Hour},
		"arithmetic":       {"a[$(id)] 5\n", time.Hour},
		"empty":            {"", time.Hour},
		"bytes":            {"\x00\xff\n", time.Hour},
		"very long":        {strings.Repeat("1", 1<<16), time.Hour},
		"length zero ends": {"1 0\n", 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := sandbox(t, script())
			x.boot()
			x.write("var/lease/deadline", tc.line)
			about(t, name, x.live(5*time.Hour), tc.want)
		})
	}
}

// TestRenewedForEver: no renewal is for longer than 40 days.
func TestRenewedForEver(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"9999999999\n", "1 9999999999\n"} {
		x := sandbox(t, script())
		x.boot()
		x.write("var/lease/deadline", line)
		x.live(time.Minute)
		if left := strings.SplitN(x.read("var/lease.left"), "\n", 2)[0]; left != "3456000" {
			t.Errorf("%q leaves %s s", line, left)
		}
	}
}

// TestRenewedWhileRunning: a renewal every half hour keeps the machine; once they end, it ends.
func TestRenewedWhileRunning(t *testing.T) {
	t.Parallel()
	x := sandbox(t, script())
	x.boot()
	var lived time.Duration
	for i := range 6 {
		lived += x.live(30 * time.Minute)
		if x.has("off") {
			t.Fatalf("ended after %v though it was renewed", lived)
		}
		x.write("var/lease/deadline", fmt.Sprintf("%d 3600\n", 2_000_000_000+i))
	}
	about(t, "after the last renewal", x.live(5*time.Hour), time.Hour)
	if left := strings.SplitN(x.read("var/lease.left"), "\n", 2)[0]; left != "0" {
		t.Errorf("left %q", left)
	}
}

// TestDeadManIsKilled: one that is started again goes on where the last one was.
func TestDeadManIsKilled(t *testing.T) {
	t.Parallel()
	x := sandbox(t, script())
	x.boot()
	var lived time.Duration
	for range 40 {
		if lived += x.live(8 * time.Minute); x.has("off") {
			break
		}
	}
	about(t, "killed all the time", lived, time.Hour)
}

// TestReboots: a boot gives a machine that was off for long some time to be renewed, but not for ever.
func TestReboots(t *testing.T) {
	t.Parallel()
	x := sandbox(t, script())
	x.boot()
	x.boot() // twice in one boot: nothing changes
	x.live(55 * time.Minute)
	x.reboot()
	about(t, "after a reboot", x.live(5*time.Hour), 20*time.Minute)
	for range 10 {
		x.reboot()
		x.live(15 * time.Minute)
	}
	if x.reboot(); x.live(time.Hour) > 7*time.Minute {
		t.Error("reboots keep it alive")
	}
	x.reboot()
	x.write("var/lease/deadline", "1 7200\n")
	about(t, "renewed after all", x.live(5*time.Hour), 2*time.Hour)
	x.reboot()
	about(t, "one more boot", x.live(5*time.Hour), 20*time.Minute)
}

// TestShutdownHangs: what does not go by asking goes by force.
func TestShutdownHangs(t *testing.T) {
	t.Parallel()
	s := script()
	s.End = `echo "told $1" >>"$R/log"; exit 1`
	x := sandbox(t, s)
	x.boot()
	x.write("var/end-first", "R="+x.root+"\n"+s.End+"\n")
	x.write("stuck", "")
	x.live(time.Hour + 10*time.Minute)
	log := x.read("log")
	for _, want := range []string{"told terminate", "shutdown -P now", "poweroff -f"} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in %s", want, log)
		}
	}
	if !x.has("sysrq") {
		t.Error("the last resort was not tried")
	}
}

// TestEnd: the machine's own end passes on what is wanted.
func TestEnd(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{"stop": "stop", "terminate": "terminate", "": "terminate", "x": "terminate"} {
		s := script()
		s.End = `echo "kind=$1"`
		x := sandbox(t, s)
		x.boot()
		x.write("var/end-first", `echo "kind=$1" >>`+x.root+"/log\n")
		x.sh("var/end", arg)
		if log := x.read("log"); !strings.Contains(log, "kind="+want+"\nshutdown -P now\n") {
			t.Errorf("%q: %s", arg, log)
		}
	}
}

// TestAnotherMachinesDisk: an image of a machine of ours has its keys and its lease; a new machine takes neither.
func TestAnotherMachinesDisk(t *testing.T) {
	t.Parallel()
	x := sandbox(t, script())
	x.boot()
	x.write("var/host-key-replaced", "")
	x.write("etc/ssh/aloft_host_ed25519_key", "theirs")
	x.live(59 * time.Minute)
	s := script()
	s.Keys.FirstHost = key(9)
	x.load(s)
	x.reboot()
	if x.has("var/host-key-replaced") || x.read("etc/ssh/aloft_host_ed25519_key") == "theirs" {
		t.Error("the host key is the other machine's")
	}
	about(t, "a new machine", x.live(5*time.Hour), time.Hour)
}

// TestLogin: who may log in, and which key proves the machine.
func TestLogin(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]string{"include": "Include /etc/ssh/sshd_config.d/*.conf\nPort 22\n", "old": "Port 22\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := sandbox(t, script())
			x.write("etc/ssh/sshd_config", config)
			x.boot()
			first := x.tree()
			x.boot()
			if again := x.tree(); again != first {
				t.Errorf("a second run changes\n%s\nto\n%s", first, again)
			}
			conf := x.read("etc/ssh/sshd_config")
			if name == "include" {
				if conf != config {
					t.Errorf("sshd_config was changed: %s", conf)
				}
				conf = x.read("etc/ssh/sshd_config.d/00-aloft.conf")
			} else if !strings.HasSuffix(conf, config) || strings.Count(conf, "HostKey") != 1 {
				t.Errorf("sshd_config: %s", conf)
			}
			if !strings.HasPrefix(conf, "HostKey ") || !strings.Contains(conf, "PasswordAuthentication no") {
				t.Errorf("configuration: %s", conf)
			}
			if log := x.read("log"); !strings.Contains(log, "useradd -m -s /bin/bash -p * sky") || !strings.Contains(log, "usermod -aG docker sky") {
				t.Errorf("no user: %s", log)
			}
			if k := x.read("var/keys/sky"); !strings.HasPrefix(k, "ssh-ed25519 ") || strings.Count(k, "\n") != 1 {
				t.Errorf("authorized: %q", k)
			}
			if k := x.read("etc/ssh/aloft_host_ed25519_key"); !strings.HasPrefix(k, "-----BEGIN OPENSSH PRIVATE KEY-----\n") {
				t.Errorf("host key: %q", k)
			}
			if fi, err := os.Stat(filepath.Join(x.root, "etc/ssh/aloft_host_ed25519_key")); err != nil || fi.Mode().Perm() != 0o600 {
				t.Errorf("host key: %v %v", fi.Mode(), err)
			}
		})
	}
}

// tree is every file that the script keeps.
func (x *box) tree() string {
	x.t.Helper()
	var b strings.Builder
	for _, d := range []string{"var", "etc"} {
		err := filepath.WalkDir(filepath.Join(x.root, d), func(p string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			c, err := os.ReadFile(p)
			fmt.Fprintf(&b, "%s %d\n", p, len(c))
			b.Write(c)
			return err
		})
		if err != nil {
			x.t.Fatal(err)
		}
	}
	return b.String()
}

// TestSystemd: where systemd runs, it keeps the dead-man alive.
func TestSystemd(t *testing.T) {
	t.Parallel()
	x := sandbox(t, script())
	if err := os.MkdirAll(filepath.Join(x.root, "run/systemd/system"), 0o755); err != nil {
		t.Fatal(err)
	}
	x.boot()
	log := x.read("log")
	for _, want := range []string{"systemctl daemon-reload", "systemctl start --no-block aloft-deadman.service"} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in %s", want, log)
		}
	}
	if strings.Contains(log, "setsid") {
		t.Error("a second dead-man beside systemd's")
	}
	if unit := x.read("run/systemd/system/aloft-deadman.service"); !strings.Contains(unit, "Restart=always") {
		t.Errorf("unit: %s", unit)
	}
}

// TestNoDeadline: a machine that costs nothing has no dead-man.
func TestNoDeadline(t *testing.T) {
	t.Parallel()
	x := sandbox(t, boot.Script{User: "sky", Keys: providers.Keys{User: key(1), Host: key(2)}})
	x.boot()
	if x.has("var/deadman") || x.has("var/lease") {
		t.Error("a dead-man without a deadline")
	}
	if !x.has("var/end") {
		t.Error("no way to end")
	}
}
