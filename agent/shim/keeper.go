package shim

import (
	"context"
	"errors"
	"log/slog"
	"syscall"
	"time"

	"aloft/agent/spool"
)

// Options adjust a Keeper.
type Options struct {
	MinIdle int          // shims kept ready, 0 = 2
	MaxIdle int          // shims kept after a burst, 0 = 8
	Log     *slog.Logger // nil = none
}

// Keeper starts, finds and forgets the processes of one node.
type Keeper struct{}

// NewKeeper returns a Keeper whose shims live in dir; self is the path of the sky-agent binary.
func NewKeeper(dir, self string, o Options) *Keeper { return &Keeper{} }

// Adopt finds what an earlier agent left in dir: living shims and verdicts that were not forgotten. Call it once, first.
func (k *Keeper) Adopt(ctx context.Context) ([]*Process, error) { return nil, nil }

// Start runs a Spec. It returns once the child runs or could not be started (then Wait has the verdict at once).
func (k *Keeper) Start(ctx context.Context, s Spec) (*Process, error) {
	return nil, errors.New("not built yet")
}

// Forget drops the verdict of a process that has ended, once it is safe elsewhere. Forgetting twice is fine.
func (k *Keeper) Forget(id string) error { return nil }

// Close lets go of running shims, which go on, and ends idle ones.
func (k *Keeper) Close() error { return nil }

// Process is one child, running or ended.
type Process struct{}

// ID is the Spec's.
func (p *Process) ID() string { return "" }

// PID of the child; 0 when it never ran.
func (p *Process) PID() int { return 0 }

// StartedMS is when the child was started.
func (p *Process) StartedMS() int64 { return 0 }

// Stream is where the output goes, and the spool's root.
func (p *Process) Stream() (root string, key spool.Key) { return "", spool.Key{} }

// Stop sends sig (0 = TERM) to the whole tree and KILL after grace (0 = the Spec's). It returns once the shim has taken
// the order; Wait has the outcome. Stopping again is fine: the earliest KILL counts.
func (p *Process) Stop(ctx context.Context, sig syscall.Signal, grace time.Duration) error { return nil }

// Wait returns the verdict once it is durable.
func (p *Process) Wait(ctx context.Context) (Verdict, error) { return Verdict{}, nil }

// Done is closed when Wait has the verdict.
func (p *Process) Done() <-chan struct{} { return nil }

// Appended gets a value after something was appended to the log; values coalesce.
func (p *Process) Appended() <-chan struct{} { return nil }
