// Package api serves sky.control.v1 to the command line, CI and dashboards over a unix socket. It validates, reads and
// writes desired state; it never acts on a provider: that is reconcile's.
package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"aloft/controller/blobs"
	"aloft/controller/catalog"
	"aloft/controller/desired"
	"aloft/controller/logs"
	"aloft/controller/series"
	"aloft/controller/store"
	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

// Providers are the places that are configured.
type Providers interface {
	// Names lists every provider there is, in a stable order.
	Names() []string
	// Get makes (once) the provider of that name.
	Get(name string) (providers.Provider, error)
	// Enabled lists the providers that may be used, in order of preference.
	Enabled(ctx context.Context) []string
	// WhyDisabled says why a provider may not be used, as an error with a hint where there is one; nil when it may.
	WhyDisabled(name string) error
	// Default is the provider used when a task asks for none and no cloud is enabled; "" = none.
	Default() string
}

// Sealer encrypts what must not be at rest in the clear.
type Sealer interface {
	Seal(plain []byte) ([]byte, error)
}

// Placer finds where a task can run. The error carries a Failure when nothing can run it.
type Placer interface {
	Place(ctx context.Context, task *statev1.TaskSpec) (*catalog.Placement, error)
}

// Sweeper compares what the providers show with what the store knows.
type Sweeper interface {
	Gc(ctx context.Context, r *controlv1.GcRequest) (*controlv1.GcResponse, error)
}

// Options are what a Server needs. Every field is required unless it says otherwise.
type Options struct {
	Store     store.Store
	Logs      *logs.Store
	Series    *series.Store
	Blobs     *blobs.Store
	Sealer    Sealer
	Providers Providers
	Placer    Placer
	Sweeper   Sweeper
	// Kick asks the reconciler to look at a cluster now.
	Kick func(clusterID string)
	// Refresh asks the reconciler to compare clusters with their providers and waits for it.
	Refresh func(ctx context.Context, clusterIDs []string) error
	// Stop asks the daemon to end.
	Stop   func()
	Logger *slog.Logger
	// Entropy makes ids and cluster names.
	Entropy io.Reader

	Version, Commit, Home, Socket string
	Sessions                      func() int // agent sessions open now
	Ready                         func() bool
	Busy                          func() // called when work is being done, often
}

// Server implements controlv1.ControlServer.
type Server struct {
	controlv1.UnimplementedControlServer
	o       Options
	started time.Time
	pid     int
	busy    atomic.Int64
	lastUse atomic.Int64
	readers chan struct{} // see queue
}

// New makes a Server.
func New(o Options, pid int) *Server {
	s := &Server{o: o, started: time.Now(), pid: pid, readers: make(chan struct{}, 2*runtime.GOMAXPROCS(0))}
	s.lastUse.Store(time.Now().UnixMilli())
	return s
}

// Idle is how long no call has been made; 0 while one is under way.
func (s *Server) Idle() time.Duration {
	if s.busy.Load() > 0 {
		return 0
	}
	return time.Since(time.UnixMilli(s.lastUse.Load()))
}

// Enter and Leave count calls under way, for Idle.
func (s *Server) Enter() {
	s.busy.Add(1)
	s.o.Busy()
}

// Leave ends what Enter began.
func (s *Server) Leave() {
	s.busy.Add(-1)
	s.lastUse.Store(time.Now().UnixMilli())
}

// refuse makes the error of a call: a status with one Failure detail, from which the caller's exit code derives.
func refuse(f *statev1.Failure) error {
	c := codes.Unknown
	switch f.GetKind() {
	case statev1.FailureKind_NOT_FOUND:
		c = codes.NotFound
	case statev1.FailureKind_CONFLICT:
		c = codes.FailedPrecondition
	case statev1.FailureKind_CONFIG, statev1.FailureKind_USAGE:
		c = codes.InvalidArgument
	case statev1.FailureKind_CAPACITY, statev1.FailureKind_QUOTA:
		c = codes.ResourceExhausted
	case statev1.FailureKind_AUTH:
		c = codes.PermissionDenied
	case statev1.FailureKind_INFRA:
		c = codes.Internal
	}
	st, err := status.New(c, f.GetMessage()).WithDetails(f)
	if err != nil {
		return status.Error(c, f.GetMessage())
	}
	return st.Err()
}

func notFound(format string, args ...any) error {
	return refuse(&statev1.Failure{Kind: statev1.FailureKind_NOT_FOUND, Code: "NOT_FOUND", Message: fmt.Sprintf(format, args...),
		Hint: "run `sky status` to see the clusters there are"})
}

func usage(format string, args ...any) error {
	return refuse(&statev1.Failure{Kind: statev1.FailureKind_USAGE, Code: "BAD_REQUEST", Message: fmt.Sprintf(format, args...)})
}

// reply turns an error of ours into the error of a call.
func (s *Server) reply(doing string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	var refused *desired.Error
	if errors.As(err, &refused) {
		return refuse(refused.Failure)
	}
	var infeasible *catalog.Infeasible
	if errors.As(err, &infeasible) {
		return refuse(infeasible.Failure)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return status.FromContextError(err).Err()
	}
	s.o.Logger.Error("call failed", "doing", doing, "err", err)
	return refuse(&statev1.Failure{Kind: statev1.FailureKind_INFRA, Code: "INTERNAL", Message: fmt.Sprintf("%s: %v", doing, err),
		Hint: "see `sky api logs`"})
}

func (s *Server) now() time.Time { return time.Now() }
