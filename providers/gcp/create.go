package gcp

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"cloud.google.com/go/compute/apiv1/computepb"
	"google.golang.org/protobuf/proto"

	"aloft/providers"
)

const (
	// createPatience is how long Create waits for what an insert comes to: most refusals for lack of capacity come within it.
	createPatience = 25 * time.Second
	// replays bounds how often an operation that failed for a passing reason is asked for again.
	replays = 5
)

// Create asks for one machine. Its name is that of the token, and so is the id under which GCE remembers the call.
func (p *Provider) Create(ctx context.Context, r providers.CreateRequest) (providers.Instance, error) {
	const op = "create"
	none := providers.Instance{}
	if r.Token == "" || r.Spec.Zone == "" && r.Spec.Region == "" || r.Spec.InstanceType == "" {
		return none, fail(op, providers.Invalid, providers.ScopeProvider, "request", "", "a token, a region or zone, and a machine type are needed")
	}
	if r.Spec.Region == "" {
		r.Spec.Region = regionOf(r.Spec.Zone)
	}
	if !p.allowed(r.Spec.Region) {
		return none, fail(op, providers.Invalid, providers.ScopeRegion, "region", "add it to `regions` under providers.gcp", "region %s is not among those of the settings", r.Spec.Region)
	}
	c, err := p.api(ctx, op)
	if err != nil {
		return none, err
	}
	if err := p.settleZone(ctx, c, &r); err != nil {
		return none, err
	}
	digest, err := specDigest(r.Spec)
	if err != nil {
		return none, fail(op, providers.Invalid, providers.ScopeProvider, "request", "", "%w", err)
	}
	net, err := p.attach(ctx, c, r)
	if err != nil {
		return none, err
	}
	rec := newRecord(r, digest)
	body, err := p.resource(c.project, r, rec, net, time.Now())
	if err != nil {
		return none, err
	}
	f, err := p.insert(ctx, c, r, body)
	if err != nil {
		return none, p.failure(ctx, op, r.Spec.Zone, err)
	}
	if f != nil {
		e := p.judge(op, r.Spec.Zone, *f)
		if e.Kind != providers.Conflict {
			if e.Kind == providers.Invalid || e.Kind == providers.NotFound {
				p.nets.forget() // somebody may have removed our network
			}
			if e.Kind == providers.NotFound {
				e.Kind = providers.Invalid // what the machine was to be made of is missing
			}
			return none, e
		}
	}
	return p.taken(ctx, c, r, digest, f != nil)
}

// insert makes the call and waits a while for its outcome: nil and nil when the machine is there or is to come.
func (p *Provider) insert(ctx context.Context, c *clients, r providers.CreateRequest, body *computepb.Instance) (*failure, error) {
	id := requestID("insert", r.Token)
	var last failure
	for range replays {
		op, err := c.instances.Insert(ctx, &computepb.InsertInstanceRequest{
			Project: c.project, Zone: r.Spec.Zone, InstanceResource: body, RequestId: proto.String(id),
		})
		if err != nil {
			f, ok := read(err)
			if !ok {
				return nil, err
			}
			return &f, nil
		}
		old := op.Done() // the outcome of an earlier call with this id
		done, err := p.awaitZone(ctx, c, r.Spec.Zone, op.Proto(), createPatience)
		if err != nil {
			return nil, err
		}
		f, failed := ofOperation(done)
		if !failed {
			return nil, nil
		}
		if k := p.judge("create", r.Spec.Zone, f).Kind; !old || k != providers.Transient && k != providers.Throttled {
			return &f, nil
		}
		last = f
		// GCE would answer with that failure again and again; the next id follows from it, so that calls at the same time agree.
		id = requestID("insert", r.Token, done.GetName())
	}
	return &last, nil
}

// taken looks at the machine that has the token's name: ours as asked for, or a conflict.
func (p *Provider) taken(ctx context.Context, c *clients, r providers.CreateRequest, digest string, exists bool) (providers.Instance, error) {
	const op = "create"
	in, err := c.instances.Get(ctx, &computepb.GetInstanceRequest{Project: c.project, Zone: r.Spec.Zone, Instance: instanceName(r.Token)})
	if err != nil {
		f, ok := read(err)
		switch {
		case ok && f.status == http.StatusNotFound && exists:
			return providers.Instance{}, fail(op, providers.Transient, providers.ScopeZone, "not-visible", "", "%s is taken and not shown yet", instanceName(r.Token))
		case ok && f.status == http.StatusNotFound:
			return providers.Instance{}, fail(op, providers.Conflict, providers.ScopeZone, "spent", "", "the machine of this token has ended")
		}
		return providers.Instance{}, p.failure(ctx, op, r.Spec.Zone, err)
	}
	got := recordOf(in)
	if got.Token != r.Token || got.Spec != digest {
		return providers.Instance{}, fail(op, providers.Conflict, providers.ScopeZone, "taken", "", "%s in %s is another machine than was asked for", in.GetName(), r.Spec.Zone)
	}
	return p.instance(in), nil
}

// awaitZone waits for an operation, for a while: it gives the operation as last seen.
func (p *Provider) awaitZone(ctx context.Context, c *clients, zone string, op *computepb.Operation, patience time.Duration) (*computepb.Operation, error) {
	return await(ctx, op, patience, func(ctx context.Context) (*computepb.Operation, error) {
		return c.zoneOps.Wait(ctx, &computepb.WaitZoneOperationRequest{Project: c.project, Zone: zone, Operation: op.GetName()})
	})
}

// await asks until the operation is done or patience ends. Answers that say nothing of the operation are asked for again.
func await(ctx context.Context, op *computepb.Operation, patience time.Duration, ask func(context.Context) (*computepb.Operation, error)) (*computepb.Operation, error) {
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pause := 100 * time.Millisecond
	for op.GetStatus() != computepb.Operation_DONE {
		began := time.Now()
		next, err := ask(wait)
		switch {
		case ctx.Err() != nil:
			return op, fmt.Errorf("wait for operation %s: %w", op.GetName(), ctx.Err())
		case wait.Err() != nil:
			return op, nil
		case err == nil:
			op = next
		default:
			if f, ok := read(err); ok && (f.status == http.StatusUnauthorized || f.status == http.StatusForbidden || f.status == http.StatusNotFound) {
				return op, err
			}
		}
		if time.Since(began) > time.Second || op.GetStatus() == computepb.Operation_DONE {
			continue // the call itself waited
		}
		select {
		case <-wait.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, 2*time.Second)
	}
	return op, nil
}
