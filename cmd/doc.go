// Package cmd holds the programs, and the house rules as a test: who may import whom, how large a file may be, what
// may not be called where. See docs/architecture.md.
package cmd
