package cienv

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// parse turns lines NAME=value into a lookup.
func parse(text string) func(string) (string, bool) {
	vars := map[string]string{}
	for _, l := range strings.Split(text, "\n") {
		if k, v, ok := strings.Cut(strings.TrimSpace(l), "="); ok {
			vars[k] = v
		}
	}
	return func(k string) (string, bool) { v, ok := vars[k]; return v, ok }
}

const actions = `
GITHUB_ACTIONS=true
CI=true
GITHUB_SERVER_URL=https://github.com
GITHUB_API_URL=https://api.github.com
GITHUB_REPOSITORY=acme/model
GITHUB_SHA=aaaa
GITHUB_WORKFLOW=train
GITHUB_JOB=fit
GITHUB_RUN_ID=900
GITHUB_RUN_ATTEMPT=2
GITHUB_ACTOR=ann
GITHUB_EVENT_PATH=/event.json
`

func TestDetect(t *testing.T) {
	t.Parallel()
	hub := func(change func(*Context)) Context {
		c := Context{System: GitHub, Forge: "github", ServerURL: "https://github.com", APIURL: "https://api.github.com", Repository: "acme/model",
			SHA: "aaaa", HeadOwner: "acme", Workflow: "train", Job: "fit", Run: 900, Attempt: 2,
			RunURL: "https://github.com/acme/model/actions/runs/900/attempts/2", Actor: "ann"}
		change(&c)
		return c
	}
	for _, tc := range []struct {
		name, env, event string
		want             Context
	}{
		{"nothing", "HOME=/root", "", Context{}},
		{"CI=false", "CI=false", "", Context{}},
		{"generic", "CI=true", "", Context{System: Generic}},
		{"push", actions + "GITHUB_EVENT_NAME=push\nGITHUB_REF=refs/heads/main", `{"after":"aaaa"}`,
			hub(func(c *Context) { c.Event, c.Branch = "push", "main" })},
		{"pull_request", actions + "GITHUB_EVENT_NAME=pull_request\nGITHUB_REF=refs/pull/7/merge\nGITHUB_HEAD_REF=topic",
			`{"number":7,"pull_request":{"number":7,"head":{"sha":"bbbb","ref":"topic","repo":{"full_name":"Acme/model"}}}}`,
			hub(func(c *Context) {
				c.Event, c.Branch, c.SHA, c.PullRequest, c.HeadOwner = "pull_request", "topic", "bbbb", 7, "Acme"
			})},
		{"fork", actions + "GITHUB_EVENT_NAME=pull_request",
			`{"pull_request":{"number":7,"head":{"sha":"bbbb","ref":"main","repo":{"full_name":"eve/model"}}}}`,
			hub(func(c *Context) {
				c.Event, c.Branch, c.SHA, c.PullRequest, c.Fork, c.HeadOwner = "pull_request", "main", "bbbb", 7, true, "eve"
			})},
		{"fork that is gone", actions + "GITHUB_EVENT_NAME=pull_request_target\nGITHUB_REF=refs/heads/main",
			`{"pull_request":{"number":7,"head":{"sha":"bbbb","ref":"x","repo":null}}}`,
			hub(func(c *Context) {
				c.Event, c.Branch, c.SHA, c.PullRequest, c.Fork = "pull_request_target", "x", "bbbb", 7, true
			})},
		{"comment on a pull request", actions + "GITHUB_EVENT_NAME=issue_comment\nGITHUB_REF=refs/heads/main", `{"issue":{"number":8,"pull_request":{"url":"u"}}}`,
			hub(func(c *Context) { c.Event, c.PullRequest, c.SHA, c.HeadOwner = "issue_comment", 8, "", "" })},
		{"comment on an issue", actions + "GITHUB_EVENT_NAME=issue_comment\nGITHUB_REF=refs/heads/main", `{"issue":{"number":8}}`,
			hub(func(c *Context) { c.Event, c.Branch = "issue_comment", "main" })},
		{"merge queue", actions + "GITHUB_EVENT_NAME=merge_group\nGITHUB_REF=refs/heads/gh-readonly-queue/main/pr-12-cccc",
			`{"merge_group":{"head_ref":"refs/heads/gh-readonly-queue/main/pr-12-cccc","head_sha":"aaaa"}}`,
			hub(func(c *Context) {
				c.Event, c.PullRequest, c.Branch = "merge_group", 12, "gh-readonly-queue/main/pr-12-cccc"
			})},
		{"after a run of a fork", actions + "GITHUB_EVENT_NAME=workflow_run\nGITHUB_REF=refs/heads/main",
			`{"workflow_run":{"id":800,"run_attempt":3,"name":"train","head_sha":"dddd","head_branch":"topic","html_url":"https://github.com/acme/model/actions/runs/800","pull_requests":[],"head_repository":{"full_name":"eve/model"}}}`,
			hub(func(c *Context) {
				c.Event, c.SHA, c.Branch, c.Run, c.Attempt, c.Fork, c.HeadOwner = "workflow_run", "dddd", "topic", 800, 3, true, "eve"
				c.RunURL = "https://github.com/acme/model/actions/runs/800"
			})},
		{"after a run", actions + "GITHUB_EVENT_NAME=workflow_run",
			`{"workflow_run":{"id":800,"run_attempt":1,"name":"train","head_sha":"dddd","head_branch":"topic","pull_requests":[{"number":4,"head":{"sha":"old"}},{"number":5,"head":{"sha":"dddd"}}],"head_repository":{"full_name":"acme/model"}}}`,
			hub(func(c *Context) {
				c.Event, c.SHA, c.Branch, c.Run, c.Attempt, c.PullRequest = "workflow_run", "dddd", "topic", 800, 1, 5
			})},
		{"by hand", actions + "GITHUB_EVENT_NAME=workflow_dispatch\nGITHUB_REF=refs/heads/main", `{"inputs":null}`,
			hub(func(c *Context) { c.Event, c.Branch = "workflow_dispatch", "main" })},
		{"schedule", actions + "GITHUB_EVENT_NAME=schedule\nGITHUB_REF=refs/heads/main", `{"schedule":"0 0 * * *"}`,
			hub(func(c *Context) { c.Event, c.Branch = "schedule", "main" })},
		{"no event file", actions + "GITHUB_EVENT_NAME=pull_request\nGITHUB_REF=refs/pull/7/merge", "",
			hub(func(c *Context) { c.Event, c.PullRequest = "pull_request", 7 })},
		{"event that is none", actions + "GITHUB_REF=refs/tags/v1", "[1", hub(func(*Context) {})},
		{"act", actions + "ACT=true\nGITHUB_REF=refs/heads/main", "{}", hub(func(c *Context) { c.System, c.RunURL, c.Branch = Act, "", "main" })},
		{"gitea", actions + "GITEA_ACTIONS=true", "{}", hub(func(c *Context) { c.System, c.Forge = Gitea, "gitea" })},
		{"matrix", actions + `ALOFT_MATRIX={"lr":1}`, "{}", hub(func(c *Context) { c.Matrix = "09703c87" })},
		{"gitlab branch", `GITLAB_CI=true
			CI_SERVER_URL=https://gitlab.com
			CI_API_V4_URL=https://gitlab.com/api/v4
			CI_PROJECT_PATH=acme/sub/model
			CI_PIPELINE_SOURCE=push
			CI_COMMIT_SHA=aaaa
			CI_COMMIT_BRANCH=main
			CI_JOB_NAME=fit: [a, b]
			CI_PIPELINE_ID=55
			CI_JOB_ID=991
			CI_JOB_URL=https://gitlab.com/j/991
			GITLAB_USER_LOGIN=ann`, "",
			Context{System: GitLab, Forge: "gitlab", ServerURL: "https://gitlab.com", APIURL: "https://gitlab.com/api/v4", Repository: "acme/sub/model", Event: "push",
				SHA: "aaaa", Branch: "main", HeadOwner: "acme", Job: "fit: [a, b]", Run: 55, Attempt: 991, RunURL: "https://gitlab.com/j/991", Actor: "ann"}},
		{"gitlab merged results of a fork", `GITLAB_CI=true
			CI_PROJECT_PATH=acme/model
			CI_PROJECT_ID=1
			CI_MERGE_REQUEST_IID=3
			CI_MERGE_REQUEST_ID=31337
			CI_MERGE_REQUEST_PROJECT_ID=1
			CI_MERGE_REQUEST_SOURCE_PROJECT_ID=2
			CI_MERGE_REQUEST_SOURCE_PROJECT_PATH=eve/model
			CI_MERGE_REQUEST_SOURCE_BRANCH_NAME=topic
			CI_MERGE_REQUEST_SOURCE_BRANCH_SHA=bbbb
			CI_COMMIT_SHA=merge
			CI_PIPELINE_ID=56`, "",
			Context{System: GitLab, Forge: "gitlab", Repository: "acme/model", SHA: "bbbb", Branch: "topic", HeadOwner: "eve", PullRequest: 3, Fork: true, Run: 56, Attempt: 1}},
		{"bitbucket", `BITBUCKET_BUILD_NUMBER=12
			BITBUCKET_REPO_FULL_NAME=acme/model
			BITBUCKET_COMMIT=aaaa
			BITBUCKET_BRANCH=topic
			BITBUCKET_PR_ID=9`, "",
			Context{System: Bitbucket, Forge: "bitbucket", ServerURL: "https://bitbucket.org", APIURL: "https://api.bitbucket.org/2.0", Repository: "acme/model", Event: "pull_request",
				SHA: "aaaa", Branch: "topic", HeadOwner: "acme", PullRequest: 9, Run: 12, Attempt: 1, RunURL: "https://bitbucket.org/acme/model/pipelines/results/12"}},
		{"buildkite", `BUILDKITE=true
			BUILDKITE_REPO=git@github.com:acme/model.git
			BUILDKITE_PULL_REQUEST=7
			BUILDKITE_PULL_REQUEST_REPO=https://github.com/eve/model.git
			BUILDKITE_COMMIT=HEAD
			BUILDKITE_BRANCH=topic
			BUILDKITE_PIPELINE_SLUG=train
			BUILDKITE_STEP_KEY=fit
			BUILDKITE_RETRY_COUNT=1
			BUILDKITE_BUILD_NUMBER=4
			BUILDKITE_BUILD_URL=https://buildkite.com/b/4`, "",
			Context{System: Buildkite, Forge: "github", ServerURL: "https://github.com", APIURL: "https://api.github.com", Repository: "acme/model", Branch: "topic", HeadOwner: "eve",
				PullRequest: 7, Fork: true, Workflow: "train", Job: "fit", Run: 4, Attempt: 2, RunURL: "https://buildkite.com/b/4"}},
		{"buildkite, no pull request", "BUILDKITE=true\nBUILDKITE_PULL_REQUEST=false\nBUILDKITE_COMMIT=aaaa", "", Context{System: Buildkite, SHA: "aaaa", Attempt: 1}},
		{"circle", `CIRCLECI=true
			CIRCLE_SHA1=aaaa
			CIRCLE_BRANCH=topic
			CIRCLE_JOB=fit
			CIRCLE_REPOSITORY_URL=git@bitbucket.org:acme/model.git
			CIRCLE_PROJECT_USERNAME=acme
			CIRCLE_PROJECT_REPONAME=model
			CIRCLE_PULL_REQUEST=https://bitbucket.org/acme/model/pull-requests/6
			CIRCLE_BUILD_NUM=77
			CIRCLE_BUILD_URL=https://circleci.com/77`, "",
			Context{System: CircleCI, Forge: "bitbucket", ServerURL: "https://bitbucket.org", APIURL: "https://api.bitbucket.org/2.0", Repository: "acme/model", SHA: "aaaa", Branch: "topic",
				HeadOwner: "acme", PullRequest: 6, Workflow: "model", Job: "fit", Run: 77, Attempt: 1, RunURL: "https://circleci.com/77"}},
		{"azure", `TF_BUILD=True
			BUILD_REASON=PullRequest
			BUILD_SOURCEVERSION=merge
			SYSTEM_PULLREQUEST_SOURCECOMMITID=bbbb
			SYSTEM_PULLREQUEST_SOURCEBRANCH=refs/heads/topic
			SYSTEM_PULLREQUEST_PULLREQUESTNUMBER=7
			SYSTEM_PULLREQUEST_PULLREQUESTID=31337
			SYSTEM_PULLREQUEST_ISFORK=True
			BUILD_REPOSITORY_PROVIDER=GitHub
			BUILD_REPOSITORY_NAME=acme/model
			BUILD_REPOSITORY_URI=https://github.com/acme/model
			BUILD_BUILDID=5
			SYSTEM_COLLECTIONURI=https://dev.azure.com/acme/
			SYSTEM_TEAMPROJECT=A B`, "",
			Context{System: Azure, Forge: "github", ServerURL: "https://github.com", APIURL: "https://api.github.com", Repository: "acme/model", Event: "PullRequest", SHA: "bbbb", Branch: "topic",
				HeadOwner: "acme", PullRequest: 7, Fork: true, Run: 5, Attempt: 1, RunURL: "https://dev.azure.com/acme/A%20B/_build/results?buildId=5"}},
		{"jenkins", `JENKINS_URL=https://jenkins.example/
			BUILD_URL=https://jenkins.example/job/model/3/
			BUILD_NUMBER=3
			JOB_NAME=acme/model/PR-7
			BRANCH_NAME=PR-7
			CHANGE_ID=7
			CHANGE_BRANCH=topic
			GIT_URL=https://user:secret@gitlab.example:8443/acme/model.git
			GIT_COMMIT=aaaa`, "",
			Context{System: Jenkins, ServerURL: "https://gitlab.example:8443", Repository: "acme/model", SHA: "aaaa", Branch: "topic", HeadOwner: "acme", PullRequest: 7, Job: "acme/model", Run: 3,
				Attempt: 1, RunURL: "https://jenkins.example/job/model/3/"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := Detect(parse(tc.env), func(path string) ([]byte, error) {
				if path != "/event.json" || tc.event == "" {
					return nil, errors.New("no such file")
				}
				return []byte(tc.event), nil
			})
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		c    Context
		want string
	}{{Context{}, "default"}, {Context{Workflow: "w", Job: "j"}, "w/j"}, {Context{Job: "j", Matrix: "1"}, "j/1"}} {
		if got := tc.c.Key(); got != tc.want {
			t.Errorf("Key(%+v) = %q, want %q", tc.c, got, tc.want)
		}
	}
}

func TestRemote(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ remote, host, repo string }{
		{"git@github.com:acme/model.git", "github.com", "acme/model"},
		{"https://u:p@gitlab.com/a/b/c.git", "gitlab.com", "a/b/c"},
		{"ssh://git@host.example:2222/a/b", "host.example", "a/b"},
		{"https://host.example:8443/a/b/", "host.example:8443", "a/b"},
		{"/srv/git/x.git", "", ""}, {"", "", ""}, {"http://[", "", ""},
	} {
		if h, r := Remote(tc.remote); h != tc.host || r != tc.repo {
			t.Errorf("Remote(%q) = %q, %q", tc.remote, h, r)
		}
	}
}

// FuzzDetect feeds events that nobody would send.
func FuzzDetect(f *testing.F) {
	f.Add(`{"pull_request":{"number":7}}`)
	f.Add(`{"workflow_run":{"pull_requests":[{}]}}`)
	f.Add(`{"issue":{"number":-1,"pull_request":{}}}`)
	f.Fuzz(func(t *testing.T, event string) {
		c := Detect(parse(actions), func(string) ([]byte, error) { return []byte(event), nil })
		if c.System != GitHub || c.PullRequest < 0 || c.Run < 0 {
			t.Errorf("%+v", c)
		}
	})
}
