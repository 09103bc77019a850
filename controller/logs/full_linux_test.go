package logs_test

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"

	"aloft/controller/logs"
	agentv1 "aloft/proto/sky/agent/v1"
)

// TestDiskFull: what did not fit is not counted, what did is whole, and the stream goes on when there is space.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("cannot mount a small file system here:", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	s := open(t, dir, logs.Options{SegmentBytes: 200_000})
	line := strings.Repeat("x", 49_999) + "\n"
	var end uint64
	var err error
	for range 100 {
		var next uint64
		next, err = s.Append(context.Background(), key("run"), end, []*agentv1.LogRecord{rec(line), rec(line)})
		if err != nil {
			break
		}
		end = next
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	end, _, err = s.End(key("run"))
	if err != nil || end == 0 || end%50_000 != 0 {
		t.Fatal(end, err)
	}
	want := strings.Repeat(line, int(end/50_000))
	if got := text(t, s, key("run"), 0); got != want {
		t.Errorf("read %d of %d bytes", len(got), len(want))
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=8m"); err != nil {
		t.Skip(err)
	}
	end = mustAppend(t, s, key("run"), end, rec("more\n"))
	if err := s.Complete(key("run"), end); err != nil {
		t.Fatal(err)
	}
	if got := text(t, s, key("run"), 0); got != want+"more\n" {
		t.Errorf("read %d of %d bytes", len(got), len(want)+5)
	}
}
