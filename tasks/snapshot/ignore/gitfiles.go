package ignore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/config"
	"github.com/go-git/go-git/v5/plumbing/format/index"
)

const gitignore = ".gitignore"

// pattern is one line of a .gitignore.
type pattern struct {
	dir     string // of the file that has the line, relative to the repository, "" = its root
	parts   []string
	rooted  bool // matches the whole path below dir, not just a name
	dirOnly bool
	negated bool
}

// parsePattern reads a line; false when it has no pattern.
func parsePattern(line, dir string) (pattern, bool) {
	line = strings.TrimSuffix(line, "\r")
	if line == "" || line[0] == '#' {
		return pattern{}, false
	}
	p := pattern{dir: dir}
	if line[0] == '!' {
		p.negated = true
		line = line[1:]
	}
	line = trimSpaces(line)
	if strings.HasSuffix(line, "/") {
		p.dirOnly = true
		line = line[:len(line)-1]
	}
	if line == "" {
		return pattern{}, false
	}
	p.rooted = strings.Contains(line, "/")
	p.parts = strings.Split(strings.TrimPrefix(line, "/"), "/")
	return p, true
}

// trimSpaces drops trailing spaces that no backslash quotes.
func trimSpaces(s string) string {
	end := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
			end = min(i+1, len(s))
		case ' ':
		default:
			end = i + 1
		}
	}
	return s[:end]
}

// matches tells whether the pattern speaks of a path of the repository.
func (p *pattern) matches(rel string, dir bool) bool {
	if p.dirOnly && !dir {
		return false
	}
	if p.dir != "" {
		var ok bool
		if rel, ok = strings.CutPrefix(rel, p.dir+"/"); !ok {
			return false
		}
	}
	if !p.rooted {
		return wildmatch(p.parts[0], path.Base(rel), true)
	}
	return matchGit(p.parts, strings.Split(rel, "/"))
}

// matchGit matches all components; a leading or inner ** takes any number of them, a trailing one at least one.
func matchGit(parts, path []string) bool {
	for len(parts) > 0 {
		if parts[0] == "**" {
			if len(parts) == 1 {
				return len(path) > 0
			}
			for i := range len(path) + 1 {
				if matchGit(parts[1:], path[i:]) {
					return true
				}
			}
			return false
		}
		if len(path) == 0 || !wildmatch(parts[0], path[0], true) {
			return false
		}
		parts, path = parts[1:], path[1:]
	}
	return len(path) == 0
}

// files evaluates the ignore files of a repository.
type files struct {
	repo    string
	base    []pattern            // of the user and of .git/info/exclude
	perDir  map[string][]pattern // of .gitignore files, by directory
	tracked map[string]bool      // files of the index, and with a slash at the end the directories that have some
	known   map[string]bool      // verdicts on directories
}

// byFiles evaluates the rules without the git program.
func byFiles(root string) (*Rules, error) {
	repo := repository(root)
	gitDir, err := gitDirOf(repo)
	if err != nil {
		return nil, err
	}
	f := &files{repo: repo, perDir: map[string][]pattern{}, known: map[string]bool{}}
	if f.tracked, err = trackedFiles(filepath.Join(gitDir, "index")); err != nil {
		return nil, err
	}
	for _, p := range []string{globalExcludes(), filepath.Join(gitDir, "info", "exclude")} {
		ps, err := readPatterns(p, "")
		if err != nil {
			return nil, err
		}
		f.base = append(f.base, ps...)
	}
	prefix, err := filepath.Rel(repo, root)
	if err != nil {
		return nil, fmt.Errorf("ignore rules: %w", err)
	}
	prefix = filepath.ToSlash(prefix)
	if prefix != "." && !f.tracked[prefix+"/"] && f.ignored(prefix, true) {
		return dropAll(root, "gitignore"), nil
	}
	return &Rules{source: "gitignore", match: func(rel string, dir bool) bool {
		rel = path.Join(prefix, rel)
		if f.tracked[rel] || (dir && f.tracked[rel+"/"]) {
			return false
		}
		return f.ignored(rel, dir)
	}}, nil
}

