//go:build !linux

package hostlab

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
)

func opaque(string) error { return errors.ErrUnsupported }

func lock(string) (func(), error) { return nil, errors.ErrUnsupported }

func isolate(*exec.Cmd) {}

func askToEnd(*os.Process) error { return errors.ErrUnsupported }

func listenIn(context.Context, int, string) (net.Listener, error) { return nil, errors.ErrUnsupported }
