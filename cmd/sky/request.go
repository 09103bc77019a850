package main

import (
	"crypto/rand"
	"errors"
	"io"
)

// requestID makes the key under which a repeated request is recognised.
func (a *app) requestID() (string, error) {
	return rand.Text(), nil
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }
