package boltstore

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"

	"aloft/controller/store"
)

const (
	mapSize      = 256 << 20 // address space mapped at first: views then rarely hold up a growing file
	allocSize    = 4 << 20   // by which the file grows
	compactAbove = 64 << 20
)

// Open opens the store at path and makes one when there is none (not when reading only). A file that is damaged, of a
// newer version, not a store, or in use is an error of package store that says what to do, and is left as it is.
func Open(path string, o Options) (*Store, error) {
	s := &Store{
		path: path, opts: o, schema: o.Schema, now: o.Now, log: o.Logger, readOnly: o.ReadOnly,
		done: make(chan struct{}), changed: make(chan struct{}),
	}
	if s.schema.Kinds == nil {
		s.schema = store.DefaultSchema()
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if !o.ReadOnly {
		if err := createIfAbsent(path, o, s.now()); err != nil {
			return nil, err
		}
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Store) open() error {
	file, err := openLocked(s.path, s.readOnly)
	if err != nil {
		return err
	}
	if err := verify(file); err != nil {
		_ = file.Close()
		return corruptf(s.path, "%v", err)
	}
	if s.db, err = openBolt(s.path, file, s.opts); err != nil {
		_ = file.Close()
		return err
	}
	if err := s.prepare(); err != nil {
		_ = s.db.Close()
		return err
	}
	return nil
}

// boltOptions are the options of every file; file, when not nil, is used in place of opening the path.
func boltOptions(file *os.File, o Options) *bolt.Options {
	bo := &bolt.Options{
		NoFreelistSync: true, FreelistType: bolt.FreelistMapType, NoSync: o.NoSync, NoGrowSync: o.NoSync,
		ReadOnly: o.ReadOnly, InitialMmapSize: mapSize, Timeout: lockTimeout,
	}
	if o.ReadOnly {
		bo.InitialMmapSize = 0
	}
	if file != nil {
		bo.OpenFile = func(string, int, os.FileMode) (*os.File, error) { return file, nil }
	}
	return bo
}

// openBolt opens a locked and verified file.
func openBolt(path string, file *os.File, o Options) (db *bolt.DB, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, corruptf(path, "%v", r)
		}
	}()
	db, err = bolt.Open(path, 0o600, boltOptions(file, o))
	if err != nil {
		return nil, corruptf(path, "%v", err)
	}
	db.AllocSize = allocSize
	return db, nil
}

// prepare checks the format, and for writing upgrades it, takes the next writer epoch and compacts the file.
func (s *Store) prepare() (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = corruptf(s.path, "%v", r)
		}
	}()
	if err := s.migrate(currentFormat, migrations); err != nil {
		return err
	}
	if !s.readOnly {
		if err := writePid(s.path); err != nil {
			return fmt.Errorf("open store: %w", err)
		}
		if err := s.takeEpoch(); err != nil {
			return err
		}
		if err := s.shrink(); err != nil {
			return err
		}
	}
	return s.load()
}

// load reads what the committer keeps in memory.
func (s *Store) load() error {
	btx, err := s.db.Begin(false)
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	defer func() { _ = btx.Rollback() }()
	t := s.newTx(btx, nil, 0)
	s.rev = uint64(t.Rev())
	s.tail, s.head = s.rev, s.rev
	if !s.readOnly {
		s.kept = btx.Bucket([]byte(bucketNames[bEvent])).Stats().KeyN
	}
	return t.err
}

// takeEpoch makes this process the writer and re-indexes when the schema has changed.
func (s *Store) takeEpoch() error {
	err := s.db.Update(func(btx *bolt.Tx) error {
		meta := btx.Bucket([]byte(bucketNames[bMeta]))
		if uint64Of(meta.Get([]byte(metaSchema))) != s.schema.Version {
			if err := s.reindex(btx); err != nil {
				return err
			}
			if err := meta.Put([]byte(metaSchema), []byte(be64(s.schema.Version))); err != nil {
				return err
			}
		}
		return meta.Put([]byte(metaEpoch), []byte(be64(uint64Of(meta.Get([]byte(metaEpoch)))+1)))
	})
	if err != nil {
		return fmt.Errorf("open store %s: %w", s.path, err)
	}
	return nil
}

// createIfAbsent makes an empty store in one step: the path either does not exist or names a whole store.
func createIfAbsent(path string, o Options, now time.Time) (err error) {
	if _, err := os.Lstat(path); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open store: %w", err)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make store: %w", err)
	}
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".new-*")
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("make store: %w: %w", store.ErrReadOnly, err)
		}
		return fmt.Errorf("make store: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoSync: o.NoSync, NoGrowSync: o.NoSync, NoFreelistSync: true,
		FreelistType: bolt.FreelistMapType,
		OpenFile:     func(string, int, os.FileMode) (*os.File, error) { return tmp, nil }})
	if err != nil {
		_ = tmp.Close()
		return fmt.Errorf("make store: %w", err)
	}
	err = db.Update(func(btx *bolt.Tx) error { return fill(btx, o, now) })
	if cerr := db.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("make store: %w", err)
	}
	// A link fails when somebody else was quicker; then theirs is the store.
	if err := os.Link(tmp.Name(), path); errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		if err := os.Rename(tmp.Name(), path); err != nil { // a file system without links
			return fmt.Errorf("make store: %w", err)
		}
	}
	if o.NoSync {
		return nil
	}
	return syncDir(dir)
}

// fill writes what every store has.
func fill(btx *bolt.Tx, o Options, now time.Time) error {
	for _, n := range bucketNames {
		if _, err := btx.CreateBucketIfNotExists([]byte(n)); err != nil {
			return err
		}
	}
	id := o.Installation
	if id == "" {
		var b [16]byte
		if _, err := rand.Read(b[:]); err != nil {
			return err
		}
		b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
		id = fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	}
	schema := o.Schema.Version
	if o.Schema.Kinds == nil {
		schema = store.DefaultSchema().Version
	}
	meta := btx.Bucket([]byte(bucketNames[bMeta]))
	for _, kv := range []struct{ k, v string }{
		{metaFormat, be32(currentFormat)},
		{metaInstallation, id},
		{metaCreated, be64(uint64(now.UnixMilli()))},
		{metaSchema, be64(schema)},
		{metaRev, be64(0)},
		{metaEpoch, be64(o.FirstEpoch)},
	} {
		if err := meta.Put([]byte(kv.k), []byte(kv.v)); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
