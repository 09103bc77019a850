package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"aloft/controller/config"
	"aloft/providers"
)

// hostProvider is the provider that needs no account.
const hostProvider = "local"

// registry makes providers from their factories, once each, when they are first used.
type registry struct {
	home   string
	table  map[string]providers.Factory
	conf   *config.Config
	getenv func(string) (string, bool)

	mu   sync.Mutex
	made map[string]providers.Provider
}

func newRegistry(home string, table map[string]providers.Factory, conf *config.Config, getenv func(string) (string, bool)) *registry {
	return &registry{home: home, table: table, conf: conf, getenv: getenv, made: map[string]providers.Provider{}}
}

// CatalogSources makes the clouds that can tell their own catalogue, as the configuration in home has them, by name. Without
// names they are those that may be used; a cloud that is named and cannot tell is an error, whose hint says what to do.
func CatalogSources(home string, table map[string]providers.Factory, getenv func(string) (string, bool), names []string) (map[string]providers.CatalogSource, error) {
	conf, err := config.Load(filepath.Join(home, "config.yaml"), table)
	if err != nil {
		return nil, err
	}
	r := newRegistry(home, table, conf, getenv)
	asked := names
	if len(asked) == 0 {
		asked = r.Enabled(context.Background())
	}
	out := map[string]providers.CatalogSource{}
	for _, n := range asked {
		p, err := r.Get(n)
		if err == nil && len(names) > 0 {
			err = r.WhyDisabled(n)
		}
		if err != nil {
			return nil, err
		}
		src, ok := p.(providers.CatalogSource)
		switch {
		case ok:
			out[n] = src
		case len(names) > 0:
			return nil, &providers.Error{Provider: n, Op: "catalog", Kind: providers.Unsupported, Scope: providers.ScopeProvider, Code: "no-catalog",
				Err: errors.New("it has no catalogue of its own"), Hint: "sky catalog update " + n}
		}
	}
	return out, nil
}

// Names lists every provider there is, sorted.
func (r *registry) Names() []string {
	var ns []string
	for n := range r.table {
		ns = append(ns, n)
	}
	slices.Sort(ns)
	return ns
}

// Default is the provider used when a task asks for none and no cloud is enabled: the configured one, else this host.
func (r *registry) Default() string {
	if r.conf.Default != "" {
		return r.conf.Default
	}
	if r.enabled(hostProvider) {
		return hostProvider
	}
	return ""
}

// Enabled lists the providers that may be used, sorted.
func (r *registry) Enabled(context.Context) []string {
	var ns []string
	for _, n := range r.Names() {
		if r.enabled(n) {
			ns = append(ns, n)
		}
	}
	return ns
}

func (r *registry) enabled(name string) bool { return r.WhyDisabled(name) == nil }

// WhyDisabled says why a provider may not be used; nil when it may: it is turned on in the configuration, or is by default,
// or credentials for it are at hand.
func (r *registry) WhyDisabled(name string) error {
	no := func(format string, args ...any) error {
		return &providers.Error{Provider: name, Op: "check", Kind: providers.Auth, Scope: providers.ScopeProvider, Code: "disabled",
			Err: fmt.Errorf(format, args...), Hint: fmt.Sprintf("write `providers: {%s: {enabled: true}}` in %s/config.yaml", name, r.home)}
	}
	p, named := r.conf.Providers[name]
	f := r.table[name]
	switch {
	case named && p.Enabled != nil && *p.Enabled:
		return nil
	case named && p.Enabled != nil:
		return no("turned off in the configuration")
	case named, f.ByDefault:
		return nil
	case f.Found == nil:
		return no("not turned on in the configuration")
	}
	return f.Found(providers.Config{Home: r.home, Settings: r.settings(name)}, r.getenv)
}

// settings are those of a provider: of the environment, else of the configuration, else the default.
func (r *registry) settings(name string) map[string]string {
	out := map[string]string{}
	for _, o := range r.table[name].Options {
		if o.Default != "" {
			out[o.Name] = o.Default
		}
	}
	maps.Copy(out, r.conf.Providers[name].Settings)
	for _, o := range r.table[name].Options {
		if o.Env == "" {
			continue
		}
		if v, ok := r.getenv(o.Env); ok {
			out[o.Name] = v
		}
	}
	return out
}

// Get makes the provider of that name. A provider that is turned off can still be reached: its machines must be.
func (r *registry) Get(name string) (providers.Provider, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p, ok := r.made[name]; ok {
		return p, nil
	}
	f, ok := r.table[name]
	if !ok {
		return nil, &providers.Error{Provider: name, Op: "find", Kind: providers.Unsupported, Scope: providers.ScopeProvider, Code: "NO_PROVIDER",
			Err: fmt.Errorf("this build has no such provider"), Hint: "see `sky check`"}
	}
	p, err := f.New(context.Background(), providers.Config{Home: r.home, Settings: r.settings(name)})
	if err != nil {
		return nil, fmt.Errorf("set up provider %s: %w", name, err)
	}
	r.made[name] = p
	return p, nil
}
