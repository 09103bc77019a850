// Package config reads $ALOFT_HOME/config.yaml: which providers are used and how.
//
//	default: local            # infra used when a task asks for none
//	providers:
//	  local:
//	    enabled: true
//	    gpus: V100:2          # settings of the provider, see docs/providers.md
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"aloft/providers"
)

// Config is the file's content.
type Config struct {
	// Default is the provider used when a task names none; "" = not set.
	Default string
	// Providers holds what was written for each provider.
	Providers map[string]Provider
}

// Provider is what the file says of one provider.
type Provider struct {
	// Enabled is nil when the file does not say.
	Enabled  *bool
	Settings map[string]string
}

// limit bounds the size of the file in bytes.
const limit = 1 << 20

// Load reads the file; a missing one is an empty Config. Every problem names the line and what is allowed.
func Load(path string, table map[string]providers.Factory) (*Config, error) {
	c := &Config{Providers: map[string]Provider{}}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if len(b) > limit {
		return nil, fmt.Errorf("%s: %d bytes, at most %d are allowed", path, len(b), limit)
	}
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(b)).Decode(&doc); err != nil {
		if len(bytes.TrimSpace(b)) == 0 {
			return c, nil
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(doc.Content) == 0 {
		return c, nil
	}
	r := &reader{path: path, table: table, c: c}
	r.root(doc.Content[0])
	if len(r.problems) > 0 {
		return nil, errors.New(strings.Join(r.problems, "\n"))
	}
	return c, nil
}

type reader struct {
	path     string
	table    map[string]providers.Factory
	c        *Config
	problems []string
}

func (r *reader) bad(n *yaml.Node, format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf("%s:%d:%d: %s", r.path, n.Line, n.Column, fmt.Sprintf(format, args...)))
}

func (r *reader) names() string {
	var ns []string
	for n := range r.table {
		ns = append(ns, n)
	}
	slices.Sort(ns)
	return strings.Join(ns, ", ")
}

// pairs yields the entries of a map, or reports that n is none.
func (r *reader) pairs(n *yaml.Node, what string, fn func(k, v *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		if n.Tag != "!!null" {
			r.bad(n, "%s must be a map", what)
		}
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		fn(n.Content[i], n.Content[i+1])
	}
}

func (r *reader) root(n *yaml.Node) {
	r.pairs(n, "the configuration", func(k, v *yaml.Node) {
		switch k.Value {
		case "default":
			if _, ok := r.table[v.Value]; !ok {
				r.bad(v, "default: %q is no provider; allowed: %s", v.Value, r.names())
			}
			r.c.Default = v.Value
		case "providers":
			r.pairs(v, "providers", r.provider)
		default:
			r.bad(k, "unknown field %q; allowed: default, providers", k.Value)
		}
	})
}

func (r *reader) provider(k, v *yaml.Node) {
	f, ok := r.table[k.Value]
	if !ok {
		r.bad(k, "providers: %q is no provider; allowed: %s", k.Value, r.names())
		return
	}
	allowed := []string{"enabled"}
	for _, o := range f.Options {
		allowed = append(allowed, o.Name)
	}
	p := Provider{Settings: map[string]string{}}
	r.pairs(v, "providers."+k.Value, func(sk, sv *yaml.Node) {
		switch {
		case sk.Value == "enabled":
			on := sv.Value == "true"
			if !on && sv.Value != "false" {
				r.bad(sv, "providers.%s.enabled: %q; allowed: true, false", k.Value, sv.Value)
			}
			p.Enabled = &on
		case !slices.Contains(allowed, sk.Value):
			r.bad(sk, "providers.%s: unknown setting %q; allowed: %s", k.Value, sk.Value, strings.Join(allowed, ", "))
		case sv.Kind != yaml.ScalarNode:
			r.bad(sv, "providers.%s.%s must be one value", k.Value, sk.Value)
		default:
			p.Settings[sk.Value] = sv.Value
		}
	})
	r.c.Providers[k.Value] = p
}
