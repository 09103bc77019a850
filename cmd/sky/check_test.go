package main

import (
	"bytes"
	"testing"

	controlv1 "aloft/proto/sky/control/v1"
)

func TestSayInfra(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		in      *controlv1.InfraCheck
		verbose bool
		want    string
	}{
		{"enabled", &controlv1.InfraCheck{Name: "aws", Enabled: true, Capabilities: []string{"compute"}, Identity: "me"}, false, "  AWS: enabled [compute]\n"},
		{"verbose", &controlv1.InfraCheck{Name: "aws", Enabled: true, Capabilities: []string{"compute"}, Identity: "me", Notes: []string{"A note."}}, true,
			"  AWS: enabled [compute]\n    as me\n    A note.\n"},
		{"no credentials", &controlv1.InfraCheck{Name: "gcp", Reason: "no credentials", Hint: "run `gcloud auth login`"}, false,
			"  GCP: disabled\n    Reason: no credentials\n    run `gcloud auth login`\n"},
		{"missing", &controlv1.InfraCheck{Name: "aws", Reason: "3 permissions are missing", Identity: "me", Missing: []*controlv1.MissingPermission{
			{Name: "a:B", Purpose: "to b", Fix: "one"}, {Name: "a:C", Purpose: "to c", Fix: "one"}, {Name: "a:D", Purpose: "to d", Fix: "two"}}}, false,
			"  AWS: disabled\n    Reason: 3 permissions are missing\n    as me\n    a:B: to b\n    a:C: to c\n      Fix: one\n    a:D: to d\n      Fix: two\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			a := &app{out: &out, getenv: func(string) (string, bool) { return "", false }}
			a.sayInfra(tt.in, tt.verbose)
			if out.String() != tt.want {
				t.Errorf("got\n%s\nwant\n%s", out.String(), tt.want)
			}
		})
	}
}
