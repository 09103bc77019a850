package comment

import (
	"strings"
	"testing"
)

func TestImages(t *testing.T) {
	t.Parallel()
	mark := func(alt, path string) string { return "{" + alt + "|" + path + "}" }
	for _, x := range []struct{ in, want string }{
		{"a ![plot](p.png) b\n", "a {plot|p.png} b\n"},
		{"![](<a b.png>)![x](./c.svg \"title\")", "{|a b.png}{x|./c.svg}"},
		{"![x](https://e/x.png) ![y](data:image/png;base64,AA==)", "![x](https://e/x.png) ![y](data:image/png;base64,AA==)"},
		{"`![x](p.png)` ![y](q.png)", "`![x](p.png)` {y|q.png}"},
		{"```\n![x](p.png)\n```\n![y](q.png)\n", "```\n![x](p.png)\n```\n{y|q.png}\n"},
		{"~~~~ md\n![x](p.png)\n~~~\n![x](p.png)\n~~~~\n![y](q.png)", "~~~~ md\n![x](p.png)\n~~~\n![x](p.png)\n~~~~\n{y|q.png}"},
		{"[link](p.png)", "[link](p.png)"},
	} {
		if got := Images(x.in, mark); got != x.want {
			t.Errorf("%q: %q, want %q", x.in, got, x.want)
		}
	}
}

func FuzzImages(f *testing.F) {
	f.Add("a ![plot](p.png) `b` ```\nc")
	f.Fuzz(func(t *testing.T, s string) {
		if got := Images(s, func(alt, path string) string {
			if strings.Contains(path, "://") || path == "" && alt == "" && !strings.Contains(s, "![](") {
				t.Errorf("%q is no file in %q", path, s)
			}
			return "![" + alt + "](x://y)"
		}); Images(got, func(string, string) string { return "" }) != got {
			t.Errorf("%q: something is left in %q", s, got)
		}
	})
}
