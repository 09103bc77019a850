package forge

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/go-retryablehttp"
)

const (
	maxAnswer    = 8 << 20 // bytes of one answer
	maxPages     = 500
	maxRedirects = 5
	maxRetries   = 4
	tryTimeout   = 20 * time.Second
	maxPause     = 2 * time.Minute // a forge that asks for a longer wait is not waited for
	firstPause   = 500 * time.Millisecond
	// secondPause follows a secondary limit that does not say how long: GitHub asks for a minute at least.
	secondPause = time.Minute
)

// Options say which repository is talked about, and how it is reached.
type Options struct {
	API   string // base URL of the API; "" = the public one
	Repo  string // full name
	Token string // Bitbucket: USER:PASSWORD or a bearer token
	Agent string // User-Agent
	// Transport carries the requests; nil = the standard one with a proxy from the environment.
	Transport http.RoundTripper
	Log       *slog.Logger // nil = none
}

// rest sends requests of one forge.
type rest struct {
	kind   Kind
	base   *url.URL
	repo   string
	token  string
	agent  string
	log    *slog.Logger
	client *retryablehttp.Client
}

func newREST(k Kind, o Options) (*rest, error) {
	if o.API == "" && k == Gitea {
		return nil, errors.New("there is no public server of Gitea or Forgejo: name the address of the API, as in https://HOST/api/v1")
	}
	if o.API == "" {
		o.API = map[Kind]string{GitHub: "https://api.github.com", GitLab: "https://gitlab.com/api/v4", Bitbucket: "https://api.bitbucket.org/2.0"}[k]
	}
	base, err := url.Parse(o.API)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, errors.New("the address of the forge's API is no http or https URL") // it may hold a password: it is not shown
	}
	base.User, base.RawQuery, base.Fragment = nil, "", ""
	base.Path = strings.TrimRight(base.Path, "/")
	if err := validRepo(k, o.Repo); err != nil {
		return nil, err
	}
	if strings.ContainsFunc(o.Token, unicode.IsControl) {
		return nil, errors.New("the token holds a line break or another control character")
	}
	r := &rest{kind: k, base: base, repo: o.Repo, token: o.Token, agent: o.Agent, log: o.Log}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	c := retryablehttp.NewClient()
	c.Logger = nil // requests are logged here, without headers
	if o.Transport != nil {
		c.HTTPClient = &http.Client{Transport: o.Transport}
	} else if t, ok := c.HTTPClient.Transport.(*http.Transport); ok {
		t.ReadBufferSize = 64 << 10 // pages of comments are large
	}
	c.HTTPClient.Timeout = tryTimeout
	// A redirect is followed here: the standard client would turn POST into GET, and take GitLab's token elsewhere.
	c.HTTPClient.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.RetryMax, c.RetryWaitMin, c.RetryWaitMax = maxRetries, firstPause, maxPause
	c.CheckRetry, c.Backoff = retry, pause
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	r.client = c
	return r, nil
}

// Host is Client's.
func (r *rest) Host() string { return r.base.Host }

// repeatable says that carrying out a request twice is as good as once.
func repeatable(method string) bool { return method != http.MethodPost }

// retry decides whether a request is sent again.
func retry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	post, _ := ctx.Value(postKey{}).(bool)
	switch {
	case err != nil:
		return !post, nil
	case limited(resp):
		// Refused, so it was not carried out: a POST can be repeated, too.
		wait := asked(resp)
		end, ok := ctx.Deadline()
		return wait <= maxPause && (!ok || time.Until(end) > wait), nil
	case resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented:
		return !post, nil
	}
	return false, nil
}

// postKey marks the context of a request that is not repeated.
type postKey struct{}

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

// pause is the wait before the next try.
func pause(least, most time.Duration, attempt int, resp *http.Response) time.Duration {
	if resp != nil && limited(resp) {
		return asked(resp)
	}
	return min(least<<min(attempt, 10), most)
}

