package forge

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
)

// gitlab is GitLab's API, version 4.
type gitlab struct{ *rest }

type glAuthor struct {
	Username string `json:"username"`
}

type glNote struct {
	ID     int64    `json:"id"`
	Body   string   `json:"body"`
	System bool     `json:"system"`
	Author glAuthor `json:"author"`
	// Comments of commits have these instead.
	Note      string `json:"note"`
	CreatedAt string `json:"created_at"`
}

func (g *gitlab) Kind() Kind { return GitLab }

func (g *gitlab) at(path string) string {
	return g.base.String() + "/projects/" + url.PathEscape(g.repo) + path
}

func (g *gitlab) list(t Target) string {
	switch t.Place {
	case Commit:
		return g.at("/repository/commits/" + url.PathEscape(t.SHA) + "/comments")
	case Issue:
		return g.at("/issues/" + strconv.Itoa(t.Number) + "/notes")
	}
	return g.at("/merge_requests/" + strconv.Itoa(t.Number) + "/notes")
}

func (g *gitlab) one(t Target, id int64) string { return g.list(t) + "/" + strconv.FormatInt(id, 10) }

// errNoEdit is what GitLab cannot do.
var errNoEdit = errors.New("GitLab cannot change comments of commits")

// Identity asks who the token is.
func (g *gitlab) Identity(ctx context.Context) (string, error) {
	var u glAuthor
	_, err := g.call(ctx, "ask who the token belongs to", http.MethodGet, g.base.String()+"/user", nil, &u)
	var e *Error
	if errors.As(err, &e) && e.Reason == Forbidden {
		return "", nil
	}
	return u.Username, err
}

func (g *gitlab) comment(t Target, n glNote) Comment {
	c := Comment{ID: n.ID, Body: n.Body, Author: n.Author.Username}
	if t.Place == Commit {
		sum := sha256.Sum256([]byte(n.CreatedAt + "\x00" + n.Author.Username + "\x00" + n.Note))
		c.Body, c.ID = n.Note, int64(binary.BigEndian.Uint64(sum[:8])>>1)
		return c
	}
	c.URL = g.page(t) + "#note_" + strconv.FormatInt(n.ID, 10)
	return c
}

// page is where people see the target.
func (g *gitlab) page(t Target) string {
	server := *g.base
	if len(server.Path) >= len("/api/v4") {
		server.Path = server.Path[:len(server.Path)-len("/api/v4")]
	}
	kind := "merge_requests"
	if t.Place == Issue {
		kind = "issues"
	}
	return server.String() + "/" + g.repo + "/-/" + kind + "/" + strconv.Itoa(t.Number)
}

// Comments follows the pages by X-Next-Page, oldest first. Notes that GitLab itself wrote are left out.
func (g *gitlab) Comments(ctx context.Context, t Target, w Which) ([]Comment, error) {
	var out []Comment
	page := "1"
	for range maxPages {
		var sent raw
		resp, err := g.call(ctx, "list comments", http.MethodGet, g.list(t)+"?per_page=100&order_by=created_at&sort=asc&page="+url.QueryEscape(page), nil, &sent)
		if err != nil {
			return nil, err
		}
		var notes []glNote
		if !w.none(sent) {
			if err := json.Unmarshal(sent, &notes); err != nil {
				return nil, strange("list comments", resp)
			}
		}
		for _, n := range notes {
			if !n.System {
				out = append(out, g.comment(t, n))
			}
		}
		if page = resp.Header.Get("X-Next-Page"); page == "" {
			return out, nil
		}
	}
	return nil, &Error{Doing: "list comments", Reason: Unexpected, Detail: "there is no end of pages"}
}

func (g *gitlab) Create(ctx context.Context, t Target, body string) (Comment, error) {
	field := "body"
	if t.Place == Commit {
		field = "note"
	}
	var n glNote
	_, err := g.call(ctx, "post a comment", http.MethodPost, g.list(t), map[string]string{field: body}, &n)
	return g.comment(t, n), err
}

func (g *gitlab) Update(ctx context.Context, t Target, id int64, body string) (Comment, error) {
	if t.Place == Commit {
		return Comment{}, &Error{Doing: "update a comment", Reason: Invalid, cause: errNoEdit}
	}
	var n glNote
	_, err := g.call(ctx, "update a comment", http.MethodPut, g.one(t, id), map[string]string{"body": body}, &n)
	return g.comment(t, n), err
}

func (g *gitlab) Delete(ctx context.Context, t Target, id int64) error {
	if t.Place == Commit {
		return &Error{Doing: "delete a comment", Reason: Invalid, cause: errNoEdit}
	}
	_, err := g.call(ctx, "delete a comment", http.MethodDelete, g.one(t, id), nil, nil)
	return err
}

type glMerge struct {
	IID          int    `json:"iid"`
	State        string `json:"state"`
	SHA          string `json:"sha"`
	SourceBranch string `json:"source_branch"`
}

func (m glMerge) pull() PullRequest {
	return PullRequest{Number: m.IID, HeadSHA: m.SHA, Branch: m.SourceBranch, Open: m.State == "opened"}
}

func (g *gitlab) PullRequest(ctx context.Context, number int) (PullRequest, error) {
	var m glMerge
	_, err := g.call(ctx, "look at the merge request", http.MethodGet, g.at("/merge_requests/"+strconv.Itoa(number)), nil, &m)
	return m.pull(), err
}

func (g *gitlab) PullRequestsOf(ctx context.Context, sha, _, _ string) ([]PullRequest, error) {
	var list []glMerge
	_, err := g.call(ctx, "look for the merge request of a commit", http.MethodGet, g.at("/repository/commits/"+url.PathEscape(sha)+"/merge_requests?per_page=100&state=opened"), nil, &list)
	var e *Error
	if errors.As(err, &e) && e.Reason == NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []PullRequest
	for _, m := range list {
		if m.State == "opened" && m.SHA == sha {
			out = append(out, m.pull())
		}
	}
	return out, nil
}
