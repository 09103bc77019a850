// Package python holds the Python package aloft_checks, which streams the data
// of Python programs to the engine. It is put beside every job and can be
// installed with pip from this folder.
package python

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

//go:embed aloft_checks/*.py aloft_checks/*/*.py deepchecks/*.py
var files embed.FS

// The folders that Install makes, to be put on PYTHONPATH.
const (
	// PathChecks holds the package aloft_checks.
	PathChecks = "checks"
	// PathDeepchecks holds a package called deepchecks that is aloft_checks:
	// for scripts that are to run unchanged.
	PathDeepchecks = "deepchecks"
)

// Install writes the package below dir, into a folder named by its content,
// unless it is there, and returns that folder. Several processes may do so at
// once.
func Install(dir string) (string, error) {
	digest := sha256.New()
	content := make(map[string][]byte)
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".py" {
			return err
		}
		data, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(digest, "%s %d\n", path, len(data))
		digest.Write(data)
		content[path] = data
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("install aloft_checks: %w", err)
	}
	to := filepath.Join(dir, "python-"+hex.EncodeToString(digest.Sum(nil))[:16])
	if _, err := os.Stat(to); err == nil {
		return to, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("install aloft_checks: %w", err)
	}
	draft, err := os.MkdirTemp(dir, ".python-*")
	if err != nil {
		return "", fmt.Errorf("install aloft_checks: %w", err)
	}
	defer os.RemoveAll(draft)
	for path, data := range content {
		where := map[bool]string{true: PathChecks, false: PathDeepchecks}[path[0] == 'a']
		name := filepath.Join(draft, where, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return "", fmt.Errorf("install aloft_checks: %w", err)
		}
		if err := os.WriteFile(name, data, 0o644); err != nil {
			return "", fmt.Errorf("install aloft_checks: %w", err)
		}
	}
	if err := os.Chmod(draft, 0o755); err != nil {
		return "", fmt.Errorf("install aloft_checks: %w", err)
	}
	if err := os.Rename(draft, to); err != nil {
		if _, there := os.Stat(to); there == nil { // another process was quicker
			return to, nil
		}
		return "", fmt.Errorf("install aloft_checks: %w", errors.Unwrap(err))
	}
	return to, nil
}
