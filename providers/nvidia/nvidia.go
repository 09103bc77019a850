// Package nvidia reads what nvidia-smi says, in the names that tasks use.
package nvidia

import (
	"strconv"
	"strings"
)

// Query are the arguments of nvidia-smi whose output Parse reads.
const Query = "--query-gpu=name,memory.total --format=csv,noheader,nounits"

// GPU is a kind of accelerator of a machine.
type GPU struct {
	Name     string
	Count    int
	MemoryGB float64
}

// Memory is the memory of an accelerator by the name that tasks use, in GB; 0 = unknown.
func Memory(name string) float64 {
	switch name {
	case "T4", "V100", "P100":
		return 16
	case "L4", "A10G", "A10":
		return 24
	case "V100-32GB":
		return 32
	case "K80":
		return 12
	case "A100":
		return 40
	case "L40S":
		return 48
	case "A100-80GB", "H100":
		return 80
	case "H200":
		return 141
	case "B200":
		return 180
	}
	return 0
}

// Parse counts the GPUs of nvidia-smi's table.
func Parse(out string) []GPU {
	var gpus []GPU
	for line := range strings.Lines(out) {
		name, mem, ok := strings.Cut(strings.TrimSpace(line), ",")
		if !ok {
			continue
		}
		mb, err := strconv.ParseFloat(strings.TrimSpace(mem), 64)
		if err != nil {
			continue
		}
		g := GPU{Name: taskName(name, mb/1024), Count: 1, MemoryGB: float64(int(mb/1024 + 0.5))}
		if n := len(gpus); n > 0 && gpus[n-1].Name == g.Name {
			gpus[n-1].Count++
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
		if Memory(w) == 0 {
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
