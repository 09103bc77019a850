package report

import (
	"strings"
	"testing"
)

// TestFit keeps the ends of names, by which they differ.
func TestFit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in    string
		width float64
		want  string
	}{
		{"short", 100, "short"},
		{"", 10, ""},
		{"a_rather_long_name_57", 110, "a_rather…me_57"},
		{strings.Repeat("x", 1000) + "7", 60, "xxxx…x7"},
		{"漢字の列名前漢字の列名前7", 60, "漢字…前7"},
	} {
		got := fit(tt.in, tt.width)
		if textWidth(got) > tt.width && len([]rune(got)) > 2 {
			t.Errorf("%.20q is cut to %q, which is wider than %v", tt.in, got, tt.width)
		}
		if got != tt.want {
			t.Errorf("%.20q is cut to %q, want %q", tt.in, got, tt.want)
		}
	}
}
