package forge

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"path"
	"strconv"
)

// gitea is the API of Gitea and Forgejo, version 1. It looks like GitHub's and differs in what contract.Differences lists.
type gitea struct{ *rest }

// ErrNoCommitComments is why Gitea and Forgejo refuse a comment on a commit: they have none.
var ErrNoCommitComments = errors.New("commits have no comments on Gitea and Forgejo")

func (g *gitea) Kind() Kind { return Gitea }

func (g *gitea) at(path string) string { return g.base.String() + "/repos/" + g.repo + path }

// Identity asks who the token is. The one of a job may not ask.
func (g *gitea) Identity(ctx context.Context) (string, error) {
	var u struct {
		Login string `json:"login"`
	}
	_, err := g.call(ctx, "ask who the token belongs to", http.MethodGet, g.base.String()+"/user", nil, &u)
	var e *Error
	if errors.As(err, &e) && (e.Reason == Forbidden || e.Reason == NotFound) {
		return "", nil
	}
	return u.Login, err
}

// list is where the comments of an issue or pull request are; they share their numbers.
func (g *gitea) list(t Target, doing string) (string, error) {
	if t.Place == Commit {
		return "", &Error{Doing: doing, Reason: Invalid, cause: ErrNoCommitComments}
	}
	return g.at("/issues/" + strconv.Itoa(t.Number) + "/comments"), nil
}

func (g *gitea) one(id int64) string { return g.at("/issues/comments/" + strconv.FormatInt(id, 10)) }

// Comments reads the list, which comes whole; were it in pages, a Link header would say where the next one is.
func (g *gitea) Comments(ctx context.Context, t Target, w Which) ([]Comment, error) {
	const doing = "list comments"
	address, err := g.list(t, doing)
	if err != nil {
		return nil, err
	}
	return linkedComments(ctx, g.rest, doing, address+"?limit=50"+since(w), w)
}

func (g *gitea) Create(ctx context.Context, t Target, body string) (Comment, error) {
	const doing = "post a comment"
	address, err := g.list(t, doing)
	if err != nil {
		return Comment{}, err
	}
	var c ghComment
	_, err = g.call(ctx, doing, http.MethodPost, address, map[string]string{"body": body}, &c)
	return c.comment(), err
}

func (g *gitea) Update(ctx context.Context, _ Target, id int64, body string) (Comment, error) {
	var c ghComment
	_, err := g.call(ctx, "update a comment", http.MethodPatch, g.one(id), map[string]string{"body": body}, &c)
	return c.comment(), err
}

func (g *gitea) Delete(ctx context.Context, _ Target, id int64) error {
	_, err := g.call(ctx, "delete a comment", http.MethodDelete, g.one(id), nil, nil)
	return err
}

func (g *gitea) PullRequest(ctx context.Context, number int) (PullRequest, error) {
	var p ghPull
	_, err := g.call(ctx, "look at the pull request", http.MethodGet, g.at("/pulls/"+strconv.Itoa(number)), nil, &p)
	return p.pull(), err
}

// PullRequestsOf looks through the open pull requests, those touched last first: there is no way to ask by commit.
func (g *gitea) PullRequestsOf(ctx context.Context, sha, _, _ string) ([]PullRequest, error) {
	var out []PullRequest
	err := linked(ctx, g.rest, "look for the pull request of a commit", g.at("/pulls?state=open&sort=recentupdate&limit=50"), func(page json.RawMessage) (bool, error) {
		var list []ghPull
		if err := json.Unmarshal(page, &list); err != nil {
			return false, err
		}
		for _, p := range list {
			if p.State == "open" && p.Head.SHA == sha {
				out = append(out, p.pull())
			}
		}
		return len(out) == 0, nil
	})
	return out, err
}

// SetStatus posts a status; of one context the last counts. Gitea takes any text as a state and as a description: what is
// sent keeps to GitHub's.
func (g *gitea) SetStatus(ctx context.Context, s Status) (Posted, error) {
	in := ghStatus(s)
	var out struct {
		ID  int64  `json:"id"`
		URL string `json:"url"`
	}
	err := twice(func() error {
		_, err := g.call(ctx, "set the commit's status", http.MethodPost, g.at("/statuses/"+url.PathEscape(s.SHA)), in, &out)
		return err
	})
	return Posted{Kind: "status", ID: strconv.FormatInt(out.ID, 10), URL: out.URL, Action: "created"}, err
}

// Upload attaches a file to the issue or pull request.
func (g *gitea) Upload(ctx context.Context, t Target, name string, data []byte) (string, error) {
	if t.Place == Commit {
		return "", &Error{Doing: "upload a file", Reason: Invalid, cause: ErrNoCommitComments}
	}
	if t.Number <= 0 {
		return "", &Error{Doing: "upload a file", Reason: Invalid, Detail: "Gitea keeps files with a pull request or an issue, and none is named"}
	}
	var out struct {
		URL string `json:"browser_download_url"`
	}
	err := g.post(ctx, g.at("/issues/"+strconv.Itoa(t.Number)+"/assets"), "attachment", path.Base(name), data, &out)
	return out.URL, err
}
