package boltstore

import (
	"fmt"
	"iter"
	"strings"

	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	"aloft/controller/store"
)

// cursor reads the file in key order; bbolt's panics become faults of the transaction.
type cursor struct {
	t *tx
	c *bolt.Cursor
}

func (t *tx) cursor(b bucketID) (c cursor) {
	c.t = t
	defer t.guard()
	c.c = t.buckets[b].Cursor()
	return c
}

// move runs one step of the cursor.
func (c cursor) move(step func(*bolt.Cursor) ([]byte, []byte)) (k, v []byte) {
	if c.t.err != nil || c.c == nil {
		return nil, nil
	}
	defer c.t.guard()
	return step(c.c)
}

func (c cursor) next() (k, v []byte) { return c.move((*bolt.Cursor).Next) }
func (c cursor) prev() (k, v []byte) { return c.move((*bolt.Cursor).Prev) }

// seek goes to the first key >= key.
func (c cursor) seek(key string) (k, v []byte) {
	return c.move(func(b *bolt.Cursor) ([]byte, []byte) { return b.Seek([]byte(key)) })
}

// seekBefore goes to the last key < key; "" means the last of all.
func (c cursor) seekBefore(key string) (k, v []byte) {
	return c.move(func(b *bolt.Cursor) ([]byte, []byte) {
		if key == "" {
			return b.Last()
		}
		if k, _ := b.Seek([]byte(key)); k == nil {
			return b.Last()
		}
		return b.Prev()
	})
}

// scan calls fn with the live keys that have the prefix and are >= from (when from is not ""), in order, until fn returns
// false. The closure may write meanwhile. k and v must not outlive the transaction.
func (t *tx) scan(b bucketID, prefix, from string, fn func(k string, v []byte) bool) {
	if t.ended {
		t.err = errEnded
		return
	}
	start := max(prefix, from)
	cur := t.cursor(b)
	fk, fv := cur.seek(start)
	pos, inclusive := start, true
	for t.err == nil {
		fileOK := fk != nil && hasPrefix(fk, prefix)
		var ch change
		pending := false
		if t.w != nil {
			ch, pending = t.w.after(b, pos, inclusive)
			pending = pending && strings.HasPrefix(ch.key, prefix)
		}
		if !fileOK && !pending {
			return
		}
		if pending && (!fileOK || ch.key <= string(fk)) {
			if fileOK && ch.key == string(fk) {
				fk, fv = cur.next()
			}
			pos, inclusive = ch.key, false
			if !ch.del && !fn(ch.key, ch.val) {
				return
			}
			continue
		}
		k, v := string(fk), fv
		fk, fv = cur.next()
		pos, inclusive = k, false
		if !fn(k, v) {
			return
		}
	}
}

// scanReverse is scan over all keys with the prefix, last first.
func (t *tx) scanReverse(b bucketID, prefix string, fn func(k string, v []byte) bool) {
	if t.ended {
		t.err = errEnded
		return
	}
	pos := successor(prefix)
	cur := t.cursor(b)
	fk, fv := cur.seekBefore(pos)
	for t.err == nil {
		fileOK := fk != nil && hasPrefix(fk, prefix)
		var ch change
		pending := false
		if t.w != nil {
			ch, pending = t.w.before(b, pos)
			pending = pending && strings.HasPrefix(ch.key, prefix)
		}
		if !fileOK && !pending {
			return
		}
		if pending && (!fileOK || ch.key >= string(fk)) {
			if fileOK && ch.key == string(fk) {
				fk, fv = cur.prev()
			}
			pos = ch.key
			if !ch.del && !fn(ch.key, ch.val) {
				return
			}
			continue
		}
		k, v := string(fk), fv
		fk, fv = cur.prev()
		pos = k
		if !fn(k, v) {
			return
		}
	}
}

func hasPrefix(k []byte, prefix string) bool {
	return len(k) >= len(prefix) && string(k[:len(prefix)]) == prefix
}

// successor is the least key greater than every key with the prefix; "" when there is none.
func successor(prefix string) string {
	b := []byte(prefix)
	for len(b) > 0 {
		if b[len(b)-1] < 0xff {
			b[len(b)-1]++
			return string(b)
		}
		b = b[:len(b)-1]
	}
	return ""
}

// List implements store.Tx.
func (t *tx) List(k store.Kind, index, value string, newMsg func() proto.Message) iter.Seq2[string, proto.Message] {
	return t.Scan(store.Query{Kind: k, Index: index, Value: value}, newMsg)
}

// Scan implements store.Tx.
func (t *tx) Scan(q store.Query, newMsg func() proto.Message) iter.Seq2[string, proto.Message] {
	return func(yield func(string, proto.Message) bool) {
		n := 0
		emit := func(id string, env []byte) bool {
			e, err := decodeEnvelope(env)
			var m proto.Message
			if err == nil {
				m = newMsg()
				err = proto.Unmarshal(e.payload, m)
			}
			if err != nil {
				_ = t.fault(fmt.Errorf("%s %s: %w", q.Kind, id, err))
				return false
			}
			n++
			return yield(id, m) && (q.Limit <= 0 || n < q.Limit)
		}
		bucket, prefix := bObj, string(q.Kind)+sep
		visit := func(k string, v []byte) bool { return emit(k[len(q.Kind)+1:], v) }
		if q.Index == "" {
			prefix += q.Value
		} else {
			bucket = bIndex
			prefix += q.Index + sep + q.Value
			if !q.Prefix {
				prefix += sep
			}
			visit = func(k string, _ []byte) bool {
				id := k[strings.LastIndex(k, sep)+1:]
				env := t.get(bObj, objKey(q.Kind, id))
				if env == nil {
					if t.err == nil {
						_ = t.fault(fmt.Errorf("index %s names %s %s, which does not exist", q.Index, q.Kind, id))
					}
					return false
				}
				return emit(id, env)
			}
		}
		if q.Reverse {
			t.scanReverse(bucket, prefix, visit)
		} else {
			t.scan(bucket, prefix, "", visit)
		}
	}
}
