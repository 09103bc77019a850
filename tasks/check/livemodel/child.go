package livemodel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/process"
)

const (
	maxLine = 256 << 20 // bytes of an answer
	// byeTime is how long a process may take to end after it was told to.
	byeTime = 5 * time.Second
	// drainTime is how long pipes held open by what the process left behind
	// are waited for.
	drainTime = 2 * time.Second
)

var (
	errTimeout = errors.New("time-out")
	errLine    = errors.New("an answer is longer than 256 MiB")
)

// child is the running process.
type child struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *os.File // our end of its standard output
	reader *bufio.Reader
	stderr *process.Tail
	once   sync.Once
	status error // of the ended process
}

func launch(spec Spec, dir string) (*child, error) {
	cmd := exec.Command("sh", "-c", spec.Command)
	cmd.Dir, cmd.WaitDelay = dir, drainTime
	cmd.Env = os.Environ()
	names := make([]string, 0, len(spec.Env))
	for name := range spec.Env {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		cmd.Env = append(cmd.Env, name+"="+spec.Env[name])
	}
	process.Group(cmd)
	cmd.Cancel = nil // there is no context to cancel by
	k := &child{cmd: cmd, stderr: &process.Tail{}}
	cmd.Stderr = k.stderr
	ours, theirs, err := os.Pipe()
	if err != nil {
		return nil, engine.Errorf(engine.ModelValidation, "the live model could not be started: %v", err)
	}
	cmd.Stdout, k.out, k.reader = theirs, ours, bufio.NewReaderSize(ours, 1<<16)
	k.in, err = cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	_ = theirs.Close() // the process has its own
	if err != nil {
		_ = ours.Close()
		return nil, engine.Errorf(engine.ModelValidation, "the live model could not be started: %v", err)
	}
	return k, nil
}

// call sends a line and returns the answer. A call that is not answered in
// time, or is cancelled, ends the process.
func (k *child) call(ctx context.Context, request []byte, limit time.Duration) ([]byte, error) {
	within, cancel := context.WithTimeoutCause(ctx, limit, errTimeout)
	defer cancel()
	stop := context.AfterFunc(within, k.kill)
	defer stop()
	_, err := k.in.Write(append(request, '\n'))
	var line []byte
	if err == nil {
		line, err = k.line()
	}
	if err == nil {
		return line, nil
	}
	k.end()
	switch {
	case ctx.Err() != nil:
		return nil, engine.Errorf(engine.ModelValidation, "the live model was not waited for: %v", context.Cause(ctx))
	case errors.Is(context.Cause(within), errTimeout):
		return nil, k.failed(engine.Timeout, fmt.Sprintf("the live model did not answer within %s", limit))
	case errors.Is(err, errLine):
		return nil, k.failed(engine.ModelValidation, "the live model does not answer as it should: "+errLine.Error())
	case k.status != nil && k.cmd.ProcessState != nil && k.cmd.ProcessState.ExitCode() >= 0:
		return nil, k.failed(engine.ModelValidation, fmt.Sprintf("the live model's process ended with exit code %d", k.cmd.ProcessState.ExitCode()))
	case k.status != nil:
		return nil, k.failed(engine.ModelValidation, fmt.Sprintf("the live model's process ended: %v", k.status))
	}
	return nil, k.failed(engine.ModelValidation, "the live model's process ended without an answer")
}

// line reads an answer.
func (k *child) line() ([]byte, error) {
	var line []byte
	for {
		part, err := k.reader.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(line) > maxLine:
			return nil, errLine
		}
	}
}

func (k *child) failed(class engine.Class, message string) error {
	if last := k.stderr.Lines(); last != "" {
		message += "; the last lines of its standard error:\n" + last
	}
	return engine.Errorf(class, "%s", message)
}

// kill ends the process group and wakes whoever reads or writes.
func (k *child) kill() {
	process.End(k.cmd)
	_ = k.out.Close()
	_ = k.in.Close()
}

// end waits for a process that closed its output, or ends it, and takes its
// status.
func (k *child) end() {
	k.once.Do(func() {
		_ = k.in.Close()
		timer := time.AfterFunc(drainTime, k.kill) // it may be about to end by itself
		k.status = k.cmd.Wait()
		timer.Stop()
		k.kill()
	})
}

// close says goodbye and waits for the end.
func (k *child) close() {
	k.once.Do(func() {
		timer := time.AfterFunc(byeTime, k.kill)
		_, err := k.in.Write([]byte("{\"op\":\"bye\"}\n"))
		if err == nil {
			err = k.in.Close()
		}
		if err != nil {
			process.End(k.cmd)
		}
		k.status = k.cmd.Wait()
		timer.Stop()
		k.kill()
	})
}
