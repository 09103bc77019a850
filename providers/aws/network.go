package aws

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"aloft/providers"
)

// network is where the machines of a region live.
type network struct {
	vpc     string
	subnets map[string]string // zone -> subnet
	names   map[string]string // zones by id: use1-az1 is us-east-1a for one account, another one for the next
	group   string            // security group of every machine
}

// zones are those that have a subnet, sorted.
func (n network) zones() []string { return slices.Sorted(maps.Keys(n.subnets)) }

// network finds the network and makes our security group in it, once for all machines of an installation.
func (p *Provider) network(ctx context.Context, pl *place, t providers.Tags) (network, error) {
	return pl.nets.get(ctx, t.Installation, func(ctx context.Context) (network, error) {
		n, err := p.findNetwork(ctx, pl)
		if err != nil {
			return n, err
		}
		if p.set.securityGroup != "" {
			n.group, err = pl.namedGroup(ctx, n.vpc, p.set.securityGroup)
			return n, err
		}
		name := "aloft-" + t.Installation
		n.group, err = pl.ensureGroup(ctx, n.vpc, name, "Machines of Aloft: SSH, and each other", ours(providers.Tags{Installation: t.Installation}, name), func(id string) []types.IpPermission {
			return append(p.sshRules(), types.IpPermission{IpProtocol: sdk.String("-1"), UserIdGroupPairs: []types.UserIdGroupPair{{GroupId: sdk.String(id)}}})
		})
		return n, err
	})
}

// findNetwork finds the VPC and one subnet for each of its zones.
func (p *Provider) findNetwork(ctx context.Context, pl *place) (network, error) {
	n := network{subnets: map[string]string{}, names: map[string]string{}}
	in := &ec2.DescribeSubnetsInput{}
	if len(p.set.subnets) > 0 {
		in.SubnetIds = p.set.subnets
	} else {
		vpc, err := p.findVPC(ctx, pl)
		if err != nil {
			return n, err
		}
		in.Filters = []types.Filter{filter("vpc-id", vpc), filter("state", "available")}
	}
	var subnets []types.Subnet
	pages := ec2.NewDescribeSubnetsPaginator(pl.ec2, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return n, err
		}
		subnets = append(subnets, page.Subnets...)
	}
	// Of several in a zone: one that machines can be reached in, then the roomiest, then by name.
	slices.SortFunc(subnets, func(a, b types.Subnet) int {
		return cmp.Or(rank(b)-rank(a), int(sdk.ToInt32(b.AvailableIpAddressCount)-sdk.ToInt32(a.AvailableIpAddressCount)), strings.Compare(sdk.ToString(a.SubnetId), sdk.ToString(b.SubnetId)))
	})
	for _, s := range subnets {
		if n.vpc == "" {
			n.vpc = sdk.ToString(s.VpcId)
		}
		zone := sdk.ToString(s.AvailabilityZone)
		if _, ok := n.subnets[zone]; !ok && sdk.ToString(s.VpcId) == n.vpc {
			n.subnets[zone] = sdk.ToString(s.SubnetId)
			n.names[sdk.ToString(s.AvailabilityZoneId)] = zone
		}
	}
	if len(n.subnets) == 0 {
		return n, invalid("create", "no-subnet", fmt.Sprintf("run `aws ec2 create-default-subnet --availability-zone ZONE --region %s`, or name subnets in the settings of aws", pl.region),
			"the network of aws/%s has no subnet", pl.region)
	}
	return n, nil
}

// rank is higher for subnets whose machines get an address that is reached from outside.
func rank(s types.Subnet) int {
	switch {
	case sdk.ToBool(s.DefaultForAz):
		return 2
	case sdk.ToBool(s.MapPublicIpOnLaunch):
		return 1
	}
	return 0
}

