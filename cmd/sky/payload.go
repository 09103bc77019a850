package main

import (
	"embed"
	"fmt"

	"aloft/controller/ship"
)

// payload holds the agents that `make build` compresses here, one per platform: agent-<os>-<arch>.zst and its digest.
//
//go:embed payload
var payload embed.FS

// agentPayload finds the agent for a node's platform among those carried.
func agentPayload(home string) *ship.Payload {
	return ship.NewPayload(home, func(goos, goarch string) ([]byte, string, error) {
		name := "payload/agent-" + goos + "-" + goarch
		sum, err := payload.ReadFile(name + ".sha256")
		if err != nil {
			return nil, "", fmt.Errorf("this build of sky carries no agent for %s/%s: build it with `make build`", goos, goarch)
		}
		z, err := payload.ReadFile(name + ".zst")
		if err != nil {
			return nil, "", fmt.Errorf("this build of sky carries no agent for %s/%s: build it with `make build`", goos, goarch)
		}
		return z, string(sum[:64]), nil
	})
}