// call sends one request and reads the answer as JSON into out. It gives the address of the next page, if there is one.
func (r *rest) call(ctx context.Context, doing, method, address string, in, out any) (*http.Response, error) {
	fail := func(err error) error {
		return &Error{Doing: doing, Reason: Unavailable, Unsure: !repeatable(method), cause: r.plain(err)}
	}
	var payload []byte
	if in != nil {
		var err error
		if payload, err = json.Marshal(in); err != nil {
			return nil, fmt.Errorf("%s: %w", doing, err)
		}
	}
	for hop := 0; ; hop++ {
		resp, body, err := r.send(ctx, method, address, "application/json", payload)
		if err != nil {
			return nil, fail(err)
		}
		if to := resp.Header.Get("Location"); resp.StatusCode >= 301 && resp.StatusCode <= 308 && to != "" {
			next, err := r.sameHost(address, to)
			if err != nil || hop == maxRedirects {
				return nil, &Error{Doing: doing, Status: resp.StatusCode, Reason: Unexpected, Detail: "it points elsewhere, where the token is not sent: name the server's own address"}
			}
			address = next
			continue
		}
		if resp.StatusCode < 200 || resp.StatusCode > 299 {
			return nil, r.refused(doing, method, resp, body)
		}
		if kept, ok := out.(*raw); ok {
			*kept = body
		} else if out != nil {
			if err := json.Unmarshal(body, out); err != nil {
				e := strange(doing, resp)
				e.Unsure = !repeatable(method)
				return nil, e
			}
		}
		return resp, nil
	}
}

// raw is an answer as it was sent, for callers that take it apart themselves.
type raw []byte

// strange is an answer that this API does not give.
func strange(doing string, resp *http.Response) *Error {
	return &Error{Doing: doing, Status: resp.StatusCode, Reason: Unexpected, Detail: "the answer is not what this API gives; is the address right?"}
}

// send sends one request, again where that is safe, and reads the whole answer.
func (r *rest) send(ctx context.Context, method, address, contentType string, payload []byte) (*http.Response, []byte, error) {
	began := time.Now()
	ctx = context.WithValue(ctx, postKey{}, !repeatable(method))
	req, err := retryablehttp.NewRequestWithContext(ctx, method, address, payload)
	if err != nil {
		return nil, nil, err
	}
	r.headers(req.Header)
	if payload != nil {
		req.Header.Set("Content-Type", contentType)
	}
	var resp *http.Response
	var body []byte
	for try := 0; ; try++ {
		if resp, err = r.client.Do(req); err != nil {
			break
		}
		body, err = readAll(resp)
		_ = resp.Body.Close()
		if err == nil && len(body) > maxAnswer {
			return nil, nil, errors.New("the answer is too large")
		}
		if err == nil || !repeatable(method) || try == maxRetries { // an answer may break off after its head
			break
		}
	}
	if err != nil {
		r.log.Debug("forge request failed", "method", method, "path", req.URL.Path, "took", time.Since(began), "err", r.plain(err))
		return nil, nil, err
	}
	r.log.Debug("forge request", "method", method, "path", req.URL.Path, "status", resp.StatusCode, "took", time.Since(began))
	return resp, body, nil
}

// readAll reads an answer up to one byte more than is taken, at once where its length is known.
func readAll(resp *http.Response) ([]byte, error) {
	var b bytes.Buffer
	if n := resp.ContentLength; n > 0 && n <= maxAnswer {
		b.Grow(int(n) + bytes.MinRead)
	}
	_, err := b.ReadFrom(io.LimitReader(resp.Body, maxAnswer+1))
	return b.Bytes(), err
}

func (r *rest) headers(h http.Header) {
	h.Set("User-Agent", r.agent)
	h.Set("Accept", "application/json")
	if r.kind == GitHub {
		h.Set("Accept", "application/vnd.github+json")
		h.Set("X-GitHub-Api-Version", "2022-11-28")
	}
	switch {
	case r.token == "":
	case r.kind == GitLab:
		h.Set("PRIVATE-TOKEN", r.token)
	case r.kind == Bitbucket && strings.Contains(r.token, ":"):
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(r.token)))
	default:
		h.Set("Authorization", "Bearer "+r.token)
	}
}

