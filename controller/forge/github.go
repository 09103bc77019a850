package forge

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// github is GitHub's REST API, also of an Enterprise server.
type github struct{ *rest }

type ghComment struct {
	ID      int64  `json:"id"`
	Node    string `json:"node_id"`
	Body    string `json:"body"`
	Updated string `json:"updated_at"`
	HTMLURL string `json:"html_url"`
	User    *struct {
		Login string `json:"login"`
		Type  string `json:"type"`
	} `json:"user"`
}

func (c ghComment) comment() Comment {
	out := Comment{ID: c.ID, Node: c.Node, Body: c.Body, URL: c.HTMLURL}
	if at, err := time.Parse(time.RFC3339, c.Updated); err == nil {
		out.Changed = at
	}
	if c.User != nil { // null = a ghost
		out.Author, out.Bot = c.User.Login, c.User.Type == "Bot"
	}
	return out
}

func (g *github) Kind() Kind { return GitHub }

func (g *github) at(path string) string { return g.base.String() + "/repos/" + g.repo + path }

// Identity asks who the token is. Tokens of apps, the one of Actions among them, are refused there.
func (g *github) Identity(ctx context.Context) (string, error) {
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

// list and one are where comments of a target are: issues' for pull requests, too.
func (g *github) list(t Target) string {
	if t.Place == Commit {
		return g.at("/commits/" + url.PathEscape(t.SHA) + "/comments")
	}
	return g.at("/issues/" + strconv.Itoa(t.Number) + "/comments")
}

func (g *github) one(t Target, id int64) string {
	if t.Place == Commit {
		return g.at("/comments/" + strconv.FormatInt(id, 10))
	}
	return g.at("/issues/comments/" + strconv.FormatInt(id, 10))
}

// Comments follows the pages by the Link header.
func (g *github) Comments(ctx context.Context, t Target, w Which) ([]Comment, error) {
	address := g.list(t) + "?per_page=100"
	if t.Place != Commit {
		address += since(w)
	}
	return linkedComments(ctx, g.rest, "list comments", address, w)
}

// since is the parameter by which GitHub, and what looks like it, leaves out what has not changed.
func since(w Which) string {
	if w.Since.IsZero() {
		return ""
	}
	return "&since=" + w.Since.UTC().Format("2006-01-02T15:04:05Z")
}

// linkedComments reads comments from pages that a Link header ties together.
func linkedComments(ctx context.Context, r *rest, doing, address string, w Which) ([]Comment, error) {
	var out []Comment
	err := linked(ctx, r, doing, address, func(page json.RawMessage) (bool, error) {
		if w.none(page) {
			return true, nil
		}
		var list []ghComment
		if err := json.Unmarshal(page, &list); err != nil {
			return false, err
		}
		for _, c := range list {
			out = append(out, c.comment())
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// linked reads pages that a Link header ties together, until there are no more or more says so.
func linked(ctx context.Context, r *rest, doing, address string, more func(page json.RawMessage) (bool, error)) error {
	for range maxPages {
		var page raw
		resp, err := r.call(ctx, doing, http.MethodGet, address, nil, &page)
		if err != nil {
			return err
		}
		next := nextLink(resp.Header.Values("Link"))
		switch ok, err := more(json.RawMessage(page)); {
		case err != nil:
			return strange(doing, resp)
		case !ok || next == "":
			return nil
		}
		if address, err = r.sameHost(address, next); err != nil {
			return &Error{Doing: doing, Status: resp.StatusCode, Reason: Unexpected, Detail: "the next page is said to be on another server"}
		}
	}
	return &Error{Doing: doing, Reason: Unexpected, Detail: "there is no end of pages"}
}

// nextLink finds the address of the next page in Link headers.
func nextLink(headers []string) string {
	for _, h := range headers {
		for h != "" {
			start := strings.IndexByte(h, '<')
			if start < 0 {
				break
			}
			target, rest, ok := strings.Cut(h[start+1:], ">")
			if !ok {
				break
			}
			params := rest
			if i := strings.IndexByte(rest, '<'); i >= 0 {
				params, h = rest[:i], rest[i:]
			} else {
				h = ""
			}
			for _, p := range strings.FieldsFunc(params, func(r rune) bool { return r == ';' || r == ',' }) {
				k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
				if strings.EqualFold(k, "rel") && strings.EqualFold(strings.Trim(v, `"`), "next") {
					return target
				}
			}
		}
	}
	return ""
}

func (g *github) Create(ctx context.Context, t Target, body string) (Comment, error) {
	var c ghComment
	_, err := g.call(ctx, "post a comment", http.MethodPost, g.list(t), map[string]string{"body": body}, &c)
	return c.comment(), err
}

func (g *github) Update(ctx context.Context, t Target, id int64, body string) (Comment, error) {
	var c ghComment
	_, err := g.call(ctx, "update a comment", http.MethodPatch, g.one(t, id), map[string]string{"body": body}, &c)
	return c.comment(), err
}

func (g *github) Delete(ctx context.Context, t Target, id int64) error {
	_, err := g.call(ctx, "delete a comment", http.MethodDelete, g.one(t, id), nil, nil)
	return err
}

// Minimize marks a comment as outdated. GraphQL answers errors with 200.
func (g *github) Minimize(ctx context.Context, c Comment) error {
	const mutation = `mutation($id: ID!) { minimizeComment(input: {subjectId: $id, classifier: OUTDATED}) { minimizedComment { isMinimized } } }`
	return g.graphql(ctx, "fold the earlier comment", mutation, c.Node)
}

type ghPull struct {
	Number int    `json:"number"`
	State  string `json:"state"`
	Head   struct {
		SHA string `json:"sha"`
		Ref string `json:"ref"`
	} `json:"head"`
}

func (p ghPull) pull() PullRequest {
	return PullRequest{Number: p.Number, HeadSHA: p.Head.SHA, Branch: p.Head.Ref, Open: p.State == "open"}
}

func (g *github) PullRequest(ctx context.Context, number int) (PullRequest, error) {
	var p ghPull
	_, err := g.call(ctx, "look at the pull request", http.MethodGet, g.at("/pulls/"+strconv.Itoa(number)), nil, &p)
	return p.pull(), err
}

func (g *github) PullRequestsOf(ctx context.Context, sha, owner, branch string) ([]PullRequest, error) {
	addresses := []string{g.at("/commits/" + url.PathEscape(sha) + "/pulls?per_page=100")}
	if owner != "" && branch != "" {
		// Those of forks are not found by commit.
		addresses = append(addresses, g.at("/pulls?state=open&per_page=100&head="+url.QueryEscape(owner+":"+branch)))
	}
	for _, address := range addresses {
		var list []ghPull
		_, err := g.call(ctx, "look for the pull request of a commit", http.MethodGet, address, nil, &list)
		var e *Error
		if errors.As(err, &e) && (e.Status == http.StatusUnprocessableEntity || e.Status == http.StatusNotFound) {
			continue // no such commit in this repository
		}
		if err != nil {
			return nil, err
		}
		var out []PullRequest
		for _, p := range list {
			if p.State == "open" && p.Head.SHA == sha {
				out = append(out, p.pull())
			}
		}
		if len(out) > 0 {
			return out, nil
		}
	}
	return nil, nil
}
