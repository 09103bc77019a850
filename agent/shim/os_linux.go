package shim

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// pipeBytes is how much a child may write ahead of us; fewer, larger reads at high rates.
const pipeBytes = 1 << 20

func dataSync(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// newPipe returns a pipe whose reading end can be waited on and whose writing end blocks, as children expect.
func newPipe() (r *os.File, w int, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, 0, fmt.Errorf("pipe: %w", err)
	}
	if _, err := unix.FcntlInt(uintptr(p[1]), unix.F_SETPIPE_SZ, pipeBytes); err != nil {
		_ = err // the user's pipe quota is used up: the default size serves as well, slower
	}
	if err := unix.SetNonblock(p[0], true); err != nil {
		return nil, 0, errors.Join(fmt.Errorf("pipe: %w", err), unix.Close(p[0]), unix.Close(p[1]))
	}
	return os.NewFile(uintptr(p[0]), "pipe"), p[1], nil
}

// adoptOrphans makes this process the parent of whatever its descendants leave behind, daemons included.
func adoptOrphans() error {
	return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
}

// bootID names this run of the kernel: process ids of another one mean nothing.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return string(b[:max(0, len(b)-1)])
}

// longName gives a name for dir that fits a socket address however long dir is.
func longName(dir *os.File) (string, error) {
	return "/proc/self/fd/" + strconv.Itoa(int(dir.Fd())), nil
}

// CloseStrays closes descriptors that this process was started with by accident: neither the standard ones nor the keep
// behind them. A pipe of a login session that lives on in a long-running process would keep that session from ending.
func CloseStrays(keep int) {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return // they do no harm to us
	}
	for _, n := range names {
		fd, err := strconv.Atoi(n.Name())
		if err != nil || fd < 3+keep {
			continue
		}
		// What this program opened itself is closed on exec; what it inherited cannot be.
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			_ = unix.Close(fd)
		}
	}
}

func childAttr(c *Credential) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true}
	if c != nil {
		a.Credential = &syscall.Credential{Uid: c.UID, Gid: c.GID, Groups: c.Groups}
	}
	return a
}
