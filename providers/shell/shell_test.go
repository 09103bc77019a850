package shell_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aloft/providers"
	"aloft/providers/shell"
	"aloft/providers/shell/shelltest"
)

func keys() providers.Keys {
	return providers.Keys{User: shelltest.Key("user"), Host: shelltest.Key("host")}
}

func server(t testing.TB, config string) *shelltest.Server {
	k := keys()
	return shelltest.Start(t, shelltest.Options{HostKey: k.Host, Authorized: []ed25519.PrivateKey{k.User}, Config: config})
}

func open(t testing.TB, s *shelltest.Server, o shell.Options) providers.Shell {
	t.Helper()
	if o.Keys.User == nil {
		o.Keys = keys()
	}
	o.Provider = "test"
	sh, err := shell.Dial(t.Context(), s.Target(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sh.Close() })
	return sh
}

func run(t testing.TB, sh providers.Shell, line string, stdin io.Reader) (string, providers.Exit) {
	t.Helper()
	var out, errs bytes.Buffer
	exit, err := sh.Run(t.Context(), providers.Cmd{Line: line, Stdin: stdin, Stdout: &out, Stderr: &errs})
	if err != nil {
		t.Fatalf("run %q: %v", line, err)
	}
	return out.String() + errs.String(), exit
}

func fails(t *testing.T, err error, kind providers.Kind, code string) *providers.Error {
	t.Helper()
	var e *providers.Error
	if !errors.As(err, &e) || e.Kind != kind || e.Code != code || e.Provider != "test" {
		t.Fatalf("%v is no %v failure with code %s", err, kind, code)
	}
	return e
}

func TestRun(t *testing.T) {
	t.Parallel()
	sh := open(t, server(t, ""), shell.Options{})
	for _, x := range []struct {
		line, out string
		want      providers.Exit
	}{
		{"true", "", providers.Exit{}},
		{"exit 7", "", providers.Exit{Code: 7}},
		{"kill -TERM $$", "", providers.Exit{Code: 143, Signal: 15}},
		{"kill -KILL $$", "", providers.Exit{Code: 137, Signal: 9}},
		{`echo "it's $HOME"; pwd`, "it's /root\n/root\n", providers.Exit{}},
		{"echo out; echo err >&2", "out\nerr\n", providers.Exit{}},
		{"echo 'two\nlines'", "two\nlines\n", providers.Exit{}},
		{"sleep 60 & echo left", "left\n", providers.Exit{}},
	} {
		if out, got := run(t, sh, x.line, nil); got != x.want || out != x.out {
			t.Errorf("%q: %+v, %q", x.line, got, out)
		}
	}
	if out, _ := run(t, sh, "cat", strings.NewReader("in")); out != "in" {
		t.Errorf("standard input came out as %q", out)
	}
	data := bytes.Repeat([]byte("0123456789abcdef\x00\xff\r\n"), 10<<20/20)
	sum := sha256.Sum256(data)
	if out, _ := run(t, sh, "tee bulk | sha256sum", bytes.NewReader(data)); !strings.HasPrefix(out, hex.EncodeToString(sum[:])) {
		t.Errorf("10 MB in: %s", out)
	}
	if out, _ := run(t, sh, "cat bulk", nil); sha256.Sum256([]byte(out)) != sum {
		t.Errorf("10 MB out: %d bytes", len(out))
	}
}

// TestCrowd: more commands than sshd has sessions for wait for one another.
func TestCrowd(t *testing.T) {
	t.Parallel()
	s := server(t, "MaxSessions 3")
	pool := shell.NewPool()
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			sh, err := shell.Dial(t.Context(), s.Target(), shell.Options{Provider: "test", Keys: keys(), Pool: pool})
			if err != nil {
				t.Error(err)
				return
			}
			defer sh.Close()
			var out bytes.Buffer
			exit, err := sh.Run(t.Context(), providers.Cmd{Line: fmt.Sprintf("sleep 0.0%d; echo %d; exit %d", i%9, i, i), Stdout: &out})
			if err != nil || exit.Code != i || out.String() != fmt.Sprintf("%d\n", i) {
				t.Errorf("run %d: %q, %+v, %v", i, out.String(), exit, err)
			}
		})
	}
	wg.Wait()
}

// TestCancelKills: a command given up is killed with what it started.
func TestCancelKills(t *testing.T) {
	t.Parallel()
	sh := open(t, server(t, ""), shell.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := sh.Run(ctx, providers.Cmd{Line: "sleep 4321 & echo up; sleep 4321", Stdout: w})
		done <- err
	}()
	if _, err := io.ReadFull(r, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	if out, _ := run(t, sh, "n=0; while pgrep -xa sleep | grep -q 4321 && [ $n -lt 100 ]; do n=$((n+1)); sleep 0.05; done >/dev/null; pgrep -xa sleep | grep -c 4321", nil); out != "0\n" {
		t.Errorf("left over: %q", out)
	}
}

func TestStreams(t *testing.T) {
	t.Parallel()
	s := server(t, "")
	sh := open(t, s, shell.Options{})
	path := filepath.Join(t.TempDir(), "echo.sock")
	for network, address := range map[string]string{"unix": path, "tcp": "127.0.0.1:0"} {
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					b, _ := io.ReadAll(c)
					_, _ = c.Write(b)
				}()
			}
		}()
		c, err := sh.Dial(t.Context(), network, l.Addr().String())
		if err != nil {
			t.Fatalf("%s: %v", network, err)
		}
		data := bytes.Repeat([]byte("ping"), 100_000)
		if _, err := c.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, %v", network, len(got), err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("%s: close: %v", network, err)
		}
	}
	_, err := sh.Dial(t.Context(), "unix", path+".none")
	fails(t, err, providers.Transient, "dial")
	_, err = sh.Dial(t.Context(), "unix", "relative")
	fails(t, err, providers.Invalid, "path")
}

