package agent

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"syscall"

	agentv1 "aloft/proto/sky/agent/v1"
)

// ErrRunning means that another agent has the state directory.
var ErrRunning = errors.New("another agent runs in this state directory")

// lockDir takes the state directory for this process. The lock ends with the process, however it ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the state directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", dir, ErrRunning), f.Close())
	}
	return f, nil
}

func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read this binary: %w", err)
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read this binary: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func userName() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}

func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// identify makes the agent's id at its first start.
func (a *agent) identify(ctx context.Context) error {
	if a.sup.Identity().GetAgentId() != "" {
		return nil
	}
	return a.sup.SetIdentity(ctx, func(id *agentv1.NodeIdentity) { id.AgentId = randomID() })
}
