package aws

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"aloft/providers"
)

func (p *Provider) checkAccount(ctx context.Context) (providers.Account, error) {
	pl, err := p.at(ctx, "")
	if err != nil {
		return providers.Account{}, err
	}
	who, err := pl.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return providers.Account{}, err
	}
	arn := sdk.ToString(who.Arn)
	a := providers.Account{Identity: arn, Capabilities: []string{"compute"}}
	p.mu.Lock()
	if p.as != "" {
		a.Notes = append(a.Notes, p.as)
	}
	p.mu.Unlock()
	x := p.subjects(ctx, pl)
	all := needs()
	denied, errs := make([]bool, len(all)), make([]error, len(all))
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, n := range all {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			denied[i], errs[i] = verdict(n.try(ctx, pl, x))
		})
	}
	wg.Wait()
	for i, n := range all {
		switch {
		case errs[i] != nil:
			f := p.fault(ctx, "check", pl.region, errs[i])
			var e *providers.Error
			if !errors.As(f, &e) || e.Kind == providers.Auth {
				return providers.Account{}, f
			}
			a.Notes = append(a.Notes, fmt.Sprintf("%s could not be tried: %v", n.action, e.Err))
		case !denied[i]:
		case n.optional:
			a.Notes = append(a.Notes, fmt.Sprintf("%s is missing: it is used %s. Fix: %s", n.action, n.purpose, fix(arn)))
		case n.action == "ssm:GetParameter" && p.set.images[archX86] != nil && p.set.images[archARM] != nil && p.set.images[kindGPU] != nil:
			// every image is named in the settings
		default:
			a.Missing = append(a.Missing, providers.Permission{Name: n.action, For: n.purpose, Fix: fix(arn)})
		}
	}
	if !slices.ContainsFunc(a.Missing, func(m providers.Permission) bool {
		return m.Name == "ec2:DescribeVpcs" || m.Name == "ec2:DescribeSubnets"
	}) {
		if _, err := p.findNetwork(ctx, pl); err != nil {
			var e *providers.Error
			if errors.As(p.fault(ctx, "check", pl.region, err), &e) {
				a.Notes = append(a.Notes, fmt.Sprintf("Machines cannot be made in %s: %v; %s", pl.region, e.Err, e.Hint))
			}
		}
	}
	return a, nil
}

// subjects finds what dry runs can speak of. What could be lost if a server took a dry run for a wet one is always
// something that does not exist, and so is what cannot be read.
func (p *Provider) subjects(ctx context.Context, pl *place) subjects {
	x := noSubjects()
	if n, err := p.findNetwork(ctx, pl); err == nil {
		x.vpc = n.vpc
		for _, z := range n.zones() {
			x.subnet = n.subnets[z]
		}
	}
	if i, err := p.image(ctx, pl, "", machineType{arch: archX86}); err == nil {
		x.image = i.id
	}
	return x
}

// verdict reads the answer to a dry run: refused for want of a permission, or anything else that shows that the permission
// is there. What says nothing about it is an error.
func verdict(err error) (denied bool, _ error) {
	code, _ := apiCode(err)
	switch {
	case err == nil, code == "DryRunOperation":
		return false, nil
	case code == "UnauthorizedOperation", code == "AccessDenied", code == "AccessDeniedException":
		return true, nil
	case code == "":
		return false, err
	}
	switch classOf(code, 0).kind {
	case providers.Auth, providers.Throttled, providers.Transient:
		return false, err
	}
	return false, nil
}
