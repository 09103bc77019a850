package cienv

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
)

// event is what is read of a webhook's payload; any part may be missing.
type event struct {
	Number      int          `json:"number"`
	PullRequest *pullPayload `json:"pull_request"`
	Issue       *struct {
		Number      int             `json:"number"`
		PullRequest json.RawMessage `json:"pull_request"`
	} `json:"issue"`
	MergeGroup *struct {
		HeadRef string `json:"head_ref"`
		HeadSHA string `json:"head_sha"`
	} `json:"merge_group"`
	Repository struct {
		DefaultBranch string `json:"default_branch"`
	} `json:"repository"`
	WorkflowRun *struct {
		ID             int64         `json:"id"`
		RunAttempt     int64         `json:"run_attempt"`
		Name           string        `json:"name"`
		Event          string        `json:"event"`
		HeadSHA        string        `json:"head_sha"`
		HeadBranch     string        `json:"head_branch"`
		HTMLURL        string        `json:"html_url"`
		PullRequests   []pullPayload `json:"pull_requests"`
		HeadRepository struct {
			FullName string `json:"full_name"`
		} `json:"head_repository"`
	} `json:"workflow_run"`
}

type pullPayload struct {
	Number int `json:"number"`
	Head   struct {
		SHA  string `json:"sha"`
		Ref  string `json:"ref"`
		Repo *struct {
			FullName string `json:"full_name"`
		} `json:"repo"`
	} `json:"head"`
}

// queueRef is the branch of a merge queue: the number and the head of the pull request at its end.
var queueRef = regexp.MustCompile(`^(?:refs/heads/)?gh-readonly-queue/.+/pr-([0-9]+)-[0-9a-f]+$`)

func github(e env, readFile func(string) ([]byte, error)) Context {
	c := Context{
		System: GitHub, Forge: "github",
		ServerURL: strings.TrimRight(e.get("GITHUB_SERVER_URL"), "/"), APIURL: strings.TrimRight(e.get("GITHUB_API_URL"), "/"),
		Repository: e.get("GITHUB_REPOSITORY"), Event: e.get("GITHUB_EVENT_NAME"), SHA: e.get("GITHUB_SHA"),
		Workflow: e.get("GITHUB_WORKFLOW"), Job: e.get("GITHUB_JOB"), Run: e.number("GITHUB_RUN_ID"), Attempt: e.number("GITHUB_RUN_ATTEMPT"),
		Actor: e.first("GITHUB_TRIGGERING_ACTOR", "GITHUB_ACTOR"),
	}
	c.Branch = e.get("GITHUB_HEAD_REF")
	if ref := e.get("GITHUB_REF"); c.Branch == "" && strings.HasPrefix(ref, "refs/heads/") {
		c.Branch = strings.TrimPrefix(ref, "refs/heads/")
	}
	if c.ServerURL != "" && c.Repository != "" && c.Run > 0 {
		c.RunURL = c.ServerURL + "/" + c.Repository + "/actions/runs/" + strconv.FormatInt(c.Run, 10)
		if c.Attempt > 0 {
			c.RunURL += "/attempts/" + strconv.FormatInt(c.Attempt, 10)
		}
	}
	c.HeadOwner = owner(c.Repository)
	var ev event
	if path := e.get("GITHUB_EVENT_PATH"); path != "" {
		if b, err := readFile(path); err == nil && json.Unmarshal(b, &ev) != nil {
			ev = event{}
		}
	}
	c.fromEvent(&ev)
	c.DefaultBranch = ev.Repository.DefaultBranch
	if rest, ok := strings.CutPrefix(e.get("GITHUB_REF"), "refs/pull/"); ok && c.PullRequest == 0 {
		number, _, _ := strings.Cut(rest, "/")
		c.PullRequest = pull(number)
	}
	return c
}

// fromEvent takes commit and pull request from what set the run off.
func (c *Context) fromEvent(ev *event) {
	switch {
	case ev.PullRequest != nil:
		c.fromPull(ev.PullRequest)
	case ev.Issue != nil && len(ev.Issue.PullRequest) > 0 && string(ev.Issue.PullRequest) != "null":
		// GITHUB_SHA is the base branch's here; the head has to be asked for.
		c.PullRequest, c.SHA, c.Branch, c.HeadOwner = max(ev.Issue.Number, 0), "", "", ""
	case ev.MergeGroup != nil:
		if m := queueRef.FindStringSubmatch(ev.MergeGroup.HeadRef); m != nil {
			c.PullRequest = pull(m[1])
		}
	case ev.WorkflowRun != nil:
		w := ev.WorkflowRun
		c.SHA, c.Branch, c.Workflow, c.Run, c.Attempt = w.HeadSHA, w.HeadBranch, w.Name, max(w.ID, 0), max(w.RunAttempt, 0)
		if w.HTMLURL != "" {
			c.RunURL = w.HTMLURL
		}
		if o := owner(w.HeadRepository.FullName); o != "" {
			c.HeadOwner = o
		}
		c.Fork = w.HeadRepository.FullName != "" && !strings.EqualFold(w.HeadRepository.FullName, c.Repository)
		for _, p := range w.PullRequests {
			if p.Head.SHA == w.HeadSHA {
				c.PullRequest = max(p.Number, 0)
				break
			}
		}
	}
}

func (c *Context) fromPull(p *pullPayload) {
	c.PullRequest = max(p.Number, 0)
	if p.Head.SHA != "" {
		c.SHA = p.Head.SHA
	}
	if p.Head.Ref != "" {
		c.Branch = p.Head.Ref
	}
	c.Fork = p.Head.Repo == nil || !strings.EqualFold(p.Head.Repo.FullName, c.Repository)
	if p.Head.Repo != nil {
		c.HeadOwner = owner(p.Head.Repo.FullName)
	}
}

// owner is what comes before the first slash of a repository's name.
func owner(repo string) string {
	o, _, _ := strings.Cut(repo, "/")
	return o
}
