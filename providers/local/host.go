package local

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"aloft/providers/nvidia"
)

// bootID tells one boot of this host from another; "" where there is no telling.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// memoryGB is the memory of this host; 0 = unknown.
func memoryGB() float64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		rest, ok := strings.CutPrefix(sc.Text(), "MemTotal:")
		if !ok {
			continue
		}
		kb, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
		if err != nil {
			return 0
		}
		return float64(int(kb/(1<<20)*10)) / 10
	}
	return 0
}

// smiTime bounds nvidia-smi, which hangs when a driver does.
const smiTime = 10 * time.Second

// realGPUs asks nvidia-smi; none when it is not there.
func realGPUs(ctx context.Context) []gpu {
	ctx, cancel := context.WithTimeout(ctx, smiTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nvidia-smi", strings.Fields(nvidia.Query)...)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return nil
	}
	var gpus []gpu
	for _, g := range nvidia.Parse(string(out)) {
		gpus = append(gpus, gpu{name: g.Name, count: g.Count, memoryGB: g.MemoryGB})
	}
	return gpus
}
