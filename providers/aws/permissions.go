package aws

import (
	"context"
	"encoding/json"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/pricing"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"aloft/providers"
)

// need is one permission, what it is for, and a harmless call that tells whether it is there: a reading one, or a dry run.
type need struct {
	action   string
	purpose  string
	resource string // of the policy
	optional bool   // machines can be had without it
	try      func(ctx context.Context, pl *place, x subjects) error
}

// subjects are what dry runs speak of.
type subjects struct {
	instance, group, subnet, vpc, image string
}

func noSubjects() subjects {
	return subjects{
		instance: "i-00000000000000000", group: "sg-00000000000000000", subnet: "subnet-00000000000000000", vpc: "vpc-00000000000000000", image: "ami-00000000000000000",
	}
}

// Resources of the policy.
const (
	anything   = "*"
	instances  = "arn:aws:ec2:*:*:instance/*"
	groups     = "arn:aws:ec2:*:*:security-group/*"
	parameter  = "arn:aws:ssm:*::parameter/aws/service/*"
	spotRole   = "arn:aws:iam::*:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot"
	nothingYet = "aloft-check"
)

// needs are all permissions that this package uses.
func needs() []need {
	yes := sdk.Bool(true)
	few := sdk.Int32(5)
	rule := func(x subjects) []types.IpPermission {
		return []types.IpPermission{{IpProtocol: sdk.String("tcp"), FromPort: sdk.Int32(sshPort), ToPort: sdk.Int32(sshPort), IpRanges: []types.IpRange{{CidrIp: sdk.String("192.0.2.0/24")}}}}
	}
	return []need{
		{"ec2:DescribeRegions", "to know the regions of the account", anything, false, func(ctx context.Context, pl *place, _ subjects) error {
			_, err := pl.ec2.DescribeRegions(ctx, &ec2.DescribeRegionsInput{DryRun: yes})
			return err
		}},
		{"ec2:DescribeInstances", "to see machines", anything, false, func(ctx context.Context, pl *place, _ subjects) error {
			_, err := pl.ec2.DescribeInstances(ctx, &ec2.DescribeInstancesInput{DryRun: yes, MaxResults: few})
			return err
		}},
		{"ec2:DescribeInstanceTypes", "to learn what a type is", anything, false, func(ctx context.Context, pl *place, _ subjects) error {
			_, err := pl.ec2.DescribeInstanceTypes(ctx, &ec2.DescribeInstanceTypesInput{DryRun: yes, MaxResults: few})
			return err
		}},
		{"ec2:DescribeInstanceTypeOfferings", "to learn which zones have a type", anything, false, func(ctx context.Context, pl *place, _ subjects) error {
			_, err := pl.ec2.DescribeInstanceTypeOfferings(ctx, &ec2.DescribeInstanceTypeOfferingsInput{DryRun: yes, MaxResults: few})
			return err
		}},
		{"ec2:DescribeImages", "to look images up", anything, false, func(ctx context.Context, pl *place, x subjects) error {
			_, err := pl.ec2.DescribeImages(ctx, &ec2.DescribeImagesInput{DryRun: yes, Owners: []string{"self"}})
			return err
		}},
		{"ec2:DescribeVpcs", "to find the network", anything, false, func(ctx context.Context, pl *place, _ subjects) error {
			_, err := pl.ec2.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{DryRun: yes, MaxResults: few})
			return err
		}},
		{"ec2:DescribeSubnets", "to find the network", anything, false, func(ctx context.Context, pl *place, _ subjects) error {
			_, err := pl.ec2.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{DryRun: yes, MaxResults: few})
			return err
		}},
		{"ec2:DescribeSecurityGroups", "to find our security group", anything, false, func(ctx context.Context, pl *place, _ subjects) error {
			_, err := pl.ec2.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{DryRun: yes, MaxResults: few})
			return err
		}},
		{"ec2:CreateSecurityGroup", "to allow SSH, and nothing else", anything, false, func(ctx context.Context, pl *place, x subjects) error {
			_, err := pl.ec2.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{DryRun: yes, GroupName: sdk.String(nothingYet), Description: sdk.String(nothingYet), VpcId: sdk.String(x.vpc)})
			return err
		}},
		{"ec2:AuthorizeSecurityGroupIngress", "to allow SSH and a task's ports", groups, false, func(ctx context.Context, pl *place, x subjects) error {
			_, err := pl.ec2.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{DryRun: yes, GroupId: sdk.String(x.group), IpPermissions: rule(x)})
			return err
		}},
		{"ec2:AuthorizeSecurityGroupEgress", "to let EFA's traffic out", groups, false, func(ctx context.Context, pl *place, x subjects) error {
			_, err := pl.ec2.AuthorizeSecurityGroupEgress(ctx, &ec2.AuthorizeSecurityGroupEgressInput{DryRun: yes, GroupId: sdk.String(x.group), IpPermissions: rule(x)})
			return err
		}},
		{"ec2:RevokeSecurityGroupIngress", "to close what is no longer to be open", groups, false, func(ctx context.Context, pl *place, x subjects) error {
			_, err := pl.ec2.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{DryRun: yes, GroupId: sdk.String(x.group), IpPermissions: rule(x)})
			return err
		}},
		{"ec2:DeleteSecurityGroup", "to remove the group of a cluster's ports", groups, false, func(ctx context.Context, pl *place, x subjects) error {
			_, err := pl.ec2.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{DryRun: yes, GroupId: sdk.String(x.group)})
			return err
		}},
		{"ec2:CreatePlacementGroup", "to put the machines of a gang close together", anything, false, func(ctx context.Context, pl *place, _ subjects) error {
			_, err := pl.ec2.CreatePlacementGroup(ctx, &ec2.CreatePlacementGroupInput{DryRun: yes, GroupName: sdk.String(nothingYet), Strategy: types.PlacementStrategyCluster})
			return err
		}},
		{"ec2:DeletePlacementGroup", "to remove the placement group of a gang", anything, false, func(ctx context.Context, pl *place, _ subjects) error {
			_, err := pl.ec2.DeletePlacementGroup(ctx, &ec2.DeletePlacementGroupInput{DryRun: yes, GroupName: sdk.String(nothingYet)})
			return err
		}},
		{"ec2:RunInstances", "to create machines", anything, false, func(ctx context.Context, pl *place, x subjects) error {
			_, err := pl.ec2.RunInstances(ctx, &ec2.RunInstancesInput{DryRun: yes, MinCount: sdk.Int32(1), MaxCount: sdk.Int32(1), ImageId: sdk.String(x.image), InstanceType: "t3.micro", SubnetId: sdk.String(x.subnet)})
			return err
		}},
		{"ec2:CreateTags", "to mark what is ours", "arn:aws:ec2:*:*:*/*", false, func(ctx context.Context, pl *place, x subjects) error {
			_, err := pl.ec2.CreateTags(ctx, &ec2.CreateTagsInput{DryRun: yes, Resources: []string{x.instance}, Tags: []types.Tag{{Key: sdk.String(tagDeadline), Value: sdk.String("0")}}})
			return err
		}},
		{"ec2:TerminateInstances", "to end machines", instances, false, func(ctx context.Context, pl *place, x subjects) error {
			_, err := pl.ec2.TerminateInstances(ctx, &ec2.TerminateInstancesInput{DryRun: yes, InstanceIds: []string{x.instance}})
			return err
		}},
		{"ec2:StopInstances", "to stop machines", instances, false, func(ctx context.Context, pl *place, x subjects) error {
			_, err := pl.ec2.StopInstances(ctx, &ec2.StopInstancesInput{DryRun: yes, InstanceIds: []string{x.instance}})
			return err
		}},
		{"ec2:StartInstances", "to start stopped machines", instances, false, func(ctx context.Context, pl *place, x subjects) error {
			_, err := pl.ec2.StartInstances(ctx, &ec2.StartInstancesInput{DryRun: yes, InstanceIds: []string{x.instance}})
			return err
		}},
		{"ec2:ModifyInstanceAttribute", "to say whether a machine that shuts down is stopped or ended", instances, false, func(ctx context.Context, pl *place, x subjects) error {
			_, err := pl.ec2.ModifyInstanceAttribute(ctx, &ec2.ModifyInstanceAttributeInput{DryRun: yes, InstanceId: sdk.String(x.instance), InstanceInitiatedShutdownBehavior: &types.AttributeValue{Value: sdk.String("terminate")}})
			return err
		}},
		{"ec2:GetConsoleOutput", "to see why a machine does not come up", instances, false, func(ctx context.Context, pl *place, x subjects) error {
			_, err := pl.ec2.GetConsoleOutput(ctx, &ec2.GetConsoleOutputInput{DryRun: yes, InstanceId: sdk.String(x.instance)})
			return err
		}},
		{"ssm:GetParameter", "to find today's public images", parameter, false, func(ctx context.Context, pl *place, _ subjects) error {
			_, err := pl.ssm.GetParameter(ctx, &ssm.GetParameterInput{Name: sdk.String(parameters(machineType{arch: archX86})[0])})
			return err
		}},
		{"servicequotas:GetServiceQuota", "to see beforehand what the account may not have", anything, true, func(ctx context.Context, pl *place, _ subjects) error {
			code, _ := quotaOf("m5.large", false)
			_, err := pl.quotas.GetServiceQuota(ctx, &servicequotas.GetServiceQuotaInput{ServiceCode: sdk.String("ec2"), QuotaCode: sdk.String(code)})
			return err
		}},
		{"ec2:DescribeSpotPriceHistory", "by `sky catalog update --from api`", anything, true, func(ctx context.Context, pl *place, _ subjects) error {
			_, err := pl.ec2.DescribeSpotPriceHistory(ctx, &ec2.DescribeSpotPriceHistoryInput{DryRun: yes, MaxResults: few})
			return err
		}},
		{"pricing:GetProducts", "by `sky catalog update --from api`", anything, true, func(ctx context.Context, pl *place, _ subjects) error {
			_, err := pl.prices.GetProducts(ctx, &pricing.GetProductsInput{ServiceCode: sdk.String("AmazonEC2"), MaxResults: sdk.Int32(1)})
			return err
		}},
	}
}

