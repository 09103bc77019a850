package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"aloft/controller/store"
)

const (
	lockTimeout = time.Second
	lockRetry   = 50 * time.Millisecond
)

// pidPath names the file that says who holds the store. It only serves the error message: the lock is on the store itself.
func pidPath(path string) string { return path + ".pid" }

// openLocked opens an existing file and takes its lock: shared for reading, else exclusive.
func openLocked(path string, readOnly bool) (*os.File, error) {
	flag, how := os.O_RDWR, syscall.LOCK_EX
	if readOnly {
		flag, how = os.O_RDONLY, syscall.LOCK_SH
	}
	start := time.Now()
	for {
		f, err := os.OpenFile(path, flag, 0o600)
		if err != nil {
			if !readOnly && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)) {
				return nil, fmt.Errorf("%s: %w: this user may not write it (%w); check its owner and permissions", path, store.ErrReadOnly, err)
			}
			return nil, fmt.Errorf("open store: %w", err)
		}
		err = syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil && samePlace(f, path):
			return f, nil
		case err == nil: // replaced by a compacted copy while we waited: lock that one
		case !errors.Is(err, syscall.EWOULDBLOCK):
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		case time.Since(start) >= lockTimeout:
			_ = f.Close()
			return nil, fmt.Errorf("%s: %w: %s has it; talk to that one, or stop it first", path, store.ErrLocked, holder(path))
		default:
			time.Sleep(lockRetry)
		}
		_ = f.Close()
	}
}

// samePlace tells whether path still names the open file.
func samePlace(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}

// holder names the process that holds the lock, as far as it can be known.
func holder(path string) string {
	b, err := os.ReadFile(pidPath(path))
	if err != nil {
		return "another process"
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 0 || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return "another process"
	}
	return fmt.Sprintf("process %d", pid)
}

func writePid(path string) error {
	return os.WriteFile(pidPath(path), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
}
