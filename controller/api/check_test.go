package api

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	controlv1 "aloft/proto/sky/control/v1"
	"aloft/providers"
)

// account is a provider of which only the account matters.
type account struct {
	providers.Provider
	acc providers.Account
	err error
}

func (a account) CheckAccount(context.Context) (providers.Account, error) { return a.acc, a.err }

func (a account) Describe(context.Context, providers.Selector) iter.Seq2[providers.Instance, error] {
	return nil
}

type accounts map[string]account

func (a accounts) Names() []string {
	var ns []string
	for n := range a {
		ns = append(ns, n)
	}
	slices.Sort(ns)
	return ns
}
func (a accounts) Get(name string) (providers.Provider, error) { return a[name], nil }
func (a accounts) Enabled(context.Context) []string            { return nil }
func (a accounts) Default() string                             { return "" }
func (a accounts) WhyDisabled(name string) error {
	if name == "off" {
		return &providers.Error{Provider: name, Op: "check", Kind: providers.Auth, Code: "disabled", Err: errors.New("no credentials were found"), Hint: "log in"}
	}
	return nil
}

func TestCheck(t *testing.T) {
	t.Parallel()
	one := providers.Permission{Name: "a:B", For: "to b", Fix: "grant a:B"}
	s := New(Options{Providers: accounts{
		"fine":    {acc: providers.Account{Identity: "me", Notes: []string{"Mind the gap."}}},
		"storage": {acc: providers.Account{Capabilities: []string{"compute", "storage"}}},
		"one":     {acc: providers.Account{Identity: "me", Missing: []providers.Permission{one}}},
		"two":     {acc: providers.Account{Missing: []providers.Permission{one, {Name: "a:C"}}}},
		"expired": {err: fmt.Errorf("look: %w", &providers.Error{Provider: "expired", Op: "check", Kind: providers.Auth, Code: "Expired", Err: errors.New("the token has expired"), Hint: "log in again"})},
		"off":     {},
	}}, 1)
	r, err := s.Check(t.Context(), &controlv1.CheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"fine":    `on [compute] as "me": "" "" missing 0 notes 1`,
		"storage": `on [compute storage] as "": "" "" missing 0 notes 0`,
		"one":     `off [] as "me": "a permission is missing" "" missing 1 notes 0`,
		"two":     `off [] as "": "2 permissions are missing" "" missing 2 notes 0`,
		"expired": `off [] as "": "the token has expired" "log in again" missing 0 notes 0`,
		"off":     `off [] as "": "no credentials were found" "log in" missing 0 notes 0`,
	}
	if len(r.GetInfra()) != len(want) {
		t.Fatalf("%d answers, want %d", len(r.GetInfra()), len(want))
	}
	for _, c := range r.GetInfra() {
		on := "off"
		if c.GetEnabled() {
			on = "on"
		}
		got := fmt.Sprintf("%s %v as %q: %q %q missing %d notes %d", on, c.GetCapabilities(), c.GetIdentity(), c.GetReason(), c.GetHint(), len(c.GetMissing()), len(c.GetNotes()))
		if got != want[c.GetName()] {
			t.Errorf("%s:\n got %s\nwant %s", c.GetName(), got, want[c.GetName()])
		}
	}
	if _, err := s.Check(t.Context(), &controlv1.CheckRequest{Infra: []string{"nowhere"}}); err == nil {
		t.Error("a place that is not there can be checked")
	}
}
