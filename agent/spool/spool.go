// Package spool is the outbox of a node: what was produced there stays on its disk until the controller has it durably.
//
// A stream (one Key) is a directory of segment files. One process writes it (the shim that owns the rank), one process
// reads it (the agent), and neither needs a lock of the other: a record becomes visible when its checksum is right, so a
// half-written tail is simply not there yet. Offsets are logical: bytes of the stream since its start, counted by the
// writer; they never belong to a file. Where bytes are missing (the spool's cap, a full disk, a torn segment) the reader
// meets a jump in the offsets and reports it as a record with Gap > 0: a truncated log always says so.
//
// A Journal holds small messages (statuses) that must survive the death of the agent and be delivered once.
package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Sizes that hold unless options say otherwise.
const (
	// DefaultSegmentBytes is where a writer starts its next segment.
	DefaultSegmentBytes = 8 << 20
	// DefaultMaxBytes is what one job may hold in the spool of one node.
	DefaultMaxBytes = 2 << 30
	// MaxRecord is the most data one record holds; Append splits longer writes.
	MaxRecord = 256 << 10
)

// Key names one stream of one rank.
type Key struct {
	JobID   string `json:"job"`
	Attempt int32  `json:"attempt"`
	Slot    int32  `json:"slot"`
	Name    string `json:"name"` // setup | run | check | agent
}

// String is the key as a person reads it.
func (k Key) String() string {
	return fmt.Sprintf("%s/%d/%d/%s", k.JobID, k.Attempt, k.Slot, k.Name)
}

// Path is the stream's directory under root. Characters that could leave the directory are escaped.
func (k Key) Path(root string) string {
	return filepath.Join(root, escape(k.JobID), fmt.Sprintf("%d-%d-%s", k.Attempt, k.Slot, escape(k.Name)))
}

// Record is what was written to one descriptor at one time, or a hole.
type Record struct {
	Offset uint64
	AtMS   int64
	FD     int32 // 1 out, 2 err, 3 ours
	Data   []byte
	Gap    uint64 // > 0: that many bytes of the stream are missing here; Data is empty
}

// End is the offset that follows the record.
func (r Record) End() uint64 { return r.Offset + uint64(len(r.Data)) + r.Gap }

// Streams lists the streams that lie under root, in no particular order. A root that does not exist holds none.
func Streams(root string) ([]Key, error) {
	jobs, err := os.ReadDir(root)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list spool: %w", err)
	}
	var keys []Key
	for _, j := range jobs {
		streams, err := os.ReadDir(filepath.Join(root, j.Name()))
		if err != nil {
			continue // not a directory, or removed meanwhile
		}
		for _, s := range streams {
			if k, ok := parseKey(j.Name(), s.Name()); ok {
				keys = append(keys, k)
			}
		}
	}
	return keys, nil
}

// Remove deletes one stream with all it holds.
func Remove(root string, k Key) error {
	if err := os.RemoveAll(k.Path(root)); err != nil {
		return fmt.Errorf("remove stream %s: %w", k, err)
	}
	return nil
}

// RemoveJob deletes every stream of a job.
func RemoveJob(root, jobID string) error {
	if err := os.RemoveAll(filepath.Join(root, escape(jobID))); err != nil {
		return fmt.Errorf("remove streams of job %s: %w", jobID, err)
	}
	return nil
}

func parseKey(job, stream string) (Key, bool) {
	parts := strings.SplitN(stream, "-", 3)
	if len(parts) != 3 {
		return Key{}, false
	}
	attempt, err1 := strconv.ParseInt(parts[0], 10, 32)
	slot, err2 := strconv.ParseInt(parts[1], 10, 32)
	id, err3 := unescape(job)
	name, err4 := unescape(parts[2])
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return Key{}, false
	}
	return Key{JobID: id, Attempt: int32(attempt), Slot: int32(slot), Name: name}, true
}

// escape keeps letters, digits, '.', '_' and '-' (but no leading dot) and writes the rest as %XX.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.' && i > 0
		if plain {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	if b.Len() == 0 {
		return "%" // the empty string needs a name too
	}
	return b.String()
}

func unescape(s string) (string, error) {
	if s == "%" {
		return "", nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+3 > len(s) {
			return "", fmt.Errorf("short escape in %q", s)
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", fmt.Errorf("escape in %q: %w", s, err)
		}
		b.WriteByte(byte(n))
		i += 2
	}
	return b.String(), nil
}
