package forge

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
)

const (
	// maxRuns bounds how many runs are searched for the job of a runner.
	maxRuns = 50
	// defaultGroup is GitHub's id of the group that every repository and organisation has.
	defaultGroup = 1
)

type ghRunner struct {
	ID     int64  `json:"id"`
	Name   string `json:"name"`
	Status string `json:"status"`
	Busy   bool   `json:"busy"`
	Labels []struct {
		Name string `json:"name"`
	} `json:"labels"`
}

func (r ghRunner) runner() Runner {
	out := Runner{ID: strconv.FormatInt(r.ID, 10), Name: r.Name, Status: r.Status, Online: r.Status == "online", Busy: r.Busy}
	for _, l := range r.Labels {
		out.Labels = append(out.Labels, l.Name)
	}
	return out
}

func asError(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}

func reasonOf(err error) Reason {
	if e, ok := asError(err); ok {
		return e.Reason
	}
	return ""
}

// runners is where the runners of a repository or organisation are.
func (g *github) runners(owner string) string {
	if owner != "" {
		return g.base.String() + "/orgs/" + url.PathEscape(owner) + "/actions/runners"
	}
	return g.at("/actions/runners")
}

func (g *github) RunnerBusyKnown() bool { return true }

// Register makes a runner for one job by a just-in-time configuration, or, for more than one, gives the token of an hour by
// which the runner registers itself. That token can do nothing else.
func (g *github) Register(ctx context.Context, s RunnerSpec) (Registration, error) {
	if s.Keep {
		var out struct {
			Token string `json:"token"`
		}
		if _, err := g.call(ctx, "ask for a runner's registration token", http.MethodPost, g.runners(s.Owner)+"/registration-token", nil, &out); err != nil {
			return Registration{}, err
		}
		return Registration{Runner: Runner{Name: s.Name, Labels: s.Labels}, Env: map[string]string{"ACTIONS_RUNNER_INPUT_URL": g.server(s.Owner)},
			Secrets: map[string]string{"ACTIONS_RUNNER_INPUT_TOKEN": out.Token}}, nil
	}
	group := s.Group
	if group == 0 {
		group = defaultGroup
	}
	in := map[string]any{"name": s.Name, "runner_group_id": group, "labels": s.Labels}
	var out struct {
		Runner ghRunner `json:"runner"`
		Config string   `json:"encoded_jit_config"`
	}
	if _, err := g.call(ctx, "register a runner", http.MethodPost, g.runners(s.Owner)+"/generate-jitconfig", in, &out); err != nil {
		return Registration{}, err
	}
	return Registration{Runner: out.Runner.runner(), Secrets: map[string]string{"ACTIONS_RUNNER_INPUT_JITCONFIG": out.Config}}, nil
}

// server is the page of the repository or organisation.
func (g *github) server(owner string) string {
	u := *g.base
	if u.Host == "api.github.com" {
		u.Host = "github.com"
	}
	what := g.repo
	if owner != "" {
		what = owner
	}
	u.Path = "/" + what
	return u.String()
}

func (g *github) Runners(ctx context.Context, owner string) ([]Runner, error) {
	var out []Runner
	err := g.pages(ctx, "list runners", g.runners(owner)+"?per_page=100", func() any { return &struct{ Runners []ghRunner }{} }, func(page any) bool {
		for _, r := range page.(*struct{ Runners []ghRunner }).Runners {
			out = append(out, r.runner())
		}
		return true
	})
	return out, err
}

// pages reads lists page by page until each says that it is enough. page makes what a page is read into.
func (g *github) pages(ctx context.Context, doing, address string, page func() any, each func(any) bool) error {
	for range maxPages {
		into := page()
		resp, err := g.call(ctx, doing, http.MethodGet, address, nil, into)
		if err != nil {
			return err
		}
		next := nextLink(resp.Header.Values("Link"))
		if !each(into) || next == "" {
			return nil
		}
		if address, err = g.sameHost(address, next); err != nil {
			return &Error{Doing: doing, Status: resp.StatusCode, Reason: Unexpected, Detail: "the next page is said to be on another server"}
		}
	}
	return &Error{Doing: doing, Reason: Unexpected, Detail: "there is no end of pages"}
}

func (g *github) Runner(ctx context.Context, owner, id string) (Runner, error) {
	var r ghRunner
	_, err := g.call(ctx, "look at a runner", http.MethodGet, g.runners(owner)+"/"+url.PathEscape(id), nil, &r)
	return r.runner(), err
}

func (g *github) RemoveRunner(ctx context.Context, owner, id string) error {
	_, err := g.call(ctx, "remove a runner", http.MethodDelete, g.runners(owner)+"/"+url.PathEscape(id), nil, nil)
	return busy(gone(err), http.StatusUnprocessableEntity)
}

// RunnerRun looks through the runs under way for a job of the runner.
func (g *github) RunnerRun(ctx context.Context, r Runner) (string, error) {
	type runs struct {
		Runs []struct {
			ID int64 `json:"id"`
		} `json:"workflow_runs"`
	}
	type jobs struct {
		Jobs []struct {
			Runner string `json:"runner_name"`
			Status string `json:"status"`
		} `json:"jobs"`
	}
	var list runs
	if _, err := g.call(ctx, "list the runs under way", http.MethodGet, g.at("/actions/runs?status=in_progress&per_page="+strconv.Itoa(maxRuns)), nil, &list); err != nil {
		return "", err
	}
	for _, run := range list.Runs {
		found := false
		err := g.pages(ctx, "list the jobs of a run", g.at("/actions/runs/"+strconv.FormatInt(run.ID, 10)+"/jobs?per_page=100"), func() any { return &jobs{} }, func(page any) bool {
			for _, j := range page.(*jobs).Jobs {
				found = found || j.Runner == r.Name && j.Status == "in_progress"
			}
			return !found
		})
		if err != nil {
			return "", err
		}
		if found {
			return strconv.FormatInt(run.ID, 10), nil
		}
	}
	return "", nil
}

// RunEnded reports whether a run has ended: before that its jobs cannot be run again.
func (g *github) RunEnded(ctx context.Context, id string) (bool, error) {
	var run struct {
		Status string `json:"status"`
	}
	_, err := g.call(ctx, "look at the run", http.MethodGet, g.at("/actions/runs/"+url.PathEscape(id)), nil, &run)
	return run.Status == "completed", err
}
