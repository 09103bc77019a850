// Package blobs keeps file contents by their digest: workdirs on their way to nodes, and reports and artifacts on their
// way back.
//
// A blob is visible only when it is whole, has the digest it is named by, and is on disk. Blobs never change.
package blobs
