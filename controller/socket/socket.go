// Package socket says where the controller of a home listens.
package socket

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// maxPath is what every kernel takes in sun_path, less a margin.
const maxPath = 100

// Path is the unix socket of a home: <home>/sky.sock, or where that is too long for a socket address, a file in a
// directory of ours (0700) under the temporary directory.
func Path(home string) (string, error) {
	p := filepath.Join(home, "sky.sock")
	if len(p) <= maxPath {
		return p, nil
	}
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("aloft-%d", os.Getuid()))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("make the socket's directory: %w", err)
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return "", fmt.Errorf("look at the socket's directory: %w", err)
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !st.IsDir() || st.Mode().Perm() != 0o700 || !ok || int(sys.Uid) != os.Getuid() {
		return "", fmt.Errorf("%s is not a directory that only you can use: remove it or set ALOFT_HOME to a shorter path", dir)
	}
	sum := sha256.Sum256([]byte(home))
	return filepath.Join(dir, hex.EncodeToString(sum[:8])+".sock"), nil
}
