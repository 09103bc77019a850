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
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

const (
	maxAnswer    = 8 << 20 // bytes of one answer
	maxPages     = 500
	maxRedirects = 5
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
	// Patience bounds all pauses of the client together: those that the forge asks for, and those between tries; 0 = DefaultPatience.
	Patience time.Duration
	// Waiting is told of pauses that take long, when one begins and at most every 15 seconds; nil = nobody is.
	Waiting func(Wait)
	// Jitter spreads the tries of clients that failed together; nil = a source of its own.
	Jitter rand.Source
}

// rest sends requests of one forge.
type rest struct {
	kind   Kind
	base   *url.URL
	repo   string
	token  string
	agent  string
	log    *slog.Logger
	client *http.Client
	waiter *waiter
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
	if o.Transport == nil {
		o.Transport = pooled()
	}
	// A redirect is followed here: the standard client would turn POST into GET, and take GitLab's token elsewhere.
	r.client = &http.Client{Transport: o.Transport, Timeout: tryTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r.waiter = newWaiter(base.Host, o)
	return r, nil
}

// pooled is a transport for one client, with the proxy that the environment names.
func pooled() http.RoundTripper {
	std, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	t := std.Clone()
	t.ReadBufferSize = 64 << 10 // pages of comments are large
	return t
}

// Host is Client's.
func (r *rest) Host() string { return r.base.Host }

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

// errTooLarge is an answer that is not read to its end.
var errTooLarge = errors.New("the answer is too large")

// send sends one request, again where that is safe, and reads the whole answer.
func (r *rest) send(ctx context.Context, method, address, contentType string, payload []byte) (*http.Response, []byte, error) {
	began := time.Now()
	for try := 0; ; try++ {
		resp, body, err := r.once(ctx, method, address, contentType, payload)
		why, asked := again(method, resp, err, try)
		if why != "" && ctx.Err() == nil && r.waiter.pause(ctx, why, asked, try) {
			r.log.Debug("forge request is sent again", "method", method, "try", try+1, "reason", why)
			continue
		}
		path := address
		if u, bad := url.Parse(address); bad == nil {
			path = u.Path
		}
		if err != nil {
			r.log.Debug("forge request failed", "method", method, "path", path, "took", time.Since(began), "err", r.plain(err))
			return nil, nil, err
		}
		r.log.Debug("forge request", "method", method, "path", path, "status", resp.StatusCode, "took", time.Since(began))
		return resp, body, nil
	}
}

// once sends a request once. The body of the answer that it gives can be read again.
func (r *rest) once(ctx context.Context, method, address, contentType string, payload []byte) (*http.Response, []byte, error) {
	var in io.Reader
	if payload != nil {
		in = bytes.NewReader(payload)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, in)
	if err != nil {
		return nil, nil, err
	}
	r.headers(req.Header)
	if payload != nil {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	body, err := readAll(resp)
	_ = resp.Body.Close()
	if err != nil {
		return nil, nil, err
	}
	if len(body) > maxAnswer {
		return nil, nil, errTooLarge
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
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
