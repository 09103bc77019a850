package main

import (
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// notifyParentDeath has the kernel send SIGTERM when the parent dies. The order belongs to a thread, so one is kept for it.
func notifyParentDeath() {
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0, 0, 0)
		close(done)
		select {}
	}()
	<-done
}
