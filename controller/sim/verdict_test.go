package sim_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"aloft/controller/state"
	"aloft/controller/store"
	"aloft/controller/store/boltstore"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
	"aloft/providers/fake"
)

// outcome is what a run came to.
type outcome struct {
	leaked, duplicates, stuck []string
	machines, crashes, events int
	hash                      string
	unknown                   []string // machines that the store never heard of
	billed                    []string // machines that outlive their lease, or have none
	left                      []string // what clusters shared and nobody removed
	died, passed              map[cell]int
	log                       []string // every event, and every machine
}

// judge looks at the world after its end.
func (w *world) judge() outcome {
	st, err := boltstore.Open(w.path, boltstore.Options{NoSync: true, Installation: "sim"})
	if err != nil {
		w.t.Fatalf("open store: %v", err)
	}
	defer st.Close()
	out := outcome{crashes: w.dies, died: w.died, passed: w.passed}
	lives := w.clouds.lives()
	out.machines = len(lives)
	out.billed = append(out.billed, w.overdue...)
	for _, p := range w.clouds {
		out.billed = append(out.billed, p.wrong...)
	}
	h := sha256.New()
	err = st.View(context.Background(), func(tx store.Tx) error {
		slots := map[string]string{}
		owned := map[string]bool{}
		for _, c := range store.Clusters(tx) {
			nodes := store.NodesOf(tx, c.GetId())
			for _, n := range nodes {
				slots[n.GetId()] = fmt.Sprintf("%s/%d", c.GetId(), n.GetSlot())
				if !state.NodeEnded(n.GetPhase()) && n.GetInstanceId() != "" {
					owned[n.GetInstanceId()] = true
				}
				for _, in := range tx.Intents(n.GetId()) {
					if in.GetPhase() == statev1.IntentPhase_INTENT_ISSUED {
						out.stuck = append(out.stuck, fmt.Sprintf("intent of node %s is still waiting (%v)", n.GetId(), n.GetPhase()))
					}
				}
			}
			out.stuck = append(out.stuck, w.stuck(c, nodes, lives)...)
			evs, err := tx.Events(0, store.Filter{ClusterID: c.GetId()}, 1<<20)
			if err != nil {
				return err
			}
			for _, ev := range evs {
				out.events++
				out.log = append(out.log, fmt.Sprintf("%13d %s %s: %s -> %s by %s: %s", ev.GetAtMs(), ev.GetKind(), ev.GetId(), ev.GetOldPhase(), ev.GetNewPhase(), ev.GetActor(), ev.GetReason()))
				fmt.Fprintf(h, "%s %s %s %s %s %s %d\n", ev.GetKind(), ev.GetId(), ev.GetOldPhase(), ev.GetNewPhase(), ev.GetActor(), ev.GetReason(), ev.GetAtMs())
			}
		}
		w.oddities(tx, lives, &out)
		for _, j := range store.OpenJobs(tx) {
			if j.GetPhase() == statev1.JobPhase_JOB_QUEUED || time.Since(time.UnixMilli(j.GetSubmittedMs())) > calm/2 {
				out.stuck = append(out.stuck, fmt.Sprintf("job %s of %s is still %v", j.GetId(), j.GetClusterName(), j.GetPhase()))
			}
		}
		for _, l := range lives {
			out.log = append(out.log, fmt.Sprintf("%13d machine %s of node %s until %d (%s)", l.Created.UnixMilli(), l.ID, l.Tags.NodeID, l.Ended.UnixMilli(), l.Reason))
			fmt.Fprintf(h, "%s %d %d\n", l.ID, l.Created.UnixNano(), l.Ended.UnixNano())
			if l.Ended.IsZero() && !owned[l.ID] {
				out.leaked = append(out.leaked, l.ID)
			}
		}
		for i, a := range lives {
			for _, b := range lives[:i] {
				if slots[a.Tags.NodeID] == slots[b.Tags.NodeID] && overlap(a, b) {
					out.duplicates = append(out.duplicates, a.ID+" beside "+b.ID)
				}
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatalf("judge: %v", err)
	}
	if w.forever {
		out.stuck, out.leaked, out.left = nil, nil, nil // nobody was there to see to it
	}
	out.hash = fmt.Sprintf("%x", h.Sum(nil))[:16]
	return out
}

func overlap(a, b fake.Life) bool {
	return (b.Ended.IsZero() || a.Created.Before(b.Ended)) && (a.Ended.IsZero() || b.Created.Before(a.Ended))
}

// stuck lists what of a cluster is not as it should be after the calm.
func (w *world) stuck(c *statev1.Cluster, nodes []*statev1.Node, lives []fake.Life) []string {
	var out []string
	bad := func(format string, args ...any) {
		out = append(out, fmt.Sprintf("cluster %s (%s): ", c.GetId(), strings.TrimPrefix(c.GetDesired().String(), "CLUSTER_DESIRED_"))+fmt.Sprintf(format, args...))
	}
	status := state.ClusterStatus(c, nodes)
	var open int
	for _, b := range c.GetBilling() {
		if b.GetEndMs() == 0 {
			open++
		}
	}
	switch c.GetDesired() {
	case statev1.ClusterDesired_CLUSTER_DESIRED_DOWN:
		if status != state.ClusterTerminated {
			bad("is %s", status)
		}
	case statev1.ClusterDesired_CLUSTER_DESIRED_STOPPED:
		if status != state.ClusterStopped && status != state.ClusterTerminated && status != state.ClusterInit {
			bad("is %s", status)
		}
	case statev1.ClusterDesired_CLUSTER_DESIRED_UP:
		if status != state.ClusterUp && status != state.ClusterTerminated && status != state.ClusterInit {
			bad("is %s", status)
		}
	}
	if status == state.ClusterTerminated && open > 0 {
		bad("is still billed")
	}
	for _, n := range nodes {
		settled := state.NodeEnded(n.GetPhase()) ||
			n.GetPhase() == statev1.NodePhase_NODE_READY && n.GetDesired() == statev1.NodeDesired_NODE_DESIRED_UP && n.GetSession() ||
			n.GetPhase() == statev1.NodePhase_NODE_STOPPED && n.GetDesired() == statev1.NodeDesired_NODE_DESIRED_STOPPED
		if !settled {
			bad("node %s is %v, wanted %v, tries %d, session %v", n.GetId(), n.GetPhase(), n.GetDesired(), n.GetTries(), n.GetSession())
		}
		i := slices.IndexFunc(lives, func(l fake.Life) bool { return l.ID == n.GetInstanceId() })
		switch {
		case n.GetInstanceId() == "":
		case i < 0:
			bad("node %s is bound to a machine that never was", n.GetId())
		case n.GetPhase() == statev1.NodePhase_NODE_READY && lives[i].State != providers.InstanceRunning,
			n.GetPhase() == statev1.NodePhase_NODE_STOPPED && lives[i].State != providers.InstanceStopped:
			bad("node %s is %v, its machine is in state %d", n.GetId(), n.GetPhase(), lives[i].State)
		}
	}
	return out
}

// oddities are machines that the store never heard of, launches carried out twice, and what clusters left behind.
func (w *world) oddities(tx store.Tx, lives []fake.Life, out *outcome) {
	for _, l := range lives {
		if _, err := tx.IntentByToken(l.Token); err != nil {
			out.unknown = append(out.unknown, fmt.Sprintf("%s: %v", l.ID, err))
		}
	}
	clusters, requests := store.Clusters(tx), map[string]int{}
	for _, c := range clusters {
		for _, j := range store.JobsOf(tx, c.GetId(), 0) {
			requests[j.GetRequestId()]++
		}
		for _, p := range w.clouds {
			for _, left := range p.cloud.Shared() {
				if c.GetEndedMs() > 0 && strings.HasPrefix(left, c.GetId()+"/") {
					out.left = append(out.left, "what cluster "+c.GetName()+" shared on "+p.name+" "+left)
				}
			}
		}
	}
	for id, n := range requests {
		if id != "" && n > 1 {
			out.duplicates = append(out.duplicates, fmt.Sprintf("launch %s: %d jobs", id, n))
		}
	}
	if w.s.campaign && len(clusters) > w.request {
		out.duplicates = append(out.duplicates, fmt.Sprintf("%d clusters of %d launches", len(clusters), w.request))
	}
}
