//go:build !sky_omit_aws

package all

import (
	"aloft/providers"
	"aloft/providers/aws"
)

// addAWS puts Amazon EC2 into the table, unless the build leaves it out (-tags sky_omit_aws).
func addAWS(t map[string]providers.Factory) { t[aws.Name] = aws.Factory() }
