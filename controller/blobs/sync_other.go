//go:build !linux

package blobs

// syncFiles makes files or directories under dir durable.
func syncFiles(_ string, paths []string) error { return syncEach(paths) }
