package boot_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aloft/providers"
	"aloft/providers/boot"
)

func key(b byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
}

func keys() providers.Keys {
	return providers.Keys{User: key(1), FirstHost: key(2), Host: key(3)}
}

// issued is when the machines of these tests were asked for.
var issued = time.Unix(1_800_000_000, 0)

func script() boot.Script {
	return boot.Script{User: "sky", Keys: keys(), Deadline: issued.Add(time.Hour), Issued: issued}
}

func bytesOf(t *testing.T, s boot.Script) []byte {
	t.Helper()
	b, err := s.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestScript(t *testing.T) {
	t.Parallel()
	s := script()
	s.End = "curl -X DELETE \"http://example/$1\" -d '{\"a\": `x`}'"
	s.Extra = strings.Repeat("echo 'quoted \"twice\"' $HOME \\\n", 8)
	b := bytesOf(t, s)
	if again := bytesOf(t, s); !bytes.Equal(b, again) {
		t.Error("the same script twice is not the same")
	}
	if !bytes.HasPrefix(b, []byte("#cloud-boothook\n#!/bin/sh\n")) {
		t.Errorf("begins with %.40q", b)
	}
	plain, err := s.Startup()
	if err != nil || !bytes.HasPrefix(plain, []byte("#!/bin/sh\n")) {
		t.Errorf("startup script: %.40q, %v", plain, err)
	}
	if len(b) > boot.MaxSize/2 {
		t.Errorf("%d bytes: no room for what a place adds", len(b))
	}
	if bytes.Contains(b, []byte("{{")) || bytes.Contains(b, []byte("<no value>")) {
		t.Error("unfilled template")
	}
	for _, s := range []boot.Script{s, {User: "root", Keys: keys()}, script()} {
		parses(t, bytesOf(t, s))
	}
}

// parses checks a script with the shells and the checker that are here.
func parses(t testing.TB, b []byte) {
	t.Helper()
	for _, sh := range []string{"dash", "bash"} {
		if _, err := exec.LookPath(sh); err != nil {
			t.Logf("%s is not here: not checked with it", sh)
			continue
		}
		cmd := exec.Command(sh, "-n")
		cmd.Stdin = bytes.NewReader(b)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s -n: %v: %s\n%s", sh, err, out, b)
		}
	}
}

func TestShellcheck(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("shellcheck"); err != nil {
		t.Skip("shellcheck is not installed: the boot script is not checked")
	}
	x := sandbox(t, script())
	x.boot()
	for _, f := range []string{"script", "var/deadman", "var/end", "var/end-first"} {
		out, err := exec.Command("shellcheck", "-s", "sh", filepath.Join(x.root, f)).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %s", f, out)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*boot.Script){
		"no user":        func(s *boot.Script) { s.User = "" },
		"shell in user":  func(s *boot.Script) { s.User = "a;b" },
		"long user":      func(s *boot.Script) { s.User = strings.Repeat("a", 33) },
		"no keys":        func(s *boot.Script) { s.Keys = providers.Keys{} },
		"no host key":    func(s *boot.Script) { s.Keys.FirstHost, s.Keys.Host = nil, nil },
		"end of heredoc": func(s *boot.Script) { s.End = "true\nALOFT_END\nrm -rf /" },
		"another end":    func(s *boot.Script) { s.Extra = "ALOFT_DEADMAN" },
		"zero byte":      func(s *boot.Script) { s.Extra = "a\x00b" },
		"carriage":       func(s *boot.Script) { s.End = "true\r\n" },
		"not text":       func(s *boot.Script) { s.End = "\xff" },
		"too long":       func(s *boot.Script) { s.Extra = strings.Repeat("echo long\n", 2000) },
	} {
		s := script()
		change(&s)
		if b, err := s.Bytes(); err == nil {
			t.Errorf("%s: taken: %d bytes", name, len(b))
		}
	}
}

// FuzzLines: whatever lines a place adds, they arrive as they are and the script around them stays what it is.
func FuzzLines(f *testing.F) {
	for _, s := range []string{"", "true", "echo '", "`", "$(", "<<EOF", "ALOFT_END ", "\\", "if", "é\t\"$1\"", "{{.End}}", "\n\n x"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, end, extra string) {
		s := script()
		s.End, s.Extra = end, extra
		b, err := s.Bytes()
		if err != nil {
			return
		}
		parses(t, b)
		x := sandbox(t, s)
		x.boot()
		if got, want := x.read("var/end-first"), "#!/bin/sh\n"+strings.TrimRight(end, "\n")+"\n"; got != want {
			t.Errorf("end: %q, want %q", got, want)
		}
		if strings.TrimRight(extra, "\n") == "" {
			return
		}
		if got, want := x.read("var/extra"), "#!/bin/sh\n"+strings.TrimRight(extra, "\n")+"\n"; got != want {
			t.Errorf("extra: %q, want %q", got, want)
		}
	})
}

