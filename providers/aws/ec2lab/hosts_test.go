package ec2lab_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"aloft/providers/aws/ec2lab"
)

func TestHosts(t *testing.T) {
	t.Parallel()
	l := newLab(t, ec2lab.Options{Images: images(), Hosts: true})
	c, ctx := client(l), t.Context()
	in := run("a", func(in *ec2.RunInstancesInput) {
		in.UserData = sdk.String(base64.StdEncoding.EncodeToString([]byte("#cloud-boothook\n#!/bin/sh\necho boot >>/var/boots\n")))
		in.InstanceInitiatedShutdownBehavior = types.ShutdownBehaviorTerminate
		in.MetadataOptions = &types.InstanceMetadataOptionsRequest{HttpTokens: types.HttpTokensStateRequired}
	})
	id := *create(t, c, in).InstanceId
	ids := []string{id}
	is := func(want ec2lab.State) {
		t.Helper()
		eventually(t, string(want), func() bool { return find(l, id).State == want })
	}
	inside := func(line string) string {
		t.Helper()
		h := l.Host(id)
		if h == nil {
			t.Fatalf("%s has no host", id)
		}
		out, err := h.Run(ctx, line)
		if err != nil {
			t.Fatalf("%s: %v: %s", line, err, out)
		}
		return string(out)
	}
	is(ec2lab.Running)
	if i := find(l, id); i.PrivateIP != l.Host(id).Address() || i.PublicIP != i.PrivateIP {
		t.Errorf("addresses %s and %s of %s", i.PrivateIP, i.PublicIP, l.Host(id).Address())
	}
	if got := strings.TrimSpace(inside("hostname")); got != id {
		t.Errorf("host name %s", got)
	}
	eventually(t, "the user data ran", func() bool { return inside("cat /var/boots 2>/dev/null || :") == "boot\n" })
	const get = `bash -c 'exec 3<>/dev/tcp/169.254.169.254/80; printf "$0" >&3; tail -n 1 <&3'`
	token := inside(get + ` 'PUT /latest/api/token HTTP/1.0\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\n\r\n'`)
	if got := inside(get + ` 'GET /latest/meta-data/instance-id HTTP/1.0\r\nX-aws-ec2-metadata-token: ` + token + `\r\n\r\n'`); got != id {
		t.Errorf("metadata: %q", got)
	}
	if _, err := c.StopInstances(ctx, &ec2.StopInstancesInput{InstanceIds: ids}); err != nil {
		t.Fatal(err)
	}
	is(ec2lab.Stopped)
	if _, err := c.StartInstances(ctx, &ec2.StartInstancesInput{InstanceIds: ids}); err != nil {
		t.Fatal(err)
	}
	is(ec2lab.Running)
	eventually(t, "the boothook ran again", func() bool { return inside("cat /var/boots") == "boot\nboot\n" })
	out, err := c.GetConsoleOutput(ctx, &ec2.GetConsoleOutputInput{InstanceId: &id, Latest: sdk.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := base64.StdEncoding.DecodeString(*out.Output); err != nil || !strings.Contains(string(text), "boot script: exit 0") {
		t.Errorf("console: %v %q", err, text)
	}
	// A shutdown from within: stop keeps it, terminate ends it.
	behave := func(b string) {
		t.Helper()
		if _, err := c.ModifyInstanceAttribute(ctx, &ec2.ModifyInstanceAttributeInput{InstanceId: &id, InstanceInitiatedShutdownBehavior: &types.AttributeValue{Value: &b}}); err != nil {
			t.Fatal(err)
		}
	}
	shutdown := func() { // the command may be ended by what it began
		if _, err := l.Host(id).Run(ctx, "shutdown -P now"); err != nil {
			t.Logf("shutdown: %v", err)
		}
	}
	behave("stop")
	shutdown()
	is(ec2lab.Stopped)
	if _, err := c.StartInstances(ctx, &ec2.StartInstancesInput{InstanceIds: ids}); err != nil {
		t.Fatal(err)
	}
	is(ec2lab.Running)
	behave("terminate")
	shutdown()
	is(ec2lab.Terminated)
	if l.Host(id) != nil {
		t.Error("a terminated instance has a host")
	}
	if i := find(l, id); i.Reason != "Client.InstanceInitiatedShutdown" {
		t.Errorf("reason %s", i.Reason)
	}
	// Ended while it starts: nothing is left.
	in.ClientToken, in.UserData = sdk.String("b"), sdk.String(base64.StdEncoding.EncodeToString([]byte("#!/bin/sh\nsleep 100\n")))
	id = *create(t, c, in).InstanceId
	if _, err := c.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{id}}); err != nil {
		t.Fatal(err)
	}
	is(ec2lab.Terminated)
	time.Sleep(50 * time.Millisecond) // nothing may come up afterwards
	if l.Host(id) != nil {
		t.Error("a host is left")
	}
}

// BenchmarkRunInstances is one instance through moto (all), or from the table after the first (first).
func BenchmarkRunInstances(b *testing.B) {
	for name, through := range map[string]int{"all": 0, "first": 1} {
		b.Run(name, func(b *testing.B) {
			l := newLab(b, ec2lab.Options{Images: images(), Through: through})
			c := client(l)
			for b.Loop() {
				if _, err := c.RunInstances(b.Context(), run("")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDescribe2500 lists 2500 instances.
func BenchmarkDescribe2500(b *testing.B) {
	l := newLab(b, ec2lab.Options{Images: images(), Through: 1})
	c := client(l)
	for range 50 {
		if _, err := c.RunInstances(b.Context(), run("", func(in *ec2.RunInstancesInput) { in.MinCount, in.MaxCount = sdk.Int32(50), sdk.Int32(50) })); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		n := 0
		p := ec2.NewDescribeInstancesPaginator(c, &ec2.DescribeInstancesInput{})
		for p.HasMorePages() {
			out, err := p.NextPage(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			for _, r := range out.Reservations {
				n += len(r.Instances)
			}
		}
		if n != 2500 {
			b.Fatalf("%d instances", n)
		}
	}
}
