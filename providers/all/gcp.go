//go:build !sky_omit_gcp

package all

import (
	"aloft/providers"
	"aloft/providers/gcp"
)

// addGCP puts Google Compute Engine into the table, unless the build leaves it out (-tags sky_omit_gcp).
func addGCP(t map[string]providers.Factory) { t[gcp.Name] = gcp.Factory() }
