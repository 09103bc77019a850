package forge

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// BranchKeeper keeps files on a branch of their own, with no history in common with the others. GitHub has nothing better
// that needs no other service.
type BranchKeeper interface {
	// KeepFile commits a file unless it is there, and gives the address that shows it to those who may see the repository.
	KeepFile(ctx context.Context, branch, name string, data []byte) (string, error)
}

// keepTries bounds how often a branch that others move at the same time is tried.
const keepTries = 10

type ghObject struct {
	SHA string `json:"sha"`
}

// KeepFile makes a blob, a tree, a commit and the branch by GitHub's API for git's data: the checkout is not touched.
func (g *github) KeepFile(ctx context.Context, branch, name string, data []byte) (string, error) {
	const doing = "keep a picture on a branch"
	server := *g.base
	switch path, enterprise := strings.CutSuffix(server.Path, "/api/v3"); {
	case enterprise:
		server.Path = path
	case server.Host == "api.github.com":
		server.Host = "github.com"
	}
	address := server.String() + "/" + g.repo + "/blob/" + branch + "/" + name + "?raw=true"
	file := g.at("/contents/" + name + "?ref=" + url.QueryEscape(branch))
	_, err := g.call(ctx, doing, http.MethodGet, file, nil, nil)
	if err == nil {
		return address, nil
	}
	if !isReason(err, NotFound) {
		return "", err
	}
	var blob ghObject
	in := map[string]any{"content": base64.StdEncoding.EncodeToString(data), "encoding": "base64"}
	if err := twice(func() error { // a blob is its content: the same again is the same
		_, err := g.call(ctx, doing, http.MethodPost, g.at("/git/blobs"), in, &blob)
		return err
	}); err != nil {
		return "", err
	}
	for try := 1; ; try++ {
		err := g.commitFile(ctx, branch, name, blob.SHA)
		var e *Error
		switch {
		case err == nil:
			return address, nil
		case errors.As(err, &e) && (e.Reason == Invalid || e.Unsure) && try < keepTries:
			// Another job has moved the branch, or made it, or the answer was lost: on top of what is there now.
			if _, err := g.call(ctx, doing, http.MethodGet, file, nil, nil); err == nil {
				return address, nil
			}
		default:
			return "", err
		}
	}
}

// commitFile puts a blob on the branch: on what is there, or as the first.
func (g *github) commitFile(ctx context.Context, branch, name, blob string) error {
	const doing = "keep a picture on a branch"
	var head struct {
		Object ghObject `json:"object"`
	}
	tree := map[string]any{"tree": []map[string]string{{"path": name, "mode": "100644", "type": "blob", "sha": blob}}}
	parents := []string{}
	_, err := g.call(ctx, doing, http.MethodGet, g.at("/git/ref/heads/"+branch), nil, &head)
	switch {
	case err == nil:
		var last struct {
			Tree ghObject `json:"tree"`
		}
		if _, err := g.call(ctx, doing, http.MethodGet, g.at("/git/commits/"+url.PathEscape(head.Object.SHA)), nil, &last); err != nil {
			return err
		}
		tree["base_tree"], parents = last.Tree.SHA, []string{head.Object.SHA}
	case !isReason(err, NotFound):
		return err
	}
	var made, commit ghObject
	if _, err := g.call(ctx, doing, http.MethodPost, g.at("/git/trees"), tree, &made); err != nil {
		return err
	}
	if _, err := g.call(ctx, doing, http.MethodPost, g.at("/git/commits"), map[string]any{"message": "A picture of a report", "tree": made.SHA, "parents": parents}, &commit); err != nil {
		return err
	}
	if len(parents) == 0 {
		_, err = g.call(ctx, doing, http.MethodPost, g.at("/git/refs"), map[string]string{"ref": "refs/heads/" + branch, "sha": commit.SHA}, nil)
		return err
	}
	_, err = g.call(ctx, doing, http.MethodPatch, g.at("/git/refs/heads/"+branch), map[string]any{"sha": commit.SHA, "force": false}, nil)
	return err
}

func isReason(err error, r Reason) bool {
	var e *Error
	return errors.As(err, &e) && e.Reason == r
}
