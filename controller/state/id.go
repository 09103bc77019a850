package state

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// tokenBits is base32 without padding, lower case: letters and digits that every provider takes in a name.
var tokenBits = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewID makes an id: a ULID in lower case, so ids sort by time and are valid DNS labels.
func NewID(now time.Time, entropy io.Reader) (string, error) {
	id, err := ulid.New(ulid.Timestamp(now), entropy)
	if err != nil {
		return "", fmt.Errorf("make id: %w", err)
	}
	return strings.ToLower(id.String()), nil
}

// DeriveID makes an id whose random part is a digest of parts: the same arguments give the same id. It is how records
// get ids inside a transaction that may run twice.
func DeriveID(now time.Time, parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	var id ulid.ULID
	// The time of a record is never before 1970 nor after the year 10889, the only ways these two can fail.
	_ = id.SetTime(ulid.Timestamp(now))
	_ = id.SetEntropy(sum[:10])
	return strings.ToLower(id.String())
}

// IDTime is when an id was made, to the millisecond; false = it is no id.
func IDTime(id string) (time.Time, bool) {
	u, err := ulid.ParseStrict(strings.ToUpper(id))
	if err != nil {
		return time.Time{}, false
	}
	return ulid.Time(u.Time()), true
}

// Token is the idempotency token of one attempt to create a node: the same on every retry of the attempt, different
// for every other attempt, and computable again from the node alone should the store be lost (rule R2).
func Token(installation, nodeID string, attempt int32) string {
	sum := sha256.Sum256([]byte(installation + "\x00" + nodeID + "\x00" + strconv.Itoa(int(attempt))))
	return "sky1-" + strings.ToLower(tokenBits.EncodeToString(sum[:]))[:32]
}

// TaskID is SKYPILOT_TASK_ID of a job: sky-<YYYY-MM-DD-HH-MM-SS-ffffff>_<cluster>_<number>.
func TaskID(submitted time.Time, cluster string, number uint32) string {
	u := submitted.UTC()
	return fmt.Sprintf("sky-%s-%06d_%s_%d", u.Format("2006-01-02-15-04-05"), u.Nanosecond()/1000, cluster, number)
}

// NodeName is the name people see of a slot.
func NodeName(cluster string, slot int32) string {
	if slot == 0 {
		return cluster + "-head"
	}
	return cluster + "-worker" + strconv.Itoa(int(slot))
}

// Jitter is a duration in [0, limit) that depends on nothing but seed and parts: back-off without a random source.
// It has nanosecond grain, so that timers of different objects do not fall together.
func Jitter(limit time.Duration, seed uint64, parts ...string) time.Duration {
	if limit <= 0 {
		return 0
	}
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], seed)
	h := sha256.New()
	h.Write(b[:])
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return time.Duration(binary.BigEndian.Uint64(h.Sum(nil)) % uint64(limit))
}
