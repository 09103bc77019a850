//go:build unix

package snapshot

import (
	"io/fs"
	"syscall"
)

// inode is the number of the file on its file system.
func inode(fi fs.FileInfo) uint64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Ino)
	}
	return 0
}
