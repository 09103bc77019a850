package gcp

import (
	"context"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	compute "cloud.google.com/go/compute/apiv1"
	"cloud.google.com/go/compute/apiv1/computepb"
	"google.golang.org/protobuf/proto"

	"aloft/providers"
)

// pageSize is how many machines a listing asks for at once: the most that GCE gives.
const pageSize = 500

// Describe lists machines of every zone with one call per 500 of them. Zones that GCE could not reach are an error after what
// was found: that nothing is listed there means nothing.
func (p *Provider) Describe(ctx context.Context, s providers.Selector) iter.Seq2[providers.Instance, error] {
	return func(yield func(providers.Instance, error) bool) {
		const op = "describe"
		filter, ok := filterOf(s)
		if !ok {
			return
		}
		c, err := p.api(ctx, op)
		if err != nil {
			yield(providers.Instance{}, err)
			return
		}
		list, err := compute.NewInstancesRESTClient(ctx, c.bound(ctx)...)
		if err != nil {
			yield(providers.Instance{}, p.failure(ctx, op, "", err))
			return
		}
		it := list.AggregatedList(ctx, &computepb.AggregatedListInstancesRequest{Project: c.project, Filter: proto.String(filter)})
		var blind []string
		seen := map[string]bool{}
		for token := ""; ; {
			if err := ctx.Err(); err != nil {
				yield(providers.Instance{}, err)
				return
			}
			pairs, next, err := it.InternalFetch(pageSize, token)
			if err != nil {
				yield(providers.Instance{}, p.failure(ctx, op, "", err))
				return
			}
			if l, ok := it.Response.(*computepb.InstanceAggregatedList); ok {
				blind = append(blind, l.GetUnreachables()...)
			}
			for _, pair := range pairs {
				if pair.Value.GetWarning().GetCode() == "UNREACHABLE" {
					blind = append(blind, pair.Key)
				}
				for _, raw := range pair.Value.GetInstances() {
					in := p.instance(raw)
					if seen[in.ID] || !p.selects(s, in, raw) {
						continue
					}
					seen[in.ID] = true
					if !yield(in, nil) {
						return
					}
				}
			}
			if next == "" {
				break
			}
			token = next
		}
		blind = slices.DeleteFunc(blind, func(scope string) bool { return !concerns(s, scope) })
		if len(blind) > 0 && (len(s.IDs) == 0 || len(seen) < len(s.IDs)) {
			slices.Sort(blind)
			yield(providers.Instance{}, fail(op, providers.Transient, providers.ScopeRegion, "unreachable-zones", "",
				"GCP could not list %s", strings.Join(slices.Compact(blind), ", ")))
			return
		}
		for _, in := range p.ended(ctx, c, s, seen) {
			if !yield(in, nil) {
				return
			}
		}
	}
}

// filterOf is the listing's filter; false when nothing can be selected.
func filterOf(s providers.Selector) (string, bool) {
	switch {
	case len(s.IDs) > 0:
		var terms []string
		for _, id := range s.IDs {
			if name, number := splitID(id); number != "" && namePattern.MatchString(name) {
				terms = append(terms, `(name = "`+name+`")`)
			}
		}
		return strings.Join(terms, " OR "), len(terms) > 0
	case s.Token != "":
		return `name = "` + instanceName(s.Token) + `"`, true
	case s.Installation != "":
		v, _ := labelValue(s.Installation)
		return `labels.` + labelInstallation + ` = "` + v + `"`, true
	case s.Ours:
		return "labels." + labelInstallation + ":*", true
	}
	return "", false
}

// selects looks closer than a filter can.
func (p *Provider) selects(s providers.Selector, in providers.Instance, raw *computepb.Instance) bool {
	if s.Region != "" && s.Region != in.Region || s.Zone != "" && s.Zone != in.Zone {
		return false
	}
	switch {
	case len(s.IDs) > 0:
		return slices.Contains(s.IDs, in.ID)
	case s.Token != "":
		return in.Token == s.Token
	case s.Installation != "":
		return in.Tags.Installation == s.Installation && p.allowed(in.Region)
	}
	_, ours := raw.GetLabels()[labelInstallation]
	return s.Ours && ours && p.allowed(in.Region)
}

// concerns reports whether a scope that could not be listed may hold what was asked for.
func concerns(s providers.Selector, scope string) bool {
	last := lastPart(scope)
	switch {
	case s.Zone != "":
		return last == s.Zone || last == regionOf(s.Zone)
	case s.Region != "":
		return last == s.Region || regionOf(last) == s.Region
	}
	return true
}

// instance is a machine of the API in the contract's words.
func (p *Provider) instance(in *computepb.Instance) providers.Instance {
	zone := lastPart(in.GetZone())
	rec := recordOf(in)
	out := providers.Instance{
		InstanceRef: providers.InstanceRef{ID: instanceID(in.GetName(), in.GetId()), Region: regionOf(zone), Zone: zone},
		Token:       rec.Token, State: state(in.GetStatus()), Tags: rec.tags(), Reason: clean(in.GetStatusMessage()),
	}
	for _, n := range in.GetNetworkInterfaces() {
		if out.Address != "" {
			break
		}
		out.Address = n.GetNetworkIP()
		for _, a := range n.GetAccessConfigs() {
			if a.GetNatIP() != "" && !p.set.internal {
				out.PublicAddress = a.GetNatIP()
			}
		}
	}
	out.Created, _ = time.Parse(time.RFC3339, in.GetCreationTimestamp())
	out.Deadline = deadline(in, out.Created)
	return out
}

