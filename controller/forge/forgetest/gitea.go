package forgetest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// GiteaHome is where .ci/gitea/build puts Gitea: what ALOFT_GITEA names, else aloft/gitea in the user's cache. "" = it is
// not there.
func GiteaHome() string {
	dir := os.Getenv("ALOFT_GITEA")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(cache, "aloft", "gitea")
	}
	if _, err := os.Stat(filepath.Join(dir, "gitea")); err != nil {
		return ""
	}
	return dir
}

// Gitea is a real one, with two users and one repository of the first.
type Gitea struct {
	// Base is the address under which it believes to be; Transport brings requests there, over a socket.
	Base      string
	Transport *http.Transport
	Repo      string // full name
	Dir       string // its state
	// Me owns the repository, Other is somebody else.
	Me, Other Login

	cmd    *exec.Cmd
	ended  chan struct{}
	pulls  atomic.Int64
	stderr bytes.Buffer
}

// Login is a user of it and a token of theirs.
type Login struct{ Name, Token string }

const giteaConfig = `WORK_PATH = %[1]s
RUN_USER = %[2]s
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
PROTOCOL = http+unix
HTTP_ADDR = %[1]s/web
ROOT_URL = http://gitea.example/
STATIC_ROOT_PATH = %[3]s
OFFLINE_MODE = true
DISABLE_SSH = true
[database]
DB_TYPE = sqlite3
PATH = %[1]s/db
SQLITE_JOURNAL_MODE = WAL
SQLITE_TIMEOUT = 20000
[security]
INSTALL_LOCK = true
PASSWORD_HASH_ALGO = pbkdf2$1$10
[service]
DISABLE_REGISTRATION = true
[mailer]
ENABLED = false
[cron]
ENABLED = false
[indexer]
ISSUE_INDEXER_TYPE = db
[queue]
TYPE = channel
[other]
ENABLE_FEED = false
[log]
MODE = console
LEVEL = error
`

// StartGitea starts the Gitea of a home, with its state in dir, which is a directory of a short name: there is a socket in it.
func StartGitea(ctx context.Context, home, dir string) (*Gitea, error) {
	me, err := user.Current()
	if err != nil {
		return nil, fmt.Errorf("who runs Gitea: %w", err)
	}
	config := filepath.Join(dir, "app.ini")
	if err := os.WriteFile(config, fmt.Appendf(nil, giteaConfig, dir, me.Username, filepath.Join(home, "root")), 0o600); err != nil {
		return nil, fmt.Errorf("configure Gitea: %w", err)
	}
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, filepath.Join(home, "gitea"), append([]string{"--config", config}, args...)...)
		cmd.Env = append(os.Environ(), "HOME="+dir)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("gitea %s: %w\n%s%s", strings.Join(args, " "), err, out, &stderr)
		}
		return strings.TrimSpace(string(out)), nil
	}
	if _, err := run("migrate"); err != nil {
		return nil, err
	}
	g := &Gitea{Base: "http://gitea.example/api/v1", Repo: "rita/model", Dir: dir, ended: make(chan struct{})}
	for _, u := range []struct {
		login *Login
		name  string
	}{{&g.Me, "rita"}, {&g.Other, "otto"}} {
		if _, err := run("admin", "user", "create", "--username", u.name, "--email", u.name+"@gitea.example", "--random-password", "--must-change-password=false"); err != nil {
			return nil, err
		}
		token, err := run("admin", "user", "generate-access-token", "--username", u.name, "--scopes", "all", "--raw")
		if err != nil {
			return nil, err
		}
		*u.login = Login{u.name, token[strings.LastIndexByte(token, '\n')+1:]}
	}
	g.cmd = exec.Command(filepath.Join(home, "gitea"), "--config", config, "web")
	g.cmd.Env = append(os.Environ(), "HOME="+dir)
	g.cmd.Stdout, g.cmd.Stderr = &g.stderr, &g.stderr
	if err := g.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start Gitea: %w", err)
	}
	go func() {
		_ = g.cmd.Wait()
		close(g.ended)
	}()
	g.Transport = &http.Transport{MaxIdleConnsPerHost: 50, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, "web"))
	}}
	if err := g.ready(ctx); err != nil {
		return nil, errors.Join(err, g.Stop())
	}
	return g, nil
}

// ready waits until it answers, and makes the repository.
func (g *Gitea) ready(ctx context.Context) error {
	for {
		err := g.Call(ctx, g.Me, http.MethodGet, "/version", nil, nil)
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("Gitea does not answer: %w", err)
		case <-g.ended:
			return fmt.Errorf("Gitea ended: %s", &g.stderr)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return g.Call(ctx, g.Me, http.MethodPost, "/user/repos", map[string]any{"name": "model", "auto_init": true, "default_branch": "main"}, nil)
}

// Stop ends it.
func (g *Gitea) Stop() error {
	g.Transport.CloseIdleConnections()
	err := g.cmd.Process.Kill()
	<-g.ended
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Pull opens a pull request, of a branch and a commit of its own. Its requests go by a transport.
func (g *Gitea) Pull(ctx context.Context, by http.RoundTripper) (Pull, error) {
	n := g.pulls.Add(1)
	p := Pull{Owner: g.Me.Name, Branch: fmt.Sprintf("topic-%d", n), State: "open"}
	err := g.call(ctx, by, g.Me, http.MethodPost, fmt.Sprintf("/repos/%s/contents/file-%d", g.Repo, n),
		map[string]string{"branch": "main", "new_branch": p.Branch, "message": "a file", "content": base64.StdEncoding.EncodeToString([]byte(p.Branch))}, nil)
	if err != nil {
		return p, err
	}
	var out struct {
		Number int
		Head   struct{ SHA string }
	}
	if err := g.call(ctx, by, g.Me, http.MethodPost, "/repos/"+g.Repo+"/pulls", map[string]string{"base": "main", "head": p.Branch, "title": p.Branch}, &out); err != nil {
		return p, err
	}
	p.Number, p.SHA = out.Number, out.Head.SHA
	return p, nil
}

// Call sends one request of a user, and reads the answer as JSON into out, unless that is nil.
func (g *Gitea) Call(ctx context.Context, who Login, method, path string, in, out any) error {
	return g.call(ctx, g.Transport, who, method, path, in, out)
}

func (g *Gitea) call(ctx context.Context, by http.RoundTripper, who Login, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, g.Base+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+who.Token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := by.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode > 299:
		return fmt.Errorf("%s %s: HTTP %d: %s", method, path, resp.StatusCode, text)
	case out != nil:
		return json.Unmarshal(text, out)
	}
	return nil
}
