package seal_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"aloft/controller/seal"
)

func open(t *testing.T, home string, exist bool) *seal.Sealer {
	t.Helper()
	s, err := seal.Open(home, exist)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	home := filepath.Join(t.TempDir(), "a home")
	s := open(t, home, false)
	for _, plain := range [][]byte{nil, []byte("hunter2"), bytes.Repeat([]byte("x"), 1<<20)} {
		sealed, err := s.Seal(plain)
		if err != nil {
			t.Fatal(err)
		}
		if len(plain) > 0 && bytes.Contains(sealed, plain) {
			t.Error("plain text shows")
		}
		got, err := open(t, home, true).Open(sealed) // with the key read again
		if err != nil || !bytes.Equal(got, plain) {
			t.Error(err)
		}
	}
	if fi, err := os.Stat(filepath.Join(home, seal.KeyFile)); err != nil || fi.Mode().Perm() != 0o600 {
		t.Error(fi.Mode(), err)
	}
	if ents, _ := os.ReadDir(home); len(ents) != 1 {
		t.Error("something was left")
	}
}

func TestDamaged(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), false)
	sealed, err := s.Seal([]byte("hunter2"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		b := bytes.Clone(sealed)
		b[i] ^= 1
		if got, err := s.Open(b); !errors.Is(err, seal.ErrOpen) || got != nil || strings.Contains(err.Error(), "hunter2") {
			t.Fatal(i, err)
		}
		if _, err := s.Open(sealed[:i]); !errors.Is(err, seal.ErrOpen) {
			t.Fatal(i, err)
		}
	}
	if _, err := open(t, t.TempDir(), false).Open(sealed); !errors.Is(err, seal.ErrOpen) {
		t.Error("another key opened it", err)
	}
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text string
		mode       os.FileMode
		exist      bool
		want       error
	}{
		{"missing, nothing sealed", "-", 0o600, false, nil},
		{"missing, something sealed", "-", 0o600, true, seal.ErrNoKey},
		{"empty", "", 0o600, false, seal.ErrBadKey},
		{"rubbish", "AGE-SECRET-KEY-1TOPSECRET\n", 0o600, false, seal.ErrBadKey},
		{"open to others", "AGE-SECRET-KEY-1TOPSECRET\n", 0o640, true, seal.ErrBadKey},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			p := filepath.Join(home, seal.KeyFile)
			if tc.text != "-" {
				if err := os.WriteFile(p, []byte(tc.text), tc.mode); err != nil {
					t.Fatal(err)
				}
			}
			_, err := seal.Open(home, tc.exist)
			if !errors.Is(err, tc.want) || (err != nil && strings.Contains(err.Error(), "TOPSECRET")) {
				t.Error(err)
			}
			b, rerr := os.ReadFile(p)
			if tc.want != nil && ((tc.text == "-") != (rerr != nil) || (tc.text != "-" && string(b) != tc.text)) {
				t.Error("the key file was touched")
			}
		})
	}
}

// TestOneKey: of several that start at once, all use the same key.
func TestOneKey(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	var wg sync.WaitGroup
	keys := make([]string, 8)
	for i := range keys {
		wg.Go(func() {
			s, err := seal.Open(home, false)
			if err != nil {
				t.Error(err)
				return
			}
			keys[i] = s.Recipient()
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] {
			t.Error("two keys were made")
		}
	}
}

// TestShare gives several homes one key.
func TestShare(t *testing.T) {
	t.Parallel()
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	a, b, own := t.TempDir(), t.TempDir(), t.TempDir()
	for _, home := range []string{a, b, b} {
		if err := seal.Share(home, " "+key+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	open := func(home string) *seal.Sealer {
		s, err := seal.Open(home, false)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	sealed, err := open(a).Seal([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := open(b).Open(sealed); err != nil || string(plain) != "secret" {
		t.Errorf("%q, %v", plain, err)
	}
	if !open(a).Shared() || open(own).Shared() {
		t.Error("which homes share their key is not known")
	}
	if err := seal.Share(own, key); !errors.Is(err, seal.ErrOtherKey) {
		t.Errorf("a home with a key of its own: %v", err)
	}
	if err := seal.Share(t.TempDir(), "AGE-SECRET-KEY-1NONE"); !errors.Is(err, seal.ErrBadKey) || strings.Contains(err.Error(), "NONE") {
		t.Errorf("no key: %v", err)
	}
}
