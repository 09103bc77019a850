package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// story prints how a cluster came up, line by line.
type story struct {
	a        *app
	attempts int // finished ones that were told
}

// provision shows every step of a cluster and every place tried, in order; with follow, until the launch is over. It works
// for clusters that are gone, too.
func (a *app) provision(ctx context.Context, c *client, cluster string, follow bool) error {
	r, err := again(ctx, a, c, func() (*controlv1.WhyResponse, error) { return c.Why(ctx, &controlv1.WhyRequest{Subject: cluster}) })
	if err != nil {
		return rpcError("tell how the cluster came up", err)
	}
	s := &story{a: a}
	attempts := ended(r.GetAttempts())
	for _, e := range r.GetEvents() {
		for s.attempts < len(attempts) && attempts[s.attempts].GetEndedMs() <= e.GetAtMs() {
			s.attempt(attempts[s.attempts])
		}
		s.event(e)
	}
	for s.attempts < len(attempts) {
		s.attempt(attempts[s.attempts])
	}
	rev := r.GetRev()
	for follow && coming(r.GetCluster()) {
		v, err := s.follow(ctx, c, r.GetCluster().GetCluster().GetId(), &rev)
		switch {
		case errors.Is(err, errLost):
			if err := a.reconnect(ctx, c); err != nil {
				return err
			}
			continue
		case ctx.Err() != nil:
			a.note("\nDetached; the launch goes on.\n  return to it:  sky logs --provision %s", cluster)
			return &exitError{code: exitInterrupted}
		case err != nil:
			return err
		}
		r.Cluster = v
	}
	v := r.GetCluster()
	a.say("Cluster %s is %s.", v.GetCluster().GetName(), a.statusStyle(v.GetStatus()))
	if f := v.GetCluster().GetFailure(); f.GetMessage() != "" {
		a.say("  %s", f.GetMessage())
	}
	a.showAttempts("Placement attempts of "+v.GetCluster().GetName(), v.GetCluster().GetAttempts())
	return nil
}

// coming reports whether a cluster is on its way up.
func coming(v *controlv1.ClusterView) bool {
	c := v.GetCluster()
	return c.GetEndedMs() == 0 && c.GetFailure().GetMessage() == "" && c.GetDesired() == statev1.ClusterDesired_CLUSTER_DESIRED_UP &&
		(v.GetStatus() == "INIT" || v.GetStatus() == "PENDING")
}

// ended are the attempts that are over.
func ended(as []*statev1.PlacementAttempt) []*statev1.PlacementAttempt {
	var out []*statev1.PlacementAttempt
	for _, x := range as {
		if x.GetEndedMs() > 0 {
			out = append(out, x)
		}
	}
	return out
}

// follow tells what happens next until the launch is over.
func (s *story) follow(ctx context.Context, c *client, id string, rev *uint64) (*controlv1.ClusterView, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events, err := c.Watch(ctx, &controlv1.WatchRequest{FromRev: *rev, ClusterId: id})
	for err == nil {
		var ev *controlv1.WatchEvent
		if ev, err = events.Recv(); err != nil {
			break
		}
		*rev = max(*rev, ev.GetEvent().GetRev())
		v := ev.GetCluster()
		for as := ended(v.GetCluster().GetAttempts()); s.attempts < len(as); {
			s.attempt(as[s.attempts])
		}
		s.event(ev.GetEvent())
		if v != nil && !coming(v) {
			return v, nil
		}
	}
	if lost(ctx, err) {
		return nil, errLost
	}
	return nil, rpcError("follow the launch", err)
}

func (s *story) line(atMs int64, format string, args ...any) {
	s.a.say("%s  %s", time.UnixMilli(atMs).Format("2006-01-02 15:04:05.000"), fmt.Sprintf(format, args...))
}

func (s *story) event(e *statev1.Event) {
	state := e.GetNewPhase()
	if old := e.GetOldPhase(); old != "" && old != state {
		state = old + " → " + state
	}
	text := strings.TrimSpace(e.GetKind() + " " + e.GetName())
	if state != "" {
		text += ": " + state
	}
	if r := e.GetReason(); r != "" {
		text += " (" + r + ")"
	}
	s.line(e.GetAtMs(), "%s", text)
}

func (s *story) attempt(x *statev1.PlacementAttempt) {
	s.attempts++
	outcome, reason := attemptOutcome(x)
	text := fmt.Sprintf("attempt %d: %s %s at $ %s/h: %s after %s", s.attempts, candidateInfra(x.GetCandidate()), instanceText(x.GetCandidate()),
		priceText(x.GetCandidate()), outcome, between(x.GetStartedMs(), x.GetEndedMs(), time.Now()))
	if reason != "" {
		text += " (" + reason + ")"
	}
	s.line(x.GetEndedMs(), "%s", text)
}
