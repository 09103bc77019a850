// Package forgetest is a server that keeps to what GitHub, GitLab, Bitbucket and Gitea document of their comments: pages,
// limits of length and of requests, who may change what, and answers that get lost. It also starts a real Gitea. For tests.
package forgetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"aloft/controller/forge"
)

// Comment is one on the server.
type Comment struct {
	ID     int64
	Author string
	Bot    bool
	Body   string
	System bool
	// Minimized: folded away as outdated.
	Minimized bool
	Place     string // the path of what it hangs on
	Changed   time.Time
}

// Pull is a pull request on the server.
type Pull struct {
	Number             int
	SHA, Owner, Branch string
	State              string
	// Base, Title and Body are of those that were opened here; Merge says how one is, or will be, merged.
	Base, Title, Body, Merge string
}

// Server is one forge with one repository, acme/model.
type Server struct {
	Kind forge.Kind
	// Token is taken, "" = none is needed; its owner is User. NoUser refuses to say who that is, as for tokens of apps.
	Token, User string
	Bot, NoUser bool
	// ReadOnly refuses to write, as for runs of forks.
	ReadOnly bool
	// Age is how old the comments are that Add puts there.
	Age time.Duration
	// Most characters of a comment.
	Most int
	// NewestFirst turns lists around.
	NewestFirst bool
	// Fault, if set, answers instead: true = handled. It sees each request before it is carried out.
	Fault func(w http.ResponseWriter, r *http.Request, n int) bool
	// Lose tells which request is carried out and then not answered.
	Lose func(r *http.Request, n int) bool
	// Unchecked leaves out the comparison with GitHub's description of its API, which takes most of the time.
	Unchecked bool
	// NoChecks refuses check runs, as for tokens that are no app's.
	NoChecks bool
	// Pulls are the pull requests.
	Pulls []Pull
	// Breaches are requests and answers that GitHub's description of its API does not know. There must be none.
	Breaches []string

	// Programs are what GitHub's server offers for the machines of runners.
	Programs []forge.RunnerProgram
	// RunnerPage is how many runners a page has; 0 = as many as are asked for.
	RunnerPage int
	// NotMerging refuses to wait for checks before a merge, as branches without protection do.
	NotMerging bool

	// Uploads are the names of files that were kept, Reruns the paths by which runs were started again.
	Uploads, Reruns []string

	mu       sync.Mutex
	git      gitData
	contract *contract
	comments []Comment
	statuses []Status
	checks   []Check
	runners  []Runner
	runs     []Run
	next     int64
	Log      []string // "METHOD path", in order
}

// Add puts a comment on a place, as someone.
func (s *Server) Add(place, author string, bot bool, body string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	s.comments = append(s.comments, Comment{ID: s.next, Author: author, Bot: bot, Body: body, Place: place, Changed: time.Now().Add(-s.Age)})
	return s.next
}

// Comments are a copy of all that are there.
func (s *Server) Comments() []Comment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.comments)
}

// By are the comments of an author.
func (s *Server) By(author string) []Comment {
	return slices.DeleteFunc(s.Comments(), func(c Comment) bool { return c.Author != author })
}

