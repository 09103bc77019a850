package comment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aloft/controller/forge"
	"aloft/controller/forge/forgetest"
)

const secret = "tok-s3cr3t-value"

func forges() []forge.Kind { return []forge.Kind{forge.GitHub, forge.GitLab, forge.Bitbucket} }

// place is the path of pull request 7 on the server.
func place(k forge.Kind) string {
	return map[forge.Kind]string{forge.GitHub: "issues/7", forge.GitLab: "merge_requests/7", forge.Bitbucket: "pullrequests/7"}[k]
}

// onForges runs a test on each forge, in a bubble where waiting takes no time.
func onForges(t *testing.T, f func(t *testing.T, s *forgetest.Server, c forge.Client, logged *bytes.Buffer)) {
	t.Helper()
	for _, k := range forges() {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &forgetest.Server{Kind: k, Token: secret, User: "me"}
				transport, stop := forgetest.Start(s)
				defer stop()
				api := "http://forge.example"
				if k == forge.GitLab {
					api += "/api/v4"
				}
				var logged bytes.Buffer
				c, err := forge.New(k, forge.Options{API: api, Repo: "acme/model", Token: secret, Agent: "test", Transport: transport,
					Log: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))})
				if err != nil {
					t.Fatal(err)
				}
				f(t, s, c, &logged)
				if strings.Contains(logged.String(), secret) {
					t.Error("the token is in the log")
				}
				for _, b := range s.Breaches {
					t.Error(b)
				}
			})
		})
	}
}

func post(key string, run, at int64, text string) Post {
	return Post{Target: forge.Target{Place: forge.Pull, Number: 7}, Key: key, Stamp: Stamp{Run: run, Attempt: 1, AtMS: at}, Text: text, AdoptCML: true}
}

func mustDo(t *testing.T, c forge.Client, p Post) Result {
	t.Helper()
	r, err := Do(context.Background(), c, p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestOneComment posts again and again among comments of others.
func TestOneComment(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, s *forgetest.Server, c forge.Client, _ *bytes.Buffer) {
		for i := range 250 {
			s.Add(place(s.Kind), "other"+strconv.Itoa(i%7), false, "talk "+strconv.Itoa(i))
		}
		if r := mustDo(t, c, post("k", 1, 0, "first")); r.Action != Created || r.Comment.URL == "" {
			t.Errorf("%+v", r)
		}
		for i := range 200 {
			s.Add(place(s.Kind), "other", false, "more "+strconv.Itoa(i))
		}
		for i := range int64(10) {
			if r := mustDo(t, c, post("k", 2+i, i, "report "+strconv.FormatInt(i, 10))); r.Action != Updated {
				t.Errorf("%+v", r)
			}
		}
		if r := mustDo(t, c, post("k", 11, 99, "report 9")); r.Action != Unchanged {
			t.Errorf("the same again: %+v", r)
		}
		if r := mustDo(t, c, post("k", 5, 100, "old")); r.Action != Kept {
			t.Errorf("an older run: %+v", r)
		}
		mustDo(t, c, post("another", 1, 0, "second"))
		mine := s.By("me")
		if len(mine) != 2 || !strings.Contains(mine[0].Body, "report 9") || !strings.Contains(mine[1].Body, "second") {
			t.Errorf("%+v", mine)
		}
	})
}

// TestRace posts from twenty jobs at once.
func TestRace(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, s *forgetest.Server, c forge.Client, _ *bytes.Buffer) {
		for i := range 250 {
			s.Add(place(s.Kind), "other", false, "talk "+strconv.Itoa(i))
		}
		var wg sync.WaitGroup
		for i := range int64(20) {
			wg.Go(func() {
				if _, err := Do(context.Background(), c, post("k", 100+i, i, fmt.Sprintf("run %d.", 100+i))); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if mine := s.By("me"); len(mine) != 1 || !strings.Contains(mine[0].Body, "run 119.") {
			t.Errorf("%d comments: %+v", len(mine), mine)
		}
		if n := len(s.Comments()); n != 251 {
			t.Errorf("%d comments in all", n)
		}
	})
}

// TestOthersMarker leaves a comment alone that someone pasted our marker into.
func TestOthersMarker(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, s *forgetest.Server, c forge.Client, _ *bytes.Buffer) {
		line := marker{key: "k", stamp: Stamp{Run: 999}, hash: "x"}.line(s.Kind)
		s.Add(place(s.Kind), "eve", false, line+"\n\nspoof")
		if r := mustDo(t, c, post("k", 1, 0, "true")); r.Action != Created {
			t.Errorf("%+v", r)
		}
		if all := s.Comments(); len(all) != 2 || all[0].Body != line+"\n\nspoof" {
			t.Errorf("%+v", all)
		}
	})
}

