package forge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Bitbucket's limits.
const (
	bbKey         = 40
	bbDescription = 255
	bbSummary     = 450
	bbTitle       = 450
	bbDetails     = 2_000
	bbData        = 10
	bbBatch       = 100
	bbAnnotations = 1_000
)

// SetStatus posts a build status; the key is its identity.
func (b *bitbucket) SetStatus(ctx context.Context, s Status) (Posted, error) {
	state := map[State]string{Pending: "INPROGRESS", Running: "INPROGRESS", Success: "SUCCESSFUL", Neutral: "SUCCESSFUL", Skipped: "SUCCESSFUL",
		Failure: "FAILED", Errored: "FAILED", Cancelled: "STOPPED"}[s.State]
	in := map[string]string{"key": key(s.Name, bbKey), "state": state, "name": shorten(s.Name, bbDescription), "description": shorten(s.Title, bbDescription), "url": s.URL}
	if s.URL == "" {
		in["url"] = "https://bitbucket.org/" + b.repo + "/commits/" + url.PathEscape(s.SHA) // one is wanted
	}
	var out struct {
		Key string `json:"key"`
		URL string `json:"url"`
	}
	err := twice(func() error {
		_, err := b.call(ctx, "set the build status", http.MethodPost, b.at("/commit/"+url.PathEscape(s.SHA)+"/statuses/build"), in, &out)
		return err
	})
	return Posted{Kind: "status", ID: out.Key, URL: out.URL, Action: "created"}, err
}

// key is a name, or its digest when it is too long.
func key(name string, most int) string {
	if len(name) <= most {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])[:most]
}

type bbDatum struct {
	Title string `json:"title"`
	Type  string `json:"type"`
	Value any    `json:"value"`
}

type bbAnnotation struct {
	External string `json:"external_id"`
	Type     string `json:"annotation_type"`
	Path     string `json:"path,omitempty"`
	Line     int    `json:"line,omitempty"`
	Summary  string `json:"summary"`
	Details  string `json:"details,omitempty"`
	Severity string `json:"severity"`
	Result   string `json:"result"`
}

// SetCheck puts a Code Insights report. With annotations it is made anew, so that none of an earlier run stay.
func (b *bitbucket) SetCheck(ctx context.Context, c Check) (Posted, error) {
	id := key("sky-"+c.Name, bbKey)
	at := b.at("/commit/" + url.PathEscape(c.SHA) + "/reports/" + url.PathEscape(id))
	result := map[State]string{Pending: "PENDING", Running: "PENDING", Success: "PASSED", Neutral: "PASSED", Skipped: "PASSED", Failure: "FAILED",
		Errored: "FAILED", Cancelled: "FAILED"}[c.State]
	title := c.Title
	if title == "" {
		title = c.Name
	}
	details := c.Summary
	if details == "" {
		details = title
	}
	in := map[string]any{"title": shorten(title, bbTitle), "details": shorten(details, bbDetails), "report_type": "TEST", "reporter": "sky", "result": result}
	if c.URL != "" {
		in["link"] = c.URL
	}
	if data := bbDatums(c.Data); len(data) > 0 {
		in["data"] = data
	}
	if c.State.Ended() {
		_, err := b.call(ctx, "remove the earlier report", http.MethodDelete, at, nil, nil)
		var e *Error
		if err != nil && (!errors.As(err, &e) || e.Reason != NotFound) {
			return Posted{}, err
		}
	}
	if _, err := b.call(ctx, "put the report", http.MethodPut, at, in, nil); err != nil {
		return Posted{}, err
	}
	out := Posted{Kind: "report", ID: id, Action: "updated"}
	list := c.Annotations
	if len(list) > bbAnnotations {
		out.Dropped, list = len(list)-bbAnnotations, list[:bbAnnotations]
	}
	seen := map[string]int{}
	for len(list) > 0 {
		var batch []Annotation
		batch, list = split(list, bbBatch)
		in := make([]bbAnnotation, 0, len(batch))
		for _, a := range batch {
			in = append(in, bbOne(a, seen))
		}
		err := twice(func() error { // ids are ours: the same again is the same
			_, err := b.call(ctx, "add annotations", http.MethodPost, at+"/annotations", in, nil)
			return err
		})
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

func bbOne(a Annotation, seen map[string]int) bbAnnotation {
	id := a.Key
	if id == "" {
		id = a.Title + "\x00" + a.Message
	}
	seen[id]++
	if n := seen[id]; n > 1 {
		id += "\x00" + strconv.Itoa(n)
	}
	sum := sha256.Sum256([]byte(id))
	out := bbAnnotation{External: "sky-" + hex.EncodeToString(sum[:16]), Type: "BUG", Path: a.Path, Line: a.Line, Summary: shorten(a.Title, bbSummary),
		Details: shorten(a.Message, bbDetails), Severity: "LOW", Result: "PASSED"}
	if out.Summary == "" {
		out.Summary = shorten(a.Message, bbSummary)
	}
	switch a.Level {
	case LevelFailure:
		out.Severity, out.Result = "HIGH", "FAILED"
	case LevelWarning:
		out.Severity, out.Result = "MEDIUM", "FAILED"
	}
	return out
}

func bbDatums(list []Datum) []bbDatum {
	var out []bbDatum
	for _, d := range list[:min(len(list), bbData)] {
		x := bbDatum{Title: shorten(d.Title, bbSummary), Value: d.Value}
		switch v := d.Value.(type) {
		case bool:
			x.Type = "BOOLEAN"
		case float64:
			x.Type = "NUMBER"
		case time.Duration:
			x.Type, x.Value = "DURATION", v.Milliseconds()
		default:
			x.Type = "TEXT"
		}
		out = append(out, x)
	}
	return out
}
