package aws_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"aloft/providers"
	"aloft/providers/aws/ec2lab"
)

// session stands in for the AWS CLI and Systems Manager: it notes how it is called and leads to port 22 of the machine.
// Whether Amazon's own does what its documents say cannot be seen here.
const session = `#!/usr/bin/env python3
import os,socket,sys,threading
d=os.path.dirname(sys.argv[0])
open(d+"/called","a").write(" ".join(sys.argv[1:])+"\n")
s=socket.create_connection((open(d+"/address").read().strip(),22))
def up():
    while True:
        b=os.read(0,65536)
        if not b: break
        s.sendall(b)
threading.Thread(target=up,daemon=True).start()
while True:
    b=s.recv(65536)
    if not b: break
    while b: b=b[os.write(1,b):]
`

// instanceProfile makes an instance profile.
func instanceProfile(t *testing.T, l *ec2lab.Lab, name string) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.URL(), strings.NewReader("Action=CreateInstanceProfile&Version=2010-05-08&InstanceProfileName="+name))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	q.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+ec2lab.AccessKey+"/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(resp.Body)
		t.Fatalf("make an instance profile: %s %s", resp.Status, b)
	}
}

// TestSessionManager: with use_ssm no port is open, and the way to a machine is AWS's own.
func TestSessionManager(t *testing.T) {
	l := newLab(t, ec2lab.Options{Hosts: true})
	instanceProfile(t, l, "nodes")
	p := provider(t, l, map[string]string{"use_ssm": "true", "instance_profile": "nodes", "use_internal_ips": "true"})
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	_, err := p.Create(t.Context(), request("early"))
	var e *providers.Error
	if !errors.As(err, &e) || e.Kind != providers.Invalid || e.Code != "no-session-manager" || len(l.Instances()) != 0 {
		t.Fatalf("without the programs: %v, %d machines", err, len(l.Instances()))
	}
	t.Setenv("PATH", dir+":/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
	for name, text := range map[string]string{"aws": session, "session-manager-plugin": "#!/bin/sh\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r := request("one")
	in := create(t, p, r)
	eventually(t, "the machine runs", func() bool { return machine(t, l, in.ID).State == ec2lab.Running })
	for x, err := range p.Describe(t.Context(), providers.Selector{IDs: []string{in.ID}, Region: in.Region}) {
		if err != nil {
			t.Fatal(err)
		}
		in = x
	}
	if err := os.WriteFile(filepath.Join(dir, "address"), []byte(in.Address), 0o600); err != nil {
		t.Fatal(err)
	}
	sh, err := p.Shell(t.Context(), in, r.Keys)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if exit, err := sh.Run(t.Context(), providers.Cmd{Line: "echo through the tunnel", Stdout: &out}); err != nil || exit.Code != 0 || out.String() != "through the tunnel\n" {
		t.Errorf("%v %v %q", exit, err, out.String())
	}
	if err := sh.Close(); err != nil {
		t.Error(err)
	}
	called, err := os.ReadFile(filepath.Join(dir, "called"))
	if want := "ssm start-session --target " + in.ID + " --region us-east-1 --document-name AWS-StartSSHSession --parameters portNumber=22"; err != nil || !strings.Contains(string(called), want) {
		t.Errorf("called as %s, want %s", called, want)
	}
	target, err := p.SSH(t.Context(), in)
	if err != nil || !strings.HasPrefix(target.ProxyCommand, "aws ssm start-session --target "+in.ID) {
		t.Errorf("ssh's way: %+v, %v", target, err)
	}
	groups, err := client(l).DescribeSecurityGroups(t.Context(), &ec2.DescribeSecurityGroupsInput{GroupIds: machine(t, l, in.ID).Groups})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups.SecurityGroups {
		for _, rule := range g.IpPermissions {
			if len(rule.IpRanges)+len(rule.Ipv6Ranges) > 0 {
				t.Errorf("%s is open: %+v", *g.GroupName, rule)
			}
		}
	}
}
