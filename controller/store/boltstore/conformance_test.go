package boltstore_test

import (
	"path/filepath"
	"testing"

	"aloft/controller/store/boltstore"
	"aloft/controller/store/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB, dir string, o storetest.Options) storetest.Store {
		return open(t, filepath.Join(dir, "state.db"), boltstore.Options{
			NoSync: true, Now: o.Now, KeepEvents: o.KeepEvents, KeepFor: o.KeepFor, ReadOnly: o.ReadOnly,
		})
	})
}
