package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aloft/controller/catalog/fetch"
	"aloft/controller/catalog/shelf"
)

const csv = "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,AvailabilityZone\n"

// server publishes catalogues as a file server does, and can be made to fail.
type server struct {
	mu    sync.Mutex
	files map[string]string
	etags bool  // validate by ETag, else by date
	fail  []int // statuses of the next answers
	cut   bool  // break off in the middle
	asked []string
	since time.Time
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.URL.Path)
	if len(s.fail) > 0 {
		code := s.fail[0]
		s.fail = s.fail[1:]
		w.WriteHeader(code)
		return
	}
	text, ok := s.files[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if s.cut {
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		_, _ = io.WriteString(w, text[:len(text)/2])
		return
	}
	since := s.since
	if s.etags {
		w.Header().Set("ETag", fmt.Sprintf("%q", fmt.Sprint(len(text))))
		since = time.Time{}
	}
	http.ServeContent(w, r, "vms.csv", since, strings.NewReader(text))
}

func (s *server) set(path, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[path] = text
	s.since = s.since.Add(time.Hour)
}

type rig struct {
	t      *testing.T
	s      *server
	shelf  shelf.Shelf
	up     *fetch.Updater
	vms    string
	clock  time.Time
	update func(want fetch.Status) fetch.Result
}

