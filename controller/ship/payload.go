package ship

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Payload unpacks the agents carried inside sky, once each, to files that are streamed to nodes.
type Payload struct {
	dir  string
	find func(goos, goarch string) (Carried, error)
	mu   sync.Mutex
}

// Carried is an agent as sky carries it: compressed (Zstd), or as it is (Plain). SHA256 is the hex digest of the plain form.
type Carried struct {
	Zstd, Plain []byte
	SHA256      string
}

// NewPayload keeps unpacked agents under home; find gives the agent of a platform.
func NewPayload(home string, find func(goos, goarch string) (Carried, error)) *Payload {
	return &Payload{dir: filepath.Join(home, "cache", "agent"), find: find}
}

// Agent is an unpacked agent binary.
type Agent struct {
	Path   string
	SHA256 string
	zstd   []byte // the same, compressed; nil = there is no such form
}

// Agent unpacks the agent of a platform and checks its digest.
func (p *Payload) Agent(goos, goarch string) (Agent, error) {
	c, err := p.find(goos, goarch)
	if err != nil {
		return Agent{}, err
	}
	a := Agent{Path: filepath.Join(p.dir, c.SHA256), SHA256: c.SHA256, zstd: c.Zstd}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := os.Stat(a.Path); err == nil {
		return a, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return Agent{}, fmt.Errorf("look for the unpacked agent: %w", err)
	}
	plain := c.Plain
	if plain == nil {
		dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return Agent{}, fmt.Errorf("unpack the agent: %w", err)
		}
		defer dec.Close()
		if plain, err = dec.DecodeAll(c.Zstd, nil); err != nil {
			return Agent{}, fmt.Errorf("unpack the agent: %w", err)
		}
	}
	if got := sha256.Sum256(plain); hex.EncodeToString(got[:]) != c.SHA256 {
		return Agent{}, fmt.Errorf("the agent for %s/%s carried in this program is damaged: its digest is %x, not %s", goos, goarch, got, c.SHA256)
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return Agent{}, fmt.Errorf("unpack the agent: %w", err)
	}
	tmp, err := os.CreateTemp(p.dir, ".unpack-*")
	if err != nil {
		return Agent{}, fmt.Errorf("unpack the agent: %w", err)
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.Write(plain); err != nil {
		tmp.Close()
		return Agent{}, fmt.Errorf("unpack the agent: %w", err)
	}
	if err := tmp.Close(); err != nil {
		return Agent{}, fmt.Errorf("unpack the agent: %w", err)
	}
	if err := os.Rename(tmp.Name(), a.Path); err != nil {
		return Agent{}, fmt.Errorf("unpack the agent: %w", err)
	}
	return a, nil
}