// box is a directory that stands for a machine: the script runs with its paths moved there and with commands of ours in
// place of those that change a machine. Its clocks go on by sleeping only, twenty times as fast as asked: that saves processes.
type box struct {
	t    testing.TB
	root string
}

func sandbox(t testing.TB, s boot.Script) *box {
	t.Helper()
	x := &box{t: t, root: t.TempDir()}
	for _, d := range []string{"bin", "run", "etc/ssh", "etc/sudoers.d"} {
		if err := os.MkdirAll(filepath.Join(x.root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	x.load(s)
	x.write("uptime", "5000.25 9.9\n")
	x.write("now", fmt.Sprint(issued.Unix()+30))
	x.write("pace", "20")
	x.write("etc/ssh/sshd_config", "Port 22\n")
	log := `echo "${0##*/} $*" >>"$R/log"` + "\n"
	for name, body := range map[string]string{
		"useradd": log, "usermod": log, "chown": log, "systemctl": log, "setsid": log, "poweroff": log,
		"id":       `[ -e "$R/user" ]`,
		"getent":   `[ "$2" = docker ]`,
		"timeout":  `shift 3; exec "$@"`,
		"shutdown": log + `[ ! -e "$R/stuck" ] && touch "$R/off"`,
		"date":     `cat "$R/now"`,
		"sleep": `if [ -e "$R/off" ]; then kill $PPID; exit; fi
			read -r up rest <"$R/uptime"; n=$(($1 * $(cat "$R/pace"))); up=$((${up%%.*} + n)); echo "$up.0 0" >"$R/uptime"
			now=$(cat "$R/now"); echo $((now + n)) >"$R/now"
			if [ "$up" -ge "$(cat "$R/until")" ]; then kill $PPID; fi`,
	} {
		x.write("bin/"+name, "#!/bin/sh\nR="+x.root+"\n"+body+"\n")
		if err := os.Chmod(filepath.Join(x.root, "bin", name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

// load puts a script into the box.
func (x *box) load(s boot.Script) {
	b, err := s.Startup()
	if err != nil {
		x.t.Fatal(err)
	}
	r := x.root
	x.write("script", strings.NewReplacer(boot.Dir, r+"/var", "/etc/ssh", r+"/etc/ssh", "/etc/sudoers", r+"/etc/sudoers", "/run/", r+"/run/",
		"/proc/uptime", r+"/uptime", "/proc/sysrq-trigger", r+"/sysrq", "PATH=/usr/local/sbin:", "PATH="+r+"/bin:").Replace(string(b)))
}

func (x *box) write(name, s string) {
	x.t.Helper()
	if err := os.WriteFile(filepath.Join(x.root, name), []byte(s), 0o644); err != nil {
		x.t.Fatal(err)
	}
}

func (x *box) read(name string) string {
	x.t.Helper()
	b, err := os.ReadFile(filepath.Join(x.root, name))
	if err != nil {
		x.t.Fatal(err)
	}
	return string(b)
}

func (x *box) has(name string) bool {
	_, err := os.Stat(filepath.Join(x.root, name))
	return err == nil
}

func (x *box) sh(name string, args ...string) {
	x.t.Helper()
	cmd := exec.Command("/bin/sh", append([]string{filepath.Join(x.root, name)}, args...)...)
	cmd.Env = []string{"PATH=" + x.root + "/bin:/usr/sbin:/sbin:/usr/bin:/bin"}
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState.ExitCode() != -1 { // -1: our sleep ended it
		x.t.Fatalf("%s: %v: %s", name, err, out)
	}
}

// boot runs the script as at a boot.
func (x *box) boot() {
	x.t.Helper()
	x.sh("script")
}

// live lets the dead-man run for so long and says for how long it did.
func (x *box) live(d time.Duration) time.Duration {
	x.t.Helper()
	start := x.up()
	x.write("until", fmt.Sprint(start+int64(d/time.Second)))
	x.sh("var/deadman")
	return time.Duration(x.up()-start) * time.Second
}

func (x *box) up() int64 {
	x.t.Helper()
	var up int64
	if _, err := fmt.Sscanf(x.read("uptime"), "%d", &up); err != nil {
		x.t.Fatal(err)
	}
	return up
}

// reboot is what a machine finds at its next boot.
func (x *box) reboot() {
	x.t.Helper()
	if err := os.RemoveAll(filepath.Join(x.root, "run")); err != nil {
		x.t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(x.root, "run"), 0o755); err != nil {
		x.t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(x.root, "off"))
	x.write("uptime", "3.1 0\n")
	x.boot()
}
