package boltstore

import (
	"fmt"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
)

// tx is a transaction: a consistent view of the file under the pending writes of one closure.
type tx struct {
	s       *Store
	buckets [nBuckets]*bolt.Bucket
	w       *overlay // nil: read-only
	next    uint64   // revision that the writes will get
	now     time.Time
	events  []*statev1.Event
	err     error // first fault of the file found; it fails the transaction whatever the closure returns
	ended   bool
}

var _ store.Tx = (*tx)(nil)

var errEnded = fmt.Errorf("transaction used after its end: %w", store.ErrClosed)

func (s *Store) newTx(b *bolt.Tx, w *overlay, next uint64) (t *tx) {
	t = &tx{s: s, w: w, next: next, now: s.now()}
	defer t.guard()
	for i, n := range bucketNames {
		t.buckets[i] = b.Bucket([]byte(n))
	}
	return t
}

func (t *tx) end() { t.ended = true }

// fault records damage found in the file.
func (t *tx) fault(err error) error {
	err = corruptf(t.s.path, "%v", err)
	if t.err == nil {
		t.err = err
	}
	return err
}

// guard turns a panic of bbolt on a damaged page, or a memory fault under the map, into a fault of the transaction.
func (t *tx) guard() {
	if r := recover(); r != nil {
		if t.ended {
			t.err = errEnded
			return
		}
		_ = t.fault(fmt.Errorf("%v", r))
	}
}

// fileGet reads from the file; the result must not outlive the transaction.
func (t *tx) fileGet(b bucketID, key string) (v []byte) {
	defer t.guard()
	return t.buckets[b].Get([]byte(key))
}

// get reads a value; nil when absent. The result must not outlive the transaction.
func (t *tx) get(b bucketID, key string) []byte {
	if t.ended {
		t.err = errEnded
		return nil
	}
	if t.w != nil {
		if c, ok := t.w.get(b, key); ok {
			if c.del {
				return nil
			}
			return c.val
		}
	}
	return t.fileGet(b, key)
}

func (t *tx) set(b bucketID, key string, val []byte) {
	if val == nil {
		val = []byte{}
	}
	t.w.set(b, change{key: key, val: val})
}

func (t *tx) del(b bucketID, key string) { t.w.set(b, change{key: key, del: true}) }

func (t *tx) writable() error {
	switch {
	case t.ended:
		return errEnded
	case t.w == nil:
		return fmt.Errorf("write in a view: %w", store.ErrReadOnly)
	}
	return nil
}

// object reads the envelope of an object; false when absent.
func (t *tx) object(k store.Kind, id string) (envelope, bool, error) {
	v := t.get(bObj, objKey(k, id))
	if t.err != nil {
		return envelope{}, false, t.err
	}
	if v == nil {
		return envelope{}, false, nil
	}
	e, err := decodeEnvelope(v)
	if err != nil {
		return e, false, t.fault(fmt.Errorf("%s %s: %w", k, id, err))
	}
	return e, true, nil
}

// Get implements store.Tx.
func (t *tx) Get(k store.Kind, id string, m proto.Message) (store.Rev, error) {
	e, ok, err := t.object(k, id)
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, fmt.Errorf("%s %s: %w", k, id, store.ErrNotFound)
	}
	if err := proto.Unmarshal(e.payload, m); err != nil {
		return 0, t.fault(fmt.Errorf("%s %s: %w", k, id, err))
	}
	return store.Rev(e.rev), nil
}

// marshal makes the same bytes of the same message.
func marshal(m proto.Message) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(m)
}

// Put implements store.Tx.
func (t *tx) Put(k store.Kind, id string, m proto.Message) error {
	if err := t.writable(); err != nil {
		return err
	}
	if err := part("id", id); err != nil {
		return fmt.Errorf("%s: %w", k, err)
	}
	ks, ok := t.s.schema.Kinds[k]
	if !ok {
		return fmt.Errorf("kind %q is not in the schema", k)
	}
	old, existed, err := t.object(k, id)
	if err != nil {
		return err
	}
	payload, err := marshal(m)
	if err != nil {
		return fmt.Errorf("%s %s: %w", k, id, err)
	}
	e := envelope{rev: t.next, created: t.next, payload: payload}
	if existed {
		e.created = old.created
	}
	if err := derive(ks, k, m, &e); err != nil {
		return fmt.Errorf("%s %s: %w", k, id, err)
	}
	if e.name != "" && e.name != old.name {
		if holder := t.get(bName, e.name); holder != nil && string(holder) != id {
			_, name, _ := ks.Name(m)
			return fmt.Errorf("%s %q: %w", k, name, store.ErrNameTaken)
		}
	}
	t.unlink(k, id, &old, &e)
	t.link(k, id, &e)
	t.set(bObj, objKey(k, id), e.encode())
	return t.err
}

// derive fills in what the schema says of a message.
func derive(ks store.KindSchema, k store.Kind, m proto.Message, e *envelope) error {
	e.index, e.name = nil, ""
	if ks.Index != nil {
		for _, x := range ks.Index(m) {
			if err := part("index", x.Index); err != nil {
				return err
			}
			if strings.Contains(x.Value, sep) {
				return fmt.Errorf("index %s: value %q: %w", x.Index, x.Value, errNUL)
			}
			e.index = append(e.index, x.Index+sep+x.Value)
		}
	}
	if ks.Name == nil {
		return nil
	}
	project, name, ok := ks.Name(m)
	if ok {
		if err := part("name", name); err != nil {
			return err
		}
		e.name = nameKey(project, k, name)
	}
	if strings.Contains(project, sep) {
		return fmt.Errorf("project %q: %w", project, errNUL)
	}
	e.project = project
	return nil
}

// unlink removes the index entries and the name of old that e does not have.
func (t *tx) unlink(k store.Kind, id string, old, e *envelope) {
	for _, x := range old.index {
		keep := false
		for _, y := range e.index {
			keep = keep || x == y
		}
		if !keep {
			t.del(bIndex, string(k)+sep+x+sep+id)
		}
	}
	if old.name != "" && old.name != e.name && string(t.get(bName, old.name)) == id {
		t.del(bName, old.name)
	}
}

func (t *tx) link(k store.Kind, id string, e *envelope) {
	for _, x := range e.index {
		key := string(k) + sep + x + sep + id
		if t.get(bIndex, key) == nil {
			t.set(bIndex, key, nil)
		}
	}
	if e.name != "" && t.get(bName, e.name) == nil {
		t.set(bName, e.name, []byte(id))
	}
}

// Delete implements store.Tx.
func (t *tx) Delete(k store.Kind, id string) error {
	if err := t.writable(); err != nil {
		return err
	}
	old, existed, err := t.object(k, id)
	if err != nil {
		return err
	}
	if !existed {
		return fmt.Errorf("%s %s: %w", k, id, store.ErrNotFound)
	}
	t.unlink(k, id, &old, &envelope{})
	t.del(bObj, objKey(k, id))
	return t.err
}

// Lookup implements store.Tx.
func (t *tx) Lookup(k store.Kind, project, name string) (string, error) {
	v := t.get(bName, nameKey(project, k, name))
	if t.err != nil {
		return "", t.err
	}
	if v == nil {
		return "", fmt.Errorf("%s %q: %w", k, name, store.ErrNotFound)
	}
	return string(v), nil
}

// Rev implements store.Tx.
func (t *tx) Rev() store.Rev { return store.Rev(uint64Of(t.get(bMeta, metaRev))) }

// Installation implements store.Tx.
func (t *tx) Installation() string { return string(t.get(bMeta, metaInstallation)) }

// WriterEpoch implements store.Tx.
func (t *tx) WriterEpoch() uint64 { return uint64Of(t.get(bMeta, metaEpoch)) }

// reindexOne derives the index entries and the name of a stored object; its envelope's revisions stay.
func reindexOne(t *tx, ks store.KindSchema, key store.Key, e *envelope) error {
	m := ks.New()
	if err := proto.Unmarshal(e.payload, m); err != nil {
		return t.fault(fmt.Errorf("%s %s: %w", key.Kind, key.ID, err))
	}
	if err := derive(ks, key.Kind, m, e); err != nil {
		return fmt.Errorf("re-index %s %s: %w", key.Kind, key.ID, err)
	}
	if holder := t.get(bName, e.name); e.name != "" && holder != nil && string(holder) != key.ID {
		return fmt.Errorf("re-index: %s %s and %s: %w", key.Kind, key.ID, holder, store.ErrNameTaken)
	}
	t.link(key.Kind, key.ID, e)
	return t.err
}
