package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// TestStoreTrouble: a store that cannot be used is named, with what to do, and is never overwritten.
func TestStoreTrouble(t *testing.T) {
	t.Parallel()
	edit := func(do func(db *bolt.DB) error) func(w *world, path string) {
		return func(w *world, path string) {
			db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
			if err != nil {
				w.Fatal(err)
			}
			if err := do(db); err != nil {
				w.Fatal(err)
			}
			if err := db.Close(); err != nil {
				w.Fatal(err)
			}
		}
	}
	put := func(to func(b []byte) []byte) func(w *world, path string) {
		return func(w *world, path string) {
			b, err := os.ReadFile(path)
			if err != nil {
				w.Fatal(err)
			}
			if err := os.WriteFile(path, to(b), 0o600); err != nil {
				w.Fatal(err)
			}
		}
	}
	for _, x := range []struct {
		name string
		do   func(w *world, path string)
		says []string
	}{
		{"garbage", put(func([]byte) []byte { return []byte("garbage") }), []string{"corrupt", "left as it is", "backup"}},
		{"empty", put(func([]byte) []byte { return nil }), []string{"corrupt", "left as it is", "backup"}},
		{"truncated", put(func(b []byte) []byte { return b[:2*4096+100] }), []string{"corrupt", "left as it is", "backup"}},
		{"damaged page", put(func(b []byte) []byte { clear(b[2*4096 : 2*4096+64]); clear(b[3*4096 : 3*4096+64]); return b }), []string{"corrupt", "left as it is", "backup"}},
		{"newer format", edit(func(db *bolt.DB) error {
			return db.Update(func(tx *bolt.Tx) error {
				m := tx.Bucket([]byte("meta"))
				return m.Put([]byte("format"), binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(m.Get([]byte("format")))+1))
			})
		}), []string{"newer", "upgrade sky"}},
		{"locked", func(w *world, path string) {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				w.Fatal(err)
			}
			if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
				w.Fatal(err)
			}
			w.Cleanup(func() { f.Close() })
		}, []string{"locked", "stop it"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.ok("api", "start")
			w.ok("api", "stop")
			path := filepath.Join(w.home, "state.db")
			x.do(w, path)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"status"}, {"launch", "-y", "-c", "c", "--", "true"}} {
				w.exits(108, append(x.says, path), args...)
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
				t.Errorf("the file was changed: %v", err)
			}
		})
	}
	t.Run("read-only, as another user", func(t *testing.T) {
		t.Parallel()
		w := asNobody(t)
		w.ok("api", "start")
		w.ok("api", "stop")
		path := filepath.Join(w.home, "state.db")
		if err := os.Chmod(path, 0o400); err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		w.exits(108, []string{path, "read-only", "permissions"}, "status")
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
			t.Errorf("the file was changed: %v", err)
		}
		// A home that is somebody else's.
		if err := os.Chmod(w.home, 0); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(w.home, 0, 0); err != nil {
			t.Fatal(err)
		}
		w.exits(108, []string{w.home, "permission denied", "owner and permissions"}, "status")
	})
	t.Run("second controller", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.ok("api", "start")
		pid := w.controllerPID()
		w.exits(107, []string{"another controller", w.home}, "controller")
		if w.controllerPID() != pid {
			t.Error("the first one is gone")
		}
	})
	t.Run("home of a long path", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.home = filepath.Join(w.dir, strings.Repeat("a-long-directory/", 9), ".aloft")
		w.env = append(w.env, "ALOFT_HOME="+w.home)
		w.exits(5, []string{"from far"}, "launch", "-y", "-c", "c", "--num-nodes", "2", "--", "echo from far; exit 5")
		w.killController()
		w.exits(5, []string{"from far"}, "logs", "c")
		w.ok("down", "-y", "c")
		w.nothingLeft()
		w.ok("api", "stop")
	})
}

// asNobody is a world of a user whom permissions bind.
func asNobody(t *testing.T) *world {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to be another user")
	}
	w := newWorld(t)
	prog, err := skyProgram()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(prog)
	if err != nil {
		t.Fatal(err)
	}
	w.prog = w.write("bin/sky", string(b))
	for _, err := range []error{os.Chmod(w.prog, 0o755), os.Chmod(w.dir, 0o777)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	w.user = &syscall.Credential{Uid: 65534, Gid: 65534}
	return w
}