// ignored tells whether the patterns leave a path out, or a directory above it: below one nothing can be taken back.
func (f *files) ignored(rel string, dir bool) bool {
	if first, _, _ := strings.Cut(rel, "/"); first == ".git" {
		return false
	}
	if dir {
		if v, ok := f.known[rel]; ok {
			return v
		}
	}
	up := path.Dir(rel)
	v := (up != "." && f.ignored(up, true)) || f.verdict(rel, dir)
	if dir {
		f.known[rel] = v
	}
	return v
}

// verdict is what the last pattern that matches says; those of nearer files come later.
func (f *files) verdict(rel string, dir bool) bool {
	for d := path.Dir(rel); ; d = path.Dir(d) {
		if v, ok := last(f.patterns(d), rel, dir); ok {
			return v
		}
		if d == "." {
			break
		}
	}
	v, _ := last(f.base, rel, dir)
	return v
}

func last(ps []pattern, rel string, dir bool) (ignored, ok bool) {
	for i := len(ps) - 1; i >= 0; i-- {
		if ps[i].matches(rel, dir) {
			return !ps[i].negated, true
		}
	}
	return false, false
}

// patterns are those of the .gitignore in a directory of the repository; one that cannot be read has none, as for git.
func (f *files) patterns(dir string) []pattern {
	if ps, ok := f.perDir[dir]; ok {
		return ps
	}
	prefix := dir
	if dir == "." {
		prefix = ""
	}
	ps, err := readPatterns(filepath.Join(f.repo, filepath.FromSlash(dir), gitignore), prefix)
	if err != nil {
		ps = nil
	}
	f.perDir[dir] = ps
	return ps
}

func readPatterns(file, dir string) ([]pattern, error) {
	if file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ignore rules: %w", err)
	}
	var out []pattern
	for _, l := range strings.Split(strings.TrimPrefix(string(b), "\ufeff"), "\n") {
		if p, ok := parsePattern(l, dir); ok {
			out = append(out, p)
		}
	}
	return out, nil
}

// gitDirOf finds the repository's own directory: in worktrees and submodules .git is a file that names it.
func gitDirOf(repo string) (string, error) {
	p := filepath.Join(repo, ".git")
	fi, err := os.Stat(p)
	if err != nil {
		return "", fmt.Errorf("ignore rules: %w", err)
	}
	if fi.IsDir() {
		return p, nil
	}
	b, err := os.ReadFile(p)
	if err != nil {
		return "", fmt.Errorf("ignore rules: %w", err)
	}
	dir, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "gitdir: ")
	if !ok {
		return "", fmt.Errorf("ignore rules: %s does not name a git directory", p)
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(repo, dir)
	}
	return dir, nil
}

// trackedFiles reads the index.
func trackedFiles(file string) (map[string]bool, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ignore rules: %w", err)
	}
	var idx index.Index
	if err := index.NewDecoder(bytes.NewReader(b)).Decode(&idx); err != nil {
		return nil, fmt.Errorf("ignore rules: read %s: %w", file, err)
	}
	out := make(map[string]bool, 2*len(idx.Entries))
	for _, e := range idx.Entries {
		out[e.Name] = true
		for d := path.Dir(e.Name); d != "." && !out[d+"/"]; d = path.Dir(d) {
			out[d+"/"] = true
		}
	}
	return out, nil
}

// globalExcludes is the user's own ignore file; "" when there is none.
func globalExcludes() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	xdg := os.Getenv("XDG_CONFIG_HOME")
	if xdg == "" {
		xdg = filepath.Join(home, ".config")
	}
	for _, f := range []string{filepath.Join(home, ".gitconfig"), filepath.Join(xdg, "git", "config")} {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		cfg := config.New()
		if err := config.NewDecoder(bytes.NewReader(b)).Decode(cfg); err != nil {
			continue
		}
		if p := cfg.Section("core").Option("excludesfile"); p != "" {
			if rest, ok := strings.CutPrefix(p, "~/"); ok {
				return filepath.Join(home, rest)
			}
			return p
		}
	}
	return filepath.Join(xdg, "git", "ignore")
}
