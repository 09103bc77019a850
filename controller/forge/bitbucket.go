package forge

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// bitbucket is Bitbucket Cloud's API, version 2.0.
type bitbucket struct{ *rest }

type bbComment struct {
	ID      int64 `json:"id"`
	Deleted bool  `json:"deleted"`
	Content struct {
		Raw string `json:"raw"`
	} `json:"content"`
	User *struct {
		UUID string `json:"uuid"`
	} `json:"user"`
	Links struct {
		HTML struct {
			Href string `json:"href"`
		} `json:"html"`
	} `json:"links"`
}

func (c bbComment) comment() Comment {
	out := Comment{ID: c.ID, Body: c.Content.Raw, URL: c.Links.HTML.Href}
	if c.User != nil {
		out.Author = c.User.UUID
	}
	return out
}

func (b *bitbucket) Kind() Kind { return Bitbucket }

func (b *bitbucket) at(path string) string { return b.base.String() + "/repositories/" + b.repo + path }

// Identity asks who the token is; access tokens of repositories have no user there.
func (b *bitbucket) Identity(ctx context.Context) (string, error) {
	var u struct {
		UUID string `json:"uuid"`
	}
	_, err := b.call(ctx, "ask who the token belongs to", http.MethodGet, b.base.String()+"/user", nil, &u)
	var e *Error
	if errors.As(err, &e) && (e.Reason == Forbidden || e.Reason == NotFound) {
		return "", nil
	}
	return u.UUID, err
}

func (b *bitbucket) list(t Target) string {
	switch t.Place {
	case Commit:
		return b.at("/commit/" + url.PathEscape(t.SHA) + "/comments")
	case Issue:
		return b.at("/issues/" + strconv.Itoa(t.Number) + "/comments")
	}
	return b.at("/pullrequests/" + strconv.Itoa(t.Number) + "/comments")
}

func (b *bitbucket) one(t Target, id int64) string {
	return b.list(t) + "/" + strconv.FormatInt(id, 10)
}

// Comments follows the pages by their field next.
func (b *bitbucket) Comments(ctx context.Context, t Target, w Which) ([]Comment, error) {
	var out []Comment
	address := b.list(t) + "?pagelen=100"
	for range maxPages {
		var page struct {
			Values json.RawMessage `json:"values"`
			Next   string          `json:"next"`
		}
		resp, err := b.call(ctx, "list comments", http.MethodGet, address, nil, &page)
		if err != nil {
			return nil, err
		}
		var list []bbComment
		if !w.none(page.Values) {
			if err := json.Unmarshal(page.Values, &list); err != nil {
				return nil, strange("list comments", resp)
			}
		}
		for _, c := range list {
			if !c.Deleted { // a deleted comment with answers stays as an empty one
				out = append(out, c.comment())
			}
		}
		if page.Next == "" {
			return out, nil
		}
		if address, err = b.sameHost(address, page.Next); err != nil {
			return nil, &Error{Doing: "list comments", Status: resp.StatusCode, Reason: Unexpected, Detail: "the next page is said to be on another server"}
		}
	}
	return nil, &Error{Doing: "list comments", Reason: Unexpected, Detail: "there is no end of pages"}
}

func content(body string) any {
	return map[string]any{"content": map[string]string{"raw": body}}
}

func (b *bitbucket) Create(ctx context.Context, t Target, body string) (Comment, error) {
	var c bbComment
	_, err := b.call(ctx, "post a comment", http.MethodPost, b.list(t), content(body), &c)
	return c.comment(), err
}

func (b *bitbucket) Update(ctx context.Context, t Target, id int64, body string) (Comment, error) {
	var c bbComment
	_, err := b.call(ctx, "update a comment", http.MethodPut, b.one(t, id), content(body), &c)
	return c.comment(), err
}

func (b *bitbucket) Delete(ctx context.Context, t Target, id int64) error {
	_, err := b.call(ctx, "delete a comment", http.MethodDelete, b.one(t, id), nil, nil)
	return err
}

type bbPull struct {
	ID     int    `json:"id"`
	State  string `json:"state"`
	Source struct {
		Branch struct {
			Name string `json:"name"`
		} `json:"branch"`
		Commit struct {
			Hash string `json:"hash"`
		} `json:"commit"`
		Repository struct {
			FullName string `json:"full_name"`
		} `json:"repository"`
	} `json:"source"`
}

func (p bbPull) pull() PullRequest {
	return PullRequest{Number: p.ID, HeadSHA: p.Source.Commit.Hash, Branch: p.Source.Branch.Name, Open: p.State == "OPEN"}
}

func (b *bitbucket) PullRequest(ctx context.Context, number int) (PullRequest, error) {
	var p bbPull
	_, err := b.call(ctx, "look at the pull request", http.MethodGet, b.at("/pullrequests/"+strconv.Itoa(number)), nil, &p)
	return p.pull(), err
}

// PullRequestsOf asks for pull requests of the branch: those of a commit need an application that few install. A hash
// is given shortened, to twelve digits.
func (b *bitbucket) PullRequestsOf(ctx context.Context, sha, _, branch string) ([]PullRequest, error) {
	if branch == "" {
		return nil, nil
	}
	quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(branch) + `"`
	query := url.Values{"q": {"source.branch.name=" + quoted + ` AND state="OPEN"`}, "pagelen": {"50"}}
	var page struct {
		Values []bbPull `json:"values"`
	}
	if _, err := b.call(ctx, "look for the pull request of a branch", http.MethodGet, b.at("/pullrequests?"+query.Encode()), nil, &page); err != nil {
		return nil, err
	}
	var out []PullRequest
	for _, p := range page.Values {
		if p.State == "OPEN" && len(p.Source.Commit.Hash) >= 7 && strings.HasPrefix(sha, p.Source.Commit.Hash) {
			out = append(out, p.pull())
		}
	}
	return out, nil
}