// Requests counts the requests of a method.
func (s *Server) Requests(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, l := range s.Log {
		if strings.HasPrefix(l, method+" ") {
			n++
		}
	}
	return n
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.Log = append(s.Log, r.Method+" "+r.URL.Path)
	n := len(s.Log)
	s.mu.Unlock()
	if s.Fault != nil && s.Fault(w, r, n) {
		return
	}
	rec := httptest.NewRecorder()
	s.mu.Lock()
	if r.URL.Path == "/graphql" && s.Kind == forge.GitHub {
		s.graphql(rec, r)
	} else if s.Kind == forge.GitHub && !s.Unchecked {
		s.checked(rec, r)
	} else {
		s.answer(rec, r)
	}
	s.mu.Unlock()
	if s.Lose != nil && s.Lose(r, n) {
		if h, ok := w.(http.Hijacker); ok {
			if c, _, err := h.Hijack(); err == nil {
				_ = c.Close()
				return
			}
		}
	}
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

var (
	placePath = regexp.MustCompile(`^(?:/repos/acme/model|/projects/acme(?:%2F|/)model|/repositories/acme/model)/(.*?)(?:/comments|/notes)(?:/([0-9]+))?$`)
	oneGitHub = regexp.MustCompile(`^/repos/acme/model/(?:issues/)?comments/([0-9]+)$`)
)

func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/api/v4")
	if s.Kind == forge.Gitea {
		var ok bool
		if path, ok = strings.CutPrefix(path, "/api/v1"); !ok || strings.Contains(path, "/commits/") || strings.Contains(path, "/check-runs") {
			s.fail(w, http.StatusNotFound, "Not Found")
			return
		}
	}
	switch {
	case !s.known(r):
		s.fail(w, http.StatusUnauthorized, "Bad credentials")
	case path == "/user" && s.NoUser:
		s.fail(w, http.StatusForbidden, "Resource not accessible by integration")
	case path == "/user":
		send(w, 200, map[string]any{"login": s.User, "username": s.User, "uuid": s.User, "user_view_type": "private"})
	case r.Method != http.MethodGet && s.ReadOnly:
		s.fail(w, http.StatusForbidden, "Resource not accessible by integration")
	case s.gitObject(w, r, path), s.runner(w, r, path), s.statusOrCheck(w, r, path), s.makesPull(w, r, path):
	case oneGitHub.MatchString(path) && s.likeGitHub():
		s.one(w, r, oneGitHub.FindStringSubmatch(path)[1])
	case placePath.MatchString(path):
		m := placePath.FindStringSubmatch(path)
		place, _ := url.PathUnescape(m[1])
		switch {
		case m[2] != "":
			s.one(w, r, m[2])
		case r.Method == http.MethodPost:
			s.create(w, r, place)
		default:
			s.list(w, r, place)
		}
	case strings.Contains(path, "pull") || strings.Contains(path, "merge_requests"):
		s.pulls(w, r, path)
	default:
		s.fail(w, http.StatusNotFound, "Not Found")
	}
}

// likeGitHub says that paths and verbs are GitHub's.
func (s *Server) likeGitHub() bool { return s.Kind == forge.GitHub || s.Kind == forge.Gitea }

// graphql knows one mutation.
func (s *Server) graphql(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Query     string
		Variables struct{ ID string }
	}
	err := json.NewDecoder(r.Body).Decode(&in)
	if err == nil && strings.Contains(in.Query, "enablePullRequestAutoMerge(") && s.known(r) {
		s.autoMerge(w, in.Query, in.Variables.ID)
		return
	}
	if err != nil || !strings.Contains(in.Query, "minimizeComment(") || !s.known(r) {
		s.fail(w, http.StatusBadRequest, "Problems parsing JSON")
		return
	}
	i := slices.IndexFunc(s.comments, func(c Comment) bool { return node(c) == in.Variables.ID })
	if i < 0 {
		send(w, 200, map[string]any{"data": nil, "errors": []any{map[string]string{"type": "NOT_FOUND", "message": "Could not resolve to a node"}}})
		return
	}
	s.comments[i].Minimized = true
	send(w, 200, map[string]any{"data": map[string]any{"minimizeComment": map[string]any{"minimizedComment": map[string]bool{"isMinimized": true}}}})
}

func node(c Comment) string { return "IC_" + strconv.FormatInt(c.ID, 10) }

func (s *Server) known(r *http.Request) bool {
	if s.Token == "" { // Bitbucket's proxy in a pipeline
		return r.Header.Get("Authorization") == ""
	}
	if s.Kind == forge.GitLab {
		return r.Header.Get("PRIVATE-TOKEN") == s.Token
	}
	if user, password, ok := r.BasicAuth(); ok {
		return user+":"+password == s.Token
	}
	return r.Header.Get("Authorization") == "Bearer "+s.Token
}

