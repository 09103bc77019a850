// Package all is the explicit table of the providers of this build. Each has a file of its own; the build tag sky_omit_NAME
// leaves it out.
package all

import (
	"aloft/providers"
	"aloft/providers/local"
	"aloft/providers/ssh"
)

// Table maps names to factories.
func Table() map[string]providers.Factory {
	t := map[string]providers.Factory{
		local.Name: local.Factory(),
		ssh.Name:   ssh.Factory(),
	}
	addAWS(t)
	addGCP(t)
	return t
}
