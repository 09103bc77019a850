package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aloft/controller/forge"
	"aloft/controller/forge/forgetest"
)

// proxy is one of HTTP: it notes which hosts it is asked for. It reaches those that it knows and refuses all others.
type proxy struct {
	reach map[string]string // host, with its port for CONNECT -> the address behind it

	mu    sync.Mutex
	asked []string
}

// ServeHTTP is http.Handler's.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	p.mu.Lock()
	if !slices.Contains(p.asked, host) {
		p.asked = append(p.asked, host)
	}
	p.mu.Unlock()
	behind, ok := p.reach[host]
	switch {
	case !ok:
		http.Error(w, "nobody is reached from here", http.StatusForbidden)
	case r.Method == http.MethodConnect:
		p.tunnel(w, behind)
	default:
		out := r.Clone(r.Context())
		out.RequestURI, out.URL.Host = "", behind
		resp, err := http.DefaultTransport.RoundTrip(out)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		for k, v := range resp.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	}
}

func (p *proxy) tunnel(w http.ResponseWriter, behind string) {
	far, err := net.Dial("tcp", behind)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer far.Close()
	w.WriteHeader(http.StatusOK)
	near, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer near.Close()
	go func() {
		_, _ = io.Copy(far, buffered)
		_ = far.Close()
	}()
	_, _ = io.Copy(near, far)
}

func (p *proxy) hosts() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// skyProcess runs the program as a process of its own, with this environment and nothing else.
func skyProcess(t *testing.T, dir string, env map[string]string, args ...string) (code int, out, errOut string) {
	t.Helper()
	cmd := exec.Command("sky", args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "NO_COLOR=1"}
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	var o, e strings.Builder
	cmd.Stdout, cmd.Stderr = &o, &e
	var ee *exec.ExitError
	if err := cmd.Run(); errors.As(err, &ee) {
		code = ee.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return code, o.String(), e.String()
}

// wholeRun is a job in CI from its launch to its report, with the local provider and a forge on this machine.
func wholeRun(t *testing.T, more map[string]string) {
	t.Helper()
	s := &forgetest.Server{Kind: forge.GitHub, Token: "tok", User: "me"}
	web := httptest.NewServer(s)
	defer web.Close()
	dir := t.TempDir()
	home := filepath.Join(dir, "home", ".aloft")
	defer endAll(home)
	for name, text := range map[string]string{"task.yaml": "name: net\nsetup: echo ready\nrun: echo trained\n",
		"event.json": `{"number":7,"pull_request":{"number":7,"head":{"sha":"aaaaaaaaaa","ref":"topic","repo":{"full_name":"acme/model"}}}}`, "report.md": "# Report\n\naccuracy 0.9\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"HOME": filepath.Dir(home), "ALOFT_HOME": home, "ALOFT_AGENT": agentUnderTest, "USER": "tester", "GITHUB_ACTIONS": "true", "GITHUB_API_URL": web.URL, "GITHUB_SERVER_URL": web.URL,
		"GITHUB_REPOSITORY": "acme/model", "GITHUB_RUN_ID": "900", "GITHUB_SHA": "bbbbbbbbbb", "GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": filepath.Join(dir, "event.json"), "GITHUB_TOKEN": "tok"}
	for k, v := range more {
		env[k] = v
	}
	for _, args := range [][]string{
		{"check"}, {"ci", "check", "--state", "running"}, {"launch", "-y", "-c", "net", "--infra", "local", "task.yaml"}, {"status"}, {"comment", "create", "report.md"},
		{"ci", "check", "--state", "success"}, {"down", "-y", "net"}, {"api", "stop"},
	} {
		if code, out, errOut := skyProcess(t, dir, env, args...); code != 0 {
			t.Fatalf("%v ended with %d\n%s\n%s", args, code, out, errOut)
		}
	}
	if c := s.Comments(); len(c) != 1 || !strings.Contains(c[0].Body, "accuracy 0.9") {
		t.Errorf("%+v", c)
	}
}

// TestNoOtherHost: a whole run, from its launch to its comment, asks nobody but the forge; a proxy that refuses all sees
// nothing.
func TestNoOtherHost(t *testing.T) {
	t.Parallel()
	p := &proxy{}
	web := httptest.NewServer(p)
	t.Cleanup(web.Close)
	env := map[string]string{}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		env[name], env[strings.ToLower(name)] = web.URL, web.URL
	}
	wholeRun(t, env)
	if asked := p.hosts(); len(asked) != 0 {
		t.Errorf("the proxy was asked for %v", asked)
	}
	// That the proxy would have seen it: a forge elsewhere is asked through it, and only that.
	env["GITHUB_ACTIONS"], env["GITHUB_API_URL"], env["GITHUB_REPOSITORY"], env["GITHUB_TOKEN"] = "true", "https://forge.example", "acme/model", "tok"
	env["HOME"] = t.TempDir()
	file := filepath.Join(t.TempDir(), "r.md")
	if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, errOut := skyProcess(t, t.TempDir(), env, "comment", "create", file, "--target", "pr/7", "--api-timeout", "1s")
	if asked := p.hosts(); code != exitNotPosted || !slices.Equal(asked, []string{"forge.example:443"}) {
		t.Errorf("ended with %d, the proxy was asked for %v\n%s", code, asked, errOut)
	}
}

// inNetwork is set in the process that has a network of its own.
const inNetwork = "ALOFT_TEST_NETWORK"

// TestNoOtherAddress is the same run in a network in which every address is this machine: what does not care for proxies
// would be seen, too, as would be any question for a name.
func TestNoOtherAddress(t *testing.T) {
	if os.Getenv(inNetwork) != "" {
		seen := listenToAll(t)
		// That it would be seen:
		for _, network := range []string{"tcp", "udp"} {
			port := map[string]string{"tcp": "443", "udp": "53"}[network]
			c, err := net.Dial(network, "192.0.2.9:"+port)
			if err == nil {
				_, err = c.Write([]byte("x"))
			}
			if err != nil || <-seen != network+" 192.0.2.9:"+port && network == "tcp" {
				t.Fatalf("%s to another address is not seen: %v", network, err)
			}
			_ = c.Close()
		}
		wholeRun(t, nil)
		for {
			select {
			case s := <-seen:
				t.Errorf("somebody else was asked: %s", s)
				continue
			default:
			}
			break
		}
		return
	}
	t.Parallel()
	ownNetwork(t)
}

// ownNetwork runs the test that calls it in a network in which every address is this machine.
func ownNetwork(t *testing.T) {
	t.Helper()
	const script = `ip link set lo up && ip route add local 0.0.0.0/0 dev lo && exec "$@"`
	if out, err := exec.Command("unshare", "-rn", "sh", "-c", script, "sh", "true").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: no network of its own can be had here: %v: %s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "-rn", "sh", "-c", script, "sh", self, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inNetwork+"=1")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
}

// listenToAll takes connections to ports of the web and questions for names, to whatever address.
func listenToAll(t *testing.T) <-chan string {
	t.Helper()
	seen := make(chan string, 1000)
	for _, port := range []string{"80", "443", "22"} {
		l, err := net.Listen("tcp4", ":"+port)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				seen <- "tcp " + c.LocalAddr().String()
				_ = c.Close()
			}
		}()
	}
	u, err := net.ListenPacket("udp4", ":53")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = u.Close() })
	go func() {
		b := make([]byte, 1500)
		for {
			n, _, err := u.ReadFrom(b)
			if err != nil {
				return
			}
			seen <- fmt.Sprintf("udp :53 %q", b[:n])
		}
	}()
	return seen
}

