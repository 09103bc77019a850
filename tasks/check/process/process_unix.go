//go:build unix

package process

import (
	"os/exec"
	"syscall"
)

// Group makes the command lead a process group, which is ended as a whole.
func Group(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// End ends what is left of the command's group. The group's number is not
// given to another process while a member lives.
func End(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
