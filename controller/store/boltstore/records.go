package boltstore

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
)

// idemTTL is how long the result of a request is remembered.
const idemTTL = 24 * time.Hour

// Schedule implements store.Tx.
func (t *tx) Schedule(key store.Key, at time.Time) error {
	if err := t.writable(); err != nil {
		return err
	}
	if err := part("id", key.ID); err != nil {
		return err
	}
	if err := part("kind", string(key.Kind)); err != nil {
		return err
	}
	// Rounded up: a timer that fires before its time would find nothing to do and be set again, in a tight loop.
	ms := max(at.Add(time.Millisecond-time.Nanosecond).UnixMilli(), 0)
	t.unschedule(key)
	t.set(bTimer, objKey(key.Kind, key.ID), []byte(be64(uint64(ms))))
	t.set(bDue, dueKey(ms, key), nil)
	return t.err
}

// Unschedule implements store.Tx.
func (t *tx) Unschedule(key store.Key) error {
	if err := t.writable(); err != nil {
		return err
	}
	t.unschedule(key)
	return t.err
}

func (t *tx) unschedule(key store.Key) {
	k := objKey(key.Kind, key.ID)
	if v := t.get(bTimer, k); v != nil {
		t.del(bDue, string(v)+k)
		t.del(bTimer, k)
	}
}

// Due implements store.Tx.
func (t *tx) Due(by time.Time, limit int) []store.Key {
	var out []store.Key
	t.scan(bDue, "", "", func(k string, _ []byte) bool {
		key, ms, ok := parseDue(k)
		if !ok || ms > by.UnixMilli() {
			return false
		}
		out = append(out, key)
		return limit <= 0 || len(out) < limit
	})
	return out
}

func parseDue(k string) (store.Key, int64, bool) {
	if len(k) < 8 {
		return store.Key{}, 0, false
	}
	key, ok := parseKindID(k[8:])
	return key, int64(uint64Of([]byte(k[:8]))), ok
}

// NextDue implements store.Tx.
func (t *tx) NextDue() (at time.Time, ok bool) {
	t.scan(bDue, "", "", func(k string, _ []byte) bool {
		_, ms, parsed := parseDue(k)
		at, ok = time.UnixMilli(ms), parsed
		return false
	})
	return at, ok
}

// Scheduled implements store.Tx.
func (t *tx) Scheduled(key store.Key) (time.Time, bool) {
	v := t.get(bTimer, objKey(key.Kind, key.ID))
	if v == nil {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(uint64Of(v))), true
}

// PutIntent implements store.Tx.
func (t *tx) PutIntent(in *statev1.Intent) error {
	if err := t.writable(); err != nil {
		return err
	}
	if err := part("node id", in.GetNodeId()); err != nil {
		return err
	}
	if err := part("token", in.GetToken()); err != nil {
		return err
	}
	key := intentKey(in.GetNodeId(), in.GetAttempt())
	if holder := t.get(bToken, in.GetToken()); holder != nil && string(holder) != key {
		return fmt.Errorf("token %s belongs to another attempt: %w", in.GetToken(), store.ErrConflict)
	}
	if v := t.get(bIntent, key); v != nil {
		old := new(statev1.Intent)
		if err := proto.Unmarshal(v, old); err != nil {
			return t.fault(fmt.Errorf("intent of %s: %w", in.GetNodeId(), err))
		}
		if old.GetToken() != in.GetToken() {
			return fmt.Errorf("attempt %d of node %s has token %s: %w", in.GetAttempt(), in.GetNodeId(), old.GetToken(), store.ErrConflict)
		}
	}
	b, err := marshal(in)
	if err != nil {
		return fmt.Errorf("intent of %s: %w", in.GetNodeId(), err)
	}
	t.set(bIntent, key, b)
	t.set(bToken, in.GetToken(), []byte(key))
	return t.err
}

// Intent implements store.Tx.
func (t *tx) Intent(nodeID string, attempt int32) (*statev1.Intent, error) {
	return t.intent(intentKey(nodeID, attempt), fmt.Sprintf("attempt %d of node %s", attempt, nodeID))
}

func (t *tx) intent(key, what string) (*statev1.Intent, error) {
	v := t.get(bIntent, key)
	if t.err != nil {
		return nil, t.err
	}
	if v == nil {
		return nil, fmt.Errorf("intent of %s: %w", what, store.ErrNotFound)
	}
	in := new(statev1.Intent)
	if err := proto.Unmarshal(v, in); err != nil {
		return nil, t.fault(fmt.Errorf("intent of %s: %w", what, err))
	}
	return in, nil
}

