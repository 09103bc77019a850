package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"aloft/controller/forge"
	"aloft/controller/forge/runners"
)

// Where the builds of runners' programs lie. GitHub's are told by its API.
const (
	githubBuilds    = "https://github.com/actions/runner/releases/download/v%[1]s/actions-runner-linux-%[2]s-%[1]s.tar.gz"
	gitlabBuilds    = "https://gitlab-runner-downloads.s3.amazonaws.com/v%[1]s/binaries/gitlab-runner-linux-%[2]s"
	gitlabDigests   = "https://gitlab-runner-downloads.s3.amazonaws.com/v%s/release.sha256"
	bitbucketBuilds = "https://product-downloads.atlassian.com/software/bitbucket/pipelines/atlassian-bitbucket-pipelines-runner-%s.tar.gz"
)

// maxDigests bounds a list of digests.
const maxDigests = 1 << 20

// runnerBuild is where a machine gets the runner's program, and the digest that it must have.
type runnerBuild struct{ url, sha256 string }

// runnerVersion is a version of a runner's program.
var runnerVersion = regexp.MustCompile(`^[0-9]+\.[0-9]+(\.[0-9]+)?$`)

// byArch reads values of a flag, each for one architecture: ARCH=VALUE, or VALUE alone, which is for all.
func byArch(flag string, values []string, check func(string) bool, allowed string) (map[string]string, error) {
	out := map[string]string{}
	for _, v := range values {
		arch, value, ok := strings.Cut(v, "=")
		arches := []string{arch}
		if !ok || arch != "x64" && arch != "arm64" {
			arches, value = runners.Arches(), v
		}
		if !check(value) {
			return nil, usageError("%s %q: allowed: [x64=|arm64=]%s", flag, v, allowed)
		}
		for _, a := range arches {
			if out[a] != "" && out[a] != value {
				return nil, usageError("%s is given twice for %s", flag, a)
			}
			out[a] = value
		}
	}
	return out, nil
}

func isWebAddress(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http")
}

// runnerBuilds decides which program the machines run. None is used whose digest is not known before the launch.
func (a *app) runnerBuilds(ctx context.Context, client forge.Client, o *runnerOptions) (map[string]runnerBuild, error) {
	sums, err := byArch("--runner-sha256", o.sums, runners.IsDigest, "the 64 hexadecimal digits of the program's SHA-256")
	if err != nil {
		return nil, err
	}
	urls, err := byArch("--runner-url", o.urls, isWebAddress, "an http or https address")
	if err != nil {
		return nil, err
	}
	version := strings.TrimPrefix(o.version, "v")
	if version != "" && !runnerVersion.MatchString(version) {
		return nil, usageError("--runner-version %q: allowed: a version, as 2.319.1", o.version)
	}
	switch {
	case len(urls) > 0:
	case client.Kind() == forge.GitHub && version != "":
		for _, arch := range runners.Arches() {
			urls[arch] = fmt.Sprintf(githubBuilds, version, arch)
		}
	case client.Kind() == forge.GitLab:
		if version == "" {
			v, err := client.(forge.ServerVersion).ServerVersion(ctx)
			if err != nil {
				return nil, o.refused(err, client.Kind())
			}
			major, minor, _ := strings.Cut(v, ".")
			minor, _, _ = strings.Cut(minor, ".")
			version = major + "." + minor + ".0" // each minor version of GitLab comes with one of the runner
		}
		for _, arch := range runners.Arches() {
			urls[arch] = fmt.Sprintf(gitlabBuilds, version, runners.GoArch(arch))
		}
		if len(sums) == 0 {
			if sums, err = publishedDigests(ctx, http.DefaultTransport, fmt.Sprintf(gitlabDigests, version)); err != nil {
				return nil, err
			}
		}
	case client.Kind() == forge.Bitbucket && version != "":
		for _, arch := range runners.Arches() {
			urls[arch] = fmt.Sprintf(bitbucketBuilds, version)
		}
	case client.Kind() == forge.Bitbucket:
		return nil, usageError("Bitbucket does not tell which runner there is, nor its digest: give --runner-version and --runner-sha256")
	}
	if client.Kind() == forge.GitHub && (len(urls) == 0 || len(sums) == 0) {
		list, err := client.(forge.RunnerPrograms).RunnerPrograms(ctx, o.owner)
		if err != nil {
			return nil, o.refused(err, client.Kind())
		}
		known := len(sums) > 0
		for _, p := range list {
			if p.OS != "linux" || !runners.IsDigest(p.SHA256) && sums[p.Arch] == "" || urls[p.Arch] != "" && urls[p.Arch] != p.URL {
				continue
			}
			urls[p.Arch] = p.URL
			if !known {
				sums[p.Arch] = p.SHA256
			}
		}
	}
	out := map[string]runnerBuild{}
	for _, arch := range runners.Arches() {
		if urls[arch] != "" && sums[arch] != "" {
			out[arch] = runnerBuild{urls[arch], strings.ToLower(sums[arch])}
		}
	}
	if len(out) == 0 {
		return nil, usageError("no digest is known of the runner's program, and nothing is run without: give --runner-sha256 DIGEST, as the program's publisher tells it")
	}
	return out, nil
}

// publishedDigests fetches the digests of a version of GitLab's runner, over TLS from where it is published.
func publishedDigests(ctx context.Context, t http.RoundTripper, address string) (map[string]string, error) {
	ctx, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	without := "give --runner-version and --runner-sha256"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for the runner's digest: %w", err)
	}
	resp, err := (&http.Client{Transport: t}).Do(req)
	if err != nil {
		return nil, notPosted(fmt.Errorf("ask for the runner's digest: %w", err), without)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxDigests))
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, notPosted(fmt.Errorf("ask for the runner's digest: %s answered %s", address, resp.Status), without)
	}
	sums := runners.GitLabDigests(b)
	if len(sums) == 0 {
		return nil, notPosted(fmt.Errorf("%s holds no digest of a runner for linux", address), without)
	}
	return sums, nil
}
