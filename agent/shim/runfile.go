package shim

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"

	"aloft/agent/spool"
)

// Each shim has a run file of fixed slots, written with zeros when it is made: recording a verdict overwrites blocks that
// exist, so it needs no space on a full disk and its flush touches no metadata. A slot holds
//
//	crc32 u32 | length u32 | JSON of slotState
//
// The shim writes slots while it lives; the keeper frees them, and writes them only when the shim is dead.
const (
	slotBytes = 4096
	slotCount = 32
	noteBytes = 300 // longest reason kept in a slot
)

// slotState is one child as the disk knows it. It holds no secret.
type slotState struct {
	ID        string    `json:"id"`
	Slot      int       `json:"slot"`
	Stream    spool.Key `json:"stream"`
	SpoolDir  string    `json:"spool_dir"`
	Boot      string    `json:"boot"`
	PID       int       `json:"pid,omitempty"`
	PIDStart  uint64    `json:"pid_start,omitempty"` // with PID it names the process for good
	StartedMS int64     `json:"started_ms"`
	Verdict   *Verdict  `json:"verdict,omitempty"` // nil = running
}

func newRunFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make run file: %w", err)
	}
	if _, err := f.Write(make([]byte, slotBytes*slotCount)); err != nil {
		return nil, errors.Join(fmt.Errorf("make run file: %w", err), f.Close(), os.Remove(path))
	}
	return f, nil
}

// encodeSlot fails when the state does not fit, so ask before there is a child.
func encodeSlot(s slotState) ([]byte, error) {
	if v := s.Verdict; v != nil {
		short := *v
		short.LostReason, short.LogError, short.StartError = clip(v.LostReason), clip(v.LogError), clip(v.StartError)
		s.Verdict = &short
	}
	body, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode run slot: %w", err)
	}
	if len(body)+8 > slotBytes {
		return nil, fmt.Errorf("id and spool path of %q need %d bytes, a run slot has %d", s.ID, len(body), slotBytes-8)
	}
	b := binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(body))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	return append(b, body...), nil
}

func clip(s string) string {
	if len(s) > noteBytes {
		return s[:noteBytes]
	}
	return s
}

func writeSlot(f *os.File, s slotState, durable bool) error {
	b, err := encodeSlot(s)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(b, int64(s.Slot)*slotBytes); err != nil {
		return fmt.Errorf("write run slot: %w", err)
	}
	if !durable {
		return nil
	}
	if err := dataSync(f); err != nil {
		return fmt.Errorf("write run slot: %w", err)
	}
	return nil
}

// freeSlot makes a slot empty.
func freeSlot(f *os.File, slot int) error {
	if _, err := f.WriteAt(make([]byte, 8), int64(slot)*slotBytes); err != nil {
		return fmt.Errorf("free run slot: %w", err)
	}
	return nil
}

// readSlots returns the slots in use. One that cannot be read was cut off before it was reported: it is as if empty.
func readSlots(f *os.File) []slotState {
	b := make([]byte, slotBytes*slotCount)
	n, err := f.ReadAt(b, 0)
	if err != nil && n < len(b) {
		return nil // its shim was never told of it: it is written whole before
	}
	var all []slotState
	for i := range slotCount {
		raw := b[i*slotBytes : (i+1)*slotBytes]
		n := binary.LittleEndian.Uint32(raw[4:])
		if n == 0 || n > slotBytes-8 || crc32.ChecksumIEEE(raw[8:8+n]) != binary.LittleEndian.Uint32(raw) {
			continue
		}
		var s slotState
		if err := json.Unmarshal(raw[8:8+n], &s); err != nil || s.Slot != i {
			continue
		}
		all = append(all, s)
	}
	return all
}