func (p *Provider) findVPC(ctx context.Context, pl *place) (string, error) {
	in := &ec2.DescribeVpcsInput{}
	switch v := p.set.vpc; {
	case v == "":
		in.Filters = []types.Filter{filter("is-default", "true")}
	case strings.HasPrefix(v, "vpc-"):
		in.VpcIds = []string{v}
	default:
		in.Filters = []types.Filter{filter("tag:Name", v)}
	}
	out, err := pl.ec2.DescribeVpcs(ctx, in)
	if err != nil {
		return "", err
	}
	switch {
	case len(out.Vpcs) == 0 && p.set.vpc == "":
		return "", invalid("create", "no-default-vpc", fmt.Sprintf("run `aws ec2 create-default-vpc --region %s`, or name a network: vpc in the settings of aws", pl.region),
			"aws/%s has no default VPC", pl.region)
	case len(out.Vpcs) == 0:
		return "", invalid("create", "no-vpc", "correct vpc in the settings of aws", "aws/%s has no VPC %q", pl.region, p.set.vpc)
	case len(out.Vpcs) > 1:
		return "", invalid("create", "vpc", "name the VPC by its id: vpc in the settings of aws", "aws/%s has %d VPCs named %q", pl.region, len(out.Vpcs), p.set.vpc)
	}
	return sdk.ToString(out.Vpcs[0].VpcId), nil
}

// namedGroup is a group that is not ours.
func (pl *place) namedGroup(ctx context.Context, vpc, name string) (string, error) {
	if strings.HasPrefix(name, "sg-") {
		return name, nil
	}
	g, err := pl.findGroup(ctx, vpc, name)
	if err != nil {
		return "", err
	}
	if g == nil {
		return "", invalid("create", "InvalidGroup.NotFound", "correct security_group in the settings of aws", "there is no security group %q in %s of aws/%s", name, vpc, pl.region)
	}
	return sdk.ToString(g.GroupId), nil
}

func (pl *place) findGroup(ctx context.Context, vpc, name string) (*types.SecurityGroup, error) {
	out, err := pl.ec2.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: []types.Filter{filter("group-name", name), filter("vpc-id", vpc)}})
	if err != nil {
		return nil, err
	}
	if len(out.SecurityGroups) == 0 {
		return nil, nil
	}
	return &out.SecurityGroups[0], nil
}

// ensureGroup makes a security group with exactly these rules for what comes in. Others may do the same at the same time.
func (pl *place) ensureGroup(ctx context.Context, vpc, name, what string, tags []types.Tag, rules func(id string) []types.IpPermission) (string, error) {
	g, err := pl.findGroup(ctx, vpc, name)
	if err != nil {
		return "", err
	}
	if g == nil {
		out, err := pl.ec2.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{
			GroupName: sdk.String(name), Description: sdk.String(what), VpcId: sdk.String(vpc),
			TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeSecurityGroup, Tags: tags}},
		})
		switch {
		case hasCode(err, "InvalidGroup.Duplicate"):
			// Somebody was faster; listings may not show it yet.
			if err := pl.soon(ctx, func() (bool, error) {
				g, err = pl.findGroup(ctx, vpc, name)
				return g != nil, err
			}); err != nil {
				return "", err
			}
		case err != nil:
			return "", err
		default:
			g = &types.SecurityGroup{GroupId: out.GroupId}
		}
	}
	if g == nil {
		return "", &providers.Error{Provider: Name, Op: "create", Kind: providers.Transient, Scope: providers.ScopeRegion, Code: "InvalidGroup.NotFound",
			Err: errorf("the new security group %s is not shown yet", name)}
	}
	id := sdk.ToString(g.GroupId)
	want := atoms(rules(id))
	have := atoms(g.IpPermissions)
	for _, key := range keys(want) {
		if _, ok := have[key]; ok {
			continue
		}
		if err := pl.allow(ctx, id, want[key]); err != nil {
			return "", err
		}
	}
	for _, key := range keys(have) {
		if _, ok := want[key]; ok {
			continue
		}
		_, err := pl.ec2.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: sdk.String(id), IpPermissions: []types.IpPermission{have[key]}})
		if err != nil && !hasCode(err, "InvalidPermission.NotFound") {
			return "", err
		}
	}
	return id, nil
}

// allow adds a rule; one that is there already is fine, and a group that was just made may not be known everywhere yet.
func (pl *place) allow(ctx context.Context, id string, rule types.IpPermission) error {
	return pl.soon(ctx, func() (bool, error) {
		_, err := pl.ec2.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: sdk.String(id), IpPermissions: []types.IpPermission{rule}})
		switch {
		case hasCode(err, "InvalidGroup.NotFound"):
			return false, nil
		case err != nil && !hasCode(err, "InvalidPermission.Duplicate"):
			return false, err
		}
		return true, nil
	})
}

