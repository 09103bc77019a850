package forge

import (
	"context"
	"net/http"
	"slices"
	"strings"
)

// Busy is the reason for which a runner is not removed: it has a job.
const Busy Reason = "busy"

// RunnerSpec is what a self-hosted runner is to be.
type RunnerSpec struct {
	// Name is the runner's; GitHub has each name once.
	Name   string
	Labels []string
	// Owner is the organisation, group or workspace that the runner is for; "" = the client's repository.
	Owner string
	// Group is the id of GitHub's runner group; 0 = the default one.
	Group int64
	// Keep makes a runner for more than one job. Without it GitHub's takes one job and is gone.
	Keep bool
}

// Runner is a self-hosted runner that a forge knows.
type Runner struct {
	ID     string
	Name   string
	Labels []string
	Online bool
	Busy   bool // it has a job, as far as the forge tells
	// Status is the forge's own word.
	Status string
}

// Has reports whether a runner takes jobs that ask for all of these labels.
func (r Runner) Has(labels []string) bool {
	for _, l := range labels {
		if !slices.ContainsFunc(r.Labels, func(x string) bool { return strings.EqualFold(x, l) }) {
			return false
		}
	}
	return true
}

// Registration is a runner that was registered, and what its program is started with.
type Registration struct {
	Runner Runner
	// Env is the environment of the runner's program, Secrets that part of it which nobody else may see: a configuration for
	// one job, or a key of this runner alone. The token by which it was registered is in neither.
	Env, Secrets map[string]string
}

// RunnerHost registers self-hosted runners. An owner of "" is the client's repository.
type RunnerHost interface {
	// Register makes a runner. It is not repeated: see Error.Unsure. A name that is taken is an Error of status 409.
	Register(ctx context.Context, s RunnerSpec) (Registration, error)
	// Runners lists all runners of an owner. GitLab's have no labels here, and are not known to be busy.
	Runners(ctx context.Context, owner string) ([]Runner, error)
	// Runner looks at one; an Error with reason NotFound when it is gone.
	Runner(ctx context.Context, owner, id string) (Runner, error)
	// RemoveRunner removes one that has no job: an Error with reason Busy when it has. One that is gone is no error.
	RemoveRunner(ctx context.Context, owner, id string) error
	// RunnerRun is the run or pipeline whose job a runner has, as Rerun takes it; "" when it has none.
	RunnerRun(ctx context.Context, r Runner) (string, error)
	// RunnerBusyKnown says whether Runner.Busy can be relied on.
	RunnerBusyKnown() bool
}

// gone turns the answer that something is not there into success.
func gone(err error) error {
	if reasonOf(err) == NotFound {
		return nil
	}
	return err
}

// busy turns the refusal to remove a runner that has a job into its own reason.
func busy(err error, status int) error {
	if e, ok := asError(err); ok && (e.Status == status || e.Status == http.StatusConflict) {
		e.Reason = Busy
	}
	return err
}
