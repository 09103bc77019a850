package boltstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"

	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
)

const (
	groupMax     = 512                   // closures in one commit
	groupTime    = 2 * time.Millisecond  // spent running closures before a commit, or as long as the last commit took
	groupTimeMax = 50 * time.Millisecond // of closures before a commit, however slow the disk is
	wedgeTime    = 30 * time.Second      // after which a commit under way is reported
)

// States of a request: the committer takes it, or its caller withdraws it, never both.
const (
	reqWaiting int32 = iota
	reqTaken
	reqWithdrawn
)

// request is one call of Update. Its closure runs in the caller's goroutine, when the committer hands it the turn.
type request struct {
	state atomic.Int32
	turn  chan *tx     // committer to caller: run now
	ran   chan error   // caller to committer: verdict of the closure
	done  chan outcome // committer to caller: committed or not
	err   error        // verdict
}

type outcome struct {
	rev store.Rev
	err error
}

// errAborted is the verdict of a closure that did not return (a panic, or the end of its goroutine).
var errAborted = errors.New("closure did not return")

// Update implements store.Store. A canceled ctx takes back a closure that has not started; one that runs is waited for.
func (s *Store) Update(ctx context.Context, fn func(store.Tx) error) (store.Rev, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if s.readOnly {
		return 0, fmt.Errorf("%s was opened for reading: %w", s.path, store.ErrReadOnly)
	}
	r := &request{turn: make(chan *tx, 1), ran: make(chan error, 1), done: make(chan outcome, 1)}
	if err := s.enqueue(r); err != nil {
		return 0, err
	}
	var t *tx
	select {
	case t = <-r.turn:
	case <-ctx.Done():
		if r.state.CompareAndSwap(reqWaiting, reqWithdrawn) {
			return 0, ctx.Err()
		}
		t = <-r.turn
	}
	if t != nil {
		r.run(t, fn)
	}
	o := <-r.done
	return o.rev, o.err
}

// run runs the closure and reports its verdict even when it does not return.
func (r *request) run(t *tx, fn func(store.Tx) error) {
	err := errAborted
	defer func() { r.ran <- err }()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	err = fn(t)
}

// enqueue adds a request and makes sure that a committer runs.
func (s *Store) enqueue(r *request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	s.queue = append(s.queue, r)
	if !s.committing {
		s.committing = true
		s.idle = make(chan struct{})
		go s.commitLoop()
	}
	return nil
}

