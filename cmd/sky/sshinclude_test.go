package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestIncludeSSH(t *testing.T) {
	t.Parallel()
	const pattern = "/a home/.aloft/ssh/*.conf"
	line := includeLine(pattern)
	for _, x := range []struct {
		name, old string
		added     bool
	}{
		{"empty", "", true},
		{"others", "Host x\n  User me\n", true},
		{"no newline at the end", "Host x", true},
		{"there already", "# mine\n" + line + "\nHost x\n", false},
		{"there, written otherwise", "include=\"" + pattern + "\"\n", false},
		{"in a block, where it does not count", "Host x\n  " + line + "\n", true},
		{"carriage returns", "Host x\r\n  User me\r\n", true},
	} {
		home := t.TempDir()
		path := filepath.Join(home, ".ssh", "config")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if x.name != "empty" {
			if err := os.WriteFile(path, []byte(x.old), 0o640); err != nil {
				t.Fatal(err)
			}
		}
		var first string
		for range 2 {
			if err := includeSSH(home, pattern); err != nil {
				t.Fatalf("%s: %v", x.name, err)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if first == "" {
				first = string(b)
			}
			if string(b) != first {
				t.Errorf("%s: the second time changed it to %q", x.name, b)
			}
		}
		if !strings.HasSuffix(first, x.old) || (first != x.old) != x.added || x.added && strings.Count(first, line) != strings.Count(x.old, line)+1 {
			t.Errorf("%s: now %q", x.name, first)
		}
		if fi, err := os.Stat(path); err != nil || x.name == "empty" && fi.Mode().Perm() != 0o600 || x.name != "empty" && fi.Mode().Perm() != 0o640 {
			t.Errorf("%s: %v, %v", x.name, fi.Mode(), err)
		}
		if left, _ := filepath.Glob(filepath.Join(home, ".ssh", ".config-*")); len(left) > 0 {
			t.Errorf("%s: left %v", x.name, left)
		}
	}
}

func TestIncludeSSHKeepsLinks(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	dots := filepath.Join(home, "dotfiles")
	path := filepath.Join(home, ".ssh", "config")
	for _, d := range []string{dots, filepath.Dir(path)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dots, "c"), []byte("Host x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dots, "c"), path); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := includeSSH(home, "/h/*.conf"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	b, err := os.ReadFile(filepath.Join(dots, "c"))
	if err != nil || strings.Count(string(b), "Include") != 1 || !strings.HasSuffix(string(b), "Host x\n") {
		t.Errorf("%q, %v", b, err)
	}
	if fi, err := os.Lstat(path); err != nil || fi.Mode()&os.ModeSymlink == 0 {
		t.Error("the link is no link any more")
	}
	if err := os.Remove(filepath.Join(dots, "c")); err != nil {
		t.Fatal(err)
	}
	if err := includeSSH(home, "/h/*.conf"); err == nil {
		t.Error("a link to nowhere is replaced")
	}
}
