// Package redact removes secret values from a stream of bytes.
package redact
