package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"aloft/controller/forge"
)

// gitTime bounds one fetch or push.
const gitTime = 5 * time.Minute

// checkout is the working tree that the process is in. Nothing in it is changed: neither its files and branches nor its index
// and configuration. What git has to be told comes by its environment, which others on the machine cannot read.
type checkout struct {
	remote  string   // name or address that is fetched from and pushed to, without user and password
	env     []string // for what goes over the network
	secrets []string // not to be shown
}

// openCheckout finds the remote. With a token and a remote on the token's own server it is that token that is shown there,
// whatever the checkout's configuration or the remote's address hold.
func openCheckout(ctx context.Context, remote, token string, kind forge.Kind, trusted func(host string) bool) (*checkout, error) {
	g := &checkout{remote: remote}
	address, err := g.git(ctx, nil, "remote", "get-url", "--push", "--", remote)
	if err != nil {
		return nil, usageError("--remote %s: the checkout has no such remote: %v", remote, err)
	}
	u, err := url.Parse(address)
	if err == nil && u.User == nil || err != nil && !strings.Contains(address, "://") {
		g.remote = address // no branch of the remote's is noted down for it
	}
	if token == "" || err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || !trusted(u.Host) {
		return g, nil
	}
	user := map[forge.Kind]string{forge.GitHub: "x-access-token", forge.GitLab: "oauth2", forge.Bitbucket: "x-token-auth", forge.Gitea: "x-access-token"}[kind]
	pair := user + ":" + token
	if kind == forge.Bitbucket && strings.Contains(token, ":") {
		pair = token
	}
	if p, ok := u.User.Password(); ok {
		g.secrets = append(g.secrets, p)
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	encoded := base64.StdEncoding.EncodeToString([]byte(pair))
	g.remote, g.secrets = u.String(), append(g.secrets, token, encoded)
	// An empty value drops the headers that the checkout's configuration has for this address, as that of actions/checkout:
	// two of them are refused.
	key := "http." + g.remote + ".extraHeader"
	g.env = gitConfig([2]string{key, ""}, [2]string{key, "Authorization: Basic " + encoded})
	return g, nil
}

// gitConfig is the environment that gives git configuration for one process, after what is in ours already.
func gitConfig(pairs ...[2]string) []string {
	n, err := strconv.Atoi(os.Getenv("GIT_CONFIG_COUNT"))
	if err != nil || n < 0 {
		n = 0
	}
	var out []string
	for i, p := range pairs {
		out = append(out, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", n+i, p[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", n+i, p[1]))
	}
	return append(out, fmt.Sprintf("GIT_CONFIG_COUNT=%d", n+len(pairs)))
}

// git runs git and gives what it printed, without the line break at the end.
func (g *checkout) git(ctx context.Context, env []string, args ...string) (string, error) {
	return g.gitIn(ctx, env, "", args...)
}

func (g *checkout) gitIn(ctx context.Context, env []string, in string, args ...string) (string, error) {
	ctx, stop := context.WithTimeout(ctx, gitTime)
	defer stop()
	cmd := exec.CommandContext(ctx, "git", args...)
	// Nobody is asked for a password: neither on a terminal nor by a window.
	cmd.Env = append(append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=true", "LC_ALL=C"), env...)
	cmd.Stdin = strings.NewReader(in)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(errOut.String())
		for _, s := range g.secrets {
			if len(s) > 3 {
				said = strings.ReplaceAll(said, s, "***")
			}
		}
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, visibleLine(strings.ReplaceAll(said, "\n", "; ")))
	}
	return strings.TrimRight(out.String(), "\n"), nil
}

// pathspecs are globs as git takes them: * stops at slashes, ** does not, a leading ! leaves out.
func pathspecs(globs []string) []string {
	var out []string
	for _, p := range globs {
		if rest, not := strings.CutPrefix(p, "!"); not {
			out = append(out, ":(exclude,glob)"+rest)
			continue
		}
		out = append(out, ":(glob)"+p)
	}
	return out
}

