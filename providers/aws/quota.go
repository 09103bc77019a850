package aws

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"

	"aloft/providers"
)

// limit is a quota of EC2 on the vCPUs of a family of types.
type limit struct {
	family         *regexp.Regexp // of the letters before the generation
	onDemand, spot string         // codes
	name           string
}

// limits are the families with quotas of their own; the first that fits counts.
// https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
func limits() []limit {
	return []limit{
		{regexp.MustCompile(`^p[5-9]`), "L-417A185B", "L-C4BD4855", "P"},
		{regexp.MustCompile(`^p\d`), "L-417A185B", "L-7212CCBC", "P"},
		{regexp.MustCompile(`^(g|gr|vt)\d`), "L-DB2E81BA", "L-3819A6DF", "G and VT"},
		{regexp.MustCompile(`^f\d`), "L-74FC7D96", "L-88CF9481", "F"},
		{regexp.MustCompile(`^inf\d`), "L-1945791B", "L-B5D1601B", "Inf"},
		{regexp.MustCompile(`^trn\d`), "L-2C3B7624", "L-6B0D517C", "Trn"},
		{regexp.MustCompile(`^dl\d`), "L-6E869C2A", "L-85EED4F7", "DL"},
		{regexp.MustCompile(`^x\d`), "L-7295265B", "L-E3A00192", "X"},
		{regexp.MustCompile(`^hpc\d`), "L-F7808C92", "", "HPC"},
		{regexp.MustCompile(`^u[-\d]`), "L-43DA4232", "", "high memory"},
		{regexp.MustCompile(`^(a|c|d|h|i|im|is|m|r|t|z)\d`), "L-1216C47A", "L-34B43A08", "standard (A, C, D, H, I, M, R, T, Z)"},
	}
}

// quotaOf is the quota that holds for a type; "" = none is known.
func quotaOf(instanceType string, spot bool) (code, name string) {
	for _, l := range limits() {
		if !l.family.MatchString(instanceType) {
			continue
		}
		if spot {
			return l.spot, "spot " + l.name
		}
		return l.onDemand, "on-demand " + l.name
	}
	return "", ""
}

// CheckQuota compares the vCPUs of the machines with the quota of their family. A quota that cannot be read says nothing.
func (p *Provider) CheckQuota(ctx context.Context, s providers.NodeSpec, nodes int) error {
	code, name := quotaOf(s.InstanceType, s.Spot)
	if code == "" {
		return nil
	}
	pl, err := p.at(ctx, s.Region)
	if err != nil {
		return p.fault(ctx, "quota", s.Region, err)
	}
	out, err := pl.quotas.GetServiceQuota(ctx, &servicequotas.GetServiceQuotaInput{ServiceCode: sdk.String("ec2"), QuotaCode: sdk.String(code)})
	if ctx.Err() != nil {
		return p.fault(ctx, "quota", s.Region, err)
	}
	if err != nil || out.Quota == nil || out.Quota.Value == nil {
		return nil // the create call will tell
	}
	vcpus := s.CPUs
	if vcpus == 0 {
		m, err := pl.machine(ctx, s.InstanceType)
		if err != nil {
			return p.fault(ctx, "quota", s.Region, err)
		}
		vcpus = float64(m.vcpus)
	}
	need, have := vcpus*float64(max(nodes, 1)), *out.Quota.Value
	if need <= have {
		return nil
	}
	return &providers.Error{Provider: Name, Op: "quota", Kind: providers.Quota, Scope: providers.ScopeRegion, Code: code,
		Err: errorf("%d machines of %s need %g vCPUs; the account may have %g of %s in %s", max(nodes, 1), s.InstanceType, need, have, strings.TrimSpace(name), pl.region),
		Hint: fmt.Sprintf("run `aws service-quotas request-service-quota-increase --service-code ec2 --quota-code %s --desired-value %g --region %s%s`",
			code, need, pl.region, p.profileFlag())}
}
