package machine

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// DiskFreeGB is the space that is left for us on dir's file system.
func DiskFreeGB(dir string) (float64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return round(float64(st.Bavail) * float64(st.Bsize) / gib), nil
}
