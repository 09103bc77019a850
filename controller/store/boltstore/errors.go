package boltstore

import (
	"fmt"

	"aloft/controller/store"
)

// corruptf says that the file cannot be trusted and what to do about it.
func corruptf(path, format string, args ...any) error {
	return fmt.Errorf("%s: %w (%s). It was left as it is: move it aside and put a backup in its place (sky controller backup makes them; %s.bak-* are copies from before upgrades)",
		path, store.ErrCorrupt, fmt.Sprintf(format, args...), path)
}
