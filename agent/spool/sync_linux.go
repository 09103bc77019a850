package spool

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// dataSync makes what was written durable; metadata that reading does not need may stay behind.
func dataSync(f File) error {
	file, ok := f.(*os.File)
	if !ok {
		return f.Sync()
	}
	for {
		err := unix.Fdatasync(int(file.Fd()))
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
