//go:build sky_omit_gcp

package all

import "aloft/providers"

func addGCP(map[string]providers.Factory) {}
