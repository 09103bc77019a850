// Package boltstore keeps the durable store in one bbolt file owned by one process.
//
// Writes are grouped: while one commit is being synced to disk, callers of Update queue; then all of them run, one after
// another and each in its own goroutine, against one transaction, and share one fsync. Every closure writes to an overlay
// of its own, which joins the transaction only when the closure succeeds. A lone caller waits for nobody.
//
// There is no permanent goroutine: the committer lives while there is something to commit, so the package works in
// testing/synctest bubbles.
package boltstore
