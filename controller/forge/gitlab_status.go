package forge

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// glText bounds a description and a name.
const glText = 255

// SetStatus posts an external status. GitLab refuses one that the commit has already: then nothing was to be done.
func (g *gitlab) SetStatus(ctx context.Context, s Status) (Posted, error) {
	state := map[State]string{Pending: "pending", Running: "running", Success: "success", Neutral: "success", Skipped: "skipped", Failure: "failed",
		Errored: "failed", Cancelled: "canceled"}[s.State]
	in := map[string]string{"state": state, "name": shorten(s.Name, glText), "description": shorten(s.Title, glText)}
	if s.URL != "" {
		in["target_url"] = s.URL
	}
	var out struct {
		ID int64 `json:"id"`
	}
	err := twice(func() error {
		_, err := g.call(ctx, "set the commit's status", http.MethodPost, g.at("/statuses/"+url.PathEscape(s.SHA)), in, &out)
		return err
	})
	p := Posted{Kind: "status", ID: strconv.FormatInt(out.ID, 10), Action: "created"}
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusBadRequest && strings.Contains(e.Detail, "Cannot transition status") {
		return Posted{Kind: "status", Action: "unchanged"}, nil
	}
	return p, err
}
