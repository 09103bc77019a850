package hostlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// opaque hides what the machine's own root has at a directory of the upper half.
func opaque(dir string) error { return unix.Setxattr(dir, "trusted.overlay.opaque", []byte("y"), 0) }

// lock takes an exclusive lock among the processes of this machine.
func lock(path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

// isolate makes cmd the first process of namespaces of its own, ended by the kernel when this process ends.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
		Setsid:     true,
	}
}

// askToEnd tells the first process of a host to shut it down.
func askToEnd(p *os.Process) error { return p.Signal(syscall.SIGUSR1) }

// listenIn opens a listener in the network namespace of a process. It is a socket of this process, but only that
// namespace reaches it.
func listenIn(ctx context.Context, pid int, address string) (net.Listener, error) {
	type answer struct {
		l   net.Listener
		err error
	}
	done := make(chan answer, 1)
	go func() {
		runtime.LockOSThread()
		own, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			done <- answer{nil, err}
			return
		}
		defer own.Close()
		theirs, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
		if err != nil {
			runtime.UnlockOSThread()
			done <- answer{nil, err}
			return
		}
		defer theirs.Close()
		if err := unix.Setns(int(theirs.Fd()), unix.CLONE_NEWNET); err != nil {
			runtime.UnlockOSThread()
			done <- answer{nil, err}
			return
		}
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp4", address)
		// A thread that cannot come back is not unlocked: it ends with this goroutine.
		if e := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); e == nil {
			runtime.UnlockOSThread()
		}
		done <- answer{l, err}
	}()
	a := <-done
	return a.l, a.err
}
