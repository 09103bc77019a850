package forgetest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"aloft/controller/forge"
)

// Status is one on the server.
type Status struct {
	SHA, Context, State, Description, URL string
}

// Check is a check run or a report on the server.
type Check struct {
	ID                          int64
	Key                         string // of a report
	SHA, Name, External, Status string
	Conclusion                  string
	Title, Summary, Text        string
	Annotations                 []string // title or summary of each, in order
	App                         string
	Data                        int
}

var (
	statusPath = regexp.MustCompile(`/(?:statuses|commit)/([0-9a-f]+)(?:/statuses/build)?$`)
	checkList  = regexp.MustCompile(`/commits/([^/]+)/check-runs$`)
	checkOne   = regexp.MustCompile(`/check-runs(?:/([0-9]+))?$`)
	uploadPath = regexp.MustCompile(`/(?:uploads|downloads|issues/[0-9]+/assets)$`)
	reportPath = regexp.MustCompile(`/commit/([0-9a-f]+)/reports/([^/]+)(/annotations)?$`)
)

// Statuses are a copy of those that were posted, in order.
func (s *Server) Statuses() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.statuses)
}

// Checks are a copy of the check runs and reports.
func (s *Server) Checks() []Check {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.checks)
}

// statusOrCheck answers what is about commits; false = this is not.
func (s *Server) statusOrCheck(w http.ResponseWriter, r *http.Request, path string) bool {
	switch {
	case s.Kind == forge.GitHub && checkList.MatchString(path):
		s.listChecks(w, r, checkList.FindStringSubmatch(path)[1])
	case s.Kind == forge.GitHub && checkOne.MatchString(path):
		s.check(w, r, checkOne.FindStringSubmatch(path)[1])
	case s.Kind == forge.Bitbucket && reportPath.MatchString(path):
		m := reportPath.FindStringSubmatch(path)
		s.report(w, r, m[1], m[2], m[3] != "")
	case r.Method == http.MethodPost && uploadPath.MatchString(path) && s.Kind != forge.GitHub:
		s.upload(w, r)
	case r.Method == http.MethodPost && (strings.HasSuffix(path, "/rerun") || strings.HasSuffix(path, "/rerun-failed-jobs") || strings.HasSuffix(path, "/retry") || strings.HasSuffix(path, "/pipelines/")):
		s.Reruns = append(s.Reruns, path)
		send(w, 201, map[string]any{})
	case r.Method == http.MethodGet && strings.Contains(path, "/pipelines/"):
		send(w, 200, map[string]any{"target": map[string]string{"type": "pipeline_ref_target", "ref_name": "topic"}})
	case r.Method == http.MethodPost && statusPath.MatchString(path) && strings.Contains(path, "statuses"):
		s.status(w, r, statusPath.FindStringSubmatch(path)[1])
	default:
		return false
	}
	return true
}

func (s *Server) status(w http.ResponseWriter, r *http.Request, sha string) {
	var in struct{ State, Context, Name, Key, Description, URL string }
	_ = json.NewDecoder(r.Body).Decode(&in)
	x := Status{SHA: sha, Context: in.Context + in.Key, State: in.State, Description: in.Description, URL: in.URL}
	switch s.Kind {
	case forge.GitLab:
		x.Context = in.Name
		if i := slices.IndexFunc(s.statuses, func(y Status) bool { return y.SHA == sha && y.Context == x.Context && y.State == x.State }); i >= 0 {
			send(w, 400, map[string]string{"message": "Cannot transition status via :run from :running (Reason(s): Status cannot transition via \"run\")"})
			return
		}
	case forge.Bitbucket:
		if in.URL == "" || len(in.Key) > 40 {
			s.fail(w, 400, "Bad request")
			return
		}
	case forge.Gitea: // it takes any state and any description
	default:
		if utf8.RuneCountInString(in.Description) > 140 {
			send(w, 422, map[string]any{"message": "Validation Failed", "errors": []any{map[string]string{"resource": "Status", "code": "custom", "field": "description",
				"message": "description is too long (maximum is 140 characters)"}}, "documentation_url": "https://docs.github.com/rest"})
			return
		}
	}
	s.next++
	s.statuses = append(s.statuses, x)
	send(w, 201, map[string]any{"id": s.next, "key": x.Context, "state": x.State, "description": x.Description, "context": x.Context, "url": "https://api.example/statuses/1"})
}

