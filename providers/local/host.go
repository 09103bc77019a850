package local

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
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
	cmd := exec.CommandContext(ctx, "nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits")
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return nil
	}
	return parseSMI(string(out))
}

// parseSMI counts the GPUs of nvidia-smi's table by the names that tasks use.
func parseSMI(out string) []gpu {
	var gpus []gpu
	for line := range strings.Lines(out) {
		name, mem, ok := strings.Cut(strings.TrimSpace(line), ",")
		if !ok {
			continue
		}
		mb, err := strconv.ParseFloat(strings.TrimSpace(mem), 64)
		if err != nil {
			continue
		}
		g := gpu{name: taskName(name, mb/1024), count: 1, memoryGB: float64(int(mb/1024 + 0.5))}
		if n := len(gpus); n > 0 && gpus[n-1].name == g.name {
			gpus[n-1].count++
			continue
		}
		gpus = append(gpus, g)
	}
	return gpus
}

// taskName is the name that tasks use for a GPU that nvidia-smi calls name.
func taskName(name string, gb float64) string {
	words := strings.FieldsFunc(name, func(r rune) bool { return r == ' ' || r == '-' })
	for _, w := range words {
		if _, ok := defaultMemory[w]; !ok {
			continue
		}
		switch {
		case w == "A100" && gb > 60:
			return "A100-80GB"
		case w == "V100" && gb > 24:
			return "V100-32GB"
		}
		return w
	}
	return strings.ReplaceAll(strings.TrimPrefix(strings.TrimPrefix(name, "NVIDIA "), "GeForce "), " ", "")
}
