package guard_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"aloft/controller/forge/cienv"
	"aloft/controller/forge/guard"
)

const token = "8f4e0c6a1b2d3e4f5061728394a5b6c7"

// pass sends log through a guard in pieces of n bytes; 0 = in one.
func pass(t testing.TB, o guard.Options, log string, n int) string {
	t.Helper()
	var out bytes.Buffer
	g := guard.New(&out, o)
	for len(log) > 0 {
		k := len(log)
		if n > 0 {
			k = min(n, k)
		}
		if _, err := io.WriteString(g, log[:k]); err != nil {
			t.Fatal(err)
		}
		log = log[k:]
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestLines(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name   string
		system cienv.System
		in     string
		want   string
	}{
		{"plain", cienv.Jenkins, "epoch 1\tloss 0.5\n", "epoch 1\tloss 0.5\n"},
		{"no end", cienv.Jenkins, "half", "half\n"},
		{"empty lines stay", cienv.Jenkins, "a\n\nb\n", "a\n\nb\n"},
		{"colours stay", cienv.Jenkins, "\x1b[1;31mred\x1b[0m\n", "\x1b[1;31mred\x1b[0m\n"},
		{"cursor goes", cienv.Jenkins, "a\x1b[2Kb\x1b[10;1Hc\n", "abc\n"},
		{"titles and links go", cienv.Jenkins, "\x1b]0;title\x07x\x1b]8;;http://evil\x1b\\y\n", "xy\n"},
		{"private modes are no colours", cienv.Jenkins, "\x1b[?25lx\x1b[>1mz\n", "xz\n"},
		{"a code that is broken off", cienv.Jenkins, "x\x1b[1;3", "x\n"},
		{"progress", cienv.Jenkins, "10%\r50%\r100%\n", "100%\n"},
		{"progress cleared", cienv.Jenkins, "10%\r100%\r     \r\n", "100%\n"},
		{"progress after a prefix", cienv.Jenkins, "(train, pid=1) \x1e10%\r\x1e20%\n", "(train, pid=1) 20%\n"},
		{"windows", cienv.Jenkins, "a\r\nb\r\n", "a\nb\n"},
		{"no UTF-8", cienv.Jenkins, "a\xff\xc3b\n", "a\ufffd\ufffdb\n"},
		{"controls and direction", cienv.Jenkins, "a\x00\x08\u202eb\u2066c\u0085d\n", "abcd\n"},
		{"unicode stays", cienv.Jenkins, "größer → 日本 🚀\n", "größer → 日本 🚀\n"},
		{"azure", cienv.Azure, "x ##vso[task.setvariable variable=a]b\n", "x ##\u200bvso[task.setvariable variable=a]b\n"},
		{"teamcity", cienv.Jenkins, "##teamcity[buildStatus]\n", "##\u200bteamcity[buildStatus]\n"},
		{"gitlab", cienv.GitLab, "\x1b[0Ksection_start:1:a[collapsed=true]\r\x1b[0Khead\n\x1b[0Ksection_end:1:a\r\x1b[0K\n", "head\n\n"},
		{"gitlab without codes", cienv.GitLab, "section_start:1:a head\n", "section_start\u200b:1:a head\n"},
		{"buildkite", cienv.Buildkite, "--- a\n+++ b\n~~~ c\n^^^ +++\n---- d\n", "\u200b--- a\n\u200b+++ b\n\u200b~~~ c\n\u200b^^^ +++\n---- d\n"},
		{"not in CI", cienv.None, "::error::x\n##[group]\n", "::error::x\n##[group]\n"},
	} {
		if got := pass(t, guard.Options{System: x.system}, x.in, 0); got != x.want {
			t.Errorf("%s: %q, want %q", x.name, got, x.want)
		}
	}
}

// obeyed are the commands that GitHub's runner would carry out of a log: both forms, as its source reads them.
func obeyed(log string) []string {
	var out []string
	stop := ""
	for line := range strings.SplitSeq(log, "\n") {
		t := strings.TrimSpace(strings.TrimLeft(line, "\ufeff"))
		name := ""
		if strings.HasPrefix(t, "::") {
			if i := strings.Index(t[2:], "::"); i >= 0 {
				name, _, _ = strings.Cut(t[2:2+i], " ")
				if name == "stop-commands" && stop == "" {
					stop = t[2+i+2:]
					continue
				}
			}
		} else if i := strings.Index(t, "##["); i >= 0 {
			if j := strings.Index(t[i:], "]"); j >= 0 {
				name = t[i+3 : i+j]
			}
		}
		switch {
		case name == "":
		case stop == "":
			out = append(out, name)
		case name == stop:
			stop = ""
		}
	}
	if stop != "" {
		out = append(out, "not ended: "+stop)
	}
	return out
}

func TestNoOrdersFromLogs(t *testing.T) {
	t.Parallel()
	lines := []string{
		"::set-env name=A::b", "::add-mask::a", "::stop-commands::x", "##[command]x", "text ##[error]x", "\r::error::x", "  ::error::x", "\t::error::x",
		"\ufeff::error::x", "\x1b[0m::error::x", "a\r::warning::y", "\x00::error::z", "::" + token + "::", "::error file=a,line=1::x", "##[group]g",
		"\u200b::error::x", "\u00a0::error::x", "\x1b[31m##[error]x", "#\x00#[error]x", ":\x00:error::x", "\x1b[2K::error::x", "##\x7f[error]x",
	}
	for _, system := range []cienv.System{cienv.GitHub, cienv.Act, cienv.Gitea} {
		for _, tok := range []string{token, ""} { // even without the region nothing is obeyed
			got := pass(t, guard.Options{System: system, Token: tok}, strings.Join(lines, "\n")+"\n", 0)
			if o := obeyed(got); len(o) > 0 {
				t.Errorf("%s obeys %q in\n%s", system, o, got)
			}
			if tok != "" && strings.Count(got, tok) != 2 {
				t.Errorf("the token stands %d times in the log, want 2", strings.Count(got, tok))
			}
		}
	}
}

func TestOwnOrders(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	g := guard.New(&out, guard.Options{System: cienv.GitHub, Token: token})
	fmt.Fprintln(g, "::error::theirs")
	err := g.Outside(func(w io.Writer) error {
		_, err := fmt.Fprintln(w, "::notice::ours")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(g, "::error::theirs again")
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Errorf("a second close: %v", err)
	}
	if o := obeyed(out.String()); len(o) != 1 || o[0] != "notice" {
		t.Errorf("obeyed: %q, want the notice alone, in\n%s", o, out.String())
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&log, "line %d\n", i)
	}
	got := strings.Split(strings.TrimSpace(pass(t, guard.Options{System: cienv.GitLab, Limit: 10_000, Rest: "sky logs c 1"}, log.String(), 77)), "\n")
	if got[len(got)-1] != "line 4999" || got[len(got)-guard.Tail] != "line 4500" {
		t.Errorf("the end is %q ... %q", got[len(got)-guard.Tail], got[len(got)-1])
	}
	notices := 0
	for _, l := range got {
		if strings.Contains(l, "sky logs c 1") {
			notices++
		}
	}
	if notices != 2 {
		t.Errorf("%d notices, want one at the limit and one before the end", notices)
	}
	if n := len(strings.Join(got, "\n")); n > 10_000+guard.Tail*10+500 {
		t.Errorf("%d bytes were printed", n)
	}
}

func TestLineThatIsNotEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out screen
		g := guard.New(&out, guard.Options{System: cienv.Jenkins})
		look := func(after time.Duration, want string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if out.String() != want {
				t.Errorf("%q is printed, want %q", out.String(), want)
			}
		}
		_, _ = io.WriteString(g, "Password? \xe2\x82")
		look(time.Second, "")
		look(1500*time.Millisecond, "Password? \n")
		_, _ = io.WriteString(g, "\xac\n")
		look(0, "Password? \n€\n")
		_, _ = io.WriteString(g, "\r10%")
		look(5*time.Second, "Password? \n€\n")
		_, _ = io.WriteString(g, "\r20%")
		look(6*time.Second, "Password? \n€\n20%\n")
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
}

