package gcp

import (
	"context"
	"net/http"

	"aloft/providers"
)

// RoleFile is the custom role for tests.
func RoleFile() string { return Role() }

// Methods are the ids of the calls in the table.
func Methods() []string {
	var out []string
	for _, c := range calls() {
		out = append(out, c.method)
	}
	return out
}

// ListTypes makes the calls of a catalogue that are Compute Engine's.
func (p *Provider) ListTypes(ctx context.Context) error {
	c, err := p.api(ctx, "catalog")
	if err != nil {
		return err
	}
	if _, err := p.machineTypes(ctx, c); err != nil {
		return p.failure(ctx, "catalog", "", err)
	}
	_, err = p.acceleratorTypes(ctx, c)
	return p.failure(ctx, "catalog", "", err)
}

// Job makes a provider in an environment, whose every request goes through rt.
func Job(settings, env map[string]string, rt http.RoundTripper) (*Provider, error) {
	p, err := New(settings)
	if err != nil {
		return nil, err
	}
	p.through, p.getenv = rt, func(k string) (string, bool) { v, ok := env[k]; return v, ok }
	return p, nil
}

// Found is what makes the provider enabled without being named.
func Found(settings, env map[string]string) error {
	return found(providers.Config{Settings: settings}, func(k string) (string, bool) { v, ok := env[k]; return v, ok })
}
