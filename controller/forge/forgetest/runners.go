package forgetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"aloft/controller/forge"
)

// Runner is a self-hosted runner on the server.
type Runner struct {
	ID     string
	Name   string
	Labels []string
	// Secret is what its program shows to the server: a configuration for one job, a token, or a client's secret.
	Secret string
	Owner  string // organisation, group or workspace; "" = the repository's
	Online bool
	// Paused takes no jobs: GitLab's.
	Paused bool
	// Run is the run whose job it has; "" = none.
	Run string
}

// Run is a workflow run or pipeline on the server.
type Run struct {
	ID string
	// Status is queued, in_progress or completed; Runner the name of the one that has, or had, its job.
	Status, Runner string
}

var (
	runnerPath = regexp.MustCompile(`^(?:/repos/acme/model|/orgs/([^/]+))/actions/runners(?:/([^/]+))?$`)
	runJobs    = regexp.MustCompile(`^/repos/acme/model/actions/runs(?:/([0-9]+)(/jobs)?)?$`)
	glRunners  = regexp.MustCompile(`^/(?:projects/acme(?:%2F|/)model|groups/([^/]+))/runners$`)
	glRunner   = regexp.MustCompile(`^/runners/([0-9]+)(/jobs)?$`)
	glOwner    = regexp.MustCompile(`^/(projects|groups)/[^/]+$`)
	bbRunners  = regexp.MustCompile(`^(?:/repositories/acme/model|/workspaces/([^/]+))/pipelines-config/runners(?:/([^/]+))?$`)
	bbOwner    = regexp.MustCompile(`^/(?:repositories/acme/model|workspaces/[^/]+)$`)
)

// Runners are a copy of those there are.
func (s *Server) Runners() []Runner {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.runners)
}

// RunAgain are the paths by which runs were started again, a copy of Reruns.
func (s *Server) RunAgain() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.Reruns)
}

// AddRunner puts a runner there, as if somebody had registered it.
func (s *Server) AddRunner(r Runner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	if r.ID == "" {
		r.ID = s.runnerID()
	}
	s.runners = append(s.runners, r)
}

// Connect makes the runner that shows a secret online, as its program does. It gives its name; false = nobody has that secret.
func (s *Server) Connect(secret string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.runners, func(r Runner) bool { return r.Secret == secret })
	if i < 0 || secret == "" {
		return "", false
	}
	s.runners[i].Online = true
	return s.runners[i].Name, true
}

// Start gives a runner a job of a run; "" ends the job that it has. An ephemeral runner of GitHub's is gone then.
func (s *Server) Start(name, run string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.runners {
		if s.runners[i].Name != name {
			continue
		}
		if old := s.runners[i].Run; run == "" && old != "" {
			s.setRun(Run{ID: old, Status: "completed", Runner: name})
			if s.runners[i].Run = ""; s.Kind == forge.GitHub {
				s.runners = slices.Delete(s.runners, i, i+1)
			}
			return
		}
		if s.runners[i].Run = run; run != "" {
			s.setRun(Run{ID: run, Status: "in_progress", Runner: name})
		}
		return
	}
}

// Disconnect makes a runner offline. The job that it has is over for the server, too: it waited long enough.
func (s *Server) Disconnect(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.runners {
		if r := &s.runners[i]; r.Name == name {
			if r.Online = false; r.Run != "" {
				s.setRun(Run{ID: r.Run, Status: "completed", Runner: name})
				r.Run = ""
			}
		}
	}
}

// setRun is called with mu held.
func (s *Server) setRun(r Run) {
	s.runs = append(slices.DeleteFunc(s.runs, func(x Run) bool { return x.ID == r.ID }), r)
}

func (s *Server) runnerID() string {
	if s.Kind == forge.Bitbucket {
		return fmt.Sprintf("{%08x-0000-4000-8000-000000000000}", s.next)
	}
	return strconv.FormatInt(s.next, 10)
}

