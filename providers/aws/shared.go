package aws

import (
	"context"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"aloft/providers"
)

func placementName(t providers.Tags) string { return "aloft-" + t.ClusterID }

// fastNetwork puts the machines of a gang close together and lets EFA's traffic out, for which the usual rule is not enough.
func (p *Provider) fastNetwork(ctx context.Context, pl *place, net network, m machineType, t providers.Tags, in *ec2.RunInstancesInput) error {
	name := placementName(t)
	if _, err := pl.shared.get(ctx, "placement "+name, func(ctx context.Context) (string, error) {
		_, err := pl.ec2.CreatePlacementGroup(ctx, &ec2.CreatePlacementGroupInput{
			GroupName: sdk.String(name), Strategy: types.PlacementStrategyCluster,
			TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypePlacementGroup, Tags: ours(t, name)}},
		})
		if hasCode(err, "InvalidPlacementGroup.Duplicate") {
			err = nil
		}
		return name, err
	}); err != nil {
		return err
	}
	in.Placement.GroupName = sdk.String(name)
	if !m.efa || p.set.securityGroup != "" {
		return nil
	}
	_, err := pl.shared.get(ctx, "egress "+net.group, func(ctx context.Context) (string, error) {
		err := pl.soon(ctx, func() (bool, error) {
			_, err := pl.ec2.AuthorizeSecurityGroupEgress(ctx, &ec2.AuthorizeSecurityGroupEgressInput{GroupId: sdk.String(net.group), IpPermissions: []types.IpPermission{
				{IpProtocol: sdk.String("-1"), UserIdGroupPairs: []types.UserIdGroupPair{{GroupId: sdk.String(net.group)}}},
			}})
			switch {
			case hasCode(err, "InvalidGroup.NotFound"):
				return false, nil
			case err != nil && !hasCode(err, "InvalidPermission.Duplicate"):
				return false, err
			}
			return true, nil
		})
		return "", err
	})
	return err
}

// Finish removes what the machines of a cluster shared. While one of them is still going, it fails as Transient.
func (p *Provider) Finish(ctx context.Context, t providers.Tags, region string) error {
	pl, err := p.at(ctx, region)
	if err != nil {
		return p.fault(ctx, "finish", region, err)
	}
	pl.shared.forget()
	out, err := pl.ec2.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: []types.Filter{
		filter("group-name", portsName(t)), filter("tag:"+tagInstallation, t.Installation), filter("tag:"+tagClusterID, t.ClusterID),
	}})
	if err != nil {
		return p.fault(ctx, "finish", region, err)
	}
	for _, g := range out.SecurityGroups {
		if _, err := pl.ec2.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: g.GroupId}); err != nil && !hasCode(err, "InvalidGroup.NotFound") {
			return p.fault(ctx, "finish", region, err)
		}
	}
	_, err = pl.ec2.DeletePlacementGroup(ctx, &ec2.DeletePlacementGroupInput{GroupName: sdk.String(placementName(t))})
	if err != nil && !hasCode(err, "InvalidPlacementGroup.Unknown") {
		return p.fault(ctx, "finish", region, err)
	}
	return nil
}
