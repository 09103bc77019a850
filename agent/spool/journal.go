package spool

// Entry is one message of a Journal.
type Entry struct {
	Seq  uint64
	Data []byte
}
