//go:build !linux

package shelltest

import (
	"errors"
	"os/exec"
)

func isolate(*exec.Cmd) {}

func available() error { return errors.New("SSH servers of tests need Linux") }
