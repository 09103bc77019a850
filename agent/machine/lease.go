package machine

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"
)

// Files of a rented machine, as its boot script makes them (package boot has the same names): the machine ends by itself
// when nobody renews its lease, also when no agent lives.
const (
	LeaseFile  = "/var/lib/aloft/lease/deadline"
	LeftFile   = "/var/lib/aloft/lease.left"
	EndCommand = "/var/lib/aloft/end"
)

// leaseMargin is how much later than the agent the machine ends itself: jobs are ended and told of first.
const leaseMargin = 2 * time.Minute

// Renew lets this machine run until end, which is left from now; the length counts, as the clock may be wrong. On a node
// without a lease of its own it does nothing.
func Renew(end time.Time, left time.Duration) error { return Host{}.Renew(end, left) }

// Renew is the package's Renew for a host.
func (h Host) Renew(end time.Time, left time.Duration) error {
	if h.env(LocalNodeEnv) != "" {
		return nil // the lease is that of somebody's machine
	}
	path := h.path(LeaseFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	line := fmt.Sprintf("%d %d\n", end.Add(leaseMargin).Unix(), int64(max(0, left+leaseMargin)/time.Second))
	if err := os.WriteFile(path+".new", []byte(line), 0o644); err != nil {
		return fmt.Errorf("renew the machine's lease: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("renew the machine's lease: %w", err)
	}
	return nil
}

// LeaseLeft is how long the agent may go on by the machine's own count, which no clock disturbs; false = it has none.
func LeaseLeft() (time.Duration, bool) { return Host{}.LeaseLeft() }

// LeaseLeft is the package's LeaseLeft for a host.
func (h Host) LeaseLeft() (time.Duration, bool) {
	if h.env(LocalNodeEnv) != "" {
		return 0, false
	}
	b, err := os.ReadFile(h.path(LeftFile))
	if err != nil {
		return 0, false
	}
	first, _, _ := bytes.Cut(b, []byte("\n"))
	s, err := strconv.ParseInt(string(first), 10, 64)
	if err != nil {
		return 0, false
	}
	return max(0, time.Duration(s)*time.Second-leaseMargin), true
}
