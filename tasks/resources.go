package tasks

// ResourceSet is one or more alternative machine shapes.
type ResourceSet struct {
	// Kind is KindSingle, KindAnyOf or KindOrdered.
	Kind string
	// Alternatives has at least one entry; for KindAnyOf their order means nothing.
	Alternatives []Resources
}

// Resources is one alternative: what every node must offer.
type Resources struct {
	Infra        Infra
	InstanceType string
	// Accelerators has at most one entry.
	Accelerators    []Accelerator
	AcceleratorArgs map[string]any
	// CPUs is in vCPUs, Memory in GB (binary).
	CPUs, Memory Quantity
	UseSpot      bool
	// UseSpotSet tells `use_spot: false` from an absent field.
	UseSpotSet bool
	// DiskSizeGB is the boot disk; 256 unless given.
	DiskSizeGB int
	// EphemeralStorageGB is for Kubernetes; 0 means not given.
	EphemeralStorageGB float64
	// DiskTier is low, medium, high, ultra, best or empty.
	DiskTier string
	// NetworkTier is standard, best or empty.
	NetworkTier string
	// LocalDisk is e.g. nvme:300+ or empty.
	LocalDisk string
	// Ports are sorted, merged: "80", "8000-8010". Nil when not given.
	Ports []string
	// Labels is nil when not given.
	Labels map[string]string
	// ImageID maps a region to an image; the key "" holds for any region.
	ImageID map[string]string
	// Autostop is nil when not given.
	Autostop *Autostop
	// JobRecovery is nil when not given.
	JobRecovery *JobRecovery
	// MaxHourlyCost is in USD per node; nil means no cap.
	MaxHourlyCost *float64
	// Priority is -1000..1000; nil means not given.
	Priority *int
	// PriorityClass is a Kubernetes PriorityClass.
	PriorityClass string
	// Volumes is the legacy list of disks, as written.
	Volumes []any
	// FromMemory says the accelerator was chosen by a memory request such as 32GB+.
	FromMemory bool

	facts *InstanceFacts
	// quietMissing mirrors _no_missing_accel_warnings.
	quietMissing bool
}

// Infra says where a node may run. Empty fields mean anywhere.
type Infra struct {
	// Cloud is canonical and lower case: aws, gcp, kubernetes, ssh, slurm, local, ...
	Cloud string
	// Region is the context for kubernetes, the pool for ssh, the cluster for slurm.
	Region string
	// Zone is the partition for slurm.
	Zone string
}

// Accelerator is a kind of GPU or TPU and how many of it per node.
type Accelerator struct {
	Name string
	// Count may be a fraction, such as 0.5.
	Count float64
}

// Quantity is an amount that may be a lower bound ("4+").
type Quantity struct {
	Value float64
	// AtLeast is true for "4+".
	AtLeast bool
	// PerCPU is true for memory written as "4x": Value GB per vCPU.
	PerCPU bool
	// Set is false when the field was not given.
	Set bool

	text string
}

// String returns the normal text, e.g. "4+", or "" when not set.
func (q Quantity) String() string {
	if !q.Set {
		return ""
	}
	if q.text != "" {
		return q.text
	}
	s := formatNumber(q.Value)
	if q.AtLeast {
		s += "+"
	}
	if q.PerCPU {
		s += "x"
	}
	return s
}

// Autostop ends or stops idle clusters.
type Autostop struct {
	// Enabled false is an explicit `autostop: false`.
	Enabled bool
	// IdleMinutes is the idle time; -1 cancels autostop.
	IdleMinutes int
	// Down deletes the cluster instead of stopping it.
	Down bool
	// WaitFor is jobs_and_ssh, jobs, none or empty (the default, jobs_and_ssh).
	WaitFor string
}

// JobRecovery says how a managed job comes back.
type JobRecovery struct {
	// Strategy is FAILOVER, EAGER_NEXT_REGION or empty for the default.
	Strategy string
	// MaxRestartsOnErrors counts restarts after user errors.
	MaxRestartsOnErrors int
	// RecoverOnExitCodes are exit codes (0-255) that always restart the job.
	RecoverOnExitCodes []int

	raw map[string]any
}

// InstanceFacts is what a catalogue knows about an instance type.
type InstanceFacts struct {
	// VCPUs and MemoryGB of the machine.
	VCPUs, MemoryGB float64
	// Accelerators of the machine; empty for none.
	Accelerators []Accelerator
}
