package forge

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

type bbRunner struct {
	UUID   string   `json:"uuid"`
	Name   string   `json:"name"`
	Labels []string `json:"labels"`
	State  struct {
		Status string `json:"status"`
	} `json:"state"`
	OAuth *struct {
		ID     string `json:"id"`
		Secret string `json:"secret"`
	} `json:"oauth_client"`
}

func (r bbRunner) runner() Runner {
	return Runner{ID: r.UUID, Name: r.Name, Labels: r.Labels, Status: strings.ToLower(r.State.Status), Online: r.State.Status == "ONLINE"}
}

// bbLabels are what Bitbucket wants on every runner of this kind.
var bbLabels = []string{"self.hosted", "linux.shell"}

func (b *bitbucket) runners(owner string) string {
	if owner != "" {
		return b.base.String() + "/workspaces/" + url.PathEscape(owner) + "/pipelines-config/runners"
	}
	return b.at("/pipelines-config/runners")
}

// RunnerBusyKnown: Bitbucket does not tell whether a runner has a step.
func (b *bitbucket) RunnerBusyKnown() bool { return false }

// Register makes a runner and gives its own OAuth client, with which it fetches steps and nothing else.
func (b *bitbucket) Register(ctx context.Context, s RunnerSpec) (Registration, error) {
	workspace, _, _ := strings.Cut(b.repo, "/")
	if s.Owner != "" {
		workspace = s.Owner
	}
	var account, repo struct {
		UUID string `json:"uuid"`
	}
	if _, err := b.call(ctx, "look up the workspace", http.MethodGet, b.base.String()+"/workspaces/"+url.PathEscape(workspace), nil, &account); err != nil {
		return Registration{}, err
	}
	if s.Owner == "" {
		if _, err := b.call(ctx, "look up the repository", http.MethodGet, b.at(""), nil, &repo); err != nil {
			return Registration{}, err
		}
	}
	labels := slices.Clone(bbLabels)
	for _, l := range s.Labels {
		if !slices.Contains(labels, l) {
			labels = append(labels, l)
		}
	}
	var out bbRunner
	if _, err := b.call(ctx, "register a runner", http.MethodPost, b.runners(s.Owner), map[string]any{"name": s.Name, "labels": labels}, &out); err != nil {
		return Registration{}, err
	}
	if out.OAuth == nil || out.OAuth.Secret == "" {
		return Registration{}, &Error{Doing: "register a runner", Reason: Unexpected, Detail: "the answer has no OAuth client"}
	}
	return Registration{Runner: out.runner(),
		Env:     map[string]string{"ACCOUNT_UUID": account.UUID, "REPOSITORY_UUID": repo.UUID, "RUNNER_UUID": out.UUID, "OAUTH_CLIENT_ID": out.OAuth.ID},
		Secrets: map[string]string{"OAUTH_CLIENT_SECRET": out.OAuth.Secret}}, nil
}

func (b *bitbucket) Runners(ctx context.Context, owner string) ([]Runner, error) {
	var out []Runner
	address := b.runners(owner) + "?pagelen=100"
	for range maxPages {
		var page struct {
			Values []bbRunner `json:"values"`
			Next   string     `json:"next"`
		}
		resp, err := b.call(ctx, "list runners", http.MethodGet, address, nil, &page)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Values {
			out = append(out, r.runner())
		}
		if page.Next == "" {
			return out, nil
		}
		if address, err = b.sameHost(address, page.Next); err != nil {
			return nil, &Error{Doing: "list runners", Status: resp.StatusCode, Reason: Unexpected, Detail: "the next page is said to be on another server"}
		}
	}
	return nil, &Error{Doing: "list runners", Reason: Unexpected, Detail: "there is no end of pages"}
}

func (b *bitbucket) Runner(ctx context.Context, owner, id string) (Runner, error) {
	var r bbRunner
	_, err := b.call(ctx, "look at a runner", http.MethodGet, b.runners(owner)+"/"+url.PathEscape(id), nil, &r)
	return r.runner(), err
}

func (b *bitbucket) RemoveRunner(ctx context.Context, owner, id string) error {
	_, err := b.call(ctx, "remove a runner", http.MethodDelete, b.runners(owner)+"/"+url.PathEscape(id), nil, nil)
	return busy(gone(err), http.StatusConflict)
}

// RunnerRun: Bitbucket does not tell.
func (b *bitbucket) RunnerRun(context.Context, Runner) (string, error) { return "", nil }
