package aws_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"aloft/providers"
	"aloft/providers/aws"
	"aloft/providers/aws/ec2lab"
	"aloft/providers/providertest"
)

const (
	region = "us-east-1"
	image  = "ami-0123456789abcdef0"
	arm    = "ami-0123456789abcdef1"
	small  = "m7i.large"
)

// moto is one server for all tests of the package.
var moto = sync.OnceValues(ec2lab.StartMoto)

func TestMain(m *testing.M) {
	code := m.Run()
	if ec2lab.Available(ec2lab.Options{}) == nil {
		if s, err := moto(); err == nil {
			_ = s.Close()
		}
	}
	os.Exit(code)
}

func newLab(t testing.TB, o ec2lab.Options) *ec2lab.Lab {
	t.Helper()
	if err := ec2lab.Available(o); err != nil {
		t.Skipf("SKIPPED, the EC2 laboratory cannot be had here: %v", err)
	}
	var err error
	if o.Moto, err = moto(); err != nil {
		t.Fatal(err)
	}
	o.Images = map[string]string{image: "x86_64", arm: "arm64"}
	l, err := ec2lab.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// provider is one of the laboratory's account.
func provider(t testing.TB, l *ec2lab.Lab, set map[string]string, change ...func(*aws.Options)) *aws.Provider {
	t.Helper()
	all := map[string]string{"endpoint_url": l.URL(), "region": region, "regions": "us-east-1,us-west-2", "image": image, "image_arm64": arm, "image_gpu": image}
	for k, v := range set {
		all[k] = v
	}
	o := aws.Options{
		Credentials: labKeys(),
		Lag:         time.Second, Lateness: time.Second, Idle: 100 * time.Millisecond,
	}
	for _, f := range change {
		f(&o)
	}
	p, err := aws.New(providers.Config{Settings: all}, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func labKeys() sdk.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(ec2lab.AccessKey, ec2lab.SecretKey, "")
}

func keys() providers.Keys {
	key := func(b byte) ed25519.PrivateKey {
		return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
	}
	return providers.Keys{User: key(1), FirstHost: key(2), Host: key(3)}
}

func spec() providers.NodeSpec {
	return providers.NodeSpec{Region: region, Zone: "us-east-1a", InstanceType: small, CPUs: 2, MemoryGB: 8, DiskGB: 30}
}

func request(token string, change ...func(*providers.CreateRequest)) providers.CreateRequest {
	r := providers.CreateRequest{
		Token: "sky1-" + token, Name: "train-head", Spec: spec(), Keys: keys(), Deadline: time.Now().Add(time.Hour),
		Tags: providers.Tags{Installation: "5e55a1d0", ClusterID: "cluster1", ClusterName: "train", NodeID: "n-" + token, Attempt: 1, Epoch: 3, Owner: "me"},
	}
	for _, f := range change {
		f(&r)
	}
	return r
}

func create(t testing.TB, p *aws.Provider, r providers.CreateRequest) providers.Instance {
	t.Helper()
	in, err := p.Create(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// machine is an instance as the laboratory knows it.
func machine(t testing.TB, l *ec2lab.Lab, id string) ec2lab.Instance {
	t.Helper()
	for _, i := range l.Instances() {
		if i.ID == id {
			return i
		}
	}
	t.Fatalf("the laboratory has no instance %s", id)
	return ec2lab.Instance{}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
		<-tick.C
	}
}

// faultOf are refusals of each kind.
func faultOf(k providers.Kind) ec2lab.Rule {
	code := map[providers.Kind]string{
		providers.Capacity: "InsufficientInstanceCapacity", providers.Quota: "VcpuLimitExceeded", providers.Auth: "UnauthorizedOperation",
		providers.Invalid: "InvalidParameterValue", providers.Throttled: "RequestLimitExceeded", providers.Transient: "InternalError",
	}[k]
	return ec2lab.Rule{Action: "RunInstances", Code: code}
}

// TestConformance runs the suite. Laboratories are made beforehand: the suite counts goroutines, and theirs are not the
// provider's.
func TestConformance(t *testing.T) {
	const places = 15 + 6 // tests without hosts, kinds of faults
	type place struct {
		l *ec2lab.Lab
		p *aws.Provider
	}
	free := make(chan place, places)
	for range places {
		l := newLab(t, ec2lab.Options{Through: 2})
		free <- place{l, provider(t, l, nil)}
	}
	hosts := ec2lab.Available(ec2lab.Options{Hosts: true})
	var real *aws.Provider
	if hosts == nil {
		real = provider(t, newLab(t, ec2lab.Options{Hosts: true}), nil)
	}
	labs := map[providers.Provider]*ec2lab.Lab{}
	take := func(t *testing.T) place {
		t.Helper()
		select {
		case x := <-free:
			labs[x.p] = x.l
			return x
		default:
			t.Fatal("the suite has grown: make more laboratories")
			return place{}
		}
	}
	providertest.Run(t, providertest.Config{
		Catalogue: true, Keys: keys(), Spec: spec, Many: 300,
		New: func(t *testing.T) providers.Provider {
			if !strings.HasSuffix(t.Name(), "/shell") {
				return take(t).p
			}
			if hosts != nil {
				t.Skipf("SKIPPED, no hosts can be had here: %v", hosts)
			}
			return real
		},
		Faults: func(t *testing.T, k providers.Kind) providers.Provider {
			x := take(t)
			x.l.Fail(faultOf(k))
			return x.p
		},
		Stranger: func(t *testing.T, p providers.Provider) string {
			l := labs[p]
			out, err := client(l).RunInstances(t.Context(), &ec2.RunInstancesInput{ImageId: sdk.String(image), InstanceType: small, MinCount: sdk.Int32(1), MaxCount: sdk.Int32(1)})
			if err != nil {
				t.Fatal(err)
			}
			// Another installation's, too.
			create(t, provider(t, l, nil), request("stranger", func(r *providers.CreateRequest) { r.Tags.Installation = "another" }))
			return sdk.ToString(out.Instances[0].InstanceId)
		},
	})
}

// client is a client of the laboratory that is not the provider's.
func client(l *ec2lab.Lab) *ec2.Client {
	return ec2.New(ec2.Options{
		Region: region, BaseEndpoint: sdk.String(l.URL()), Credentials: labKeys(),
		HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	})
}

func TestCreate(t *testing.T) {
	t.Parallel()
	l := newLab(t, ec2lab.Options{})
	p := provider(t, l, map[string]string{"ssh_from": "203.0.113.0/24,2001:db8::/32"})
	in := create(t, p, request("one", func(r *providers.CreateRequest) {
		r.Spec.Labels, r.Spec.Ports = map[string]string{"team": "vision"}, []string{"8080", "9000-9010"}
	}))
	m := machine(t, l, in.ID)
	if m.ShutdownBehavior != "terminate" || m.HTTPTokens != "required" || m.Zone != "us-east-1a" || m.Token != "sky1-one" || m.Tags["team"] != "vision" || m.Tags["Name"] != "train-head" {
		t.Errorf("machine %+v", m)
	}
	if !bytes.HasPrefix(m.UserData, []byte("#cloud-boothook\n#!")) {
		t.Errorf("user data %.40q", m.UserData)
	}
	form := l.CallsOf("RunInstances")[0].Form
	for key, want := range map[string]string{
		"BlockDeviceMapping.1.Ebs.Encrypted": "true", "BlockDeviceMapping.1.Ebs.VolumeType": "gp3", "BlockDeviceMapping.1.Ebs.VolumeSize": "30",
		"BlockDeviceMapping.1.Ebs.Iops": "3500", "BlockDeviceMapping.1.Ebs.Throughput": "218", "BlockDeviceMapping.1.Ebs.DeleteOnTermination": "true",
		"MetadataOptions.HttpPutResponseHopLimit": "1", "NetworkInterface.1.AssociatePublicIpAddress": "true", "KeyName": "",
		"TagSpecification.1.ResourceType": "instance", "TagSpecification.2.ResourceType": "volume", "TagSpecification.3.ResourceType": "network-interface",
	} {
		if got := form.Get(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	out, err := client(l).DescribeSecurityGroups(t.Context(), &ec2.DescribeSecurityGroupsInput{GroupIds: m.Groups})
	if err != nil {
		t.Fatal(err)
	}
	rules := map[string]string{}
	for _, g := range out.SecurityGroups {
		var all []string
		for _, r := range g.IpPermissions {
			ports := fmt.Sprintf("%s %d-%d", sdk.ToString(r.IpProtocol), sdk.ToInt32(r.FromPort), sdk.ToInt32(r.ToPort))
			for _, x := range r.IpRanges {
				all = append(all, ports+" "+sdk.ToString(x.CidrIp))
			}
			for _, x := range r.Ipv6Ranges {
				all = append(all, ports+" "+sdk.ToString(x.CidrIpv6))
			}
			for _, x := range r.UserIdGroupPairs {
				if sdk.ToString(x.GroupId) == sdk.ToString(g.GroupId) {
					all = append(all, sdk.ToString(r.IpProtocol)+" itself")
				}
			}
		}
		rules[sdk.ToString(g.GroupName)] = strings.Join(all, ", ")
	}
	for name, want := range map[string][]string{
		"aloft-5e55a1d0":       {"tcp 22-22 203.0.113.0/24", "tcp 22-22 2001:db8::/32", "-1 itself"},
		"aloft-ports-cluster1": {"tcp 8080-8080 0.0.0.0/0", "tcp 8080-8080 ::/0", "tcp 9000-9010 0.0.0.0/0", "tcp 9000-9010 ::/0"},
	} {
		for _, w := range want {
			if !strings.Contains(rules[name], w) {
				t.Errorf("group %s lets in %q, want %q", name, rules[name], w)
			}
		}
		if got := len(strings.Split(rules[name], ", ")); got != len(want) {
			t.Errorf("group %s lets in %q, want only %q", name, rules[name], want)
		}
	}

	// Once the machine is gone, so is what the cluster had of its own.
	if err := p.Finish(t.Context(), request("one").Tags, region); providers.KindOf(err) != providers.Transient {
		t.Errorf("finish beside a living machine: %v", err)
	}
	if err := p.Delete(t.Context(), in.InstanceRef); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the cluster's groups go", func() bool { return p.Finish(t.Context(), request("one").Tags, region) == nil })
	for range 2 {
		if err := p.Finish(t.Context(), request("one").Tags, region); err != nil {
			t.Errorf("finish again: %v", err)
		}
	}
}
