package main

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aloft/controller/forge"
	"aloft/controller/forge/forgetest"
)

// TestWatch posts at most every so often, only what is new, goes on after a failure, and posts the last state.
func TestWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "r.md")
		write := func(s string) {
			if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var posts []string
		var at []time.Duration
		began := time.Now()
		broken := false
		a := &app{errOut: new(strings.Builder), getenv: func(string) (string, bool) { return "", false }}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error)
		go func() {
			done <- a.watchComment(ctx, file, func(_ context.Context, text string) error {
				if broken {
					return errors.New("HTTP 502")
				}
				posts, at = append(posts, text), append(at, time.Since(began).Round(time.Second))
				return nil
			}, 30*time.Second)
		}()
		time.Sleep(5 * time.Second) // nothing is there yet
		write("one")
		time.Sleep(3 * time.Second)
		write("two") // too soon: posted later, with what comes until then
		time.Sleep(3 * time.Second)
		write("three")
		time.Sleep(60 * time.Second)
		broken = true
		write("four")
		time.Sleep(40 * time.Second)
		broken = false
		time.Sleep(40 * time.Second)
		write("five")
		time.Sleep(100 * time.Millisecond)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := strings.Join(posts, " "); got != "one three four five" {
			t.Errorf("posted: %s at %v", got, at)
		}
		if len(at) > 1 && at[1]-at[0] < 30*time.Second {
			t.Errorf("posted at %v", at)
		}
	})
}

func TestCommentModes(t *testing.T) {
	t.Parallel()
	s := &forgetest.Server{Kind: forge.GitHub, Token: "tok", User: "me"}
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	env := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_API_URL": web.URL, "GITHUB_SERVER_URL": web.URL, "GITHUB_REPOSITORY": "acme/model", "GITHUB_RUN_ID": "1",
		"GITHUB_EVENT_NAME": "push", "GITHUB_TOKEN": "tok"}
	run := func(want int, text string, args ...string) string {
		t.Helper()
		code, out, errOut := skyWith(t, env, text, append([]string{"comment", "create", "-", "--target", "pr/7"}, args...)...)
		if code != want {
			t.Errorf("%v: ended with %d\n%s\n%s", args, code, out, errOut)
		}
		return out + errOut
	}
	out := run(0, "first", "--dry-run")
	if !strings.Contains(out, `"method": "POST"`) || !strings.Contains(out, "first") || strings.Contains(out, "tok\"") || len(s.Comments()) != 0 || s.Requests("POST") != 0 {
		t.Errorf("a dry run: %s\n%v", out, s.Log)
	}
	run(0, "first")
	if out := run(0, "first", "--dry-run"); !strings.Contains(out, "nothing would be sent") {
		t.Errorf("a dry run of what is there: %s", out)
	}
	if out := run(0, "second", "--dry-run"); !strings.Contains(out, `"method": "PATCH"`) || s.Requests("PATCH") != 0 {
		t.Errorf("a dry run of a change: %s", out)
	}
	env["GITHUB_RUN_ID"] = "2"
	run(0, "second", "--mode", "minimize-old")
	if mine := s.By("me"); len(mine) != 2 || !mine[0].Minimized {
		t.Errorf("%+v", mine)
	}
	run(0, "third", "--mode", "new")
	if n := len(s.By("me")); n != 3 {
		t.Errorf("%d comments", n)
	}
	run(exitUsage, "x", "--mode", "replace")
	for _, b := range s.Breaches {
		t.Error(b)
	}
}
