package mounts

import (
	"context"
	"fmt"
	"sync"

	agentv1 "aloft/proto/sky/agent/v1"
)

// gateway is the controller that is there now, if any.
type gateway struct {
	mu      sync.Mutex
	client  agentv1.GatewayClient
	changed chan struct{}
}

func newGateway() *gateway { return &gateway{changed: make(chan struct{})} }

func (g *gateway) set(c agentv1.GatewayClient) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.client = c
	close(g.changed)
	g.changed = make(chan struct{})
}

// get waits for a controller.
func (g *gateway) get(ctx context.Context) (agentv1.GatewayClient, error) {
	for {
		g.mu.Lock()
		c, changed := g.client, g.changed
		g.mu.Unlock()
		if c != nil {
			return c, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for a controller: %w", context.Cause(ctx))
		}
	}
}
