package shim

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// What travels on a shim's socket: u32 length (little endian) and a JSON document, both ways.

const maxMessage = 64 << 20

// order is what the keeper asks of a shim.
type order struct {
	N     uint64     `json:"n"`
	Start *startWork `json:"start,omitempty"`
	Stop  *stopWork  `json:"stop,omitempty"`
	Quit  bool       `json:"quit,omitempty"` // an idle shim ends
}

type startWork struct {
	Spec Spec `json:"spec"`
	Slot int  `json:"slot"` // where the verdict goes in the shim's run file
}

type stopWork struct {
	ID     string        `json:"id"`
	Signal int           `json:"signal"`
	Grace  time.Duration `json:"grace"`
}

// report is what a shim tells the keeper.
type report struct {
	Hello    *helloNews `json:"hello,omitempty"`   // first on every connection
	Started  *slotState `json:"started,omitempty"` // the child runs
	Ended    *slotState `json:"ended,omitempty"`   // the verdict is durable; the shim is idle
	Last     bool       `json:"last,omitempty"`    // with Ended: this shim takes no more
	Taken    uint64     `json:"taken,omitempty"`   // the order with this number was carried out
	Appended uint64     `json:"appended,omitempty"`
}

type helloNews struct {
	PID     int        `json:"pid"`
	Running *slotState `json:"running,omitempty"`
}

// wire is one end of a connection.
type wire struct {
	conn net.Conn
	in   *bufio.Reader
	mu   sync.Mutex
	out  []byte
}

func newWire(c net.Conn) *wire { return &wire{conn: c, in: bufio.NewReader(c)} }

func (w *wire) send(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode shim message: %w", err)
	}
	if len(b) > maxMessage {
		return fmt.Errorf("shim message of %d bytes is over the limit of %d", len(b), maxMessage)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out = binary.LittleEndian.AppendUint32(w.out[:0], uint32(len(b)))
	w.out = append(w.out, b...)
	_, err = w.conn.Write(w.out)
	clear(w.out) // it may hold secrets
	if cap(w.out) > 1<<16 {
		w.out = nil
	}
	return err
}

func (w *wire) receive(v any) error {
	var head [4]byte
	if _, err := io.ReadFull(w.in, head[:]); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > maxMessage {
		return fmt.Errorf("shim message of %d bytes is over the limit of %d", n, maxMessage)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(w.in, b); err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("decode shim message: %w", err)
	}
	return nil
}