// TestTokenOfAnApp cannot say who it is.
func TestTokenOfAnApp(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, s *forgetest.Server, c forge.Client, _ *bytes.Buffer) {
		s.NoUser, s.Bot = true, true
		s.Add(place(s.Kind), "other-app", true, marker{key: "k", stamp: Stamp{Run: 1}}.line(s.Kind)+"\n\nof another program")
		for i := range int64(3) {
			mustDo(t, c, post("k", 2+i, i, "r"+strconv.FormatInt(i, 10)))
		}
		if mine := s.By("me"); len(mine) != 1 || !strings.Contains(mine[0].Body, "r2") {
			t.Errorf("%+v", s.Comments())
		}
	})
}

// TestAdoptCML takes over what CML left.
func TestAdoptCML(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, s *forgetest.Server, c forge.Client, _ *bytes.Buffer) {
		s.Add(place(s.Kind), "me", false, "# Old\n\n![](https://cml.dev/watermark.png#abc \"CML watermark a\\_b\")")
		s.Add(place(s.Kind), "me", false, "# Other\n\n![](https://cml.dev/watermark.png#abc \"CML watermark\")")
		p := post("k", 1, 0, "new")
		p.Label = "a_b"
		if r := mustDo(t, c, p); r.Action != Updated {
			t.Errorf("%+v", r)
		}
		p.Stamp.Run, p.Text = 2, "newer"
		mustDo(t, c, p)
		if mine := s.By("me"); len(mine) != 2 || !strings.Contains(mine[0].Body, "newer") || !strings.Contains(mine[1].Body, "# Other") {
			t.Errorf("%+v", mine)
		}
	})
}

// TestLostAnswers posts once although nobody hears of it.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, s *forgetest.Server, c forge.Client, _ *bytes.Buffer) {
		lost := 0
		s.Lose = func(r *http.Request, _ int) bool {
			if r.Method == http.MethodPost && lost < 2 || r.Method == http.MethodPatch && lost == 2 || r.Method == http.MethodPut && lost == 2 {
				lost++
				return true
			}
			return false
		}
		if r := mustDo(t, c, post("k", 1, 0, "one")); r.Action != Created {
			t.Errorf("%+v", r)
		}
		if n := s.Requests(http.MethodPost); n != 1 {
			t.Errorf("%d posts of one comment", n)
		}
		mustDo(t, c, post("k", 2, 1, "two"))
		if mine := s.By("me"); len(mine) != 1 || !strings.Contains(mine[0].Body, "two") {
			t.Errorf("%+v", mine)
		}
	})
}

