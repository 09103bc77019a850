package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aloft/providers/oidc/oidclab"
)

// oidcWorld is a world in a CI job whose token two clouds trust; nothing else there is a credential.
func oidcWorld(t *testing.T, env ...string) (*world, *oidclab.Lab) {
	t.Helper()
	l, err := oidclab.New(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(l)
	t.Cleanup(s.Close)
	all := []string{"ALOFT_AWS_ROLE_ARN=" + oidclab.Role, "AWS_ENDPOINT_URL=" + s.URL, "ALOFT_GCP_WORKLOAD_IDENTITY_PROVIDER=" + oidclab.Pool,
		"ALOFT_GCP_OIDC_SERVICE_ACCOUNT=" + oidclab.Account, "ALOFT_GCP_ENDPOINT=" + s.URL}
	for k, v := range oidclab.Environment(s.URL) {
		all = append(all, k+"="+v)
	}
	return newWorld(t, append(all, env...)...), l
}

// TestOIDC: the controller, a process of its own, gets clouds by the token of the CI job that started it, and keeps none of it.
func TestOIDC(t *testing.T) {
	t.Parallel()
	w, l := oidcWorld(t)
	w.exits(0, []string{"AWS: enabled", "GCP: enabled", "Credentials: OIDC of GitHub Actions, role " + oidclab.Role,
		"Credentials: OIDC of GitHub Actions, by " + oidclab.Pool + " as " + oidclab.Account}, "check", "aws", "gcp")
	if tokens, _ := l.Counts(); tokens != 2 {
		t.Errorf("%d tokens were asked for, want one for each cloud", tokens)
	}
	w.exits(0, nil, "api", "stop")
	files := 0
	err := filepath.WalkDir(w.home, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		files++
		for _, secret := range []string{oidclab.RequestToken, "eyJhbGciOiJFUzI1NiI", "lab-secret", "session-1", "federated-", "impersonated-"} {
			if strings.Contains(string(b), secret) {
				t.Errorf("%s holds %s", path, secret)
			}
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files were read: %v", files, err)
	}
}

// TestOIDCWithoutPermission: what the workflow lacks is said as it is to be written there.
func TestOIDCWithoutPermission(t *testing.T) {
	t.Parallel()
	w, _ := oidcWorld(t, "ACTIONS_ID_TOKEN_REQUEST_TOKEN=")
	w.exits(exitConfig, []string{"AWS: disabled", "GCP: disabled", "this job may not ask GitHub Actions for an OIDC token",
		"add to the job: `permissions: {id-token: write, contents: read}`"}, "check", "aws", "gcp")
}