// list gives one page, as each forge does.
func (s *Server) list(w http.ResponseWriter, r *http.Request, place string) {
	q := r.URL.Query()
	size := map[forge.Kind]int{forge.GitHub: 30, forge.GitLab: 20, forge.Bitbucket: 10}[s.Kind]
	for _, name := range []string{"per_page", "pagelen"} {
		if n, err := strconv.Atoi(q.Get(name)); err == nil {
			size = min(n, 100)
		}
	}
	page := max(atoi(q.Get("page")), 1)
	if s.Kind == forge.Gitea { // all at once
		size, page = max(len(s.comments), 1), 1
	}
	var all []any
	for _, c := range s.comments {
		if at, err := time.Parse(time.RFC3339, q.Get("since")); err == nil && c.Changed.Before(at) {
			continue
		}
		if c.Place == place {
			all = append(all, s.show(r, c))
		}
	}
	if s.NewestFirst || s.Kind == forge.GitLab && q.Get("sort") != "asc" {
		slices.Reverse(all)
	}
	from := min((page-1)*size, len(all))
	to := min(from+size, len(all))
	next := ""
	if to < len(all) {
		q.Set("page", strconv.Itoa(page+1))
		next = "http://" + r.Host + r.URL.EscapedPath() + "?" + q.Encode()
	}
	items := append([]any{}, all[from:to]...)
	switch s.Kind {
	case forge.Bitbucket:
		doc := map[string]any{"values": items, "page": page, "pagelen": size}
		if next != "" {
			doc["next"] = next
		}
		send(w, 200, doc)
		return
	case forge.GitLab:
		w.Header().Set("X-Next-Page", "")
		if next != "" {
			w.Header().Set("X-Next-Page", strconv.Itoa(page+1))
		}
	default:
		if next != "" {
			w.Header().Set("Link", fmt.Sprintf(`<%s>; rel="next", <%s>; rel="last"`, next, next))
		}
	}
	send(w, 200, items)
}

func (s *Server) show(r *http.Request, c Comment) any {
	kind := "User"
	if c.Bot {
		kind = "Bot"
	}
	page := "http://" + r.Host + "/page#" + strconv.FormatInt(c.ID, 10)
	switch s.Kind {
	case forge.GitLab:
		if strings.Contains(c.Place, "commits") {
			return map[string]any{"note": c.Body, "author": map[string]string{"username": c.Author}, "created_at": strconv.FormatInt(c.ID, 10)}
		}
		return map[string]any{"id": c.ID, "body": c.Body, "system": c.System, "author": map[string]string{"username": c.Author}}
	case forge.Bitbucket:
		return map[string]any{"id": c.ID, "content": map[string]string{"raw": c.Body}, "user": map[string]string{"uuid": c.Author}, "links": map[string]any{"html": map[string]string{"href": page}}}
	}
	return map[string]any{"id": c.ID, "node_id": node(c), "body": c.Body, "html_url": page, "updated_at": c.Changed.UTC().Format(time.RFC3339), "user": map[string]string{"login": c.Author, "type": kind}}
}

func (s *Server) text(r *http.Request) string {
	var doc struct {
		Body, Note string
		Content    struct{ Raw string }
	}
	_ = json.NewDecoder(r.Body).Decode(&doc)
	return doc.Body + doc.Note + doc.Content.Raw
}

func (s *Server) create(w http.ResponseWriter, r *http.Request, place string) {
	body := s.text(r)
	if s.tooLong(w, body) {
		return
	}
	s.next++
	c := Comment{ID: s.next, Author: s.User, Bot: s.Bot, Body: body, Place: place, Changed: time.Now()}
	s.comments = append(s.comments, c)
	send(w, 201, s.show(r, c))
}

func (s *Server) tooLong(w http.ResponseWriter, body string) bool {
	if s.Most == 0 || utf8.RuneCountInString(body) <= s.Most {
		return false
	}
	switch s.Kind {
	case forge.Bitbucket:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(400)
		_, _ = w.Write([]byte("<html><body>Bad Request</body></html>"))
	case forge.GitLab:
		send(w, 400, map[string]any{"message": map[string]any{"note": []string{"is too long (maximum is 1000000 characters)"}}})
	default:
		send(w, 422, map[string]any{"message": "Validation Failed", "errors": []any{map[string]string{"resource": "IssueComment", "code": "unprocessable", "field": "data",
			"message": fmt.Sprintf("Body is too long (maximum is %d characters)", s.Most)}}})
	}
	return true
}