// TestTooMany keeps the oldest of several, with the newest text, in whichever order they are listed.
func TestTooMany(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, s *forgetest.Server, c forge.Client, _ *bytes.Buffer) {
		for _, newestFirst := range []bool{false, true} {
			s.NewestFirst = newestFirst
			first := s.Add(place(s.Kind), "me", false, marker{key: "k", stamp: Stamp{Run: 1}}.line(s.Kind)+"\n\none")
			s.Add(place(s.Kind), "me", false, marker{key: "k", stamp: Stamp{Run: 9}}.line(s.Kind)+"\n\nnine")
			s.Add(place(s.Kind), "me", false, marker{key: "k", stamp: Stamp{Run: 2}}.line(s.Kind)+"\n\ntwo")
			r := mustDo(t, c, post("k", 5, 0, "five"))
			mine := s.By("me")
			if r.Action != Kept || r.Removed != 2 || len(mine) != 1 || mine[0].ID != first || !strings.Contains(mine[0].Body, "nine") {
				t.Errorf("%+v %+v", r, mine)
			}
			if err := c.Delete(context.Background(), forge.Target{Place: forge.Pull, Number: 7}, first); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestFaults meets what forges do on bad days.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		fault  func(s *forgetest.Server, w http.ResponseWriter, r *http.Request, n int) bool
		reason forge.Reason // "" = posted all the same
		least  time.Duration
		posts  int
	}{
		{"5xx twice", func(_ *forgetest.Server, w http.ResponseWriter, _ *http.Request, n int) bool {
			if n <= 2 {
				w.WriteHeader(502)
			}
			return n <= 2
		}, "", time.Second, 1},
		{"Retry-After", func(_ *forgetest.Server, w http.ResponseWriter, r *http.Request, n int) bool {
			if n > 3 || r.Method == http.MethodGet {
				return false
			}
			w.Header().Set("Retry-After", "40")
			w.WriteHeader(429)
			return true
		}, "", 40 * time.Second, 2},
		{"a date", func(_ *forgetest.Server, w http.ResponseWriter, _ *http.Request, n int) bool {
			if n == 1 {
				w.Header().Set("Retry-After", time.Now().Add(30*time.Second).UTC().Format(http.TimeFormat))
				w.WriteHeader(429)
			}
			return n == 1
		}, "", 29 * time.Second, 1},
		{"used up for a while", func(_ *forgetest.Server, w http.ResponseWriter, _ *http.Request, n int) bool {
			if n == 1 {
				w.Header().Set("X-RateLimit-Remaining", "0")
				w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(time.Now().Add(20*time.Second).Unix(), 10))
				w.WriteHeader(403)
			}
			return n == 1
		}, "", 20 * time.Second, 1},
		{"secondary limit", func(_ *forgetest.Server, w http.ResponseWriter, r *http.Request, n int) bool {
			if r.Method != http.MethodPost || n > 4 {
				return false
			}
			w.WriteHeader(403)
			fmt.Fprint(w, `{"message":"You have exceeded a secondary rate limit"}`)
			return true
		}, "", time.Minute, 2},
		{"used up for an hour", func(_ *forgetest.Server, w http.ResponseWriter, _ *http.Request, _ int) bool {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(429)
			return true
		}, forge.RateLimited, 0, 0},
		{"down", func(_ *forgetest.Server, w http.ResponseWriter, _ *http.Request, _ int) bool {
			w.WriteHeader(503)
			return true
		}, forge.Unavailable, time.Second, 0},
		{"bad token", func(s *forgetest.Server, _ http.ResponseWriter, _ *http.Request, _ int) bool {
			s.Token = "other"
			return false
		}, forge.Unauthorized, 0, 0},
		{"fork", func(s *forgetest.Server, _ http.ResponseWriter, _ *http.Request, _ int) bool {
			s.ReadOnly = true
			return false
		}, forge.Forbidden, 0, 1},
		{"not JSON", func(_ *forgetest.Server, w http.ResponseWriter, _ *http.Request, _ int) bool {
			fmt.Fprint(w, "<html>"+secret)
			return true
		}, forge.Unexpected, 0, 0},
		{"token in the answer", func(_ *forgetest.Server, w http.ResponseWriter, _ *http.Request, _ int) bool {
			w.WriteHeader(400)
			fmt.Fprintf(w, `{"message":"what is %s\u001b[2J"}`, secret)
			return true
		}, forge.Invalid, 0, 0},
		{"another server", func(_ *forgetest.Server, w http.ResponseWriter, _ *http.Request, _ int) bool {
			w.Header().Set("Location", "http://evil.example/x")
			w.WriteHeader(307)
			return true
		}, forge.Unexpected, 0, 0},
		{"moved", func(_ *forgetest.Server, w http.ResponseWriter, r *http.Request, _ int) bool {
			q := r.URL.Query()
			if q.Get("moved") != "" {
				q.Del("moved")
				r.URL.RawQuery = q.Encode()
				return false
			}
			q.Set("moved", "1")
			w.Header().Set("Location", r.URL.EscapedPath()+"?"+q.Encode())
			w.WriteHeader(301)
			return true
		}, "", 0, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			onForges(t, func(t *testing.T, s *forgetest.Server, c forge.Client, _ *bytes.Buffer) {
				s.Fault = func(w http.ResponseWriter, r *http.Request, n int) bool {
					if r.Host != "forge.example" {
						t.Errorf("%s is asked", r.Host)
					}
					return tc.fault(s, w, r, n)
				}
				began := time.Now()
				_, err := Do(context.Background(), c, post("k", 1, 0, "text"))
				if took := time.Since(began); took < tc.least || took > tc.least+5*time.Minute {
					t.Errorf("took %s", took)
				}
				var e *forge.Error
				switch {
				case tc.reason == "" && err != nil:
					t.Error(err)
				case tc.reason != "" && (!errors.As(err, &e) || e.Reason != tc.reason):
					t.Errorf("%v, want %s", err, tc.reason)
				case err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "\x1b")):
					t.Errorf("%q is not safe", err)
				}
				if tc.reason == "" && len(s.By("me")) != 1 {
					t.Errorf("%+v", s.By("me"))
				}
				if n := s.Requests(http.MethodPost); tc.posts > 0 && n < 1 || n > max(tc.posts, 1)+1 {
					t.Errorf("%d posts", n)
				}
			})
		})
	}
}

