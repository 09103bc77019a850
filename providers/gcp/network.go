package gcp

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/compute/apiv1/computepb"
	"golang.org/x/sync/singleflight"
	"google.golang.org/protobuf/proto"

	"aloft/providers"
)

// What machines stand in: a network that is theirs alone unless the settings name another, one rule that opens port 22 to
// them, and for a cluster that needs it a rule for its own machines among each other, one for its ports, and a placement.
// All of it is made when it is missing, by whoever comes first, and found by its name.

const (
	networkPatience = 90 * time.Second // how long a network is waited for, once in the life of a project
	// remembered is how long what was found or made is taken as there.
	remembered = 10 * time.Minute
)

// networks remembers what is known to be there, and lets one call make what many need.
type networks struct {
	flight singleflight.Group
	mu     sync.Mutex
	known  map[string]time.Time
}

// once makes sure of a thing: do looks for it and makes it. Calls at the same time share one do, which a caller that gives up
// does not end.
func (n *networks) once(ctx context.Context, key string, do func(ctx context.Context) error) error {
	n.mu.Lock()
	at, ok := n.known[key]
	n.mu.Unlock()
	if ok && time.Since(at) < remembered {
		return nil
	}
	done := n.flight.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), networkPatience)
		defer cancel()
		if err := do(ctx); err != nil {
			return nil, err
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.known == nil {
			n.known = map[string]time.Time{}
		}
		n.known[key] = time.Now()
		return nil, nil
	})
	select {
	case r := <-done:
		return r.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *networks) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.known = nil
}

// attachment is where a machine is put.
type attachment struct {
	network   string
	subnet    string
	placement string
}

// attach makes sure of everything around a machine.
func (p *Provider) attach(ctx context.Context, c *clients, r providers.CreateRequest) (attachment, error) {
	net := p.networkPath(c.project)
	out := attachment{network: net, subnet: p.subnetPath(c.project, net, r.Spec.Region)}
	err := p.nets.once(ctx, net, func(ctx context.Context) error {
		if err := p.ensureNetwork(ctx, c, net); err != nil {
			return err
		}
		return p.ensureRule(ctx, c, p.sshRule(net))
	})
	for _, rule := range p.clusterRules(net, r.Tags, r.Spec) {
		if err == nil {
			err = p.nets.once(ctx, rule.GetName()+" "+fmt.Sprint(rule.GetAllowed()), func(ctx context.Context) error { return p.ensureRule(ctx, c, rule) })
		}
	}
	if err == nil && r.Spec.Nodes > 1 && r.Spec.NetworkTier == "best" && compact(family(r.Spec.InstanceType)) {
		name := clusterTag(r.Tags.ClusterID)
		out.placement = fmt.Sprintf("projects/%s/regions/%s/resourcePolicies/%s", c.project, r.Spec.Region, name)
		err = p.nets.once(ctx, out.placement, func(ctx context.Context) error { return p.ensurePlacement(ctx, c, r.Spec.Region, name, r.Tags) })
	}
	if err != nil {
		return out, p.failure(ctx, "create", r.Spec.Zone, err)
	}
	return out, nil
}

func (p *Provider) networkPath(project string) string {
	if strings.HasPrefix(p.set.network, "projects/") {
		return p.set.network
	}
	return "projects/" + project + "/global/networks/" + p.set.network
}

// subnetPath is the subnetwork that the settings name; "" = GCE takes the network's own in the region.
func (p *Provider) subnetPath(project, network, region string) string {
	if p.set.subnet == "" || strings.HasPrefix(p.set.subnet, "projects/") {
		return p.set.subnet
	}
	if host, ok := strings.CutPrefix(network, "projects/"); ok {
		project, _, _ = strings.Cut(host, "/") // a shared network's subnetworks are the host project's
	}
	return "projects/" + project + "/regions/" + region + "/subnetworks/" + p.set.subnet
}

// hostProject is the project of a network, which its rules belong to.
func hostProject(network string) string {
	host, _, _ := strings.Cut(strings.TrimPrefix(network, "projects/"), "/")
	return host
}

