//go:build !linux

package machine

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// BootID names this run of the kernel: the time of boot.
func BootID() string {
	tv, err := unix.SysctlTimeval("kern.boottime")
	if err != nil {
		return ""
	}
	return fmt.Sprintf("boot-%d", tv.Sec)
}

// Load1 is not known on this system.
func Load1() (float64, error) { return 0, errors.New("load: not known on this system") }

// SSHSessions is not known on this system: it has no /proc.
func SSHSessions() int { return 0 }

func (h Host) cpus() (float64, error) { return float64(runtime.NumCPU()), nil }

func (h Host) memoryGB() (float64, error) {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0, fmt.Errorf("memory: %w", err)
	}
	return round(float64(n) / gib), nil
}
