package forge

import (
	"context"
	"net/http"
	"regexp"
)

// RunnerProgram is a build of the program that runs on a runner's machine.
type RunnerProgram struct {
	// OS and Arch are GitHub's words: linux; x64 or arm64.
	OS, Arch string
	// URL is where the build lies, SHA256 its digest in hexadecimal; "" = the forge does not tell.
	URL, SHA256 string
}

// RunnerPrograms tells which builds of the runner's program a forge wants to be used, with their digests. GitHub has it.
type RunnerPrograms interface {
	RunnerPrograms(ctx context.Context, owner string) ([]RunnerProgram, error)
}

// ServerVersion tells the version of a forge's server, by which one of its runner is chosen. GitLab has it.
type ServerVersion interface {
	// ServerVersion is MAJOR.MINOR.PATCH.
	ServerVersion(ctx context.Context) (string, error)
}

// RunnerPrograms asks the API that knows which runners the server takes: its answers are as trustworthy as the registration.
func (g *github) RunnerPrograms(ctx context.Context, owner string) ([]RunnerProgram, error) {
	var list []struct {
		OS   string `json:"os"`
		Arch string `json:"architecture"`
		URL  string `json:"download_url"`
		Sum  string `json:"sha256_checksum"`
	}
	if _, err := g.call(ctx, "ask which runner there is", http.MethodGet, g.runners(owner)+"/downloads", nil, &list); err != nil {
		return nil, err
	}
	out := make([]RunnerProgram, 0, len(list))
	for _, p := range list {
		out = append(out, RunnerProgram{OS: p.OS, Arch: p.Arch, URL: p.URL, SHA256: p.Sum})
	}
	return out, nil
}

// serverVersion is the beginning of a version of GitLab's, as 17.5.1-ee.
var serverVersion = regexp.MustCompile(`^[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}`)

// ServerVersion asks GitLab who it is.
func (g *gitlab) ServerVersion(ctx context.Context) (string, error) {
	var out struct {
		Version string `json:"version"`
	}
	const doing = "ask for the server's version"
	if _, err := g.call(ctx, doing, http.MethodGet, g.base.String()+"/version", nil, &out); err != nil {
		return "", err
	}
	v := serverVersion.FindString(out.Version)
	if v == "" {
		return "", &Error{Doing: doing, Reason: Unexpected, Detail: "the answer has no version"}
	}
	return v, nil
}