// TestTooLong shortens to the limit, and again where the forge means another one.
func TestTooLong(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, s *forgetest.Server, c forge.Client, _ *bytes.Buffer) {
		s.Most = s.Kind.Limit()
		long := "# Failed\n\n" + strings.Repeat("a line of forty characters, more or less\n\n", s.Most/30)
		r := mustDo(t, c, post("k", 1, 0, long))
		if mine := s.By("me"); !r.Truncated || len(mine) != 1 || !strings.Contains(mine[0].Body, "# Failed") || !strings.Contains(mine[0].Body, "left out") {
			t.Errorf("%+v", r.Action)
		}
		s.Most = s.Kind.Limit() * 3 / 4
		r = mustDo(t, c, post("k", 2, 1, long+"changed"))
		if r.Action != Updated || !r.Truncated {
			t.Errorf("%+v %v", r.Action, r.Truncated)
		}
	})
}

// TestDeleted posts anew when someone deleted the comment meanwhile.
func TestDeleted(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, s *forgetest.Server, c forge.Client, _ *bytes.Buffer) {
		mustDo(t, c, post("k", 1, 0, "one"))
		gone := false
		s.Fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
			if (r.Method == http.MethodPatch || r.Method == http.MethodPut) && !gone {
				gone = true
				id := s.By("me")[0].ID
				if err := c.Delete(context.Background(), forge.Target{Place: forge.Pull, Number: 7}, id); err != nil {
					t.Error(err)
				}
			}
			return false
		}
		mustDo(t, c, post("k", 2, 1, "two"))
		if mine := s.By("me"); len(mine) != 1 || !strings.Contains(mine[0].Body, "two") {
			t.Errorf("%+v", mine)
		}
	})
}

func TestMarker(t *testing.T) {
	t.Parallel()
	for _, k := range forges() {
		for _, key := range []string{"k", "train/fit", "a --> b", "ü (x) [y]", "a_b-c", "%2D", " "} {
			m := marker{key: key, stamp: Stamp{1, 2, 3}, hash: "abc"}
			if got, ok := parseMarker(m.line(k) + "\n\ntext"); !ok || got != m {
				t.Errorf("%s %q: %+v, %v of %s", k, key, got, ok, m.line(k))
			}
		}
	}
	for _, s := range []string{"", "text\n<!-- sky-report:v1 key=k -->", "<!-- sky-report:v2 key=k -->", "<!-- sky-report:v1 key=%zz -->", "<!-- sky-report:v1 run=1 -->"} {
		if m, ok := parseMarker(s); ok {
			t.Errorf("%q is read as %+v", s, m)
		}
	}
}

func FuzzMarker(f *testing.F) {
	f.Add("<!-- sky-report:v1 key=k run=1 attempt=1 at=5 hash=abc -->")
	f.Add("[sky-report]: # (v1 key=k)")
	f.Fuzz(func(t *testing.T, s string) {
		m, ok := parseMarker(s)
		if !ok || strings.ContainsAny(m.hash, " \n") {
			return
		}
		m.hash = "h"
		for _, k := range forges() {
			if again, ok := parseMarker(m.line(k)); !ok || again != m {
				t.Errorf("%+v is read back as %+v", m, again)
			}
		}
	})
}
