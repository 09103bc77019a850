package logs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// opened notes that a stream has a file open for appending and arms the tick that will sync it.
func (s *Store) opened(st *stream) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.open[st] = struct{}{}
	if s.timer == nil {
		s.ticks.Add(1)
		s.timer = time.AfterFunc(s.opts.SyncEvery, s.tick)
	}
	return nil
}

// tick syncs what was written since the last one and closes the files of streams that were quiet.
func (s *Store) tick() {
	defer s.ticks.Done()
	s.mu.Lock()
	var open []*stream
	for st := range s.open {
		open = append(open, st)
	}
	s.mu.Unlock()
	for _, st := range open {
		st.mu.Lock()
		if !st.dirty {
			st.retire()
		}
		st.mu.Unlock()
		if err := st.flush(); err != nil {
			s.log.Error("log stream not synced", "dir", st.dir, "err", err)
			st.mu.Lock()
			st.syncErr = err
			st.mu.Unlock()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = nil
	if len(s.open) > 0 && !s.closed {
		s.ticks.Add(1)
		s.timer = time.AfterFunc(s.opts.SyncEvery, s.tick)
	}
}

// retire ends appending to the open file; the next flush syncs and closes it. The caller holds st.mu.
func (st *stream) retire() {
	if st.w != nil {
		st.retired = append(st.retired, st.w)
		st.w = nil
	}
}

// flush syncs everything written so far.
func (st *stream) flush() error {
	st.syncMu.Lock()
	defer st.syncMu.Unlock()
	st.mu.Lock()
	retired, w, names := st.retired, st.w, st.newNames && !st.removed
	dirty := st.dirty
	st.retired, st.dirty, st.newNames = nil, false, false
	if w == nil {
		s := st.store
		s.mu.Lock()
		delete(s.open, st)
		s.forget()
		s.mu.Unlock()
	}
	nosync := st.store.opts.NoSync
	st.mu.Unlock()

	var errs []error
	for _, f := range retired {
		if !nosync {
			errs = append(errs, f.Sync())
		}
		errs = append(errs, f.Close())
	}
	if nosync {
		return errors.Join(errs...)
	}
	if w != nil && dirty {
		// Only flush closes files, and it holds syncMu: w is open however much is appended meanwhile.
		errs = append(errs, w.Sync())
	}
	if names {
		job := filepath.Dir(st.dir)
		errs = append(errs, syncDir(st.dir), syncDir(job), syncDir(filepath.Dir(job)))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("sync log: %w", err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// remove ends the stream for everyone who uses it.
func (st *stream) remove() {
	st.mu.Lock()
	st.removed = true
	st.retire()
	st.wake()
	st.mu.Unlock()
	_ = st.flush() // closes the file; whether it reached the disk does not matter any more
}
