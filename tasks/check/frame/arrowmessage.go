package frame

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// messages reads the messages of an Arrow stream, which an Arrow file is too
// behind its first eight bytes. It hands on only messages whose metadata are
// sound: the library believes every length that they tell. Memory grows with
// what is read, not with what is promised.
type messages struct {
	r    io.Reader
	last *ipc.Message
	// reuse reads every body into the same memory: nothing may be kept of a
	// record batch when the next one is read.
	reuse bool
	body  []byte
	check flatCheck
}

// maxMetadata bounds the metadata of one message.
const maxMetadata = 256 << 20

// Message returns the next message; it is valid until the next call.
func (m *messages) Message() (*ipc.Message, error) {
	size, err := m.word()
	if err == nil && size == math.MaxUint32 { // since version 0.15
		size, err = m.word()
	}
	if err != nil {
		return nil, err
	}
	if size == 0 {
		return nil, io.EOF
	}
	if size > maxMetadata {
		return nil, fmt.Errorf("a message with %d bytes of metadata", size)
	}
	meta, err := m.bytes(int64(size))
	if err != nil {
		return nil, err
	}
	length, err := m.check.message(meta)
	if err != nil {
		return nil, err
	}
	body, err := m.content(length)
	if err != nil {
		return nil, err
	}
	m.last = ipc.NewMessage(memory.NewBufferBytes(meta), memory.NewBufferBytes(body))
	return m.last, nil
}

// word reads a length. A stream may end without a last word.
func (m *messages) word() (uint32, error) {
	var b [4]byte
	_, err := io.ReadFull(m.r, b[:])
	return binary.LittleEndian.Uint32(b[:]), err
}

// content reads a body.
func (m *messages) content(n int64) ([]byte, error) {
	if !m.reuse {
		return m.bytes(n)
	}
	// What was promised is taken in steps, and only while it comes.
	for done := int64(0); done < n; {
		if done == int64(len(m.body)) {
			m.body = append(m.body, make([]byte, min(n-done, max(64<<20, done)))...)
		}
		k, err := io.ReadFull(m.r, m.body[done:min(n, int64(len(m.body)))])
		done += int64(k)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
	}
	return m.body[:n], nil
}