// commitLoop commits groups until nobody waits.
func (s *Store) commitLoop() {
	debug.SetPanicOnFault(true)
	last := 0
	for {
		if last > 1 {
			s.gather(last)
		}
		s.mu.Lock()
		n := min(len(s.queue), groupMax)
		batch := s.queue[:n:n]
		s.queue = s.queue[n:]
		if n == 0 {
			s.queue = nil
			s.committing = false
			close(s.idle)
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		rest := s.commitGroup(batch)
		last = n - len(rest)
		if len(rest) > 0 {
			s.mu.Lock()
			s.queue = append(rest, s.queue...)
			s.mu.Unlock()
		}
	}
}

// gather lets the callers that the last commit woke come back before the next one starts: otherwise the first of them
// would get an fsync of its own while all others wait. It only yields the processor, it never sleeps.
func (s *Store) gather(want int) {
	for range 16 {
		runtime.Gosched()
		s.mu.Lock()
		n := len(s.queue)
		s.mu.Unlock()
		if n >= want {
			return
		}
	}
}

// group is a commit under way.
type group struct {
	s      *Store
	tx     *bolt.Tx
	rev    uint64
	dirty  bool
	events []*statev1.Event
	err    error // of the group: nothing of it is written
}

// commitGroup runs the closures of a batch and commits their writes together. It returns the requests that it did not
// get to.
func (s *Store) commitGroup(batch []*request) (rest []*request) {
	start := time.Now()
	wedge := time.AfterFunc(wedgeTime, func() {
		s.log.Error("a commit does not end: a closure blocks, or the disk does", "path", s.path, "after", wedgeTime)
	})
	defer wedge.Stop()
	g := &group{s: s, rev: s.rev + 1, err: s.broken}
	if g.err == nil {
		g.begin()
	}
	ran := 0
	for i, r := range batch {
		if i > 0 && time.Since(start) > max(groupTime, s.lastWrite) {
			rest = batch[i:]
			batch = batch[:i]
			break
		}
		if !r.state.CompareAndSwap(reqWaiting, reqTaken) {
			continue
		}
		ran++
		g.serve(r)
	}
	g.commit()
	rev := s.rev
	for _, r := range batch {
		if r.state.Load() != reqTaken {
			continue
		}
		switch {
		case r.err != nil:
			r.done <- outcome{err: r.err}
		case g.err != nil:
			r.done <- outcome{err: g.err}
		default:
			r.done <- outcome{rev: store.Rev(rev)}
		}
	}
	s.stats.note(ran, g.dirty, time.Since(start))
	return rest
}

// guard turns a panic of bbolt into the group's error. After one the file cannot be trusted: nothing more is written.
func (g *group) guard(what string) {
	if r := recover(); r != nil {
		g.err = corruptf(g.s.path, "%s: %v", what, r)
		g.s.broken = g.err
	}
}

func (g *group) begin() {
	defer g.guard("begin")
	g.tx, g.err = g.s.db.Begin(true)
	if g.err != nil {
		g.err = fmt.Errorf("store: begin: %w", g.err)
	}
}

// serve runs the closure of one request and takes its writes over when it succeeds.
func (g *group) serve(r *request) {
	if g.err != nil {
		r.turn <- nil
		return
	}
	t := g.s.newTx(g.tx, new(overlay), g.rev)
	r.turn <- t
	r.err = <-r.ran
	t.end()
	if t.err != nil && r.err == nil {
		r.err = t.err
	}
	if r.err != nil || (t.w.empty() && len(t.events) == 0) {
		return
	}
	g.apply(t)
}

// apply joins the writes of a closure to the group.
func (g *group) apply(t *tx) {
	defer g.guard("write")
	g.dirty = true
	for i := range t.w.buckets {
		b := t.buckets[i]
		for _, c := range t.w.buckets[i] {
			var err error
			if c.del {
				err = b.Delete([]byte(c.key))
			} else {
				err = b.Put([]byte(c.key), c.val)
			}
			if err != nil {
				g.err = fmt.Errorf("store: write: %w", err)
				return
			}
		}
	}
	g.events = append(g.events, t.events...)
}

// commit makes the group durable and tells watchers.
func (g *group) commit() {
	if g.tx == nil {
		return
	}
	if g.err != nil || !g.dirty {
		g.rollback()
		return
	}
	dropped := g.seal()
	if g.err != nil {
		g.rollback()
		return
	}
	began := time.Now()
	g.write()
	g.s.lastWrite = min(time.Since(began), groupTimeMax)
	if g.err != nil {
		if !transient(g.err) && g.s.broken == nil {
			// After a failed sync nobody knows what is on disk.
			g.s.broken = g.err
		}
		return
	}
	g.s.rev = g.rev
	g.s.kept += len(g.events) - dropped
	g.s.publish(g.rev, g.events)
}

func (g *group) rollback() {
	err := g.err
	defer g.guard("rollback")
	if e := g.tx.Rollback(); e != nil && err == nil {
		g.err = fmt.Errorf("store: rollback: %w", e)
	}
}

// seal adds what belongs to the group as a whole: its events, its revision and the compaction of old events.
func (g *group) seal() (dropped int) {
	defer g.guard("write")
	eb := g.tx.Bucket([]byte(bucketNames[bEvent]))
	for i, ev := range g.events {
		b, err := marshal(ev)
		if err == nil {
			err = eb.Put([]byte(be64(g.rev)+be32(uint32(i))), b)
		}
		if err != nil {
			g.err = fmt.Errorf("store: event: %w", err)
			return 0
		}
	}
	if err := g.tx.Bucket([]byte(bucketNames[bMeta])).Put([]byte(metaRev), []byte(be64(g.rev))); err != nil {
		g.err = fmt.Errorf("store: revision: %w", err)
		return 0
	}
	dropped, err := g.s.compact(g.tx, len(g.events))
	if err != nil {
		g.err = fmt.Errorf("store: compaction: %w", err)
	}
	return dropped
}

// write is the one fsync.
func (g *group) write() {
	defer g.guard("commit")
	if err := g.tx.Commit(); err != nil {
		g.err = fmt.Errorf("store: commit to %s: %w", g.s.path, err)
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			g.err = fmt.Errorf("%w: nothing was written; free some space, then try again", g.err)
		}
	}
}

// transient says of a failed commit that a later one may succeed: the disk was full.
func transient(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}
