package forge

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxRetries = 4 // of a request that failed; one that was refused for a limit is sent as long as patience lasts
	tryTimeout = 20 * time.Second
	firstPause = 500 * time.Millisecond
	lastPause  = 30 * time.Second // between two tries, where the forge does not say how long
	// secondPause follows a secondary limit that does not say how long: GitHub asks for a minute at least.
	secondPause = time.Minute
	// tellPause is how often a wait is told of, tellFrom how long one is that is told of at all.
	tellPause = 15 * time.Second
	tellFrom  = 5 * time.Second
)

// DefaultPatience is how long a client waits in all, between the tries of all its requests.
const DefaultPatience = 2 * time.Minute

// Wait is a pause that a client makes before it sends a request again.
type Wait struct {
	Host   string    // the server that is waited for
	Reason Reason    // RateLimited or Unavailable
	Until  time.Time // when the request is sent again, by our clock
	// Left is how long the client would still wait after this pause, before it gives up.
	Left time.Duration
}

// waiter makes the pauses of one client: all together no longer than its patience.
type waiter struct {
	host string
	tell func(Wait)

	mu     sync.Mutex
	rand   *rand.Rand
	left   time.Duration
	told   time.Time
	silent bool // nothing was told yet
}

func newWaiter(host string, o Options) *waiter {
	w := &waiter{host: host, tell: o.Waiting, left: o.Patience, silent: true}
	if w.left <= 0 {
		w.left = DefaultPatience
	}
	src := o.Jitter
	if src == nil {
		src = rand.NewPCG(rand.Uint64(), rand.Uint64())
	}
	w.rand = rand.New(src) // #nosec G404: clients are to come at different times, no secret hangs on it
	return w
}

// pause waits before try n+1 and reports whether there is one: not when the forge asks for more than there is patience or
// time for, and not after the end of ctx.
func (w *waiter) pause(ctx context.Context, why Reason, asked time.Duration, n int) bool {
	w.mu.Lock()
	back := min(firstPause<<min(n, 10), lastPause)
	// Jobs that were refused together are not to come back together.
	back += time.Duration(w.rand.Int64N(int64(back/2) + 1))
	if asked > 0 {
		back = max(back, asked+time.Duration(w.rand.Int64N(int64(min(asked/10, 5*time.Second))+1)))
	}
	if left := w.left; back > left && asked <= left {
		back = max(asked, min(back, left)) // less of a pause than of an end
	}
	end, bounded := ctx.Deadline()
	if back > w.left || w.left <= 0 || bounded && time.Until(end) <= back || ctx.Err() != nil {
		w.mu.Unlock()
		return false
	}
	w.left -= back
	left := w.left
	w.mu.Unlock()
	return w.wait(ctx, Wait{Host: w.host, Reason: why, Until: time.Now().Add(back), Left: left}, back >= tellFrom)
}

// wait waits and tells of it, at most each tellPause.
func (w *waiter) wait(ctx context.Context, p Wait, tell bool) bool {
	for {
		rest := time.Until(p.Until)
		if rest <= 0 {
			return true
		}
		if tell {
			rest = min(rest, w.say(p))
		}
		t := time.NewTimer(rest)
		select {
		case <-ctx.Done():
			t.Stop()
			return false
		case <-t.C:
		}
	}
}

// say tells of a wait unless that was just done, and says in how long it would be again.
func (w *waiter) say(p Wait) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if since := time.Since(w.told); !w.silent && since < tellPause {
		return tellPause - since
	}
	w.told, w.silent = time.Now(), false
	if w.tell != nil {
		w.tell(p)
	}
	return tellPause
}

// repeatable says that carrying out a request twice is as good as once.
func repeatable(method string) bool { return method != http.MethodPost }

// again says why a request is sent once more, and how long the forge wants to be left alone; "" = it is not.
func again(method string, resp *http.Response, err error, try int) (Reason, time.Duration) {
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.Is(err, errTooLarge), errors.As(err, &untrusted): // it would be the same again
	case err != nil:
		if repeatable(method) && try < maxRetries {
			return Unavailable, 0
		}
	case limited(resp): // refused, so it was not carried out: a POST can be repeated, too
		return RateLimited, asked(resp)
	case resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented && repeatable(method) && try < maxRetries:
		return Unavailable, 0
	}
	return "", 0
}

// limited recognises the answers by which forges slow a client down: 429, and GitHub's 403.
func limited(resp *http.Response) bool {
	if resp.StatusCode == http.StatusTooManyRequests {
		return true
	}
	return resp.StatusCode == http.StatusForbidden && (resp.Header.Get("Retry-After") != "" || resp.Header.Get("X-Ratelimit-Remaining") == "0" || secondary(resp))
}

// secondary looks for GitHub's secondary limit in the text, which is put back.
func secondary(resp *http.Response) bool {
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(b), resp.Body), resp.Body}
	text := strings.ToLower(string(b))
	if err != nil || !strings.Contains(text, "secondary rate limit") && !strings.Contains(text, "abuse detection") {
		return false
	}
	resp.Header.Set("Retry-After", strconv.Itoa(int(secondPause/time.Second))) // the text is gone when the pause is asked for
	return true
}

// asked is how long the forge wants to be left alone.
func asked(resp *http.Response) time.Duration {
	h := resp.Header
	if v := h.Get("Retry-After"); v != "" {
		if n, err := strconv.ParseInt(v, 10, 32); err == nil && n >= 0 {
			return time.Duration(n) * time.Second
		}
		if at, err := http.ParseTime(v); err == nil {
			return max(at.Sub(clock(resp)), 0)
		}
	}
	for _, name := range []string{"X-Ratelimit-Reset", "Ratelimit-Reset"} {
		if n, err := strconv.ParseInt(h.Get(name), 10, 64); err == nil && n > 0 && n < 1<<40 && h.Get(strings.TrimSuffix(name, "Reset")+"Remaining") == "0" {
			return max(time.Unix(n, 0).Sub(clock(resp)), 0) + time.Second
		}
	}
	return secondPause
}

// clock is the time by the forge's clock, which its dates go by; ours may be another.
func clock(resp *http.Response) time.Time {
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		return at
	}
	return time.Now()
}
