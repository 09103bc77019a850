package filter_test

import (
	"testing"

	"aloft/providers/gcp/gcelab/filter"
)

var machine = map[string]any{
	"name": "vm1", "status": "RUNNING", "labels": map[string]any{"owner": "me", "n": "10"}, "scheduling": map[string]any{"automaticRestart": false}, "cpus": 4.0,
}

func TestFilter(t *testing.T) {
	t.Parallel()
	for f, want := range map[string]bool{
		"":                                    true,
		"name=vm1":                            true,
		`name = "vm1"`:                        true,
		"name != vm1":                         false,
		"labels.owner = me":                   true,
		"labels.owner:*":                      true,
		"labels.none:*":                       false,
		"labels.none != x":                    true,
		"NOT labels.none:*":                   true,
		"-labels.owner:*":                     false,
		"name:vm":                             true,
		"labels.n > 9":                        true,
		"cpus >= 4":                           true,
		"cpus < 4":                            false,
		"name eq vm.":                         true,
		`name ne "vm[2-9]"`:                   true,
		"name eq m":                           false,
		"(name eq vm.) (status eq RUN.*)":     true,
		"scheduling.automaticRestart = false": true,
		"(name = vm2) OR (name = vm1)":        true,
		"(name = vm1) (status = STOPPED)":     false,
		"(name = vm1) AND (status = RUNNING)": true,
		"name = vm1 OR name = vm2 AND status = STOPPED":         false,
		"(name = vm1) OR ((name = vm2) AND (status = STOPPED))": true,
		`labels.owner = 'me' AND NOT (status = "TERMINATED")`:   true,
	} {
		chosen, err := filter.Parse(f)
		if err != nil {
			t.Errorf("%q: %v", f, err)
		} else if got := chosen(machine); got != want {
			t.Errorf("%q chooses: %v, want %v", f, got, want)
		}
	}
	for _, f := range []string{"name", "name =", "= vm1", "(name = vm1", "name = vm1)", `name = "vm1`, "name eq (", "name = vm1 AND status eq x", "name ~ x", "OR", "NOT"} {
		if _, err := filter.Parse(f); err == nil {
			t.Errorf("%q is no filter, and has no error", f)
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{"", "a=b", `(a.b = "c d") OR NOT -x:* AND y >= 3`, "name eq '.*x'", "((((", `"`, "a = b)"} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, s string) {
		if chosen, err := filter.Parse(s); err == nil {
			chosen(machine)
		}
	})
}