// screen is what is printed by the test and by the guard's own clock.
type screen struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

func TestLongLine(t *testing.T) {
	t.Parallel()
	got := pass(t, guard.Options{System: cienv.GitHub}, strings.Repeat("ä", guard.MaxLine)+"\n", 1001)
	if !utf8.ValidString(got) || strings.ContainsRune(got, utf8.RuneError) || strings.Count(got, "ä") != guard.MaxLine {
		t.Error("a long line loses or parts characters")
	}
	for l := range strings.SplitSeq(got, "\n") {
		if len(l) > guard.MaxLine {
			t.Errorf("a line of %d bytes", len(l))
		}
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWriteError(t *testing.T) {
	t.Parallel()
	g := guard.New(brokenPipe{}, guard.Options{System: cienv.GitHub, Token: token})
	if _, err := io.WriteString(g, "x\n"); err == nil {
		t.Error("no error of the writer below")
	}
	if err := g.Close(); err == nil {
		t.Error("close: no error of the writer below")
	}
}

func FuzzPieces(f *testing.F) {
	f.Add([]byte("a\r\n::error::x\n\x1b[31mred\n##[x]\xff"), uint64(1))
	f.Add([]byte(strings.Repeat("é\r", 50)), uint64(2))
	f.Fuzz(func(t *testing.T, log []byte, seed uint64) {
		o := guard.Options{System: cienv.GitHub, Token: token}
		whole := pass(t, o, string(log), 0)
		r := rand.New(rand.NewPCG(seed, 1))
		var out bytes.Buffer
		g := guard.New(&out, o)
		for rest := log; len(rest) > 0; {
			n := 1 + r.IntN(len(rest))
			_, _ = g.Write(rest[:n])
			rest = rest[n:]
		}
		_ = g.Close()
		if out.String() != whole {
			t.Errorf("in pieces %q, in one %q", out.String(), whole)
		}
		if !utf8.ValidString(whole) {
			t.Errorf("%q is no UTF-8", whole)
		}
		if c := obeyed(whole); len(c) > 0 {
			t.Errorf("%q is obeyed in %q", c, whole)
		}
	})
}

func BenchmarkGuard(b *testing.B) {
	var log bytes.Buffer
	for i := range 10_000 {
		fmt.Fprintf(&log, "2026-11-27 10:00:00 epoch %d step %d: loss=0.%04d accuracy=0.%04d lr=1e-3\n", i/100, i, i, i)
	}
	g := guard.New(io.Discard, guard.Options{System: cienv.GitHub, Token: token})
	b.SetBytes(int64(log.Len()))
	for b.Loop() {
		_, _ = g.Write(log.Bytes())
	}
}
