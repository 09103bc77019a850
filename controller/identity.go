package controller

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
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
