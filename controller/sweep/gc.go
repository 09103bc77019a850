package sweep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"aloft/controller/store"
	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

// Gc sweeps on behalf of `sky gc`: it lists whatever bears our tags in every place, also that of other installations, and
// deletes or adopts what the store does not know. A place that cannot be listed is in the answer's errors.
//
// With a filter of CI jobs it looks at machines of every installation that such jobs asked for, and deletes without their
// being named: whoever has a cloud's credentials can end what a dead CI job left there, from an empty home.
func (s *Sweeper) Gc(ctx context.Context, r *controlv1.GcRequest) (*controlv1.GcResponse, error) {
	var ours []string
	if err := s.o.Store.View(ctx, func(tx store.Tx) error { ours = []string{tx.Installation()}; return nil }); err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	own := ours[0]
	ours = append(ours, r.GetInstallations()...)
	out := &controlv1.GcResponse{}
	var orphans []Orphan
	seen := map[string]bool{}
	for _, name := range s.places(ctx) {
		os, err := s.survey(ctx, name, ours, r, out)
		if err != nil {
			out.Errors = append(out.Errors, fmt.Errorf("%s: %w", name, err).Error())
		}
		for _, o := range os {
			seen[o.Instance.ID] = true
		}
		orphans = append(orphans, os...)
	}
	for _, id := range r.GetIds() {
		if !seen[id] {
			out.Errors = append(out.Errors, id+": no place shows such a machine, or a cluster owns it")
		}
	}
	named := func(o *Orphan) bool {
		return len(r.GetIds()) == 0 && (!o.Foreign || r.GetCi() != nil || r.GetKin()) || slices.Contains(r.GetIds(), o.Instance.ID)
	}
	if r.GetAdopt() {
		var ms []found
		for i := range orphans {
			switch o := &orphans[i]; {
			case !named(o):
			case o.Instance.Tags.Installation != own && !s.kin(o.Instance):
				o.Err = errForeign
			default:
				ms = append(ms, found{o.Provider, o.Instance})
			}
		}
		results, err := s.adopt(ctx, ms)
		if err != nil {
			return nil, fmt.Errorf("adopt: %w", err)
		}
		for i := range orphans {
			if err, ok := results[orphans[i].Instance.ID]; ok {
				orphans[i].Adopted, orphans[i].Err = err == nil, err
			}
		}
	}
	for i := range orphans {
		o := &orphans[i]
		if r.GetDelete() && named(o) {
			p, err := s.o.Providers.Get(o.Provider)
			if err == nil {
				err = p.Delete(ctx, o.Instance.InstanceRef)
			}
			o.Err, o.Deleted = err, err == nil
		}
		out.Orphans = append(out.Orphans, row(*o))
	}
	return out, nil
}

// survey lists one place. Young machines of ours count as orphans only when they are to be adopted or are named: their
// create call may still be under way.
func (s *Sweeper) survey(ctx context.Context, name string, ours []string, r *controlv1.GcRequest, out *controlv1.GcResponse) ([]Orphan, error) {
	p, err := s.o.Providers.Get(name)
	if err != nil {
		return nil, err
	}
	if !p.Capabilities().Tags {
		return nil, nil
	}
	// The list comes first: see place. What can be listed is listed, whatever fails beside it.
	var seen []providers.Instance
	var errs []error
	for in, err := range p.Describe(ctx, providers.Selector{Ours: true}) {
		if err != nil {
			errs = append(errs, fmt.Errorf("list: %w", err))
			continue
		}
		if in.State.Alive() && in.State != providers.InstanceTerminating && in.Tags.Installation != "" {
			seen = append(seen, in)
		}
	}
	var orphans []Orphan
	var instances, owned int32
	err = s.o.Store.View(ctx, func(tx store.Tx) error {
		orphans, instances, owned = nil, 0, 0
		for _, in := range seen {
			left := ""
			if r.GetKin() {
				if !s.meant(r, in) {
					continue
				}
				left = "another home with the same key made it"
			} else if r.GetCi() != nil {
				var chosen bool
				if left, chosen = choose(r.GetCi(), in, time.Now()); !chosen {
					continue
				}
			}
			if !slices.Contains(ours, in.Tags.Installation) && left != "" {
				instances++
				orphans = append(orphans, Orphan{Provider: name, Instance: in, Foreign: true, Reason: left})
				continue
			}
			if !slices.Contains(ours, in.Tags.Installation) {
				orphans = append(orphans, Orphan{Provider: name, Instance: in, Foreign: true, Reason: "made by another installation"})
				continue
			}
			intent, err := tx.IntentByToken(in.Token)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			instances++
			switch {
			case intent != nil && s.o.Owns(intent, in):
				owned++
			case time.Since(in.Created) <= s.o.Grace && !slices.Contains(r.GetIds(), in.ID) && !(r.GetAdopt() && intent == nil) && in.Created.After(s.o.Made):
			case left != "":
				orphans = append(orphans, Orphan{Provider: name, Instance: in, Reason: left})
			default:
				orphans = append(orphans, Orphan{Provider: name, Instance: in, Reason: reason(intent, in)})
			}
		}
		return nil
	})
	out.Instances += instances
	out.Owned += owned
	return orphans, errors.Join(append(errs, err)...)
}

func row(o Orphan) *controlv1.Orphan {
	t := o.Instance.Tags
	r := &controlv1.Orphan{
		Provider: o.Provider, Region: o.Instance.Region, InstanceId: o.Instance.ID, NodeId: t.NodeID, ClusterName: t.ClusterName,
		CreatedMs: o.Instance.Created.UnixMilli(), Reason: o.Reason, Deleted: o.Deleted, Foreign: o.Foreign, Installation: t.Installation,
		Owner: t.Owner, Adopted: o.Adopted, Ci: ciOf(t.CI),
	}
	if o.Err != nil {
		r.Failure = &statev1.Failure{Kind: statev1.FailureKind_INFRA, Scope: "provider", Code: providers.KindOf(o.Err).String(), Message: o.Err.Error()}
	}
	return r
}
