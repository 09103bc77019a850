package desired_test

import (
	"slices"
	"testing"

	"aloft/controller/desired"
	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
)

// TestSupersede makes room in a concurrency group.
func TestSupersede(t *testing.T) {
	t.Parallel()
	ci := func(repo, run, group string) *statev1.CIRun {
		return &statev1.CIRun{System: "github", Repository: repo, Run: run, Group: group}
	}
	down := statev1.ClusterDesired_CLUSTER_DESIRED_DOWN
	for name, x := range map[string]struct {
		have   *statev1.CIRun // what cluster c was asked for by
		ask    *statev1.CIRun
		target string // the cluster that the new run wants
		idle   bool   // c has no unfinished job and is up
		cancel bool
		code   string // of the refusal
		names  []string
		gone   bool // c is taken down
		jobs   int  // unfinished ones of c afterwards
	}{
		"no group":                        {have: ci("r", "7", ""), ask: ci("r", "8", ""), target: "d", cancel: true, jobs: 1},
		"another group":                   {have: ci("r", "7", "g"), ask: ci("r", "8", "h"), target: "d", cancel: true, jobs: 1},
		"another repository":              {have: ci("r", "7", "g"), ask: ci("s", "8", "g"), target: "d", cancel: true, jobs: 1},
		"the same run":                    {have: ci("r", "7", "g"), ask: ci("r", "7", "g"), target: "d", cancel: true, jobs: 1},
		"an earlier run":                  {have: ci("r", "7", "g"), ask: ci("r", "8", "g"), target: "d", cancel: true, names: []string{"c"}, gone: true},
		"an earlier run, its cluster":     {have: ci("r", "7", "g"), ask: ci("r", "8", "g"), target: "c", cancel: true, names: []string{"c"}},
		"an earlier run, not to cancel":   {have: ci("r", "7", "g"), ask: ci("r", "8", "g"), target: "d", code: "group-busy", jobs: 1},
		"an earlier run, idle":            {have: ci("r", "7", "g"), ask: ci("r", "8", "g"), target: "d", idle: true},
		"an earlier run, idle, to cancel": {have: ci("r", "7", "g"), ask: ci("r", "8", "g"), target: "d", idle: true, cancel: true, names: []string{"c"}, gone: true},
		"a later run":                     {have: ci("r", "9", "g"), ask: ci("r", "8", "g"), target: "d", cancel: true, code: "superseded", jobs: 1},
		"no CI":                           {have: ci("", "", "g"), ask: ci("", "", "g"), target: "d", cancel: true, names: []string{"c"}, gone: true},
		"no CI, the same cluster":         {have: ci("", "", "g"), ask: ci("", "", "g"), target: "c", cancel: true, jobs: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t)
			if _, err := b.launch(func(s *desired.LaunchSpec) { s.CI, s.HasJob = x.have, !x.idle }); err != nil {
				t.Fatal(err)
			}
			if x.idle {
				b.turn(up)
			}
			to := b.target()
			to.Name = x.target
			var names []string
			err := b.update(func(tx store.Tx) (err error) { names, err = desired.Supersede(tx, to, x.ask, x.cancel); return err })
			if x.code != "" {
				b.refused(err, x.code)
			} else if err != nil {
				t.Fatal(err)
			}
			c, _, js := b.look()
			open := 0
			for _, j := range js {
				if j.GetDesired() == "" && j.GetEndedMs() == 0 {
					open++
				}
			}
			if !slices.Equal(names, x.names) || (c.GetDesired() == down) != x.gone || open != x.jobs {
				t.Errorf("names %v, desired %v, %d jobs go on", names, c.GetDesired(), open)
			}
		})
	}
}

// TestTaken refuses work for a cluster that another home has taken over; taking it down is still possible.
func TestTaken(t *testing.T) {
	t.Parallel()
	b := open(t)
	r, err := b.launch(nil)
	if err != nil {
		t.Fatal(err)
	}
	b.turn(up)
	if err := b.update(func(tx store.Tx) error {
		c, err := store.GetCluster(tx, r.Cluster.GetId())
		if err != nil {
			return err
		}
		c.TakenMs = 1
		return tx.Put(store.Cluster, c.GetId(), c)
	}); err != nil {
		t.Fatal(err)
	}
	_, err = b.launch(nil)
	b.refused(err, "taken")
	b.refused(b.update(func(tx store.Tx) error { _, err := desired.Exec(tx, b.spec()); return err }), "taken")
	b.refused(b.update(func(tx store.Tx) error { _, err := desired.Stop(tx, b.target()); return err }), "taken")
	b.refused(b.update(func(tx store.Tx) error { _, err := desired.Start(tx, b.target(), desired.StartSpec{}); return err }), "taken")
	if err := b.update(func(tx store.Tx) error { _, err := desired.Down(tx, b.target(), false); return err }); err != nil {
		t.Error(err)
	}
}
