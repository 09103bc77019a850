package api

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"

	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// drainLimit is how long calls under way may take to end when the daemon stops.
const drainLimit = 2 * time.Second

// What is written to a caller at once is large, for logs, and shared, so that a thousand callers do not each have one.
const (
	writeBuffer = 128 << 10
	readBuffer  = 16 << 10 // of each caller
)

// SetSocket tells where the server listens, for Info.
func (s *Server) SetSocket(path string) { s.o.Socket = path }

// GRPC is the server to put on a listener.
func (s *Server) GRPC(log *slog.Logger) *grpc.Server {
	g := grpc.NewServer(
		grpc.MaxRecvMsgSize(64<<20),
		grpc.InitialWindowSize(4<<20), grpc.InitialConnWindowSize(8<<20),
		grpc.WriteBufferSize(writeBuffer), // write buffers are shared by default
		grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (resp any, err error) {
			s.Enter()
			defer s.Leave()
			defer survive(log, info.FullMethod, &err)
			return h(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) (err error) {
			s.Enter()
			defer s.Leave()
			defer survive(log, info.FullMethod, &err)
			return h(srv, ss)
		}),
	)
	controlv1.RegisterControlServer(g, s)
	return g
}

// survive turns a defect in one call into the failure of that call.
func survive(log *slog.Logger, method string, err *error) {
	if p := recover(); p != nil {
		log.Error("defect in a call", "method", method, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		*err = refuse(&statev1.Failure{Kind: statev1.FailureKind_INFRA, Code: "DEFECT", Message: "the controller failed in this call: a defect of ours",
			Hint: "see `sky api logs`"})
	}
}

// Drain lets calls under way end, for a while, then cuts them: followers of logs reconnect to the next controller.
func (s *Server) Drain(g *grpc.Server) {
	done := make(chan struct{})
	go func() { g.GracefulStop(); close(done) }()
	limit := time.NewTimer(drainLimit)
	defer limit.Stop()
	select {
	case <-done:
	case <-limit.C:
		g.Stop()
		<-done
	}
}
