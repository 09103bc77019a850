package forge

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Proposal is a pull request to open.
type Proposal struct {
	Head, Base  string // branches of the same repository
	Title, Body string
}

// Opened is a pull request with where people see it.
type Opened struct {
	PullRequest
	URL  string
	Node string // GitHub's other id, which GraphQL takes
}

// MergeMethod is how a pull request is merged.
type MergeMethod string

// The methods.
const (
	MergeCommit MergeMethod = "merge"
	MergeSquash MergeMethod = "squash"
	MergeRebase MergeMethod = "rebase"
)

// PullMaker opens pull requests and has them merged.
type PullMaker interface {
	// PullOf finds the open pull request of a branch of the repository itself, to any base; false = there is none.
	PullOf(ctx context.Context, branch string) (Opened, bool, error)
	// OpenPull opens one. When it is not known whether it was opened, or there is one already, PullOf finds it.
	OpenPull(ctx context.Context, p Proposal) (Opened, error)
	// MergePull has one merged as soon as its checks have passed, where the forge waits for them; now says that it does not.
	MergePull(ctx context.Context, p Opened, how MergeMethod) (now bool, err error)
}

type ghOpened struct {
	ghPull
	HTMLURL string `json:"html_url"`
	Node    string `json:"node_id"`
}

func (p ghOpened) opened() Opened { return Opened{PullRequest: p.pull(), URL: p.HTMLURL, Node: p.Node} }

// PullOf follows the pages, as each may hold only what is of other branches.
func (g *github) PullOf(ctx context.Context, branch string) (Opened, bool, error) {
	owner, _, _ := strings.Cut(g.repo, "/")
	var out Opened
	found := false
	err := g.pages(ctx, "look for the pull request of a branch", g.at("/pulls?state=open&per_page=100&head="+url.QueryEscape(owner+":"+branch)), func() any { return &[]ghOpened{} }, func(page any) bool {
		for _, p := range *page.(*[]ghOpened) {
			if p.State == "open" && p.Head.Ref == branch && !found {
				out, found = p.opened(), true
			}
		}
		return !found
	})
	return out, found, err
}

func (g *github) OpenPull(ctx context.Context, p Proposal) (Opened, error) {
	var out ghOpened
	_, err := g.call(ctx, "open a pull request", http.MethodPost, g.at("/pulls"), map[string]string{"head": p.Head, "base": p.Base, "title": p.Title, "body": p.Body}, &out)
	return out.opened(), err
}

// MergePull turns on GitHub's automatic merge. A branch that waits for nothing has none: it is merged at once.
func (g *github) MergePull(ctx context.Context, p Opened, how MergeMethod) (bool, error) {
	err := g.graphql(ctx, "have the pull request merged", "mutation($id: ID!) { enablePullRequestAutoMerge(input: {pullRequestId: $id, mergeMethod: "+strings.ToUpper(string(how))+
		"}) { clientMutationId } }", p.Node)
	e, ok := asError(err)
	if !ok || e.Reason != Invalid || !strings.Contains(e.Detail, "clean status") && !strings.Contains(strings.ToLower(e.Detail), "protected branch") {
		return false, err
	}
	_, err = g.call(ctx, "merge the pull request", http.MethodPut, g.at("/pulls/"+strconv.Itoa(p.Number)+"/merge"), map[string]string{"merge_method": string(how)}, nil)
	return true, err
}

