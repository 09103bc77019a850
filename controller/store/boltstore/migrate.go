package boltstore

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	bolt "go.etcd.io/bbolt"

	"aloft/controller/store"
)

// currentFormat is the layout that this version writes.
const currentFormat = 1

// migrations[i] turns format i+1 into i+2, in a transaction of its own.
var migrations = []func(*bolt.Tx) error{}

// migrate brings the file to the format want, after keeping a copy.
func (s *Store) migrate(want uint32, steps []func(*bolt.Tx) error) error {
	have, err := s.format()
	if err != nil {
		return err
	}
	switch {
	case have == want:
		return nil
	case have > want:
		return fmt.Errorf("%s: %w (format %d, this one knows %d): upgrade sky, or restore the copy %s.bak-%d from before the upgrade",
			s.path, store.ErrNewer, have, want, s.path, want)
	case s.readOnly:
		return fmt.Errorf("%s: format %d is older than %d: start the controller once, it upgrades the file: %w", s.path, have, want, store.ErrReadOnly)
	}
	bak := fmt.Sprintf("%s.bak-%d", s.path, have)
	if err := copyFile(s.path, bak); err != nil {
		return fmt.Errorf("keep a copy of the store before its upgrade: %w", err)
	}
	for f := have; f < want; f++ {
		err := s.db.Update(func(btx *bolt.Tx) error {
			if err := steps[f-1](btx); err != nil {
				return err
			}
			return btx.Bucket([]byte(bucketNames[bMeta])).Put([]byte(metaFormat), []byte(be32(f+1)))
		})
		if err != nil {
			return fmt.Errorf("upgrade %s from format %d to %d (a copy is %s): %w", s.path, f, f+1, bak, err)
		}
	}
	s.log.Info("store upgraded", "path", s.path, "from", have, "to", want, "copy", bak)
	return nil
}

// format reads the format of the file and checks that it is a store of ours.
func (s *Store) format() (uint32, error) {
	var f []byte
	err := s.db.View(func(btx *bolt.Tx) error {
		meta := btx.Bucket([]byte(bucketNames[bMeta]))
		if meta == nil {
			return corruptf(s.path, "a bbolt file, but not a store of sky")
		}
		f = append(f, meta.Get([]byte(metaFormat))...)
		if len(f) != 4 {
			return corruptf(s.path, "no format number")
		}
		if uint32Of(f) > currentFormat {
			return nil // a newer version may have other buckets
		}
		for _, n := range bucketNames {
			if btx.Bucket([]byte(n)) == nil {
				return corruptf(s.path, "bucket %s is missing", n)
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return uint32Of(f), nil
}

// reindex derives the index entries and names of every object anew.
func (s *Store) reindex(btx *bolt.Tx) error {
	for _, b := range []bucketID{bIndex, bName} {
		if err := btx.DeleteBucket([]byte(bucketNames[b])); err != nil {
			return err
		}
		if _, err := btx.CreateBucket([]byte(bucketNames[b])); err != nil {
			return err
		}
	}
	t := s.newTx(btx, new(overlay), 0)
	var failed error
	t.scan(bObj, "", "", func(k string, v []byte) bool {
		key, _ := parseKindID(k)
		e, err := decodeEnvelope(v)
		if err != nil {
			failed = corruptf(s.path, "%s %s: %v", key.Kind, key.ID, err)
			return false
		}
		ks, ok := s.schema.Kinds[key.Kind]
		if !ok || ks.New == nil {
			return true // a kind of another version: kept, not indexed
		}
		e.payload = append([]byte{}, e.payload...)
		if failed = reindexOne(t, ks, key, &e); failed != nil {
			return false
		}
		t.set(bObj, k, e.encode())
		return true
	})
	if failed == nil {
		failed = t.err
	}
	if failed != nil {
		return failed
	}
	g := &group{s: s, tx: btx}
	g.apply(t)
	return g.err
}

// shrink rewrites a large file that is more than half empty. The rewritten copy is locked before it takes the place.
func (s *Store) shrink() error {
	limit := s.opts.CompactAbove
	if limit <= 0 {
		limit = compactAbove
	}
	fi, err := os.Stat(s.path)
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	free := int64(s.db.Stats().FreePageN+s.db.Stats().PendingPageN) * int64(s.db.Info().PageSize)
	if fi.Size() <= limit || free*2 <= fi.Size() {
		return nil
	}
	tmp := s.path + ".compact"
	if err := os.Remove(tmp); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("compact store: %w", err)
	}
	o := s.opts
	o.NoSync = true // one sync at the end does
	bo := boltOptions(nil, o)
	db, err := bolt.Open(tmp, 0o600, bo)
	if err != nil {
		return fmt.Errorf("compact store: %w", err)
	}
	db.AllocSize = allocSize
	err = bolt.Compact(db, s.db, 16<<20)
	if err == nil {
		err = db.Sync()
	}
	if err == nil {
		err = os.Rename(tmp, s.path)
	}
	if err != nil {
		_ = db.Close()
		_ = os.Remove(tmp)
		s.log.Warn("store not compacted; going on with the large file", "path", s.path, "err", err)
		return nil
	}
	db.NoSync, db.NoGrowSync = s.opts.NoSync, s.opts.NoSync
	old := s.db
	s.db = db
	if err := old.Close(); err != nil {
		return fmt.Errorf("compact store: %w", err)
	}
	s.log.Info("store compacted", "path", s.path, "bytes_before", fi.Size(), "bytes_free", free)
	return syncDir(filepath.Dir(s.path))
}

// copyFile makes a durable copy that only its owner reads.
func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	if _, err = io.Copy(out, in); err == nil {
		err = out.Sync()
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}
