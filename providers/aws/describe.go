package aws

import (
	"context"
	"errors"
	"iter"
	"regexp"
	"slices"
	"strings"
	"sync"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"aloft/providers"
)

// Numbers of listings.
const (
	atOnce   = 8   // regions that are asked at the same time
	idChunk  = 100 // ids in one call
	pageSize = 500
)

var instanceID = regexp.MustCompile(`^i-[0-9a-f]{8}([0-9a-f]{9})?$`)

// Describe yields the machines that s selects, region by region. A region that does not answer is an error, after the
// machines of those that did.
func (p *Provider) Describe(ctx context.Context, s providers.Selector) iter.Seq2[providers.Instance, error] {
	return func(yield func(providers.Instance, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(providers.Instance{}, err)
			return
		}
		if len(s.IDs) == 0 && s.Token == "" && s.Installation == "" && !s.Ours {
			return
		}
		regions := []string{s.Region}
		if s.Region == "" {
			var err error
			if regions, err = p.regions(ctx); err != nil {
				yield(providers.Instance{}, p.fault(ctx, "describe", "", err))
				return
			}
		}
		found, errs := make([][]types.Instance, len(regions)), make([]error, len(regions))
		slots := make(chan struct{}, atOnce)
		var wg sync.WaitGroup
		for i, region := range regions {
			wg.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				found[i], errs[i] = p.list(ctx, region, s)
			})
		}
		wg.Wait()
		for i, list := range found {
			for _, x := range list {
				in := instanceOf(regions[i], x)
				if shows(s, in) && !yield(in, nil) {
					return
				}
			}
		}
		for i, err := range errs {
			if err != nil {
				yield(providers.Instance{}, p.fault(ctx, "describe", regions[i], err))
				return
			}
		}
	}
}

// shows reports whether s selects the machine, whatever the listing thought.
func shows(s providers.Selector, in providers.Instance) bool {
	switch {
	case s.Zone != "" && s.Zone != in.Zone:
		return false
	case len(s.IDs) > 0:
		return slices.Contains(s.IDs, in.ID)
	case s.Token != "":
		return s.Token == in.Token
	case s.Installation != "":
		return s.Installation == in.Tags.Installation
	}
	return in.Tags.Installation != ""
}

// list asks one region.
func (p *Provider) list(ctx context.Context, region string, s providers.Selector) ([]types.Instance, error) {
	pl, err := p.at(ctx, region)
	if err != nil {
		return nil, err
	}
	switch {
	case len(s.IDs) > 0:
		ids := slices.DeleteFunc(slices.Clone(s.IDs), func(id string) bool { return !instanceID.MatchString(id) })
		slices.Sort(ids)
		return pl.byID(ctx, slices.Compact(ids))
	case s.Token != "":
		return pl.pages(ctx, filter("tag:"+tagToken, s.Token))
	case s.Installation != "":
		return pl.pages(ctx, filter("tag:"+tagInstallation, s.Installation))
	}
	return pl.pages(ctx, filter("tag-key", tagInstallation))
}

// byID asks for machines by id. EC2 answers nothing at all when one of them does not exist, so then they are searched for.
func (pl *place) byID(ctx context.Context, ids []string) ([]types.Instance, error) {
	var all []types.Instance
	for chunk := range slices.Chunk(ids, idChunk) {
		out, err := pl.ec2.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: chunk})
		if hasCode(err, "InvalidInstanceID.") {
			if len(chunk) == 1 {
				continue
			}
			more, err := pl.pages(ctx, filter("instance-id", chunk...))
			if err != nil {
				return nil, err
			}
			all = append(all, more...)
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, r := range out.Reservations {
			all = append(all, r.Instances...)
		}
	}
	return all, nil
}

// pages lists everything that the filters let through.
func (pl *place) pages(ctx context.Context, filters ...types.Filter) ([]types.Instance, error) {
	var all []types.Instance
	pages := ec2.NewDescribeInstancesPaginator(pl.ec2, &ec2.DescribeInstancesInput{Filters: filters, MaxResults: sdk.Int32(pageSize)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Reservations {
			all = append(all, r.Instances...)
		}
	}
	slices.SortStableFunc(all, func(a, b types.Instance) int {
		return strings.Compare(sdk.ToString(a.InstanceId), sdk.ToString(b.InstanceId))
	})
	return all, nil
}

// errGone is a machine that does not exist, or no more.
var errGone = errors.New("no such machine")

// one finds a machine; its region may be left out.
func (p *Provider) one(ctx context.Context, ref providers.InstanceRef) (providers.Instance, error) {
	for in, err := range p.Describe(ctx, providers.Selector{IDs: []string{ref.ID}, Region: ref.Region}) {
		if err != nil {
			return in, err
		}
		return in, nil
	}
	return providers.Instance{}, errGone
}
