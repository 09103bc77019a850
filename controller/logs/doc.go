// Package logs keeps the log streams of jobs as append-only segment files.
//
// A stream is named by (job, attempt, slot, name) and addressed by logical offsets: bytes that its process has written
// since its start, stamped on the node. They do not change when part of a stream was dropped: a gap record then stands
// for the missing bytes.
//
// What Append has accepted survives the death of this process at once, and of this machine within a second (a sync runs
// at most one second after the first unsynced byte, and at Complete). A torn tail is cut off when the stream is next
// used; the cut bytes were never synced, and End tells the sender from where to send again. Damage elsewhere in a stream
// shows as a gap record.
package logs
