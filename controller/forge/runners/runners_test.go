package runners_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"aloft/controller/forge/runners"
)

// TestSpan: times as CML's users write them.
func TestSpan(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"300": 5 * time.Minute, "5 minutes": 5 * time.Minute, "1h30m": 90 * time.Minute, "1 hour, 30 minutes": 90 * time.Minute,
		"2 days and 1 hour": 49 * time.Hour, "90s": 90 * time.Second, "1.5 hours": 90 * time.Minute, "never": 0, "0": 0, "366d": runners.LongestSpan} {
		if got, err := runners.Span(text); err != nil || got != want {
			t.Errorf("%q: %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "soon", "-5", "5 parsecs", "5 6", "1h-2m", "367d", "9999999999", "5m garbage", "200d 200d"} {
		if got, err := runners.Span(text); err == nil {
			t.Errorf("%q: %s", text, got)
		}
	}
}

// FuzzSpan: no text is a time below 0 or above the longest, and Go's own times mean what Go says.
func FuzzSpan(f *testing.F) {
	for _, s := range []string{"5 minutes", "1h30m", "300", "never", "1 day and 2 hours", "9e9", "1.5h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := runners.Span(s)
		if err != nil {
			return
		}
		if d < 0 || d > runners.LongestSpan {
			t.Errorf("%q is %s", s, d)
		}
		whole := d.Round(time.Second)
		if again, err := runners.Span(whole.String()); err != nil || again != whole {
			t.Errorf("%q is %s, which is %s, %v", s, d, again, err)
		}
	})
}

// TestGitLabDigests takes digests of the runner for Linux out of a list.
func TestGitLabDigests(t *testing.T) {
	t.Parallel()
	x, arm := strings.Repeat("ab", 32), strings.Repeat("cd", 32)
	list := x + " *binaries/gitlab-runner-linux-amd64\n" + arm + "  ./binaries/gitlab-runner-linux-arm64\nnonsense\n" + x + " binaries/gitlab-runner-darwin-arm64\n"
	if got := runners.GitLabDigests([]byte(list)); len(got) != 2 || got["x64"] != x || got["arm64"] != arm {
		t.Errorf("%v", got)
	}
}

// FuzzGitLabDigests: whatever a server says, only digests are taken.
func FuzzGitLabDigests(f *testing.F) {
	f.Add([]byte("ab *binaries/gitlab-runner-linux-amd64\n"))
	f.Add([]byte(strings.Repeat("ab", 32) + " *binaries/gitlab-runner-linux-amd64\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for arch, sum := range runners.GitLabDigests(b) {
			if !runners.IsDigest(sum) || !slices.Contains(runners.Arches(), arch) {
				t.Errorf("%s: %q", arch, sum)
			}
		}
	})
}