func (s *Server) one(w http.ResponseWriter, r *http.Request, id string) {
	i := slices.IndexFunc(s.comments, func(c Comment) bool { return strconv.FormatInt(c.ID, 10) == id })
	switch {
	case i < 0:
		s.fail(w, http.StatusNotFound, "Not Found")
	case s.comments[i].Author != s.User:
		s.fail(w, http.StatusForbidden, "Must have admin rights")
	case r.Method == http.MethodDelete:
		s.comments = slices.Delete(s.comments, i, i+1)
		w.WriteHeader(204)
	case r.Method == http.MethodPatch && s.likeGitHub(), r.Method == http.MethodPut && !s.likeGitHub():
		body := s.text(r)
		if s.tooLong(w, body) {
			return
		}
		s.comments[i].Body, s.comments[i].Changed = body, time.Now()
		send(w, 200, s.show(r, s.comments[i]))
	default:
		s.fail(w, http.StatusMethodNotAllowed, "Method Not Allowed")
	}
}

func (s *Server) pulls(w http.ResponseWriter, r *http.Request, path string) {
	last := path[strings.LastIndex(path, "/")+1:]
	q := r.URL.Query()
	list := []any{}
	for _, p := range s.Pulls {
		state := map[forge.Kind]string{forge.GitHub: "open", forge.Gitea: "open", forge.GitLab: "opened", forge.Bitbucket: "OPEN"}[s.Kind]
		if p.State != "" {
			state = p.State
		}
		doc := map[string]any{"node_id": pullNode(p), "html_url": pullPage(r, p), "web_url": pullPage(r, p), "links": map[string]any{"html": map[string]string{"href": pullPage(r, p)}}, "number": p.Number, "iid": p.Number, "id": p.Number, "state": state, "sha": p.SHA, "source_branch": p.Branch,
			"head":   map[string]string{"sha": p.SHA, "ref": p.Branch},
			"source": map[string]any{"branch": map[string]string{"name": p.Branch}, "commit": map[string]string{"hash": p.SHA[:min(12, len(p.SHA))]}}}
		if p.Owner != "" && s.Kind != forge.GitHub {
			doc["source_project_id"], doc["target_project_id"] = map[bool]int{true: 1, false: 2}[p.Owner == "acme"], 1
			doc["head"] = map[string]any{"sha": p.SHA, "ref": p.Branch, "repo": map[string]string{"full_name": p.Owner + "/model"}}
			doc["source"].(map[string]any)["repository"] = map[string]string{"full_name": p.Owner + "/model"}
		}
		if last == strconv.Itoa(p.Number) {
			send(w, 200, doc)
			return
		}
		switch {
		case q.Get("head") != "" && q.Get("head") != p.Owner+":"+p.Branch:
		case q.Get("q") != "" && !strings.Contains(q.Get("q"), `"`+p.Branch+`"`):
		case strings.Contains(path, "/commits/") && (!strings.Contains(path, p.SHA) || p.Owner != "acme"):
		default:
			list = append(list, doc)
		}
	}
	switch {
	case atoi(last) > 0:
		s.fail(w, http.StatusNotFound, "Not Found")
	case s.Kind == forge.Bitbucket:
		send(w, 200, map[string]any{"values": list})
	case s.Kind == forge.Gitea && atoi(q.Get("limit")) > 0:
		size, page := min(atoi(q.Get("limit")), 50), max(atoi(q.Get("page")), 1)
		from := min((page-1)*size, len(list))
		to := min(from+size, len(list))
		if to < len(list) {
			q.Set("page", strconv.Itoa(page+1))
			w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?%s>; rel="next"`, r.Host, r.URL.EscapedPath(), q.Encode()))
		}
		send(w, 200, list[from:to])
	default:
		send(w, 200, list)
	}
}

func (s *Server) fail(w http.ResponseWriter, code int, text string) {
	if s.Kind == forge.Bitbucket {
		send(w, code, map[string]any{"type": "error", "error": map[string]string{"message": text}})
		return
	}
	send(w, code, map[string]string{"message": text})
}

func send(w http.ResponseWriter, code int, doc any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(doc)
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}
