package controller

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"aloft/controller/config"
	"aloft/providers"
)

func TestEnabled(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for _, tt := range []struct {
		name string
		conf map[string]config.Provider
		env  map[string]string
		want []string
		why  string // of cloud
		hint string
	}{
		{name: "nothing is said", want: []string{"host"}, why: "no credentials", hint: "cloud login"},
		{name: "credentials", env: map[string]string{"CLOUD_KEY": "k"}, want: []string{"cloud", "host"}},
		{name: "named", conf: map[string]config.Provider{"cloud": {}}, want: []string{"cloud", "host"}},
		{name: "turned on", conf: map[string]config.Provider{"cloud": {Enabled: &yes}}, want: []string{"cloud", "host"}},
		{name: "turned off", conf: map[string]config.Provider{"cloud": {Enabled: &no}, "host": {Enabled: &no}}, env: map[string]string{"CLOUD_KEY": "k"},
			why: "turned off in the configuration", hint: "enabled: true"},
		{name: "settings of the environment", env: map[string]string{"CLOUD_PROFILE": "good"}, want: []string{"cloud", "host"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			getenv := func(k string) (string, bool) { v, ok := tt.env[k]; return v, ok }
			r := newRegistry("/home/x", map[string]providers.Factory{
				"host": {Name: "host", ByDefault: true},
				"bare": {Name: "bare"},
				"cloud": {Name: "cloud", Options: []providers.Option{{Name: "profile", Env: "CLOUD_PROFILE"}},
					Found: func(c providers.Config, getenv func(string) (string, bool)) error {
						if _, ok := getenv("CLOUD_KEY"); ok || c.Settings["profile"] == "good" {
							return nil
						}
						return &providers.Error{Provider: "cloud", Op: "check", Kind: providers.Auth, Err: errors.New("no credentials"), Hint: "cloud login"}
					}},
			}, &config.Config{Providers: tt.conf}, getenv)
			if got := r.Enabled(context.Background()); !slices.Equal(got, tt.want) {
				t.Errorf("enabled %v, want %v", got, tt.want)
			}
			err := r.WhyDisabled("cloud")
			if tt.why == "" {
				if err != nil {
					t.Errorf("disabled: %v", err)
				}
				return
			}
			var e *providers.Error
			if !errors.As(err, &e) || e.Err.Error() != tt.why || !strings.Contains(e.Hint, tt.hint) {
				t.Errorf("disabled because of %v (hint %q), want %q", err, e.Hint, tt.why)
			}
			if err := r.WhyDisabled("bare"); err == nil {
				t.Error("a provider that nobody turned on is enabled")
			}
		})
	}
}
