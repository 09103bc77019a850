package aws

import (
	"cmp"
	"context"
	"encoding/base64"
	"strings"
	"sync"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"aloft/providers"
	"aloft/providers/boot"
)

// Create runs one instance. Everything that ends it is in the call: what a shutdown from within does, and the boot script
// with the deadline; so are its tags.
func (p *Provider) Create(ctx context.Context, r providers.CreateRequest) (providers.Instance, error) {
	if err := p.tunnelTools("create"); err != nil {
		return providers.Instance{}, err
	}
	in, err := p.create(ctx, r)
	if err != nil {
		return providers.Instance{}, p.fault(ctx, "create", r.Spec.Region, err)
	}
	return in, nil
}

// staleTries is how often a create call is prepared anew because what was remembered of the region no longer holds, or is
// not known everywhere yet.
const staleTries = 4

func (p *Provider) create(ctx context.Context, r providers.CreateRequest) (providers.Instance, error) {
	switch {
	case r.Token == "":
		return providers.Instance{}, invalid("create", "no-token", "", "a create request needs a token")
	case r.Spec.InstanceType == "":
		return providers.Instance{}, invalid("create", "no-type", "", "a create request needs an instance type")
	}
	pl, err := p.at(ctx, r.Spec.Region)
	if err != nil {
		return providers.Instance{}, err
	}
	pause := 250 * time.Millisecond
	for try := 1; ; try++ {
		in, err := p.request(ctx, pl, r)
		if err != nil {
			return providers.Instance{}, err
		}
		out, err := pl.ec2.RunInstances(ctx, in)
		switch {
		case err == nil && len(out.Instances) > 0:
			return p.created(pl.region, out.Instances[0], r), nil
		case err == nil:
			return providers.Instance{}, &providers.Error{Provider: Name, Op: "create", Kind: providers.Transient, Scope: providers.ScopeZone, Code: "empty", Err: errorf("EC2 answered without a machine")}
		case try < staleTries && hasCode(err, "InvalidGroup.NotFound", "InvalidSubnetID.NotFound", "InvalidPlacementGroup.Unknown", "InvalidSecurityGroupID.NotFound"):
			pl.nets.forget()
			pl.shared.forget()
		case try == 1 && hasCode(err, "InvalidAMIID.", "InvalidBlockDeviceMapping"):
			pl.images.forget()
		default:
			return providers.Instance{}, err
		}
		if err := wait(ctx, pause); err != nil {
			return providers.Instance{}, err
		}
		pause *= 2
	}
}

// created is the machine of a create call; a repeated call may answer with one that has no tags in it.
func (p *Provider) created(region string, i types.Instance, r providers.CreateRequest) providers.Instance {
	in := instanceOf(region, i)
	in.Token, in.Tags = r.Token, r.Tags
	if in.Deadline.IsZero() && !r.Deadline.IsZero() {
		in.Deadline = r.Deadline.Truncate(time.Second)
	}
	return in
}

