package custom

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"time"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/process"
)

const (
	maxOutput = 16 << 20 // bytes of standard output
	// drainTime is how long pipes held open by what the command left behind
	// are waited for.
	drainTime = 2 * time.Second
)

var (
	errTimeout = errors.New("time-out")
	errOutput  = errors.New("too much output")
)

// command is one run of a user's command.
type command struct {
	text, dir string
	timeout   time.Duration
}

// run gives the command its input and returns its output. Whatever the command
// started is ended with it.
func (k command) run(ctx context.Context, input []byte) ([]byte, error) {
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(k.timeout, func() { cancel(errTimeout) })
	defer timer.Stop()
	cmd := exec.CommandContext(within, "sh", "-c", k.text)
	cmd.Dir = k.dir
	cmd.Stdin = bytes.NewReader(input)
	stdout, stderr := &limited{most: maxOutput, over: func() { cancel(errOutput) }}, &process.Tail{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = drainTime
	process.Group(cmd)
	if err := cmd.Start(); err != nil {
		return nil, failed(engine.ProcessError, "", "the command could not be started: %v", err)
	}
	err := cmd.Wait()
	process.End(cmd) // what it left running in its group
	if ctx.Err() != nil {
		return nil, failed(engine.ProcessError, "", "the run was cancelled")
	}
	last := stderr.Lines()
	switch cause := context.Cause(within); {
	case errors.Is(cause, errTimeout):
		return nil, failed(engine.Timeout, last, "the command did not end within %s", k.timeout)
	case errors.Is(cause, errOutput):
		return nil, failed(engine.ProcessError, last, "the command wrote more than %d MiB to its standard output", maxOutput>>20)
	case errors.Is(err, exec.ErrWaitDelay):
		return stdout.buffer.Bytes(), nil // it has ended well; what it left held the pipes
	}
	if ee := (*exec.ExitError)(nil); errors.As(err, &ee) {
		if ee.ExitCode() < 0 {
			return nil, failed(engine.ProcessError, last, "the command was ended by a %s", ee.ProcessState)
		}
		return nil, failed(engine.ProcessError, last, "the command ended with exit code %d", ee.ExitCode())
	}
	if err != nil {
		return nil, failed(engine.ProcessError, last, "the command failed: %v", err)
	}
	return stdout.buffer.Bytes(), nil
}

// limited is a buffer that reports when it is full. The buffer is no embedded
// one: its ReadFrom would read without end.
type limited struct {
	buffer bytes.Buffer
	most   int
	over   func()
}

// Write keeps what fits.
func (l *limited) Write(p []byte) (int, error) {
	if l.buffer.Len()+len(p) > l.most {
		l.over()
		return 0, errOutput
	}
	return l.buffer.Write(p)
}
