// Package gcelab is a Compute Engine for tests: an HTTP server that speaks Google's published API well enough for Google's
// own clients, and whose running instances can be real hosts.
//
// Every request and every answer is checked against Google's discovery documents (documents/, cut down from those in
// google.golang.org/api): paths, parameters, fields, types, enums, formats, patterns, and what is required. What Google
// would refuse for its shape is refused here with Google's own error body; an answer of ours that breaks the documents is
// reported as an error of the test.
//
// A server that we wrote proves the wiring and the documented shapes, not how Compute Engine behaves: the semantics are
// those that Google's documentation and error reports describe, as far as the lab knows them.
package gcelab
