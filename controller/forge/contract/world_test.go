package contract_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aloft/controller/forge"
	"aloft/controller/forge/comment"
	"aloft/controller/forge/forgetest"
)

const secret = "tok-s3cr3t-value"

// world is one forge, with a pull request nobody else looks at.
type world struct {
	t      *testing.T
	kind   forge.Kind
	fake   *forgetest.Server // nil = a real one
	wire   *wire
	api    string
	repo   string
	host   string
	target forge.Target
	pull   forgetest.Pull
	me     forgetest.Login
	other  forgetest.Login
	gitea  *forgetest.Gitea // the real one
	logged bytes.Buffer
}

// real is the Gitea that all tests share, started by the first that wants it.
var real = sync.OnceValues(func() (*forgetest.Gitea, error) {
	home := forgetest.GiteaHome()
	if home == "" {
		return nil, nil
	}
	ctx, stop := context.WithTimeout(context.Background(), 2*time.Minute)
	defer stop()
	dir, err := os.MkdirTemp("/dev/shm", "gitea") // in memory, where it need not wait for a disk
	if err != nil {
		dir, err = os.MkdirTemp("", "gitea")
	}
	if err != nil {
		return nil, err
	}
	g, err := forgetest.StartGitea(ctx, home, dir)
	if err == nil {
		running.Store(g)
	}
	return g, err
})

// running is what real has started.
var running atomic.Pointer[forgetest.Gitea]

func TestMain(m *testing.M) {
	code := m.Run()
	if g := running.Load(); g != nil {
		if err := errors.Join(g.Stop(), os.RemoveAll(g.Dir)); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}

// onForges runs a test on each forge, in a bubble where waiting takes no time.
func onForges(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	for _, k := range forge.Kinds() {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, stop := fakeWorld(t, k)
				defer stop()
				f(t, w)
				w.check()
			})
		})
	}
	t.Run("gitea-1.26.0", func(t *testing.T) {
		t.Parallel()
		w, do := realWorld(t)
		synctest.Test(t, func(t *testing.T) {
			w.t = t
			w.wire.base = do
			f(t, w)
			w.check()
		})
	})
}

func fakeWorld(t *testing.T, k forge.Kind) (*world, func()) {
	s := &forgetest.Server{Kind: k, Token: secret, User: "me", Pulls: []forgetest.Pull{{Number: 7, SHA: "bbbbbbbbbb", Owner: "acme", Branch: "topic"}}}
	transport, stop := forgetest.Start(s)
	w := &world{t: t, kind: k, fake: s, wire: &wire{base: transport}, api: "http://forge.example", repo: "acme/model", host: "forge.example",
		target: forge.Target{Place: forge.Pull, Number: 7}, pull: s.Pulls[0], me: forgetest.Login{Name: "me", Token: secret}}
	switch k {
	case forge.GitLab:
		w.api += "/api/v4"
	case forge.Gitea:
		w.api += "/api/v1"
	}
	return w, stop
}

