// Package store is the contract of the durable store: objects, indexes, intents, timers and events, in one file owned
// by one process. Implementations: boltstore. The conformance suite is storetest.
package store

import (
	"context"
	"errors"
	"iter"
	"time"

	"google.golang.org/protobuf/proto"

	statev1 "aloft/proto/sky/state/v1"
)

// Errors that callers decide on.
var (
	ErrNotFound  = errors.New("not found")
	ErrConflict  = errors.New("changed meanwhile")
	ErrNameTaken = errors.New("name is taken")
	ErrCompacted = errors.New("events before this revision were compacted: list again")
	ErrReadOnly  = errors.New("store is read-only")
	ErrLocked    = errors.New("store is locked by another process")
	ErrNewer     = errors.New("store was written by a newer version")
	ErrCorrupt   = errors.New("store is corrupt")
	ErrClosed    = errors.New("store is closed")
)

// Kind names a kind of object.
type Kind string

// Kinds of objects.
const (
	Cluster Kind = "cluster"
	Node    Kind = "node"
	Job     Kind = "job"
)

// Rev counts committed groups; an object carries the revision that wrote it.
type Rev uint64

// Epoch counts the holders of a lease: a fencing token.
type Epoch uint64

// Key names an object.
type Key struct {
	Kind Kind
	ID   string
}

// Store is durable state with gap-free change events.
type Store interface {
	// View runs fn on a consistent snapshot. Values from it stay valid after fn.
	View(ctx context.Context, fn func(Tx) error) error
	// Update runs fn and commits its writes; with an error from fn nothing is written. fn may run more than once and
	// must have no other effect. Commits of concurrent callers are grouped; each caller's writes stand or fall alone.
	Update(ctx context.Context, fn func(Tx) error) (Rev, error)
	// Watch yields the events after from, first stored ones, then live ones, without gap, until ctx ends.
	// The error is ErrCompacted when from is older than what is kept, or ahead of the store (a restored backup).
	// Events are shared between watchers and must not be changed. Events of one revision come without a break, so a
	// watcher that resumes does so from the revision before the last one it has seen, and skips what it knows, or
	// from the last one once it has seen an event of a later revision.
	Watch(ctx context.Context, from Rev, f Filter) iter.Seq2[*statev1.Event, error]
	// Lease takes or renews a named lease for ttl; ErrConflict while another holder's has not run out. Renewing keeps the
	// epoch, taking (also one's own that ran out) makes the next one. A ttl <= 0 gives the lease up.
	Lease(ctx context.Context, name, holder string, ttl time.Duration) (Epoch, error)
}

// Filter narrows Watch; zero fields mean any.
type Filter struct {
	ClusterID string
	Kind      Kind
	ID        string
}

// Query selects objects for Tx.Scan.
type Query struct {
	Kind    Kind
	Index   string // "" = by id
	Value   string // of the index; with Index "" a prefix of the id
	Prefix  bool   // every index value that starts with Value, ordered by value, then id
	Reverse bool   // last first
	Limit   int    // 0 = all
}

// Tx is a transaction. Messages given to Put are not kept by reference, messages read are the caller's own.
type Tx interface {
	// Get reads an object into m; ErrNotFound.
	Get(k Kind, id string, m proto.Message) (Rev, error)
	// Put writes an object with its index entries and name claim as the schema derives them from m; ErrNameTaken.
	Put(k Kind, id string, m proto.Message) error
	// Delete removes an object, its index entries and its name claim.
	Delete(k Kind, id string) error
	// List yields the objects of a kind, by id, or with index != "" those whose index has the value, by id.
	// new makes an empty message of the kind.
	List(k Kind, index, value string, new func() proto.Message) iter.Seq2[string, proto.Message]
	// Scan yields the objects that q selects, in order of index value, then id. The transaction may be written to
	// meanwhile.
	Scan(q Query, new func() proto.Message) iter.Seq2[string, proto.Message]
	// Lookup finds the id of the object that holds a unique name in a project; ErrNotFound.
	Lookup(k Kind, project, name string) (string, error)

	// Schedule sets the one timer of key (replacing the former), rounded up to the millisecond; Unschedule drops it.
	// Due yields keys due by t, oldest first, at most limit (0 = all).
	Schedule(key Key, at time.Time) error
	Unschedule(key Key) error
	Due(by time.Time, limit int) []Key
	// NextDue is the earliest timer; false when there is none.
	NextDue() (time.Time, bool)
	// Scheduled is the timer of key; false when it has none.
	Scheduled(key Key) (time.Time, bool)

	// Intents are kept by (node, attempt) and found by token, also after release, until PruneIntents. An attempt keeps
	// its token: PutIntent with another one, or with one that another attempt holds, is ErrConflict.
	PutIntent(in *statev1.Intent) error
	Intent(nodeID string, attempt int32) (*statev1.Intent, error)
	IntentByToken(token string) (*statev1.Intent, error)
	Intents(nodeID string) []*statev1.Intent // by attempt; nodeID "" = all
	PruneIntents(releasedBefore time.Time) (int, error)

	// Cursor is the next offset wanted of a stream of an agent (0 = from the start).
	Cursor(agentID, stream string) uint64
	SetCursor(agentID, stream string, offset uint64) error

	// Idem remembers the result of a request for 24 h.
	Idem(user, requestID string) ([]byte, bool)
	PutIdem(user, requestID string, result []byte, now time.Time) error

	// Emit appends an event; rev and order are set at commit.
	Emit(ev *statev1.Event)
	// Events reads stored events after from, oldest first, filtered.
	Events(from Rev, f Filter, limit int) ([]*statev1.Event, error)
	// Rev is the last committed revision.
	Rev() Rev
	// Installation is the id made when the store was made.
	Installation() string
	// WriterEpoch grows by one with every writable open.
	WriterEpoch() uint64
}
