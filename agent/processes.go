package agent

import (
	"context"

	"aloft/agent/shim"
	"aloft/agent/supervise"
)

// processes is the keeper as the supervisor sees it: starting twice finds the first one.
type processes struct {
	keeper *shim.Keeper
}

// Start implements supervise.Processes.
func (p *processes) Start(ctx context.Context, s shim.Spec) (supervise.Process, error) {
	if found, ok := p.keeper.Get(s.ID); ok {
		return found, nil
	}
	started, err := p.keeper.Start(ctx, s)
	if err != nil {
		return nil, err
	}
	return started, nil
}

// Known implements supervise.Processes.
func (p *processes) Known(id string) bool {
	_, ok := p.keeper.Get(id)
	return ok
}

// Forget implements supervise.Processes.
func (p *processes) Forget(id string) error { return p.keeper.Forget(id) }
