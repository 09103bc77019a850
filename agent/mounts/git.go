package mounts

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	statev1 "aloft/proto/sky/state/v1"
)

// clone checks out a git repository at a branch, tag or commit. Credentials come from the task's secrets and reach git
// by its environment, never by its command line.
func (m *Mounts) clone(ctx context.Context, g *statev1.GitSource, dest string, secrets map[string]string) error {
	if strings.HasPrefix(g.GetUrl(), "-") || strings.HasPrefix(g.GetRef(), "-") {
		return fmt.Errorf("git: %q at %q is no repository", g.GetUrl(), g.GetRef())
	}
	tmp := dest + ".part"
	if err := os.RemoveAll(tmp); err != nil {
		return fmt.Errorf("clear %s: %w", tmp, err)
	}
	env, done, err := gitEnv(secrets)
	if err != nil {
		return err
	}
	defer done()
	run := func(args ...string) error { return git(ctx, env, args...) }
	if err := run("init", "--quiet", tmp); err != nil {
		return err
	}
	if err := run("-C", tmp, "remote", "add", "origin", g.GetUrl()); err != nil {
		return err
	}
	ref := g.GetRef()
	if ref == "" {
		ref = "HEAD"
	}
	// The one commit is enough, where the server gives it out by this name.
	target := "FETCH_HEAD"
	if err := run("-C", tmp, "fetch", "--quiet", "--depth", "1", "origin", ref); err != nil {
		if err := run("-C", tmp, "fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*"); err != nil {
			return err
		}
		target = ref
	}
	if err := run("-C", tmp, "checkout", "--quiet", "--detach", target); err != nil {
		return err
	}
	if err := os.RemoveAll(dest); err != nil {
		return fmt.Errorf("clear %s: %w", dest, err)
	}
	if err := os.Rename(tmp, dest); err != nil {
		return fmt.Errorf("working directory: %w", err)
	}
	return nil
}

func git(ctx context.Context, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return fmt.Errorf("the node has no git: %w", err)
		}
		const most = 2000
		text := strings.TrimSpace(out.String())
		return fmt.Errorf("git %s: %w: %s", args[len(args)-1], err, text[:min(len(text), most)])
	}
	return nil
}

// gitEnv is git's environment; done removes what it needed on disk.
func gitEnv(secrets map[string]string) (env []string, done func(), err error) {
	env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=/bin/false")
	done = func() {}
	ssh := "ssh -oBatchMode=yes -oStrictHostKeyChecking=accept-new"
	if token := secrets["GIT_TOKEN"]; token != "" {
		basic := base64.StdEncoding.EncodeToString([]byte("x-access-token:" + token))
		env = append(env, "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.extraHeader", "GIT_CONFIG_VALUE_0=Authorization: Basic "+basic)
	}
	if key := secrets["GIT_SSH_KEY"]; key != "" {
		dir, err := os.MkdirTemp("/dev/shm", "aloft-git-")
		if err != nil {
			return nil, nil, fmt.Errorf("no memory-backed place for the git key: %w", err)
		}
		done = func() { _ = os.RemoveAll(dir) }
		path := filepath.Join(dir, "key")
		if err := os.WriteFile(path, []byte(strings.TrimRight(key, "\n")+"\n"), 0o600); err != nil {
			done()
			return nil, nil, fmt.Errorf("keep the git key: %w", err)
		}
		ssh += " -oIdentitiesOnly=yes -i " + path
	}
	return append(env, "GIT_SSH_COMMAND="+ssh), done, nil
}
