package forge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// Rerunner runs a pipeline again: GitHub's run, GitLab's or Bitbucket's pipeline, by id.
type Rerunner interface {
	Rerun(ctx context.Context, id string, failedOnly bool) error
}

// Uploader keeps a file with the repository, or with what it is shown on, and gives its address. GitHub has no such thing.
type Uploader interface {
	Upload(ctx context.Context, t Target, name string, data []byte) (string, error)
}

// Rerun runs the jobs of a run again, all or those that failed.
func (g *github) Rerun(ctx context.Context, id string, failedOnly bool) error {
	what := "/rerun"
	if failedOnly {
		what = "/rerun-failed-jobs"
	}
	_, err := g.call(ctx, "run the workflow again", http.MethodPost, g.at("/actions/runs/"+url.PathEscape(id)+what), nil, nil)
	return err
}

// Rerun retries the jobs of a pipeline that failed or were cancelled: GitLab knows no other way.
func (g *gitlab) Rerun(ctx context.Context, id string, _ bool) error {
	_, err := g.call(ctx, "run the pipeline again", http.MethodPost, g.at("/pipelines/"+url.PathEscape(id)+"/retry"), nil, nil)
	return err
}

// Rerun starts a new pipeline of the same target.
func (b *bitbucket) Rerun(ctx context.Context, id string, _ bool) error {
	var p struct {
		Target json.RawMessage `json:"target"`
	}
	if _, err := b.call(ctx, "look at the pipeline", http.MethodGet, b.at("/pipelines/"+url.PathEscape(id)), nil, &p); err != nil {
		return err
	}
	_, err := b.call(ctx, "run the pipeline again", http.MethodPost, b.at("/pipelines/"), map[string]json.RawMessage{"target": p.Target}, nil)
	return err
}

// Upload keeps a file in the project's uploads.
func (g *gitlab) Upload(ctx context.Context, _ Target, name string, data []byte) (string, error) {
	var out struct {
		FullPath string `json:"full_path"`
		URL      string `json:"url"`
	}
	if err := g.post(ctx, g.at("/uploads"), "file", path.Base(name), data, &out); err != nil {
		return "", err
	}
	server := *g.base
	server.Path = strings.TrimSuffix(server.Path, "/api/v4")
	if out.FullPath == "" {
		out.FullPath = "/" + g.repo + out.URL
	}
	return server.String() + out.FullPath, nil
}

// Upload keeps a file among the downloads, under a name that is its content's: the same file is there once.
func (b *bitbucket) Upload(ctx context.Context, _ Target, name string, data []byte) (string, error) {
	sum := sha256.Sum256(data)
	kept := "sky-" + hex.EncodeToString(sum[:16]) + path.Ext(name)
	if err := b.post(ctx, b.at("/downloads"), "files", kept, data, nil); err != nil {
		return "", err
	}
	return b.at("/downloads/" + kept), nil
}

// post sends a file as a form.
func (r *rest) post(ctx context.Context, address, field, name string, data []byte, out any) error {
	const doing = "upload a file"
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile(field, name)
	if err == nil {
		_, err = part.Write(data)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	resp, body, err := r.send(ctx, http.MethodPost, address, w.FormDataContentType(), form.Bytes())
	if err != nil {
		return &Error{Doing: doing, Reason: Unavailable, Unsure: true, cause: r.plain(err)}
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return r.refused(doing, http.MethodPost, resp, body)
	}
	if out != nil {
		if err := json.Unmarshal(body, out); err != nil {
			return &Error{Doing: doing, Status: resp.StatusCode, Reason: Unexpected, Detail: "the answer is not what this API gives; is the address right?"}
		}
	}
	return nil
}
