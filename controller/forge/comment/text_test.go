package comment

import (
	"strings"
	"testing"

	"aloft/controller/forge"
)

// balanced says that nothing is left open.
func balanced(s string) bool {
	var l layout
	for _, line := range strings.Split(s, "\n") {
		l.line(line)
	}
	return l.fence == nil && l.details == 0 && !l.summary
}

func TestShorten(t *testing.T) {
	t.Parallel()
	row := "| check | value |\n"
	for _, tc := range []struct {
		name, text string
		most       int
		has, not   string
		cut        bool
	}{
		{"fits", "# a\n\nb\n", 100, "# a\n\nb\n", "left out", false},
		{"open fence", "```\ncode", 100, "```\ncode\n```\n", "left out", false},
		{"open details", "<details><summary>x</summary>\n\ntext", 100, "text\n\n</details>\n", "left out", false},
		{"block", "# head\n\n" + strings.Repeat("one paragraph here\n\n", 50), 200, "# head", "\x00", true},
		{"table", "# head\n\n" + row + "|---|---|\n" + strings.Repeat(row, 100), 400, row, "\x00", true},
		{"fence", "# head\n\n````text\n" + strings.Repeat("log ``` line\n", 100), 400, "````\n", "\x00", true},
		{"nested", strings.Repeat("<details><summary>x</summary>\n\n", 3) + strings.Repeat("text\n\n", 100), 300, "</details>\n</details>\n</details>\n", "\x00", true},
		{"one line", strings.Repeat("x", 5000), 600, "xxx…", "\x00", true},
		{"nothing", "", 100, "\n", "left out", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, cut := Shorten(tc.text, tc.most, "")
			if !strings.Contains(got, tc.has) || strings.Contains(got, tc.not) || cut != tc.cut || runes(got) > tc.most || !balanced(got) {
				t.Errorf("%d characters, cut %v:\n%s", runes(got), cut, got)
			}
			if again, cut := Shorten(got, tc.most, ""); again != got || cut {
				t.Errorf("not the same again:\n%s", again)
			}
		})
	}
	if got, _ := Shorten(strings.Repeat("x\n\n", 500), 300, "https://run"); !strings.Contains(got, "[the whole report](https://run)") {
		t.Error(got)
	}
}

func FuzzShorten(f *testing.F) {
	f.Add("# a\n\n```\nb\n```\n\n<details><summary>x</summary>\n\ny\n\n</details>\n", 60)
	f.Add("~~~~\n```\n~~~\n", 700)
	f.Add("<details><summary>", 10)
	f.Add("\xff\r\r\n<details><details>\n````", 1000)
	f.Fuzz(func(t *testing.T, text string, most int) {
		if len(text) > 1<<16 {
			return
		}
		most = 600 + (most&0xffff)%5000
		got, cut := Shorten(text, most, "https://example.com/run")
		if runes(got) > most {
			t.Fatalf("%d characters, at most %d", runes(got), most)
		}
		if strings.Count(text, "<") < 20 && !balanced(got) {
			t.Fatalf("left open: %q", got)
		}
		if again, cutAgain := Shorten(got, most, ""); balanced(got) && (again != got || cutAgain) {
			t.Fatalf("cut %v; not the same again: %q, %q", cut, got, again)
		}
	})
}

func TestNeutralise(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ in, want string }{
		{"plain *text* `code`", "plain *text* `code`"},
		{"cc @ann and @acme/team", "cc @^ann and @^acme/team"},
		{"fixes #12, GH-3 and !4", "fixes #^12, GH-^3 and !^4"},
		{"# head", "# head"},
		{"a<b, <img src=x>, <!-- x -->", "a<^b, <^img src=x>, <^!-- x -->"},
		{"<details><summary>x</summary>", "<details><summary>x</summary>"},
		{"<details onclick=x>", "<^details onclick=x>"},
		{"@<!-- -->ann", "@^<!-- -->ann"},
		{"&#64;ann &commat;ann &lt;b&gt;", "&^#^64;ann &^commat;ann &lt;b&gt;"},
		{"![p](http://x/y) [t][r]", "![p]^(http:^//x/y) [t]^[r]"},
		{"[r]: http://x", "[r]^: http:^//x"},
		{"- [r]: /x", "- [r]^: /x"},
		{"[run](<https://ci/run/9>) [x](<https://ci/run/9/attempts/2>)", "[run](<https://ci/run/9>) [x](<https://ci/run/9/attempts/2>)"},
		{"[run](<https://ci/run/9/../../evil>)", "[run]^(<^https:^//ci/run/9/../../evil>)"},
		{"/merge", "^/merge"},
		{"www.x.y", "www^.x.y"},
		{"```python\n@ann #1 <b>\n```\n@ann", "```python\n@ann #1 <b>\n```\n@^ann"},
		{"text\n```\n@ann\n```", "text\n\n```\n@ann\n```"},
		{"<details>\n```\n@ann\n```", "<details>\n\n```\n@ann\n```"},
		{"- x\n\n  ```\n@ann", "- x\n\n  ```\n@^ann"},
		{"``` @ann\nx\n```", "```\nx\n```"},
		{"```a`\n@ann", "```a`\n@^ann"},
		{"\u202eabc\x00\x1b[1m", "\ufffdabc\ufffd\ufffd[1m"},
	} {
		want := strings.ReplaceAll(tc.want, "^", gap)
		got := Neutralise(tc.in, "https://ci/run/9")
		if got != want {
			t.Errorf("%q: %q, want %q", tc.in, got, want)
		}
		if again := Neutralise(got, "https://ci/run/9"); again != got {
			t.Errorf("%q: not the same again: %q", tc.in, again)
		}
	}
}

func FuzzNeutralise(f *testing.F) {
	f.Add("@a #1\n```\n@b\n```\n")
	f.Add("<details>\n````x\n@")
	f.Fuzz(func(t *testing.T, s string) {
		var open *fence
		for _, line := range strings.Split(Neutralise(s, ""), "\n") {
			if open != nil {
				if closes(line, *open) {
					open = nil
				}
				continue
			}
			if fe, ok := opens(line); ok && line[0] != ' ' {
				open = &fe
				continue
			}
			for i := 0; i+1 < len(line); i++ {
				if c := line[i+1]; line[i] == '@' && (c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9') {
					t.Fatalf("%q mentions someone", line)
				}
			}
		}
	})
}

func TestDialect(t *testing.T) {
	t.Parallel()
	in := "<details><summary>x</summary>\n\n@<!-- -->a <b>y</b>\n\n```\n<b>\n```\n</details>"
	if got := Dialect(in, forge.GitHub); got != in {
		t.Error(got)
	}
	if got, want := Dialect(in, forge.Bitbucket), "**x**\n\n@"+gap+"a **y**\n\n```\n<b>\n```\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestDialectDrawsNoCharts(t *testing.T) {
	t.Parallel()
	in := "| a |\n\n<details><summary>Curves: 1</summary>\n\n```mermaid\nxychart-beta\n```\n\n</details>\n\nend\n"
	if got, want := Dialect(in, forge.Bitbucket), "| a |\n\nend\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if Dialect(in, forge.GitLab) != in {
		t.Error("GitLab draws them")
	}
}
