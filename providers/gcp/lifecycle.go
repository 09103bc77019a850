package gcp

import (
	"context"
	"time"

	"cloud.google.com/go/compute/apiv1/computepb"
	"google.golang.org/protobuf/proto"

	"aloft/providers"
)

// startPatience is how long Start waits for a refusal: a stopped machine may find no place any more.
const startPatience = 20 * time.Second

// Delete asks for the end of a machine. Its number is in the call, so a later machine of the same name is not hit.
func (p *Provider) Delete(ctx context.Context, ref providers.InstanceRef) error {
	const op = "delete"
	c, zone, err := p.locate(ctx, op, ref)
	if err != nil || zone == "" {
		return err
	}
	_, err = c.instances.Delete(ctx, &computepb.DeleteInstanceRequest{Project: c.project, Zone: zone, Instance: target(ref.ID)})
	if missing(err) {
		return nil
	}
	return p.failure(ctx, op, zone, err)
}

// locate gives the clients and the zone of a machine; "" when there is no such machine anywhere.
func (p *Provider) locate(ctx context.Context, op string, ref providers.InstanceRef) (*clients, string, error) {
	c, err := p.api(ctx, op)
	if err != nil || ref.Zone != "" {
		return c, ref.Zone, err
	}
	for in, err := range p.Describe(ctx, providers.Selector{IDs: []string{ref.ID}, Region: ref.Region}) {
		if err != nil {
			return nil, "", p.failure(ctx, op, "", err)
		}
		if in.State.Alive() {
			return c, in.Zone, nil
		}
	}
	return c, "", nil
}

// get reads one machine; a *providers.Error of kind NotFound when there is none.
func (p *Provider) get(ctx context.Context, op string, ref providers.InstanceRef) (*clients, *computepb.Instance, error) {
	c, zone, err := p.locate(ctx, op, ref)
	if err != nil {
		return nil, nil, err
	}
	if zone == "" {
		return nil, nil, fail(op, providers.NotFound, providers.ScopeZone, "notFound", "", "there is no machine %s", ref.ID)
	}
	in, err := c.instances.Get(ctx, &computepb.GetInstanceRequest{Project: c.project, Zone: zone, Instance: target(ref.ID)})
	if err != nil {
		return nil, nil, p.failure(ctx, op, zone, err)
	}
	return c, in, nil
}

// Stop asks a machine to stop; its disk stays. What is on local SSDs is lost: GCE stops no such machine otherwise.
func (p *Provider) Stop(ctx context.Context, ref providers.InstanceRef) error {
	const op = "stop"
	c, in, err := p.get(ctx, op, ref)
	if err != nil {
		return err
	}
	switch in.GetStatus() {
	case "TERMINATED", "STOPPING", "SUSPENDED":
		return nil
	}
	r := &computepb.StopInstanceRequest{Project: c.project, Zone: lastPart(in.GetZone()), Instance: target(ref.ID)}
	for _, d := range in.GetDisks() {
		if d.GetType() == "SCRATCH" {
			r.DiscardLocalSsd = proto.Bool(true)
		}
	}
	_, err = c.instances.Stop(ctx, r)
	return p.failure(ctx, op, r.GetZone(), err)
}

// Start asks a stopped machine to run again, and waits a while for a refusal.
func (p *Provider) Start(ctx context.Context, ref providers.InstanceRef) error {
	const op = "start"
	c, in, err := p.get(ctx, op, ref)
	if err != nil {
		return err
	}
	z := lastPart(in.GetZone())
	switch in.GetStatus() {
	case "RUNNING", "PROVISIONING", "STAGING", "REPAIRING":
		return nil
	case "STOPPING", "SUSPENDING", "DEPROVISIONING":
		return fail(op, providers.Transient, providers.ScopeZone, "stopping", "", "%s is still stopping", in.GetName())
	}
	o, err := c.instances.Start(ctx, &computepb.StartInstanceRequest{Project: c.project, Zone: z, Instance: target(ref.ID)})
	if err != nil {
		return p.failure(ctx, op, z, err)
	}
	done, err := p.awaitZone(ctx, c, z, o.Proto(), startPatience)
	if err != nil {
		return p.failure(ctx, op, z, err)
	}
	if f, failed := ofOperation(done); failed {
		return p.judge(op, z, f)
	}
	return nil
}

// Console gives the last of what the machine wrote to its first serial port: up to 1 MiB, the boot script's words among it.
func (p *Provider) Console(ctx context.Context, ref providers.InstanceRef) ([]byte, error) {
	const op = "console"
	c, zone, err := p.locate(ctx, op, ref)
	if err != nil {
		return nil, err
	}
	if zone == "" {
		return nil, fail(op, providers.NotFound, providers.ScopeZone, "notFound", "", "there is no machine %s", ref.ID)
	}
	out, err := c.instances.GetSerialPortOutput(ctx, &computepb.GetSerialPortOutputInstanceRequest{Project: c.project, Zone: zone, Instance: target(ref.ID), Port: proto.Int32(1)})
	if err != nil {
		return nil, p.failure(ctx, op, zone, err)
	}
	return []byte(out.GetContents()), nil
}