// runner answers what is about runners; false = this is not.
func (s *Server) runner(w http.ResponseWriter, r *http.Request, at string) bool {
	switch s.Kind {
	case forge.GitHub:
		if m := runJobs.FindStringSubmatch(at); m != nil && r.Method == http.MethodGet {
			s.showRuns(w, r, m[1], m[2] != "")
			return true
		}
		if m := runnerPath.FindStringSubmatch(at); m != nil {
			s.ghRunner(w, r, m[1], m[2])
			return true
		}
	case forge.GitLab:
		if m := glRunners.FindStringSubmatch(at); m != nil {
			s.listRunners(w, r, m[1])
			return true
		}
		if m := glRunner.FindStringSubmatch(at); m != nil {
			s.glRunner(w, r, m[1], m[2] != "")
			return true
		}
		if at == "/user/runners" && r.Method == http.MethodPost {
			s.glRegister(w, r)
			return true
		}
		if at == "/version" && r.Method == http.MethodGet {
			send(w, 200, map[string]any{"version": "17.5.1-ee", "revision": "0000000000a"})
			return true
		}
		if glOwner.MatchString(at) && r.Method == http.MethodGet {
			send(w, 200, map[string]any{"id": 77})
			return true
		}
	default:
		if m := bbRunners.FindStringSubmatch(at); m != nil {
			s.bbRunner(w, r, m[1], m[2])
			return true
		}
		if bbOwner.MatchString(at) && r.Method == http.MethodGet {
			send(w, 200, map[string]any{"uuid": "{" + strings.ReplaceAll(strings.Trim(at, "/"), "/", "-") + "}"})
			return true
		}
	}
	return false
}

func (s *Server) showRunner(r Runner) map[string]any {
	status := "offline"
	if r.Online {
		status = "online"
	}
	switch s.Kind {
	case forge.GitLab:
		id, _ := strconv.Atoi(r.ID)
		return map[string]any{"id": id, "description": r.Name, "status": status, "paused": r.Paused, "tag_list": r.Labels}
	case forge.Bitbucket:
		return map[string]any{"uuid": r.ID, "name": r.Name, "labels": r.Labels, "state": map[string]string{"status": strings.ToUpper(status)}}
	}
	id, _ := strconv.Atoi(r.ID)
	labels := []any{}
	for _, l := range r.Labels {
		labels = append(labels, map[string]any{"name": l})
	}
	return map[string]any{"id": id, "name": r.Name, "os": "linux", "status": status, "busy": r.Run != "", "labels": labels}
}

// listRunners gives a page, of two on GitHub and GitLab so that there are always more, when the server is told so.
func (s *Server) listRunners(w http.ResponseWriter, r *http.Request, owner string) {
	list := []any{}
	for _, x := range s.runners {
		if x.Owner == owner {
			doc := s.showRunner(x)
			if s.Kind == forge.GitLab {
				delete(doc, "tag_list") // only a look at one tells
			}
			list = append(list, doc)
		}
	}
	q := r.URL.Query()
	size := min(max(atoi(q.Get("per_page")), atoi(q.Get("pagelen")), 1), 100)
	if s.RunnerPage > 0 {
		size = s.RunnerPage
	}
	page := max(atoi(q.Get("page")), 1)
	from := min((page-1)*size, len(list))
	to := min(from+size, len(list))
	q.Set("page", strconv.Itoa(page+1))
	next := "http://" + r.Host + r.URL.EscapedPath() + "?" + q.Encode()
	switch {
	case s.Kind == forge.Bitbucket:
		doc := map[string]any{"values": list[from:to]}
		if to < len(list) {
			doc["next"] = next
		}
		send(w, 200, doc)
		return
	case to < len(list) && s.Kind == forge.GitLab:
		w.Header().Set("X-Next-Page", strconv.Itoa(page+1))
	case to < len(list):
		w.Header().Set("Link", fmt.Sprintf(`<%s>; rel="next"`, next))
	}
	if s.Kind == forge.GitLab {
		send(w, 200, list[from:to])
		return
	}
	send(w, 200, map[string]any{"total_count": len(list), "runners": list[from:to]})
}

func (s *Server) find(id string) int {
	id, _ = url.PathUnescape(id)
	return slices.IndexFunc(s.runners, func(r Runner) bool { return r.ID == id })
}

func (s *Server) ghRunner(w http.ResponseWriter, r *http.Request, owner, id string) {
	switch {
	case id == "" && r.Method == http.MethodGet:
		s.listRunners(w, r, owner)
	case id == "downloads" && r.Method == http.MethodGet:
		list := []any{}
		for _, p := range s.Programs {
			doc := map[string]any{"os": p.OS, "architecture": p.Arch, "download_url": p.URL, "filename": path.Base(p.URL)}
			if p.SHA256 != "" {
				doc["sha256_checksum"] = p.SHA256
			}
			list = append(list, doc)
		}
		send(w, 200, list)
	case id == "registration-token":
		send(w, 201, map[string]any{"token": s.secret(), "expires_at": "2026-01-02T03:04:05Z"})
	case id == "generate-jitconfig":
		var in struct {
			Name   string
			Labels []string
		}
		_ = json.NewDecoder(r.Body).Decode(&in)
		if slices.ContainsFunc(s.runners, func(x Runner) bool { return x.Name == in.Name && x.Owner == owner }) {
			s.fail(w, http.StatusConflict, "Already exists - A runner with the name "+in.Name+" already exists.")
			return
		}
		x := Runner{Name: in.Name, Labels: in.Labels, Secret: s.secret(), Owner: owner}
		x.ID = s.runnerID()
		s.runners = append(s.runners, x)
		send(w, 201, map[string]any{"runner": s.showRunner(x), "encoded_jit_config": x.Secret})
	default:
		s.oneRunner(w, r, id, http.StatusUnprocessableEntity)
	}
}

