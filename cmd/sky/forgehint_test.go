package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aloft/controller/forge"
	"aloft/controller/forge/cienv"
	"aloft/controller/forge/comment"
)

// TestForgeErrors keeps what is told when a forge refuses: which token was shown to which host, and what it needs.
func TestForgeErrors(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for _, k := range forge.Kinds() {
		for _, args := range []string{"comment create - --target pr/7", "comment create - --target issue/3", "comment create - --target commit/abcdef0", "ci check --state success", "ci check --state success --as check"} {
			if k == forge.Gitea && strings.Contains(args, "commit/") || strings.HasSuffix(args, "--as check") && k != forge.GitHub {
				continue
			}
			for _, code := range []int{401, 403, 404} {
				web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if code != 401 && strings.HasSuffix(r.URL.Path, "/user") {
						fmt.Fprint(w, `{"login":"me","username":"me","uuid":"me"}`)
						return
					}
					w.WriteHeader(code)
					said := map[int]string{401: "Bad credentials", 403: "Resource not accessible", 404: "Not Found"}[code]
					if k == forge.Bitbucket {
						_ = json.NewEncoder(w).Encode(map[string]any{"type": "error", "error": map[string]string{"message": said}})
						return
					}
					_ = json.NewEncoder(w).Encode(map[string]string{"message": said})
				}))
				env := map[string]string{"REPO_TOKEN": "hunter22"}
				actions := map[string]string{"GITHUB_SERVER_URL": web.URL, "GITHUB_REPOSITORY": "acme/model", "GITHUB_SHA": "bbbbbbbbbb", "GITHUB_EVENT_NAME": "push", "GITHUB_TOKEN": "hunter22"}
				switch k {
				case forge.GitHub:
					env = actions
					env["GITHUB_ACTIONS"], env["GITHUB_API_URL"] = "true", web.URL
				case forge.Gitea:
					env = actions
					env["GITEA_ACTIONS"], env["GITHUB_API_URL"] = "true", web.URL+"/api/v1"
				case forge.GitLab:
					env["GITLAB_CI"], env["CI_API_V4_URL"], env["CI_PROJECT_PATH"], env["CI_COMMIT_SHA"] = "true", web.URL+"/api/v4", "acme/model", "bbbbbbbbbb"
				}
				env["NO_COLOR"] = "1"
				exit, out, errOut := exitNotPosted, "", ""
				if k == forge.Bitbucket { // it is at its public address alone, so its client is asked without a command
					errOut = bitbucketError(t, web.URL, args)
				} else {
					exit, out, errOut = skyWith(t, env, "# Report\n", strings.Fields(args)...)
				}
				web.Close()
				if exit != exitNotPosted || strings.Contains(out+errOut, "hunter22") {
					t.Errorf("%s, %s, %d: ended with %d\n%s%s", k, args, code, exit, out, errOut)
				}
				fmt.Fprintf(&got, "## %s: sky %s\n%s\n", k, args, strings.ReplaceAll(errOut, strings.TrimPrefix(web.URL, "http://"), "HOST"))
			}
		}
	}
	file := filepath.Join("testdata", "forge_errors.txt")
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != got.String() {
		t.Errorf("%v: %s is stale (go test ./cmd/sky -run TestForgeErrors -update):\n%s", err, file, &got)
	}
}

// bitbucketError is what a command says when Bitbucket refuses.
func bitbucketError(t *testing.T, api, args string) string {
	t.Helper()
	c, err := forge.New(forge.Bitbucket, forge.Options{API: api, Repo: "acme/model", Token: "me:hunter22"})
	if err != nil {
		t.Fatal(err)
	}
	x := forgeAccess{source: "$BITBUCKET_TOKEN", host: c.Host(), repo: "acme/model"}
	var hint string
	_, place, post := strings.Cut(args, "--target ")
	if post {
		target := forge.Target{Place: forge.Place(strings.Split(place, "/")[0]), Number: 7, SHA: "abcdef0"}
		_, err = comment.Do(t.Context(), c, comment.Post{Target: target, Key: "k", Text: "# Report"})
		hint = postHint(err, cienv.Context{}, forge.Bitbucket, target, x)
	} else {
		_, err = c.(forge.CheckSetter).SetCheck(t.Context(), forge.Check{Status: forge.Status{SHA: "bbbbbbbbbb", Name: "sky", State: forge.Success}})
		hint = checkHint(err, forge.Bitbucket, "bbbbbbbbbb", "auto", x)
	}
	return "sky: " + notPosted(err, hint).Error() + "\n"
}