func (m *messages) bytes(n int64) ([]byte, error) {
	var b bytes.Buffer
	if n < 1<<20 {
		b.Grow(int(n))
	}
	_, err := io.CopyN(&b, m.r, n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return b.Bytes(), err
}

// Release and Retain do nothing: memory is the garbage collector's.
func (m *messages) Release() {}

// Retain does nothing.
func (m *messages) Retain() {}

// errMetadata reports metadata that point outside of themselves.
var errMetadata = errors.New("the metadata of a message are damaged")

// flatCheck checks the parts of a message's metadata that tell of lengths.
// They are a flatbuffer: tables whose fields are found by way of offsets.
type flatCheck struct{}

// The numbers of the messages and of types that matter here.
const (
	messageSchema     = 1
	messageDictionary = 2
	messageRecords    = 3
)

// message checks the metadata of one message and returns the size of its body.
func (c flatCheck) message(b []byte) (int64, error) {
	root, err := flatAt(b, 0)
	if err != nil {
		return 0, err
	}
	if _, _, err := flatVector(b, root, 4, 4); err != nil { // metadata of the message's own
		return 0, err
	}
	kind, header, length := flatByte(b, root, 1), 0, int64(0)
	if at := flatField(b, root, 3); at > 0 && at+8 <= len(b) {
		length = int64(binary.LittleEndian.Uint64(b[at:]))
	}
	if length < 0 {
		return 0, errMetadata
	}
	if at := flatField(b, root, 2); at > 0 {
		if header, err = flatAt(b, at); err != nil {
			return 0, err
		}
	}
	switch {
	case header == 0:
		return 0, errMetadata
	case kind == messageSchema:
		return length, c.schema(b, header)
	case kind == messageRecords:
		return length, c.records(b, header)
	case kind == messageDictionary:
		at := flatField(b, header, 1)
		if at == 0 {
			return 0, errMetadata
		}
		records, err := flatAt(b, at)
		if err != nil {
			return 0, err
		}
		return length, c.records(b, records)
	}
	return 0, fmt.Errorf("a message of the kind %d", kind)
}

// schema checks the fields and refuses nested ones.
func (c flatCheck) schema(b []byte, table int) error {
	if _, _, err := flatVector(b, table, 2, 4); err != nil {
		return err
	}
	start, n, err := flatVector(b, table, 1, 4)
	if err != nil {
		return err
	}
	if n > maxColumns {
		return fmt.Errorf("more than %d columns", maxColumns)
	}
	for i := range n {
		field, err := flatAt(b, start+4*i)
		if err != nil {
			return err
		}
		_, children, err := flatVector(b, field, 5, 4)
		if err != nil {
			return err
		}
		if _, _, err := flatVector(b, field, 6, 4); err != nil {
			return err
		}
		name, size, err := flatVector(b, field, 0, 1)
		if err != nil {
			return err
		}
		if children > 0 || flatNested(flatByte(b, field, 2)) {
			return fmt.Errorf("column %q is nested; flatten it first", clip(string(b[name:name+size])))
		}
	}
	return nil
}

// flatNested reports whether a type, by its number, has types inside: lists,
// structures, unions and maps.
func flatNested(kind byte) bool {
	switch kind {
	case 12, 13, 14, 16, 17, 21, 22, 25, 26:
		return true
	}
	return false
}

func (c flatCheck) records(b []byte, table int) error {
	if _, _, err := flatVector(b, table, 1, 16); err != nil {
		return err
	}
	_, buffers, err := flatVector(b, table, 2, 16)
	if err != nil {
		return err
	}
	start, n, err := flatVector(b, table, 4, 8)
	if err != nil {
		return err
	}
	for i := range n {
		if count := binary.LittleEndian.Uint64(b[start+8*i:]); count > uint64(buffers) {
			return errMetadata
		}
	}
	return nil
}

// flatAt follows the offset at a position to a table.
func flatAt(b []byte, pos int) (int, error) {
	if pos < 0 || pos+4 > len(b) {
		return 0, errMetadata
	}
	table := pos + int(binary.LittleEndian.Uint32(b[pos:]))
	if table <= 0 || table+4 > len(b) {
		return 0, errMetadata
	}
	v := table - int(int32(binary.LittleEndian.Uint32(b[table:])))
	if v < 0 || v+4 > len(b) || v+int(binary.LittleEndian.Uint16(b[v:])) > len(b) {
		return 0, errMetadata
	}
	return table, nil
}

// flatField returns the position of a field of a table that flatAt found, or 0
// when it is not there.
func flatField(b []byte, table, slot int) int {
	v := table - int(int32(binary.LittleEndian.Uint32(b[table:])))
	at := 4 + 2*slot
	// As the library reads it: a field is there when its place begins within the table of places.
	if at >= int(binary.LittleEndian.Uint16(b[v:])) || v+at+2 > len(b) {
		return 0
	}
	offset := int(binary.LittleEndian.Uint16(b[v+at:]))
	if offset == 0 || table+offset >= len(b) {
		return 0
	}
	return table + offset
}

func flatByte(b []byte, table, slot int) byte {
	if at := flatField(b, table, slot); at > 0 {
		return b[at]
	}
	return 0
}

// flatVector returns where the elements of a vector begin, and how many there
// are of that size; none when the field is not there.
func flatVector(b []byte, table, slot, size int) (start, n int, err error) {
	at := flatField(b, table, slot)
	if at == 0 {
		return 0, 0, nil
	}
	if at+4 > len(b) {
		return 0, 0, errMetadata
	}
	at += int(binary.LittleEndian.Uint32(b[at:]))
	if at+4 > len(b) {
		return 0, 0, errMetadata
	}
	n = int(binary.LittleEndian.Uint32(b[at:]))
	if start = at + 4; n > (len(b)-start)/size {
		return 0, 0, errMetadata
	}
	return start, n, nil
}