// statement is a part of a policy.
type statement struct {
	Sid       string
	Effect    string
	Action    []string
	Resource  any
	Condition map[string]map[string]string `json:",omitempty"`
}

// Policy is the IAM policy that grants exactly what this package uses, as JSON.
func Policy() ([]byte, error) {
	titles := map[string]string{anything: "Use", groups: "Groups", instances: "Machines", parameter: "Images", "arn:aws:ec2:*:*:*/*": "Tags"}
	var out []*statement
	by := map[string]*statement{}
	for _, n := range needs() {
		s := by[n.resource]
		if s == nil {
			s = &statement{Sid: "Aloft" + titles[n.resource], Effect: "Allow", Resource: n.resource}
			by[n.resource] = s
			out = append(out, s)
		}
		s.Action = append(s.Action, n.action)
	}
	// The first spot machine of an account makes the role that EC2 uses for them.
	out = append(out, &statement{
		Sid: "AloftSpot", Effect: "Allow", Action: []string{"iam:CreateServiceLinkedRole"}, Resource: spotRole,
		Condition: map[string]map[string]string{"StringLike": {"iam:AWSServiceName": "spot.amazonaws.com"}},
	})
	b, err := json.MarshalIndent(map[string]any{"Version": "2012-10-17", "Statement": out}, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}

// fix is the command that grants whoever asks what is missing.
func fix(arn string) string {
	const document = "--policy-name aloft --policy-document file://docs/aws-policy.json"
	_, rest, _ := strings.Cut(arn, "::")
	_, who, _ := strings.Cut(rest, ":")
	kind, name, _ := strings.Cut(who, "/")
	switch kind {
	case "user":
		return "aws iam put-user-policy --user-name " + name[strings.LastIndexByte(name, '/')+1:] + " " + document
	case "assumed-role":
		role, _, _ := strings.Cut(name, "/")
		if set, ok := strings.CutPrefix(role, "AWSReservedSSO_"); ok {
			if i := strings.LastIndexByte(set, '_'); i > 0 {
				set = set[:i]
			}
			return "aws sso-admin put-inline-policy-to-permission-set --instance-arn INSTANCE --permission-set-arn ARN_OF_" + set + " --inline-policy file://docs/aws-policy.json"
		}
		return "aws iam put-role-policy --role-name " + role + " " + document
	}
	return "aws iam put-user-policy --user-name USER " + document
}

// CheckAccount says who we are and which permissions are missing. It makes and changes nothing.
func (p *Provider) CheckAccount(ctx context.Context) (providers.Account, error) {
	a, err := p.checkAccount(ctx)
	if err != nil {
		return providers.Account{}, p.fault(ctx, "check", p.set.region, err)
	}
	return a, nil
}
