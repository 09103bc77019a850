package forge

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

type glRunner struct {
	ID          int64    `json:"id"`
	Description string   `json:"description"`
	Status      string   `json:"status"`
	Tags        []string `json:"tag_list"`
}

func (r glRunner) runner() Runner {
	return Runner{ID: strconv.FormatInt(r.ID, 10), Name: r.Description, Status: r.Status, Labels: r.Tags, Online: r.Status == "online"}
}

func (g *gitlab) RunnerBusyKnown() bool { return true }

// Register makes a runner and gives its own token (glrt-), by which it fetches jobs and nothing else.
func (g *gitlab) Register(ctx context.Context, s RunnerSpec) (Registration, error) {
	in := map[string]any{"description": s.Name, "tag_list": strings.Join(s.Labels, ","), "run_untagged": false, "locked": true}
	address := g.at("")
	kind := "project"
	if s.Owner != "" {
		address, kind = g.base.String()+"/groups/"+url.PathEscape(s.Owner), "group"
	}
	var owner struct {
		ID int64 `json:"id"`
	}
	if _, err := g.call(ctx, "look up the "+kind, http.MethodGet, address, nil, &owner); err != nil {
		return Registration{}, err
	}
	in["runner_type"], in[kind+"_id"] = kind+"_type", owner.ID
	if kind == "group" {
		delete(in, "locked")
	}
	var out struct {
		ID    int64  `json:"id"`
		Token string `json:"token"`
	}
	if _, err := g.call(ctx, "register a runner", http.MethodPost, g.base.String()+"/user/runners", in, &out); err != nil {
		return Registration{}, err
	}
	server := *g.base
	server.Path = strings.TrimSuffix(server.Path, "/api/v4")
	return Registration{Runner: Runner{ID: strconv.FormatInt(out.ID, 10), Name: s.Name, Labels: s.Labels, Status: "never_contacted"},
		Env: map[string]string{"CI_SERVER_URL": server.String()}, Secrets: map[string]string{"CI_SERVER_TOKEN": out.Token}}, nil
}

func (g *gitlab) Runners(ctx context.Context, owner string) ([]Runner, error) {
	address := g.at("/runners")
	if owner != "" {
		address = g.base.String() + "/groups/" + url.PathEscape(owner) + "/runners"
	}
	var out []Runner
	page := "1"
	for range maxPages {
		var list []glRunner
		resp, err := g.call(ctx, "list runners", http.MethodGet, address+"?per_page=100&page="+url.QueryEscape(page), nil, &list)
		if err != nil {
			return nil, err
		}
		for _, r := range list {
			out = append(out, r.runner())
		}
		if page = resp.Header.Get("X-Next-Page"); page == "" {
			return out, nil
		}
	}
	return nil, &Error{Doing: "list runners", Reason: Unexpected, Detail: "there is no end of pages"}
}

func (g *gitlab) runnerAt(id string) string {
	return g.base.String() + "/runners/" + url.PathEscape(id)
}

type glJob struct {
	ID       int64 `json:"id"`
	Pipeline struct {
		ID int64 `json:"id"`
	} `json:"pipeline"`
}

func (g *gitlab) runnerJobs(ctx context.Context, id string) ([]glJob, error) {
	var jobs []glJob
	_, err := g.call(ctx, "list the jobs of a runner", http.MethodGet, g.runnerAt(id)+"/jobs?status=running&per_page=100", nil, &jobs)
	return jobs, err
}

// Runner says that a runner is busy when it has jobs under way.
func (g *gitlab) Runner(ctx context.Context, _, id string) (Runner, error) {
	var r glRunner
	if _, err := g.call(ctx, "look at a runner", http.MethodGet, g.runnerAt(id), nil, &r); err != nil {
		return Runner{}, err
	}
	jobs, err := g.runnerJobs(ctx, id)
	out := r.runner()
	out.Busy = len(jobs) > 0
	return out, err
}

// RemoveRunner pauses the runner first: one that is removed would lose its job, and could get one in between.
func (g *gitlab) RemoveRunner(ctx context.Context, _, id string) error {
	if _, err := g.call(ctx, "pause a runner", http.MethodPut, g.runnerAt(id), map[string]bool{"paused": true}, nil); err != nil {
		return gone(err)
	}
	jobs, err := g.runnerJobs(ctx, id)
	if err != nil {
		return gone(err)
	}
	if len(jobs) > 0 {
		return &Error{Doing: "remove a runner", Reason: Busy, Detail: "it has a job"}
	}
	_, err = g.call(ctx, "remove a runner", http.MethodDelete, g.runnerAt(id), nil, nil)
	return gone(err)
}

func (g *gitlab) RunnerRun(ctx context.Context, r Runner) (string, error) {
	jobs, err := g.runnerJobs(ctx, r.ID)
	if err != nil || len(jobs) == 0 {
		return "", err
	}
	return strconv.FormatInt(jobs[0].Pipeline.ID, 10), nil
}
