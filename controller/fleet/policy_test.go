package fleet_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
)

// wish is what the node asked of its provider: "" = nothing yet.
func (n *agentNode) wish() string { return readFile(filepath.Join(filepath.Dir(n.home), "poweroff")) }

// setCluster changes the cluster's record.
func (r *rig) setCluster(change func(*statev1.Cluster)) {
	r.t.Helper()
	r.update(func(tx store.Tx) error {
		c, err := store.GetCluster(tx, "c1")
		if err != nil {
			return err
		}
		change(c)
		tx.Emit(&statev1.Event{Kind: "cluster", Id: "c1", ClusterId: "c1", Actor: "test"})
		return tx.Put(store.Cluster, "c1", c)
	})
}

func TestAutostop(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		offline bool
		stop    *statev1.Autostop
		job     bool
		want    string
	}{
		{"jobs, down", false, &statev1.Autostop{Enabled: true, IdleMs: 1200, Down: true, WaitFor: "jobs"}, true, "terminate"},
		{"jobs, stop, without a controller", true, &statev1.Autostop{Enabled: true, IdleMs: 1200, WaitFor: "jobs"}, true, "stop"},
		{"wall clock", false, &statev1.Autostop{Enabled: true, IdleMs: 1200, WaitFor: "none", Down: true}, false, "terminate"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 1)
			r.up()
			id := r.submit(1, &statev1.TaskSpec{Run: "sleep 2"})
			r.until(id, "running", func(j *statev1.Job) bool { return j.GetPhase() == statev1.JobPhase_JOB_RUNNING })
			began := time.Now()
			tc.stop.SetMs = began.UnixMilli()
			r.setCluster(func(c *statev1.Cluster) { c.Autostop = tc.stop })
			if tc.offline {
				// Until the agent has the policy: it answers nothing, but its journal grows by it before the job ends.
				r.until(id, "ended", ended)
				r.close()
			}
			n := r.nodes[0]
			r.eventually("the node asked for its end", func() bool { return n.wish() != "" })
			if !strings.Contains(n.wish(), tc.want) {
				t.Errorf("asked for %q, want %s", n.wish(), tc.want)
			}
			took := time.Since(began)
			if least := 1200 * time.Millisecond; tc.job && took < least+1500*time.Millisecond || took < least {
				t.Errorf("after %s: too early", took)
			}
			if !tc.offline {
				r.eventually("it was announced", func() bool {
					var at int64
					r.view(func(tx store.Tx) error {
						c, err := store.GetCluster(tx, "c1")
						at = c.GetAutostoppingMs()
						return err
					})
					return at > 0
				})
			}
		})
	}
}

// A job on any node keeps the whole cluster up; slot 0 decides for all.
func TestAutostopOfSeveralNodes(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.up()
	id := r.submit(1, &statev1.TaskSpec{Run: "sleep 3"}, 1)
	r.until(id, "running", func(j *statev1.Job) bool { return j.GetPhase() == statev1.JobPhase_JOB_RUNNING })
	r.setCluster(func(c *statev1.Cluster) {
		c.Autostop = &statev1.Autostop{Enabled: true, IdleMs: 500, Down: true, WaitFor: "jobs", SetMs: time.Now().UnixMilli()}
	})
	j := r.until(id, "ended", ended)
	r.wantPhase(j, statev1.JobPhase_JOB_SUCCEEDED)
	for _, n := range r.nodes {
		if n.wish() != "" {
			t.Errorf("%s asked for its end while a job ran", n.id)
		}
	}
	r.close()
	for _, n := range r.nodes {
		r.eventually(n.id+" asked for its end", func() bool { return n.wish() != "" })
	}
}

func TestNodeBudget(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		set  func(c *statev1.Cluster, n *statev1.Node)
	}{
		{"deadline", func(_ *statev1.Cluster, n *statev1.Node) { n.DeadlineMs = time.Now().UnixMilli() + 1500 }},
		{"cost", func(c *statev1.Cluster, n *statev1.Node) {
			n.Candidate = &statev1.Candidate{HourlyPrice: 3600} // a dollar a second
			c.Billing = []*statev1.BillingInterval{
				{StartMs: 1, EndMs: 2001, HourlyPrice: 3600, Nodes: 1}, // two dollars
				{StartMs: time.Now().UnixMilli(), HourlyPrice: 3600, Nodes: 1},
			}
			c.Budget = &statev1.Budget{MaxCost: 3.5}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 1)
			began := time.Now()
			r.update(func(tx store.Tx) error {
				c, err := store.GetCluster(tx, "c1")
				if err != nil {
					return err
				}
				n, err := store.GetNode(tx, "n0")
				if err != nil {
					return err
				}
				tc.set(c, n)
				if err := tx.Put(store.Node, "n0", n); err != nil {
					return err
				}
				return tx.Put(store.Cluster, "c1", c)
			})
			r.up()
			r.submit(1, &statev1.TaskSpec{Run: "sleep 1000"})
			r.eventually("the node asked for its end", func() bool { return r.nodes[0].wish() != "" })
			if took := time.Since(began); took < 1400*time.Millisecond {
				t.Errorf("after %s: too early", took)
			}
			if !strings.Contains(r.nodes[0].wish(), "terminate") {
				t.Errorf("asked for %q", r.nodes[0].wish())
			}
		})
	}
}

func TestJobCost(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.update(func(tx store.Tx) error {
		n, err := store.GetNode(tx, "n0")
		if err != nil {
			return err
		}
		n.Candidate = &statev1.Candidate{HourlyPrice: 3600}
		return tx.Put(store.Node, "n0", n)
	})
	r.up()
	j := r.until(r.submit(1, &statev1.TaskSpec{Run: "sleep 1000", Budget: &statev1.Budget{MaxCost: 0.5}}), "complete", complete)
	r.wantPhase(j, statev1.JobPhase_JOB_TIMED_OUT)
	if j.GetFailure().GetCode() != "MAX_COST" {
		t.Errorf("failure %v", j.GetFailure())
	}
}
