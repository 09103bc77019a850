// Package oidclab is a laboratory of identity: a CI system that gives signed tokens of a minute, and the token services of two
// clouds that believe nothing but their signature, audience and time. For tests; nothing of it is in `sky`.
package oidclab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

// Names of the laboratory.
const (
	Issuer       = "https://token.ci.test"
	RequestToken = "the-right-to-ask" // what a job shows to be given a token
	Subject      = "repo:acme/model:ref:refs/heads/main"
	Role         = "arn:aws:iam::111122223333:role/aloft-ci"
	Pool         = "projects/4711/locations/global/workloadIdentityPools/aloft-ci/providers/github"
	Account      = "aloft-ci@lab-project.iam.gserviceaccount.com"
)

// Lab is a CI system and two clouds behind one address. The zero value is not usable: see New.
type Lab struct {
	key *ecdsa.PrivateKey

	mu       sync.Mutex
	life     time.Duration
	session  time.Duration
	over     bool
	failures int
	trusted  string
	tokens   int
	given    int
	sessions map[string]time.Time // secret words to when they end
}

// New makes a laboratory: tokens live a minute, sessions in the clouds as long as given.
func New(session time.Duration) (*Lab, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return &Lab{key: key, life: time.Minute, session: session, trusted: Subject, sessions: map[string]time.Time{}}, nil
}

// EndJob makes the CI system refuse further tokens, as after the end of a job.
func (l *Lab) EndJob() { l.mu.Lock(); defer l.mu.Unlock(); l.over = true }

// Fail makes the CI system fail the next n requests for tokens.
func (l *Lab) Fail(n int) { l.mu.Lock(); defer l.mu.Unlock(); l.failures = n }

// Trust sets the only subject that the clouds trust.
func (l *Lab) Trust(subject string) { l.mu.Lock(); defer l.mu.Unlock(); l.trusted = subject }

// Counts are how many tokens the CI system gave, and how many sessions or access tokens the clouds.
func (l *Lab) Counts() (tokens, sessions int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tokens, l.given
}

// Environment is that of a job which may ask for tokens, by variable; base is the laboratory's address.
func Environment(base string) map[string]string {
	return map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/model", "GITHUB_REF": "refs/heads/main", "GITHUB_RUN_ID": "99",
		"ACTIONS_ID_TOKEN_REQUEST_URL": base + "/ci/token?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": RequestToken,
	}
}

// Do answers a request without a network, so that it can be used under a clock of its own.
func (l *Lab) Do(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	l.ServeHTTP(w, r)
	return w.Result(), nil
}

// RoundTrip is Do.
func (l *Lab) RoundTrip(r *http.Request) (*http.Response, error) { return l.Do(r) }

// ServeHTTP is the laboratory at one address.
func (l *Lab) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/ci/token":
		l.serveToken(w, r)
	case r.URL.Path == "/ci/jwks":
		l.serveKeys(w)
	case r.URL.Path == "/v1/token":
		l.exchange(w, r)
	case strings.HasSuffix(r.URL.Path, ":generateAccessToken"):
		l.impersonate(w, r)
	case strings.HasPrefix(r.URL.Path, "/compute/v1/projects/") || strings.HasPrefix(r.URL.Path, "/v1/projects/"):
		l.google(w, r)
	default:
		l.amazon(w, r)
	}
}

// Token signs a token; claims are added to those of a job, or replace them.
func (l *Lab) Token(audience string, claims map[string]any) (string, error) {
	l.mu.Lock()
	life := l.life
	l.mu.Unlock()
	now := time.Now()
	all := map[string]any{"iss": Issuer, "sub": Subject, "aud": audience, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(life).Unix()}
	for k, v := range claims {
		all[k] = v
	}
	head, err := json.Marshal(map[string]string{"alg": "ES256", "typ": "JWT", "kid": "lab"})
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	body, err := json.Marshal(all)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	text := b64(head) + "." + b64(body)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, l.key, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return text + "." + b64(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)), nil
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (l *Lab) serveToken(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	over, fail := l.over, l.failures > 0
	if fail {
		l.failures--
	}
	l.mu.Unlock()
	audience := r.URL.Query().Get("audience")
	switch {
	case fail:
		http.Error(w, "trouble", http.StatusServiceUnavailable)
		return
	case over || r.Header.Get("Authorization") != "Bearer "+RequestToken:
		http.Error(w, "no", http.StatusUnauthorized)
		return
	case r.Method != http.MethodGet || audience == "" || r.URL.Query().Get("api-version") == "":
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	t, err := l.Token(audience, nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	l.mu.Lock()
	l.tokens++
	l.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{"count": len(t), "value": t})
}

// serveKeys is the JWKS.
func (l *Lab) serveKeys(w http.ResponseWriter) {
	point, err := l.key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, http.StatusOK, map[string]any{"keys": []map[string]string{{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "lab", "x": b64(point[1:33]), "y": b64(point[33:]),
	}}})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// What is wrong with a token, as the clouds tell it apart.
var (
	errSignature = errors.New("the signature is not the issuer's")
	errAudience  = errors.New("incorrect token audience")
	errEnded     = errors.New("the token has expired")
	errSubject   = errors.New("the subject is not trusted")
)

// verify believes a token if the keys that the issuer publishes say so.
func (l *Lab) verify(token string, audiences ...string) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errSignature
	}
	req := httptest.NewRequest(http.MethodGet, "/ci/jwks", nil)
	w := httptest.NewRecorder()
	l.ServeHTTP(w, req)
	var set struct {
		Keys []struct{ Kid, X, Y string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	var head struct{ Alg, Kid string }
	var body struct {
		Iss, Sub, Aud string
		Exp, Nbf      int64
	}
	if !decode(parts[0], &head) || !decode(parts[1], &body) || head.Alg != "ES256" || body.Iss != Issuer {
		return errSignature
	}
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(sig) != 64 {
		return errSignature
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	good := false
	for _, k := range set.Keys {
		x, err1 := base64.RawURLEncoding.DecodeString(k.X)
		y, err2 := base64.RawURLEncoding.DecodeString(k.Y)
		if k.Kid != head.Kid || err1 != nil || err2 != nil {
			continue
		}
		pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
		good = good || err == nil && ecdsa.Verify(pub, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	}
	l.mu.Lock()
	trusted := l.trusted
	l.mu.Unlock()
	now := time.Now().Unix()
	switch {
	case !good:
		return errSignature
	case !slices.Contains(audiences, body.Aud):
		return errAudience
	case now >= body.Exp || now < body.Nbf:
		return errEnded
	case body.Sub != trusted:
		return errSubject
	}
	return nil
}

func decode(part string, v any) bool {
	b, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(b, v) == nil
}

// open begins a session, whose secret word is told to nobody else.
func (l *Lab) open(kind string) (word string, ends time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.given++
	word, ends = fmt.Sprintf("%s-%d", kind, l.given), time.Now().Add(l.session)
	l.sessions[word] = ends
	return word, ends
}

// valid reports whether a session is one of ours and has not ended.
func (l *Lab) valid(word string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	ends, ok := l.sessions[word]
	return ok && time.Now().Before(ends)
}
