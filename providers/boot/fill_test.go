package boot

import "testing"

func TestFill(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, source, want string }{
		{"values", "a {{.A}} b '{{.B}}'\n", "a 1 b ''\n"},
		{"block", "x\n{{- if .A}}\n\ny {{.A}}\n{{- end}}\nz\n", "x\n\ny 1\nz\n"},
		{"left out", "x\n{{- if .B}}\ny {{.A}}\n{{- end}}\nz\n", "x\nz\n"},
		{"two", "x\n{{- if .B}}\ny\n{{- end}}\n{{- if .A}}\nw\n{{- end}}\nz\n", "x\nw\nz\n"},
		{"else", "a\n{{- if .B}}\nb\n{{- else}}\nc\n{{- end}}\nd", "a\nc\nd"},
		{"not else", "a\n{{- if .A}}\nb\n{{- else}}\nc\n{{- end}}\nd", "a\nb\nd"},
		{"nested", "a\n{{- if .A}}\nb\n{{- if .B}}\nc\n{{- else}}\nd{{.A}}\n{{- end}}\ne\n{{- end}}\nf", "a\nb\nd1\ne\nf"},
		{"nested, left out", "a\n{{- if .B}}\nb\n{{- if .B}}\nc\n{{- else}}\nd\n{{- end}}\ne\n{{- end}}\nf", "a\nf"},
		{"open", "a\n{{- if .A}}\nb", ""},
		{"not open", "a\n{{- end}}\nb", ""},
		{"not twice", "{{.C}}", "{{.A}}"},
		{"unknown", "{{.D}}", ""},
		{"unknown block", "\n{{- if .D}}\nx\n{{- end}}", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := fill(tt.source, map[string]string{"A": "1", "B": "", "C": "{{.A}}"})
			if (tt.want == "") != (err != nil) || string(got) != tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}
