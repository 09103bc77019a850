package cienv

import (
	"os"
	"path/filepath"
	"testing"
)

// TestEvents reads payloads as GitHub sends them (testdata/trim.go says where they are from), with the environment that
// Actions sets for each. The commit is never one that was made for the run, but for a merge queue's, which is what the queue
// waits for.
func TestEvents(t *testing.T) {
	t.Parallel()
	const head = "ec26c3e57ca3a959ca5aad62de7213c562f8c821"
	for _, tc := range []struct {
		event, file, env        string
		sha, branch, owner      string
		pull                    int
		fork                    bool
		defaultBranch, workflow string
	}{
		{"push", "push", "GITHUB_REF=refs/heads/master", "aaaa", "master", "acme", 0, false, "master", "train"},
		{"push", "push_tag", "GITHUB_REF=refs/tags/simple-tag", "aaaa", "", "acme", 0, false, "master", "train"},
		{"pull_request", "pull_request", "GITHUB_REF=refs/pull/2/merge\nGITHUB_HEAD_REF=changes", head, "changes", "acme", 2, false, "master", "train"},
		{"pull_request", "pull_request_fork", "GITHUB_REF=refs/pull/2/merge\nGITHUB_HEAD_REF=changes", head, "changes", "eve", 2, true, "master", "train"},
		{"pull_request_target", "pull_request_fork", "GITHUB_REF=refs/heads/master\nGITHUB_HEAD_REF=changes", head, "changes", "eve", 2, true, "master", "train"},
		{"issue_comment", "issue_comment_pull", "GITHUB_REF=refs/heads/master", "", "", "", 2, false, "master", "train"},
		{"issue_comment", "issue_comment", "GITHUB_REF=refs/heads/master", "aaaa", "master", "acme", 0, false, "master", "train"},
		{"workflow_run", "workflow_run", "GITHUB_REF=refs/heads/master", head, "changes", "acme", 2, false, "master", ""},
		{"workflow_run", "workflow_run_fork", "GITHUB_REF=refs/heads/master", "5779607b49aab1200488439f02372c57b4f75444", "main", "octo-org", 0, true, "main", ""},
		{"merge_group", "merge_group", "GITHUB_REF=refs/heads/gh-readonly-queue/main/pr-104-929f8209d40f77f4abc622a499c93a83babdbe64", "aaaa",
			"gh-readonly-queue/main/pr-104-929f8209d40f77f4abc622a499c93a83babdbe64", "acme", 104, false, "main", "train"},
		{"workflow_dispatch", "workflow_dispatch", "GITHUB_REF=refs/heads/main", "aaaa", "main", "acme", 0, false, "main", "train"},
		{"schedule", "schedule", "GITHUB_REF=refs/heads/master", "aaaa", "master", "acme", 0, false, "master", "train"},
		{"release", "release", "GITHUB_REF=refs/tags/v1", "aaaa", "", "acme", 0, false, "master", "train"},
	} {
		t.Run(tc.event+" "+tc.file, func(t *testing.T) {
			t.Parallel()
			c := Detect(parse(actions+"GITHUB_EVENT_NAME="+tc.event+"\n"+tc.env), func(string) ([]byte, error) {
				return os.ReadFile(filepath.Join("testdata", "events", tc.file+".json"))
			})
			if c.SHA != tc.sha || c.Branch != tc.branch || c.HeadOwner != tc.owner || c.PullRequest != tc.pull || c.Fork != tc.fork || c.DefaultBranch != tc.defaultBranch ||
				tc.workflow != "" && c.Workflow != tc.workflow {
				t.Errorf("%+v", c)
			}
		})
	}
}

