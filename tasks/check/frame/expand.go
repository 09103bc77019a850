package frame

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Expand turns patterns, relative to dir, into files: a pattern with * ? or [
// stands for the files that match it, a folder for the files in it whose names
// do not begin with a dot or an underscore, both in the order of their names.
func Expand(dir string, patterns []string) ([]File, error) {
	var out []File
	var faults []error
	for _, p := range patterns {
		files, err := expand(dir, p)
		if err != nil {
			faults = append(faults, err)
		}
		out = append(out, files...)
	}
	return out, errors.Join(faults...)
}

func expand(dir, pattern string) ([]File, error) {
	full := pattern
	if !filepath.IsAbs(full) {
		full = filepath.Join(dir, pattern)
	}
	info, err := os.Stat(full)
	switch {
	case err == nil && !info.IsDir():
		return []File{{Path: full, Name: pattern}}, nil
	case err == nil:
		return folder(full, pattern)
	case !strings.ContainsAny(pattern, "*?["):
		return []File{{Path: full, Name: pattern}}, nil // opening it tells why not
	}
	matches, err := filepath.Glob(full)
	if err != nil {
		return nil, fmt.Errorf("%s: the pattern is malformed", pattern)
	}
	if len(matches) == 0 {
		return nil, fmt.Errorf("no file matches %s", pattern)
	}
	slices.Sort(matches)
	out := make([]File, 0, len(matches))
	for _, m := range matches {
		name := m
		if rel, err := filepath.Rel(dir, m); err == nil && !filepath.IsAbs(pattern) {
			name = rel
		}
		out = append(out, File{Path: m, Name: name})
	}
	return out, nil
}

func folder(full, name string) ([]File, error) {
	entries, err := os.ReadDir(full)
	if err != nil {
		return nil, fmt.Errorf("read table: %w", err)
	}
	var out []File
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(e.Name(), "_") && !e.IsDir() {
			out = append(out, File{Path: filepath.Join(full, e.Name()), Name: filepath.Join(name, e.Name())})
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("there is no file in the folder %s", name)
	}
	return out, nil
}