// request is the create call: the same for the same request, so that a repeated one gives the same machine.
func (p *Provider) request(ctx context.Context, pl *place, r providers.CreateRequest) (*ec2.RunInstancesInput, error) {
	tags, err := tagsOf(r)
	if err != nil {
		return nil, err
	}
	lease := r.Lease
	if lease.IsZero() {
		lease = r.Deadline
	}
	script, err := boot.Script{User: p.set.user, Keys: r.Keys, Deadline: lease, Issued: r.Issued}.Bytes()
	if err != nil {
		return nil, invalid("create", "boot", "", "%v", err)
	}
	var (
		m   machineType
		img image
		net network
	)
	if err := both(ctx, func(ctx context.Context) (err error) {
		if m, err = pl.machine(ctx, r.Spec.InstanceType); err == nil {
			img, err = p.image(ctx, pl, r.Spec.Image, m)
		}
		return err
	}, func(ctx context.Context) (err error) {
		net, err = p.network(ctx, pl, r.Tags)
		return err
	}); err != nil {
		return nil, err
	}
	zone := cmp.Or(net.names[r.Spec.Zone], r.Spec.Zone) // a catalogue may have ids
	if zone == "" {
		if zone, err = pl.zoneOf(ctx, r.Spec.InstanceType, func(z string) bool { return net.subnets[z] != "" }); err != nil {
			return nil, err
		}
	}
	if net.subnets[zone] == "" {
		e := invalid("create", "no-subnet", "run `aws ec2 create-default-subnet --availability-zone "+zone+" --region "+pl.region+"`, or name a subnet in the settings of aws",
			"the network of aws/%s has no subnet in the zone %s", pl.region, zone)
		e.Scope = providers.ScopeZone
		return nil, e
	}
	disk, err := p.set.rootDisk(r.Spec, img)
	if err != nil {
		return nil, err
	}
	groups := []string{net.group}
	if g, err := p.portsGroup(ctx, pl, net.vpc, r.Spec.Ports, r.Tags); err != nil {
		return nil, err
	} else if g != "" {
		groups = append(groups, g)
	}
	hops := int32(1)
	if strings.HasPrefix(r.Spec.Image, dockerPrefix) {
		hops = 2 // containers are a hop further from the metadata service
	}
	in := &ec2.RunInstancesInput{
		ClientToken: sdk.String(r.Token), MinCount: sdk.Int32(1), MaxCount: sdk.Int32(1),
		ImageId: sdk.String(img.id), InstanceType: types.InstanceType(r.Spec.InstanceType),
		UserData:                          sdk.String(base64.StdEncoding.EncodeToString(script)),
		InstanceInitiatedShutdownBehavior: types.ShutdownBehaviorTerminate,
		MetadataOptions: &types.InstanceMetadataOptionsRequest{
			HttpTokens: types.HttpTokensStateRequired, HttpPutResponseHopLimit: sdk.Int32(hops), HttpEndpoint: types.InstanceMetadataEndpointStateEnabled,
		},
		BlockDeviceMappings: []types.BlockDeviceMapping{disk},
		Placement:           &types.Placement{AvailabilityZone: sdk.String(zone)},
		TagSpecifications: []types.TagSpecification{
			{ResourceType: types.ResourceTypeInstance, Tags: tags}, {ResourceType: types.ResourceTypeVolume, Tags: tags}, {ResourceType: types.ResourceTypeNetworkInterface, Tags: tags},
		},
	}
	fast := r.Spec.NetworkTier == "best" && r.Spec.Nodes > 1
	in.NetworkInterfaces = p.interfaces(net.subnets[zone], groups, m, fast)
	if fast {
		if err := p.fastNetwork(ctx, pl, net, m, r.Tags, in); err != nil {
			return nil, err
		}
	}
	if r.Spec.Spot {
		in.InstanceMarketOptions = &types.InstanceMarketOptionsRequest{MarketType: types.MarketTypeSpot, SpotOptions: &types.SpotMarketOptions{
			SpotInstanceType: types.SpotInstanceTypeOneTime, InstanceInterruptionBehavior: types.InstanceInterruptionBehaviorTerminate,
		}}
	}
	if name := p.set.instanceProfile; strings.HasPrefix(name, "arn:") {
		in.IamInstanceProfile = &types.IamInstanceProfileSpecification{Arn: sdk.String(name)}
	} else if name != "" {
		in.IamInstanceProfile = &types.IamInstanceProfileSpecification{Name: sdk.String(name)}
	}
	return in, nil
}

// interfaces are the network interfaces of a machine: one, or with EFA and private addresses one on each card that has it.
// EC2 gives no public address to a machine with several.
func (p *Provider) interfaces(subnet string, groups []string, m machineType, fast bool) []types.InstanceNetworkInterfaceSpecification {
	first := types.InstanceNetworkInterfaceSpecification{
		DeviceIndex: sdk.Int32(0), SubnetId: sdk.String(subnet), Groups: groups, DeleteOnTermination: sdk.Bool(true),
		AssociatePublicIpAddress: sdk.Bool(!p.set.useInternalIPs),
	}
	if !fast || !m.efa {
		return []types.InstanceNetworkInterfaceSpecification{first}
	}
	first.InterfaceType = sdk.String("efa")
	out := []types.InstanceNetworkInterfaceSpecification{first}
	if !p.set.useInternalIPs || m.cards < 2 {
		return out
	}
	out[0].AssociatePublicIpAddress = nil
	for card := int32(1); card < m.cards; card++ {
		out = append(out, types.InstanceNetworkInterfaceSpecification{
			NetworkCardIndex: sdk.Int32(card), DeviceIndex: sdk.Int32(1), SubnetId: sdk.String(subnet), Groups: groups,
			DeleteOnTermination: sdk.Bool(true), InterfaceType: sdk.String("efa"),
		})
	}
	return out
}

// both runs two things at once; the error of the first that fails ends the other.
func both(ctx context.Context, a, b func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		once  sync.Once
		first error
		wg    sync.WaitGroup
	)
	for _, f := range []func(context.Context) error{a, b} {
		wg.Go(func() {
			if err := f(ctx); err != nil {
				once.Do(func() { first = err; cancel() })
			}
		})
	}
	wg.Wait()
	return first
}