// secret is one that nobody has yet.
func (s *Server) secret() string {
	s.next++
	return fmt.Sprintf("runner-secret-%d-of-%s", s.next, s.Kind)
}

func (s *Server) oneRunner(w http.ResponseWriter, r *http.Request, id string, busy int) {
	i := s.find(id)
	switch {
	case i < 0:
		s.fail(w, http.StatusNotFound, "Not Found")
	case r.Method == http.MethodDelete && s.runners[i].Run != "" && busy != 0:
		s.fail(w, busy, "Bad request - Runner \""+s.runners[i].Name+"\" is still running a job\"")
	case r.Method == http.MethodDelete:
		s.runners = slices.Delete(s.runners, i, i+1)
		w.WriteHeader(http.StatusNoContent)
	default:
		send(w, 200, s.showRunner(s.runners[i]))
	}
}

func (s *Server) showRuns(w http.ResponseWriter, r *http.Request, id string, jobs bool) {
	list := []any{}
	for _, x := range s.runs {
		n, _ := strconv.Atoi(x.ID)
		switch {
		case jobs && x.ID == id:
			list = append(list, map[string]any{"id": n, "run_id": n, "status": x.Status, "runner_name": x.Runner})
		case id == x.ID:
			send(w, 200, map[string]any{"id": n, "status": x.Status})
			return
		case id == "" && (r.URL.Query().Get("status") == "" || r.URL.Query().Get("status") == x.Status):
			list = append(list, map[string]any{"id": n, "status": x.Status})
		}
	}
	if jobs {
		send(w, 200, map[string]any{"total_count": len(list), "jobs": list})
		return
	}
	if id != "" {
		s.fail(w, http.StatusNotFound, "Not Found")
		return
	}
	send(w, 200, map[string]any{"total_count": len(list), "workflow_runs": list})
}

func (s *Server) glRegister(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Type        string `json:"runner_type"`
		Project     int    `json:"project_id"`
		Group       int    `json:"group_id"`
		Tags        string `json:"tag_list"`
		Description string
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	if in.Type != "project_type" && in.Type != "group_type" || in.Type == "project_type" && in.Project == 0 || in.Type == "group_type" && in.Group == 0 {
		s.fail(w, http.StatusBadRequest, "runner_type does not have a valid value")
		return
	}
	x := Runner{Name: in.Description, Labels: strings.Split(in.Tags, ","), Secret: "glrt-" + s.secret()}
	if in.Group != 0 {
		x.Owner = "acme"
	}
	x.ID = s.runnerID()
	s.runners = append(s.runners, x)
	id, _ := strconv.Atoi(x.ID)
	send(w, 201, map[string]any{"id": id, "token": x.Secret, "token_expires_at": nil})
}

func (s *Server) glRunner(w http.ResponseWriter, r *http.Request, id string, jobs bool) {
	i := s.find(id)
	switch {
	case i < 0:
		s.fail(w, http.StatusNotFound, "404 Not found")
	case jobs:
		list := []any{}
		if run, err := strconv.Atoi(s.runners[i].Run); err == nil {
			list = append(list, map[string]any{"id": run * 10, "status": "running", "pipeline": map[string]any{"id": run}})
		}
		send(w, 200, list)
	case r.Method == http.MethodPut:
		s.runners[i].Paused = true
		send(w, 200, s.showRunner(s.runners[i]))
	default:
		s.oneRunner(w, r, id, 0)
	}
}

func (s *Server) bbRunner(w http.ResponseWriter, r *http.Request, owner, id string) {
	switch {
	case id == "" && r.Method == http.MethodGet:
		s.listRunners(w, r, owner)
	case id == "":
		var in struct {
			Name   string
			Labels []string
		}
		_ = json.NewDecoder(r.Body).Decode(&in)
		if !slices.Contains(in.Labels, "self.hosted") || in.Name == "" || len(in.Name) > 50 {
			s.fail(w, http.StatusBadRequest, "Bad request")
			return
		}
		x := Runner{Name: in.Name, Labels: in.Labels, Secret: s.secret(), Owner: owner}
		x.ID = s.runnerID()
		s.runners = append(s.runners, x)
		doc := s.showRunner(x)
		doc["oauth_client"] = map[string]string{"id": "client-of-" + x.Name, "secret": x.Secret}
		send(w, 200, doc)
	default:
		s.oneRunner(w, r, id, http.StatusConflict)
	}
}
