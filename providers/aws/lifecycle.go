package aws

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"aloft/providers"
)

func gone(op, id string) *providers.Error {
	return &providers.Error{Provider: Name, Op: op, Kind: providers.NotFound, Scope: providers.ScopeZone, Code: "InvalidInstanceID.NotFound", Err: errorf("the machine %s does not exist", id)}
}

// turn makes a call about one machine, in its region.
func (p *Provider) turn(ctx context.Context, op string, ref providers.InstanceRef, call func(*place) error) error {
	if !instanceID.MatchString(ref.ID) {
		return gone(op, ref.ID)
	}
	if ref.Region == "" {
		in, err := p.one(ctx, ref)
		if errors.Is(err, errGone) {
			return gone(op, ref.ID)
		}
		if err != nil {
			return p.fault(ctx, op, "", err)
		}
		ref.Region = in.Region
	}
	pl, err := p.at(ctx, ref.Region)
	if err != nil {
		return p.fault(ctx, op, ref.Region, err)
	}
	return p.fault(ctx, op, ref.Region, call(pl))
}

// Delete asks for the end of a machine; nil when it is gone.
func (p *Provider) Delete(ctx context.Context, ref providers.InstanceRef) error {
	err := p.turn(ctx, "delete", ref, func(pl *place) error {
		_, err := pl.ec2.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{ref.ID}})
		return err
	})
	if providers.KindOf(err) == providers.NotFound {
		return nil
	}
	return err
}

// Stop stops a machine and keeps its disk.
func (p *Provider) Stop(ctx context.Context, ref providers.InstanceRef) error {
	return p.turn(ctx, "stop", ref, func(pl *place) error {
		_, err := pl.ec2.StopInstances(ctx, &ec2.StopInstancesInput{InstanceIds: []string{ref.ID}})
		return p.state(ctx, "stop", pl, ref, err, providers.InstanceStopping, providers.InstanceStopped)
	})
}

// Start starts a stopped machine.
func (p *Provider) Start(ctx context.Context, ref providers.InstanceRef) error {
	return p.turn(ctx, "start", ref, func(pl *place) error {
		_, err := pl.ec2.StartInstances(ctx, &ec2.StartInstancesInput{InstanceIds: []string{ref.ID}})
		return p.state(ctx, "start", pl, ref, err, providers.InstancePending, providers.InstanceRunning)
	})
}

// state says what a refusal because of a machine's state means: it is gone, it is so already, or later.
func (p *Provider) state(ctx context.Context, op string, pl *place, ref providers.InstanceRef, err error, fine ...providers.InstanceState) error {
	if !hasCode(err, "IncorrectInstanceState") {
		return err
	}
	list, derr := pl.byID(ctx, []string{ref.ID})
	if derr != nil {
		return err
	}
	if len(list) == 0 {
		return gone(op, ref.ID)
	}
	now := instanceOf(pl.region, list[0]).State
	if now == providers.InstanceTerminated || now == providers.InstanceTerminating {
		return gone(op, ref.ID)
	}
	for _, s := range fine {
		if s == now {
			return nil
		}
	}
	return err
}

// SetPowerOff says what a shutdown from within does.
func (p *Provider) SetPowerOff(ctx context.Context, ref providers.InstanceRef, keep bool) error {
	behavior := types.ShutdownBehaviorTerminate
	if keep {
		behavior = types.ShutdownBehaviorStop
	}
	return p.turn(ctx, "power-off", ref, func(pl *place) error {
		_, err := pl.ec2.ModifyInstanceAttribute(ctx, &ec2.ModifyInstanceAttributeInput{
			InstanceId: sdk.String(ref.ID), InstanceInitiatedShutdownBehavior: &types.AttributeValue{Value: sdk.String(string(behavior))},
		})
		return err
	})
}

// ExtendDeadline writes the deadline into a tag, for people and for the sweep: what enforces it is the file on the machine,
// which is renewed through the machine's own shell.
func (p *Provider) ExtendDeadline(ctx context.Context, ref providers.InstanceRef, deadline time.Time) error {
	return p.turn(ctx, "extend", ref, func(pl *place) error {
		_, err := pl.ec2.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{ref.ID}, Tags: []types.Tag{
			{Key: sdk.String(tagDeadline), Value: sdk.String(strconv.FormatInt(deadline.Unix(), 10))},
		}})
		return err
	})
}

// Console is what the machine wrote on its console, as far as EC2 has it: some minutes late.
func (p *Provider) Console(ctx context.Context, ref providers.InstanceRef) ([]byte, error) {
	var text []byte
	err := p.turn(ctx, "console", ref, func(pl *place) error {
		out, err := pl.ec2.GetConsoleOutput(ctx, &ec2.GetConsoleOutputInput{InstanceId: sdk.String(ref.ID), Latest: sdk.Bool(true)})
		if hasCode(err, "UnsupportedOperation") { // types without Nitro show only what was saved
			out, err = pl.ec2.GetConsoleOutput(ctx, &ec2.GetConsoleOutputInput{InstanceId: sdk.String(ref.ID)})
		}
		if err != nil {
			return err
		}
		if text, err = base64.StdEncoding.DecodeString(sdk.ToString(out.Output)); err != nil {
			return &providers.Error{Provider: Name, Op: "console", Kind: providers.Transient, Scope: providers.ScopeZone, Code: "unreadable", Err: errorf("the console output cannot be read: %v", err)}
		}
		return nil
	})
	return text, err
}
