package main

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTableFit(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 60)
	for _, tt := range []struct {
		name       string
		width      int
		flex, drop []int
		want       string // header that stays
		most       int
	}{
		{"room enough", 200, []int{1}, []int{2}, "NAME  WHAT", 200},
		{"cut", 90, []int{1, 2}, nil, "MORE", 90},
		{"dropped", 70, []int{1}, []int{2}, "NAME", 70},
		{"cut and dropped", 30, []int{1}, []int{2}, "NAME", 30},
		{"cannot", 20, nil, nil, "MORE", 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := &app{getenv: func(string) (string, bool) { return "", false }, ttyOut: true, width: tt.width}
			tb := &table{header: []string{"NAME", "WHAT", "MORE"}, flex: tt.flex, drop: tt.drop}
			tb.add("a", long, long)
			out := a.plain(tb)
			if !strings.Contains(strings.NewReplacer("\x1b[1m", "", "\x1b[0m", "").Replace(out), tt.want) {
				t.Errorf("no %q in\n%s", tt.want, out)
			}
			for _, l := range strings.Split(out, "\n") {
				l = strings.NewReplacer("\x1b[1m", "", "\x1b[0m", "").Replace(l)
				if n := utf8.RuneCountInString(l); n > tt.most {
					t.Errorf("line of %d columns in %d:\n%s", n, tt.width, out)
				}
			}
			if tb.rows[0][1] != long {
				t.Error("the table itself was changed")
			}
		})
	}
}