// graphql carries out a mutation of one thing. GraphQL answers errors with 200.
func (g *github) graphql(ctx context.Context, doing, mutation, id string) error {
	address := *g.base
	address.Path = strings.TrimSuffix(address.Path, "/v3") + "/graphql" // an Enterprise server has it beside, not below
	var out struct {
		Errors []struct {
			Type    string `json:"type"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	in := map[string]any{"query": mutation, "variables": map[string]string{"id": id}}
	if _, err := g.call(ctx, doing, http.MethodPost, address.String(), in, &out); err != nil {
		return err
	}
	if len(out.Errors) == 0 {
		return nil
	}
	e := &Error{Doing: doing, Status: http.StatusOK, Reason: Invalid, Detail: g.safe(out.Errors[0].Message)}
	switch out.Errors[0].Type {
	case "FORBIDDEN":
		e.Reason = Forbidden
	case "NOT_FOUND":
		e.Reason = NotFound
	}
	return e
}

type glOpened struct {
	glMerge
	WebURL string `json:"web_url"`
	Source int64  `json:"source_project_id"` // another than Target for one of a fork
	Target int64  `json:"target_project_id"`
}

func (m glOpened) opened() Opened { return Opened{PullRequest: m.pull(), URL: m.WebURL} }

func (g *gitlab) PullOf(ctx context.Context, branch string) (Opened, bool, error) {
	var list []glOpened
	_, err := g.call(ctx, "look for the merge request of a branch", http.MethodGet, g.at("/merge_requests?state=opened&per_page=100&source_branch="+url.QueryEscape(branch)), nil, &list)
	for _, m := range list {
		if m.State == "opened" && m.SourceBranch == branch && m.Source == m.Target {
			return m.opened(), true, err
		}
	}
	return Opened{}, false, err
}

func (g *gitlab) OpenPull(ctx context.Context, p Proposal) (Opened, error) {
	var out glOpened
	_, err := g.call(ctx, "open a merge request", http.MethodPost, g.at("/merge_requests"), map[string]any{"source_branch": p.Head, "target_branch": p.Base, "title": p.Title, "description": p.Body,
		"remove_source_branch": true}, &out)
	return out.opened(), err
}

const (
	mergeTries = 6
	mergePause = 3 * time.Second
)

// MergePull has it merged when its pipeline succeeds. GitLab refuses while it still finds out whether it can be merged.
func (g *gitlab) MergePull(ctx context.Context, p Opened, how MergeMethod) (bool, error) {
	if how == MergeRebase {
		return false, &Error{Doing: "merge the merge request", Reason: Invalid, Detail: "whether GitLab rebases is a setting of the project: use --merge or --squash"}
	}
	in := map[string]any{"merge_when_pipeline_succeeds": true, "squash": how == MergeSquash}
	return false, mergeable(ctx, func() error {
		_, err := g.call(ctx, "have the merge request merged", http.MethodPut, g.at("/merge_requests/"+strconv.Itoa(p.Number)+"/merge"), in, nil)
		return err
	}, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusUnprocessableEntity)
}

// mergeable tries for a while as long as the answer is one that a forge gives while it finds out whether it can merge.
func mergeable(ctx context.Context, merge func() error, notYet ...int) error {
	for try := 1; ; try++ {
		err := merge()
		e, ok := asError(err)
		if !ok || try == mergeTries || !slices.Contains(notYet, e.Status) {
			return err
		}
		t := time.NewTimer(mergePause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return err
		}
	}
}

type bbOpened struct {
	bbPull
	Links struct {
		HTML struct {
			Href string `json:"href"`
		} `json:"html"`
	} `json:"links"`
}

func (p bbOpened) opened() Opened { return Opened{PullRequest: p.pull(), URL: p.Links.HTML.Href} }

func (b *bitbucket) PullOf(ctx context.Context, branch string) (Opened, bool, error) {
	quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(branch) + `"`
	query := url.Values{"q": {"source.branch.name=" + quoted + ` AND state="OPEN"`}, "pagelen": {"50"}}
	var page struct { // one: hardly fifty forks have an open one of a branch of this name
		Values []bbOpened `json:"values"`
	}
	_, err := b.call(ctx, "look for the pull request of a branch", http.MethodGet, b.at("/pullrequests?"+query.Encode()), nil, &page)
	for _, p := range page.Values {
		from := p.Source.Repository.FullName
		if p.State == "OPEN" && p.Source.Branch.Name == branch && (from == "" || strings.EqualFold(from, b.repo)) {
			return p.opened(), true, err
		}
	}
	return Opened{}, false, err
}

func (b *bitbucket) OpenPull(ctx context.Context, p Proposal) (Opened, error) {
	branch := func(name string) any { return map[string]any{"branch": map[string]string{"name": name}} }
	var out bbOpened
	_, err := b.call(ctx, "open a pull request", http.MethodPost, b.at("/pullrequests"), map[string]any{"title": p.Title, "description": p.Body, "source": branch(p.Head), "destination": branch(p.Base),
		"close_source_branch": true}, &out)
	return out.opened(), err
}

// MergePull merges at once: Bitbucket's API cannot wait for builds.
func (b *bitbucket) MergePull(ctx context.Context, p Opened, how MergeMethod) (bool, error) {
	strategy := map[MergeMethod]string{MergeCommit: "merge_commit", MergeSquash: "squash", MergeRebase: "rebase_merge"}[how]
	_, err := b.call(ctx, "merge the pull request", http.MethodPost, b.at("/pullrequests/"+strconv.Itoa(p.Number)+"/merge"), map[string]any{"merge_strategy": strategy, "close_source_branch": true}, nil)
	return true, err
}