// soon asks again for a few seconds, until something that was made is known everywhere.
func (pl *place) soon(ctx context.Context, done func() (bool, error)) error {
	pause := 50 * time.Millisecond
	for range 8 {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		if err := wait(ctx, pause); err != nil {
			return err
		}
		pause *= 2
	}
	return &providers.Error{Provider: Name, Op: "create", Kind: providers.Transient, Scope: providers.ScopeRegion, Code: "not-visible",
		Err: errorf("what was just made in %s is not shown yet", pl.region)}
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// atoms are rules with one source each, by what they allow.
func atoms(rules []types.IpPermission) map[string]types.IpPermission {
	out := map[string]types.IpPermission{}
	for _, r := range rules {
		base := types.IpPermission{IpProtocol: r.IpProtocol, FromPort: r.FromPort, ToPort: r.ToPort}
		key := func(kind, source string) string {
			if sdk.ToString(r.IpProtocol) == "-1" {
				return strings.Join([]string{"-1", kind, source}, " ")
			}
			return fmt.Sprintf("%s %d-%d %s %s", sdk.ToString(r.IpProtocol), sdk.ToInt32(r.FromPort), sdk.ToInt32(r.ToPort), kind, source)
		}
		for _, x := range r.IpRanges {
			one := base
			one.IpRanges = []types.IpRange{{CidrIp: x.CidrIp}}
			out[key("4", sdk.ToString(x.CidrIp))] = one
		}
		for _, x := range r.Ipv6Ranges {
			one := base
			one.Ipv6Ranges = []types.Ipv6Range{{CidrIpv6: x.CidrIpv6}}
			out[key("6", sdk.ToString(x.CidrIpv6))] = one
		}
		for _, x := range r.UserIdGroupPairs {
			one := base
			one.UserIdGroupPairs = []types.UserIdGroupPair{{GroupId: x.GroupId}}
			out[key("g", sdk.ToString(x.GroupId))] = one
		}
		for _, x := range r.PrefixListIds {
			one := base
			one.PrefixListIds = []types.PrefixListId{{PrefixListId: x.PrefixListId}}
			out[key("p", sdk.ToString(x.PrefixListId))] = one
		}
	}
	return out
}

func keys(m map[string]types.IpPermission) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

const sshPort = 22

// sshRules let SSH in from where the settings say.
func (p *Provider) sshRules() []types.IpPermission { return portRules(sshPort, sshPort, p.set.sshFrom) }

// portRules let TCP in at some ports.
func portRules(from, to int32, sources []netip.Prefix) []types.IpPermission {
	var out []types.IpPermission
	for _, n := range sources {
		r := types.IpPermission{IpProtocol: sdk.String("tcp"), FromPort: sdk.Int32(from), ToPort: sdk.Int32(to)}
		if n.Addr().Is4() {
			r.IpRanges = []types.IpRange{{CidrIp: sdk.String(n.String())}}
		} else {
			r.Ipv6Ranges = []types.Ipv6Range{{CidrIpv6: sdk.String(n.String())}}
		}
		out = append(out, r)
	}
	return out
}

// portsGroup is the group that opens the ports of a cluster; "" when it opens none.
func (p *Provider) portsGroup(ctx context.Context, pl *place, vpc string, ports []string, t providers.Tags) (string, error) {
	if len(ports) == 0 {
		return "", nil
	}
	var rules []types.IpPermission
	for _, s := range ports {
		from, to, err := portRange(s)
		if err != nil {
			return "", err
		}
		rules = append(rules, portRules(from, to, anywhere())...)
	}
	name := portsName(t)
	return pl.shared.get(ctx, name+" "+strings.Join(ports, ","), func(ctx context.Context) (string, error) {
		return pl.ensureGroup(ctx, vpc, name, "Ports of a cluster of Aloft", ours(t, name), func(string) []types.IpPermission { return rules })
	})
}

func anywhere() []netip.Prefix {
	return []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
}

func portsName(t providers.Tags) string { return "aloft-ports-" + t.ClusterID }

// portRange reads "8080" or "8000-8010".
func portRange(s string) (from, to int32, err error) {
	a, b, ok := strings.Cut(s, "-")
	if !ok {
		b = a
	}
	x, xerr := strconv.ParseUint(strings.TrimSpace(a), 10, 16)
	y, yerr := strconv.ParseUint(strings.TrimSpace(b), 10, 16)
	if xerr != nil || yerr != nil || x == 0 || x > y {
		return 0, 0, invalid("create", "ports", "correct `ports` of the task", "ports: %q is neither a port nor a range such as 8000-8010", s)
	}
	return int32(x), int32(y), nil
}
