package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"aloft/controller/access"
)

// sshIncludes makes sure that `ssh CLUSTER` finds the machines of the home's clusters, once there are any that ssh
// reaches. What goes wrong is a warning: nothing of ours depends on it.
func (a *app) sshIncludes() {
	pieces, err := filepath.Glob(access.Pattern(a.home))
	if err != nil || len(pieces) == 0 {
		return
	}
	home, ok := a.getenv("HOME")
	if !ok || home == "" {
		return
	}
	if err := includeSSH(home, access.Pattern(a.home)); err != nil {
		fmt.Fprintf(a.errOut, "sky: warning: `ssh CLUSTER` is not set up: %v\n  add this line at the top of ~/.ssh/config: %s\n", err, includeLine(access.Pattern(a.home)))
	}
}

// hostProvider is the place that needs no way: this machine.
const hostProvider = "local"

// pieceTime is how long the piece of a cluster that has come up is waited for: the controller writes it a moment after.
const pieceTime = time.Second

// awaitPiece waits until `ssh CLUSTER` can find the machines of a cluster.
func (a *app) awaitPiece(ctx context.Context, cluster string) {
	path := filepath.Join(access.Dir(a.home), cluster+".conf")
	ctx, stop := context.WithTimeout(ctx, pieceTime)
	defer stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func includeLine(pattern string) string { return `Include "` + pattern + `"` }

// includeSSH puts the line at the top of ~/.ssh/config unless it is there. The file keeps its mode, a link stays a link,
// and what others write at the same time is not lost.
func includeSSH(home, pattern string) error {
	dir := filepath.Join(home, ".ssh")
	path := filepath.Join(dir, "config")
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	} else if fi, lerr := os.Lstat(path); lerr == nil && fi.Mode()&fs.ModeSymlink != 0 {
		return fmt.Errorf("%s is a link to a file that is not there", path)
	}
	for range 5 {
		old, before, err := readConfig(path)
		if err != nil {
			return err
		}
		if includes(old, pattern) {
			return nil
		}
		if before == nil {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return fmt.Errorf("make %s: %w", dir, err)
			}
		}
		text := "# Machines of sky's clusters, for ssh CLUSTER.\n" + includeLine(pattern) + "\n"
		if len(old) > 0 {
			text += "\n"
		}
		done, err := replace(path, append([]byte(text), old...), before)
		if done || err != nil {
			return err
		}
	}
	return fmt.Errorf("%s is being changed by somebody else", path)
}

// readConfig reads the file; info is nil when there is none.
func readConfig(path string) (b []byte, info fs.FileInfo, err error) {
	info, err = os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is no regular file", path)
	}
	if b, err = os.ReadFile(path); err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", path, err)
	}
	return b, info, nil
}

// includes reports whether the pattern is included for every host: before any Host or Match.
func includes(config []byte, pattern string) bool {
	for line := range bytes.Lines(config) {
		key, value, _ := strings.Cut(strings.TrimSpace(strings.Replace(string(line), "=", " ", 1)), " ")
		switch strings.ToLower(key) {
		case "host", "match":
			return false
		case "include":
			if v := strings.TrimSpace(value); strings.Trim(v, `"`) == pattern {
				return true
			}
		}
	}
	return false
}

// replace writes the file anew; false = it is not any more what was read.
func replace(path string, b []byte, before fs.FileInfo) (bool, error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".config-*")
	if err != nil {
		return false, fmt.Errorf("write %s: %w", path, err)
	}
	drop := func(err error) (bool, error) {
		return false, fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(tmp.Name())))
	}
	if before != nil {
		if err := tmp.Chmod(before.Mode().Perm()); err != nil {
			return drop(errors.Join(err, tmp.Close()))
		}
	}
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return drop(err)
	}
	now, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && before == nil:
		err = os.Link(tmp.Name(), path) // not over a file that came meanwhile
		if errors.Is(err, fs.ErrExist) {
			return false, os.Remove(tmp.Name())
		}
		if err != nil {
			return drop(err)
		}
		return true, os.Remove(tmp.Name())
	case err != nil || before == nil || now.Size() != before.Size() || !now.ModTime().Equal(before.ModTime()) || !os.SameFile(now, before):
		return false, os.Remove(tmp.Name())
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return drop(err)
	}
	return true, nil
}
