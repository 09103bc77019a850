package gcp

import "context"

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
