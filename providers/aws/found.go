package aws

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"aloft/providers"
)

// found reports whether credentials are at hand: in the environment or in the shared files. It asks nobody.
func found(c providers.Config, getenv func(string) (string, bool)) error {
	if c.Settings["oidc_role"] != "" {
		s, err := parse(c.Settings)
		if err != nil {
			return &providers.Error{Provider: Name, Op: "check", Kind: providers.Invalid, Scope: providers.ScopeProvider, Code: "settings", Err: err,
				Hint: "correct ALOFT_AWS_ROLE_ARN, or `providers: {aws: ...}` in config.yaml"}
		}
		f := &providers.Error{Provider: Name, Op: "check"}
		if _, err := s.oidcSource(getenv, nil); err != nil && roleRefused(tokenError(err), f) {
			return f
		}
		return nil
	}
	get := func(k string) string {
		v, _ := getenv(k)
		return v
	}
	if get("AWS_ACCESS_KEY_ID") != "" && get("AWS_SECRET_ACCESS_KEY") != "" || get("AWS_WEB_IDENTITY_TOKEN_FILE") != "" && get("AWS_ROLE_ARN") != "" {
		return nil
	}
	if c.Settings["use_instance_role"] == "true" {
		return nil
	}
	profile := c.Settings["profile"]
	if profile == "" {
		profile = get("AWS_PROFILE")
	}
	if profile == "" {
		profile = get("AWS_DEFAULT_PROFILE")
	}
	if profile == "" {
		profile = "default"
	}
	home := get("HOME")
	if home == "" {
		home, _ = os.UserHomeDir()
	}
	for _, f := range []struct{ env, file string }{{"AWS_SHARED_CREDENTIALS_FILE", "credentials"}, {"AWS_CONFIG_FILE", "config"}} {
		path := get(f.env)
		if path == "" && home != "" {
			path = filepath.Join(home, ".aws", f.file)
		}
		if path != "" && holdsCredentials(path, profile) {
			return nil
		}
	}
	flag := ""
	if profile != "default" {
		flag = " --profile " + profile
	}
	return &providers.Error{Provider: Name, Op: "check", Kind: providers.Auth, Scope: providers.ScopeProvider, Code: "no-credentials",
		Err:  errors.New("no credentials were found in the environment, ~/.aws/credentials and ~/.aws/config (profile " + profile + ")"),
		Hint: "run `aws configure" + flag + "` or `aws configure sso" + flag + "`, then `sky check aws`"}
}

// holdsCredentials reports whether a shared file says for a profile how credentials are got.
func holdsCredentials(path, profile string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	here := false
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") {
			name := strings.TrimSpace(strings.Trim(line, "[]"))
			here = name == profile || strings.Join(strings.Fields(name), " ") == "profile "+profile
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !here || !ok || strings.TrimSpace(value) == "" {
			continue
		}
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "aws_access_key_id", "sso_session", "sso_start_url", "role_arn", "credential_process", "web_identity_token_file", "login_session":
			return true
		}
	}
	return false
}
