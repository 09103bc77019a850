package tasks

import (
	"encoding/json"
	"log/slog"
	"time"
)

// Kinds of a resource set.
const (
	KindSingle  = "single"  // exactly one alternative
	KindAnyOf   = "any_of"  // unordered alternatives: the cheapest wins
	KindOrdered = "ordered" // alternatives tried in the order given
)

// Execution modes of a document.
const (
	ExecutionSerial   = "serial"   // one task, or a pipeline run in order
	ExecutionParallel = "parallel" // a job group
)

// Document is one task file: a single task, a pipeline or a job group.
type Document struct {
	// File is the name the document was parsed under.
	File string
	// Name is the pipeline's or group's name; for a single task, the task's.
	Name string
	// Execution is ExecutionSerial or ExecutionParallel.
	Execution string
	// Tasks holds at least one task when parsing found no errors.
	Tasks []*Task
	// PrimaryTasks names the jobs of a group whose end ends the group; empty means all.
	PrimaryTasks []string
	// TerminationDelay is how long auxiliary jobs may live after the primaries,
	// by job name; the key "default" holds for the rest.
	TerminationDelay map[string]time.Duration
}

// Task is what one YAML document asks for. The zero value of a field means
// "not given" unless the field says otherwise. Print it through YAML, String or
// Semantics only: they redact secrets.
type Task struct {
	// Name is empty when the file gives none.
	Name string
	// NumNodes is at least 1.
	NumNodes int
	// Setup and Run are bash text, verbatim. Empty Run means: only provision and set up.
	Setup, Run string
	// HasSetup and HasRun tell an empty text from an absent one.
	HasSetup, HasRun bool
	// Envs are the environment of setup and run.
	Envs map[string]string
	// Secrets are like Envs, but never printed.
	Secrets map[string]Secret
	// ManagedSecrets are references to secrets the controller holds.
	ManagedSecrets []ManagedSecret
	Workdir        Workdir
	// FileMounts are copied to every node at launch, sorted by destination.
	FileMounts []FileMount
	// HasFileMounts tells an empty file_mounts from an absent one.
	HasFileMounts bool
	// StorageMounts are buckets made visible on every node, sorted by destination.
	StorageMounts []StorageMount
	// Volumes are network volumes, sorted by mount path.
	Volumes []Volume
	// Service is set for served tasks, and for pools (Service.Pool).
	Service *Service
	// Config is the task's own part of the configuration.
	Config    Config
	Resources ResourceSet
	// EventCallback is bash text run at each state change of a managed job.
	EventCallback string
	// APIServerAccess is nil when not given (which means true).
	APIServerAccess *bool
	// Inputs and Outputs estimate data sizes; used only to rank places.
	Inputs, Outputs *DataEstimate
	// Tests are validation suites to run after Run.
	Tests []TestSpec
	// Artifacts are files to bring back after Run.
	Artifacts []Artifact
	Budget    Budget

	masks     map[string]string   // substituted text that contains a secret -> text with ${NAME} left in
	positions map[string]position // field path -> where it was written
	prefix    string              // "[2]." in multi-document files
	file      string
}

// String returns the redacted normal form.
func (t *Task) String() string { return string(t.YAML()) }

// GoString returns the redacted normal form, for %#v.
func (t *Task) GoString() string { return t.String() }

// MarshalJSON encodes Semantics, which is redacted.
func (t *Task) MarshalJSON() ([]byte, error) { return json.Marshal(t.Semantics()) }

// LogValue returns the redacted normal form, for log/slog.
func (t *Task) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Environment returns the variables a job of the task sees: envs with secrets
// on top. The result holds revealed secrets; hand it to the process only.
func (t *Task) Environment() map[string]string {
	out := make(map[string]string, len(t.Envs)+len(t.Secrets))
	for k, v := range t.Envs {
		out[k] = v
	}
	for k, v := range t.Secrets {
		out[k] = v.Reveal()
	}
	return out
}

// Position returns the 1-based line and column of a field path such as
// resources.accelerators, or of its nearest written parent; zeros when unknown.
func (t *Task) Position(field string) (line, column int) {
	p := t.position(field)
	return p.line, p.column
}

