package boltstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"aloft/controller/store"
)

// Buckets, all at the top level of the file; docs/state.md describes their keys.
type bucketID uint8

const (
	bMeta bucketID = iota
	bObj
	bName
	bIndex
	bIntent
	bToken
	bDue
	bTimer
	bCursor
	bIdem
	bLease
	bEvent
	nBuckets
)

var bucketNames = [nBuckets]string{"meta", "obj", "name", "ix", "intent", "token", "due", "timer", "cursor", "idem", "lease", "event"}

// Keys of the meta bucket.
const (
	metaFormat       = "format"
	metaInstallation = "installation"
	metaCreated      = "created_ms"
	metaEpoch        = "writer_epoch"
	metaRev          = "rev"
	metaCompacted    = "compacted" // events up to this revision are gone
	metaSchema       = "schema"
)

const sep = "\x00"

var errNUL = errors.New("must not be empty or hold a zero byte")

// part checks one component of a composite key: the separator must not occur in it.
func part(what, s string) error {
	if s == "" || strings.Contains(s, sep) {
		return fmt.Errorf("%s %q: %w", what, s, errNUL)
	}
	return nil
}

func be64(v uint64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], v)
	return string(b[:])
}

func be32(v uint32) string {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], v)
	return string(b[:])
}

// uint64Of reads a counter; 0 when it is absent.
func uint64Of(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// uint32Of reads the format; 0 when it is absent.
func uint32Of(b []byte) uint32 {
	if len(b) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

func objKey(k store.Kind, id string) string { return string(k) + sep + id }

func nameKey(project string, k store.Kind, name string) string {
	return project + sep + string(k) + sep + name
}

func dueKey(ms int64, k store.Key) string { return be64(uint64(max(ms, 0))) + objKey(k.Kind, k.ID) }

func intentKey(nodeID string, attempt int32) string { return nodeID + sep + be32(uint32(attempt)) }

// parseKindID splits kind/id as objKey joins them.
func parseKindID(s string) (store.Key, bool) {
	k, id, ok := strings.Cut(s, sep)
	return store.Key{Kind: store.Kind(k), ID: id}, ok
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// envelope wraps an object at rest. It remembers the index entries and the name that were written for the object, so that
// they can be taken back even after the schema has changed.
type envelope struct {
	rev, created uint64
	project      string
	payload      []byte
	index        []string // field 0x00 value
	name         string   // project 0x00 kind 0x00 name; "" = none
}

// Field numbers of the envelope; it is wire-compatible with a protobuf message of these fields.
const (
	envRev = iota + 1
	envCreated
	envProject
	envPayload
	envIndex
	envName
	envSum
)

func (e *envelope) encode() []byte {
	n := len(e.payload) + len(e.project) + len(e.name) + 48
	for _, s := range e.index {
		n += len(s) + 4
	}
	b := make([]byte, 0, n)
	b = protowire.AppendVarint(protowire.AppendTag(b, envRev, protowire.VarintType), e.rev)
	b = protowire.AppendVarint(protowire.AppendTag(b, envCreated, protowire.VarintType), e.created)
	if e.project != "" {
		b = protowire.AppendString(protowire.AppendTag(b, envProject, protowire.BytesType), e.project)
	}
	b = protowire.AppendBytes(protowire.AppendTag(b, envPayload, protowire.BytesType), e.payload)
	for _, s := range e.index {
		b = protowire.AppendString(protowire.AppendTag(b, envIndex, protowire.BytesType), s)
	}
	if e.name != "" {
		b = protowire.AppendString(protowire.AppendTag(b, envName, protowire.BytesType), e.name)
	}
	return protowire.AppendFixed32(protowire.AppendTag(b, envSum, protowire.Fixed32Type), crc32.Checksum(e.payload, castagnoli))
}

// decodeEnvelope reads an envelope; payload aliases b.
func decodeEnvelope(b []byte) (envelope, error) {
	var e envelope
	var sum uint32
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return e, protowire.ParseError(n)
		}
		b = b[n:]
		var v []byte
		var u uint64
		switch typ {
		case protowire.VarintType:
			u, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			v, n = protowire.ConsumeBytes(b)
		case protowire.Fixed32Type:
			sum, n = protowire.ConsumeFixed32(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return e, protowire.ParseError(n)
		}
		b = b[n:]
		switch num {
		case envRev:
			e.rev = u
		case envCreated:
			e.created = u
		case envProject:
			e.project = string(v)
		case envPayload:
			e.payload = v
		case envIndex:
			e.index = append(e.index, string(v))
		case envName:
			e.name = string(v)
		}
	}
	if sum != crc32.Checksum(e.payload, castagnoli) {
		return e, errors.New("checksum does not match")
	}
	return e, nil
}

// lease is a lease at rest.
type lease struct {
	holder    string
	epoch     uint64
	expiresMS int64
}

func (l *lease) encode() []byte {
	b := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), l.holder)
	b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), l.epoch)
	return protowire.AppendVarint(protowire.AppendTag(b, 3, protowire.VarintType), uint64(l.expiresMS))
}

func decodeLease(b []byte) (lease, error) {
	var l lease
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return l, protowire.ParseError(n)
		}
		b = b[n:]
		switch {
		case num == 1 && typ == protowire.BytesType:
			var v []byte
			v, n = protowire.ConsumeBytes(b)
			l.holder = string(v)
		case num == 2 && typ == protowire.VarintType:
			l.epoch, n = protowire.ConsumeVarint(b)
		case num == 3 && typ == protowire.VarintType:
			var u uint64
			u, n = protowire.ConsumeVarint(b)
			l.expiresMS = int64(u)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return l, protowire.ParseError(n)
		}
		b = b[n:]
	}
	return l, nil
}
