// Package link turns byte streams that a controller opened into sessions in which this agent is the gRPC client.
//
// The agent listens on a unix socket that only its user can open; there is no TCP port. A controller dials the socket
// through whatever shell the node's provider has and serves gRPC on its end of the stream. Every accepted stream gets a
// client of its own, so a controller that comes back replaces a session whose stream has died without anybody having
// noticed yet.
package link

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// maxSocketPath keeps clear of the 108 bytes that sockaddr_un has on Linux and the 104 elsewhere.
const maxSocketPath = 100

// SocketFile is the file in the state directory that names the socket really used.
const SocketFile = "socket"

// Listen opens the agent's socket with mode 0600 and writes its path into the state directory. path is the wish; one
// that is too long for a socket is replaced by a short one in a private directory under /tmp. The caller holds the lock
// of the state directory, so a socket file found there is a leftover.
func Listen(stateDir, path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		short, err := shortPath(path)
		if err != nil {
			return nil, err
		}
		path = short
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove old socket: %w", err)
	}
	// Between bind and chmod the directory's mode protects the socket.
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make socket directory: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("protect socket: %w", err), l.Close())
	}
	if err := writeSocketFile(stateDir, path); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// SocketPath reads where the agent of a state directory listens.
func SocketPath(stateDir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(stateDir, SocketFile))
	if err != nil {
		return "", fmt.Errorf("agent is not listening: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

func writeSocketFile(stateDir, path string) error {
	name := filepath.Join(stateDir, SocketFile)
	tmp := name + ".tmp"
	if err := os.WriteFile(tmp, []byte(path+"\n"), 0o600); err != nil {
		return fmt.Errorf("write socket file: %w", err)
	}
	if err := os.Rename(tmp, name); err != nil {
		return fmt.Errorf("write socket file: %w", err)
	}
	return nil
}

// shortPath makes a private directory under /tmp. Others can write to /tmp, so what is there already is used only when
// it is a directory of ours that nobody else can enter.
func shortPath(path string) (string, error) {
	dir := filepath.Join("/tmp", "aloft-agent-"+strconv.Itoa(os.Getuid()))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("make socket directory: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", fmt.Errorf("look at socket directory: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 || !ok || int(st.Uid) != os.Getuid() {
		return "", fmt.Errorf("%s is not a private directory of this user: remove it or give the agent a shorter path", dir)
	}
	sum := sha256.Sum256([]byte(path))
	return filepath.Join(dir, hex.EncodeToString(sum[:10])+".sock"), nil
}
