package forge

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
)

// PullOf looks through the open pull requests, those touched last first: there is no way to ask by branch alone.
func (g *gitea) PullOf(ctx context.Context, branch string) (Opened, bool, error) {
	var out Opened
	found := false
	err := linked(ctx, g.rest, "look for the pull request of a branch", g.at("/pulls?state=open&sort=recentupdate&limit=50"), func(page json.RawMessage) (bool, error) {
		var list []struct {
			ghOpened
			Head struct {
				Ref  string `json:"ref"`
				SHA  string `json:"sha"`
				Repo *struct {
					FullName string `json:"full_name"`
				} `json:"repo"`
			} `json:"head"`
		}
		if err := json.Unmarshal(page, &list); err != nil {
			return false, err
		}
		for _, p := range list {
			ours := p.Head.Repo == nil || p.Head.Repo.FullName == "" || p.Head.Repo.FullName == g.repo
			if p.State == "open" && p.Head.Ref == branch && ours && !found {
				out, found = Opened{PullRequest: PullRequest{Number: p.Number, HeadSHA: p.Head.SHA, Branch: p.Head.Ref, Open: true}, URL: p.HTMLURL}, true
			}
		}
		return !found, nil
	})
	return out, found, err
}

// OpenPull is PullMaker's. One that is there already is refused with 409.
func (g *gitea) OpenPull(ctx context.Context, p Proposal) (Opened, error) {
	var out ghOpened
	_, err := g.call(ctx, "open a pull request", http.MethodPost, g.at("/pulls"), map[string]string{"head": p.Head, "base": p.Base, "title": p.Title, "body": p.Body}, &out)
	return out.opened(), err
}

// MergePull has it merged when its checks have passed: 201 says that it waits, 200 that it was merged, 405 that Gitea still
// finds out whether it can be.
func (g *gitea) MergePull(ctx context.Context, p Opened, how MergeMethod) (bool, error) {
	in := map[string]any{"Do": string(how), "merge_when_checks_succeed": true, "delete_branch_after_merge": true}
	now := false
	err := mergeable(ctx, func() error {
		resp, err := g.call(ctx, "have the pull request merged", http.MethodPost, g.at("/pulls/"+strconv.Itoa(p.Number)+"/merge"), in, nil)
		now = err == nil && resp.StatusCode == http.StatusOK
		return err
	}, http.StatusMethodNotAllowed)
	return now, err
}
