package fake_test

import (
	"testing"

	"aloft/providers"
	"aloft/providers/fake"
	"aloft/providers/providertest"
)

func spec() providers.NodeSpec {
	return providers.NodeSpec{Region: "east", Zone: "east-a", InstanceType: "cpu-2", CPUs: 2, MemoryGB: 8, DiskGB: 50}
}

func TestConformance(t *testing.T) {
	for name, cfg := range map[string]fake.Config{
		"tokens":      {Tokens: true},
		"names":       {Idempotency: providers.IdempotencyName},
		"neither":     {Idempotency: providers.IdempotencyNone},
		"lag and lag": {Tokens: true, Lag: 30e6, CallTime: 2e6, Boot: 20e6, Linger: 3600e9},
	} {
		t.Run(name, func(t *testing.T) {
			many := 200
			if name == "tokens" {
				many = 0 // the suite's own number
			}
			providertest.Run(t, providertest.Config{
				New:  func(*testing.T) providers.Provider { return fake.New(cfg) },
				Spec: spec,
				Many: many,
				Faults: func(_ *testing.T, kind providers.Kind) providers.Provider {
					c := cfg
					c.Refuse = map[string]providers.Error{"east": {Kind: kind, Scope: providers.ScopeRegion, Code: "injected"}}
					return fake.New(c)
				},
				Stranger: func(t *testing.T, p providers.Provider) string {
					in, err := p.Create(t.Context(), providers.CreateRequest{Token: "sky1-stranger", Spec: spec(), Tags: providers.Tags{Installation: "another"}})
					if err != nil {
						t.Fatal(err)
					}
					return in.ID
				},
			})
		})
	}
}