// deadline is when GCE itself ends the machine; zero = never. The limit counts from the machine's start, so until it runs, the
// earliest is told.
func deadline(in *computepb.Instance, created time.Time) time.Time {
	if t, err := time.Parse(time.RFC3339, in.GetResourceStatus().GetScheduling().GetTerminationTimestamp()); err == nil {
		return t
	}
	if s := in.GetScheduling().GetMaxRunDuration().GetSeconds(); s > 0 && !created.IsZero() {
		return created.Add(time.Duration(s) * time.Second)
	}
	return time.Time{}
}

// state reads GCE's word: TERMINATED is a machine that is stopped, with a disk that costs; one that is deleted is not shown.
func state(status string) providers.InstanceState {
	switch status {
	case "RUNNING":
		return providers.InstanceRunning
	case "STOPPING", "SUSPENDING", "PENDING_STOP":
		return providers.InstanceStopping
	case "TERMINATED", "STOPPED", "SUSPENDED":
		return providers.InstanceStopped
	case "DEPROVISIONING":
		return providers.InstanceTerminating
	}
	return providers.InstancePending // PROVISIONING, STAGING, REPAIRING, PENDING
}

// ended finds out why machines that are asked for by id are not listed any more: their end is among the operations. What is
// not found there may be gone or not.
func (p *Provider) ended(ctx context.Context, c *clients, s providers.Selector, seen map[string]bool) []providers.Instance {
	var terms []string
	ids := map[uint64]string{}
	for _, id := range s.IDs {
		name, number := splitID(id)
		n, err := strconv.ParseUint(number, 10, 64)
		if err != nil || seen[id] || !namePattern.MatchString(name) {
			continue
		}
		ids[n] = id
		terms = append(terms, "(targetId = "+number+")")
	}
	if len(ids) == 0 || len(ids) > 20 {
		return nil
	}
	list, err := compute.NewGlobalOperationsRESTClient(ctx, c.bound(ctx)...)
	if err != nil {
		return nil
	}
	it := list.AggregatedList(ctx, &computepb.AggregatedListGlobalOperationsRequest{Project: c.project, Filter: proto.String(strings.Join(terms, " OR "))})
	ends := map[uint64]*computepb.Operation{}
	for token := ""; ; {
		pairs, next, err := it.InternalFetch(pageSize, token)
		if err != nil {
			return nil // the listing said what it knew; why is a nicety
		}
		for _, pair := range pairs {
			for _, o := range pair.Value.GetOperations() {
				if ids[o.GetTargetId()] != "" && ending(o) && telling(o) >= telling(ends[o.GetTargetId()]) {
					ends[o.GetTargetId()] = o
				}
			}
		}
		if next == "" || ctx.Err() != nil {
			break
		}
		token = next
	}
	var out []providers.Instance
	for n, o := range ends {
		z := lastPart(o.GetZone())
		if s.Region != "" && regionOf(z) != s.Region || s.Zone != "" && z != s.Zone {
			continue
		}
		out = append(out, providers.Instance{
			InstanceRef: providers.InstanceRef{ID: ids[n], Region: regionOf(z), Zone: z}, State: providers.InstanceTerminated, Reason: reason(o),
		})
	}
	slices.SortFunc(out, func(a, b providers.Instance) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// ending reports whether an operation ended its machine for good: a delete that is done, a preemption of a machine that is
// gone, or an insert that failed.
func ending(o *computepb.Operation) bool {
	if o.GetStatus() != computepb.Operation_DONE {
		return false
	}
	_, failed := ofOperation(o)
	switch o.GetOperationType() {
	case "insert":
		return failed
	case "delete", "compute.instances.preempted", "compute.instances.delete":
		return !failed
	}
	return false
}

// telling ranks operations by how well they say why a machine ended.
func telling(o *computepb.Operation) int {
	switch {
	case o == nil:
		return 0
	case o.GetOperationType() == "delete":
		return 1
	}
	return 2
}

func reason(o *computepb.Operation) string {
	switch o.GetOperationType() {
	case "compute.instances.preempted":
		return "preempted"
	case "compute.instances.delete":
		return "ended by GCP at its deadline"
	case "insert":
		f, _ := ofOperation(o)
		return clean(strings.Join(append(f.codes[:min(len(f.codes), 1)], f.message), ": "))
	}
	if o.GetUser() == "system" || strings.Contains(o.GetUser(), "system@google.com") {
		return "ended by GCP"
	}
	return "deleted"
}

// lastPart is what a resource's address ends in.
func lastPart(address string) string { return address[strings.LastIndex(address, "/")+1:] }

// regionOf is the region of a zone: us-central1-a is in us-central1.
func regionOf(zone string) string {
	i := strings.LastIndex(zone, "-")
	if i < 0 {
		return zone
	}
	return zone[:i]
}
