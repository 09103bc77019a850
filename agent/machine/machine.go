// Package machine knows the node: what it is made of, how busy it is, who is logged in, and how to turn it off.
//
// Everything is read from files and one command (nvidia-smi), so the agent stays a static binary. What is usable counts,
// not what is built in: a container with a quota of two processors has two.
package machine

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"runtime"
)

const gib = 1 << 30

// GPU is one accelerator of the node.
type GPU struct {
	Index     int
	Name      string
	UUID      string
	MemoryGB  float64
	Pretended bool // written in the node's pretend-gpus file, for tests and rehearsals
}

// Facts is what the node is made of. Gigabytes are of 2^30 bytes.
type Facts struct {
	OS         string
	Arch       string
	CPUs       float64 // usable: affinity and cgroup quotas honoured
	MemoryGB   float64 // usable: cgroup limits honoured
	DiskFreeGB float64
	GPUs       []GPU
	Hostname   string
	Home       string
	Problems   []string // what could not be found out, and why
}

// Host is where facts are read; the zero value is this machine. The fields exist for tests.
type Host struct {
	Root   string                   // of the file system, "" = /
	Home   string                   // "" = the user's
	SMI    string                   // nvidia-smi, "" = from PATH
	Getenv func(name string) string // nil = this process's environment
}

// Read collects the facts; disk space is that of dir's file system. What cannot be found out is left out and named.
func Read(ctx context.Context, dir string) Facts { return Host{}.Read(ctx, dir) }

// Read is the package's Read for a host.
func (h Host) Read(ctx context.Context, dir string) Facts {
	f := Facts{OS: runtime.GOOS, Arch: runtime.GOARCH, Home: h.home()}
	note := func(err error) {
		if err != nil {
			f.Problems = append(f.Problems, err.Error())
		}
	}
	var err error
	f.Hostname, err = os.Hostname()
	note(err)
	f.CPUs, err = h.cpus()
	note(err)
	f.MemoryGB, err = h.memoryGB()
	note(err)
	f.DiskFreeGB, err = DiskFreeGB(dir)
	note(err)
	f.GPUs, err = h.gpus(ctx)
	note(err)
	return f
}

func (h Host) path(p string) string {
	if h.Root == "" {
		return p
	}
	return filepath.Join(h.Root, p)
}

func (h Host) home() string {
	if h.Home != "" {
		return h.Home
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "" // a node without one has no pretended GPUs either
	}
	return home
}

func (h Host) env(name string) string {
	if h.Getenv != nil {
		return h.Getenv(name)
	}
	return os.Getenv(name)
}

// round keeps two decimals: facts are for people and for comparisons with offers.
func round(v float64) float64 { return math.Round(v*100) / 100 }
