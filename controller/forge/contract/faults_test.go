package contract_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"aloft/controller/forge"
	"aloft/controller/forge/comment"
)

// errCut is what a client sees of a connection that breaks.
var errCut = fmt.Errorf("read: %w", io.ErrUnexpectedEOF)

// always answers a status and a text to what is not a GET, or to everything.
func always(code int, header, value, body string, writesOnly bool) func(http.ResponseWriter, *http.Request, int) bool {
	return func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if writesOnly && r.Method == http.MethodGet {
			return false
		}
		if header != "" {
			w.Header().Set(header, value)
		}
		w.WriteHeader(code)
		fmt.Fprint(w, body)
		return true
	}
}

// times answers so to the first n requests that are not a GET, or to the first of all.
func times(n int, writesOnly bool, answer func(w http.ResponseWriter)) func(http.ResponseWriter, *http.Request, int) bool {
	return func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if n == 0 || writesOnly && r.Method == http.MethodGet {
			return false
		}
		n--
		answer(w)
		return true
	}
}

// TestFaults meets what forges do on bad days.
func TestFaults(t *testing.T) {
	t.Parallel()
	const page = "<html><body><h1>502 Bad Gateway</h1>" + "SECRET" + "</body></html>"
	for _, tc := range []struct {
		name   string
		answer func(x *world) func(w http.ResponseWriter, r *http.Request, n int) bool
		reason forge.Reason // "" = posted all the same
		least  time.Duration
		posts  int // at most
	}{
		{"5xx twice, with a page", func(*world) func(http.ResponseWriter, *http.Request, int) bool {
			return times(2, false, func(w http.ResponseWriter) { w.WriteHeader(502); fmt.Fprint(w, page) })
		}, "", time.Second, 1},
		{"5xx to a post, which may have been carried out", func(*world) func(http.ResponseWriter, *http.Request, int) bool {
			return times(2, true, func(w http.ResponseWriter) { w.WriteHeader(500) })
		}, "", time.Second, 3},
		{"429", func(*world) func(http.ResponseWriter, *http.Request, int) bool {
			return times(1, true, func(w http.ResponseWriter) { w.Header().Set("Retry-After", "40"); w.WriteHeader(429) })
		}, "", 40 * time.Second, 2},
		{"429 until a date", func(*world) func(http.ResponseWriter, *http.Request, int) bool {
			return times(1, false, func(w http.ResponseWriter) {
				w.Header().Set("Retry-After", time.Now().Add(30*time.Second).UTC().Format(http.TimeFormat))
				w.WriteHeader(429)
			})
		}, "", 29 * time.Second, 1},
		{"429 until a date by a clock that is an hour ahead", func(*world) func(http.ResponseWriter, *http.Request, int) bool {
			return times(1, false, func(w http.ResponseWriter) {
				w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
				w.Header().Set("Retry-After", time.Now().Add(time.Hour+30*time.Second).UTC().Format(http.TimeFormat))
				w.WriteHeader(429)
			})
		}, "", 29 * time.Second, 1},
		{"429 until a date that is past", func(*world) func(http.ResponseWriter, *http.Request, int) bool {
			return times(1, false, func(w http.ResponseWriter) {
				w.Header().Set("Retry-After", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
				w.WriteHeader(429)
			})
		}, "", 0, 1},
		{"used up for a while", func(*world) func(http.ResponseWriter, *http.Request, int) bool {
			return times(1, false, func(w http.ResponseWriter) {
				w.Header().Set("X-RateLimit-Remaining", "0")
				w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(time.Now().Add(20*time.Second).Unix(), 10))
				w.WriteHeader(403)
			})
		}, "", 20 * time.Second, 1},
		{"used up until a moment that is past", func(*world) func(http.ResponseWriter, *http.Request, int) bool {
			return times(1, false, func(w http.ResponseWriter) {
				w.Header().Set("X-RateLimit-Remaining", "0")
				w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(time.Now().Add(-20*time.Minute).Unix(), 10))
				w.WriteHeader(403)
			})
		}, "", time.Second, 1},
		{"used up by a clock that is an hour behind", func(*world) func(http.ResponseWriter, *http.Request, int) bool {
			return times(1, false, func(w http.ResponseWriter) {
				w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
				w.Header().Set("X-RateLimit-Remaining", "0")
				w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(time.Now().Add(-time.Hour+50*time.Second).Unix(), 10))
				w.WriteHeader(429)
			})
		}, "", 50 * time.Second, 1},
		{"secondary limit", func(*world) func(http.ResponseWriter, *http.Request, int) bool {
			return times(1, true, func(w http.ResponseWriter) {
				w.WriteHeader(403)
				fmt.Fprint(w, `{"message":"You have exceeded a secondary rate limit"}`)
			})
		}, "", time.Minute, 2},
		{"secondary limit that says how long", func(*world) func(http.ResponseWriter, *http.Request, int) bool {
			return times(1, true, func(w http.ResponseWriter) {
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(403)
				fmt.Fprint(w, `{"message":"You have exceeded a secondary rate limit"}`)
			})
		}, "", 7 * time.Second, 2},
		{"used up for an hour", func(*world) func(http.ResponseWriter, *http.Request, int) bool {
			return always(429, "Retry-After", "3600", "", false)
		}, forge.RateLimited, 0, 0},
		{"down", func(*world) func(http.ResponseWriter, *http.Request, int) bool {
			return always(503, "", "", page, false)
		}, forge.Unavailable, time.Second, 0},
		{"400", func(x *world) func(http.ResponseWriter, *http.Request, int) bool {
			return always(400, "", "", `{"message":"what is `+x.me.Token+`\u001b[2J"}`, false)
		}, forge.Invalid, 0, 0},
		{"401", func(*world) func(http.ResponseWriter, *http.Request, int) bool {
			return always(401, "", "", `{"message":"Bad credentials"}`, false)
		}, forge.Unauthorized, 0, 0},
		{"403 to writes", func(*world) func(http.ResponseWriter, *http.Request, int) bool {
			return always(403, "", "", `{"message":"Resource not accessible by integration"}`, true)
		}, forge.Forbidden, 0, 1},
		{"404", func(*world) func(http.ResponseWriter, *http.Request, int) bool {
			return always(404, "", "", page, true)
		}, forge.NotFound, 0, 1},
		{"409", func(*world) func(http.ResponseWriter, *http.Request, int) bool {
			return always(409, "", "", `{"message":"Conflict"}`, true)
		}, forge.Invalid, 0, 1},
		{"410, comments are off", func(*world) func(http.ResponseWriter, *http.Request, int) bool {
			return always(410, "", "", `{"message":"Issues are disabled for this repo"}`, true)
		}, forge.NotFound, 0, 1},
		{"422", func(*world) func(http.ResponseWriter, *http.Request, int) bool {
			return always(422, "", "", `{"message":"Validation Failed","errors":[{"message":"no"}]}`, true)
		}, forge.Invalid, 0, 1},
		{"a page with 200", func(*world) func(http.ResponseWriter, *http.Request, int) bool {
			return always(200, "", "", page, false)
		}, forge.Unexpected, 0, 0},
		{"another server", func(*world) func(http.ResponseWriter, *http.Request, int) bool {
			return always(307, "Location", "http://evil.example/x", "", false)
		}, forge.Unexpected, 0, 0},
		{"another server's next page", func(*world) func(http.ResponseWriter, *http.Request, int) bool {
			return func(w http.ResponseWriter, r *http.Request, _ int) bool {
				if strings.HasSuffix(r.URL.Path, "/user") {
					return false
				}
				w.Header().Set("Link", `<http://evil.example/x>; rel="next"`)
				w.Header().Set("X-Next-Page", "")
				body := "[]"
				if strings.HasPrefix(r.URL.Path, "/repositories/") {
					body = `{"values":[],"next":"http://evil.example/x"}`
				}
				if strings.HasPrefix(r.URL.Path, "/api/v4/") { // its pages are numbers: none of them leads anywhere else
					w.WriteHeader(307)
				}
				fmt.Fprint(w, body)
				return true
			}
		}, forge.Unexpected, 0, 0},
		{"a ring of redirects", func(*world) func(http.ResponseWriter, *http.Request, int) bool {
			return func(w http.ResponseWriter, r *http.Request, _ int) bool {
				w.Header().Set("Location", r.URL.RequestURI())
				w.WriteHeader(302)
				return true
			}
		}, forge.Unexpected, 0, 0},
		{"renamed: 301", func(*world) func(http.ResponseWriter, *http.Request, int) bool { return moved(301) }, "", 0, 2},
		{"moved: 307", func(*world) func(http.ResponseWriter, *http.Request, int) bool { return moved(307) }, "", 0, 2},
		{"moved: 308", func(*world) func(http.ResponseWriter, *http.Request, int) bool { return moved(308) }, "", 0, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			onForges(t, func(t *testing.T, w *world) {
				w.wire.answer = tc.answer(w)
				began := time.Now()
				_, err := comment.Do(context.Background(), w.client(), w.post("k", 1, 0, "text"))
				if took := time.Since(began); took < tc.least || took > tc.least+30*time.Second {
					t.Errorf("took %s", took)
				}
				var e *forge.Error
				switch {
				case tc.reason == "" && err != nil:
					t.Error(err)
				case tc.reason != "" && (!errors.As(err, &e) || e.Reason != tc.reason):
					t.Errorf("%v, want %s", err, tc.reason)
				case err != nil && (strings.Contains(err.Error(), w.me.Token) || strings.ContainsAny(err.Error(), "\x1b<\n")):
					t.Errorf("%q is not safe", err)
				}
				if tc.reason == "" && len(w.mine()) != 1 {
					t.Errorf("%+v", w.mine())
				}
				if n := w.wire.requests(http.MethodPost); n > tc.posts {
					t.Errorf("%d posts, at most %d", n, tc.posts)
				}
			})
		})
	}
}

