package blobs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncFiles makes files or directories under dir durable, many of them by one sync of the file system.
func syncFiles(dir string, paths []string) error {
	if len(paths) <= fewFiles {
		return syncEach(paths)
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(d.Fd())), d.Close())
}