func (p *Provider) ensureNetwork(ctx context.Context, c *clients, network string) error {
	project, name := hostProject(network), lastPart(network)
	_, err := c.networks.Get(ctx, &computepb.GetNetworkRequest{Project: project, Network: name})
	if err == nil || !missing(err) {
		return err
	}
	if name != defaultNetwork || project != c.project {
		return fail("", providers.Invalid, providers.ScopeProvider, "VPC_NOT_FOUND", "gcloud compute networks list --project="+project,
			"there is no network %s in project %s", name, project)
	}
	op, err := c.networks.Insert(ctx, &computepb.InsertNetworkRequest{Project: project, NetworkResource: &computepb.Network{
		Name: proto.String(name), AutoCreateSubnetworks: proto.Bool(true), Description: proto.String("Made by Aloft: its machines, and no others"),
		RoutingConfig: &computepb.NetworkRoutingConfig{RoutingMode: proto.String("REGIONAL")},
	}})
	if err == nil {
		return p.finished(ctx, c, project, op.Proto())
	}
	if !exists(err) {
		return err
	}
	// Somebody else makes it at the same time: it is there when it can be read, and its subnetworks when they are listed.
	return p.eventually(ctx, func() (bool, error) {
		n, err := c.networks.Get(ctx, &computepb.GetNetworkRequest{Project: project, Network: name})
		if missing(err) {
			return false, nil
		}
		return err == nil && len(n.GetSubnetworks()) > 0, err
	})
}

// eventually asks until ok, an error, or the end of ctx.
func (p *Provider) eventually(ctx context.Context, ok func() (bool, error)) error {
	pause := 100 * time.Millisecond
	for {
		done, err := ok()
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fail("", providers.Transient, providers.ScopeRegion, "network-not-ready", "", "the network is still being made")
		case <-time.After(pause):
		}
		pause = min(2*pause, 2*time.Second)
	}
}

// finished waits for a global operation, and gives what it failed with. That the thing is there already is no failure.
func (p *Provider) finished(ctx context.Context, c *clients, project string, op *computepb.Operation) error {
	done, err := await(ctx, op, networkPatience, func(ctx context.Context) (*computepb.Operation, error) {
		return c.globalOps.Wait(ctx, &computepb.WaitGlobalOperationRequest{Project: project, Operation: op.GetName()})
	})
	if err != nil {
		return err
	}
	return p.outcome(done)
}

func (p *Provider) outcome(op *computepb.Operation) error {
	if op.GetStatus() != computepb.Operation_DONE {
		return fail("", providers.Transient, providers.ScopeRegion, "not-ready", "", "%s of %s takes long", op.GetOperationType(), lastPart(op.GetTargetLink()))
	}
	f, failed := ofOperation(op)
	if !failed {
		return nil
	}
	if e := p.judge("", "", f); e.Kind != providers.Conflict {
		return e
	}
	return nil
}

// missing reports whether err is the API's "not found"; exists, its "already exists".
func missing(err error) bool {
	f, ok := read(err)
	return err != nil && ok && f.status == http.StatusNotFound
}

func exists(err error) bool {
	f, ok := read(err)
	return err != nil && ok && f.status == http.StatusConflict
}

// sshRule opens port 22 of our machines. Its name holds the network's where that is not ours.
func (p *Provider) sshRule(network string) *computepb.Firewall {
	name := "aloft-ssh"
	if n := lastPart(network); n != defaultNetwork {
		name += "-" + hash(8, network)
	}
	return &computepb.Firewall{
		Name: proto.String(name), Network: proto.String(network), Description: proto.String("Made by Aloft: SSH to its machines"),
		Direction: proto.String("INGRESS"), SourceRanges: p.set.ssh, TargetTags: []string{allTag},
		Allowed: []*computepb.Allowed{{IPProtocol: proto.String("tcp"), Ports: []string{"22"}}},
	}
}

// clusterRules are those of one cluster: its machines among each other where there are several, and the ports it asks for.
func (p *Provider) clusterRules(network string, t providers.Tags, s providers.NodeSpec) []*computepb.Firewall {
	tag := clusterTag(t.ClusterID)
	about := "Made by Aloft: cluster " + fold(t.ClusterName) + ", installation " + t.Installation
	var out []*computepb.Firewall
	if s.Nodes > 1 {
		out = append(out, &computepb.Firewall{
			Name: proto.String(tag), Network: proto.String(network), Description: proto.String(about), Direction: proto.String("INGRESS"),
			SourceTags: []string{tag}, TargetTags: []string{tag}, Allowed: []*computepb.Allowed{{IPProtocol: proto.String("all")}},
		})
	}
	if len(s.Ports) > 0 {
		ports := slices.Clone(s.Ports)
		slices.Sort(ports)
		out = append(out, &computepb.Firewall{
			Name: proto.String(tag + "-ports"), Network: proto.String(network), Description: proto.String(about), Direction: proto.String("INGRESS"),
			SourceRanges: []string{"0.0.0.0/0"}, TargetTags: []string{tag}, Allowed: []*computepb.Allowed{{IPProtocol: proto.String("tcp"), Ports: slices.Compact(ports)}},
		})
	}
	return out
}

