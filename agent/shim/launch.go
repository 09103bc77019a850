package shim

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"aloft/agent/redact"
	"aloft/agent/spool"
)

// launch starts a child. When it cannot be started it returns the durable verdict instead.
func (s *server) launch(work *startWork) (*run, *slotState) {
	spec := work.Spec
	st := slotState{
		ID: spec.ID, Slot: work.Slot, Stream: spec.Stream, SpoolDir: spec.SpoolDir, Boot: s.boot,
		StartedMS: time.Now().UnixMilli(),
	}
	fail := func(code int, err error) (*run, *slotState) {
		now := time.Now().UnixMilli()
		st.Verdict = &Verdict{ExitCode: code, StartedMS: st.StartedMS, EndedMS: now, StartError: err.Error()}
		if err := writeSlot(s.file, st, true); err != nil {
			st.Verdict.LogError = err.Error()
		}
		return nil, &st
	}
	// On disk before the child is: whoever finds the slot after a crash knows what to look for.
	if err := writeSlot(s.file, st, false); err != nil {
		return fail(126, err)
	}
	log, err := spool.OpenWriter(spec.SpoolDir, spec.Stream, spool.WriterOptions{MaxBytes: spec.MaxLogBytes})
	if err != nil {
		return fail(126, err)
	}
	path, err := lookPath(spec)
	if err != nil {
		return fail(127, err)
	}
	r := &run{s: s, spec: spec, st: st, log: log, stops: make(chan stopWork), over: make(chan struct{})}
	var secrets *redact.Set
	if len(spec.Redact) > 0 {
		secrets = redact.New(spec.Redact)
	}
	pid, err := r.fork(path)
	if err != nil {
		code := 126
		if errors.Is(err, fs.ErrNotExist) {
			code = 127
		}
		return fail(code, fmt.Errorf("start %s: %w", spec.Argv[0], err))
	}
	r.st.PID, r.st.PIDStart = pid, pidStart(pid)
	if err := writeSlot(s.file, r.st, false); err != nil {
		r.note = err.Error()
	}
	// Nothing below needs them again.
	r.spec.Env, r.spec.Redact = nil, nil
	r.pump(secrets)
	return r, nil
}

// fork makes the pipes and starts the child on them.
func (r *run) fork(path string) (int, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDONLY, 0)
	if err != nil {
		return 0, err
	}
	defer func() { _ = null.Close() }()
	var ends [2]int
	for i := range r.pipes {
		if r.pipes[i].file, ends[i], err = newPipe(); err != nil {
			if i > 0 {
				err = errors.Join(err, r.pipes[0].file.Close(), syscall.Close(ends[0]))
			}
			return 0, err
		}
		r.pipes[i].fd = int32(i + 1)
	}
	env := make([]string, 0, len(r.spec.Env)+1)
	for _, e := range r.spec.Env {
		if !strings.HasPrefix(e, Marker+"=") {
			env = append(env, e)
		}
	}
	env = append(env, Marker+"="+r.spec.ID)
	pid, exited, gone, err := r.s.reaper.fork(func() (int, error) {
		return syscall.ForkExec(path, r.spec.Argv, &syscall.ProcAttr{
			Dir: r.spec.Dir, Env: env, Files: []uintptr{null.Fd(), uintptr(ends[0]), uintptr(ends[1])},
			Sys: childAttr(r.spec.Credential),
		})
	})
	err = errors.Join(err, syscall.Close(ends[0]), syscall.Close(ends[1]))
	if pid == 0 {
		return 0, errors.Join(err, r.pipes[0].file.Close(), r.pipes[1].file.Close())
	}
	r.exited, r.gone = exited, gone
	return pid, nil
}

// lookPath finds the program as a shell in the child's environment and directory would.
func lookPath(spec Spec) (string, error) {
	if len(spec.Argv) == 0 || spec.Argv[0] == "" {
		return "", errors.New("no program given")
	}
	name := spec.Argv[0]
	if strings.Contains(name, "/") {
		return name, nil // relative to Dir, which the child enters first
	}
	search := "/usr/local/bin:/usr/bin:/bin"
	for _, e := range spec.Env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			search = v
		}
	}
	for _, dir := range filepath.SplitList(search) {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(spec.Dir, dir)
		}
		p := filepath.Join(dir, name)
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", fmt.Errorf("program %q is not in PATH", name)
}
