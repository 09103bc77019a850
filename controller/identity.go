package controller

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"aloft/controller/seal"
	"aloft/controller/state"
)

// identityFile keeps who this home is beside the store, so that a store that was lost and made anew still knows its machines.
const identityFile = "installation"

// identity is who a home is.
type identity struct {
	installation string    // "" = nobody yet
	made         time.Time // when the present store was made; zero = with the home
}

// readIdentity reads the file; a home without one is nobody yet.
func readIdentity(home string) (identity, error) {
	b, err := os.ReadFile(filepath.Join(home, identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return identity{}, nil
	}
	if err != nil {
		return identity{}, fmt.Errorf("read who this home is: %w", err)
	}
	id, ms, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	who := identity{installation: id}
	if n, err := strconv.ParseInt(ms, 10, 64); err == nil && n > 0 {
		who.made = time.UnixMilli(n)
	}
	return who, nil
}

// write makes the file, whole or not at all.
func (w identity) write(home string) error {
	line := w.installation
	if !w.made.IsZero() {
		line += " " + strconv.FormatInt(w.made.UnixMilli(), 10)
	}
	path := filepath.Join(home, identityFile)
	if err := os.WriteFile(path+".new", []byte(line+"\n"), 0o600); err != nil {
		return fmt.Errorf("write who this home is: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write who this home is: %w", err)
	}
	return nil
}

// who says which installation the store of a home is to be, before it is opened.
func who(home string, now time.Time) (id identity, lost bool, err error) {
	if id, err = readIdentity(home); err != nil || id.installation == "" {
		return id, false, err
	}
	_, err = os.Stat(filepath.Join(home, "state.db"))
	if !errors.Is(err, fs.ErrNotExist) {
		return id, false, nil
	}
	id.made = now
	return id, true, nil
}

// kinOf begins the installations of all homes that share a key: one finds by it what another one made. "" = the key is this
// home's alone.
func kinOf(s *seal.Sealer) (string, error) {
	if !s.Shared() {
		return "", nil
	}
	b, err := s.Derive("kin")
	if err != nil {
		return "", err
	}
	return "k" + hex.EncodeToString(b[:6]), nil
}

// newKin is who a new home with a shared key is; nobody, when it is not new or its key is not shared.
func newKin(home string, now time.Time) (identity, error) {
	_, err := os.Stat(filepath.Join(home, "state.db"))
	if !errors.Is(err, fs.ErrNotExist) {
		return identity{}, nil
	}
	if _, err := os.Stat(filepath.Join(home, seal.KeyFile)); errors.Is(err, fs.ErrNotExist) {
		return identity{}, nil
	}
	s, err := seal.Open(home, true)
	if err != nil {
		return identity{}, err
	}
	kin, err := kinOf(s)
	if err != nil || kin == "" {
		return identity{}, err
	}
	id, err := state.NewID(now, rand.Reader)
	if err != nil {
		return identity{}, fmt.Errorf("make an installation: %w", err)
	}
	return identity{installation: kin + "-" + strings.ToLower(id)}, nil
}
