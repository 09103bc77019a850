// Package shelltest starts real SSH servers for tests, each with a home, an /etc/ssh and a process space of its own.
package shelltest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"aloft/providers/shell"
)

const sshd = "/usr/sbin/sshd"

// Available says why no server can be started here; nil when it can.
func Available() error {
	if os.Getuid() != 0 {
		return errors.New("SSH servers of tests need root")
	}
	if _, err := os.Stat(sshd); err != nil {
		return fmt.Errorf("no SSH server (Debian: openssh-server): %w", err)
	}
	return available()
}

// Options adjust a server.
type Options struct {
	Authorized []ed25519.PrivateKey // who may log in as root
	HostKey    ed25519.PrivateKey   // required
	Config     string               // more lines for sshd_config, before ours
}

// Server is a running sshd on the loopback.
type Server struct {
	Host string
	Port int
	// Dir is on this machine what /root is on the server's.
	Dir string

	t    testing.TB
	base string
	mu   sync.Mutex
	stop func()
	log  *bytes.Buffer
}

// Start starts a server that ends with the test; where that is impossible the test is skipped.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if err := Available(); err != nil {
		t.Skipf("SKIPPED, nothing was tested: %v", err)
	}
	base := t.TempDir()
	s := &Server{t: t, Host: "127.0.0.1", base: base, Dir: filepath.Join(base, "root"), log: new(bytes.Buffer)}
	for _, d := range []string{"root", "etc", "lib"} {
		if err := os.MkdirAll(filepath.Join(base, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var keys []string
	for _, k := range o.Authorized {
		line, err := shell.PublicKey(k, "test")
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, line)
	}
	private, err := shell.PrivateKey(o.HostKey, "")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Port = l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	conf := o.Config + fmt.Sprintf("\nListenAddress 127.0.0.1:%d\nHostKey %s\nAuthorizedKeysFile /etc/ssh/authorized_keys\nPermitRootLogin prohibit-password\n"+
		"UsePAM no\nUseDNS no\nAllowStreamLocalForwarding yes\nAllowTcpForwarding yes\nPidFile /run/sshd.pid\nMaxStartups 200\n", s.Port, shell.HostKeyFile)
	for name, text := range map[string]string{
		"sshd_config": conf, "authorized_keys": strings.Join(keys, "\n") + "\n", filepath.Base(shell.HostKeyFile): string(private),
	} {
		if err := os.WriteFile(filepath.Join(base, "etc", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.Up()
	t.Cleanup(func() {
		s.Down()
		if t.Failed() {
			t.Logf("sshd on port %d:\n%s", s.Port, s.log.String())
		}
	})
	return s
}

// File is on this machine what a path below /root, /etc/ssh or /var/lib is on the server's.
func (s *Server) File(path string) string {
	for on, dir := range map[string]string{"/root": "root", "/etc/ssh": "etc", "/var/lib": "lib"} {
		if rest, ok := strings.CutPrefix(path, on+"/"); ok {
			return filepath.Join(s.base, dir, rest)
		}
	}
	return path
}

// Target is the way to the server for root.
func (s *Server) Target() shell.Target { return shell.Target{Host: s.Host, Port: s.Port, User: "root"} }

// Down kills the server and everything that runs on it, as a power cut would.
func (s *Server) Down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		s.stop()
		s.stop = nil
	}
}

// Up starts the server again and returns when it answers.
func (s *Server) Up() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	cmd := exec.Command("/bin/sh", "-c", `set -e
mount -t proc proc /proc
mkdir -p /run/sshd
mount -t tmpfs tmpfs /run
mkdir -p /run/sshd
mount --bind "$BASE/root" /root
mount --bind "$BASE/etc" /etc/ssh
mount --bind "$BASE/lib" /var/lib
exec /usr/sbin/sshd -D -e -f /etc/ssh/sshd_config`)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "BASE=" + s.base}
	cmd.Stdout, cmd.Stderr = s.log, s.log
	isolate(cmd)
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("start sshd: %v", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	s.stop = func() {
		_ = cmd.Process.Kill()
		<-ended
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port))); err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ended:
			s.t.Fatalf("sshd ended:\n%s", s.log.String())
		case <-ctx.Done():
			s.t.Fatal("sshd does not answer")
		}
	}
}

// Key makes a key from a word, the same each time.
func Key(word string) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, word)
	return ed25519.NewKeyFromSeed(seed)
}
