package machine_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aloft/agent/machine"
)

// rented is a machine with a lease of its own.
func rented(t *testing.T) machine.Host {
	t.Helper()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Dir(filepath.Join(root, machine.LeaseFile)), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]string{machine.LeaseFile: "1\n", machine.LeftFile: "3600\n0\n1\n"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return machine.Host{Root: root, Home: root, Getenv: func(string) string { return "" }}
}

func TestRenew(t *testing.T) {
	t.Parallel()
	h := rented(t)
	if err := h.Renew(time.Unix(2_000_000_000, 0), 2*time.Hour); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(h.Root, machine.LeaseFile))
	if err != nil || string(b) != "2000000120 7320\n" {
		t.Errorf("%q, %v", b, err)
	}
	if left, ok := h.LeaseLeft(); !ok || left != 58*time.Minute {
		t.Errorf("left %v, %v", left, ok)
	}
	// The lease of somebody's machine is not ours to renew.
	local := h
	local.Getenv = func(n string) string { return map[string]string{machine.LocalNodeEnv: "1"}[n] }
	if err := local.Renew(time.Unix(2_100_000_000, 0), time.Hour); err != nil {
		t.Fatal(err)
	}
	if again, _ := os.ReadFile(filepath.Join(h.Root, machine.LeaseFile)); string(again) != string(b) {
		t.Errorf("a local node renewed to %q", again)
	}
	if _, ok := local.LeaseLeft(); ok {
		t.Error("a local node goes by the machine's lease")
	}
	// A machine without a lease is left alone.
	bare := machine.Host{Root: t.TempDir(), Getenv: h.Getenv}
	if err := bare.Renew(time.Now(), time.Hour); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(bare.Root, "var")); err == nil {
		t.Error("a lease was made")
	}
	if _, ok := bare.LeaseLeft(); ok {
		t.Error("a count where there is none")
	}
}

// TestPowerOffRented: a rented machine ends by the command that its boot script made.
func TestPowerOffRented(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root ends a machine without sudo")
	}
	h := rented(t)
	end := filepath.Join(h.Root, machine.EndCommand)
	if err := os.WriteFile(end, []byte("#!/bin/sh\necho \"$*\" >>'"+end+".said'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, down := range []bool{true, false} {
		if err := h.PowerOff(t.Context(), down); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(end + ".said"); err != nil || strings.TrimSpace(string(b)) != "terminate\nstop" {
		t.Errorf("%q, %v", b, err)
	}
}
