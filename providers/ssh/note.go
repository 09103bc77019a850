package ssh

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"aloft/providers"
)

// note is which host was asked for a token, written before it is asked: $ALOFT_HOME/ssh-leases/<key>.
type note struct {
	Pool string             `json:"pool"`
	Host string             `json:"host"`
	Spec providers.NodeSpec `json:"spec"`
}

func (p *Provider) notes() string { return filepath.Join(p.home, "ssh-leases") }

func (p *Provider) readNote(key string) (note, bool, error) {
	var n note
	b, err := os.ReadFile(filepath.Join(p.notes(), key))
	if errors.Is(err, fs.ErrNotExist) {
		return n, false, nil
	}
	if err != nil {
		return n, false, fmt.Errorf("read which host a token stands for: %w", err)
	}
	if json.Unmarshal(b, &n) != nil {
		return note{}, false, nil // a crash emptied it: every host is asked
	}
	return n, true, nil
}

func (p *Provider) writeNote(key string, n note) error {
	b, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("note which host a token stands for: %w", err)
	}
	path := filepath.Join(p.notes(), key)
	if old, err := os.ReadFile(path); err == nil && string(old) == string(b) {
		return nil
	}
	if err := os.MkdirAll(p.notes(), 0o700); err != nil {
		return fmt.Errorf("note which host a token stands for: %w", err)
	}
	p.forget()
	tmp, err := os.CreateTemp(p.notes(), ".new-*")
	if err != nil {
		return fmt.Errorf("note which host a token stands for: %w", err)
	}
	_, err = tmp.Write(b)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("note which host a token stands for: %w", errors.Join(err, os.Remove(tmp.Name())))
	}
	return nil
}

// forget drops notes of tokens that nobody repeats any more: the lease itself says whose it is.
func (p *Provider) forget() {
	es, err := os.ReadDir(p.notes())
	if err != nil {
		return
	}
	for _, e := range es {
		if fi, err := e.Info(); err == nil && time.Since(fi.ModTime()) > keepTombstones {
			_ = os.Remove(filepath.Join(p.notes(), e.Name()))
		}
	}
}
