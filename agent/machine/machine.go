// Package machine knows the node: what it is made of, how busy it is, who is logged in, and how to turn it off.
package machine

// GPU is one accelerator of the node.
type GPU struct {
	Index     int
	Name      string
	UUID      string
	MemoryGB  float64
	Pretended bool // written in the node's pretend-gpus file, for tests and rehearsals
}

// Facts is what the node is made of.
type Facts struct {
	OS         string
	Arch       string
	CPUs       float64 // usable: affinity and cgroup quota honoured
	MemoryGB   float64 // usable: cgroup limit honoured
	DiskFreeGB float64
	GPUs       []GPU
	Hostname   string
	Home       string
}
