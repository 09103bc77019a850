package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	agentv1 "aloft/proto/sky/agent/v1"
)

// replace fetches another version of this binary, puts it in place of this one and makes Run become it. Shims and the
// processes they keep go on; the new version finds them.
func (a *agent) replace(ctx context.Context, u *agentv1.Upgrade) {
	if u.GetSha256() == a.digest {
		return
	}
	path, err := a.mounts.Fetch(ctx, u.GetSha256())
	if err == nil {
		err = install(path, a.o.Self)
	}
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			a.log.Error("cannot upgrade", "version", u.GetVersion(), "err", err)
		}
		return
	}
	a.log.Info("upgrading", "from", a.o.Version, "to", u.GetVersion())
	a.mu.Lock()
	a.upgrade = func() error { return syscall.Exec(a.o.Self, os.Args, os.Environ()) }
	a.mu.Unlock()
	a.cancel()
}

// install puts a verified file in place of the binary in one step: whoever starts it gets the old or the new one.
func install(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("install: %w", err)
	}
	defer func() { _ = src.Close() }()
	tmp, err := os.CreateTemp(filepath.Dir(to), ".sky-agent-*")
	if err != nil {
		return fmt.Errorf("install: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone when the rename succeeded
	_, err = io.Copy(tmp, src)
	if err == nil {
		err = tmp.Chmod(0o755)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	if err := os.Rename(tmp.Name(), to); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	return nil
}
