package contract_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"aloft/controller/forge"
	"aloft/controller/forge/contract"
)

// ask sends one request as the client's user would and gives its status, its body and whether there is a next page.
func (w *world) ask(method, address, contentType string, body []byte) (code int, answer []byte, link string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, address, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.me.Token)
	r.Header.Set("Content-Type", contentType)
	resp, err := w.wire.base.RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if strings.Contains(resp.Header.Get("Link"), `rel="next"`) {
		link = ", Link"
	}
	return resp.StatusCode, b, link
}

// askJSON reads an answer into out.
func (w *world) askJSON(path string, out any) (int, error) {
	w.t.Helper()
	code, b, _ := w.ask(http.MethodGet, w.api+path, "", nil)
	return code, json.Unmarshal(b, out)
}

func (w *world) get(path string) string {
	w.t.Helper()
	code, _, _ := w.ask(http.MethodGet, w.api+path, "", nil)
	return said(code)
}

func (w *world) send(path string, doc any) string {
	w.t.Helper()
	b, err := json.Marshal(doc)
	if err != nil {
		w.t.Fatal(err)
	}
	code, _, _ := w.ask(http.MethodPost, w.api+path, "application/json", b)
	return said(code)
}

// count is how many a list has.
func (w *world) count(path string) string {
	w.t.Helper()
	code, b, link := w.ask(http.MethodGet, w.api+path, "", nil)
	var list []any
	if bytes.Contains(b, []byte("there is no parameter")) {
		return "no such parameter"
	}
	if code != http.StatusOK || json.Unmarshal(b, &list) != nil {
		return said(code)
	}
	return fmt.Sprint(len(list)) + link
}

func said(code int) string {
	if code == http.StatusOK {
		return "there"
	}
	return fmt.Sprintf("HTTP %d", code)
}

// probes ask what the table of differences tells, by its names.
func probes() map[string]func(w *world) string {
	repo := func(w *world) string { return "/repos/" + w.repo }
	issue := func(w *world) string { return fmt.Sprintf("%s/issues/%d", repo(w), w.target.Number) }
	return map[string]func(w *world) string{
		"base of the API": func(w *world) string {
			code, _, _ := w.ask(http.MethodGet, strings.TrimSuffix(w.api, "/api/v1")+"/user", "", nil)
			return said(code)
		},
		"two comments of five, by per_page": func(w *world) string { return w.count(issue(w) + "/comments?per_page=2") },
		"two comments of five, by limit":    func(w *world) string { return w.count(issue(w) + "/comments?limit=2") },
		"one pull request of two, by limit": func(w *world) string { return w.count(repo(w) + "/pulls?state=open&limit=1") },
		"comment of 70,000 characters": func(w *world) string {
			return w.send(issue(w)+"/comments", map[string]string{"body": strings.Repeat("x", 70_000)})
		},
		"status of 200 characters": func(w *world) string {
			return w.send(repo(w)+"/statuses/"+w.pull.SHA, map[string]string{"state": "success", "context": "c", "description": strings.Repeat("x", 200)})
		},
		"status of a state that is none": func(w *world) string {
			return w.send(repo(w)+"/statuses/"+w.pull.SHA, map[string]string{"state": "bogus", "context": "c"})
		},
		"check runs of a commit":    func(w *world) string { return w.get(repo(w) + "/commits/" + w.pull.SHA + "/check-runs") },
		"comments of a commit":      func(w *world) string { return w.get(repo(w) + "/commits/" + w.pull.SHA + "/comments") },
		"pull requests of a commit": func(w *world) string { return w.get(repo(w) + "/commits/" + w.pull.SHA + "/pulls") },
		"file attached to an issue": func(w *world) string {
			var form bytes.Buffer
			m := multipart.NewWriter(&form)
			part, err := m.CreateFormFile("attachment", "plot.png")
			if err == nil {
				_, err = part.Write(pixel)
			}
			if err != nil || m.Close() != nil {
				w.t.Fatal(err)
			}
			code, _, _ := w.ask(http.MethodPost, w.api+issue(w)+"/assets", m.FormDataContentType(), form.Bytes())
			return said(code)
		},
	}
}

// pixel is the smallest PNG.
var pixel = []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00\rIDATx\x9cc\xfc\xcf\xc0P\x0f\x00\x04\x85\x01\x80\x84\xa9\x8c!\x00\x00\x00\x00IEND\xaeB`\x82")

// TestDifferences asks GitHub and Gitea the same. A difference that is not as declared fails, so does one that has gone.
func TestDifferences(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, w *world) {
		if w.kind != forge.GitHub && w.kind != forge.Gitea {
			return
		}
		w.withPull()
		w.withPull()
		w.others("1", "2", "3", "4", "5")
		if w.fake != nil {
			w.fake.Most = w.kind.Limit()
			if w.kind == forge.Gitea {
				w.fake.Most = 0
			}
			w.fake.Pulls = append(w.fake.Pulls, w.fake.Pulls[0])
		}
		ask := probes()
		for _, d := range contract.Differences() {
			want := map[forge.Kind]string{forge.GitHub: d.GitHub, forge.Gitea: d.Gitea}[w.kind]
			if ask[d.Name] == nil || d.GitHub == d.Gitea || d.So == "" {
				t.Errorf("%s: nothing asks this, or it is no difference", d.Name)
			} else if got := ask[d.Name](w); got != want {
				t.Errorf("%s: %s, declared is %s", d.Name, got, want)
			}
		}
		if len(ask) != len(contract.Differences()) {
			t.Errorf("%d are asked, %d are declared", len(ask), len(contract.Differences()))
		}
		if w.fake != nil { // what was asked on purpose
			w.fake.Breaches = nil
		}
	})
}

// TestDocument holds the document to the table.
func TestDocument(t *testing.T) {
	t.Parallel()
	const file = "../../../docs/ci-requirements.md"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, d := range contract.Differences() {
		fmt.Fprintf(&want, "| %s | %s | %s | %s |\n", d.Name, d.GitHub, d.Gitea, d.So)
	}
	if !strings.Contains(string(b), want.String()) {
		t.Errorf("%s does not hold the table of differences:\n%s", file, &want)
	}
	// Every test that it names is there.
	var all strings.Builder
	err = filepath.WalkDir("../../..", func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(name, ".") && name != ".." || name == "bin" || name == "testdata"):
			return filepath.SkipDir
		case strings.HasSuffix(name, "_test.go"):
			b, err := os.ReadFile(path)
			all.Write(b)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z]+|[a-z]+/[a-z_/]+\\.(?:txtar|go))`").FindAllStringSubmatch(string(b), -1) {
		_, err := os.Stat(filepath.Join("../../..", m[1]))
		if !strings.Contains(all.String(), "\nfunc "+m[1]+"(") && err != nil {
			t.Errorf("%s names %s, which is not there", file, m[1])
		}
	}
}
