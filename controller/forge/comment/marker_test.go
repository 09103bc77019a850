package comment

import (
	"strings"
	"testing"

	"aloft/controller/forge"
)

func TestMarker(t *testing.T) {
	t.Parallel()
	for _, k := range forge.Kinds() {
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
		for _, k := range forge.Kinds() {
			if again, ok := parseMarker(m.line(k)); !ok || again != m {
				t.Errorf("%+v is read back as %+v", m, again)
			}
		}
	})
}