// Diagnose builds a diagnostic that points at a field of this task, for checks
// that need knowledge this package does not have (catalogues, file systems).
func (t *Task) Diagnose(s Severity, field, message, allowed, suggestion string) Diagnostic {
	p := t.position(field)
	file := t.file
	if p.file != "" {
		file = p.file
	}
	return Diagnostic{Severity: s, File: file, Line: p.line, Column: p.column, Field: t.prefix + field,
		Message: message, Allowed: allowed, Suggestion: suggestion}
}

// Workdir is the code directory sent to every node: a local directory or a git
// repository. Zero means none.
type Workdir struct {
	// Path is as written: relative to the directory of the command.
	Path string
	Git  *GitSource
}

// Set reports whether a workdir was given.
func (w Workdir) Set() bool { return w.Path != "" || w.Git != nil }

// GitSource is a repository to clone on the node.
type GitSource struct {
	// URL is https, ssh or scp syntax.
	URL string
	// Ref is a branch, tag or commit; empty means the default branch.
	Ref string
}

// FileMount copies Src (a local path or a URI) to Dst on every node.
type FileMount struct {
	// Dst is absolute, under ~, or relative to the workdir on the node.
	Dst string
	Src string
}

// StorageMount is a bucket mounted, or copied, to Dst on every node.
type StorageMount struct {
	Dst string
	// Name of the bucket; empty when Source alone identifies it.
	Name string
	// Sources are local paths or one URI; empty for a scratch bucket.
	Sources []string
	// SourceIsList tells `source: [a]` from `source: a`.
	SourceIsList bool
	// Store is upper case (S3, GCS, ...); empty means inferred.
	Store string
	// Persistent false deletes the bucket with the cluster.
	Persistent bool
	// Mode is MOUNT, COPY or MOUNT_CACHED.
	Mode string
	// Type is a preset such as DATASET_RO; empty means none.
	Type string
	// Config holds mount and mount_cached options, JSON-encodable.
	Config map[string]any
}

// Volume mounts a network volume.
type Volume struct {
	MountPath string
	// Name of an existing volume; empty for an ephemeral one.
	Name string
	// Size such as 10GB makes the volume ephemeral.
	Size string
	// SubPath inside the volume.
	SubPath string
	// Raw is the value as written: a string or a map.
	Raw any
}

// DataEstimate is one inputs or outputs entry.
type DataEstimate struct {
	URI string
	// SizeGB is in gigabytes.
	SizeGB float64
}

// ManagedSecret refers to a secret kept by the controller.
type ManagedSecret struct {
	Name string
	// Scope is personal, workspace, global or empty.
	Scope string
	// MountPath is where the secret is placed as a file; empty means environment.
	MountPath string
}

// Config is the per-task part of the configuration.
type Config struct {
	// Values is the section as written, without hooks; JSON-encodable.
	Values map[string]any
	// Hooks are lifecycle hooks, in order.
	Hooks []Hook
}

// Hook runs on the head node before a cluster goes away.
type Hook struct {
	Run string
	// Events is a subset of stop, preemption and down.
	Events []string
	// Timeout ends the hook; one hour unless given.
	Timeout time.Duration
}

// TestSpec is one validation suite document to run after the task's run.
type TestSpec struct {
	// Name labels the result; may be empty.
	Name string
	// Kind of data, tabular when not given.
	Kind string
	// Suites are the names of the suites to run; empty means the default set.
	Suites []string
	// Train and Test are paths or globs on the node, relative to the workdir.
	Train, Test string
	// Label is the target column.
	Label string
	// FailOn is fail, warn or never: from which outcome on the job fails.
	FailOn string
	// Raw is the suite document as `sky test` reads it; JSON-encodable.
	Raw map[string]any
}

// Artifact is a set of files brought back after run.
type Artifact struct {
	// Path is a path or glob on the node, relative to the workdir.
	Path string
	// Dest is a local directory or file; empty means the default place.
	Dest string
}

// Budget stops spending. Zero means unlimited.
type Budget struct {
	// MaxCost is in USD for the whole run.
	MaxCost float64
	// MaxHourlyCost is in USD per hour, all nodes together.
	MaxHourlyCost float64
	// MaxDuration is wall-clock time from the first node to the last.
	MaxDuration time.Duration
}
