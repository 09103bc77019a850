package contract_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"aloft/controller/forge"
	"aloft/controller/forge/comment"
)

// patient is a client that waits for so long in all, and tells waits to told.
func (w *world) patient(patience time.Duration, seed uint64, told func(forge.Wait)) forge.Client {
	w.t.Helper()
	c, err := forge.New(w.kind, forge.Options{API: w.api, Repo: w.repo, Token: w.me.Token, Agent: "test", Transport: w.wire, Patience: patience, Waiting: told,
		Jitter: rand.NewPCG(seed, 1)})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// TestPatience: the pauses of all requests of a client together are bounded, and told of at most each 15 seconds.
func TestPatience(t *testing.T) {
	t.Parallel()
	limit := func(seconds string) func(w http.ResponseWriter) {
		return func(w http.ResponseWriter) { w.Header().Set("Retry-After", seconds); w.WriteHeader(429) }
	}
	for _, tc := range []struct {
		name     string
		patience time.Duration // 0 = the default, two minutes
		answer   func() func(http.ResponseWriter, *http.Request, int) bool
		reason   forge.Reason // "" = posted
		from, to time.Duration
		told     int // at least
	}{
		{"again and again", 0, func() func(http.ResponseWriter, *http.Request, int) bool { return times(1000, false, limit("25")) }, forge.RateLimited, 75 * time.Second, 2 * time.Minute, 4},
		{"again and again, at once", 0, func() func(http.ResponseWriter, *http.Request, int) bool { return times(1000, false, limit("0")) }, forge.RateLimited, 60 * time.Second, 2 * time.Minute, 1},
		{"each request once", 0, eachOnce("50"), forge.RateLimited, 100 * time.Second, 2 * time.Minute, 6},
		{"each request once, more time", 5 * time.Minute, eachOnce("50"), "", 150 * time.Second, 5 * time.Minute, 9},
		{"little time", 20 * time.Second, func() func(http.ResponseWriter, *http.Request, int) bool { return times(1000, false, limit("15")) }, forge.RateLimited, 15 * time.Second, 20 * time.Second, 1},
		{"longer than there is time", 20 * time.Second, func() func(http.ResponseWriter, *http.Request, int) bool { return times(1000, false, limit("21")) }, forge.RateLimited, 0, 0, 0},
		{"broken, again and again", 5 * time.Second, func() func(http.ResponseWriter, *http.Request, int) bool {
			return times(1000, false, func(w http.ResponseWriter) { w.WriteHeader(502) })
		}, forge.Unavailable, time.Second, 5 * time.Second, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			onForges(t, func(t *testing.T, w *world) {
				w.wire.answer = tc.answer()
				var told []time.Time
				began := time.Now()
				c := w.patient(tc.patience, 1, func(p forge.Wait) {
					told = append(told, time.Now())
					if p.Host != apiHost(w) || p.Reason != forge.RateLimited || !p.Until.After(time.Now()) || p.Left < 0 {
						t.Errorf("%+v", p)
					}
				})
				_, err := comment.Do(context.Background(), c, w.post("k", 1, 0, "text"))
				took := time.Since(began)
				var e *forge.Error
				if tc.reason == "" && err != nil || tc.reason != "" && (!errors.As(err, &e) || e.Reason != tc.reason) {
					t.Errorf("%v, want %q", err, tc.reason)
				}
				if took < tc.from || took > tc.to {
					t.Errorf("took %s", took)
				}
				if len(told) < tc.told {
					t.Errorf("told %d times in %s", len(told), took)
				}
				for i := 1; i < len(told); i++ {
					if told[i].Sub(told[i-1]) < 15*time.Second {
						t.Errorf("told of at %v", told)
					}
				}
			})
		})
	}
}

// apiHost is the host that a world's address names.
func apiHost(w *world) string {
	host := strings.TrimPrefix(strings.TrimPrefix(w.api, "http://"), "https://")
	host, _, _ = strings.Cut(host, "/")
	return host
}

// eachOnce refuses the first try of each request.
func eachOnce(seconds string) func() func(http.ResponseWriter, *http.Request, int) bool {
	return func() func(http.ResponseWriter, *http.Request, int) bool {
		refused := true
		return func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			if refused = !refused; refused {
				return false
			}
			w.Header().Set("Retry-After", seconds)
			w.WriteHeader(429)
			return true
		}
	}
}

