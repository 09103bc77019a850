package mounts

import (
	"context"
	"fmt"
	"io"
	"os"

	statev1 "aloft/proto/sky/state/v1"
	"aloft/tasks/snapshot"
)

// manifest fetches the list of a tree's contents.
func (c *cache) manifest(ctx context.Context, t *statev1.FileTree) (*snapshot.Manifest, error) {
	path, err := c.fetch(ctx, t.GetManifest())
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	c.touch(t.GetManifest())
	m, err := snapshot.Decode(b)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", t.GetManifest(), err)
	}
	return m, nil
}

// contents are the digests a tree needs besides its manifest.
func (c *cache) contents(ctx context.Context, t *statev1.FileTree) ([]string, error) {
	m, err := c.manifest(ctx, t)
	if err != nil {
		return nil, err
	}
	refs := m.Refs()
	out := make([]string, len(refs))
	for i, r := range refs {
		out[i] = r.SHA256
	}
	return out, nil
}

func (c *cache) open(ctx context.Context, digest string, _ int64) (io.ReadCloser, error) {
	path, err := c.fetch(ctx, digest)
	if err != nil {
		return nil, err
	}
	c.touch(digest)
	return os.Open(path)
}

// layOut makes a new directory of a tree, all or nothing.
func (c *cache) layOut(ctx context.Context, t *statev1.FileTree, dest string) error {
	m, err := c.manifest(ctx, t)
	if err != nil {
		return err
	}
	return snapshot.Materialise(ctx, m, c.open, dest)
}

// layOver puts a tree or a single file over what is there.
func (c *cache) layOver(ctx context.Context, t *statev1.FileTree, dest string) error {
	m, err := c.manifest(ctx, t)
	if err != nil {
		return err
	}
	if t.GetSingleFile() {
		return snapshot.MaterialiseFile(ctx, m, c.open, dest)
	}
	return snapshot.Merge(ctx, m, c.open, dest)
}
