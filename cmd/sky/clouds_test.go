package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"aloft/providers"
	"aloft/providers/all"
	"aloft/providers/local"
)

// mainWithClouds is main, with two clouds more where a test asks for them: their machines are nodes of this host, their
// refusals stand in a file.
func mainWithClouds() {
	table := all.Table()
	if faults := os.Getenv("ALOFT_TEST_CLOUDS"); faults != "" {
		for _, name := range []string{"alpha", "beta"} {
			table[name] = providers.Factory{Name: name, ByDefault: true, New: func(_ context.Context, c providers.Config) (providers.Provider, error) {
				host, err := local.New(providers.Config{Home: filepath.Join(c.Home, name)})
				return &rented{host, name, faults}, err
			}}
		}
	}
	os.Exit(run(os.Args[1:], table))
}

// rented is a cloud whose machines are nodes of this host.
type rented struct {
	*local.Provider
	name   string
	faults string // file of lines: create|quota CLOUD PLACE KIND SCOPE CODE
}

// Name is the cloud's.
func (r *rented) Name() string { return r.name }

// refusal is what the file says of a call, if anything.
func (r *rented) refusal(op string, s providers.NodeSpec) error {
	f, err := os.Open(r.faults)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		w := strings.Fields(lines.Text())
		if len(w) != 6 || w[0] != op || w[1] != r.name || w[2] != s.Zone && w[2] != s.Region && w[2] != "*" {
			continue
		}
		e := &providers.Error{Provider: r.name, Op: op, Code: w[5], Err: errors.New("not today")}
		for k := providers.KindUnknown; k <= providers.Unsupported; k++ {
			if k.String() == w[3] {
				e.Kind = k
			}
		}
		for s := providers.ScopeZone; s <= providers.ScopeProvider; s++ {
			if s.String() == w[4] {
				e.Scope = s
			}
		}
		return e
	}
	return nil
}

// note writes down a call.
func (r *rented) note(format string, args ...any) error {
	f, err := os.OpenFile(r.faults+".calls", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, r.name+" "+format+"\n", args...)
	return errors.Join(err, f.Close())
}

// Create makes a node unless the file refuses it.
func (r *rented) Create(ctx context.Context, q providers.CreateRequest) (providers.Instance, error) {
	if err := r.note("create %s %s", q.Spec.Zone, q.Spec.InstanceType); err != nil {
		return providers.Instance{}, err
	}
	if err := r.refusal("create", q.Spec); err != nil {
		return providers.Instance{}, err
	}
	return r.Provider.Create(ctx, q)
}

// CheckQuota answers as the file says.
func (r *rented) CheckQuota(_ context.Context, s providers.NodeSpec, _ int) error {
	return r.refusal("quota", s)
}

// Finish notes what would be removed.
func (r *rented) Finish(_ context.Context, t providers.Tags, region string) error {
	return r.note("finish %s %s", region, t.ClusterName)
}
