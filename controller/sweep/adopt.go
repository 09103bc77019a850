package sweep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"aloft/controller/state"
	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

// Bounds of the search for a machine's place in its cluster.
const (
	maxSlots    = 1024
	maxOrdinals = 64
)

// errForeign is why a machine of another installation is not adopted.
var errForeign = errors.New("another installation made it, and only that one's secrets.key opens it")

// slotOf finds the slot of a node by its id, which is a digest of cluster, slot and an ordinal (plan.NewNode); false =
// the id is no such digest.
func slotOf(nodeID, clusterID string) (int32, bool) {
	made, ok := state.IDTime(nodeID)
	if !ok {
		return 0, false
	}
	// In a new cluster, slot and ordinal are the same.
	for slot := range int32(maxSlots) {
		if state.DeriveID(made, clusterID, strconv.Itoa(int(slot)), strconv.Itoa(int(slot))) == nodeID {
			return slot, true
		}
	}
	for ordinal := range maxOrdinals {
		for slot := range int32(maxSlots / 4) {
			if state.DeriveID(made, clusterID, strconv.Itoa(int(slot)), strconv.Itoa(ordinal)) == nodeID {
				return slot, true
			}
		}
	}
	return 0, false
}

// found is a machine with the place that shows it.
type found struct {
	provider string
	providers.Instance
}

// adopt writes the records of machines that the store does not know: cluster, node and intent, bound to this very machine,
// so that the reconciler takes them from there. The agents tell what jobs they hold. It is one commit per cluster, and
// adopting again changes nothing.
func (s *Sweeper) adopt(ctx context.Context, ms []found) (map[string]error, error) {
	out := map[string]error{}
	groups := map[string][]found{}
	for _, m := range ms {
		if m.Tags.ClusterID == "" || m.Tags.NodeID == "" || m.Token == "" {
			out[m.ID] = errors.New("its tags do not say which node it is")
			continue
		}
		groups[m.Tags.ClusterID] = append(groups[m.Tags.ClusterID], m)
	}
	ids := make([]string, 0, len(groups))
	for id := range groups {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		results := map[string]error{}
		_, err := s.o.Store.Update(ctx, func(tx store.Tx) error {
			clear(results)
			return adoptCluster(tx, id, groups[id], time.Now(), results)
		})
		if err != nil {
			if ctx.Err() != nil {
				return out, err
			}
			for _, m := range groups[id] {
				out[m.ID] = err
			}
			continue
		}
		for m, err := range results {
			out[m] = err
		}
	}
	return out, nil
}

func adoptCluster(tx store.Tx, id string, ms []found, now time.Time, results map[string]error) error {
	slices.SortFunc(ms, func(a, b found) int { return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID)) })
	c, err := store.GetCluster(tx, id)
	fresh := errors.Is(err, store.ErrNotFound)
	switch {
	case fresh:
		c = newCluster(tx, id, ms, now)
	case err != nil:
		return err
	case c.GetEndedMs() > 0:
		return fmt.Errorf("cluster %s has ended; delete the machine, or forget the cluster first", c.GetName())
	}
	taken := map[int32]bool{}
	for _, n := range store.NodesOf(tx, id) {
		if !state.NodeEnded(n.GetPhase()) && n.GetDesired() != statev1.NodeDesired_NODE_DESIRED_GONE {
			taken[n.GetSlot()] = true
		}
	}
	var nodes []*statev1.Node
	for _, m := range ms {
		if old, err := store.GetNode(tx, m.Tags.NodeID); err == nil && (state.NodeEnded(old.GetPhase()) || old.GetInstanceId() != m.ID) {
			results[m.ID] = errors.New("its node was given up")
			continue
		} else if err == nil {
			results[m.ID] = nil
			continue
		}
		slot, ok := slotOf(m.Tags.NodeID, id)
		if !ok || taken[slot] {
			for slot = 0; taken[slot]; slot++ {
			}
		}
		taken[slot] = true
		n, in := records(c, slot, m, now)
		if err := tx.PutIntent(in); err != nil {
			return fmt.Errorf("adopt %s: %w", m.ID, err)
		}
		if err := tx.Put(store.Node, n.GetId(), n); err != nil {
			return fmt.Errorf("adopt %s: %w", m.ID, err)
		}
		tx.Emit(&statev1.Event{Kind: string(store.Node), Id: n.GetId(), ClusterId: id, Name: n.GetName(), NewPhase: state.PhaseName(n.GetPhase()),
			Actor: "sweep", Reason: "adopted " + m.ID, AtMs: now.UnixMilli()})
		nodes = append(nodes, n)
		results[m.ID] = nil
		c.NumNodes = max(c.GetNumNodes(), slot+1)
	}
	if len(nodes) == 0 {
		return nil
	}
	if fresh {
		c.Candidates, c.Resources = []*statev1.Candidate{nodes[0].GetCandidate()}, []*statev1.Resources{nodes[0].GetCandidate().GetWanted()}
		c.Desired = statev1.ClusterDesired_CLUSTER_DESIRED_STOPPED
		for _, n := range nodes {
			if n.GetDesired() == statev1.NodeDesired_NODE_DESIRED_UP {
				c.Desired = statev1.ClusterDesired_CLUSTER_DESIRED_UP
			}
		}
	}
	c.LastEvent = fmt.Sprintf("adopted %d machines", len(nodes))
	tx.Emit(&statev1.Event{Kind: string(store.Cluster), Id: id, ClusterId: id, Name: c.GetName(), NewPhase: state.ClusterStatus(c, nodes),
		Actor: "sweep", Reason: c.GetLastEvent(), AtMs: now.UnixMilli()})
	return tx.Put(store.Cluster, id, c)
}

