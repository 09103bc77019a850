package main

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"aloft/controller/ship"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
	"aloft/providers/boot"
	"aloft/providers/hostlab"
	"aloft/providers/shell"
	"aloft/providers/shell/shelltest"
)

// BenchmarkHostReady is what comes after a new machine's sshd answers: first contact with the replacement of its host key,
// the agent sent and started, a stream to it open. Booting the machine is not counted.
func BenchmarkHostReady(b *testing.B) {
	if err := hostlab.Available(); err != nil {
		b.Skipf("SKIPPED, no hosts can be made here: %v", err)
	}
	lab, err := hostlab.New(hostlab.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer lab.Close()
	a := &app{home: b.TempDir(), getenv: func(n string) (string, bool) {
		if n == agentEnv {
			return agentUnderTest, true
		}
		return os.LookupEnv(n)
	}}
	payload := a.agentPayload()
	pool := shell.NewPool()
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
		k := providers.Keys{User: labKey("user"), Host: labKey("host" + strconv.Itoa(i)), FirstHost: labKey("first" + strconv.Itoa(i))}
		script, err := boot.Script{User: "ubuntu", Keys: k}.Bytes()
		if err != nil {
			b.Fatal(err)
		}
		h, err := lab.Start(ctx, hostlab.Spec{Name: "bench" + strconv.Itoa(i), Boot: script})
		if err != nil {
			b.Fatal(err)
		}
		for {
			c, err := net.DialTimeout("tcp", net.JoinHostPort(h.Address(), "22"), time.Second)
			if err == nil {
				_ = c.Close()
				break
			}
			if ctx.Err() != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		sh, err := shell.Dial(ctx, shell.Target{Host: h.Address(), User: "ubuntu"}, shell.Options{Provider: "bench", Keys: k, Pool: pool})
		if err != nil {
			b.Fatal(err)
		}
		s := ship.New(payload, slog.New(slog.DiscardHandler))
		n := &statev1.Node{Id: "n" + strconv.Itoa(i), Name: "n", Address: h.Address()}
		if err := s.Ship(ctx, nil, n, sh); err != nil {
			b.Fatal(err)
		}
		c, err := s.Dial(ctx, nil, n, sh)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		_ = c.Close()
		_ = sh.Close()
		if err := h.Remove(ctx); err != nil {
			b.Fatal(err)
		}
		cancel()
		b.StartTimer()
	}
}

// BenchmarkTunnelRPC is one small gRPC call to a unix socket on a host through the SSH connection.
func BenchmarkTunnelRPC(b *testing.B) {
	if err := hostlab.Available(); err != nil {
		b.Skipf("SKIPPED, no hosts can be made here: %v", err)
	}
	// The server's socket is on this machine, and so is this sshd's view of it: the way there and back is what counts.
	l, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
	if err != nil {
		b.Fatal(err)
	}
	g := grpc.NewServer()
	healthv1.RegisterHealthServer(g, health.NewServer())
	go func() { _ = g.Serve(l) }()
	defer g.Stop()
	sh := loopback(b)
	cc, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return sh.Dial(ctx, "unix", l.Addr().String()) }))
	if err != nil {
		b.Fatal(err)
	}
	defer cc.Close()
	client := healthv1.NewHealthClient(cc)
	for b.Loop() {
		if _, err := client.Check(b.Context(), &healthv1.HealthCheckRequest{}); err != nil {
			b.Fatal(err)
		}
	}
}

// loopback is a shell on a server of this machine.
func loopback(b *testing.B) providers.Shell {
	b.Helper()
	s := shelltest.Start(b, shelltest.Options{HostKey: labKey("host"), Authorized: []ed25519.PrivateKey{labKey("user")}})
	sh, err := shell.Dial(b.Context(), s.Target(), shell.Options{Provider: "bench", Keys: providers.Keys{User: labKey("user"), Host: labKey("host")}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = sh.Close() })
	return sh
}
