package mounts_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"aloft/agent/mounts"
	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// gateway serves blobs from memory and breaks every stream after a few bytes.
type gateway struct {
	agentv1.GatewayClient
	blobs  map[string][]byte
	broken int // bytes until a stream breaks; 0 = never
	calls  atomic.Int64
}

type stream struct {
	grpc.ClientStream
	data  []byte
	limit int
	total uint64
}

func (s *stream) Recv() (*agentv1.BlobChunk, error) {
	if len(s.data) == 0 {
		return nil, io.EOF
	}
	if s.limit <= 0 {
		return nil, status.Error(codes.Unavailable, "cut")
	}
	n := min(len(s.data), s.limit, 1000)
	c := &agentv1.BlobChunk{Data: s.data[:n], Total: s.total}
	s.data, s.limit = s.data[n:], s.limit-n
	return c, nil
}
func (s *stream) Header() (metadata.MD, error) { return nil, nil }

func (g *gateway) FetchBlob(_ context.Context, r *agentv1.FetchBlobRequest, _ ...grpc.CallOption) (agentv1.Gateway_FetchBlobClient, error) {
	g.calls.Add(1)
	b, ok := g.blobs[r.GetSha256()]
	if !ok {
		return nil, status.Error(codes.NotFound, "no such blob")
	}
	limit := g.broken
	if limit == 0 {
		limit = len(b) + 1
	}
	return &stream{data: b[r.GetOffset():], limit: limit, total: uint64(len(b))}, nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func open(t *testing.T) (*mounts.Mounts, string) {
	t.Helper()
	dir := t.TempDir()
	m, err := mounts.Open(mounts.Options{StateDir: filepath.Join(dir, "state"), Home: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return m, dir
}

func TestFetchGoesOnWhereItBroke(t *testing.T) {
	t.Parallel()
	m, _ := open(t)
	b := []byte(strings.Repeat("0123456789", 1000))
	g := &gateway{blobs: map[string][]byte{digest(b): b}, broken: 4000}
	m.SetGateway(g)
	path, err := m.Fetch(context.Background(), digest(b))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != string(b) || g.calls.Load() != 3 {
		t.Errorf("%d bytes in %d calls, %v", len(got), g.calls.Load(), err)
	}
	// It is kept: nobody is asked again.
	m.SetGateway(nil)
	if _, err := m.Fetch(context.Background(), digest(b)); err != nil {
		t.Error(err)
	}
}

func TestFetchRefusesWhatItIsNot(t *testing.T) {
	t.Parallel()
	m, _ := open(t)
	want := digest([]byte("right"))
	m.SetGateway(&gateway{blobs: map[string][]byte{want: []byte("wrong")}})
	if _, err := m.Fetch(context.Background(), want); !errors.Is(err, mounts.ErrDigest) {
		t.Errorf("error %v", err)
	}
	if _, err := m.Fetch(context.Background(), digest([]byte("absent"))); status.Code(err) != codes.NotFound {
		t.Errorf("error %v", err)
	}
	if _, err := m.Fetch(context.Background(), "../../etc/passwd"); !errors.Is(err, mounts.ErrDigest) {
		t.Errorf("error %v", err)
	}
}

func TestGit(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git here")
	}
	m, dir := open(t)
	repo := filepath.Join(dir, "repo")
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", repo, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if err := os.Mkdir(repo, 0o755); err != nil {
		t.Fatal(err)
	}
	commit := func(text string) string {
		if err := os.WriteFile(filepath.Join(repo, "f"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		run("add", "f")
		run("commit", "--quiet", "-m", text)
		return run("rev-parse", "HEAD")
	}
	run("init", "--quiet", "-b", "main")
	first := commit("one")
	run("tag", "v1")
	run("checkout", "--quiet", "-b", "side")
	commit("two")
	run("checkout", "--quiet", "main")
	commit("three")
	for i, tc := range []struct{ ref, want string }{{"", "three"}, {"main", "three"}, {"side", "two"}, {"v1", "one"}, {first, "one"}} {
		a := &agentv1.Assignment{JobId: "j", Number: uint32(i), Task: &statev1.TaskSpec{Git: &statev1.GitSource{Url: "file://" + repo, Ref: tc.ref}}}
		jobDir := filepath.Join(dir, "jobs", tc.want+tc.ref)
		if err := os.MkdirAll(jobDir, 0o755); err != nil {
			t.Fatal(err)
		}
		wd, err := m.Prepare(context.Background(), a, jobDir, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(wd, "f"))
		if err != nil || string(got) != tc.want {
			t.Errorf("%q: %q, %v", tc.ref, got, err)
		}
		if again, err := m.Prepare(context.Background(), a, jobDir, nil); err != nil || again != wd {
			t.Errorf("a second time: %q, %v", again, err)
		}
	}
	a := &agentv1.Assignment{JobId: "j", Task: &statev1.TaskSpec{Git: &statev1.GitSource{Url: "file://" + repo, Ref: "nowhere"}}}
	if _, err := m.Prepare(context.Background(), a, filepath.Join(dir, "jobs"), nil); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("error %v", err)
	}
}

func TestSharedWorkdirIsKept(t *testing.T) {
	t.Parallel()
	m, dir := open(t)
	a := &agentv1.Assignment{JobId: "j", Task: &statev1.TaskSpec{Run: "x"}}
	wd, err := m.Prepare(context.Background(), a, filepath.Join(dir, "jobs", "1-1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := m.Prepare(context.Background(), a, filepath.Join(dir, "jobs", "2-1"), nil)
	if err != nil || again != wd {
		t.Errorf("%q, then %q: %v", wd, again, err)
	}
	// Somebody's own directory of that name is used, and never replaced.
	m2, dir2 := open(t)
	own := filepath.Join(dir2, mounts.WorkdirLink)
	if err := os.MkdirAll(filepath.Join(own, "mine"), 0o755); err != nil {
		t.Fatal(err)
	}
	if wd, err := m2.Prepare(context.Background(), a, filepath.Join(dir2, "jobs", "1-1"), nil); err != nil || wd != own {
		t.Errorf("%q, %v", wd, err)
	}
}
