package forgetest

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
)

// gitData are objects and branches, as GitHub's API for git's data makes them. Identifiers are digests of what they hold.
type gitData struct {
	blobs   map[string][]byte
	trees   map[string]map[string]string // paths and blobs
	commits map[string]gitCommit
	heads   map[string]string
}

type gitCommit struct {
	tree    string
	parents []string
}

// Branch are the files of a branch, and how many commits it has; nil = there is no such branch.
func (s *Server) Branch(name string) (files map[string][]byte, commits int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.git.heads[name]
	if at == "" {
		return nil, 0
	}
	files = map[string][]byte{}
	for path, blob := range s.git.trees[s.git.commits[at].tree] {
		files[path] = s.git.blobs[blob]
	}
	for commits = 1; len(s.git.commits[at].parents) > 0; commits++ {
		at = s.git.commits[at].parents[0]
	}
	return files, commits
}

func digest(v any) string {
	b, _ := json.Marshal(v)
	sum := sha1.Sum(b)
	return hex.EncodeToString(sum[:])
}

// gitObject answers what is about git's data; false = this is not.
func (s *Server) gitObject(w http.ResponseWriter, r *http.Request, path string) bool {
	rest, ok := strings.CutPrefix(path, "/repos/acme/model/")
	if !ok || s.Kind != "github" {
		return false
	}
	if s.git.heads == nil {
		s.git = gitData{map[string][]byte{}, map[string]map[string]string{}, map[string]gitCommit{}, map[string]string{}}
	}
	var in struct {
		Content, Encoding, Message, Ref, SHA string
		Base                                 string `json:"base_tree"`
		Tree                                 json.RawMessage
		Parents                              []string
		Force                                bool
	}
	if r.Method != http.MethodGet && strings.HasPrefix(rest, "git/") {
		_ = json.NewDecoder(r.Body).Decode(&in)
	}
	switch name, ref := strings.CutPrefix(rest, "git/ref/heads/"); {
	case ref:
		if s.git.heads[name] == "" {
			s.fail(w, http.StatusNotFound, "Not Found")
			return true
		}
		send(w, 200, map[string]any{"ref": "refs/heads/" + name, "object": map[string]string{"sha": s.git.heads[name], "type": "commit"}})
	case rest == "git/blobs":
		b, err := base64.StdEncoding.DecodeString(in.Content)
		if err != nil || in.Encoding != "base64" {
			s.fail(w, 422, "Invalid encoding")
			return true
		}
		sha := digest(in.Content)
		s.git.blobs[sha] = b
		send(w, 201, map[string]string{"sha": sha, "url": "https://api.github.com/x"})
	case rest == "git/trees":
		var list []struct{ Path, Mode, Type, SHA string }
		_ = json.Unmarshal(in.Tree, &list)
		tree := map[string]string{}
		maps.Copy(tree, s.git.trees[in.Base])
		for _, e := range list {
			if s.git.blobs[e.SHA] == nil || in.Base != "" && s.git.trees[in.Base] == nil {
				s.fail(w, 422, "GitRPC::BadObjectState")
				return true
			}
			tree[e.Path] = e.SHA
		}
		sha := digest(tree)
		s.git.trees[sha] = tree
		send(w, 201, map[string]any{"sha": sha, "tree": []any{}, "truncated": false})
	case rest == "git/commits":
		var tree string
		_ = json.Unmarshal(in.Tree, &tree)
		s.next++
		sha := digest([]any{tree, in.Parents, s.next})
		if s.git.trees[tree] == nil {
			s.fail(w, 422, "Tree SHA does not exist")
			return true
		}
		s.git.commits[sha] = gitCommit{tree, in.Parents}
		send(w, 201, map[string]any{"sha": sha})
	case strings.HasPrefix(rest, "git/commits/"):
		c, ok := s.git.commits[strings.TrimPrefix(rest, "git/commits/")]
		if !ok {
			s.fail(w, http.StatusNotFound, "Not Found")
			return true
		}
		send(w, 200, map[string]any{"tree": map[string]string{"sha": c.tree, "url": "https://api.github.com/x"}})
	case rest == "git/refs":
		name := strings.TrimPrefix(in.Ref, "refs/heads/")
		if s.git.heads[name] != "" {
			s.fail(w, 422, "Reference already exists")
			return true
		}
		s.git.heads[name] = in.SHA
		send(w, 201, map[string]any{"ref": in.Ref})
	case strings.HasPrefix(rest, "git/refs/heads/"):
		name := strings.TrimPrefix(rest, "git/refs/heads/")
		if p := s.git.commits[in.SHA].parents; !in.Force && (len(p) == 0 || p[0] != s.git.heads[name]) {
			s.fail(w, 422, "Update is not a fast forward")
			return true
		}
		s.git.heads[name] = in.SHA
		send(w, 200, map[string]any{"ref": "refs/heads/" + name})
	case strings.HasPrefix(rest, "contents/"):
		file := strings.TrimPrefix(rest, "contents/")
		blob := s.git.trees[s.git.commits[s.git.heads[r.URL.Query().Get("ref")]].tree][file]
		if blob == "" {
			s.fail(w, http.StatusNotFound, "Not Found")
			return true
		}
		send(w, 200, map[string]any{"type": "file", "path": file, "name": file, "sha": blob, "size": len(s.git.blobs[blob]), "encoding": "base64",
			"content": base64.StdEncoding.EncodeToString(s.git.blobs[blob]), "html_url": fmt.Sprintf("https://github.com/x/%s", file)})
	default:
		return false
	}
	return true
}
