package agent

import (
	"context"
	"os"
	"runtime"
	"time"

	agentv1 "aloft/proto/sky/agent/v1"
)

func (a *agent) facts() *agentv1.Facts {
	host, _ := os.Hostname()
	return &agentv1.Facts{Os: runtime.GOOS, Arch: runtime.GOARCH, Cpus: float64(runtime.NumCPU()), Hostname: host, Home: a.o.Home}
}

func (a *agent) pulse() *agentv1.Heartbeat {
	now := time.Now()
	return &agentv1.Heartbeat{IdleMs: a.sup.Idle(now).Milliseconds(), SentMs: now.UnixMilli()}
}

func powerOff(context.Context, bool) error { return nil }