// sameHost resolves a link and refuses one that leads to another server.
func (r *rest) sameHost(from, to string) (string, error) {
	base, err := url.Parse(from)
	if err != nil {
		return "", errors.New("a link that is none")
	}
	u, err := base.Parse(to)
	if err != nil || u.Scheme != r.base.Scheme || u.Host != r.base.Host || u.User != nil {
		return "", errors.New("a link to another server")
	}
	return u.String(), nil
}

// plain is an error without addresses' queries and the token.
func (r *rest) plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s does not answer: %w", r.base.Host, context.DeadlineExceeded)
	}
	if text := err.Error(); r.token != "" && strings.Contains(text, r.token) {
		return errors.New(r.safe(text))
	}
	return err
}

// safe makes what a forge says fit to print: one short line, without the token.
func (r *rest) safe(s string) string {
	secrets := []string{r.token, base64.StdEncoding.EncodeToString([]byte(r.token))}
	if _, password, ok := strings.Cut(r.token, ":"); ok {
		secrets = append(secrets, password)
	}
	for _, secret := range secrets {
		if len(secret) > 3 {
			s = strings.ReplaceAll(s, secret, "***")
		}
	}
	s = strings.Map(func(c rune) rune {
		switch {
		case unicode.IsSpace(c):
			return ' '
		case unicode.IsControl(c) || unicode.Is(unicode.Cf, c):
			return '\uFFFD'
		}
		return c
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if rs := []rune(s); len(rs) > 300 {
		s = string(rs[:299]) + "…"
	}
	return s
}

// refused turns an answer that is no success into an Error.
func (r *rest) refused(doing, method string, resp *http.Response, body []byte) error {
	e := &Error{Doing: doing, Status: resp.StatusCode, Detail: r.safe(detail(body))}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	said := strings.ToLower(e.Detail)
	switch {
	case limited(resp):
		e.Reason, e.After = RateLimited, asked(resp)
	case resp.StatusCode == http.StatusUnauthorized:
		e.Reason = Unauthorized
	case resp.StatusCode == http.StatusForbidden:
		e.Reason = Forbidden
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone:
		e.Reason = NotFound
	case resp.StatusCode == http.StatusRequestEntityTooLarge, strings.Contains(said, "too long"), strings.Contains(said, "too_long"), strings.Contains(said, "less than"):
		e.Reason = TooLong
	case resp.StatusCode == http.StatusBadRequest && r.kind == Bitbucket && method != http.MethodGet && !json.Valid(body):
		e.Reason = TooLong // a page of HTML is how Bitbucket refuses a comment that is too long
	case resp.StatusCode >= 500:
		e.Reason, e.Unsure = Unavailable, !repeatable(method)
	case resp.StatusCode >= 400:
		e.Reason = Invalid
	default:
		e.Reason = Unexpected
	}
	return e
}

// detail finds the sentence in an answer, in the forms of the three forges; "" in anything else.
func detail(body []byte) string {
	var doc struct {
		Message json.RawMessage `json:"message"`
		Error   json.RawMessage `json:"error"`
		Errors  []struct {
			Message string `json:"message"`
			Field   string `json:"field"`
			Code    string `json:"code"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &doc) != nil {
		return ""
	}
	var parts []string
	for _, raw := range []json.RawMessage{doc.Message, doc.Error} {
		var text string
		var nested struct {
			Message string `json:"message"`
			Detail  string `json:"detail"`
		}
		switch {
		case len(raw) == 0 || string(raw) == "null":
		case json.Unmarshal(raw, &text) == nil:
			parts = append(parts, text)
		case json.Unmarshal(raw, &nested) == nil && nested.Message != "":
			parts = append(parts, nested.Message)
			if nested.Detail != "" {
				parts = append(parts, nested.Detail)
			}
		default:
			parts = append(parts, string(raw))
		}
	}
	for _, e := range doc.Errors {
		if e.Message != "" {
			parts = append(parts, e.Message)
		}
	}
	return strings.Join(parts, "; ")
}
