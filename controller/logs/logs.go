package logs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	agentv1 "aloft/proto/sky/agent/v1"
)

// Errors that callers decide on.
var (
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("logs are closed")
	// ErrComplete is returned for bytes beyond the end of a complete stream.
	ErrComplete = errors.New("stream is complete")
	// ErrCorrupt is returned when a stream cannot be read on; it names the file.
	ErrCorrupt = errors.New("log segment is corrupt")
)

// HoleError is returned for bytes that begin beyond the end of the stream.
type HoleError struct {
	Got  uint64 // offset of the first byte offered
	Want uint64 // offset of the next byte wanted
}

// Error names the wanted offset.
func (e *HoleError) Error() string {
	return fmt.Sprintf("hole in log stream: got offset %d, want %d", e.Got, e.Want)
}

// Options say how to keep logs; the zero value is what the controller uses.
type Options struct {
	// SegmentBytes is the size at which a new segment file starts; 0 = 8 MiB.
	SegmentBytes int64
	// SyncEvery is how long accepted bytes may stay unsynced; 0 = 1 s.
	SyncEvery time.Duration
	// NoSync leaves writing to disk to the operating system: for tests.
	NoSync bool
	// Busy is called with every append and every block read; nil = nobody.
	Busy func()
	// Logger; nil = none.
	Logger *slog.Logger
}

// Store is the log streams under one directory. Its methods may be called from any number of goroutines; one process at a
// time may use a directory.
type Store struct {
	dir  string
	opts Options
	log  *slog.Logger
	done chan struct{} // closed by Close

	mu       sync.Mutex
	streams  map[streamID]*stream
	open     map[*stream]struct{} // with a file open for appending
	timer    *time.Timer          // nil when nothing is open
	ticks    sync.WaitGroup       // ticks armed or running
	closed   bool
	removals int
}

// streamID is agentv1.StreamKey as a map key.
type streamID struct {
	job           string
	attempt, slot int32
	name          string
}

// Open opens the logs under dir and makes the directory when it is missing. It reads nothing yet.
func Open(dir string, o Options) (*Store, error) {
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = 8 << 20
	}
	if o.SyncEvery <= 0 {
		o.SyncEvery = time.Second
	}
	if o.Busy == nil {
		o.Busy = func() {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open logs: %w", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, removedPrefix+"*")); err == nil {
		for _, d := range left { // RemoveJob was interrupted
			_ = os.RemoveAll(d)
		}
	}
	return &Store{
		dir: dir, opts: o, log: o.Logger, done: make(chan struct{}),
		streams: map[streamID]*stream{}, open: map[*stream]struct{}{},
	}, nil
}

// removedPrefix marks directories that are being deleted. No job id begins with a dot.
const removedPrefix = ".removed-"

// keepStreams is how many idle streams stay in memory, so that the next append need not read the last segment again.
const keepStreams = 4096

// plain says whether s can stand as one component of a path.
func plain(s string) bool {
	return s != "" && s[0] != '.' && len(s) <= 200 && !strings.ContainsAny(s, "/\\\x00")
}

func idOf(k *agentv1.StreamKey) (streamID, error) {
	id := streamID{k.GetJobId(), k.GetAttempt(), k.GetSlot(), k.GetName()}
	if !plain(id.job) || !plain(id.name) || id.attempt < 0 || id.slot < 0 {
		return id, fmt.Errorf("bad log stream %q attempt %d slot %d %q", id.job, id.attempt, id.slot, id.name)
	}
	return id, nil
}

func (id streamID) dir(root string) string {
	return filepath.Join(root, id.job, fmt.Sprintf("%d.%d.%s", id.attempt, id.slot, id.name))
}

// use finds a stream, reading its state from disk when it is not in memory, and keeps it there until release.
func (s *Store) use(k *agentv1.StreamKey) (*stream, error) {
	id, err := idOf(k)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, ErrClosed
	}
	st := s.streams[id]
	if st == nil {
		st = &stream{store: s, id: id, dir: id.dir(s.dir)}
		s.streams[id] = st
	}
	st.users++
	s.mu.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.loaded {
		if err := st.load(); err != nil {
			st.segs = nil
			s.release(st)
			return nil, err
		}
		st.loaded = true
	}
	return st, nil
}

// release lets go of a stream. The caller may hold st.mu: s.mu is always the inner lock of the two.
func (s *Store) release(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.users--
	s.forget()
}

