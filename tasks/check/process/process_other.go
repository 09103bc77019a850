//go:build !unix

package process

import "os/exec"

// Group has no counterpart here: the command alone is ended.
func Group(*exec.Cmd) {}

// End ends the command.
func End(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