func newRig(t *testing.T, etags, force bool) *rig {
	t.Helper()
	s := &server{files: map[string]string{}, etags: etags, since: time.Unix(1_600_000_000, 0)}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	r := &rig{t: t, s: s, shelf: shelf.Home(t.TempDir()), clock: time.UnixMilli(1_700_000_000_000)}
	r.vms = filepath.Join(r.shelf.Dir, "aws", "vms.csv")
	up, err := fetch.NewUpdater(fetch.Options{Shelf: r.shelf, URL: srv.URL + "/v8/", Force: force, Now: func() time.Time { return r.clock }, Retries: 2, Pause: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	r.up = up
	r.update = func(want fetch.Status) fetch.Result {
		t.Helper()
		rs, err := up.Update(t.Context(), "aws")
		if err != nil || rs[0].Status != want || rs[0].File != "vms.csv" {
			t.Fatalf("%+v, %v; want %s", rs, err, want)
		}
		return rs[0]
	}
	return r
}

func (r *rig) content() string {
	r.t.Helper()
	b, err := os.ReadFile(r.vms)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	for _, etags := range []bool{true, false} {
		t.Run(fmt.Sprintf("etags %v", etags), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, etags, false)
			one, two := csv+"m,,,2,8,,0.1,,us,\n", csv+"m,,,2,8,,0.2,,us,\nn,,,2,8,,0.2,,us,\nbad\n"
			r.s.set("/v8/aws/vms.csv", one)
			r.s.set("/v8/aws/images.csv", "Tag,Region\na,b\n")
			if got := r.update(fetch.New); got.Rows != 1 || got.Bytes != int64(len(one)) {
				t.Errorf("%+v", got)
			}
			if r.content() != one {
				t.Error("another content")
			}
			if _, err := os.Stat(filepath.Join(r.shelf.Dir, "aws", "images.csv")); err != nil {
				t.Error(err)
			}
			b, err := r.shelf.Open("aws")
			if err != nil || !b.Date.Equal(r.clock) {
				t.Fatalf("%+v, %v", b, err)
			}
			// Nothing new: the file is as it was, and known to be the newest.
			r.clock = r.clock.Add(30 * 24 * time.Hour)
			r.update(fetch.Unchanged)
			if b, err := r.shelf.Open("aws"); err != nil || !b.Date.Equal(r.clock) {
				t.Fatalf("%+v, %v", b, err)
			}
			r.s.set("/v8/aws/vms.csv", two)
			if got := r.update(fetch.New); got.Rows != 2 || got.Bad != 1 || !strings.Contains(got.Problems[0].String(), "/v8/aws/vms.csv:4: 1 fields") {
				t.Errorf("%+v", got)
			}
			if r.content() != two {
				t.Error("another content")
			}
			left, err := filepath.Glob(filepath.Join(r.shelf.Dir, "aws", ".new-*"))
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestUpdateKeepsWhatIsEdited(t *testing.T) {
	t.Parallel()
	r := newRig(t, true, false)
	r.s.set("/v8/aws/vms.csv", csv+"m,,,2,8,,0.1,,us,\n")
	r.update(fetch.New)
	mine := csv + "mine,,,2,8,,0.1,,us,\n"
	if err := os.WriteFile(r.vms, []byte(mine), 0o644); err != nil {
		t.Fatal(err)
	}
	r.update(fetch.Kept)
	if r.content() != mine {
		t.Error("the user's file was replaced")
	}
	forced, err := fetch.NewUpdater(fetch.Options{Shelf: r.shelf, URL: r.url(), Force: true, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if rs, err := forced.Update(t.Context(), "aws"); err != nil || rs[0].Status != fetch.New || r.content() == mine {
		t.Fatalf("%+v, %v", rs, err)
	}
}

// url of the server, from what is known of the file.
func (r *rig) url() string {
	m, ok := r.shelf.Meta("aws", "vms.csv")
	if !ok {
		r.t.Fatal("nothing is known of the file")
	}
	return strings.TrimSuffix(m.URL, "/aws/vms.csv")
}

// TestUpdateFails: whatever goes wrong, the old file stays.
func TestUpdateFails(t *testing.T) {
	t.Parallel()
	good := csv + "m,,,2,8,,0.1,,us,\n"
	for _, x := range []struct {
		name string
		make func(s *server)
		want string // in the error; "" = it is got over
	}{
		{"busy for a while", func(s *server) { s.fail = []int{503, 429} }, ""},
		{"busy for ever", func(s *server) { s.fail = []int{503, 503, 503, 503, 503, 503} }, "503"},
		{"forbidden", func(s *server) { s.fail = []int{403} }, "403"},
		{"gone", func(s *server) { delete(s.files, "/v8/aws/vms.csv") }, "404"},
		{"a page instead", func(s *server) { s.files["/v8/aws/vms.csv"] = "<html>a proxy says hello, and more</html>" }, "not a catalogue"},
		{"empty", func(s *server) { s.files["/v8/aws/vms.csv"] = "" }, "it is empty"},
		{"mostly bad", func(s *server) { s.files["/v8/aws/vms.csv"] = good + "x\ny\n" }, "2 of 3 rows are bad"},
		{"broken off", func(s *server) { s.cut = true; s.files["/v8/aws/vms.csv"] = good + good[len(csv):] }, "EOF"},
		{"a page for another file", func(s *server) { s.files["/v8/aws/images.csv"] = "<html>no, no</html>" }, "no header"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, true, false)
			r.s.set("/v8/aws/vms.csv", good)
			r.update(fetch.New)
			r.s.mu.Lock()
			r.s.files["/v8/aws/vms.csv"] = good + "n,,,2,8,,0.1,,us,\n"
			x.make(r.s)
			r.s.mu.Unlock()
			_, err := r.up.Update(t.Context(), "aws")
			if x.want == "" {
				if err != nil || r.content() == good {
					t.Fatalf("%v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), x.want) {
				t.Fatalf("got %v, want %q", err, x.want)
			}
			if x.name != "a page for another file" && r.content() != good {
				t.Error("the old file is gone")
			}
		})
	}
}

// api is a cloud that tells itself what it sells.
type api struct {
	text string
	err  error
}

func (a api) Catalogue(_ context.Context, w io.Writer) error {
	if _, err := io.WriteString(w, a.text); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return a.err
}

func TestSource(t *testing.T) {
	t.Parallel()
	s := shelf.Home(t.TempDir())
	errDenied := errors.New("denied")
	for _, x := range []struct {
		src  api
		want error
	}{{api{text: csv + "m,,,2,8,,0.1,,us,\n"}, nil}, {api{text: csv, err: errDenied}, errDenied}} {
		u, err := fetch.NewUpdater(fetch.Options{Shelf: s, Sources: map[string]fetch.Source{"aws": x.src}, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		rs, err := u.Update(t.Context(), "aws")
		if !errors.Is(err, x.want) || x.want == nil && (err != nil || rs[0].Status != fetch.New) {
			t.Fatalf("%+v, %v", rs, err)
		}
		if b, err := s.Open("aws"); err != nil || b.Sheet.Len() != 1 {
			t.Fatalf("%+v, %v", b, err)
		}
	}
}

func TestNewUpdater(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"ftp://x/y", "nowhere", "http://", "::"} {
		if _, err := fetch.NewUpdater(fetch.Options{URL: url, Now: time.Now}); err == nil {
			t.Errorf("%q is taken for a URL", url)
		}
	}
	u, err := fetch.NewUpdater(fetch.Options{Shelf: shelf.Home(t.TempDir()), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Update(t.Context(), "../x"); err == nil {
		t.Error("a path is taken for a cloud")
	}
}
