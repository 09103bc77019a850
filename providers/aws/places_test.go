package aws_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"aloft/providers"
	"aloft/providers/aws"
	"aloft/providers/aws/ec2lab"
)

// TestFirstCreates makes the first machines of an account at once: in one process and in several that know nothing of each
// other. One security group comes of it, with each rule once.
func TestFirstCreates(t *testing.T) {
	t.Parallel()
	l := newLab(t, ec2lab.Options{Through: 1})
	var all []*aws.Provider
	for range 4 {
		all = append(all, provider(t, l, nil))
	}
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			r := request(fmt.Sprintf("first-%d", i), func(r *providers.CreateRequest) { r.Spec.Ports = []string{"8080"} })
			if _, err := all[i%len(all)].Create(t.Context(), r); err != nil {
				t.Errorf("create %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	groups := map[string]bool{}
	for _, m := range l.Instances() {
		groups[strings.Join(m.Groups, " ")] = true
	}
	if len(l.Instances()) != 16 || len(groups) != 1 {
		t.Errorf("%d machines with the groups %v", len(l.Instances()), groups)
	}
	out, err := client(l).DescribeSecurityGroups(t.Context(), &ec2.DescribeSecurityGroupsInput{})
	if err != nil {
		t.Fatal(err)
	}
	ours := 0
	for _, g := range out.SecurityGroups {
		if strings.HasPrefix(sdk.ToString(g.GroupName), "aloft-") {
			ours++
		}
	}
	if ours != 2 { // the installation's, and that of the cluster's ports
		t.Errorf("%d groups of ours, want 2", ours)
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	l := newLab(t, ec2lab.Options{Through: 1})
	p := provider(t, l, nil)
	public := map[string]string{"image": "", "image_arm64": "", "image_gpu": ""}
	form := func(token string) func(string) string {
		for _, c := range l.CallsOf("RunInstances") {
			if c.Form.Get("ClientToken") == "sky1-"+token {
				return c.Form.Get
			}
		}
		t.Fatalf("no call with the token %s", token)
		return nil
	}

	in := create(t, p, request("any-zone", func(r *providers.CreateRequest) { r.Spec.Zone = "" }))
	if in.Zone != "us-east-1a" {
		t.Errorf("no zone was asked for: made in %s", in.Zone)
	}
	in = create(t, p, request("west", func(r *providers.CreateRequest) { r.Spec.Region, r.Spec.Zone = "us-west-2", "us-west-2b" }))
	if in.Region != "us-west-2" || in.Zone != "us-west-2b" {
		t.Errorf("made in %s %s", in.Region, in.Zone)
	}
	seen := map[string]bool{}
	for x, err := range p.Describe(t.Context(), providers.Selector{Ours: true}) {
		if err != nil {
			t.Fatal(err)
		}
		seen[x.Region] = true
	}
	if len(seen) != 2 {
		t.Errorf("a sweep shows %v", seen)
	}

	in = create(t, p, request("spot", func(r *providers.CreateRequest) { r.Spec.Spot = true }))
	if f := form("spot"); f("InstanceMarketOptions.MarketType") != "spot" || f("InstanceMarketOptions.SpotOptions.SpotInstanceType") != "one-time" {
		t.Error("not asked for as spot")
	}
	eventually(t, "the spot machine runs", func() bool { return machine(t, l, in.ID).State == ec2lab.Running })
	if err := p.Stop(t.Context(), in.InstanceRef); providers.KindOf(err) != providers.Unsupported {
		t.Errorf("stop of a spot machine: %v", err)
	}
	l.Interrupt(in.ID, 0)
	eventually(t, "the end is explained", func() bool {
		for x := range p.Describe(t.Context(), providers.Selector{IDs: []string{in.ID}}) {
			return x.Reason == "preempted"
		}
		return false
	})

	for token, want := range map[string]struct{ kind, image, arch string }{
		"cpu": {small, "", "x86_64"}, "arm": {"m7g.large", "", "arm64"}, "gpu": {"g5.xlarge", "", "x86_64"}, "docker": {small, "docker:nginx", "x86_64"},
		"named": {small, image, "x86_64"}, "parameter": {small, "ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64", "x86_64"},
	} {
		in := create(t, provider(t, l, public), request(token, func(r *providers.CreateRequest) {
			r.Spec.InstanceType, r.Spec.Image, r.Spec.DiskGB = want.kind, want.image, 0
		}))
		if m := machine(t, l, in.ID); m.Arch != want.arch || want.image == image && m.Image != image {
			t.Errorf("%s: image %s for %s", token, m.Image, m.Arch)
		}
		hops := "1"
		if token == "docker" {
			hops = "2"
		}
		if f := form(token); f("BlockDeviceMapping.1.Ebs.VolumeSize") != "256" || f("MetadataOptions.HttpPutResponseHopLimit") != hops {
			t.Errorf("%s: disk of %s GB, %s hops", token, f("BlockDeviceMapping.1.Ebs.VolumeSize"), f("MetadataOptions.HttpPutResponseHopLimit"))
		}
	}

	create(t, provider(t, l, map[string]string{"use_internal_ips": "true", "instance_profile": ""}), request("inside"))
	if f := form("inside"); f("NetworkInterface.1.AssociatePublicIpAddress") != "false" {
		t.Error("a public address though none is wanted")
	}

	in = create(t, p, request("fast", func(r *providers.CreateRequest) {
		r.Spec.InstanceType, r.Spec.NetworkTier, r.Spec.Nodes = "c6i.32xlarge", "best", 2
	}))
	if f := form("fast"); f("NetworkInterface.1.InterfaceType") != "efa" || machine(t, l, in.ID).Placement != "aloft-cluster1" {
		t.Errorf("interface %q, placement %q", f("NetworkInterface.1.InterfaceType"), machine(t, l, in.ID).Placement)
	}
	for i, tier := range []struct{ name, kind, iops, throughput string }{{"low", "gp3", "", ""}, {"high", "gp3", "7000", "437"}, {"best", "gp3", "7000", "437"}} { // moto refuses io2 here: see TestDisks
		token := fmt.Sprintf("tier-%d", i)
		create(t, p, request(token, func(r *providers.CreateRequest) { r.Spec.DiskTier = tier.name }))
		f := form(token)
		if f("BlockDeviceMapping.1.Ebs.VolumeType") != tier.kind || f("BlockDeviceMapping.1.Ebs.Iops") != tier.iops || f("BlockDeviceMapping.1.Ebs.Throughput") != tier.throughput {
			t.Errorf("%+v: %s %s %s", tier, f("BlockDeviceMapping.1.Ebs.VolumeType"), f("BlockDeviceMapping.1.Ebs.Iops"), f("BlockDeviceMapping.1.Ebs.Throughput"))
		}
	}
}

// TestRefusedHere are requests that are refused with what to do about it, mostly before EC2 is asked.
func TestRefusedHere(t *testing.T) {
	t.Parallel()
	l := newLab(t, ec2lab.Options{Through: 1})
	l.SetQuota(region, "L-1216C47A", 16)
	for _, tt := range []struct {
		name   string
		set    map[string]string
		change func(*providers.CreateRequest)
		kind   providers.Kind
		says   string
		hint   string
	}{
		{"type", nil, func(r *providers.CreateRequest) { r.Spec.InstanceType = "m7i.huge" }, providers.Invalid, "m7i.huge", "instance type"},
		{"image", nil, func(r *providers.CreateRequest) { r.Spec.Image = "ubuntu" }, providers.Invalid, `image_id "ubuntu"`, ""},
		{"no such image", nil, func(r *providers.CreateRequest) { r.Spec.Image = "ami-00000000000000001" }, providers.Invalid, "ami-00000000000000001", "us-east-1"},
		{"architecture", nil, func(r *providers.CreateRequest) { r.Spec.Image = arm }, providers.Invalid, "arm64", "x86_64"},
		{"small disk", nil, func(r *providers.CreateRequest) { r.Spec.DiskGB = 4 }, providers.Invalid, "needs 8 GB", "disk_size"},
		{"disk tier", nil, func(r *providers.CreateRequest) { r.Spec.DiskTier = "warp" }, providers.Invalid, "warp", ""},
		{"ports", nil, func(r *providers.CreateRequest) { r.Spec.Ports = []string{"http"} }, providers.Invalid, `"http"`, "ports"},
		{"label", nil, func(r *providers.CreateRequest) { r.Spec.Labels = map[string]string{"aws:x": "", "b(": ""} }, providers.Invalid, "aws:x", "labels"},
		{"zone", nil, func(r *providers.CreateRequest) { r.Spec.Zone = "us-east-1z" }, providers.Invalid, "us-east-1z", "create-default-subnet"},
		{"vpc", map[string]string{"vpc": "vpc-0123456789abcdef0"}, nil, providers.Invalid, "vpc", "vpc"},
		{"vpc by name", map[string]string{"vpc": "research"}, nil, providers.Invalid, `no VPC "research"`, "vpc"},
		{"subnet", map[string]string{"subnets": "subnet-0123456789abcdef0"}, nil, providers.Invalid, "subnet", "subnets"},
		{"group", map[string]string{"security_group": "nobodys"}, nil, providers.Invalid, "nobodys", "security_group"},
		{"quota", nil, func(r *providers.CreateRequest) { r.Spec.InstanceType = "m7i.8xlarge" }, providers.Quota, "", "servicequotas"},
		{"no token", nil, func(r *providers.CreateRequest) { r.Token = "" }, providers.Invalid, "token", ""},
		{"no keys", nil, func(r *providers.CreateRequest) { r.Keys = providers.Keys{} }, providers.Invalid, "keys", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := request("refused-" + strings.ReplaceAll(tt.name, " ", "-"))
			if tt.change != nil {
				tt.change(&r)
			}
			_, err := provider(t, l, tt.set).Create(t.Context(), r)
			e := fault(t, err)
			if e.Kind != tt.kind || !strings.Contains(e.Error(), tt.says) || !strings.Contains(e.Hint, tt.hint) {
				t.Errorf("%v (hint %q), want %s, %q, hint %q", e, e.Hint, tt.kind, tt.says, tt.hint)
			}
		})
	}
	if len(l.Instances()) > 0 {
		t.Errorf("made %v", l.Instances())
	}
	err := provider(t, l, nil).CheckQuota(t.Context(), spec(), 9)
	if e := fault(t, err); e.Kind != providers.Quota || e.Scope != providers.ScopeRegion || !strings.Contains(e.Hint, "request-service-quota-increase --service-code ec2 --quota-code L-1216C47A --desired-value 18") {
		t.Errorf("%v, hint %q", e, e.Hint)
	}
	if err := provider(t, l, nil).CheckQuota(t.Context(), spec(), 8); err != nil {
		t.Errorf("within the quota: %v", err)
	}
}

func TestNoDefaultVPC(t *testing.T) {
	t.Parallel()
	l := newLab(t, ec2lab.Options{Through: 1})
	c := client(l)
	vpcs, err := c.DescribeVpcs(t.Context(), &ec2.DescribeVpcsInput{})
	if err != nil {
		t.Fatal(err)
	}
	subnets, err := c.DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range subnets.Subnets {
		if _, err := c.DeleteSubnet(t.Context(), &ec2.DeleteSubnetInput{SubnetId: s.SubnetId}); err != nil {
			t.Fatal(err)
		}
	}
	p := provider(t, l, nil)
	_, err = p.Create(t.Context(), request("homeless"))
	if e := fault(t, err); e.Kind != providers.Invalid || !strings.Contains(e.Hint, "aws ec2 create-default-subnet") {
		t.Errorf("%v, hint %q", e, e.Hint)
	}
	for _, v := range vpcs.Vpcs {
		if _, err := c.DeleteVpc(t.Context(), &ec2.DeleteVpcInput{VpcId: v.VpcId}); err != nil {
			t.Skipf("the laboratory keeps its default VPC: %v", err)
		}
	}
	_, err = p.Create(t.Context(), request("homeless"))
	if e := fault(t, err); e.Kind != providers.Invalid || !strings.Contains(e.Hint, "aws ec2 create-default-vpc --region us-east-1") {
		t.Errorf("%v, hint %q", e, e.Hint)
	}
	acc, err := p.CheckAccount(t.Context())
	if err != nil || len(acc.Notes) != 1 || !strings.Contains(acc.Notes[0], "create-default-vpc") {
		t.Errorf("%+v, %v", acc, err)
	}
}

// TestFaultsOnTheWay has calls lost, late and refused, zone by zone.
func TestFaultsOnTheWay(t *testing.T) {
	t.Parallel()
	l := newLab(t, ec2lab.Options{Through: 1})
	p := provider(t, l, nil)
	l.Fail(ec2lab.Rule{Action: "RunInstances", Zone: "us-east-1a", Code: "InsufficientInstanceCapacity"})
	before := len(l.CallsOf("RunInstances"))
	_, err := p.Create(t.Context(), request("full"))
	if e := fault(t, err); e.Kind != providers.Capacity || e.Scope != providers.ScopeZone || e.Code != "InsufficientInstanceCapacity" {
		t.Errorf("%+v", e)
	}
	if n := len(l.CallsOf("RunInstances")) - before; n != 1 {
		t.Errorf("a full zone was asked %d times", n)
	}
	in := create(t, p, request("next", func(r *providers.CreateRequest) { r.Spec.Zone = "us-east-1b" }))
	if in.Zone != "us-east-1b" {
		t.Errorf("made in %s", in.Zone)
	}
	l.ClearFaults()
	l.Fail(ec2lab.Rule{Action: "RunInstances", Times: 1, Lost: true})
	create(t, p, request("lost"))
	n := 0
	for _, m := range l.Instances() {
		if m.Token == "sky1-lost" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("a lost answer made %d machines", n)
	}
	l.ClearFaults()
	l.Fail(ec2lab.Rule{Action: "DescribeInstances", Region: "us-west-2", HTTP: 502, Body: "<html>no</html>", Code: "x"})
	found, failed := 0, error(nil)
	for _, err := range p.Describe(t.Context(), providers.Selector{Installation: request("x").Tags.Installation}) {
		if err != nil {
			failed = err
			break
		}
		found++
	}
	if found != 2 || providers.KindOf(failed) != providers.Transient {
		t.Errorf("with a region that does not answer: %d machines, %v", found, failed)
	}
}

// TestSecrets looks for what nobody may read in everything that is said.
func TestSecrets(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	l := newLab(t, ec2lab.Options{Through: 1})
	p := provider(t, l, nil)
	said := slog.New(slog.NewTextHandler(&log, nil))
	for _, code := range []string{"InvalidParameterValue", "UnauthorizedOperation", "InternalError", "SignatureDoesNotMatch"} {
		l.ClearFaults()
		l.Fail(ec2lab.Rule{Action: "RunInstances", Code: code, Message: "first line\nx-amz-security-token: stolen"})
		_, err := p.Create(t.Context(), request("said"))
		said.Error("create", "err", err, "hint", fault(t, err).Hint)
	}
	l.ClearFaults()
	said.Info("made", "instance", fmt.Sprintf("%+v", create(t, p, request("said-2"))), "provider", fmt.Sprint(p.Capabilities()))
	for _, secret := range []string{ec2lab.SecretKey, "stolen", "PRIVATE KEY", "security-token"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}