// changed lists the files below the globs that are new, changed or gone, by their paths in the repository.
func (g *checkout) changed(ctx context.Context, globs []string) ([]string, error) {
	args := append([]string{"status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--"}, pathspecs(globs)...)
	out, err := g.git(ctx, []string{"GIT_OPTIONAL_LOCKS=0"}, args...)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, line := range strings.Split(out, "\x00") {
		if len(line) > 3 {
			files = append(files, line[3:])
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// tree is the tree of a commit with files as they are in the working tree, made with an index of its own.
func (g *checkout) tree(ctx context.Context, base string, files []string) (string, error) {
	dir, err := os.MkdirTemp("", "sky-index-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	top, err := g.git(ctx, nil, "rev-parse", "--show-toplevel")
	if err != nil {
		return "", err
	}
	env := []string{"GIT_INDEX_FILE=" + filepath.Join(dir, "index")}
	if _, err := g.git(ctx, env, "read-tree", base); err != nil {
		return "", err
	}
	list := strings.Join(files, "\x00") + "\x00"
	if _, err := g.gitIn(ctx, env, list, "-C", top, "--literal-pathspecs", "add", "--all", "--pathspec-from-file=-", "--pathspec-file-nul"); err != nil {
		return "", err
	}
	return g.git(ctx, env, "write-tree")
}

// author is who commits.
type author struct{ name, email string }

// commit makes a commit of a tree. It is the same for the same tree, parent, author and message: jobs that do it at once make
// one.
func (g *checkout) commit(ctx context.Context, parent, tree, message string, by author) (string, error) {
	when, err := g.git(ctx, nil, "show", "-s", "--format=%ct +0000", parent)
	if err != nil {
		return "", err
	}
	env := []string{"GIT_AUTHOR_NAME=" + by.name, "GIT_AUTHOR_EMAIL=" + by.email, "GIT_AUTHOR_DATE=" + when,
		"GIT_COMMITTER_NAME=" + by.name, "GIT_COMMITTER_EMAIL=" + by.email, "GIT_COMMITTER_DATE=" + when}
	return g.gitIn(ctx, env, message+"\n", "commit-tree", "--no-gpg-sign", "-p", parent, "-F", "-", tree)
}

// digest names the difference between two trees in eight characters.
func (g *checkout) digest(ctx context.Context, base, tree string) (string, error) {
	out, err := g.git(ctx, nil, "diff-tree", "-r", "-z", "--no-renames", "--full-index", base, tree)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(out))
	return hex.EncodeToString(sum[:4]), nil
}

// head is the commit of a branch on the remote; "" = there is no such branch.
func (g *checkout) head(ctx context.Context, branch string) (string, error) {
	out, err := g.git(ctx, g.env, "ls-remote", "--", g.remote, "refs/heads/"+branch)
	if err != nil {
		return "", err
	}
	sha, _, _ := strings.Cut(out, "\t")
	return sha, nil
}

// fetch brings a commit here unless it is.
func (g *checkout) fetch(ctx context.Context, sha string) error {
	if _, err := g.git(ctx, nil, "cat-file", "-e", sha+"^{commit}"); err == nil {
		return nil
	}
	args := []string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head"}
	if shallow, err := g.git(ctx, nil, "rev-parse", "--is-shallow-repository"); err == nil && shallow == "true" {
		args = append(args, "--depth=2")
	}
	_, err := g.git(ctx, g.env, append(args, "--", g.remote, sha)...)
	return err
}

// push sets a branch of the remote to a commit, if it is still where it was seen; was "" = there was none.
func (g *checkout) push(ctx context.Context, sha, branch, was string) error {
	ref := "refs/heads/" + branch
	_, err := g.git(ctx, g.env, "push", "--quiet", "--no-verify", "--force-with-lease="+ref+":"+was, "--", g.remote, sha+":"+ref)
	return err
}

// base is the commit that a change is made on: what is checked out, but the head of the pull request where a CI system has
// checked out a merge that it made for the run.
func (g *checkout) base(ctx context.Context, sha string) (string, error) {
	head, err := g.git(ctx, nil, "rev-parse", "--verify", "HEAD^{commit}")
	if err != nil || sha == "" || strings.HasPrefix(head, sha) {
		return head, err
	}
	raw, err := g.git(ctx, nil, "cat-file", "commit", head) // HEAD^2 is not known to a shallow clone
	if err != nil {
		return "", err
	}
	parents, _, _ := strings.Cut(raw, "\nauthor ")
	if strings.Count(parents, "\nparent ") < 2 || !strings.Contains(parents, "\nparent "+sha) {
		return head, nil
	}
	if err := g.fetch(ctx, sha); err != nil {
		return "", err
	}
	return g.git(ctx, nil, "rev-parse", "--verify", sha+"^{commit}")
}

// proposalTrailer marks commits that this program proposes.
const proposalTrailer = "Proposed-by: sky ci pr"

// proposed says whether a commit, or what it merges, was proposed by this program or by an author, and what its message is.
func (g *checkout) proposed(ctx context.Context, sha, email string) (bool, string, error) {
	out, err := g.git(ctx, nil, "show", "-s", "--format=%P%x00%ae%x00%B", sha)
	if err != nil {
		return false, "", err
	}
	parts := strings.SplitN(out, "\x00", 3)
	if len(parts) != 3 {
		return false, "", nil
	}
	if strings.Contains(parts[2], proposalTrailer) || strings.EqualFold(parts[1], email) {
		return true, parts[2], nil
	}
	if p := strings.Fields(parts[0]); len(p) == 2 { // a merge; its second parent may not be here
		out, err := g.git(ctx, nil, "show", "-s", "--format=%ae%x00%B", p[1])
		if who, message, ok := strings.Cut(out, "\x00"); err == nil && ok {
			return strings.Contains(message, proposalTrailer) || strings.EqualFold(who, email), parts[2], nil
		}
	}
	return false, parts[2], nil
}
