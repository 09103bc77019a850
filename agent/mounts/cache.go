package mounts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

const (
	fetchers   = 8
	retryFetch = 200 * time.Millisecond
	unusedLife = 7 * 24 * time.Hour
	pruneEvery = time.Hour
)

// ErrDigest means that a blob's bytes are not what its name says.
var ErrDigest = errors.New("contents do not have the digest")

// cache is the node's blobs, by digest.
type cache struct {
	dir string
	gw  *gateway
	log *slog.Logger

	mu     sync.Mutex
	going  map[string]*fetching
	queue  []*statev1.FileTree // to be fetched ahead
	wake   chan struct{}
	fetchN chan struct{}
}

// fetching is one fetch that several may wait for.
type fetching struct {
	done chan struct{}
	err  error
}

func openCache(dir string, gw *gateway, log *slog.Logger) (*cache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the blob cache: %w", err)
	}
	return &cache{
		dir: dir, gw: gw, log: log, going: make(map[string]*fetching), wake: make(chan struct{}, 1),
		fetchN: make(chan struct{}, fetchers),
	}, nil
}

// run fetches ahead, and from time to time drops what nobody has used for long.
func (c *cache) run(ctx context.Context) {
	t := time.NewTicker(pruneEvery)
	defer t.Stop()
	for {
		c.mu.Lock()
		var tree *statev1.FileTree
		if len(c.queue) > 0 {
			tree, c.queue = c.queue[0], c.queue[1:]
		}
		c.mu.Unlock()
		if tree != nil {
			if err := c.fetchTree(ctx, tree); err != nil && ctx.Err() == nil {
				c.log.Warn("fetch ahead", "manifest", tree.GetManifest(), "err", err) // the job will say it again
			}
			continue
		}
		select {
		case <-c.wake:
		case <-t.C:
			c.prune()
		case <-ctx.Done():
			return
		}
	}
}

func (c *cache) ahead(t *statev1.FileTree) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, t)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *cache) path(digest string) string { return filepath.Join(c.dir, digest) }

// fetchTree gets a manifest and everything it names.
func (c *cache) fetchTree(ctx context.Context, t *statev1.FileTree) error {
	digests, err := c.contents(ctx, t)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(fetchers)
	for _, d := range digests {
		g.Go(func() error {
			_, err := c.fetch(ctx, d)
			return err
		})
	}
	return g.Wait()
}

// fetch gets a blob, once however many ask for it, and returns where it lies.
func (c *cache) fetch(ctx context.Context, digest string) (string, error) {
	if b, err := hex.DecodeString(digest); err != nil || len(b) != sha256.Size {
		return "", fmt.Errorf("%q is not a digest: %w", digest, ErrDigest)
	}
	for {
		if _, err := os.Stat(c.path(digest)); err == nil {
			return c.path(digest), nil
		}
		c.mu.Lock()
		f := c.going[digest]
		mine := f == nil
		if mine {
			f = &fetching{done: make(chan struct{})}
			c.going[digest] = f
		}
		c.mu.Unlock()
		if mine {
			f.err = c.get(ctx, digest)
			c.mu.Lock()
			delete(c.going, digest)
			c.mu.Unlock()
			close(f.done)
			if f.err != nil {
				return "", f.err
			}
			return c.path(digest), nil
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return "", fmt.Errorf("fetch blob: %w", context.Cause(ctx))
		}
		if permanent(f.err) {
			return "", f.err
		}
		// Who fetched it gave up for a reason of its own: look again.
	}
}

// get fetches a blob over as many sessions as it takes, each going on where the last one broke.
func (c *cache) get(ctx context.Context, digest string) error {
	select {
	case c.fetchN <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("fetch blob: %w", context.Cause(ctx))
	}
	defer func() { <-c.fetchN }()
	for {
		gw, err := c.gw.get(ctx)
		if err != nil {
			return err
		}
		err = c.getOnce(ctx, gw, digest)
		if err == nil || permanent(err) {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("fetch blob %s: %w", digest, context.Cause(ctx))
		}
		c.log.Debug("fetch blob", "sha256", digest, "err", err)
		t := time.NewTimer(retryFetch)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
}

// permanent reports whether trying again cannot help.
func permanent(err error) bool {
	return errors.Is(err, ErrDigest) || status.Code(err) == codes.NotFound || status.Code(err) == codes.InvalidArgument
}

func (c *cache) getOnce(ctx context.Context, gw agentv1.GatewayClient, digest string) (err error) {
	part := c.path(digest) + ".part"
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("fetch blob: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	n, err := io.Copy(h, f) // what is there already
	if err != nil {
		return fmt.Errorf("fetch blob: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := gw.FetchBlob(ctx, &agentv1.FetchBlobRequest{Sha256: digest, Offset: uint64(n)})
	if err != nil {
		return fmt.Errorf("fetch blob %s: %w", digest, err)
	}
	if err := receive(stream, io.MultiWriter(f, h)); err != nil {
		if status.Code(err) == codes.OutOfRange {
			_ = f.Truncate(0) // what is here is not of this blob
		}
		return fmt.Errorf("fetch blob %s: %w", digest, err)
	}
	return c.publish(f, h, part, digest)
}

func receive(stream agentv1.Gateway_FetchBlobClient, w io.Writer) error {
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := w.Write(chunk.GetData()); err != nil {
			return err
		}
	}
}

func (c *cache) publish(f *os.File, h hash.Hash, part, digest string) error {
	if got := hex.EncodeToString(h.Sum(nil)); got != digest {
		return errors.Join(fmt.Errorf("blob %s came as %s: %w", digest, got, ErrDigest), os.Remove(part))
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("keep blob: %w", err)
	}
	if err := os.Rename(part, c.path(digest)); err != nil {
		return fmt.Errorf("keep blob: %w", err)
	}
	return nil
}

// touch says that a blob is in use.
func (c *cache) touch(digest string) {
	now := time.Now()
	_ = os.Chtimes(c.path(digest), now, now) // at worst it is fetched again one day
}

func (c *cache) prune() {
	ents, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	for _, e := range ents {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > unusedLife {
			_ = os.Remove(filepath.Join(c.dir, e.Name())) // next time
		}
	}
}
