// Package snapshot describes a file tree by a manifest of digests, and lays one out again.
//
// A manifest has one entry per directory, file and symbolic link below a root, and an encoding that is the same for the
// same tree; its sha256 names the snapshot. Contents travel apart, as blobs by digest. The package imports only the
// standard library: it is part of the agent.
package snapshot