// IntentByToken implements store.Tx.
func (t *tx) IntentByToken(token string) (*statev1.Intent, error) {
	key := t.get(bToken, token)
	if t.err != nil {
		return nil, t.err
	}
	if key == nil {
		return nil, fmt.Errorf("intent of token %s: %w", token, store.ErrNotFound)
	}
	return t.intent(string(key), "token "+token)
}

// Intents implements store.Tx.
func (t *tx) Intents(nodeID string) []*statev1.Intent {
	prefix := ""
	if nodeID != "" {
		prefix = nodeID + sep
	}
	var out []*statev1.Intent
	t.scan(bIntent, prefix, "", func(k string, v []byte) bool {
		in := new(statev1.Intent)
		if err := proto.Unmarshal(v, in); err != nil {
			_ = t.fault(fmt.Errorf("intent %q: %w", k, err))
			return false
		}
		out = append(out, in)
		return true
	})
	return out
}

// PruneIntents implements store.Tx.
func (t *tx) PruneIntents(releasedBefore time.Time) (int, error) {
	if err := t.writable(); err != nil {
		return 0, err
	}
	n := 0
	for _, in := range t.Intents("") {
		if in.GetPhase() != statev1.IntentPhase_INTENT_RELEASED || in.GetReleasedMs() >= releasedBefore.UnixMilli() {
			continue
		}
		t.del(bIntent, intentKey(in.GetNodeId(), in.GetAttempt()))
		t.del(bToken, in.GetToken())
		n++
	}
	return n, t.err
}

// Cursor implements store.Tx.
func (t *tx) Cursor(agentID, stream string) uint64 {
	return uint64Of(t.get(bCursor, agentID+sep+stream))
}

// SetCursor implements store.Tx.
func (t *tx) SetCursor(agentID, stream string, offset uint64) error {
	if err := t.writable(); err != nil {
		return err
	}
	if err := part("agent id", agentID); err != nil {
		return err
	}
	t.set(bCursor, agentID+sep+stream, []byte(be64(offset)))
	return nil
}

// Idem implements store.Tx.
func (t *tx) Idem(user, requestID string) ([]byte, bool) {
	v := t.get(bIdem, user+sep+requestID)
	if len(v) < 8 || int64(uint64Of(v[:8])) <= t.now.UnixMilli() {
		return nil, false
	}
	return append([]byte{}, v[8:]...), true
}

// PutIdem implements store.Tx.
func (t *tx) PutIdem(user, requestID string, result []byte, now time.Time) error {
	if err := t.writable(); err != nil {
		return err
	}
	if err := part("request id", requestID); err != nil {
		return err
	}
	t.set(bIdem, user+sep+requestID, append([]byte(be64(uint64(now.Add(idemTTL).UnixMilli()))), result...))
	return nil
}

// Emit implements store.Tx.
func (t *tx) Emit(ev *statev1.Event) {
	if t.writable() != nil {
		if t.err == nil {
			t.err = t.writable()
		}
		return
	}
	ev = proto.CloneOf(ev)
	ev.Rev = t.next
	if ev.GetAtMs() == 0 {
		ev.AtMs = t.now.UnixMilli()
	}
	t.events = append(t.events, ev)
}

// Events implements store.Tx.
func (t *tx) Events(from store.Rev, f store.Filter, limit int) ([]*statev1.Event, error) {
	if gone := uint64Of(t.get(bMeta, metaCompacted)); uint64(from) < gone {
		return nil, fmt.Errorf("revision %d, oldest kept is %d: %w", from, gone, store.ErrCompacted)
	}
	var out []*statev1.Event
	t.scanEvents(from, func(ev *statev1.Event) bool {
		if matches(ev, f) {
			out = append(out, ev)
		}
		return limit <= 0 || len(out) < limit
	})
	return out, t.err
}

// scanEvents calls fn with the stored events after from, until it returns false.
func (t *tx) scanEvents(from store.Rev, fn func(*statev1.Event) bool) {
	t.scan(bEvent, "", be64(uint64(from)+1), func(k string, v []byte) bool {
		ev := new(statev1.Event)
		if err := proto.Unmarshal(v, ev); err != nil {
			_ = t.fault(fmt.Errorf("event %x: %w", k, err))
			return false
		}
		return fn(ev)
	})
}

func matches(ev *statev1.Event, f store.Filter) bool {
	return (f.ClusterID == "" || ev.GetClusterId() == f.ClusterID) &&
		(f.Kind == "" || ev.GetKind() == string(f.Kind)) &&
		(f.ID == "" || ev.GetId() == f.ID)
}
