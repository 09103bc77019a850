package main

import (
	"errors"
	"fmt"

	"aloft/controller/forge"
	"aloft/controller/forge/cienv"
)

// forgeAccess is how a forge is reached, for what is told when it refuses.
type forgeAccess struct {
	source string // of the token, as $REPO_TOKEN
	host   string
	repo   string
}

// refused says what helps when a forge refused a token: where that is from, which host it was shown to, and what it needs.
func (x forgeAccess) refused(err error, what, needs string) string {
	var e *forge.Error
	if !errors.As(err, &e) {
		return ""
	}
	switch e.Reason {
	case forge.RateLimited:
		return fmt.Sprintf("%s has told the token (of %s) to wait for longer than --api-timeout lets it: try again later, or give more time", x.host, x.source)
	case forge.Unauthorized:
		return fmt.Sprintf("the token (of %s) is none of %s, or has run out; it needs %s", x.source, x.host, needs)
	case forge.Forbidden:
		return fmt.Sprintf("the token (of %s) may not do this on %s: it needs %s", x.source, x.host, needs)
	case forge.NotFound:
		return fmt.Sprintf("%s has no %s in %s, or the token (of %s) may not see it: it needs %s", x.host, what, x.repo, x.source, needs)
	}
	return ""
}

// postHint says what a forge wants for a comment that it refused.
func postHint(err error, ci cienv.Context, k forge.Kind, t forge.Target, x forgeAccess) string {
	var e *forge.Error
	switch {
	case errors.Is(err, forge.ErrNoCommitComments):
		return "comment on the pull request with --pr N, or set the commit's status with `sky ci check`"
	case !errors.As(err, &e):
		return ""
	case e.Reason == forge.Forbidden && ci.Fork && ci.Event != "workflow_run":
		return "this run is of a fork, so its token may only read: keep the report as an artifact here, and post it from a\n" +
			"  workflow that runs on workflow_run, where `sky comment create` finds the pull request by itself (docs/ci.md)"
	}
	hint := x.refused(err, t.String(), commentNeeds(k, t.Place))
	if hint != "" && k == forge.GitLab && e.Reason != forge.NotFound {
		hint += "\n  A job's own token cannot comment: put a project access token into $REPO_TOKEN"
	}
	return hint
}

// commentNeeds is what a token needs to comment.
func commentNeeds(k forge.Kind, p forge.Place) string {
	switch k {
	case forge.GitHub:
		return "`permissions: " + map[forge.Place]string{forge.Pull: "pull-requests", forge.Issue: "issues", forge.Commit: "contents"}[p] + ": write`"
	case forge.GitLab:
		return "the scope api and the role Reporter"
	case forge.Bitbucket:
		return "the scope " + map[forge.Place]string{forge.Pull: "pullrequest", forge.Issue: "issue", forge.Commit: "repository"}[p] + ":write"
	}
	return "the scope write:issue"
}

// checkHint says what a forge wants for a check or status that it refused.
func checkHint(err error, k forge.Kind, sha, as string, x forgeAccess) string {
	needs := map[forge.Kind]string{forge.GitHub: "`permissions: statuses: write`", forge.GitLab: "the scope api and the role Developer",
		forge.Bitbucket: "the scope repository:write", forge.Gitea: "the scope write:repository"}[k]
	if k == forge.GitHub && as == "check" {
		needs = "`permissions: checks: write`, and to be an app's, as that of Actions is"
	}
	return x.refused(err, "commit "+sha, needs)
}
