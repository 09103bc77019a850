package controller

import (
	"context"
	"fmt"
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

func (r *registry) enabled(name string) bool {
	p, named := r.conf.Providers[name]
	if named && p.Enabled != nil {
		return *p.Enabled
	}
	return named || r.table[name].ByDefault
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
	settings := map[string]string{}
	for _, o := range f.Options {
		if o.Default != "" {
			settings[o.Name] = o.Default
		}
	}
	for k, v := range r.conf.Providers[name].Settings {
		settings[k] = v
	}
	for _, o := range f.Options {
		if o.Env == "" {
			continue
		}
		if v, ok := r.getenv(o.Env); ok {
			settings[o.Name] = v
		}
	}
	p, err := f.New(context.Background(), providers.Config{Home: r.home, Settings: settings})
	if err != nil {
		return nil, fmt.Errorf("set up provider %s: %w", name, err)
	}
	r.made[name] = p
	return p, nil
}
