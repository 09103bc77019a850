package cienv

import (
	"net/url"
	"strconv"
	"strings"
)

func gitlab(e env) Context {
	c := Context{
		System: GitLab, Forge: "gitlab",
		ServerURL: strings.TrimRight(e.get("CI_SERVER_URL"), "/"), APIURL: strings.TrimRight(e.get("CI_API_V4_URL"), "/"),
		Repository: e.get("CI_PROJECT_PATH"), Event: e.get("CI_PIPELINE_SOURCE"),
		// In pipelines of merged results CI_COMMIT_SHA is a commit that nobody wrote.
		SHA:           e.first("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "CI_COMMIT_SHA"),
		Branch:        e.first("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_BRANCH", "CI_COMMIT_REF_NAME"),
		DefaultBranch: e.get("CI_DEFAULT_BRANCH"),
		// CI_MERGE_REQUEST_IID is the number in the project, CI_MERGE_REQUEST_ID that of the whole installation.
		PullRequest: pull(e.get("CI_MERGE_REQUEST_IID")),
		Workflow:    e.get("CI_PIPELINE_NAME"), Job: e.get("CI_JOB_NAME"), Run: e.number("CI_PIPELINE_ID"), Attempt: 1,
		RunURL: e.first("CI_JOB_URL", "CI_PIPELINE_URL"), Actor: e.get("GITLAB_USER_LOGIN"),
	}
	if source := e.get("CI_MERGE_REQUEST_SOURCE_PROJECT_ID"); source != "" {
		c.Fork = source != e.first("CI_MERGE_REQUEST_PROJECT_ID", "CI_PROJECT_ID")
	}
	c.HeadOwner = owner(e.first("CI_MERGE_REQUEST_SOURCE_PROJECT_PATH", "CI_PROJECT_PATH"))
	// The same job, tried again, has a later id: of two, the later is the newer.
	if id := e.number("CI_JOB_ID"); id > 0 {
		c.Attempt = id
	}
	return c
}

func bitbucket(e env) Context {
	c := Context{
		System: Bitbucket, Forge: "bitbucket", ServerURL: "https://bitbucket.org", APIURL: "https://api.bitbucket.org/2.0",
		Repository: e.get("BITBUCKET_REPO_FULL_NAME"), SHA: e.get("BITBUCKET_COMMIT"), Branch: e.get("BITBUCKET_BRANCH"),
		PullRequest: pull(e.get("BITBUCKET_PR_ID")), Run: e.number("BITBUCKET_BUILD_NUMBER"), Attempt: max(e.number("BITBUCKET_STEP_RUN_NUMBER"), 1),
		Job: e.first("BITBUCKET_STEP_NAME", "BITBUCKET_PARALLEL_STEP"), Actor: e.get("BITBUCKET_STEP_TRIGGERER_UUID"),
		Event: "push",
	}
	if c.PullRequest > 0 {
		c.Event = "pull_request"
	}
	if c.Repository == "" && e.get("BITBUCKET_WORKSPACE") != "" && e.get("BITBUCKET_REPO_SLUG") != "" {
		c.Repository = e.get("BITBUCKET_WORKSPACE") + "/" + e.get("BITBUCKET_REPO_SLUG")
	}
	if c.Repository != "" {
		c.RunURL = "https://bitbucket.org/" + c.Repository + "/pipelines/results/" + e.get("BITBUCKET_BUILD_NUMBER")
	}
	c.HeadOwner = owner(c.Repository)
	return c
}

func buildkite(e env) Context {
	c := Context{
		System: Buildkite, Event: e.get("BUILDKITE_SOURCE"), SHA: e.get("BUILDKITE_COMMIT"), Branch: e.get("BUILDKITE_BRANCH"),
		PullRequest: pull(e.get("BUILDKITE_PULL_REQUEST")), Workflow: e.get("BUILDKITE_PIPELINE_SLUG"),
		Job: e.first("BUILDKITE_STEP_KEY", "BUILDKITE_LABEL"), Run: e.number("BUILDKITE_BUILD_NUMBER"), Attempt: e.number("BUILDKITE_RETRY_COUNT") + 1,
		RunURL: e.get("BUILDKITE_BUILD_URL"), Actor: e.get("BUILDKITE_BUILD_CREATOR"),
	}
	if c.SHA == "HEAD" { // nobody has looked what it is yet
		c.SHA = ""
	}
	c.fromRemote(e.get("BUILDKITE_REPO"))
	if head := e.get("BUILDKITE_PULL_REQUEST_REPO"); c.PullRequest > 0 && head != "" {
		host, repo := Remote(head)
		here, _ := Remote(e.get("BUILDKITE_REPO"))
		c.Fork = host != here || !strings.EqualFold(repo, c.Repository)
		c.HeadOwner = owner(repo)
	}
	if i := e.get("BUILDKITE_PARALLEL_JOB"); i != "" {
		c.Matrix = i
	}
	return c
}

func circle(e env) Context {
	c := Context{
		System: CircleCI, SHA: e.get("CIRCLE_SHA1"), Branch: e.get("CIRCLE_BRANCH"), Job: e.get("CIRCLE_JOB"),
		Workflow: e.get("CIRCLE_PROJECT_REPONAME"), Run: e.number("CIRCLE_BUILD_NUM"), Attempt: 1, RunURL: e.get("CIRCLE_BUILD_URL"),
		Actor: e.get("CIRCLE_USERNAME"),
	}
	c.fromRemote(e.get("CIRCLE_REPOSITORY_URL"))
	if c.Repository == "" && e.get("CIRCLE_PROJECT_USERNAME") != "" {
		c.Repository = e.get("CIRCLE_PROJECT_USERNAME") + "/" + e.get("CIRCLE_PROJECT_REPONAME")
	}
	c.PullRequest = pull(e.get("CIRCLE_PR_NUMBER")) // forks only
	c.Fork = e.get("CIRCLE_PR_NUMBER") != ""
	c.HeadOwner = e.first("CIRCLE_PR_USERNAME", "CIRCLE_PROJECT_USERNAME")
	if p := e.get("CIRCLE_PULL_REQUEST"); c.PullRequest == 0 && p != "" {
		c.PullRequest = pull(p[strings.LastIndex(p, "/")+1:])
	}
	if e.number("CIRCLE_NODE_TOTAL") > 1 {
		c.Matrix = e.get("CIRCLE_NODE_INDEX")
	}
	return c
}

func azure(e env) Context {
	c := Context{
		System: Azure, Event: e.get("BUILD_REASON"), SHA: e.first("SYSTEM_PULLREQUEST_SOURCECOMMITID", "BUILD_SOURCEVERSION"),
		Branch:      strings.TrimPrefix(e.first("SYSTEM_PULLREQUEST_SOURCEBRANCH", "BUILD_SOURCEBRANCH"), "refs/heads/"),
		PullRequest: pull(e.first("SYSTEM_PULLREQUEST_PULLREQUESTNUMBER", "SYSTEM_PULLREQUEST_PULLREQUESTID")),
		Workflow:    e.get("BUILD_DEFINITIONNAME"), Job: e.get("SYSTEM_JOBNAME"), Run: e.number("BUILD_BUILDID"), Attempt: max(e.number("SYSTEM_JOBATTEMPT"), 1),
		Fork: e.truthy("SYSTEM_PULLREQUEST_ISFORK"), Actor: e.get("BUILD_REQUESTEDFOR"),
	}
	if provider := e.get("BUILD_REPOSITORY_PROVIDER"); provider == "GitHub" || provider == "GitHubEnterprise" {
		c.Repository = e.get("BUILD_REPOSITORY_NAME")
		c.fromRemote(e.get("BUILD_REPOSITORY_URI"))
	}
	if base, project := e.get("SYSTEM_COLLECTIONURI"), e.get("SYSTEM_TEAMPROJECT"); base != "" && project != "" {
		c.RunURL = strings.TrimRight(base, "/") + "/" + url.PathEscape(project) + "/_build/results?buildId=" + strconv.FormatInt(c.Run, 10)
	}
	return c
}

func jenkins(e env) Context {
	c := Context{
		System: Jenkins, SHA: e.first("ghprbActualCommit", "GIT_COMMIT"), Branch: e.first("CHANGE_BRANCH", "BRANCH_NAME", "GIT_BRANCH"),
		PullRequest: pull(e.first("CHANGE_ID", "ghprbPullId")), Job: e.get("JOB_NAME"), Run: e.number("BUILD_NUMBER"), Attempt: 1,
		RunURL: e.get("BUILD_URL"), Actor: e.get("CHANGE_AUTHOR"), HeadOwner: owner(e.get("CHANGE_FORK")), Fork: e.get("CHANGE_FORK") != "",
	}
	// A job of a multibranch pipeline is named after the branch, which is another one for each pull request.
	if i := strings.LastIndex(c.Job, "/"); i > 0 && (e.get("BRANCH_NAME") != "") {
		c.Job = c.Job[:i]
	}
	c.fromRemote(e.first("GIT_URL", "GIT_URL_1"))
	return c
}

// fromRemote fills repository, forge and addresses from the URL of a git remote.
func (c *Context) fromRemote(remote string) {
	host, repo := Remote(remote)
	if repo == "" {
		return
	}
	c.Repository, c.HeadOwner, c.ServerURL = repo, owner(repo), "https://"+host
	c.Forge, c.APIURL = ForgeOf(host)
}

// ForgeOf names the forge of a well-known host and where its API is; "" for any other host.
func ForgeOf(host string) (forge, api string) {
	switch strings.ToLower(host) {
	case "github.com":
		return "github", "https://api.github.com"
	case "gitlab.com":
		return "gitlab", "https://gitlab.com/api/v4"
	case "bitbucket.org":
		return "bitbucket", "https://api.bitbucket.org/2.0"
	}
	return "", ""
}

// Remote takes a git remote apart: the host, and the repository's full name. Credentials in it are dropped.
func Remote(remote string) (host, repo string) {
	remote = strings.TrimSpace(remote)
	if !strings.Contains(remote, "://") {
		// git@host:owner/name.git
		h, path, ok := strings.Cut(remote, ":")
		if !ok || strings.Contains(h, "/") {
			return "", ""
		}
		return h[strings.LastIndex(h, "@")+1:], trimRepo(path)
	}
	u, err := url.Parse(remote)
	if err != nil || u.Hostname() == "" {
		return "", ""
	}
	if u.Scheme == "http" || u.Scheme == "https" {
		return u.Host, trimRepo(u.Path)
	}
	return u.Hostname(), trimRepo(u.Path)
}

func trimRepo(p string) string { return strings.TrimSuffix(strings.Trim(p, "/"), ".git") }
