package boltstore

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"aloft/controller/store"
)

// Options say how to open a store; the zero value is what the controller uses.
type Options struct {
	// ReadOnly opens an existing file for reading, beside other readers; Update and Lease are ErrReadOnly.
	ReadOnly bool
	// NoSync leaves writing to disk to the operating system: for tests. What was committed survives the death of the
	// process, not of the machine.
	NoSync bool
	// Schema says how objects are found; the zero value is store.DefaultSchema.
	Schema store.Schema
	// Now is the clock of expiries; nil = time.Now.
	Now func() time.Time
	// Logger; nil = none.
	Logger *slog.Logger
	// Installation is the id of a store that is made now; "" = a random UUID.
	Installation string
	// FirstEpoch is the writer epoch before that of a store that is made now; 0 = epochs begin with 1.
	FirstEpoch uint64
	// KeepEvents is how many events are kept; 0 = 100,000.
	KeepEvents int
	// KeepFor is how long events are kept; 0 = 7 days.
	KeepFor time.Duration
	// CompactAbove is the size in bytes above which a file that is more than half empty is rewritten at open; 0 = 64 MiB.
	CompactAbove int64
}

func (o Options) keepEvents() int {
	if o.KeepEvents > 0 {
		return o.KeepEvents
	}
	return keepEvents
}

func (o Options) keepFor() time.Duration {
	if o.KeepFor > 0 {
		return o.KeepFor
	}
	return keepFor
}

// Store is a store.Store in one file. Its methods may be called from any number of goroutines.
type Store struct {
	path     string
	db       *bolt.DB
	schema   store.Schema
	opts     Options
	now      func() time.Time
	log      *slog.Logger
	readOnly bool
	done     chan struct{} // closed by Close
	stats    counters

	mu         sync.Mutex // guards the queue
	queue      []*request
	committing bool
	idle       chan struct{} // closed when the committer ends
	closed     bool

	// Only the committer uses these.
	rev        uint64
	kept       int // events in the file
	compacting bool
	ticked     time.Time
	broken     error         // why nothing more is written
	lastWrite  time.Duration // how long the last commit took

	watchMu sync.RWMutex // guards what follows
	ring    []commitEvents
	tail    uint64 // the ring has every event after this revision
	head    uint64 // last revision published
	changed chan struct{}
}

var _ store.Store = (*Store)(nil)

// View implements store.Store. fn must not call Update: a commit that has to grow the file's map waits for every view.
func (s *Store) View(ctx context.Context, fn func(store.Tx) error) error {
	return s.view(ctx, func(t *tx) error { return fn(t) })
}

func (s *Store) view(ctx context.Context, fn func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	btx, err := s.db.Begin(false)
	if err != nil {
		select {
		case <-s.done:
			return store.ErrClosed
		default:
			return fmt.Errorf("store: view: %w", err)
		}
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { _ = btx.Rollback() }() // of a read transaction: it only lets go of the snapshot
	t := s.newTx(btx, nil, 0)
	defer t.end()
	if err := fn(t); err != nil {
		return err
	}
	return t.err
}

// Path is the file.
func (s *Store) Path() string { return s.path }

// Backup writes a consistent copy of the file to w while the store is in use and says how many bytes it wrote. The copy
// opens as a store.
func (s *Store) Backup(w io.Writer) (int64, error) {
	btx, err := s.db.Begin(false)
	if err != nil {
		return 0, fmt.Errorf("store: backup: %w", err)
	}
	defer func() { _ = btx.Rollback() }()
	n, err := btx.WriteTo(w)
	if err != nil {
		return n, fmt.Errorf("store: backup: %w", err)
	}
	return n, nil
}

// Close commits what was enqueued, ends every watch with ErrClosed and lets go of the file. It waits for open views.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	idle := s.idle
	s.mu.Unlock()
	close(s.done)
	if idle != nil {
		<-idle
	}
	if !s.readOnly {
		_ = os.Remove(pidPath(s.path)) // only a courtesy to the next one who asks
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("store: close %s: %w", s.path, err)
	}
	return nil
}
