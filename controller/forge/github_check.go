package forge

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// GitHub's limits: of a status' description and context, of a check's title, summary and text, and of the annotations of
// one request.
const (
	ghDescription = 140
	ghContext     = 255
	ghTitle       = 255
	ghText        = 65_535
	ghBatch       = 50
)

// ghStatus is a status as GitHub and those that look like it take it.
func ghStatus(s Status) map[string]string {
	state := map[State]string{Pending: "pending", Running: "pending", Success: "success", Neutral: "success", Skipped: "success", Failure: "failure",
		Errored: "error", Cancelled: "error"}[s.State]
	in := map[string]string{"state": state, "context": shorten(s.Name, ghContext), "description": shorten(s.Title, ghDescription)}
	if s.URL != "" {
		in["target_url"] = s.URL
	}
	return in
}

// SetStatus posts a status. Posting the same again does no harm: the last one counts.
func (g *github) SetStatus(ctx context.Context, s Status) (Posted, error) {
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

// twice posts once more what may or may not have arrived, where a second one does no harm.
func twice(post func() error) error {
	err := post()
	var e *Error
	if errors.As(err, &e) && e.Unsure {
		err = post()
	}
	return err
}

type ghOutput struct {
	Title       string         `json:"title"`
	Summary     string         `json:"summary"`
	Text        string         `json:"text,omitempty"`
	Annotations []ghAnnotation `json:"annotations,omitempty"`
}

type ghAnnotation struct {
	Path    string `json:"path"`
	Start   int    `json:"start_line"`
	End     int    `json:"end_line"`
	Level   string `json:"annotation_level"`
	Message string `json:"message"`
	Title   string `json:"title,omitempty"`
}

type ghCheck struct {
	Name       string    `json:"name,omitempty"`
	SHA        string    `json:"head_sha,omitempty"`
	Details    string    `json:"details_url,omitempty"`
	External   string    `json:"external_id,omitempty"`
	Status     string    `json:"status,omitempty"`
	Started    string    `json:"started_at,omitempty"`
	Conclusion string    `json:"conclusion,omitempty"`
	Completed  string    `json:"completed_at,omitempty"`
	Output     *ghOutput `json:"output,omitempty"`
}

type ghCheckRun struct {
	ID       int64  `json:"id"`
	External string `json:"external_id"`
	HTMLURL  string `json:"html_url"`
}

// SetCheck makes or changes the check run of c.ExternalID. Annotations go in batches, in order; GitHub adds those of a
// later request to those of an earlier one, so they are for the end of a run.
func (g *github) SetCheck(ctx context.Context, c Check) (Posted, error) {
	in := g.check(c)
	first, rest := split(c.Annotations, ghBatch)
	in.Output.Annotations = ghAnnotations(first)
	found, err := g.findCheck(ctx, c)
	if err != nil {
		return Posted{}, err
	}
	out := Posted{Kind: "check", Action: "updated"}
	if found == nil {
		out.Action = "created"
		in.Name, in.SHA, in.External = c.Name, c.SHA, c.ExternalID
		found = &ghCheckRun{}
		_, err = g.call(ctx, "create the check run", http.MethodPost, g.at("/check-runs"), in, found)
		var e *Error
		if errors.As(err, &e) && e.Unsure {
			// It may be there: look before it is posted again.
			if again, ferr := g.findCheck(ctx, c); ferr == nil && again != nil {
				found, err = again, nil
			} else if ferr == nil {
				_, err = g.call(ctx, "create the check run", http.MethodPost, g.at("/check-runs"), in, found)
			}
		}
	} else {
		var run ghCheckRun
		if _, err = g.call(ctx, "update the check run", http.MethodPatch, g.checkRun(found.ID), in, &run); err == nil {
			found = &run
		}
	}
	for err == nil && len(rest) > 0 {
		var batch []Annotation
		batch, rest = split(rest, ghBatch)
		more := ghCheck{Output: &ghOutput{Title: in.Output.Title, Summary: in.Output.Summary, Text: in.Output.Text, Annotations: ghAnnotations(batch)}}
		_, err = g.call(ctx, "update the check run", http.MethodPatch, g.checkRun(found.ID), more, nil)
	}
	out.ID, out.URL = strconv.FormatInt(found.ID, 10), found.HTMLURL
	return out, err
}

func (g *github) checkRun(id int64) string { return g.at("/check-runs/" + strconv.FormatInt(id, 10)) }

// check is what of c every request says.
func (g *github) check(c Check) ghCheck {
	title := shorten(c.Title, ghTitle)
	if title == "" {
		title = shorten(c.Name, ghTitle)
	}
	summary := shortenBytes(c.Summary, ghText)
	if summary == "" {
		summary = title
	}
	in := ghCheck{Details: c.URL, Status: "in_progress", Output: &ghOutput{Title: title, Summary: summary, Text: shortenBytes(c.Text, ghText)}}
	if c.State == Pending {
		in.Status = "queued"
	}
	if !c.Started.IsZero() {
		in.Started = c.Started.UTC().Format(time.RFC3339)
	}
	if c.State.Ended() {
		in.Status = "completed"
		in.Conclusion = map[State]string{Success: "success", Failure: "failure", Errored: "failure", Cancelled: "cancelled", Neutral: "neutral", Skipped: "skipped"}[c.State]
		if !c.Ended.IsZero() {
			in.Completed = c.Ended.UTC().Format(time.RFC3339)
		}
	}
	return in
}

// findCheck looks for the check run that was made for c before; of several the oldest.
func (g *github) findCheck(ctx context.Context, c Check) (*ghCheckRun, error) {
	if c.ExternalID == "" {
		return nil, nil
	}
	address := g.at("/commits/" + url.PathEscape(c.SHA) + "/check-runs?filter=all&per_page=100&check_name=" + url.QueryEscape(c.Name))
	var best *ghCheckRun
	type runs struct {
		Runs []ghCheckRun `json:"check_runs"`
	}
	err := linked(ctx, g.rest, "list check runs", address, func(raw json.RawMessage) (bool, error) {
		var page runs
		if err := json.Unmarshal(raw, &page); err != nil {
			return false, err
		}
		for _, r := range page.Runs {
			if r.External == c.ExternalID && (best == nil || r.ID < best.ID) {
				best = &r
			}
		}
		return true, nil
	})
	return best, err
}

func ghAnnotations(list []Annotation) []ghAnnotation {
	var out []ghAnnotation
	for _, a := range list {
		line := max(a.Line, 1)
		text := shortenBytes(a.Message, 64<<10)
		if text == "" {
			text = a.Title
		}
		out = append(out, ghAnnotation{Path: a.Path, Start: line, End: line, Level: string(a.Level), Message: text, Title: shorten(a.Title, ghTitle)})
	}
	return out
}

func split(list []Annotation, n int) (first, rest []Annotation) {
	n = min(n, len(list))
	return list[:n], list[n:]
}
