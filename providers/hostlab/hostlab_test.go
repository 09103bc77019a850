package hostlab_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aloft/providers"
	"aloft/providers/boot"
	"aloft/providers/hostlab"
	"aloft/providers/shell"
)

func newLab(t *testing.T) *hostlab.Lab {
	t.Helper()
	if err := hostlab.Available(); err != nil {
		t.Skipf("SKIPPED, no hosts can be made here: %v", err)
	}
	l, err := hostlab.New(hostlab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func key(label string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(label))
	return ed25519.NewKeyFromSeed(seed[:])
}

func bootScript(t *testing.T, s boot.Script) []byte {
	t.Helper()
	if s.User == "" {
		s.User = "ubuntu"
	}
	s.Keys = providers.Keys{User: key("user"), Host: key("host"), FirstHost: key("first")}
	b, err := s.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// login is OpenSSH's own client, with the pinned first host key.
type login struct{ dir, address, user string }

func newLogin(t *testing.T, address string) login {
	t.Helper()
	dir := t.TempDir()
	private, err := shell.PrivateKey(key("user"), "")
	if err != nil {
		t.Fatal(err)
	}
	public, err := shell.PublicKey(key("first"), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "id"), private, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "known"), []byte(address+" "+public+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return login{dir, address, "ubuntu"}
}

func (l login) run(line string) (string, error) {
	out, err := exec.Command("ssh", "-F", "/dev/null", "-i", filepath.Join(l.dir, "id"), "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes",
		"-o", "UserKnownHostsFile="+filepath.Join(l.dir, "known"), "-o", "BatchMode=yes", "-o", "ConnectTimeout=2", l.user+"@"+l.address, line).CombinedOutput()
	return string(out), err
}

// await polls until a login works.
func (l login) await(t *testing.T, h *hostlab.Host, line string) string {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		out, err := l.run(line)
		if err == nil {
			return out
		}
		if time.Now().After(deadline) {
			t.Fatalf("no login to %s: %v\n%s\nconsole:\n%s", l.address, err, out, h.Console())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	l, ctx := newLab(t), limited(t)
	h, err := l.Start(ctx, hostlab.Spec{Name: "node-a", Boot: bootScript(t, boot.Script{Extra: "echo \"$GREETING\" >/var/lib/aloft/greeting"}), Env: map[string]string{"GREETING": "good day"}})
	if err != nil {
		t.Fatal(err)
	}
	c := newLogin(t, h.Address())
	c.await(t, h, "true")
	for _, tc := range []struct{ line, want string }{
		{"hostname", "node-a\n"},
		{"id -un", "ubuntu\n"},
		{"sudo -n id -u", "0\n"},
		{"sudo -n sh -c 'echo $SUDO_USER'", "ubuntu\n"},
		{"cat /var/lib/aloft/greeting", "good day\n"},
		{"echo $GREETING", "good day\n"},
		{"ls /home", "ubuntu\n"},
		{"ls /root 2>&1 | grep -c denied", "1\n"},
		{"ls -A /mnt /srv | grep -cv ':$' | awk '{print ($1 < 3)}'", "1\n"},
		{"ls /proc | grep -c '^[0-9]*$' | awk '{print ($1 < 30)}'", "1\n"},
		{"ls /etc/ssh/*_key", boot.HostKeyFile + "\n"},
		{"hostname -I | tr -d ' '", h.Address() + "\n"},
		{"echo hi >/dev/shm/x && cat /dev/shm/x", "hi\n"},
		{"sudo -n apt-get --version >/dev/null && echo apt", "apt\n"},
	} {
		if out, err := c.run(tc.line); err != nil || out != tc.want {
			t.Errorf("%s: %q, %v; want %q", tc.line, out, err, tc.want)
		}
	}
	if out, err := c.run("exit 7"); err == nil || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("exit 7: %v %s", err, out)
	}
	if out, err := h.Run(ctx, "id -u; tr '\\0' ' ' </proc/1/cmdline"); err != nil || !strings.HasPrefix(string(out), "0\n") || !strings.Contains(string(out), "hostlab/init") {
		t.Errorf("inside: %q, %v", out, err)
	}
	// Another key does not get in.
	bad, err := shell.PrivateKey(key("stranger"), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "id"), bad, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := c.run("true"); err == nil || !strings.Contains(out, "Permission denied") {
		t.Errorf("a stranger's key: %v %s", err, out)
	}
}

func TestStopKeepsDiskAndAddress(t *testing.T) {
	t.Parallel()
	l, ctx := newLab(t), limited(t)
	var off atomic.Int32
	h, err := l.Start(ctx, hostlab.Spec{Name: "keeper", Boot: bootScript(t, boot.Script{Extra: "echo boot >>/var/lib/aloft/boots"}), PowerOff: func() { off.Add(1) }})
	if err != nil {
		t.Fatal(err)
	}
	address := h.Address()
	c := newLogin(t, address)
	c.await(t, h, "echo kept >notes; touch /tmp/scratch /dev/shm/gone; sync")
	for range 2 {
		if err := h.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		if h.Running() {
			t.Fatal("runs after Stop")
		}
	}
	if _, err := h.Run(ctx, "true"); err == nil {
		t.Error("a command ran on a host that is off")
	}
	if conn, err := net.DialTimeout("tcp", net.JoinHostPort(address, "22"), 300*time.Millisecond); err == nil {
		conn.Close()
		t.Error("sshd answers on a host that is off")
	}
	for range 2 {
		if err := h.Boot(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if out := c.await(t, h, "cat notes /var/lib/aloft/boots; ls /dev/shm"); out != "kept\nboot\nboot\n" || h.Address() != address {
		t.Errorf("after a second boot at %s: %q", h.Address(), out)
	}
	if off.Load() != 0 {
		t.Error("PowerOff was called for Stop")
	}
}

func TestPowerOffFromInside(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for _, line := range []string{"sudo shutdown -P now", "sudo poweroff -f", "sudo halt", "sudo shutdown -h +1 && sudo shutdown -c && sudo shutdown now", "sudo " + boot.EndCommand + " terminate", "sudo kill -USR1 1"} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			ctx := limited(t)
			var off atomic.Int32
			h, err := l.Start(ctx, hostlab.Spec{Name: "ender", Boot: bootScript(t, boot.Script{}), PowerOff: func() { off.Add(1) }})
			if err != nil {
				t.Fatal(err)
			}
			c := newLogin(t, h.Address())
			if out, err := c.run("shutdown now"); err == nil {
				t.Errorf("a user without root shut the machine down: %s", out)
			}
			c.await(t, h, "true")
			_, _ = c.run(line)
			eventually(t, "PowerOff", func() bool { return off.Load() == 1 && !h.Running() })
			if err := h.Boot(ctx); err != nil {
				t.Fatal(err)
			}
			c.await(t, h, "true")
			if err := h.Remove(ctx); err != nil {
				t.Fatal(err)
			}
			if off.Load() != 1 {
				t.Errorf("PowerOff was called %d times", off.Load())
			}
		})
	}
}

// TestDeadMan is the boot script's own end of a machine, without anybody outside.
func TestDeadMan(t *testing.T) {
	t.Parallel()
	l, ctx := newLab(t), limited(t)
	off := make(chan struct{})
	h, err := l.Start(ctx, hostlab.Spec{Name: "late", Boot: bootScript(t, boot.Script{Deadline: time.Now().Add(time.Hour)}), PowerOff: func() { close(off) }})
	if err != nil {
		t.Fatal(err)
	}
	// Only renewed for a second; the dead-man, which looks every 20 seconds, is begun anew by its keeper.
	newLogin(t, h.Address()).await(t, h, "echo $(($(date +%s) + 1)) 1 >"+boot.DeadlineFile)
	if out, err := h.Run(ctx, "pkill -f 'sh /var/lib/aloft/deadman$'"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	select {
	case <-off:
	case <-ctx.Done():
		t.Fatal("a machine past its deadline lives")
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	l, ctx := newLab(t), limited(t)
	a, err := l.Start(ctx, hostlab.Spec{Name: "a", Boot: bootScript(t, boot.Script{})})
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Start(ctx, hostlab.Spec{Name: "b", Boot: bootScript(t, boot.Script{})})
	if err != nil {
		t.Fatal(err)
	}
	ca := newLogin(t, a.Address())
	ca.await(t, a, "true")
	newLogin(t, b.Address()).await(t, b, "true")
	probe := "timeout 1 bash -c '</dev/tcp/" + b.Address() + "/22' 2>/dev/null && echo open || echo shut"
	for _, cut := range []bool{false, true, false} {
		if err := b.Cut(cut); err != nil {
			t.Fatal(err)
		}
		want := "open\n"
		if cut {
			want = "shut\n"
		}
		eventually(t, fmt.Sprintf("%t: %s", cut, want), func() bool {
			out, err := ca.run(probe)
			return err == nil && out == want
		})
		if out, err := b.Run(ctx, "echo alive"); err != nil || string(out) != "alive\n" {
			t.Errorf("cut %t: inside: %q, %v", cut, out, err)
		}
	}
}

func TestMetadataIsEachHostsOwn(t *testing.T) {
	t.Parallel()
	l, ctx := newLab(t), limited(t)
	const get = `exec 3<>/dev/tcp/%s/80 && printf 'GET /who HTTP/1.0\r\nHost: x\r\n\r\n' >&3 && tail -n 1 <&3`
	for _, name := range []string{"one", "two"} {
		h, err := l.Start(ctx, hostlab.Spec{Name: name, Metadata: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "you are "+name+"\n") })})
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []string{"169.254.169.254", "metadata.google.internal"} {
			if out, err := h.Run(ctx, "bash -c \""+strings.ReplaceAll(fmt.Sprintf(get, at), `"`, `\"`)+"\""); err != nil || string(out) != "you are "+name+"\n" {
				t.Errorf("%s at %s: %q, %v", name, at, out, err)
			}
		}
	}
	none, err := l.Start(ctx, hostlab.Spec{Name: "none"})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := none.Run(ctx, "bash -c '</dev/tcp/169.254.169.254/80'"); err == nil {
		t.Errorf("a host without metadata reached some: %s", out)
	}
}

