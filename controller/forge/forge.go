// Package forge talks to GitHub (and Enterprise), GitLab, Bitbucket Cloud, Gitea and Forgejo: the calls that reports need.
package forge

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is a forge.
type Kind string

// The forges.
const (
	GitHub    Kind = "github"
	GitLab    Kind = "gitlab"
	Bitbucket Kind = "bitbucket"
	Gitea     Kind = "gitea" // and Forgejo
)

// Kinds lists the forges.
func Kinds() []Kind { return []Kind{GitHub, GitLab, Bitbucket, Gitea} }

// Limit is how many characters of a comment a forge surely takes.
func (k Kind) Limit() int {
	switch k {
	case GitLab:
		return 990_000
	case Bitbucket:
		return 30_000
	}
	return 65_000
}

// Place is what a comment hangs on.
type Place string

// The places.
const (
	Pull   Place = "pr"
	Issue  Place = "issue"
	Commit Place = "commit"
)

// Target is one place: a pull request or issue by number, or a commit.
type Target struct {
	Place  Place
	Number int
	SHA    string
}

// String is the target as --target takes it.
func (t Target) String() string {
	if t.Place == Commit {
		return "commit/" + t.SHA
	}
	return string(t.Place) + "/" + strconv.Itoa(t.Number)
}

// Comment is one comment.
type Comment struct {
	ID     int64
	Body   string
	URL    string
	Author string // as Identity gives it
	Bot    bool   // the author is a program, where the forge tells
	Node   string // GitHub's other id, which GraphQL takes
	// Changed is when it last was, by the forge's clock; zero where the forge does not tell.
	Changed time.Time
}

// Which says which comments are wanted. More may be given than those.
type Which struct {
	// Holding are texts of letters, digits and hyphens of which a comment holds one; none = all comments. Pages without any are not
	// taken apart, which is most of the work.
	Holding []string
	// Since leaves out comments that have not changed since, where the forge can tell; zero = none.
	Since time.Time
}

// none says that a page, as it was sent, holds nothing that is wanted. It has to look like what it should be, all the same.
func (w Which) none(page []byte) bool {
	if len(w.Holding) == 0 {
		return false
	}
	page = bytes.TrimSpace(page)
	if len(page) < 2 || page[0] != '[' || page[len(page)-1] != ']' {
		return false
	}
	return !slices.ContainsFunc(w.Holding, func(s string) bool { return bytes.Contains(page, []byte(s)) })
}

// Minimizer folds comments away as outdated. GitHub has it.
type Minimizer interface {
	Minimize(ctx context.Context, c Comment) error
}

// PullRequest is what is asked of one.
type PullRequest struct {
	Number  int
	HeadSHA string
	Branch  string
	Open    bool
}

// Client is a forge's API for one repository.
type Client interface {
	// Kind says which forge this is.
	Kind() Kind
	// Host is the server that requests go to, with its port where it has one.
	Host() string
	// Identity is who the token belongs to; "" when the forge does not tell tokens of this kind.
	Identity(ctx context.Context) (string, error)
	// Comments lists comments of a target.
	Comments(ctx context.Context, t Target, w Which) ([]Comment, error)
	// Create posts a comment. It is not repeated when it is not known whether it was taken: see Error.Unsure.
	Create(ctx context.Context, t Target, body string) (Comment, error)
	// Update replaces a comment.
	Update(ctx context.Context, t Target, id int64, body string) (Comment, error)
	// Delete removes a comment.
	Delete(ctx context.Context, t Target, id int64) error
	// PullRequest looks one up.
	PullRequest(ctx context.Context, number int) (PullRequest, error)
	// PullRequestsOf finds the open ones whose head is a commit; owner and branch, where known, find those of forks.
	PullRequestsOf(ctx context.Context, sha, owner, branch string) ([]PullRequest, error)
}

// New makes the client of a forge.
func New(k Kind, o Options) (Client, error) {
	r, err := newREST(k, o)
	if err != nil {
		return nil, err
	}
	switch k {
	case GitHub:
		return &github{r}, nil
	case GitLab:
		return &gitlab{r}, nil
	case Bitbucket:
		return &bitbucket{r}, nil
	case Gitea:
		return &gitea{r}, nil
	}
	return nil, fmt.Errorf("there is no forge %q: allowed: github, gitlab, bitbucket, gitea", k)
}

// validRepo wants names between slashes and nothing that would change a path.
func validRepo(k Kind, repo string) error {
	parts := strings.Split(repo, "/")
	bad := len(parts) < 2 || k != GitLab && len(parts) != 2
	for _, p := range parts {
		bad = bad || p == "" || p == "." || p == ".." || strings.ContainsAny(p, "?#%\\ \t\r\n")
	}
	if bad {
		return fmt.Errorf("%q is no repository's name, as in owner/name", repo)
	}
	return nil
}
