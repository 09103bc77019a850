package main

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"os"
	"runtime"

	"aloft/controller/ship"
)

// payload holds the agents that `make build` compresses here, one per platform: agent-<os>-<arch>.zst and its digest.
//
//go:embed payload
var payload embed.FS

// agentEnv names an agent binary for this platform to ship instead of the one carried: for development and tests.
const agentEnv = "ALOFT_AGENT"

// agentPayload finds the agent for a node's platform.
func (a *app) agentPayload() *ship.Payload {
	return ship.NewPayload(a.home, func(goos, goarch string) (ship.Carried, error) {
		if p, ok := a.getenv(agentEnv); ok && p != "" && goos == runtime.GOOS && goarch == runtime.GOARCH {
			b, err := os.ReadFile(p)
			if err != nil {
				return ship.Carried{}, fmt.Errorf("%s: %w", agentEnv, err)
			}
			sum := sha256.Sum256(b)
			return ship.Carried{Plain: b, SHA256: hex.EncodeToString(sum[:])}, nil
		}
		name := "payload/agent-" + goos + "-" + goarch
		sum, err := payload.ReadFile(name + ".sha256")
		if err != nil {
			return ship.Carried{}, fmt.Errorf("this build of sky carries no agent for %s/%s: build it with `make build`", goos, goarch)
		}
		z, err := payload.ReadFile(name + ".zst")
		if err != nil || len(sum) < 64 {
			return ship.Carried{}, fmt.Errorf("this build of sky carries a broken agent for %s/%s: build it with `make build`", goos, goarch)
		}
		return ship.Carried{Zstd: z, SHA256: string(sum[:64])}, nil
	})
}
