package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"aloft/controller/forge"
	"aloft/controller/forge/comment"
)

const (
	watchPause = 30 * time.Second // between two posts of a file that changes
	watchLook  = time.Second      // between two looks at the file
	watchLast  = time.Minute      // for the last post, after the end was asked for
)

// watchComment posts a file whenever it has changed, until ctx ends; what it holds then is posted, too. A forge that does
// not answer costs one post, not the watch.
func (a *app) watchComment(ctx context.Context, file string, post func(ctx context.Context, text string) error, pause time.Duration) error {
	var posted [sha256.Size]byte
	var last time.Time
	var failed error
	try := func(ctx context.Context) {
		text, err := readBounded(file, maxCommentFile)
		if err != nil || len(bytes.TrimSpace(text)) == 0 {
			return // it is not there yet, or is being written
		}
		sum := sha256.Sum256(text)
		if sum == posted && failed == nil {
			return
		}
		last = time.Now()
		if failed = post(ctx, string(text)); failed != nil {
			a.note("warning: %v", failed)
			return
		}
		posted = sum
	}
	tick := time.NewTicker(watchLook)
	defer tick.Stop()
	for {
		if last.IsZero() || time.Since(last) >= pause {
			try(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), watchLast)
			defer cancel()
			try(last)
			switch {
			case failed != nil:
				return failed
			case posted == [sha256.Size]byte{}:
				return usageError("%s was never there, or empty: nothing was posted", file)
			}
			return nil
		}
	}
}

// watchAndKeep is watchComment, whose last text goes into the job's summary when the forge does not take it for now.
func (a *app) watchAndKeep(ctx context.Context, file string, o *commentOptions, post func(ctx context.Context, text string) error) error {
	err := a.watchComment(ctx, file, post, watchPause)
	if !away(err) {
		return err
	}
	if text, bad := readBounded(file, maxCommentFile); bad == nil {
		a.intoSummary(o.summaryText(string(text), a.ciContext().RunURL), "keep "+file+" as an artifact of the job.")
	}
	return err
}

// dryForge is a forge that is read and never written: what would be sent is printed.
type dryForge struct {
	out   io.Writer
	below http.RoundTripper
}

// RoundTrip is http.RoundTripper's.
func (d dryForge) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet {
		return d.below.RoundTrip(r)
	}
	var body any
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err = errors.Join(err, r.Body.Close()); err != nil {
			return nil, err
		}
		if len(b) > 0 && json.Unmarshal(b, &body) != nil {
			body = string(b)
		}
	}
	e := json.NewEncoder(d.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(map[string]any{"method": r.Method, "url": r.URL.String(), "body": body}); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Proto: r.Proto, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(bytes.NewReader([]byte("{}"))), Request: r}, nil
}

// dryPost tells what a post would send. What follows the first write depends on the forge's answer, so it ends there.
func (a *app) dryPost(ctx context.Context, c forge.Client, p comment.Post) error {
	_, err := comment.Do(ctx, firstWrite{c}, p)
	switch {
	case errors.Is(err, errDry):
		return nil
	case err == nil:
		a.note("%s has this text already, or that of a later run: nothing would be sent.", p.Target)
	}
	return err
}

var errDry = errors.New("nothing is written in a dry run")

// firstWrite is a client that ends at its first write.
type firstWrite struct{ forge.Client }

// Create is forge.Client's.
func (f firstWrite) Create(ctx context.Context, t forge.Target, body string) (forge.Comment, error) {
	_, err := f.Client.Create(ctx, t, body)
	return forge.Comment{}, errors.Join(errDry, err)
}

// Update is forge.Client's.
func (f firstWrite) Update(ctx context.Context, t forge.Target, id int64, body string) (forge.Comment, error) {
	_, err := f.Client.Update(ctx, t, id, body)
	return forge.Comment{}, errors.Join(errDry, err)
}

// Minimize is forge.Minimizer's. It comes after a first write, so never.
func (f firstWrite) Minimize(context.Context, forge.Comment) error { return errDry }