// realWorld is a pull request of the real Gitea, and the transport that reaches it from within a bubble.
func realWorld(t *testing.T) (*world, http.RoundTripper) {
	t.Helper()
	g, err := real()
	if err != nil {
		t.Fatal(err)
	}
	if g == nil {
		t.Skip("SKIPPED: there is no Gitea to test against: .ci/gitea/build makes one")
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	// An issue will do for comments, and costs less: withPull makes a pull request of it.
	var issue struct{ Number int }
	if err := g.Call(ctx, g.Me, http.MethodPost, "/repos/"+g.Repo+"/issues", map[string]string{"title": t.Name()}, &issue); err != nil {
		t.Fatal(err)
	}
	return &world{kind: forge.Gitea, wire: &wire{}, api: g.Base, repo: g.Repo, host: "gitea.example", target: forge.Target{Place: forge.Pull, Number: issue.Number},
		me: g.Me, other: g.Other, gitea: g}, newOutside(t, g.Transport)
}

func (w *world) client() forge.Client { return w.clientOf(w.wire, w.me.Token) }

func (w *world) clientOf(rt http.RoundTripper, token string) forge.Client {
	w.t.Helper()
	c, err := forge.New(w.kind, forge.Options{API: w.api, Repo: w.repo, Token: token, Agent: "test", Transport: rt,
		Log: slog.New(slog.NewTextHandler(&w.logged, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// withPull makes the place that is commented on a pull request, where it is none yet.
func (w *world) withPull() {
	w.t.Helper()
	if w.gitea == nil {
		return
	}
	p, err := w.gitea.Pull(context.Background(), w.wire.base)
	if err != nil {
		w.t.Fatal(err)
	}
	w.pull, w.target.Number = p, p.Number
}

// others lets somebody else comment.
func (w *world) others(bodies ...string) {
	w.t.Helper()
	if w.fake != nil {
		for _, b := range bodies {
			w.fake.Add(w.place(), "other", false, b)
		}
		return
	}
	c := w.clientOf(w.wire.base, w.other.Token)
	for _, b := range bodies {
		if _, err := c.Create(context.Background(), w.target, b); err != nil {
			w.t.Fatal(err)
		}
	}
}

// place is the path of the pull request on a fake.
func (w *world) place() string {
	return map[forge.Kind]string{forge.GitHub: "issues/7", forge.Gitea: "issues/7", forge.GitLab: "merge_requests/7", forge.Bitbucket: "pullrequests/7"}[w.kind]
}

// all are the comments of the pull request, oldest first, read past the faults.
func (w *world) all() []forge.Comment {
	w.t.Helper()
	var out []forge.Comment
	if w.fake != nil {
		for _, c := range w.fake.Comments() {
			if c.Place == w.place() {
				out = append(out, forge.Comment{ID: c.ID, Body: c.Body, Author: c.Author})
			}
		}
		return out
	}
	out, err := w.clientOf(w.wire.base, w.me.Token).Comments(context.Background(), w.target, forge.Which{})
	if err != nil {
		w.t.Fatal(err)
	}
	slices.SortFunc(out, func(a, b forge.Comment) int { return int(a.ID - b.ID) })
	return out
}

func (w *world) mine() []forge.Comment {
	return slices.DeleteFunc(w.all(), func(c forge.Comment) bool { return c.Author != w.me.Name })
}

func (w *world) post(key string, run, at int64, text string) comment.Post {
	return comment.Post{Target: w.target, Key: key, Stamp: comment.Stamp{Run: run, Attempt: 1, AtMS: at}, Text: text, AdoptCML: true}
}

func (w *world) mustDo(p comment.Post) comment.Result {
	w.t.Helper()
	r, err := comment.Do(context.Background(), w.client(), p)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// check looks at what no test may leave behind.
func (w *world) check() {
	w.t.Helper()
	if strings.Contains(w.logged.String(), w.me.Token) {
		w.t.Error("the token is in the log")
	}
	if w.fake != nil {
		for _, b := range w.fake.Breaches {
			w.t.Error(b)
		}
	}
	for _, h := range w.wire.hosts() {
		if h != w.host {
			w.t.Errorf("%s was asked", h)
		}
	}
}

// wire is what is between a client and a forge, and what goes wrong there.
type wire struct {
	base http.RoundTripper
	// answer, if set, answers instead of the forge: true = it did. n counts requests from 1.
	answer func(w http.ResponseWriter, r *http.Request, n int) bool
	// after, if set, may spoil an answer of the forge, which has then done what was asked.
	after func(r *http.Request, resp *http.Response, n int) (*http.Response, error)

	mu  sync.Mutex
	log []*http.Request
}

// RoundTrip is http.RoundTripper's.
func (x *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	x.mu.Lock()
	x.log = append(x.log, r.Clone(context.Background()))
	n := len(x.log)
	x.mu.Unlock()
	if x.answer != nil {
		rec := httptest.NewRecorder()
		if x.answer(rec, r, n) {
			if r.Body != nil {
				_ = r.Body.Close()
			}
			resp := rec.Result()
			resp.Request = r
			return resp, nil
		}
	}
	resp, err := x.base.RoundTrip(r)
	if err == nil && x.after != nil {
		return x.after(r, resp, n)
	}
	return resp, err
}

// requests counts those of a method, or of one of several.
func (x *wire) requests(methods ...string) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := 0
	for _, r := range x.log {
		if slices.Contains(methods, r.Method) {
			n++
		}
	}
	return n
}

func (x *wire) hosts() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []string
	for _, r := range x.log {
		if h := r.URL.Host; !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	return out
}

// outside carries requests out of a bubble: its goroutines, and what they wait for, belong to no bubble, so time stands
// still within while a real server works.
type outside struct {
	base http.RoundTripper
	jobs chan job
}

type job struct {
	r    *http.Request
	done chan answered
}

type answered struct {
	resp *http.Response
	err  error
}

func newOutside(t *testing.T, base http.RoundTripper) http.RoundTripper {
	o := &outside{base, make(chan job)}
	replies := make(chan chan answered, 64)
	for range cap(replies) {
		replies <- make(chan answered, 1)
		go func() {
			for j := range o.jobs {
				resp, err := o.base.RoundTrip(j.r)
				if err == nil {
					var b []byte
					b, err = io.ReadAll(resp.Body)
					_ = resp.Body.Close()
					resp.Body = io.NopCloser(bytes.NewReader(b))
				}
				j.done <- answered{resp, err}
			}
		}()
	}
	t.Cleanup(func() { close(o.jobs) })
	return &insider{o, replies}
}

// insider is used within the bubble. Channels that answers come by were made outside, and are lent.
type insider struct {
	*outside
	replies chan chan answered
}

// RoundTrip is http.RoundTripper's.
func (i *insider) RoundTrip(r *http.Request) (*http.Response, error) {
	var body io.Reader
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	out, err := http.NewRequestWithContext(context.Background(), r.Method, r.URL.String(), body)
	if err != nil {
		return nil, err
	}
	out.Header = r.Header.Clone()
	done := <-i.replies
	i.jobs <- job{out, done}
	a := <-done
	i.replies <- done
	if a.resp != nil {
		a.resp.Request = r
	}
	return a.resp, a.err
}
