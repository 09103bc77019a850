package api

import (
	"context"
	"errors"
	"fmt"

	"aloft/controller/desired"
	"aloft/controller/store"
	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// Cancel wants jobs stopped.
func (s *Server) Cancel(ctx context.Context, r *controlv1.CancelRequest) (*controlv1.CancelResponse, error) {
	// "The latest job" is another one the second time: a repeated request must not cancel it, too.
	before := &controlv1.CancelResponse{}
	if ok, err := s.remembered(ctx, "", r.GetRequestId(), before); err != nil || ok {
		return before, s.reply("cancel", err)
	}
	out := &controlv1.CancelResponse{}
	var cluster string
	rev, err := s.o.Store.Update(ctx, func(tx store.Tx) error {
		out.Reset()
		if ok, err := recall(tx, "", r.GetRequestId(), out); err != nil || ok {
			return err
		}
		ns, err := desired.Cancel(tx, desired.CancelSpec{Target: desired.Target{Project: r.GetProject(), Name: r.GetClusterName(), Now: s.now()},
			Numbers: r.GetNumbers(), All: r.GetAll()})
		if err != nil {
			return err
		}
		out.Numbers = ns
		if cluster, err = tx.Lookup(store.Cluster, r.GetProject(), r.GetClusterName()); err != nil {
			return err
		}
		return s.remember(tx, "", r.GetRequestId(), out)
	})
	if err != nil {
		return nil, s.reply("cancel", err)
	}
	out.Rev = uint64(rev)
	s.o.Kick(cluster)
	return out, nil
}

// each applies a verb to every cluster named, each in a transaction of its own: one refusal does not stop the others.
func (s *Server) each(ctx context.Context, doing string, r *controlv1.ClustersRequest, verb func(tx store.Tx, t desired.Target) (string, error)) (*controlv1.ClustersResponse, error) {
	out := &controlv1.ClustersResponse{}
	names := r.GetNames()
	err := s.o.Store.View(ctx, func(tx store.Tx) error {
		out.Rev = uint64(tx.Rev())
		if r.GetAll() || anyGlob(names) {
			cs, missing := s.pick(tx, "", names, false)
			names = missing
			for _, c := range cs {
				names = append(names, c.GetName())
			}
		}
		return nil
	})
	if err != nil {
		return nil, s.reply(doing, err)
	}
	for _, n := range names {
		o := &controlv1.ClusterOutcome{Name: n}
		var note string
		_, err := s.o.Store.Update(ctx, func(tx store.Tx) error {
			id, err := tx.Lookup(store.Cluster, "", n)
			if err == nil {
				o.ClusterId = id
			}
			note, err = verb(tx, desired.Target{Name: n, User: r.GetUser(), Now: s.now()})
			return err
		})
		var refused *desired.Error
		switch {
		case err == nil:
			o.Accepted = true
			if len(note) > 7 && note[:7] == "already" {
				o.Note = note
			}
			s.o.Kick(o.GetClusterId())
		case errors.As(err, &refused):
			o.Failure = refused.Failure
		case ctx.Err() != nil:
			return nil, s.reply(doing, ctx.Err())
		default:
			s.o.Logger.Error("verb failed", "doing", doing, "cluster", n, "err", err)
			o.Failure = &statev1.Failure{Kind: statev1.FailureKind_INFRA, Code: "INTERNAL", Message: err.Error(), Hint: "sky api logs"}
		}
		out.Outcomes = append(out.Outcomes, o)
	}
	return out, nil
}

// Stop wants clusters stopped, disks kept.
func (s *Server) Stop(ctx context.Context, r *controlv1.ClustersRequest) (*controlv1.ClustersResponse, error) {
	return s.each(ctx, "stop", r, desired.Stop)
}

// Start wants stopped clusters up.
func (s *Server) Start(ctx context.Context, r *controlv1.StartRequest) (*controlv1.ClustersResponse, error) {
	return s.each(ctx, "start", r.GetClusters(), func(tx store.Tx, t desired.Target) (string, error) {
		return desired.Start(tx, t, desired.StartSpec{Autostop: r.GetAutostop(), RetryUntilUp: r.GetRetryUntilUp()})
	})
}

// Down wants clusters gone.
func (s *Server) Down(ctx context.Context, r *controlv1.ClustersRequest) (*controlv1.ClustersResponse, error) {
	return s.each(ctx, "down", r, func(tx store.Tx, t desired.Target) (string, error) { return desired.Down(tx, t, r.GetPurge()) })
}

// SetAutostop changes what clusters do when idle.
func (s *Server) SetAutostop(ctx context.Context, r *controlv1.AutostopRequest) (*controlv1.ClustersResponse, error) {
	return s.each(ctx, "set autostop", r.GetClusters(), func(tx store.Tx, t desired.Target) (string, error) {
		if err := s.canStop(tx, t, r.GetAutostop()); err != nil {
			return "", err
		}
		return desired.SetAutostop(tx, t, r.GetAutostop())
	})
}

// canStop refuses an autostop that keeps disks where machines cannot be stopped.
func (s *Server) canStop(tx store.Tx, t desired.Target, a *statev1.Autostop) error {
	if !a.GetEnabled() || a.GetDown() {
		return nil
	}
	c, err := store.FindCluster(tx, t.Project, t.Name)
	if err != nil {
		return nil // the verb itself says so better
	}
	for _, n := range store.NodesOf(tx, c.GetId()) {
		name := n.GetCandidate().GetProvider()
		if p, err := s.o.Providers.Get(name); err == nil && !p.Capabilities().Stop {
			return &desired.Error{Failure: &statev1.Failure{Kind: statev1.FailureKind_CONFIG, Code: "cannot-stop",
				Message: fmt.Sprintf("The machines of cluster %s are of %s, which cannot stop machines and keep their disks.", t.Name, name),
				Hint:    "sky autostop --down " + t.Name}}
		}
	}
	return nil
}
