//go:build sky_omit_aws

package all

import "aloft/providers"

func addAWS(map[string]providers.Factory) {}