// moved sends each request on, once; the same method is to come again, with the same body.
func moved(code int) func(http.ResponseWriter, *http.Request, int) bool {
	return func(w http.ResponseWriter, r *http.Request, _ int) bool {
		q := r.URL.Query()
		if q.Get("moved") != "" {
			q.Del("moved")
			r.URL.RawQuery = q.Encode()
			return false
		}
		q.Set("moved", "1")
		w.Header().Set("Location", r.URL.EscapedPath()+"?"+q.Encode())
		w.WriteHeader(code)
		return true
	}
}

// TestCut breaks connections: before a request arrives, after it was carried out, and in the middle of the answer.
func TestCut(t *testing.T) {
	t.Parallel()
	write := func(r *http.Request) bool { return r.Method != http.MethodGet }
	for _, tc := range []struct {
		name string
		cut  func(w *world)
	}{
		{"before a post arrives", func(w *world) { w.wire.base = &cutBefore{w.wire.base, 1} }},
		{"after it was carried out", func(w *world) {
			n := 0
			w.wire.after = func(r *http.Request, resp *http.Response, _ int) (*http.Response, error) {
				if n++; write(r) && n <= 4 {
					return nil, errCut
				}
				return resp, nil
			}
		}},
		{"in the middle of the answer to a write", func(w *world) {
			left := 1
			w.wire.after = func(r *http.Request, resp *http.Response, _ int) (*http.Response, error) {
				if write(r) && left > 0 {
					left--
					resp.Body = half(resp.Body)
				}
				return resp, nil
			}
		}},
		{"in the middle of every second answer to a read", func(w *world) {
			w.wire.after = func(r *http.Request, resp *http.Response, n int) (*http.Response, error) {
				if !write(r) && n%2 == 1 {
					resp.Body = half(resp.Body)
				}
				return resp, nil
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			onForges(t, func(t *testing.T, w *world) {
				w.others("talk")
				tc.cut(w)
				if r := w.mustDo(w.post("k", 1, 0, "one")); r.Action != comment.Created {
					t.Errorf("%+v", r)
				}
				w.mustDo(w.post("k", 2, 1, "two"))
				if mine := w.mine(); len(mine) != 1 || !strings.Contains(mine[0].Body, "two") {
					t.Errorf("%+v", mine)
				}
				if n := w.wire.requests(http.MethodPost); n > 2 || strings.HasPrefix(tc.name, "after") && n != 1 {
					t.Errorf("%d posts of one comment", n)
				}
			})
		})
	}
}

// cutBefore lets so many writes not arrive.
type cutBefore struct {
	http.RoundTripper
	left int
}

func (c *cutBefore) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet && c.left > 0 {
		c.left--
		return nil, errCut
	}
	return c.RoundTripper.RoundTrip(r)
}

// half gives the first half of an answer, and then nothing.
func half(body io.ReadCloser) io.ReadCloser {
	b, _ := io.ReadAll(body)
	_ = body.Close()
	return io.NopCloser(io.MultiReader(bytes.NewReader(b[:len(b)/2]), broken{}))
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errCut }

// TestHugeAnswer stops reading an answer that does not end.
func TestHugeAnswer(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, w *world) {
		read := &endless{}
		w.wire.after = func(_ *http.Request, resp *http.Response, _ int) (*http.Response, error) {
			resp.Body = read
			return resp, nil
		}
		_, err := comment.Do(context.Background(), w.client(), w.post("k", 1, 0, "text"))
		if err == nil || !strings.Contains(err.Error(), "too large") || read.n > 64<<20 || w.wire.requests(http.MethodPost) != 0 {
			t.Errorf("%v after %d bytes", err, read.n)
		}
	})
}

type endless struct{ n int }

func (e *endless) Read(b []byte) (int, error) {
	e.n += len(b)
	clear(b)
	return len(b), nil
}

func (e *endless) Close() error { return nil }
