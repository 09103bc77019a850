package shelltest

import (
	"fmt"
	"os/exec"
	"syscall"
)

const spaces = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID

func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: 0}
}

func available() error {
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: spaces}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("no namespaces can be made here: %w", err)
	}
	return nil
}
