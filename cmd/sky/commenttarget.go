package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"aloft/controller/forge"
	"aloft/controller/forge/cienv"
)

var commitHash = regexp.MustCompile(`^[0-9a-fA-F]{7,64}$`)

// commentTarget finds the place; nil = there is no pull request, and that is no mistake.
func (a *app) commentTarget(ctx context.Context, c forge.Client, ci cienv.Context, o *commentOptions) (*forge.Target, error) {
	what, which, _ := strings.Cut(o.target, "/")
	if o.sha != "" {
		what, which = "commit", o.sha
	}
	if what == "commit" && (which == "" || which == "HEAD") {
		which = ci.SHA
		if out, err := exec.CommandContext(ctx, "git", "rev-parse", "HEAD").Output(); which == "" && ci.PullRequest == 0 && err == nil {
			which = strings.TrimSpace(string(out))
		}
	}
	if what == "commit" && which == "" && ci.PullRequest > 0 { // the event names the pull request, not its head
		p, err := c.PullRequest(ctx, ci.PullRequest)
		if err != nil {
			return nil, notPosted(err, postHint(err, ci, c.Kind(), forge.Target{Place: forge.Pull, Number: ci.PullRequest}, o.access))
		}
		which = p.HeadSHA
	}
	n, err := strconv.Atoi(which)
	switch {
	case what == "commit" && commitHash.MatchString(which):
		return &forge.Target{Place: forge.Commit, SHA: which}, nil
	case what == "issue" && err == nil && n > 0:
		return &forge.Target{Place: forge.Issue, Number: n}, nil
	case what == "pr" && err == nil && n > 0:
		return a.checkedPull(ctx, c, ci, n, o.access)
	case what != "" && (what != "pr" || which != ""):
		return nil, usageError("--target %q: allowed: pr, pr/N, commit, commit/SHA, issue/N", o.target)
	}
	if ci.PullRequest > 0 {
		return a.checkedPull(ctx, c, ci, ci.PullRequest, o.access)
	}
	if ci.SHA != "" && ci.Event != "schedule" {
		list, err := pullsOf(ctx, c, ci)
		if err != nil {
			return nil, notPosted(err, postHint(err, ci, c.Kind(), forge.Target{Place: forge.Commit, SHA: ci.SHA}, o.access))
		}
		for _, p := range list {
			if p.Branch == ci.Branch {
				return &forge.Target{Place: forge.Pull, Number: p.Number}, nil
			}
		}
		if len(list) > 0 {
			return &forge.Target{Place: forge.Pull, Number: list[0].Number}, nil
		}
	}
	switch {
	case o.ifNoPR == "fail" || what == "pr":
		return nil, notPosted(fmt.Errorf("there is no pull request of the commit %q", ci.SHA), "give --target pr/N, or --if-no-pr summary")
	case o.ifNoPR == "commit" && c.Kind() == forge.Gitea:
		a.note("%v: the report goes into the job summary.", forge.ErrNoCommitComments)
	case o.ifNoPR == "commit" && commitHash.MatchString(ci.SHA):
		return &forge.Target{Place: forge.Commit, SHA: ci.SHA}, nil
	}
	return nil, nil
}

// pullPatience is how long a pull request that was opened together with a push is waited for: GitHub ties it to the commit
// some seconds later.
const pullPatience = 10 * time.Second

// pullsOf finds the pull requests of the run's commit. After a push to another branch than the default one it looks again
// for a while.
func pullsOf(ctx context.Context, c forge.Client, ci cienv.Context) ([]forge.PullRequest, error) {
	patience := time.Duration(0)
	if c.Kind() == forge.GitHub && ci.Event == "push" && ci.DefaultBranch != "" && ci.Branch != "" && ci.Branch != ci.DefaultBranch {
		patience = pullPatience
	}
	return forge.FindPulls(ctx, c, ci.SHA, ci.HeadOwner, ci.Branch, patience)
}

// checkedPull is a pull request. After a run of a fork the number may come from what the fork wrote, so its head has to be
// the commit that the forge says was run.
func (a *app) checkedPull(ctx context.Context, c forge.Client, ci cienv.Context, n int, x forgeAccess) (*forge.Target, error) {
	if ci.Event == "workflow_run" {
		p, err := c.PullRequest(ctx, n)
		if err != nil {
			return nil, notPosted(err, postHint(err, ci, c.Kind(), forge.Target{Place: forge.Pull, Number: n}, x))
		}
		if p.HeadSHA != ci.SHA {
			return nil, notPosted(fmt.Errorf("the head of pull request %d is %s, the run was of %s", n, p.HeadSHA, ci.SHA),
				"the report is of another pull request, or of a commit that was pushed over")
		}
	}
	return &forge.Target{Place: forge.Pull, Number: n}, nil
}
