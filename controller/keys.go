package controller

import (
	"crypto/ed25519"
	"log/slog"

	"aloft/controller/seal"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

// nodeKeys derives the keys of machines from the home's secret: nothing has to be written before a create call, and a
// repeated call carries the same keys.
func nodeKeys(s *seal.Sealer, log *slog.Logger) func(*statev1.Cluster, *statev1.Node) providers.Keys {
	key := func(labels ...string) ed25519.PrivateKey {
		seed, err := s.Derive(labels...)
		if err != nil {
			log.Error("derive a key", "err", err)
			return nil
		}
		return ed25519.NewKeyFromSeed(seed)
	}
	return func(c *statev1.Cluster, n *statev1.Node) providers.Keys {
		k := providers.Keys{User: key("ssh", "user", c.GetId()), Host: key("ssh", "host", n.GetId())}
		if n.GetAgentId() == "" {
			k.FirstHost = key("ssh", "first-host", n.GetId())
		}
		return k
	}
}