// forget drops idle streams when there are many. The caller holds s.mu.
func (s *Store) forget() {
	if len(s.streams) <= keepStreams {
		return
	}
	for id, st := range s.streams {
		if _, writing := s.open[st]; st.users == 0 && !writing {
			delete(s.streams, id)
			if len(s.streams) <= keepStreams {
				return
			}
		}
	}
}

// Append adds records whose first byte is at the logical offset. Bytes that the stream has already are dropped, whatever
// they are; a hole is a *HoleError. durableTo is the end of the stream afterwards. The records are not kept.
func (s *Store) Append(ctx context.Context, key *agentv1.StreamKey, offset uint64, recs []*agentv1.LogRecord) (durableTo uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	st, err := s.use(key)
	if err != nil {
		return 0, err
	}
	defer s.release(st)
	s.opts.Busy()
	return st.append(offset, recs)
}

// Complete says that nothing follows end, and makes the stream durable; that a stream has no byte at all is remembered
// for a while only, since the job's record says it too. A *HoleError tells that bytes before end are
// missing; ErrComplete, that there are bytes after it. Completing twice is fine.
func (s *Store) Complete(key *agentv1.StreamKey, end uint64) error {
	st, err := s.use(key)
	if err != nil {
		return err
	}
	defer s.release(st)
	if err := st.finish(end); err != nil {
		return err
	}
	return st.flush()
}

// End is the logical offset of the next byte wanted, and whether the stream is complete. A stream that does not exist
// ends at 0.
func (s *Store) End(key *agentv1.StreamKey) (end uint64, complete bool, err error) {
	st, err := s.use(key)
	if err != nil {
		return 0, false, err
	}
	defer s.release(st)
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.end, st.complete, nil
}

// Streams are the streams of a job by attempt, slot and name; attempt < 0 means every attempt.
func (s *Store) Streams(jobID string, attempt int32) ([]*agentv1.StreamKey, error) {
	if !plain(jobID) {
		return nil, fmt.Errorf("bad job id %q", jobID)
	}
	ents, err := os.ReadDir(filepath.Join(s.dir, jobID))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("streams of job %s: %w", jobID, err)
	}
	var out []*agentv1.StreamKey
	for _, e := range ents {
		p := strings.SplitN(e.Name(), ".", 3)
		if len(p) != 3 {
			continue
		}
		a, err1 := strconv.ParseInt(p[0], 10, 32)
		slot, err2 := strconv.ParseInt(p[1], 10, 32)
		if err1 != nil || err2 != nil || (attempt >= 0 && int32(a) != attempt) {
			continue
		}
		out = append(out, &agentv1.StreamKey{JobId: jobID, Attempt: int32(a), Slot: int32(slot), Name: p[2]})
	}
	slices.SortFunc(out, func(a, b *agentv1.StreamKey) int {
		if c := int(a.Attempt) - int(b.Attempt); c != 0 {
			return c
		}
		if c := int(a.Slot) - int(b.Slot); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out, nil
}

// RemoveJob deletes every stream of a job; who follows one comes to its end.
func (s *Store) RemoveJob(jobID string) error {
	if !plain(jobID) {
		return fmt.Errorf("bad job id %q", jobID)
	}
	s.mu.Lock()
	s.removals++
	trash := filepath.Join(s.dir, fmt.Sprintf("%s%s-%d", removedPrefix, jobID, s.removals))
	err := os.Rename(filepath.Join(s.dir, jobID), trash) // at once, so that nobody writes into what goes
	var gone []*stream
	for id, st := range s.streams {
		if id.job == jobID {
			gone = append(gone, st)
			delete(s.streams, id)
		}
	}
	s.mu.Unlock()
	for _, st := range gone {
		st.remove()
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.RemoveAll(trash)
	}
	if err != nil {
		return fmt.Errorf("remove logs of job %s: %w", jobID, err)
	}
	return nil
}

// Close syncs and closes everything; followers end with ErrClosed.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	if s.timer != nil && s.timer.Stop() {
		s.ticks.Done()
	}
	var open []*stream
	for st := range s.open {
		open = append(open, st)
	}
	s.mu.Unlock()
	close(s.done)
	s.ticks.Wait()
	var errs []error
	for _, st := range open {
		st.mu.Lock()
		st.retire()
		st.mu.Unlock()
		errs = append(errs, st.flush())
	}
	return errors.Join(errs...)
}
