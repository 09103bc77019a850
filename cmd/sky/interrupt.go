package main

import (
	"context"
	"os"
	"syscall"
	"time"

	controlv1 "aloft/proto/sky/control/v1"
)

// What becomes of a job whose launch is interrupted.
const (
	interruptAuto   = "auto"   // in CI down for a cluster that this launch made, cancel for others; elsewhere detach
	interruptDetach = "detach" // the job goes on
	interruptCancel = "cancel" // the job is cancelled
	interruptDown   = "down"   // the cluster ends
)

const (
	// interruptTime is how long an interrupted program takes to hand over what is to be done: CI systems kill it soon.
	interruptTime = 5 * time.Second
	// parentLook is how often the parent is looked at where the system does not tell of its death.
	parentLook = 250 * time.Millisecond
)

// onInterrupt carries out what is to become of the job, with what time is left, and gives the exit code.
func (a *app) onInterrupt(ctx context.Context, c *client, r *controlv1.LaunchResponse, what string) error {
	if what == interruptAuto {
		what = interruptDetach
		if a.inCI() {
			what = interruptCancel
			if r.GetCreated() {
				what = interruptDown
			}
		}
	}
	if what == interruptCancel && r.GetJobId() == "" {
		what = interruptDetach // there is no job
	}
	if what == interruptDetach {
		a.sayWhereToGoOn(r)
		return &exitError{code: exitInterrupted}
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), interruptTime)
	defer stop()
	id, err := a.requestID()
	if err != nil {
		return err
	}
	name := r.GetClusterName()
	// The request comes first: the process may be killed at any moment, and output may lead nowhere.
	if what == interruptCancel {
		_, err = again(ctx, a, c, func() (*controlv1.CancelResponse, error) {
			return c.Cancel(ctx, &controlv1.CancelRequest{RequestId: id, ClusterName: name, Numbers: []uint32{r.GetJobNumber()}})
		})
	} else {
		_, err = again(ctx, a, c, func() (*controlv1.ClustersResponse, error) {
			return c.Down(ctx, &controlv1.ClustersRequest{RequestId: id, Names: []string{name}})
		})
	}
	switch {
	case err != nil:
		a.note("\nInterrupted, and the controller cannot be told: the job goes on until its cluster's lease ends.\n  end it:  sky down %s", name)
		return rpcError("end what was interrupted", err)
	case what == interruptCancel:
		a.note("\nInterrupted: job %d is being cancelled.\n  see how it ends:  sky queue %s", r.GetJobNumber(), name)
	default:
		a.note("\nInterrupted: cluster %s is being torn down.\n  see that it is gone:  sky status %s", name, name)
	}
	return &exitError{code: exitInterrupted}
}

// withParent ends the context when the process that started this one dies: CI systems kill a step's shell, and what it
// started would go on.
func withParent(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	parent := os.Getppid()
	notifyParentDeath()
	go func() {
		tick := time.NewTicker(parentLook)
		defer tick.Stop()
		for {
			if os.Getppid() != parent {
				cancel()
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, cancel
}

// interrupts are the signals that end a command in order.
func interrupts() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} }