// newCluster is the record of a cluster as its machines' tags tell it. A name that is taken meanwhile gets a number.
func newCluster(tx store.Tx, id string, ms []found, now time.Time) *statev1.Cluster {
	t := ms[0].Tags
	name := t.ClusterName
	if name == "" {
		name = "adopted-" + id[max(0, len(id)-6):]
	}
	for k, base := 2, name; ; k++ {
		if _, err := store.FindCluster(tx, "", name); errors.Is(err, store.ErrNotFound) {
			break
		}
		name = base + "-" + strconv.Itoa(k)
	}
	made := ms[0].Created.UnixMilli()
	return &statev1.Cluster{
		Id: id, Name: name, User: t.Owner, CreatedMs: made, LaunchedMs: now.UnixMilli(), UpMs: made, Adopted: true, NumNodes: 1,
		LastCommand: "sky gc --adopt", Ci: ciOf(t.CI),
	}
}

// ciOf is the CI job that tags tell of; nil = none.
func ciOf(c providers.CIRun) *statev1.CIRun {
	if c == (providers.CIRun{}) {
		return nil
	}
	return &statev1.CIRun{System: c.System, Repository: c.Repository, Run: c.Run, Job: c.Job, Group: c.Group, Key: c.Key}
}

// records are those of one machine.
func records(c *statev1.Cluster, slot int32, m found, now time.Time) (*statev1.Node, *statev1.Intent) {
	cand := &statev1.Candidate{
		Provider: m.provider, Region: m.Region, Zone: m.Zone, PriceUnknown: !m.Deadline.IsZero(),
		Wanted: &statev1.Resources{Cloud: m.provider, Region: m.Region, Zone: m.Zone},
	}
	n := &statev1.Node{
		Id: m.Tags.NodeID, ClusterId: c.GetId(), Slot: slot, Attempt: max(1, m.Tags.Attempt), Desired: statev1.NodeDesired_NODE_DESIRED_UP,
		Candidate: cand, InstanceId: m.ID, Address: m.Address, PublicAddress: m.PublicAddress, CreatedMs: m.Created.UnixMilli(),
		PhaseMs: now.UnixMilli(), Name: state.NodeName(c.GetName(), slot), Adopting: true,
	}
	if !m.Deadline.IsZero() {
		n.DeadlineMs = m.Deadline.UnixMilli()
	}
	switch {
	case m.State == providers.InstanceStopped || m.State == providers.InstanceStopping:
		n.Phase, n.Desired = statev1.NodePhase_NODE_STOPPED, statev1.NodeDesired_NODE_DESIRED_STOPPED
	case m.State == providers.InstanceRunning && m.Address != "":
		n.Phase = statev1.NodePhase_NODE_SHIPPING
	default:
		n.Phase = statev1.NodePhase_NODE_BOOTING
	}
	in := &statev1.Intent{
		NodeId: n.GetId(), Attempt: n.GetAttempt(), Phase: statev1.IntentPhase_INTENT_BOUND, Token: m.Token, Provider: m.provider, Region: m.Region,
		Zone: m.Zone, IssuedMs: now.UnixMilli(), FirstMs: m.Created.UnixMilli(), InstanceId: m.ID, ClusterId: c.GetId(), Epoch: m.Tags.Epoch,
	}
	return n, in
}
