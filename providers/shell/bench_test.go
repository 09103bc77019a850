package shell_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"path/filepath"
	"testing"

	"aloft/providers"
	"aloft/providers/shell"
)

// BenchmarkDial is a connection with key exchange, host key and login, to sshd on this host.
func BenchmarkDial(b *testing.B) {
	s := server(b, "")
	for b.Loop() {
		sh, err := shell.Dial(b.Context(), s.Target(), shell.Options{Provider: "test", Keys: keys()})
		if err != nil {
			b.Fatal(err)
		}
		_ = sh.Close()
	}
}

// BenchmarkRun is one command on a connection that is there.
func BenchmarkRun(b *testing.B) {
	sh := open(b, server(b, ""), shell.Options{})
	for b.Loop() {
		if exit, err := sh.Run(b.Context(), providers.Cmd{Line: "true"}); err != nil || exit.Code != 0 {
			b.Fatal(exit, err)
		}
	}
}

// BenchmarkUpload sends 20 MB that do not compress.
func BenchmarkUpload(b *testing.B) {
	sh := open(b, server(b, ""), shell.Options{})
	data := make([]byte, 20<<20)
	_, _ = rand.Read(data)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if exit, err := sh.Run(b.Context(), providers.Cmd{Line: "cat >up", Stdin: bytes.NewReader(data)}); err != nil || exit.Code != 0 {
			b.Fatal(exit, err)
		}
	}
}

// BenchmarkRoundTrip is one small message and its answer through a unix socket behind the tunnel.
func BenchmarkRoundTrip(b *testing.B) {
	sh := open(b, server(b, ""), shell.Options{})
	l, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.Copy(c, c)
	}()
	c, err := sh.Dial(b.Context(), "unix", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	msg := make([]byte, 200)
	for b.Loop() {
		if _, err := c.Write(msg); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, msg); err != nil {
			b.Fatal(err)
		}
	}
}
