package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Environment of an agent that says how its node ends.
const (
	// LocalNodeEnv marks a node of the local provider: a directory on somebody's machine, not a machine.
	LocalNodeEnv = "ALOFT_LOCAL_NODE"
	// PowerOffEnv is a shell command that ends the node, with KindEnv in its environment.
	PowerOffEnv = "ALOFT_POWEROFF_COMMAND"
	// KindEnv is stop (the disk stays) or terminate.
	KindEnv = "ALOFT_POWEROFF_KIND"
)

// powerOffTime bounds the command; it may be called again.
const powerOffTime = time.Minute

// ownEnd lies in the home of a login that has only a lease of the machine: it ends the lease, not the machine, and does so
// before EndCommand is looked for. Its argument is the kind.
const ownEnd = ".aloft/end"

// PowerOff ends this node: down = for good, otherwise its disk stays. A local node asks its provider by a file
// `poweroff` beside its home. Any other runs the command of PowerOffEnv; without one the program `.aloft/end` of its home,
// else the machine's /var/lib/aloft/end, else `shutdown -P now`. Whether a shutdown stops or deletes a machine was settled
// when it was created; the command is told what is wanted.
func PowerOff(ctx context.Context, down bool) error { return Host{}.PowerOff(ctx, down) }

// PowerOff is the package's PowerOff for a host.
func (h Host) PowerOff(ctx context.Context, down bool) error {
	kind := "stop"
	if down {
		kind = "terminate"
	}
	if h.env(LocalNodeEnv) != "" {
		return h.askProvider(kind)
	}
	ctx, cancel := context.WithTimeout(ctx, powerOffTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", h.powerOffCommand(os.Getuid(), kind))
	cmd.Env = append(os.Environ(), KindEnv+"="+kind)
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("power off: %w: %s", err, firstLine(out))
	}
	return nil
}

// powerOffCommand is the line that ends the node for a user.
func (h Host) powerOffCommand(uid int, kind string) string {
	if configured := h.env(PowerOffEnv); configured != "" {
		return configured
	}
	if home := h.home(); home != "" {
		if end := filepath.Join(home, ownEnd); program(end) {
			return "exec '" + strings.ReplaceAll(end, "'", `'\''`) + "' " + kind
		}
	}
	sudo := "sudo -n "
	if uid == 0 {
		sudo = ""
	}
	if end := filepath.Join(h.Root, EndCommand); program(end) {
		return sudo + end + " " + kind
	}
	return sudo + "shutdown -P now"
}

func program(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0
}

// askProvider writes the file that the local provider watches for, whole or not at all.
func (h Host) askProvider(kind string) error {
	home := h.home()
	if home == "" {
		return errors.New("power off: a local node without a home directory")
	}
	path := filepath.Join(filepath.Dir(home), "poweroff")
	if err := os.WriteFile(path+".new", []byte(kind+"\n"), 0o600); err != nil {
		return fmt.Errorf("power off: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("power off: %w", err)
	}
	return nil
}
