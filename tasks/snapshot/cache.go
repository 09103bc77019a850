package snapshot

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

const (
	cacheHeader = "sky-stat-cache 1"
	cacheKeep   = 30 * 24 * time.Hour // entries unused for longer are dropped
	// A file that was written this shortly before it was read may be written again without its time changing.
	cacheRacy = 2 * time.Second
)

// stamp is what tells that a file has not changed.
type stamp struct {
	size    int64
	mtimeNS int64
	inode   uint64
}

type cached struct {
	stamp
	sum  string
	used int64 // unix seconds
}

// Cache remembers digests of files by path, size, time and inode, so that a tree that has not changed is not read again.
// It may be used by several goroutines; a nil *Cache remembers nothing.
type Cache struct {
	path  string
	now   time.Time
	mu    sync.Mutex
	m     map[string]cached
	dirty bool
}

// OpenCache reads the cache file at path. A file that is missing, unreadable or damaged makes an empty cache: that costs
// time, never correctness.
func OpenCache(path string) *Cache {
	c := &Cache{path: path, now: time.Now(), m: map[string]cached{}}
	b, err := os.ReadFile(path)
	if err != nil {
		return c
	}
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(nil, 1<<20)
	if !sc.Scan() || sc.Text() != cacheHeader {
		return c
	}
	for sc.Scan() {
		var e cached
		var quoted string
		if _, err := fmt.Sscanf(sc.Text(), "%s %d %d %d %d %q", &e.sum, &e.size, &e.mtimeNS, &e.inode, &e.used, &quoted); err != nil || !isDigest(e.sum) {
			c.m, c.dirty = map[string]cached{}, true
			return c
		}
		c.m[quoted] = e
	}
	return c
}

func stampOf(fi fs.FileInfo) stamp {
	return stamp{fi.Size(), fi.ModTime().UnixNano(), inode(fi)}
}

func (c *Cache) get(path string, fi fs.FileInfo) (string, bool) {
	if c == nil {
		return "", false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.m[path]
	if !ok || e.stamp != stampOf(fi) {
		return "", false
	}
	if c.now.Unix()-e.used > 24*3600 { // a day is exact enough, and an unchanged cache need not be written
		e.used, c.dirty = c.now.Unix(), true
		c.m[path] = e
	}
	return e.sum, true
}

func (c *Cache) put(path string, fi fs.FileInfo, sum string) {
	if c == nil || time.Since(fi.ModTime()) < cacheRacy {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.m[path] = cached{stampOf(fi), sum, c.now.Unix()}
	c.dirty = true
}

// Save writes the cache to its file, in one step; nothing is written when nothing has changed.
func (c *Cache) Save() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dirty {
		return nil
	}
	b := []byte(cacheHeader + "\n")
	for p, e := range c.m {
		if c.now.Unix()-e.used > int64(cacheKeep/time.Second) {
			continue
		}
		b = fmt.Appendf(b, "%s %d %d %d %d ", e.sum, e.size, e.mtimeNS, e.inode, e.used)
		b = append(strconv.AppendQuote(b, p), '\n')
	}
	f, err := os.CreateTemp(filepath.Dir(c.path), filepath.Base(c.path)+".tmp-*")
	if err != nil {
		return fmt.Errorf("save cache of digests: %w", err)
	}
	_, err = f.Write(b)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), c.path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("save cache of digests: %w", err)
	}
	c.dirty = false
	return nil
}
