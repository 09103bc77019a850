package agent

import (
	"time"

	"aloft/agent/machine"
	agentv1 "aloft/proto/sky/agent/v1"
)

// wireFacts is what the node is made of, for the hello.
func (a *agent) wireFacts() *agentv1.Facts {
	f := &agentv1.Facts{
		Os: a.facts.OS, Arch: a.facts.Arch, Cpus: a.facts.CPUs, MemoryGb: a.facts.MemoryGB, DiskFreeGb: a.facts.DiskFreeGB,
		Hostname: a.facts.Hostname, Home: a.o.Home,
	}
	for _, g := range a.facts.GPUs {
		f.Gpus = append(f.Gpus, &agentv1.Gpu{
			Index: int32(g.Index), Name: g.Name, Uuid: g.UUID, MemoryGb: g.MemoryGB, Pretended: g.Pretended,
		})
	}
	return f
}

// pulse is one heartbeat. What cannot be found out now is left out.
func (a *agent) pulse() *agentv1.Heartbeat {
	now := time.Now()
	hb := &agentv1.Heartbeat{IdleMs: a.sup.Idle(now).Milliseconds(), SentMs: now.UnixMilli()}
	if load, err := machine.Load1(); err == nil {
		hb.Load1 = load
	}
	if free, err := machine.DiskFreeGB(a.o.StateDir); err == nil {
		hb.DiskFreeGb = free
	}
	return hb
}