// TestFirstContact: a machine's first host key is replaced, and then only the lasting one counts.
func TestFirstContact(t *testing.T) {
	t.Parallel()
	k := keys()
	first := shelltest.Key("first")
	s := shelltest.Start(t, shelltest.Options{HostKey: first, Authorized: []ed25519.PrivateKey{k.User}})
	_, err := shell.Dial(t.Context(), s.Target(), shell.Options{Provider: "test", Keys: k})
	fails(t, err, providers.Auth, shell.CodeHostKey)
	both := k
	both.FirstHost = first
	for range 2 { // the second time it has its lasting key already
		sh := open(t, s, shell.Options{Keys: both})
		if out, _ := run(t, sh, "echo hello", nil); out != "hello\n" {
			t.Errorf("said %q", out)
		}
	}
	if _, err := os.Stat(s.File(shell.HostKeyReplaced)); err != nil {
		t.Error(err)
	}
	private, err := shell.PrivateKey(k.Host, "")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(s.File(shell.HostKeyFile))
	block := func(b []byte) string { return strings.Split(string(b), "\n")[1] }
	if err != nil || block(b) != block(private) {
		t.Errorf("the host key file holds something else: %v", err)
	}
	if fi, err := os.Stat(s.File(shell.HostKeyFile)); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the host key file: %v %v", fi.Mode(), err)
	}
	open(t, s, shell.Options{Keys: k})
	s.Down()
	s.Up()
	open(t, s, shell.Options{Keys: k})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := server(t, "")
	stranger := keys()
	stranger.User = shelltest.Key("stranger")
	dial := func(target shell.Target, o shell.Options) error {
		o.Provider = "test"
		_, err := shell.Dial(t.Context(), target, o)
		return err
	}
	fails(t, dial(s.Target(), shell.Options{Keys: stranger}), providers.Transient, shell.CodeLogin)
	other := keys()
	other.Host = shelltest.Key("another")
	e := fails(t, dial(s.Target(), shell.Options{Keys: other}), providers.Auth, shell.CodeHostKey)
	if !strings.Contains(e.Error(), "not ours") {
		t.Errorf("says %v", e)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := s.Target()
	free.Port = l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	fails(t, dial(free, shell.Options{Keys: keys()}), providers.Transient, shell.CodeRefused)
	if err := dial(s.Target(), shell.Options{Keys: keys()}); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := shell.Dial(ctx, s.Target(), shell.Options{Keys: keys()}); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}

// TestWaits: a machine that boots is waited for.
func TestWaits(t *testing.T) {
	t.Parallel()
	s := server(t, "")
	s.Down()
	up := make(chan error, 1)
	go func() {
		_, err := shell.Dial(t.Context(), s.Target(), shell.Options{Provider: "test", Keys: keys(), Wait: time.Minute})
		up <- err
	}()
	s.Up()
	if err := <-up; err != nil {
		t.Error(err)
	}
}

// TestReconnects: a lost connection is made again, and what was under way says that it was lost.
func TestReconnects(t *testing.T) {
	t.Parallel()
	s := server(t, "")
	sh := open(t, s, shell.Options{})
	r, w := io.Pipe()
	lost := make(chan error, 1)
	go func() {
		_, err := sh.Run(t.Context(), providers.Cmd{Line: "echo up; sleep 60", Stdout: w})
		lost <- err
	}()
	if _, err := io.ReadFull(r, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	s.Down()
	fails(t, <-lost, providers.Transient, shell.CodeLost)
	s.Up()
	if out, _ := run(t, sh, "echo again", nil); out != "again\n" {
		t.Errorf("said %q", out)
	}
}

// relay passes connections on until it is told to fall silent, as a cut cable would.
func relay(t *testing.T, to string) (address string, silence func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	silent := make(chan struct{})
	pass := func(dst, src net.Conn) {
		b := make([]byte, 32<<10)
		for {
			n, err := src.Read(b)
			if err != nil {
				_ = dst.Close()
				return
			}
			select {
			case <-silent:
				continue
			default:
			}
			if _, err := dst.Write(b[:n]); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", to)
			if err != nil {
				_ = a.Close()
				return
			}
			go pass(a, b)
			go pass(b, a)
		}
	}()
	return l.Addr().String(), func() {
		close(silent)
		_ = l.Close()
	}
}

// TestSilence: a machine that falls silent is noticed.
func TestSilence(t *testing.T) {
	t.Parallel()
	s := server(t, "")
	address, silence := relay(t, fmt.Sprintf("127.0.0.1:%d", s.Port))
	target := s.Target()
	host, port, _ := strings.Cut(address, ":")
	target.Host = host
	if _, err := fmt.Sscan(port, &target.Port); err != nil {
		t.Fatal(err)
	}
	pool := shell.NewPool()
	pool.Silence = 300 * time.Millisecond
	sh, err := shell.Dial(t.Context(), target, shell.Options{Provider: "test", Keys: keys(), Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	defer sh.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := sh.Run(ctx, providers.Cmd{Line: "sleep 60"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("an idle machine that lives: %v", err)
	}
	silence()
	var e *providers.Error
	if _, err = sh.Run(t.Context(), providers.Cmd{Line: "sleep 60"}); !errors.As(err, &e) || e.Kind != providers.Transient {
		t.Errorf("a silent machine: %v", err)
	}
}
