package journal

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData makes the file's bytes durable; its times do not matter.
func syncData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
