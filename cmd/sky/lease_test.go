package main

import (
	"testing"

	"aloft/agent/machine"
	"aloft/providers/boot"
)

// TestLeaseFiles: the agent and the boot script, which know nothing of one another, mean the same files.
func TestLeaseFiles(t *testing.T) {
	t.Parallel()
	for _, p := range [][2]string{
		{machine.LeaseFile, boot.DeadlineFile}, {machine.LeftFile, boot.LeftFile}, {machine.EndCommand, boot.EndCommand},
	} {
		if p[0] != p[1] {
			t.Errorf("the agent says %s, the boot script %s", p[0], p[1])
		}
	}
}
