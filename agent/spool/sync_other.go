//go:build !linux

package spool

// dataSync makes what was written durable.
func dataSync(f File) error { return f.Sync() }
