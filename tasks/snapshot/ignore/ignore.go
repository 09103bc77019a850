package ignore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const skyignore = ".skyignore"

// Rules are the rules of one directory.
type Rules struct {
	source   string
	warnings []string
	match    func(rel string, dir bool) bool
}

// New reads the rules of the directory root.
func New(ctx context.Context, root string) (*Rules, error) {
	b, err := os.ReadFile(filepath.Join(root, skyignore))
	if err == nil {
		globs := parseGlobs(string(b))
		return &Rules{source: skyignore, match: globs.match}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read %s: %w", skyignore, err)
	}
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, fmt.Errorf("ignore rules: %w", err)
	}
	if real, err = filepath.Abs(real); err != nil {
		return nil, fmt.Errorf("ignore rules: %w", err)
	}
	if repository(real) == "" {
		r := &Rules{source: "none", match: func(string, bool) bool { return false }}
		if _, err := os.Stat(filepath.Join(real, gitignore)); err == nil {
			r.warnings = append(r.warnings, fmt.Sprintf("%s is not in a git repository, its %s does not count; rename it to %s to leave files out", root, gitignore, skyignore))
		}
		return r, nil
	}
	if git, err := exec.LookPath("git"); err == nil {
		return byGit(ctx, git, real)
	}
	return byFiles(real)
}

// Match tells whether a path (relative to the root, with slashes) is left out; dir says that it is a directory.
func (r *Rules) Match(rel string, dir bool) bool { return r.match(rel, dir) }

// Warnings are sentences for the user about rules that do not count.
func (r *Rules) Warnings() []string { return r.warnings }

// Source says where the rules come from: .skyignore, git (the program), gitignore (the files) or none.
func (r *Rules) Source() string { return r.source }

// repository is the nearest directory at or above dir that has a .git; "" when there is none.
func repository(dir string) string {
	for {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
}

// dropAll is the answer to an outer repository that ignores the directory itself.
func dropAll(root, source string) *Rules {
	return &Rules{source: source, match: func(string, bool) bool { return false },
		warnings: []string{fmt.Sprintf("%s is ignored by the git repository around it: everything in it is sent; use a %s to leave files out", root, skyignore)}}
}

// within tells whether rel is one of the paths or lies below one; dirs end with a slash in paths.
func within(paths map[string]bool, rel string, dir bool) bool {
	if paths[rel] || (dir && paths[rel+"/"]) {
		return true
	}
	for i := range len(rel) {
		if rel[i] == '/' && paths[rel[:i+1]] {
			return true
		}
	}
	return false
}

// byGit asks the git program.
func byGit(ctx context.Context, git, root string) (*Rules, error) {
	// In a directory that is ignored itself, git would list it or its files one by one.
	err := exec.CommandContext(ctx, git, "-C", root, "check-ignore", "-q", ".").Run()
	if err == nil {
		return dropAll(root, "git"), nil
	}
	paths := map[string]bool{}
	if err := listIgnored(ctx, git, root, "", paths); err != nil {
		return nil, err
	}
	return &Rules{source: "git", match: func(rel string, dir bool) bool { return within(paths, rel, dir) }}, nil
}

// listIgnored adds the ignored paths of the repository at root/prefix and of its submodules.
func listIgnored(ctx context.Context, git, root, prefix string, paths map[string]bool) error {
	dir := filepath.Join(root, filepath.FromSlash(prefix))
	out, err := output(ctx, git, dir, "ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z")
	if err != nil {
		return err
	}
	for _, p := range strings.Split(out, "\x00") {
		if p != "" && p != "./" {
			paths[prefix+p] = true
		}
	}
	staged, err := output(ctx, git, dir, "ls-files", "--stage", "-z")
	if err != nil {
		return err
	}
	for _, l := range strings.Split(staged, "\x00") {
		const submodule = "160000 "
		_, p, ok := strings.Cut(l, "\t")
		if !ok || !strings.HasPrefix(l, submodule) {
			continue
		}
		if _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(p), ".git")); err != nil {
			continue // not checked out
		}
		if err := listIgnored(ctx, git, root, prefix+p+"/", paths); err != nil {
			return err
		}
	}
	return nil
}

func output(ctx context.Context, git, dir string, args ...string) (string, error) {
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, git, append([]string{"-C", dir}, args...)...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s in %s: %w: %s", args[0], dir, err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}