// TestEventsElsewhere does the same for GitLab's kinds of pipelines and Bitbucket's.
func TestEventsElsewhere(t *testing.T) {
	t.Parallel()
	const (
		lab = "GITLAB_CI=true\nCI_PROJECT_PATH=acme/model\nCI_PROJECT_ID=1\nCI_DEFAULT_BRANCH=main\nCI_PIPELINE_ID=5\n"
		mr  = lab + "CI_MERGE_REQUEST_IID=3\nCI_MERGE_REQUEST_ID=31337\nCI_MERGE_REQUEST_PROJECT_ID=1\nCI_MERGE_REQUEST_SOURCE_PROJECT_ID=1\nCI_MERGE_REQUEST_SOURCE_BRANCH_NAME=topic\n"
		bit = "BITBUCKET_BUILD_NUMBER=12\nBITBUCKET_REPO_FULL_NAME=acme/model\nBITBUCKET_COMMIT=aaaa\n"
	)
	for _, tc := range []struct {
		name, env          string
		event, sha, branch string
		pull               int
		fork               bool
	}{
		{"gitlab branch", lab + "CI_PIPELINE_SOURCE=push\nCI_COMMIT_SHA=aaaa\nCI_COMMIT_BRANCH=topic\nCI_COMMIT_REF_NAME=topic", "push", "aaaa", "topic", 0, false},
		{"gitlab tag", lab + "CI_PIPELINE_SOURCE=push\nCI_COMMIT_SHA=aaaa\nCI_COMMIT_TAG=v1\nCI_COMMIT_REF_NAME=v1", "push", "aaaa", "v1", 0, false},
		{"gitlab schedule", lab + "CI_PIPELINE_SOURCE=schedule\nCI_COMMIT_SHA=aaaa\nCI_COMMIT_BRANCH=main", "schedule", "aaaa", "main", 0, false},
		{"gitlab merge request", mr + "CI_PIPELINE_SOURCE=merge_request_event\nCI_COMMIT_SHA=bbbb\nCI_COMMIT_REF_NAME=topic\nCI_MERGE_REQUEST_EVENT_TYPE=detached", "merge_request_event", "bbbb", "topic", 3, false},
		{"gitlab merged results", mr + "CI_PIPELINE_SOURCE=merge_request_event\nCI_COMMIT_SHA=made\nCI_MERGE_REQUEST_SOURCE_BRANCH_SHA=bbbb\nCI_MERGE_REQUEST_EVENT_TYPE=merged_result", "merge_request_event", "bbbb", "topic", 3, false},
		{"gitlab merge train", mr + "CI_PIPELINE_SOURCE=merge_request_event\nCI_COMMIT_SHA=made\nCI_MERGE_REQUEST_SOURCE_BRANCH_SHA=bbbb\nCI_MERGE_REQUEST_EVENT_TYPE=merge_train", "merge_request_event", "bbbb", "topic", 3, false},
		{"gitlab merge request of a fork", mr + "CI_MERGE_REQUEST_SOURCE_PROJECT_ID=2\nCI_PIPELINE_SOURCE=merge_request_event\nCI_COMMIT_SHA=bbbb", "merge_request_event", "bbbb", "topic", 3, true},
		{"bitbucket branch", bit + "BITBUCKET_BRANCH=topic", "push", "aaaa", "topic", 0, false},
		{"bitbucket pull request", bit + "BITBUCKET_BRANCH=topic\nBITBUCKET_PR_ID=9\nBITBUCKET_PR_DESTINATION_BRANCH=main", "pull_request", "aaaa", "topic", 9, false},
		{"bitbucket tag", bit + "BITBUCKET_TAG=v1", "push", "aaaa", "", 0, false},
		{"bitbucket custom", bit + "BITBUCKET_BRANCH=main\nBITBUCKET_PIPELINE_UUID={x}", "push", "aaaa", "main", 0, false},
		{"gitea pull request", "GITEA_ACTIONS=true\nGITHUB_ACTIONS=true\nGITHUB_EVENT_NAME=pull_request\nGITHUB_SHA=aaaa\nGITHUB_REF=refs/pull/4/head\nGITHUB_HEAD_REF=topic", "pull_request", "aaaa", "topic", 4, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := Detect(parse(tc.env), os.ReadFile)
			if c.Event != tc.event || c.SHA != tc.sha || c.Branch != tc.branch || c.PullRequest != tc.pull || c.Fork != tc.fork {
				t.Errorf("%+v", c)
			}
		})
	}
}
