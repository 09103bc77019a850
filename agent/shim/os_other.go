//go:build !linux

package shim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

func dataSync(f *os.File) error { return f.Sync() }

func newPipe() (r *os.File, w int, err error) {
	var p [2]int
	syscall.ForkLock.RLock()
	err = unix.Pipe(p[:])
	if err == nil {
		unix.CloseOnExec(p[0])
		unix.CloseOnExec(p[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, 0, fmt.Errorf("pipe: %w", err)
	}
	if err := unix.SetNonblock(p[0], true); err != nil {
		return nil, 0, errors.Join(fmt.Errorf("pipe: %w", err), unix.Close(p[0]), unix.Close(p[1]))
	}
	return os.NewFile(uintptr(p[0]), "pipe"), p[1], nil
}

// adoptOrphans: this system has no such thing; a daemon that leaves its session escapes.
func adoptOrphans() error { return nil }

// bootID: the time of boot, which a process id does not survive.
func bootID() string {
	tv, err := unix.SysctlTimeval("kern.boottime")
	if err != nil {
		return ""
	}
	return fmt.Sprintf("boot-%d", tv.Sec)
}

// longName gives a name for dir that fits a socket address however long dir is: a link to it in the temporary directory.
func longName(dir *os.File) (string, error) {
	tmp, err := os.MkdirTemp("/tmp", "aloft")
	if err != nil {
		return "", fmt.Errorf("short name for %s: %w", dir.Name(), err)
	}
	link := filepath.Join(tmp, "d")
	if err := os.Symlink(dir.Name(), link); err != nil {
		return "", fmt.Errorf("short name for %s: %w", dir.Name(), err)
	}
	return link, nil
}

// CloseStrays does nothing here: without /proc there is no list of descriptors.
func CloseStrays(int) {}

func childAttr(c *Credential) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true}
	if c != nil {
		a.Credential = &syscall.Credential{Uid: c.UID, Gid: c.GID, Groups: c.Groups}
	}
	return a
}