// TestDeadline: a pause that would outlast the end of all is not begun.
func TestDeadline(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, w *world) {
		w.wire.answer = always(429, "Retry-After", "40", "", false)
		ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
		defer stop()
		began := time.Now()
		_, err := comment.Do(ctx, w.client(), w.post("k", 1, 0, "text"))
		var e *forge.Error
		if took := time.Since(began); !errors.As(err, &e) || e.Reason != forge.RateLimited || took > time.Second {
			t.Errorf("%v after %s", err, took)
		}
	})
}

// TestJitter: the same source makes the same pauses, another one others, all within their bounds.
func TestJitter(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, w *world) {
		pauses := func(seed uint64, answer func(http.ResponseWriter, *http.Request, int) bool) []time.Duration {
			var at []time.Time
			w.wire.answer = func(rw http.ResponseWriter, r *http.Request, n int) bool {
				at = append(at, time.Now())
				return answer(rw, r, n)
			}
			_, err := w.patient(0, seed, nil).PullRequest(context.Background(), 7)
			if err == nil {
				t.Fatal("there is no answer")
			}
			var out []time.Duration
			for i := 1; i < len(at); i++ {
				out = append(out, at[i].Sub(at[i-1]))
			}
			return out
		}
		broken := always(502, "", "", "", false)
		one, again, two := pauses(1, broken), pauses(1, broken), pauses(2, broken)
		if len(one) != 4 || !slices.Equal(one, again) || slices.Equal(one, two) {
			t.Errorf("%v, %v, %v", one, again, two)
		}
		for i, d := range one {
			if least := 500 * time.Millisecond << i; d < least || d > least*3/2 {
				t.Errorf("pause %d is %s", i, d)
			}
		}
		limited := always(429, "Retry-After", "20", "", false)
		first, other := pauses(1, limited), pauses(2, limited)
		if len(first) == 0 || slices.Equal(first, other) {
			t.Errorf("%v, %v", first, other)
		}
		for _, d := range append(first, other...) {
			if d < 20*time.Second || d > 22*time.Second {
				t.Errorf("a pause is %s", d)
			}
		}
	})
}

// TestSentAgain: what may be carried out twice is sent again after 5xx and cut connections; a post never is.
func TestSentAgain(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, w *world) {
		made, err := w.client().Create(context.Background(), w.target, "text")
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range []string{"503", "429", "cut"} {
			for _, call := range []struct {
				methods []string
				do      func(c forge.Client) error
			}{
				{[]string{http.MethodGet}, func(c forge.Client) error {
					_, err := c.Comments(context.Background(), w.target, forge.Which{})
					return err
				}},
				{[]string{http.MethodPut, http.MethodPatch}, func(c forge.Client) error {
					_, err := c.Update(context.Background(), w.target, made.ID, "text "+fault)
					return err
				}},
				{[]string{http.MethodPost}, func(c forge.Client) error { _, err := c.Create(context.Background(), w.target, "more"); return err }},
				{[]string{http.MethodDelete}, func(c forge.Client) error { return c.Delete(context.Background(), w.target, made.ID) }},
			} {
				if call.methods[0] == http.MethodDelete && fault != "cut" {
					continue // there is one to delete
				}
				left := 1
				w.wire.answer, w.wire.after = nil, nil
				hit := func(r *http.Request) bool {
					if left == 0 || !slices.Contains(call.methods, r.Method) {
						return false
					}
					left--
					return true
				}
				if fault == "cut" {
					base := w.wire.base
					w.wire.base = cutOnce{base, hit}
					defer func() { w.wire.base = base }()
				} else {
					w.wire.answer = func(rw http.ResponseWriter, r *http.Request, _ int) bool {
						if !hit(r) {
							return false
						}
						rw.Header().Set("Retry-After", "1")
						rw.WriteHeader(map[string]int{"503": 503, "429": 429}[fault])
						return true
					}
				}
				before := w.wire.requests(call.methods...)
				err := call.do(w.client())
				sent := w.wire.requests(call.methods...) - before
				name := fmt.Sprintf("%s, %s", call.methods[0], fault)
				var e *forge.Error
				if call.methods[0] == http.MethodPost && fault != "429" {
					if !errors.As(err, &e) || !e.Unsure || sent != 1 {
						t.Errorf("%s: %v, sent %d times", name, err, sent)
					}
					continue
				}
				if err != nil || sent < 2 {
					t.Errorf("%s: %v, sent %d times", name, err, sent)
				}
			}
		}
	})
}

// cutOnce does not let those requests arrive that hit picks.
type cutOnce struct {
	http.RoundTripper
	hit func(*http.Request) bool
}

// RoundTrip is http.RoundTripper's.
func (c cutOnce) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.hit(r) {
		return nil, errCut
	}
	return c.RoundTripper.RoundTrip(r)
}
