package ignore_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aloft/tasks/snapshot/ignore"
)

// tree makes files (and directories, with a slash at the end); text after = is the contents.
func tree(t testing.TB, dir string, files ...string) {
	t.Helper()
	for _, f := range files {
		f, text, _ := strings.Cut(f, "=")
		p := filepath.Join(dir, f)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(f, "/") {
			if err := os.MkdirAll(p, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// sent walks like a snapshot does and lists the files that are not left out, without .git.
func sent(t testing.TB, dir string, r *ignore.Rules) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, p)
		if err != nil || rel == "." {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return filepath.SkipDir
		}
		if r.Match(filepath.ToSlash(rel), d.IsDir()) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.IsDir() {
			out = append(out, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSkyignore(t *testing.T) {
	t.Parallel()
	files := []string{"a.log", "b.txt", "sub/a.log", "sub/b.txt", "sub/deep/a.log", ".hid/a.log", ".env", "build/x", "sub/build/x", "!x", "[y", "data1", "data2", "datax"}
	for _, tc := range []struct {
		name, text string
		out        []string // left out
	}{
		{"any depth", "*.log", []string{"a.log", "sub/a.log", "sub/deep/a.log"}},
		{"rooted", "/a.log", []string{"a.log"}},
		{"rooted glob", "/sub/*.log", []string{"sub/a.log"}},
		{"directory", "build", []string{"build/x", "sub/build/x"}},
		{"directory with slash", "build/\nb.txt/", []string{"build/x", "sub/build/x"}},
		{"rooted directory", "/build", []string{"build/x"}},
		{"comments and blanks", "# all\n\n  b.txt  \n", []string{"b.txt", "sub/b.txt"}},
		{"no negation", "*.log\n!a.log\n!x", []string{"!x", "a.log", "sub/a.log", "sub/deep/a.log"}},
		{"hidden ones are spelled out", ".env\n.hid", []string{".env", ".hid/a.log"}},
		{"star skips hidden ones", "/*", []string{"!x", "[y", "a.log", "b.txt", "build/x", "data1", "data2", "datax", "sub/a.log", "sub/b.txt", "sub/build/x", "sub/deep/a.log"}},
		{"double star", "/sub/**/a.log", []string{"sub/a.log", "sub/deep/a.log"}},
		{"class", "data[0-9]", []string{"data1", "data2"}},
		{"negated class", "data[!0-9]", []string{"datax"}},
		{"unclosed class", "[y", []string{"[y"}},
		{"middle slash", "deep/a.log", []string{"sub/deep/a.log"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			tree(t, dir, append(files, ".skyignore="+tc.text, ".gitignore=*")...)
			r, err := ignore.New(context.Background(), dir)
			if err != nil {
				t.Fatal(err)
			}
			got := sent(t, dir, r)
			var out []string
			for _, f := range files {
				if !slices.Contains(got, f) {
					out = append(out, f)
				}
			}
			slices.Sort(out)
			if d := cmp.Diff(tc.out, out); d != "" || r.Source() != ".skyignore" {
				t.Errorf("%s: left out (-want +got):\n%s", r.Source(), d)
			}
		})
	}
}

// gitEnv runs git without the user's configuration. The tests that use it cannot be parallel.
func gitEnv(t testing.TB) func(dir string, args ...string) (string, error) {
	t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not here")
	}
	home := t.TempDir()
	return func(dir string, args ...string) (string, error) {
		cmd := exec.Command(git, append([]string{"-C", dir, "-c", "user.name=x", "-c", "user.email=x@y", "-c", "protocol.file.allow=always"}, args...)...)
		cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "GIT_CONFIG_NOSYSTEM=1")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
}

func mustGit(t testing.TB, git func(string, ...string) (string, error), dir string, args ...string) {
	t.Helper()
	if out, err := git(dir, args...); err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
}

func TestGit(t *testing.T) {
	git := gitEnv(t)
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, ".config"))
	tree(t, home, ".config/git/ignore=*.global\n")
	dir := filepath.Join(t.TempDir(), "a repo")
	tree(t, dir, ".gitignore=*.log\n/out/\n/gone\n!keep.log\n", "gone/x", "a.log", "keep.log", "b.txt", "out/x", "sub/out/x", "sub/.gitignore=!a.log\nb.txt\n", "sub/a.log", "sub/b.txt", "x.global", "y.excluded", "tracked.log", "out/tracked", "sp ace.log", "né.log")
	mustGit(t, git, dir, "init", "-q")
	if err := os.WriteFile(filepath.Join(dir, ".git", "info", "exclude"), []byte("*.excluded\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	mustGit(t, git, dir, "add", "-f", "tracked.log", "out/tracked")
	want := []string{".gitignore", "b.txt", "keep.log", "out/tracked", "sub/.gitignore", "sub/a.log", "sub/out/x", "tracked.log"}
	for _, source := range []string{"git", "gitignore"} {
		t.Run(source, func(t *testing.T) {
			if source == "gitignore" {
				t.Setenv("PATH", "")
			}
			r, err := ignore.New(context.Background(), dir)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, sent(t, dir, r)); d != "" || r.Source() != source {
				t.Errorf("%s (-want +got):\n%s", r.Source(), d)
			}
			if r.Match(".git", true) || r.Match(".git/config", false) {
				t.Error(".git is left out")
			}
			sub, err := ignore.New(context.Background(), filepath.Join(dir, "sub"))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff([]string{".gitignore", "a.log", "out/x"}, sent(t, filepath.Join(dir, "sub"), sub)); d != "" {
				t.Errorf("sub (-want +got):\n%s", d)
			}
			// A directory that the repository around it ignores is sent whole.
			out, err := ignore.New(context.Background(), filepath.Join(dir, "gone"))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff([]string{"x"}, sent(t, filepath.Join(dir, "gone"), out)); d != "" || len(out.Warnings()) != 1 {
				t.Errorf("gone: %v (-want +got):\n%s", out.Warnings(), d)
			}
		})
	}
}

func TestSubmodule(t *testing.T) {
	git := gitEnv(t)
	dir, lib := t.TempDir(), t.TempDir()
	tree(t, lib, ".gitignore=*.o\n", "lib.c")
	mustGit(t, git, lib, "init", "-q")
	mustGit(t, git, lib, "add", ".")
	mustGit(t, git, lib, "commit", "-qm", "lib")
	tree(t, dir, ".gitignore=*.log\n", "a.log", "main.c")
	mustGit(t, git, dir, "init", "-q")
	mustGit(t, git, dir, "submodule", "--quiet", "add", lib, "lib")
	tree(t, dir, "lib/lib.o", "lib/b.log")
	r, err := ignore.New(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{".gitignore", ".gitmodules", "lib/.git", "lib/.gitignore", "lib/b.log", "lib/lib.c", "main.c"}
	if d := cmp.Diff(want, sent(t, dir, r)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestNoRepository(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tree(t, dir, ".gitignore=*\n", "a")
	r, err := ignore.New(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := sent(t, dir, r); len(got) != 2 || len(r.Warnings()) != 1 || r.Source() != "none" {
		t.Error(got, r.Warnings(), r.Source())
	}
}

// agree compares the rules as read from the files with git check-ignore, for one path.
func agree(t *testing.T, git func(string, ...string) (string, error), dir, rel string, isDir bool) {
	t.Helper()
	r, err := ignore.New(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if r.Source() != "gitignore" {
		t.Fatal(r.Source())
	}
	out, err := git(dir, "check-ignore", "-q", "--", rel)
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Skip(out)
	}
	if got, want := r.Match(rel, isDir), err == nil; got != want {
		top, _ := os.ReadFile(filepath.Join(dir, ".gitignore"))
		sub, _ := os.ReadFile(filepath.Join(dir, "a", ".gitignore"))
		t.Errorf("%q: left out: %v, git says %v\n.gitignore %q\na/.gitignore %q", rel, got, want, top, sub)
	}
}

func repo(t testing.TB, git func(string, ...string) (string, error)) string {
	t.Helper()
	dir := t.TempDir()
	mustGit(t, git, dir, "init", "-q")
	return dir
}

// TestAgreesWithGit compares random rules on random paths with git.
func TestAgreesWithGit(t *testing.T) {
	git := gitEnv(t)
	dir := repo(t, git)
	t.Setenv("PATH", "")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", "")
	words := []string{"a", "b", "ab", "*", "**", "?", "a*", "*b", "[ab]", "[!a]", "[^a]", "[a-c]*", "\\a", "a**b", ".a", "[]a]", "[[:alpha:]]"}
	rng := rand.New(rand.NewPCG(1, 2))
	rounds := 150
	if testing.Short() {
		rounds = 50
	}
	line := func() string {
		l := ""
		if rng.IntN(4) == 0 {
			l += "!"
		}
		if rng.IntN(3) == 0 {
			l += "/"
		}
		for i := range 1 + rng.IntN(3) {
			if i > 0 {
				l += "/"
			}
			l += words[rng.IntN(len(words))]
		}
		if rng.IntN(4) == 0 {
			l += "/"
		}
		return l
	}
	for range rounds {
		var top, sub []string
		for range 1 + rng.IntN(3) {
			top = append(top, line())
			sub = append(sub, line())
		}
		names := []string{"a", "b", "ab", "c", ".a", "aab"}
		parts := []string{}
		for range 1 + rng.IntN(4) {
			parts = append(parts, names[rng.IntN(len(names))])
		}
		rel := strings.Join(parts, "/")
		isDir := rng.IntN(2) == 0
		if isDir {
			tree(t, dir, rel+"/")
		} else {
			tree(t, dir, rel)
		}
		tree(t, dir, ".gitignore="+strings.Join(top, "\n"))
		if fi, err := os.Stat(filepath.Join(dir, "a")); err == nil && fi.IsDir() {
			tree(t, dir, "a/.gitignore="+strings.Join(sub, "\n"))
		}
		agree(t, git, dir, rel, isDir)
		ents, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range ents {
			if e.Name() != ".git" {
				_ = os.RemoveAll(filepath.Join(dir, e.Name()))
			}
		}
	}
}

// FuzzAgreesWithGit compares any rules and path with git.
func FuzzAgreesWithGit(f *testing.F) {
	f.Add("*.log\n!a", "x/a", false)
	f.Add("a/**/b\n[a-c]?", "a/x/y/b", true)
	f.Add("\\!x\n\\#y\nz\\ ", "z ", false)
	f.Fuzz(func(t *testing.T, rules, rel string, isDir bool) {
		if !filepath.IsLocal(rel) || filepath.Clean(rel) != rel || rel == "." || strings.ContainsAny(rel, "\x00\n\\") || strings.Contains(rel, ".git") || len(rel) > 200 || strings.ContainsAny(rules, "\x00") {
			t.Skip()
		}
		git := gitEnv(t)
		dir := repo(t, git)
		t.Setenv("PATH", "")
		t.Setenv("HOME", t.TempDir())
		p := filepath.Join(dir, rel)
		if os.MkdirAll(filepath.Dir(p), 0o755) != nil {
			t.Skip()
		}
		if isDir && os.Mkdir(p, 0o755) != nil || !isDir && os.WriteFile(p, nil, 0o644) != nil {
			t.Skip()
		}
		if err := os.WriteFile(filepath.Join(dir, ".gitignore"), []byte(rules), 0o644); err != nil {
			t.Fatal(err)
		}
		agree(t, git, dir, rel, isDir)
	})
}