// upload keeps the name and size of a file.
func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	field := map[forge.Kind]string{forge.GitLab: "file", forge.Bitbucket: "files", forge.Gitea: "attachment"}[s.Kind]
	f, head, err := r.FormFile(field)
	if err != nil {
		s.fail(w, 400, "file is missing")
		return
	}
	_ = f.Close()
	s.Uploads = append(s.Uploads, head.Filename)
	send(w, 201, map[string]string{"url": "/uploads/1/" + head.Filename, "full_path": "/-/project/1/uploads/1/" + head.Filename,
		"browser_download_url": "http://" + r.Host + "/attachments/1"})
}

func (s *Server) listChecks(w http.ResponseWriter, r *http.Request, sha string) {
	list := []any{}
	for _, c := range s.checks {
		if c.SHA == sha && (r.URL.Query().Get("check_name") == "" || c.Name == r.URL.Query().Get("check_name")) {
			list = append(list, showCheck(c))
		}
	}
	send(w, 200, map[string]any{"total_count": len(list), "check_runs": list})
}

func showCheck(c Check) map[string]any {
	doc := map[string]any{"id": c.ID, "external_id": c.External, "head_sha": c.SHA, "name": c.Name, "status": c.Status, "html_url": "https://github.example/acme/model/runs/" + strconv.FormatInt(c.ID, 10)}
	if c.Conclusion != "" {
		doc["conclusion"] = c.Conclusion
	}
	return doc
}

func (s *Server) check(w http.ResponseWriter, r *http.Request, id string) {
	if s.NoChecks {
		s.fail(w, http.StatusForbidden, "You must authenticate via a GitHub App.")
		return
	}
	var in struct {
		Name       string `json:"name"`
		SHA        string `json:"head_sha"`
		External   string `json:"external_id"`
		Status     string `json:"status"`
		Conclusion string `json:"conclusion"`
		Output     struct {
			Title, Summary, Text string
			Annotations          []struct{ Title string }
		} `json:"output"`
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	if utf8.RuneCountInString(in.Output.Title) > 255 {
		s.fail(w, 422, "title is too long")
		return
	}
	code := 200
	i := slices.IndexFunc(s.checks, func(c Check) bool { return id != "" && strconv.FormatInt(c.ID, 10) == id })
	switch {
	case id == "":
		s.next++
		code, i = 201, len(s.checks)
		s.checks = append(s.checks, Check{ID: s.next, SHA: in.SHA, Name: in.Name, External: in.External})
	case i < 0:
		s.fail(w, http.StatusNotFound, "Not Found")
		return
	}
	c := &s.checks[i]
	if in.Status != "" {
		c.Status = in.Status
	}
	if in.Conclusion != "" {
		c.Conclusion = in.Conclusion
	}
	c.Title, c.Summary, c.Text = in.Output.Title, in.Output.Summary, in.Output.Text
	for _, a := range in.Output.Annotations {
		c.Annotations = append(c.Annotations, a.Title)
	}
	send(w, code, showCheck(*c))
}

func (s *Server) report(w http.ResponseWriter, r *http.Request, sha, key string, annotations bool) {
	i := slices.IndexFunc(s.checks, func(c Check) bool { return c.SHA == sha && c.Key == key })
	switch {
	case annotations:
		var in []struct {
			External string `json:"external_id"`
			Type     string `json:"annotation_type"`
			Summary  string `json:"summary"`
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || i < 0 || len(in) > 100 {
			s.fail(w, 400, "Bad request")
			return
		}
		for _, a := range in {
			if a.External == "" || a.Type == "" || utf8.RuneCountInString(a.Summary) > 450 || len(s.checks[i].Annotations) == 1000 {
				s.fail(w, 400, "Bad annotation")
				return
			}
			s.checks[i].Annotations = append(s.checks[i].Annotations, a.Summary)
		}
		send(w, 200, []any{})
	case r.Method == http.MethodDelete:
		if i < 0 {
			s.fail(w, http.StatusNotFound, "Report not found")
			return
		}
		s.checks = slices.Delete(s.checks, i, i+1)
		w.WriteHeader(http.StatusNoContent)
	default:
		var in struct {
			Title, Details, Result string
			Type                   string `json:"report_type"`
			Data                   []any
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Title == "" || in.Details == "" || in.Type == "" || len(in.Data) > 10 {
			s.fail(w, 400, "Bad report")
			return
		}
		if i < 0 {
			i = len(s.checks)
			s.checks = append(s.checks, Check{SHA: sha, Key: key})
		}
		c := &s.checks[i]
		c.Title, c.Summary, c.Conclusion, c.Data = in.Title, in.Details, in.Result, len(in.Data)
		send(w, 200, map[string]any{"title": in.Title})
	}
}