// ownCA makes a certificate for hosts, signed by an authority that nobody knows, and writes the authority's to a file.
func ownCA(t *testing.T, dir string, hosts ...string) (tls.Certificate, string) {
	t.Helper()
	make := func(parent *x509.Certificate, by *ecdsa.PrivateKey, c *x509.Certificate) ([]byte, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if parent == nil {
			parent, by = c, key
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
		if err != nil {
			t.Fatal(err)
		}
		return der, key
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caDER, caKey := make(nil, nil, ca)
	der, key := make(ca, caKey, &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: hosts[0]}, DNSNames: hosts, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	file := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// TestProxies: forges are asked through the proxy that the environment names, over HTTP and HTTPS, unless NO_PROXY leaves
// them out; a certificate of an authority of one's own takes SSL_CERT_FILE.
func TestProxies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := &forgetest.Server{Kind: forge.GitHub, Token: "tok", User: "me", Unchecked: true}
	plain := httptest.NewServer(s)
	t.Cleanup(plain.Close)
	certificate, ca := ownCA(t, dir, "forge.example")
	secure := httptest.NewUnstartedServer(s)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	p := &proxy{reach: map[string]string{"forge.example": plain.Listener.Addr().String(), "forge.example:443": secure.Listener.Addr().String()}}
	web := httptest.NewServer(p)
	t.Cleanup(web.Close)
	file := filepath.Join(dir, "r.md")
	if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		env   map[string]string
		code  int
		asked []string
		said  string
	}{
		{"http", map[string]string{"GITHUB_API_URL": "http://forge.example", "HTTP_PROXY": web.URL}, 0, []string{"forge.example"}, ""},
		{"https, an authority of one's own", map[string]string{"GITHUB_API_URL": "https://forge.example", "HTTPS_PROXY": web.URL, "SSL_CERT_FILE": ca}, 0, []string{"forge.example:443"}, ""},
		{"https, lower case", map[string]string{"GITHUB_API_URL": "https://forge.example", "https_proxy": web.URL, "SSL_CERT_FILE": ca}, 0, []string{"forge.example:443"}, ""},
		{"https, an authority that is not known", map[string]string{"GITHUB_API_URL": "https://forge.example", "HTTPS_PROXY": web.URL}, exitNotPosted, []string{"forge.example:443"}, "certificate"},
		{"a proxy that refuses", map[string]string{"GITHUB_API_URL": "https://other.example", "HTTPS_PROXY": web.URL}, exitNotPosted, []string{"other.example:443"}, ""},
	} {
		p.mu.Lock()
		p.asked = nil
		p.mu.Unlock()
		before := len(s.Comments())
		for k, v := range map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/model", "GITHUB_TOKEN": "tok", "HOME": dir} {
			tc.env[k] = v
		}
		code, out, errOut := skyProcess(t, dir, tc.env, "comment", "create", file, "--target", "pr/7", "--new", "--api-timeout", "5s")
		if code != tc.code || !slices.Equal(p.hosts(), tc.asked) || !strings.Contains(errOut, tc.said) || strings.Contains(out+errOut, "tok\n") {
			t.Errorf("%s: ended with %d, the proxy was asked for %v\n%s%s", tc.name, code, p.hosts(), out, errOut)
		}
		if made := len(s.Comments()) - before; made != map[bool]int{true: 1}[tc.code == 0] {
			t.Errorf("%s: %d comments", tc.name, made)
		}
	}
}

// TestNoProxy leaves an address out of what goes through the proxy. Addresses of this machine's loopback always are left out,
// so it takes a network in which others are this machine, too.
func TestNoProxy(t *testing.T) {
	if os.Getenv(inNetwork) == "" {
		t.Parallel()
		ownNetwork(t)
		return
	}
	l, err := net.Listen("tcp4", "192.0.2.10:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &forgetest.Server{Kind: forge.GitHub, Token: "tok", User: "me", Unchecked: true}
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: s}}
	srv.Start()
	t.Cleanup(srv.Close)
	p := &proxy{}
	web := httptest.NewServer(p)
	t.Cleanup(web.Close)
	dir := t.TempDir()
	file := filepath.Join(dir, "r.md")
	if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_API_URL": srv.URL, "GITHUB_REPOSITORY": "acme/model", "GITHUB_TOKEN": "tok", "HTTP_PROXY": web.URL, "HOME": dir}
	args := []string{"comment", "create", file, "--target", "pr/7", "--api-timeout", "5s"}
	if code, _, errOut := skyProcess(t, dir, env, args...); code != exitNotPosted || len(p.hosts()) != 1 {
		t.Errorf("by the proxy: %d, asked for %v\n%s", code, p.hosts(), errOut)
	}
	env["NO_PROXY"] = "10.0.0.0/31,192.0.2.0/24"
	if code, _, errOut := skyProcess(t, dir, env, args...); code != 0 || len(p.hosts()) != 1 || len(s.Comments()) != 1 {
		t.Errorf("past the proxy: %d, asked for %v\n%s", code, p.hosts(), errOut)
	}
}

// belowLinks puts the path of a server into the links that it gives.
type belowLinks struct {
	http.ResponseWriter
	host, below string
}

// WriteHeader is http.ResponseWriter's.
func (b belowLinks) WriteHeader(code int) {
	h := b.Header()
	for i, link := range h["Link"] {
		h["Link"][i] = strings.ReplaceAll(link, "http://"+b.host+"/", "http://"+b.host+b.below+"/")
	}
	b.ResponseWriter.WriteHeader(code)
}

