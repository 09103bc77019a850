package api

import (
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"aloft/controller/store"
	controlv1 "aloft/proto/sky/control/v1"
)

// Watch streams events with the state after them.
func (s *Server) Watch(r *controlv1.WatchRequest, out grpc.ServerStreamingServer[controlv1.WatchEvent]) error {
	ctx := out.Context()
	f := store.Filter{ClusterID: r.GetClusterId()}
	if r.GetJobId() != "" {
		f.Kind, f.ID = store.Job, r.GetJobId()
	}
	// The header tells the caller that the watch stands before anything happens.
	if err := out.SendHeader(nil); err != nil {
		return err
	}
	for ev, err := range s.o.Store.Watch(ctx, store.Rev(r.GetFromRev()), f) {
		if errors.Is(err, store.ErrCompacted) {
			return status.Error(codes.OutOfRange, err.Error())
		}
		if err != nil {
			return s.reply("watch", err)
		}
		we := &controlv1.WatchEvent{Event: ev}
		err := s.o.Store.View(ctx, func(tx store.Tx) error {
			if ev.GetKind() == string(store.Job) {
				j, err := store.GetJob(tx, ev.GetId())
				if err != nil {
					return err
				}
				we.Job = jobView(j)
				return nil
			}
			id := ev.GetClusterId()
			if id == "" && ev.GetKind() == string(store.Cluster) {
				id = ev.GetId()
			}
			c, err := store.GetCluster(tx, id)
			if err != nil {
				return err
			}
			we.Cluster = s.clusterView(tx, c, false)
			return nil
		})
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return s.reply("watch", err)
		}
		if err := out.Send(we); err != nil {
			return err
		}
	}
	return nil
}
