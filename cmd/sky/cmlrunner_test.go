package main

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"aloft/controller/forge"
	"aloft/controller/forge/forgetest"
)

// TestCMLRunner: `cml runner` without a cloud is a runner on this machine, and stays until it has ended.
func TestCMLRunner(t *testing.T) {
	t.Parallel()
	r := newRunnerRig(t, forge.GitHub)
	w := r.with("RUNNER_LABELS=gpu", "CML_RUNNER_SINGLE=true")
	cmd := w.command(t.Context(), cmlArgs("cml", []string{"runner", "--idle-timeout", "never", "--cloud-startup-script", base64.StdEncoding.EncodeToString([]byte("echo prepared"))})...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { t.Log(out.String()) })
	var x forgetest.Runner
	r.eventually("a runner that is online", func() bool {
		for _, x = range r.s.Runners() {
			if x.Online {
				return true
			}
		}
		return false
	})
	if !strings.HasPrefix(x.Name, "cml-") || !slices.Contains(x.Labels, "gpu") {
		t.Errorf("%+v", x)
	}
	r.s.Start(x.Name, "900")
	r.says("has a job", "logs", x.Name, "1", "--no-follow")
	r.s.Start(x.Name, "")
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "is gone") {
		t.Errorf("%v\n%s", err, &out)
	}
	r.clean()
}

// TestCMLMachines: CML's flags of clouds mean the machines that they meant, or are refused.
func TestCMLMachines(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		o    cmlRunnerOptions
		want string
	}{
		{cmlRunnerOptions{}, `{"resources":{}}`},
		{cmlRunnerOptions{cloud: "aws", region: "us-west", kind: "m", gpu: "nogpu"}, `{"resources":{"cpus":"8+","infra":"aws/us-west-1","memory":"32+"}}`},
		{cmlRunnerOptions{cloud: "aws", region: "us-east-1", kind: "l", gpu: "v100", spot: true, spotPrice: 2.5}, `{"resources":{"accelerators":"V100:4","infra":"aws/us-east-1","max_hourly_cost":2.5,"use_spot":true}}`},
		{cmlRunnerOptions{cloud: "gcp", region: "eu-north", gpu: "nvidia-tesla-t4*2", diskGB: 80}, `{"resources":{"accelerators":"T4:2","disk_size":80,"infra":"gcp/europe-north1"}}`},
		{cmlRunnerOptions{cloud: "gcp", region: "us-central1-a", kind: "n1-standard-4", spotPrice: -1}, `{"resources":{"infra":"gcp/us-central1/us-central1-a","instance_type":"n1-standard-4"}}`},
		{cmlRunnerOptions{cloud: "aws", region: "eu-west-1b", image: "ami-1", metadata: []string{"team=x"}}, `{"resources":{"image_id":"ami-1","infra":"aws/eu-west-1/eu-west-1b","labels":{"team":"x"}}}`},
		{cmlRunnerOptions{cloud: "azure"}, "--cloud azure"},
		{cmlRunnerOptions{kind: "m"}, "need --cloud"},
		{cmlRunnerOptions{cloud: "aws", subnet: "subnet-1"}, "--cloud-aws-subnet"},
		{cmlRunnerOptions{cloud: "aws", permission: "arn"}, "--cloud-permission-set"},
		{cmlRunnerOptions{cloud: "aws", metadata: []string{"x"}}, "KEY=VALUE"},
		{cmlRunnerOptions{cloud: "aws", gpu: "T4:0"}, "N from 1"},
	} {
		b, err := x.o.task(&app{errOut: io.Discard})
		got := string(b)
		if err != nil {
			got = err.Error()
		}
		if strings.HasPrefix(x.want, "{") && got != x.want || !strings.Contains(got, x.want) {
			t.Errorf("%+v: %s, want %s", x.o, got, x.want)
		}
	}
}

// TestRunnerBuilds: which program a machine runs is known with its digest before the launch, or there is no launch.
func TestRunnerBuilds(t *testing.T) {
	t.Parallel()
	const sum = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	for _, x := range []struct {
		kind forge.Kind
		o    runnerOptions
		want string // of the machines of x64
	}{
		{forge.GitHub, runnerOptions{version: "v2.319.1", sums: []string{sum}}, "https://github.com/actions/runner/releases/download/v2.319.1/actions-runner-linux-x64-2.319.1.tar.gz"},
		{forge.GitHub, runnerOptions{version: "2.319.1"}, "no digest"},
		{forge.GitHub, runnerOptions{version: "latest"}, "--runner-version"},
		{forge.GitHub, runnerOptions{}, "https://example.com/r.tar.gz"},
		{forge.GitHub, runnerOptions{sums: []string{"x64=" + sum, "x64=1" + sum[1:]}}, "given twice"},
		{forge.GitHub, runnerOptions{sums: []string{"abc"}}, "64 hexadecimal digits"},
		{forge.GitHub, runnerOptions{urls: []string{"file:///x"}, sums: []string{sum}}, "http or https"},
		{forge.GitLab, runnerOptions{sums: []string{sum}}, "https://gitlab-runner-downloads.s3.amazonaws.com/v17.5.0/binaries/gitlab-runner-linux-amd64"},
		{forge.GitLab, runnerOptions{urls: []string{"https://mirror/x"}, sums: []string{"arm64=" + sum, "x64=" + sum}}, "https://mirror/x"},
		{forge.Bitbucket, runnerOptions{version: "3.1.0", sums: []string{sum}}, "https://product-downloads.atlassian.com/software/bitbucket/pipelines/atlassian-bitbucket-pipelines-runner-3.1.0.tar.gz"},
		{forge.Bitbucket, runnerOptions{sums: []string{sum}}, "--runner-version"},
	} {
		s := &forgetest.Server{Kind: x.kind, Token: "tok", Programs: []forge.RunnerProgram{{OS: "linux", Arch: "x64", URL: "https://example.com/r.tar.gz", SHA256: sum}, {OS: "linux", Arch: "arm64", URL: "https://example.com/a.tar.gz"}}}
		web := httptest.NewServer(s)
		api := web.URL
		if x.kind == forge.GitLab {
			api += "/api/v4"
		}
		c, err := forge.New(x.kind, forge.Options{API: api, Repo: "acme/model", Token: "tok"})
		if err != nil {
			t.Fatal(err)
		}
		got, err := (&app{}).runnerBuilds(t.Context(), c, &x.o)
		text := got["x64"].url
		if err != nil {
			text = err.Error()
		} else if got["x64"].sha256 != sum {
			t.Errorf("%s %+v: digest %s", x.kind, x.o, got["x64"].sha256)
		}
		if !strings.Contains(text, x.want) {
			t.Errorf("%s %+v: %s, want %s", x.kind, x.o, text, x.want)
		}
		web.Close()
	}
}

// TestPublishedDigests: GitLab's digests come from where it publishes them, or there is no launch without one's own.
func TestPublishedDigests(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("ab", 32)
	for text, want := range map[string]string{sum + " *binaries/gitlab-runner-linux-amd64\n": "", "<html>": "holds no digest", "404": "404 Not Found"} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if text == "404" {
				w.WriteHeader(http.StatusNotFound)
			}
			_, _ = io.WriteString(w, text)
		}))
		got, err := publishedDigests(t.Context(), http.DefaultTransport, web.URL)
		web.Close()
		switch {
		case want == "" && (err != nil || len(got) != 1 || got["x64"] != sum):
			t.Errorf("%q: %v, %v", text, got, err)
		case want != "" && (err == nil || codeOf(err) != exitNotPosted || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--runner-sha256")):
			t.Errorf("%q: %v", text, err)
		}
	}
}
