package gcelab_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/compute/apiv1/computepb"
	"google.golang.org/protobuf/proto"

	"aloft/providers/gcp/gcelab"
	"aloft/providers/hostlab"
)

// hostRig is a rig whose instances are real hosts.
func hostRig(t *testing.T, o gcelab.Options) *rig {
	t.Helper()
	if err := hostlab.Available(); err != nil {
		t.Skipf("SKIPPED, no hosts can be made here: %v", err)
	}
	h, err := hostlab.New(hostlab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	o.Hosts = h
	return newRig(t, o)
}

// state waits for an instance's status.
func (r *rig) state(name, want string) {
	r.t.Helper()
	for end := time.Now().Add(time.Minute); r.lab.State(zone, name) != want; {
		if time.Now().After(end) {
			r.t.Fatalf("%s is %q, want %q", name, r.lab.State(zone, name), want)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (r *rig) run(name, line string) string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	h := r.lab.Host(zone, name)
	if h == nil {
		r.t.Fatalf("%s has no host", name)
	}
	out, err := h.Run(ctx, line)
	if err != nil {
		r.t.Fatalf("%s: %q: %v: %s\n%s", name, line, err, out, h.Console())
	}
	return strings.TrimSpace(string(out))
}

func withScript(in *computepb.Instance, script string) *computepb.Instance {
	in.Metadata = &computepb.Metadata{Items: []*computepb.Items{{Key: proto.String("startup-script"), Value: &script}, {Key: proto.String("color"), Value: proto.String("blue")}}}
	in.ServiceAccounts = []*computepb.ServiceAccount{{Email: proto.String("default"), Scopes: []string{"https://www.googleapis.com/auth/cloud-platform"}}}
	return in
}

const md = "curl -sf -H Metadata-Flavor:Google http://metadata.google.internal/computeMetadata/v1/"

func TestHosts(t *testing.T) {
	t.Parallel()
	r := hostRig(t, gcelab.Options{Notice: time.Second, NodePermissions: []string{"compute.instances.delete"}})
	if op := r.done(r.insert(withScript(machine("vm1"), "#!/bin/sh\necho boot >>/root/boots\necho hello from the script\n"), "")); op.GetError() != nil {
		t.Fatalf("insert: %v", op.GetError())
	}
	in := r.get("vm1")
	address := in.GetNetworkInterfaces()[0].GetNetworkIP()
	if h := r.lab.Host(zone, "vm1"); address == "" || address != h.Address() || in.GetNetworkInterfaces()[0].GetAccessConfigs()[0].GetNatIP() != address {
		t.Errorf("address %q, host's %q", address, h.Address())
	}

	t.Log("metadata")
	for path, want := range map[string]string{
		"instance/name": "vm1", "instance/attributes/color": "blue", "instance/zone": "projects/123456789012/zones/us-central1-a", "instance/preempted": "FALSE",
		"instance/maintenance-event": "NONE", "project/project-id": "lab-project", "instance/network-interfaces/0/ip": address,
		"instance/attributes/": "color\nstartup-script", "'instance/?recursive=true' | grep -o '\"preempted\":\"FALSE\"'": `"preempted":"FALSE"`,
	} {
		if got := r.run("vm1", md+path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	if got := r.run("vm1", "curl -s -o /dev/null -w '%{http_code}' http://metadata.google.internal/computeMetadata/v1/instance/name"); got != "403" {
		t.Errorf("without the header: %s", got)
	}
	if got := r.run("vm1", "hostname"); got != "vm1" {
		t.Errorf("host name %q", got)
	}
	r.run("vm1", "for i in $(seq 100); do [ -s /root/boots ] && break; sleep 0.1; done; sleep 0.2")
	serial, err := r.instances.GetSerialPortOutput(t.Context(), &computepb.GetSerialPortOutputInstanceRequest{Project: r.lab.Project(), Zone: zone, Instance: "vm1"})
	if err != nil || !strings.Contains(serial.GetContents(), "hello from the script") {
		t.Errorf("serial port: %v, %q", err, serial.GetContents())
	}

	t.Log("stop and start keep the disk and the address")
	r.done(r.instances.Stop(t.Context(), &computepb.StopInstanceRequest{Project: r.lab.Project(), Zone: zone, Instance: "vm1"}))
	r.done(r.instances.Start(t.Context(), &computepb.StartInstanceRequest{Project: r.lab.Project(), Zone: zone, Instance: "vm1"}))
	// An instance is RUNNING before its script is.
	if got := r.run("vm1", "for i in $(seq 100); do [ $(wc -l </root/boots) -gt 1 ] && break; sleep 0.1; done; cat /root/boots"); got != "boot\nboot" {
		t.Errorf("boots: %q", got)
	}
	if got := r.get("vm1").GetNetworkInterfaces()[0].GetNetworkIP(); got != address {
		t.Errorf("address after a start: %s, was %s", got, address)
	}

	t.Log("a shutdown from within")
	// The host may be off before the command has ended: what counts is what becomes of the instance.
	_, _ = r.lab.Host(zone, "vm1").Run(t.Context(), "shutdown -P now")
	r.state("vm1", "TERMINATED")
	r.done(r.instances.Start(t.Context(), &computepb.StartInstanceRequest{Project: r.lab.Project(), Zone: zone, Instance: "vm1"}))

	t.Log("it deletes itself with its own token")
	call := `t=$(` + md + `instance/service-accounts/default/token | sed 's/.*"access_token":"\([^"]*\)".*/\1/'); curl -s -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $t" `
	api := r.lab.URL() + "/compute/v1/projects/lab-project/zones/us-central1-a/instances/vm1"
	if got := r.run("vm1", call+"-X POST "+api+"/stop"); got != "403" {
		t.Errorf("a stop that the node may not do: HTTP %s", got)
	}
	// Its host may be gone before the command is.
	if out, err := r.lab.Host(zone, "vm1").Run(t.Context(), call+"-X DELETE "+api); err == nil && string(out) != "200" {
		t.Errorf("a delete: HTTP %s", out)
	}
	r.state("vm1", "")
	if r.lab.Host(zone, "vm1") != nil {
		t.Error("a deleted instance has a host")
	}
}

func TestHostEnds(t *testing.T) {
	t.Parallel()
	r := hostRig(t, gcelab.Options{Notice: time.Hour})
	in := withScript(machine("spot"), "#!/bin/sh\n:\n")
	in.Scheduling = &computepb.Scheduling{ProvisioningModel: proto.String("SPOT"), InstanceTerminationAction: proto.String("DELETE"), MaxRunDuration: &computepb.Duration{Seconds: proto.Int64(3600)}}
	r.done(r.insert(in, ""))
	in = withScript(machine("short"), "#!/bin/sh\n:\n")
	in.Scheduling = &computepb.Scheduling{InstanceTerminationAction: proto.String("DELETE"), MaxRunDuration: &computepb.Duration{Seconds: proto.Int64(1800)}}
	r.done(r.insert(in, ""))
	if !r.lab.Preempt(zone, "spot") {
		t.Fatal("no spot instance")
	}
	if got := r.run("spot", md+"'instance/preempted?wait_for_change=true&timeout_sec=1'"); got != "TRUE" {
		t.Errorf("preempted: %q", got)
	}
	r.lab.Advance(31 * time.Minute)
	r.state("short", "")
	r.lab.Advance(time.Hour)
	r.state("spot", "")
}
