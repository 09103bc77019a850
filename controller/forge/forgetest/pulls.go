package forgetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"aloft/controller/forge"
)

var (
	pullsPath = regexp.MustCompile(`/(?:pulls|merge_requests|pullrequests)/?$`)
	mergePath = regexp.MustCompile(`/(?:pulls|merge_requests|pullrequests)/([0-9]+)/merge$`)
)

func pullNode(p Pull) string { return "PR_" + strconv.Itoa(p.Number) }

func pullPage(r *http.Request, p Pull) string {
	return fmt.Sprintf("http://%s/page/pull/%d", r.Host, p.Number)
}

// Pulled are a copy of the pull requests.
func (s *Server) Pulled() []Pull {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.Pulls)
}

// makesPull answers what opens or merges a pull request; false = this does not.
func (s *Server) makesPull(w http.ResponseWriter, r *http.Request, path string) bool {
	switch {
	case r.Method == http.MethodPost && pullsPath.MatchString(path):
		s.openPull(w, r)
	case mergePath.MatchString(path):
		s.mergePull(w, r, mergePath.FindStringSubmatch(path)[1])
	default:
		return false
	}
	return true
}

func (s *Server) openPull(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Head, Base, Title, Body, Description string
		SourceBranch                         string `json:"source_branch"`
		TargetBranch                         string `json:"target_branch"`
		Source, Destination                  struct{ Branch struct{ Name string } }
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	p := Pull{Owner: "acme", Branch: in.Head + in.SourceBranch + in.Source.Branch.Name, Base: in.Base + in.TargetBranch + in.Destination.Branch.Name,
		Title: in.Title, Body: in.Body + in.Description, SHA: "0123456789abcdef"}
	if i := slices.IndexFunc(s.Pulls, func(x Pull) bool { return x.Branch == p.Branch && x.Owner == p.Owner && x.State == "" }); i >= 0 {
		switch s.Kind {
		case forge.GitHub:
			send(w, 422, map[string]any{"message": "Validation Failed", "errors": []any{map[string]string{"resource": "PullRequest", "code": "custom",
				"message": "A pull request already exists for acme:" + p.Branch + "."}}, "documentation_url": "https://docs.github.com/rest"})
			return
		case forge.GitLab:
			send(w, 409, map[string]any{"message": []string{"Another open merge request already exists for this source branch: !1"}})
			return
		case forge.Gitea:
			send(w, 409, map[string]any{"message": "pull request already exists for these targets [id: 1]"})
			return
		}
	}
	s.next++
	p.Number = int(s.next)
	s.Pulls = append(s.Pulls, p)
	page := pullPage(r, p)
	send(w, 201, map[string]any{"number": p.Number, "iid": p.Number, "id": p.Number, "node_id": pullNode(p), "state": map[forge.Kind]string{forge.GitHub: "open", forge.Gitea: "open", forge.GitLab: "opened", forge.Bitbucket: "OPEN"}[s.Kind],
		"html_url": page, "web_url": page, "links": map[string]any{"html": map[string]string{"href": page}}, "source_branch": p.Branch, "sha": p.SHA,
		"head": map[string]string{"sha": p.SHA, "ref": p.Branch}, "source": map[string]any{"branch": map[string]string{"name": p.Branch}, "commit": map[string]string{"hash": p.SHA[:12]}}})
}

func (s *Server) mergePull(w http.ResponseWriter, r *http.Request, number string) {
	var in struct {
		Method   string `json:"merge_method"`
		Strategy string `json:"merge_strategy"`
		Wait     bool   `json:"merge_when_pipeline_succeeds"`
		Squash   bool
		Do       string // Gitea's
		Checks   bool   `json:"merge_when_checks_succeed"`
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	i := slices.IndexFunc(s.Pulls, func(p Pull) bool { return strconv.Itoa(p.Number) == number })
	if i < 0 {
		s.fail(w, http.StatusNotFound, "Not Found")
		return
	}
	how := in.Method + in.Strategy + in.Do
	if in.Checks && !s.NotMerging {
		how += " when checked"
		s.Pulls[i].Merge = how
		w.WriteHeader(http.StatusCreated) // scheduled
		return
	}
	if in.Wait {
		how = "when checked"
		if in.Squash {
			how += ", squashed"
		}
	}
	s.Pulls[i].Merge = how
	send(w, 200, map[string]any{"sha": s.Pulls[i].SHA, "merged": true, "message": "merged"})
}

// autoMerge is GraphQL's mutation.
func (s *Server) autoMerge(w http.ResponseWriter, query, id string) {
	i := slices.IndexFunc(s.Pulls, func(p Pull) bool { return pullNode(p) == id })
	if i < 0 || s.NotMerging {
		text := "Pull request Pull request is in clean status"
		if i < 0 {
			text = "Could not resolve to a node"
		}
		send(w, 200, map[string]any{"data": nil, "errors": []any{map[string]string{"type": "UNPROCESSABLE", "message": text}}})
		return
	}
	for _, m := range []string{"MERGE", "SQUASH", "REBASE"} {
		if strings.Contains(query, "mergeMethod: "+m) {
			s.Pulls[i].Merge = "auto " + m
		}
	}
	send(w, 200, map[string]any{"data": map[string]any{"enablePullRequestAutoMerge": map[string]any{"clientMutationId": nil}}})
}
