package gcp_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aloft/providers"
	"aloft/providers/gcp"
)

func TestBadSettings(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ key, value, says string }{
		{"project", "Not A Project", "project id"},
		{"network", "projects/p/global/firewalls/x", "networks/NAME"},
		{"subnet", "UPPER", "subnetworks/NAME"},
		{"service_account", "nobody", "service account"},
		{"ssh_user", "root", "login"},
		{"ssh_source_ranges", "10.0.0.0/99", "range of addresses"},
		{"use_internal_ips", "maybe", "true or false"},
		{"proxy_jump", "me@host; rm -rf /", "bastion"},
		{"endpoint", "nowhere", "no address"},
		{"auth", "none", "endpoint"},
		{"auth", "some", "none or default"},
		{"visibility_lag", "-3s", "duration"},
		{"colour", "red", "allowed: project"},
	} {
		_, err := gcp.New(map[string]string{x.key: x.value})
		var e *providers.Error
		if !errors.As(err, &e) || e.Kind != providers.Invalid || !strings.Contains(err.Error(), x.says) || !strings.Contains(err.Error(), x.key) {
			t.Errorf("%s: %q: %v, want one that says %q", x.key, x.value, err, x.says)
		}
	}
}

func TestFound(t *testing.T) {
	t.Parallel()
	write := func(dir, name, text string) string {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	adc := ".config/gcloud/application_default_credentials.json"
	user := `{"type":"authorized_user","client_id":"c","client_secret":"s","refresh_token":"r"}`
	for _, x := range []struct {
		name  string
		files map[string]string
		env   map[string]string
		set   map[string]string
		code  string // "" = found
		hint  string
	}{
		{name: "nothing", code: "no-credentials", hint: "gcloud auth application-default login"},
		{name: "credentials without a project", files: map[string]string{adc: user}, code: "no-project", hint: "gcloud config set project"},
		{name: "project of gcloud", files: map[string]string{adc: user, ".config/gcloud/configurations/config_default": "[core]\naccount = me\nproject = p1\n"}},
		{name: "project of the setting", files: map[string]string{adc: user}, set: map[string]string{"project": "p1"}},
		{name: "project of the environment", files: map[string]string{adc: user}, env: map[string]string{"GOOGLE_CLOUD_PROJECT": "p1"}},
		{name: "another configuration", files: map[string]string{adc: user, ".config/gcloud/active_config": "work", ".config/gcloud/configurations/config_work": "[core]\nproject = p2\n"}},
		{name: "service account", files: map[string]string{"key.json": `{"type":"service_account","project_id":"p1","client_email":"a@b"}`}, env: map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": "key.json"}},
		{name: "a file that is not there", env: map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": "gone.json"}, code: "no-credentials", hint: "GOOGLE_APPLICATION_CREDENTIALS"},
		{name: "a file of something else", files: map[string]string{adc: "hello"}, code: "no-credentials", hint: "login"},
		{name: "lab", set: map[string]string{"project": "p1", "endpoint": "http://127.0.0.1:1", "auth": "none"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			env := map[string]string{"HOME": dir}
			for name, text := range x.files {
				write(dir, name, text)
			}
			for k, v := range x.env {
				if k == "GOOGLE_APPLICATION_CREDENTIALS" {
					v = filepath.Join(dir, v)
				}
				env[k] = v
			}
			err := gcp.Factory().Found(providers.Config{Settings: x.set}, func(k string) (string, bool) { v, ok := env[k]; return v, ok })
			var e *providers.Error
			if errors.As(err, &e); x.code == "" && err != nil || x.code != "" && (e == nil || e.Code != x.code || !strings.Contains(e.Hint, x.hint)) {
				t.Errorf("%v (hint %q), want %q", err, hint(err), x.code)
			}
		})
	}
}