// ensureRule makes a rule, or adds to the one that is there the ports it lacks.
func (p *Provider) ensureRule(ctx context.Context, c *clients, want *computepb.Firewall) error {
	project := hostProject(want.GetNetwork())
	have, err := c.firewalls.Get(ctx, &computepb.GetFirewallRequest{Project: project, Firewall: want.GetName()})
	if missing(err) {
		op, err := c.firewalls.Insert(ctx, &computepb.InsertFirewallRequest{Project: project, FirewallResource: want})
		if err == nil {
			return p.finished(ctx, c, project, op.Proto())
		}
		if !exists(err) {
			return err
		}
		return p.eventually(ctx, func() (bool, error) {
			_, err := c.firewalls.Get(ctx, &computepb.GetFirewallRequest{Project: project, Firewall: want.GetName()})
			if missing(err) {
				return false, nil
			}
			return err == nil, err
		})
	}
	if err != nil {
		return err
	}
	if opens(have, want) {
		return nil
	}
	op, err := c.firewalls.Patch(ctx, &computepb.PatchFirewallRequest{Project: project, Firewall: want.GetName(), FirewallResource: &computepb.Firewall{
		Name: want.Name, Network: want.Network, Allowed: append(have.GetAllowed(), want.GetAllowed()...),
	}})
	if err != nil {
		return err
	}
	return p.finished(ctx, c, project, op.Proto())
}

// opens reports whether a rule allows all that another does.
func opens(have, want *computepb.Firewall) bool {
	for _, w := range want.GetAllowed() {
		for _, port := range append(slices.Clone(w.GetPorts()), "") {
			if port == "" && len(w.GetPorts()) > 0 {
				continue
			}
			if !slices.ContainsFunc(have.GetAllowed(), func(h *computepb.Allowed) bool {
				return h.GetIPProtocol() == w.GetIPProtocol() && (port == "" || slices.Contains(h.GetPorts(), port))
			}) {
				return false
			}
		}
	}
	return true
}

// ensurePlacement makes the policy that puts the machines of a cluster close together.
func (p *Provider) ensurePlacement(ctx context.Context, c *clients, region, name string, t providers.Tags) error {
	_, err := c.placements.Get(ctx, &computepb.GetResourcePolicyRequest{Project: c.project, Region: region, ResourcePolicy: name})
	if !missing(err) {
		return err
	}
	op, err := c.placements.Insert(ctx, &computepb.InsertResourcePolicyRequest{Project: c.project, Region: region, ResourcePolicyResource: &computepb.ResourcePolicy{
		Name: proto.String(name), Description: proto.String("Made by Aloft: cluster " + fold(t.ClusterName) + ", installation " + t.Installation),
		GroupPlacementPolicy: &computepb.ResourcePolicyGroupPlacementPolicy{Collocation: proto.String("COLLOCATED")},
	}})
	if exists(err) {
		return nil
	}
	if err != nil {
		return err
	}
	done, err := await(ctx, op.Proto(), networkPatience, func(ctx context.Context) (*computepb.Operation, error) {
		return c.regionOps.Wait(ctx, &computepb.WaitRegionOperationRequest{Project: c.project, Region: region, Operation: op.Name()})
	})
	if err != nil {
		return err
	}
	return p.outcome(done)
}

// Finish removes a cluster's rules and its placement. The network and the rule for port 22 stay: they are everybody's.
func (p *Provider) Finish(ctx context.Context, t providers.Tags, region string) error {
	const op = "finish"
	c, err := p.api(ctx, op)
	if err != nil {
		return err
	}
	tag := clusterTag(t.ClusterID)
	project := hostProject(p.networkPath(c.project))
	for _, name := range []string{tag, tag + "-ports"} {
		if _, err := c.firewalls.Delete(ctx, &computepb.DeleteFirewallRequest{Project: project, Firewall: name}); err != nil && !missing(err) {
			return p.failure(ctx, op, "", err)
		}
	}
	if region != "" {
		_, err := c.placements.Delete(ctx, &computepb.DeleteResourcePolicyRequest{Project: c.project, Region: region, ResourcePolicy: tag})
		if err != nil && !missing(err) {
			return p.failure(ctx, op, region, err)
		}
	}
	p.nets.forget()
	return nil
}