// TestBelowPath: servers that are below a path, as GitLab often is, and GitHub Enterprise, whose API is.
func TestBelowPath(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, below string
		kind        forge.Kind
		env         func(web string) map[string]string
		args        func(web string) []string
		place       string
	}{
		{"GitLab", "/gitlab", forge.GitLab, func(web string) map[string]string {
			return map[string]string{"GITLAB_CI": "true", "CI_API_V4_URL": web + "/gitlab/api/v4", "CI_SERVER_URL": web + "/gitlab", "CI_PROJECT_PATH": "acme/model", "CI_COMMIT_SHA": "bbbbbbbbbb", "CI_MERGE_REQUEST_IID": "7"}
		}, nil, "merge_requests/7"},
		{"GitLab, named", "/gitlab", forge.GitLab, func(web string) map[string]string {
			return map[string]string{"GITLAB_CI": "true", "CI_API_V4_URL": web + "/gitlab/api/v4", "CI_SERVER_URL": web + "/gitlab", "CI_PROJECT_PATH": "acme/other", "CI_COMMIT_SHA": "bbbbbbbbbb"}
		}, func(web string) []string {
			return []string{"--repo", web + "/gitlab/acme/model.git", "--target", "pr/7"}
		}, "merge_requests/7"},
		{"GitLab, outside of a CI system", "/deep/gitlab", forge.GitLab, func(string) map[string]string { return nil }, func(web string) []string {
			return []string{"--repo", web + "/deep/gitlab/acme/model", "--driver", "gitlab", "--api-url", web + "/deep/gitlab/api/v4", "--target", "pr/7"}
		}, "merge_requests/7"},
		{"GitHub Enterprise", "/api/v3", forge.GitHub, func(web string) map[string]string {
			return map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_API_URL": web + "/api/v3", "GITHUB_SERVER_URL": web, "GITHUB_REPOSITORY": "acme/model", "GITHUB_SHA": "bbbbbbbbbb"}
		}, func(string) []string { return []string{"--target", "pr/7"} }, "issues/7"},
		{"Gitea", "/git", forge.Gitea, func(web string) map[string]string {
			return map[string]string{"GITEA_ACTIONS": "true", "GITHUB_API_URL": web + "/git/api/v1", "GITHUB_SERVER_URL": web + "/git", "GITHUB_REPOSITORY": "acme/model", "GITHUB_SHA": "bbbbbbbbbb"}
		}, func(string) []string { return []string{"--target", "pr/7"} }, "issues/7"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := &forgetest.Server{Kind: tc.kind, Token: "tok", User: "me"}
			for i := range 130 { // pages, whose links are below the path, too
				s.Add(tc.place, "other", false, fmt.Sprintf("sky-report talk %d", i))
			}
			below := http.NewServeMux()
			below.Handle(tc.below+"/", http.StripPrefix(tc.below, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.ServeHTTP(belowLinks{w, r.Host, tc.below}, r) })))
			below.Handle("/api/graphql", http.StripPrefix("/api", s)) // of an Enterprise server
			web := httptest.NewServer(below)
			t.Cleanup(web.Close)
			dir := t.TempDir()
			env := map[string]string{"REPO_TOKEN": "tok", "HOME": dir}
			for k, v := range tc.env(web.URL) {
				env[k] = v
			}
			var more []string
			if tc.args != nil {
				more = tc.args(web.URL)
			}
			if tc.kind == forge.GitHub {
				more = append(more, "--mode", "minimize-old")
			}
			for i := range 2 {
				if err := os.WriteFile(filepath.Join(dir, "r.md"), fmt.Appendf(nil, "text %d", i), 0o600); err != nil {
					t.Fatal(err)
				}
				if code, out, errOut := skyProcess(t, dir, env, append([]string{"comment", "create", "r.md", "--api-timeout", "10s"}, more...)...); code != 0 {
					t.Fatalf("ended with %d\n%s%s\n%v", code, out, errOut, s.Log)
				}
			}
			mine := s.By("me")
			if tc.kind == forge.GitHub && len(mine) == 2 && mine[0].Minimized { // by GraphQL, which is beside the API
				mine = mine[1:]
			}
			if len(mine) != 1 || mine[0].Place != tc.place || !strings.Contains(mine[0].Body, "text 1") {
				t.Errorf("%+v", mine)
			}
			for _, b := range s.Breaches {
				t.Error(b)
			}
		})
	}
}
