// Package shim keeps the processes of a node: each rank's setup or run is the only child of a shim, a small process of
// its own (`sky-agent shim`) that outlives the agent. The shim owns the child's output, stamps it with logical offsets and
// appends it to the spool; it knows how the child ended and has that on disk before it tells anybody.
//
// The agent's side is the Keeper. Shims are reused: one whose child has ended and whose verdict is durable takes the next
// Spec over its socket, because starting a process of our own for each job would cost more than most jobs.
//
// At the end of a rank everything it left running is killed, daemons that detached themselves included, unless
// Spec.KeepDaemons is set (SkyPilot lets such processes survive).
package shim

import (
	"errors"
	"time"

	"aloft/agent/spool"
)

// Times that a shim keeps to.
const (
	// DefaultGrace lies between TERM and KILL when neither Stop nor the Spec says otherwise.
	DefaultGrace = 30 * time.Second
	// drainTime is how long the end of a rank waits for background processes to end by themselves and for the output to
	// reach its end once the child has exited.
	drainTime = 200 * time.Millisecond
	// drainMost bounds drainTime where the output keeps coming.
	drainMost = time.Second
	// daemonGrace lies between TERM and KILL for what a child left behind.
	daemonGrace = 250 * time.Millisecond
	// flushIdle is how long a beginning of a secret may be held back when nothing follows it.
	flushIdle = 50 * time.Millisecond
	// flushForce is how long a long beginning of a secret may be held back.
	flushForce = time.Second
)

// Marker is the environment variable that marks every process of a rank; its value is the Spec's ID.
const Marker = "ALOFT_RANK"

// NodeMark is the environment variable that marks every process of a node on somebody's machine: shims carry it on, so
// that they end with their node when no agent is their parent any more.
const NodeMark = "ALOFT_LOCAL_NODE"

// Errors that callers tell apart.
var (
	ErrClosed  = errors.New("keeper is closed")
	ErrExists  = errors.New("a process with this id exists")
	ErrUnknown = errors.New("no process with this id")
	ErrRunning = errors.New("the process has not ended")
)

// Spec is what a shim is asked to run. It travels over the shim's socket only: Env and Redact hold secrets and are never
// written to disk nor put on a command line. Argv is public (every user of the machine can read it).
type Spec struct {
	ID          string        `json:"id"` // unique: job/attempt/slot/stream, at most 300 bytes
	Argv        []string      `json:"argv"`
	Env         []string      `json:"env"` // whole environment; the marker is added
	Dir         string        `json:"dir"`
	Stream      spool.Key     `json:"stream"`
	SpoolDir    string        `json:"spool_dir"`
	Redact      []string      `json:"redact,omitempty"`        // values that must not reach the log
	Grace       time.Duration `json:"grace,omitempty"`         // default for Stop, 0 = DefaultGrace
	MaxLogBytes int64         `json:"max_log_bytes,omitempty"` // of the job in the spool, 0 = spool.DefaultMaxBytes
	KeepDaemons bool          `json:"keep_daemons,omitempty"`  // what the child leaves running survives the rank
	Credential  *Credential   `json:"credential,omitempty"`    // nil = the agent's own user
}

// Credential is the user a child runs as.
type Credential struct {
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups,omitempty"`
}

// Verdict is how a child ended. It is durable before anybody sees it.
type Verdict struct {
	ExitCode   int    `json:"exit_code"`
	Signal     int    `json:"signal,omitempty"` // > 0: ended by this signal, ExitCode is 128+Signal
	StartedMS  int64  `json:"started_ms"`
	EndedMS    int64  `json:"ended_ms"`
	Lost       bool   `json:"lost,omitempty"` // nobody saw the end: the shim or the machine died
	LostReason string `json:"lost_reason,omitempty"`
	LogEnd     uint64 `json:"log_end"`               // length of the log stream, gaps included
	LogGap     uint64 `json:"log_gap,omitempty"`     // bytes of it that could not be written (full disk)
	LogError   string `json:"log_error,omitempty"`   // why
	StartError string `json:"start_error,omitempty"` // the child never ran; ExitCode is 127 (not found) or 126
}