func TestSixteenHosts(t *testing.T) {
	t.Parallel()
	l, ctx := newLab(t), limited(t)
	began := time.Now()
	var wg sync.WaitGroup
	hosts := make([]*hostlab.Host, 16)
	for i := range hosts {
		wg.Go(func() {
			h, err := l.Start(ctx, hostlab.Spec{Name: fmt.Sprintf("n%d", i), Boot: bootScript(t, boot.Script{})})
			if err != nil {
				t.Error(err)
				return
			}
			hosts[i] = h
			newLogin(t, h.Address()).await(t, h, "true")
		})
	}
	wg.Wait()
	t.Logf("16 hosts logged in to after %v", time.Since(began))
	seen := map[string]bool{}
	for _, h := range hosts {
		if h != nil {
			seen[h.Address()] = true
		}
	}
	if len(seen) != 16 {
		t.Errorf("%d addresses", len(seen))
	}
}

// TestDir: disks lie where the caller says, and go with the lab.
func TestDir(t *testing.T) {
	t.Parallel()
	if err := hostlab.Available(); err != nil {
		t.Skipf("SKIPPED, no hosts can be made here: %v", err)
	}
	dir := t.TempDir()
	l, err := hostlab.New(hostlab.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	h, err := l.Start(limited(t), hostlab.Spec{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := h.Run(limited(t), "echo x >/root/file"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if fs, _ := filepath.Glob(dir + "/*/*/disk/upper/root/file"); len(fs) != 1 {
		t.Errorf("files: %v", fs)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if fs, err := os.ReadDir(dir); err != nil || len(fs) != 0 {
		t.Errorf("left: %v, %v", fs, err)
	}
}

// TestHelper is the process that TestLeftovers kills.
func TestHelper(t *testing.T) {
	if os.Getenv("HOSTLAB_HELPER") == "" {
		t.Skip("runs as a process of TestLeftovers")
	}
	l, err := hostlab.New(hostlab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h, err := l.Start(context.Background(), hostlab.Spec{Name: "orphan", Metadata: http.NotFoundHandler()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Run(context.Background(), "setsid sleep 1000 >/dev/null 2>&1 </dev/null &"); err != nil {
		t.Fatal(err)
	}
	fmt.Println("READY " + l.Gateway())
	time.Sleep(time.Minute)
}

func TestLeftovers(t *testing.T) {
	t.Parallel()
	newLab(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestHelper$", "-test.v")
	cmd.Env = append(os.Environ(), "HOSTLAB_HELPER=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var gateway string
	buf := make([]byte, 64<<10)
	n := 0
	for gateway == "" {
		k, err := out.Read(buf[n:])
		n += k
		if _, rest, ok := strings.Cut(string(buf[:n]), "READY "); ok && strings.Contains(rest, "\n") {
			gateway, _, _ = strings.Cut(rest, "\n")
		} else if err != nil {
			t.Fatalf("%v: %s", err, buf[:n])
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	var a, b, c, d int
	if _, err := fmt.Sscanf(gateway, "%d.%d.%d.%d", &a, &b, &c, &d); err != nil {
		t.Fatal(err)
	}
	bridge := fmt.Sprintf("hlab%d", b<<8|c)
	raw, err := os.ReadFile("/run/hostlab/" + bridge + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var rec struct{ Dir string }
	if err := json.Unmarshal(raw, &rec); err != nil {
		t.Fatal(err)
	}
	// The kernel ends the host: its end of the wire goes with its namespace.
	eventually(t, "the host ends with its maker", func() bool {
		ports, _ := filepath.Glob("/sys/class/net/" + bridge + "/brif/*")
		return len(ports) == 0
	})
	newLab(t)
	for _, p := range []string{"/sys/class/net/" + bridge, "/run/hostlab/" + bridge + ".json", rec.Dir} {
		if _, err := os.Stat(p); err == nil {
			t.Errorf("%s is left over", p)
		}
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	l, ctx := newLab(t), limited(t)
	for _, s := range []hostlab.Spec{{}, {Name: "a b"}, {Name: "x", Boot: []byte("echo no interpreter\n")}} {
		if _, err := l.Start(ctx, s); err == nil {
			t.Errorf("%+v was started", s)
		}
	}
}

// BenchmarkBoot is from Start until sshd answers.
func BenchmarkBoot(b *testing.B) {
	if err := hostlab.Available(); err != nil {
		b.Skipf("SKIPPED, no hosts can be made here: %v", err)
	}
	l, err := hostlab.New(hostlab.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for b.Loop() {
		h, err := l.Start(context.Background(), hostlab.Spec{Name: "bench"})
		if err != nil {
			b.Fatal(err)
		}
		for {
			c, err := net.DialTimeout("tcp", h.Address()+":22", time.Second)
			if err == nil {
				c.Close()
				break
			}
			time.Sleep(time.Millisecond)
		}
		b.StopTimer()
		if err := h.Remove(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
