package providertest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"aloft/providers"
)

// shell checks the ways onto a machine.
func (s *suite) shell() {
	sp, ok := s.p.(providers.Sheller)
	if !ok {
		s.Skip("no shell here")
	}
	in := s.create(s.request("shell"))
	in = s.running(in.ID)
	sh, err := sp.Shell(s.Context(), in, s.c.Keys)
	if err != nil {
		s.Fatalf("open shell: %v", err)
	}
	defer sh.Close()
	s.shellExits(sh)
	s.shellBulk(sh)
	s.shellParallel(sh)
	s.shellCancel(sh)
	s.shellDial(sh)
}

func (s *suite) run(sh providers.Shell, line string, stdin io.Reader) (string, providers.Exit) {
	s.Helper()
	var out, errs bytes.Buffer
	exit, err := sh.Run(s.Context(), providers.Cmd{Line: line, Stdin: stdin, Stdout: &out, Stderr: &errs})
	if err != nil {
		s.Fatalf("run %q: %v (stderr %q)", line, err, errs.String())
	}
	return out.String(), exit
}

func (s *suite) shellExits(sh providers.Shell) {
	s.Helper()
	for _, x := range []struct {
		line string
		want providers.Exit
	}{
		{"true", providers.Exit{}},
		{"exit 7", providers.Exit{Code: 7}},
		{"kill -TERM $$", providers.Exit{Code: 143, Signal: 15}},
		{"no-such-command-anywhere 2>/dev/null", providers.Exit{Code: 127}},
	} {
		_, got := s.run(sh, x.line, nil)
		if got.Code != x.want.Code {
			s.Errorf("%q ended with %+v, want %+v", x.line, got, x.want)
		}
	}
	if out, _ := s.run(sh, `echo "$HOME"; pwd`, nil); len(strings.Fields(out)) != 2 {
		s.Errorf("home and working directory: %q", out)
	}
	var errs bytes.Buffer
	if _, err := sh.Run(s.Context(), providers.Cmd{Line: "echo oops >&2", Stderr: &errs}); err != nil || errs.String() != "oops\n" {
		s.Errorf("stderr %q, %v", errs.String(), err)
	}
}

// shellBulk sends 10 MB in and gets them back, both with the right digest.
func (s *suite) shellBulk(sh providers.Shell) {
	s.Helper()
	data := bytes.Repeat([]byte("0123456789abcdef\x00\xff\r\n1234567890\r\n"), 10<<20/34)
	sum := sha256.Sum256(data)
	want := hex.EncodeToString(sum[:])
	if out, exit := s.run(sh, "cat > bulk && sha256sum < bulk", bytes.NewReader(data)); exit.Code != 0 || !strings.HasPrefix(out, want) {
		s.Errorf("10 MB in: exit %+v, digest %q, want %s", exit, out, want)
	}
	out, exit := s.run(sh, "cat bulk", nil)
	if got := sha256.Sum256([]byte(out)); exit.Code != 0 || got != sum {
		s.Errorf("10 MB out: exit %+v, %d bytes", exit, len(out))
	}
}

func (s *suite) shellParallel(sh providers.Shell) {
	s.Helper()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			var out bytes.Buffer
			exit, err := sh.Run(s.Context(), providers.Cmd{Line: fmt.Sprintf("echo %d; exit %d", i, i), Stdout: &out})
			if err != nil || exit.Code != i || out.String() != fmt.Sprintf("%d\n", i) {
				s.Errorf("parallel run %d: %q, %+v, %v", i, out.String(), exit, err)
			}
		})
	}
	wg.Wait()
}

func (s *suite) shellCancel(sh providers.Shell) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if exit, err := sh.Run(ctx, providers.Cmd{Line: "sleep 60"}); err == nil {
		s.Errorf("a command given up ended with %+v", exit)
	}
	if d := time.Since(began); d > 10*time.Second {
		s.Errorf("giving up a command took %s", d)
	}
}

// echoServer is a unix socket that answers what it got once its peer has closed its half. Not every machine has a
// language for it; then the test is left out.
const echoServer = `python3 -c '
import socket
s = socket.socket(socket.AF_UNIX)
s.bind("echo.sock")
s.listen(1)
print("ready", flush=True)
c, _ = s.accept()
data = b""
while True:
    b = c.recv(65536)
    if not b: break
    data += b
c.sendall(data)
c.close()
'`

func (s *suite) shellDial(sh providers.Shell) {
	s.Helper()
	if _, exit := s.run(sh, "command -v python3", nil); exit.Code != 0 {
		s.Log("no python3 on the machine: Dial is not tried")
		return
	}
	home, _ := s.run(sh, `printf %s "$HOME"`, nil)
	r, w := io.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := sh.Run(s.Context(), providers.Cmd{Line: echoServer, Stdout: w})
		_ = w.CloseWithError(err)
	})
	defer wg.Wait()
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, len("ready\n"))); err != nil {
		s.Fatalf("echo server: %v", err)
	}
	conn, err := sh.Dial(s.Context(), "unix", home+"/echo.sock")
	if err != nil {
		s.Fatalf("dial: %v", err)
	}
	defer conn.Close()
	data := bytes.Repeat([]byte("ping"), 50_000)
	if _, err := conn.Write(data); err != nil {
		s.Fatalf("write: %v", err)
	}
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		s.Fatal("the stream cannot close one half")
	}
	if err := half.CloseWrite(); err != nil {
		s.Fatalf("close one half: %v", err)
	}
	if got, err := io.ReadAll(conn); err != nil || !bytes.Equal(got, data) {
		s.Errorf("echo gave %d bytes of %d, %v", len(got), len(data), err)
	}
}
