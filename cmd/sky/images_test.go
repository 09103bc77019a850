package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aloft/controller/forge"
	"aloft/controller/forge/forgetest"
)

var pixelPNG = []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89")

// reportWith is a report in a directory of its own, beside a picture; above it is one that is nobody's business.
func reportWith(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	report := filepath.Join(dir, "out", "report.md")
	if err := os.Mkdir(filepath.Dir(report), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{report: text, filepath.Join(dir, "out", "acc.png"): string(pixelPNG), filepath.Join(dir, "secret.png"): string(pixelPNG),
		filepath.Join(dir, "out", "env.png"): "TOKEN=hunter22"} {
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return report
}

const pictured = "# Report\n\n![acc @ann](acc.png)\n\n![gone](none.png) ![up](../secret.png) ![env](env.png) ![web](https://evil.example/x.png)\n\n```\n![code](acc.png)\n```\n"

func TestCommentImages(t *testing.T) {
	t.Parallel()
	github := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/model", "GITHUB_RUN_ID": "900", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_SHA": "bbbbbbbbbb", "GITHUB_EVENT_NAME": "push", "GITHUB_TOKEN": "tok"}
	gitea := map[string]string{"GITEA_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/model", "GITHUB_RUN_ID": "900", "GITHUB_SHA": "bbbbbbbbbb", "GITHUB_EVENT_NAME": "push", "GITHUB_TOKEN": "tok"}
	gitlab := map[string]string{"GITLAB_CI": "true", "CI_PROJECT_PATH": "acme/model", "CI_COMMIT_SHA": "bbbbbbbbbb", "CI_PIPELINE_ID": "5", "REPO_TOKEN": "tok"}
	for _, tc := range []struct {
		name    string
		kind    forge.Kind
		env     map[string]string
		args    []string
		shown   string // of the picture that is there
		uploads int
		branch  int
	}{
		{"github keeps none", forge.GitHub, github, []string{"--image-artifact", "report <b>"}, "🖼 (the picture acc.png is in the artifact report b of the run)", 0, 0},
		{"github, on a branch", forge.GitHub, github, []string{"--image-branch"}, "/blob/sky-assets/", 0, 1},
		{"github, trusted", forge.GitHub, github, []string{"--trusted"}, "🖼 (the picture acc.png is among the files of the run)", 0, 0},
		{"gitlab", forge.GitLab, gitlab, nil, "![acc ann](<http://HOST/-/project/1/uploads/1/", 1, 0},
		{"gitea", forge.Gitea, gitea, nil, "![acc ann](<http://HOST/attachments/1> \"sky ", 1, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := &forgetest.Server{Kind: tc.kind, Token: "tok", User: "me"}
			web := httptest.NewServer(s)
			t.Cleanup(web.Close)
			env := map[string]string{"GITHUB_API_URL": web.URL, "GITHUB_SERVER_URL": web.URL, "CI_API_V4_URL": web.URL + "/api/v4", "CI_SERVER_URL": web.URL}
			if tc.kind == forge.Gitea {
				env["GITHUB_API_URL"] += "/api/v1"
			}
			for k, v := range tc.env {
				env[k] = v
			}
			report := reportWith(t, pictured)
			for range 2 { // the second time nothing is uploaded, and nothing changes
				args := append([]string{"comment", "create", report, "--pr", "7"}, tc.args...)
				code, out, errOut := skyWith(t, env, "", args...)
				if code != 0 || !strings.Contains(errOut, "no picture none.png") || !strings.Contains(errOut, "../secret.png") || !strings.Contains(errOut, "env.png is left out") {
					t.Fatalf("ended with %d\n%s\n%s", code, out, errOut)
				}
				there := s.Comments()
				if len(there) != 1 {
					t.Fatalf("%+v", there)
				}
				body := there[0].Body
				for _, want := range []string{strings.ReplaceAll(tc.shown, "HOST", strings.TrimPrefix(web.URL, "http://")), "⚠️ (the picture none.png is missing)", "⚠️ (the picture secret.png was left out)",
					"⚠️ (the picture env.png was left out)", "```\n![code](acc.png)\n```"} {
					if !strings.Contains(body, want) {
						t.Errorf("no %q in\n%s", want, body)
					}
				}
				if trusted := len(tc.args) > 0 && tc.args[0] == "--trusted"; strings.Contains(body, "hunter22") || strings.Contains(body, "skypicture") || strings.Contains(body, "](https://evil") != trusted {
					t.Errorf("%s", body)
				}
			}
			files, _ := s.Branch("sky-assets")
			if len(s.Uploads) != tc.uploads || len(files) != tc.branch || s.Requests(http.MethodPatch)+s.Requests(http.MethodPut) != 0 {
				t.Errorf("%v uploaded, %d on the branch, %d changes", s.Uploads, len(files), s.Requests(http.MethodPatch)+s.Requests(http.MethodPut))
			}
			for _, b := range s.Breaches {
				t.Error(b)
			}
		})
	}
}

// TestCommentBucket keeps a picture in a bucket; credentials come from the environment as AWS's own programs take them.
func TestCommentBucket(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hunter22")
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	var put []string
	bucket := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPut || string(b) != string(pixelPNG) || !strings.Contains(r.Header.Get("Authorization"), "/eu-west-1/s3/aws4_request") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		put = append(put, r.URL.Path)
	}))
	t.Cleanup(bucket.Close)
	s := &forgetest.Server{Kind: forge.GitHub, Token: "tok", User: "me"}
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	env := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_API_URL": web.URL, "GITHUB_SERVER_URL": web.URL, "GITHUB_REPOSITORY": "acme/model", "GITHUB_RUN_ID": "900", "GITHUB_TOKEN": "tok",
		"AWS_ENDPOINT_URL_S3": bucket.URL}
	report := reportWith(t, "![acc](acc.png)\n")
	for _, links := range []string{"presigned", "public"} {
		code, out, errOut := skyWith(t, env, "", "comment", "create", report, "--pr", "7", "--key", links, "--image-bucket", "s3://plots/ci", "--image-links", links)
		body := s.Comments()[len(s.Comments())-1].Body
		if code != 0 || len(put) == 0 || !strings.Contains(body, "![acc](<"+bucket.URL+"/plots/ci/") || strings.Contains(body, "X-Amz-Signature") != (links == "presigned") || strings.Contains(body+out+errOut, "hunter22") {
			t.Errorf("ended with %d\n%s%s\n%s", code, out, errOut, body)
		}
	}
	for _, args := range [][]string{{"--image-links", "x"}, {"--image-bucket", "http://x", "--key", "bad"}} {
		code, _, errOut := skyWith(t, env, "", append([]string{"comment", "create", report, "--pr", "7"}, args...)...)
		if args[0] == "--image-links" && code != exitUsage || args[0] == "--image-bucket" && !strings.Contains(errOut, "s3://BUCKET/PREFIX") {
			t.Errorf("%v: ended with %d\n%s", args, code, errOut)
		}
	}
	// In a dry run nothing goes anywhere.
	before, puts := len(s.Log), len(put)
	code, out, errOut := skyWith(t, env, "", "comment", "create", report, "--pr", "7", "--key", "dry", "--image-bucket", "s3://plots/ci", "--image-branch", "--dry-run")
	if code != 0 || len(put) != puts || !strings.Contains(out, "the picture acc.png is") {
		t.Errorf("ended with %d, %d puts\n%s%s", code, len(put)-puts, out, errOut)
	}
	for _, l := range s.Log[before:] {
		if !strings.HasPrefix(l, "GET ") {
			t.Errorf("%s in a dry run", l)
		}
	}
}
