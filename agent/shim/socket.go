package shim

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// maxSocketPath stays below what the smallest sun_path takes (104 bytes with its final zero).
const maxSocketPath = 100

// lockTime bounds the wait for the agent before.
const lockTime = time.Second

const (
	socketSuffix = ".sock"
	runSuffix    = ".run"
)

// place is the keeper's directory, with a name for it that socket addresses have room for.
type place struct {
	dir   string
	short string
	hold  *os.File // keeps short valid
	lock  *os.File
}

// openPlace makes the directory if need be and takes it for this process.
func openPlace(dir string) (*place, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("shim directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("shim directory: %w", err)
	}
	hold, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("shim directory: %w", err)
	}
	p := &place{dir: dir, short: dir, hold: hold}
	if len(dir)+len("/s0123456789abcdef")+len(socketSuffix) > maxSocketPath {
		if p.short, err = longName(hold); err != nil {
			return nil, errors.Join(err, hold.Close())
		}
	}
	if p.lock, err = os.OpenFile(filepath.Join(dir, "keeper.lock"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("shim directory: %w", err), hold.Close())
	}
	if err := takeLock(p.lock); err != nil {
		return nil, errors.Join(fmt.Errorf("another agent keeps the shims in %s: %w", dir, err), p.close())
	}
	return p, nil
}

// takeLock gives an agent that is just ending a moment: one that was killed while it started a shim still holds the lock
// until that shim is there.
func takeLock(f *os.File) error {
	deadline := time.Now().Add(lockTime)
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (p *place) close() error {
	return errors.Join(p.hold.Close(), p.lock.Close())
}

func (p *place) runPath(name string) string { return filepath.Join(p.dir, name+runSuffix) }

func (p *place) address(name string) *net.UnixAddr {
	return &net.UnixAddr{Net: "unix", Name: p.short + "/" + name + socketSuffix}
}

// dial reaches a shim. An error means that nobody listens: the shim is dead.
func (p *place) dial(name string) (*wire, error) {
	c, err := net.DialUnix("unix", nil, p.address(name))
	if err != nil {
		return nil, err
	}
	return newWire(c), nil
}

// remove deletes what a dead shim left, once no verdict in it is wanted.
func (p *place) remove(name string) error {
	var errs []error
	for _, suffix := range []string{socketSuffix, runSuffix} {
		if err := os.Remove(filepath.Join(p.dir, name+suffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// spawn starts a shim process. It holds no connection yet, but it can be dialled at once: the socket is ours and given.
func (p *place) spawn(ctx context.Context, self string) (name string, runs *os.File, cmd *exec.Cmd, err error) {
	if err := ctx.Err(); err != nil {
		return "", nil, nil, err
	}
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", nil, nil, err
	}
	name = "s" + hex.EncodeToString(id[:])
	runs, err = newRunFile(p.runPath(name))
	if err != nil {
		return "", nil, nil, err
	}
	undo := func(err error) (string, *os.File, *exec.Cmd, error) {
		return "", nil, nil, errors.Join(fmt.Errorf("start shim: %w", err), runs.Close(), p.remove(name))
	}
	ln, err := net.ListenUnix("unix", p.address(name))
	if err != nil {
		return undo(err)
	}
	ln.SetUnlinkOnClose(false)
	lf, err := ln.File()
	if err != nil {
		return undo(errors.Join(err, ln.Close()))
	}
	stderr, err := os.OpenFile(filepath.Join(p.dir, "shims.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return undo(errors.Join(err, ln.Close(), lf.Close()))
	}
	cmd = exec.Command(self, "shim")
	cmd.Dir = "/"
	// Nothing of the agent's environment: it may hold secrets, and a shim needs none. One processor is enough for
	// copying, and fewer threads start faster.
	cmd.Env = []string{"GOMAXPROCS=1", "GOTRACEBACK=single"}
	if node, ok := os.LookupEnv(NodeMark); ok {
		cmd.Env = append(cmd.Env, NodeMark+"="+node)
	}
	cmd.ExtraFiles = []*os.File{lf, runs}
	cmd.Stderr = stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	err = errors.Join(err, ln.Close(), lf.Close(), stderr.Close())
	if cmd.Process == nil {
		return undo(err)
	}
	return name, runs, cmd, nil
}
