package reconcile_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aloft/controller/desired"
	"aloft/controller/plan"
	"aloft/controller/state"
	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
	"aloft/providers/fake"
)

// cloudy is a rig with two clouds, alpha and beta, each with regions east (zones a, b) and west (zone a).
func cloudy(t *testing.T, alpha, beta fake.Config) (r *rig, a, b *fake.Cloud) {
	t.Helper()
	set := func(c fake.Config, name string) *fake.Cloud {
		c.Name, c.Tokens, c.Lag, c.CallTime = name, true, 5*time.Second, time.Second
		return fake.New(c)
	}
	a, b = set(alpha, "alpha"), set(beta, "beta")
	r = start(t, shelled{a}, false, plan.Policy{})
	r.more = map[string]providers.Provider{"beta": shelled{b}}
	return r, a, b
}

// ladder are the candidates of cloudy, cheapest first: cpu-2 and cpu-8 of alpha, then those of beta.
func ladder() []*statev1.Candidate {
	var out []*statev1.Candidate
	for i, cloud := range []string{"alpha", "beta"} {
		for j, zone := range []string{"east-a", "east-b", "west-a"} {
			region, _, _ := strings.Cut(zone, "-")
			for k, typ := range []string{"cpu-2", "cpu-8"} {
				out = append(out, &statev1.Candidate{Provider: cloud, Region: region, Zone: zone, InstanceType: typ, Cpus: []float64{2, 8}[k],
					HourlyPrice: float64(10*i+j) + float64(k)/10})
			}
		}
	}
	return out
}

// tried says which places a cluster tried, in order.
func tried(c *statev1.Cluster) string {
	var out []string
	for _, a := range c.GetAttempts() {
		out = append(out, a.GetCandidate().GetProvider()[:1]+"/"+a.GetCandidate().GetZone()+"/"+a.GetCandidate().GetInstanceType())
	}
	return strings.Join(out, " ")
}

func over(c *statev1.Cluster, ns []*statev1.Node, _ []*statev1.Job) bool {
	return c.GetEndedMs() > 0 || state.ClusterStatus(c, ns) == state.ClusterUp
}

// TestOrderOfAttempts: what a refusal of each class keeps a launch from, seen from outside.
func TestOrderOfAttempts(t *testing.T) {
	refusal := func(place string, k providers.Kind, s providers.Scope) fake.Config {
		return fake.Config{Refuse: map[string]providers.Error{place: {Kind: k, Scope: s, Code: "no", Err: errors.New("not today")}}}
	}
	both := func(k providers.Kind, s providers.Scope) fake.Config {
		c := refusal("east", k, s)
		c.Refuse["west"] = c.Refuse["east"]
		return c
	}
	const all = "a/east-a/cpu-2 a/east-a/cpu-8 a/east-b/cpu-2 a/east-b/cpu-8 a/west-a/cpu-2 a/west-a/cpu-8"
	for _, x := range []struct {
		name  string
		alpha fake.Config
		beta  fake.Config
		want  string
		kind  statev1.FailureKind // of the end; 0 = up
	}{
		{name: "capacity of a zone", alpha: refusal("east-a", providers.Capacity, providers.ScopeZone), want: "a/east-a/cpu-2 a/east-a/cpu-8 a/east-b/cpu-2"},
		{name: "capacity of a region", alpha: refusal("east", providers.Capacity, providers.ScopeRegion), want: "a/east-a/cpu-2 a/east-a/cpu-8 a/west-a/cpu-2"},
		{name: "capacity everywhere", alpha: both(providers.Capacity, providers.ScopeZone), want: all + " b/east-a/cpu-2"},
		{name: "quota of a region", alpha: refusal("east", providers.Quota, providers.ScopeRegion), want: "a/east-a/cpu-2 a/west-a/cpu-2"},
		{name: "quota of the account", alpha: both(providers.Quota, providers.ScopeAccount), want: "a/east-a/cpu-2 b/east-a/cpu-2"},
		{name: "credentials", alpha: both(providers.Auth, providers.ScopeAccount), want: "a/east-a/cpu-2 b/east-a/cpu-2"},
		{name: "a region that is closed", alpha: refusal("east", providers.Auth, providers.ScopeRegion), want: "a/east-a/cpu-2 a/west-a/cpu-2"},
		{name: "a type that the zone lacks", alpha: refusal("east-a", providers.Unsupported, providers.ScopeZone), want: "a/east-a/cpu-2 a/east-a/cpu-8 a/east-b/cpu-2"},
		{name: "a type that nobody may have", alpha: both(providers.Invalid, providers.ScopeAccount), want: "a/east-a/cpu-2 a/east-a/cpu-8 b/east-a/cpu-2"},
		{name: "a request that cannot work", alpha: both(providers.Invalid, providers.ScopeProvider), want: "a/east-a/cpu-2 b/east-a/cpu-2"},
		{name: "something that is not there", alpha: refusal("east", providers.NotFound, providers.ScopeRegion), want: "a/east-a/cpu-2 a/east-a/cpu-8 a/west-a/cpu-2"},
		{name: "a zone whose calls fail", alpha: refusal("east-a", providers.Transient, providers.ScopeZone), want: "a/east-a/cpu-2 a/east-a/cpu-8 a/east-b/cpu-2"},
		{name: "a region that is throttled", alpha: refusal("east", providers.Throttled, providers.ScopeRegion), want: "a/east-a/cpu-2 a/east-a/cpu-8 a/east-b/cpu-2 a/east-b/cpu-8 a/west-a/cpu-2"},
		{name: "quota told beforehand", alpha: fake.Config{Quota: map[string]providers.Error{"east": {Kind: providers.Quota, Scope: providers.ScopeRegion, Code: "vcpu"}}}, want: "a/east-a/cpu-2 a/west-a/cpu-2"},
		{name: "quota that nobody can tell", alpha: fake.Config{Quota: map[string]providers.Error{"east": {Kind: providers.Auth, Scope: providers.ScopeAccount, Code: "denied"}}}, want: "a/east-a/cpu-2"},
		{name: "nothing anywhere", alpha: both(providers.Capacity, providers.ScopeRegion), beta: both(providers.Quota, providers.ScopeAccount),
			want: "a/east-a/cpu-2 a/east-a/cpu-8 a/west-a/cpu-2 a/west-a/cpu-8 b/east-a/cpu-2", kind: statev1.FailureKind_CAPACITY},
		{name: "credentials everywhere", alpha: both(providers.Auth, providers.ScopeAccount), beta: both(providers.Auth, providers.ScopeProvider),
			want: "a/east-a/cpu-2 b/east-a/cpu-2", kind: statev1.FailureKind_AUTH},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, a, b := cloudy(t, x.alpha, x.beta)
				id := r.launch(desired.LaunchSpec{Candidates: ladder()}).Cluster.GetId()
				r.await(id, "an end", over)
				r.await(id, "an end", func(c *statev1.Cluster, _ []*statev1.Node, _ []*statev1.Job) bool {
					if got := tried(c); got != x.want {
						t.Errorf("tried %s\nwant  %s%s", got, x.want, r.story(id))
					}
					if k := c.GetFailure().GetKind(); k != x.kind {
						t.Errorf("ended with %v, want %v", k, x.kind)
					}
					for i, at := range c.GetAttempts() {
						if f := at.GetFailure(); i < len(c.GetAttempts())-1 && (f.GetClass() == "" || f.GetScope() == "" || f.GetCode() == "" || f.GetMessage() == "") {
							t.Errorf("attempt %d: %v", i, f)
						}
					}
					return true
				})
				// Down to nothing, in every region that was asked for a machine.
				if _, err := r.store.Update(t.Context(), func(tx store.Tx) error { _, err := desired.Down(tx, r.target(), false); return err }); err != nil && x.kind == 0 {
					t.Fatal(err)
				}
				r.await(id, "TERMINATED", status(state.ClusterTerminated))
				if left := slices.Concat(a.Shared(), b.Shared()); len(left) > 0 {
					t.Errorf("what machines shared is left: %v", left)
				}
			})
		})
	}
}

// TestNextLaunchLooksElsewhere: what one launch was refused, the next one does not try first, as long as that holds.
func TestNextLaunchLooksElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, _ := cloudy(t, fake.Config{Capacity: map[string]int{"east-a": 0, "east-b": 0, "west-a": 1}}, fake.Config{})
		launch := func(name, want string) {
			t.Helper()
			cands := slices.DeleteFunc(ladder(), func(c *statev1.Candidate) bool { return c.GetInstanceType() != "cpu-2" })
			var res desired.Result
			r.want(func(tx store.Tx) (err error) {
				res, err = desired.Launch(tx, desired.LaunchSpec{Project: "p", ClusterName: name, Seed: name, Candidates: cands, Now: time.Now(), Task: &statev1.TaskSpec{NumNodes: 1}})
				return err
			})
			r.await(res.Cluster.GetId(), "UP", status(state.ClusterUp))
			r.await(res.Cluster.GetId(), "its attempts", func(c *statev1.Cluster, _ []*statev1.Node, _ []*statev1.Job) bool {
				if got := tried(c); got != want {
					t.Errorf("%s tried %s, want %s%s", name, got, want, r.story(c.GetId()))
				}
				return true
			})
		}
		launch("one", "a/east-a/cpu-2 a/east-b/cpu-2 a/west-a/cpu-2")
		launch("two", "a/west-a/cpu-2 b/east-a/cpu-2") // west-a is full now: not known before
		// The controller's successor knows it, too.
		r.stop()
		r.run(plan.Policy{})
		launch("three", "b/east-a/cpu-2")
		time.Sleep(4 * time.Minute)
		launch("four", "a/east-a/cpu-2 a/east-b/cpu-2 a/west-a/cpu-2 b/east-a/cpu-2")
	})
}

// TestOnlyRefusedPlacesAreTriedAllTheSame: another launch's refusals change the order, they forbid nothing.
func TestOnlyRefusedPlacesAreTriedAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, a, _ := cloudy(t, fake.Config{Capacity: map[string]int{"east-a": 0}}, fake.Config{})
		one := []*statev1.Candidate{ladder()[0]}
		id := r.launch(desired.LaunchSpec{Candidates: one}).Cluster.GetId()
		r.await(id, "TERMINATED", status(state.ClusterTerminated))
		a.Allow("east-a", 1)
		id = r.launch(desired.LaunchSpec{Candidates: one}).Cluster.GetId()
		r.await(id, "UP", status(state.ClusterUp))
	})
}

// TestRetryUntilUp: rounds with pauses, not before a place is free again, whichever controller lives by then.
func TestRetryUntilUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, a, b := cloudy(t, fake.Config{Capacity: map[string]int{"east-a": 0}}, fake.Config{Refuse: map[string]providers.Error{
			"east": {Kind: providers.Quota, Scope: providers.ScopeAccount, Code: "vcpu", Err: errors.New("too many")},
		}})
		began := time.Now()
		cands := []*statev1.Candidate{ladder()[0], ladder()[6]}
		id := r.launch(desired.LaunchSpec{Candidates: cands, RetryUntilUp: true}).Cluster.GetId()
		for round := range int32(4) {
			r.await(id, "a pause", func(c *statev1.Cluster, _ []*statev1.Node, _ []*statev1.Job) bool { return c.GetRounds() == round+1 })
			r.stop() // dies in the pause
			time.Sleep(10 * time.Second)
			r.run(plan.Policy{})
		}
		r.await(id, "a pause", func(c *statev1.Cluster, ns []*statev1.Node, _ []*statev1.Job) bool {
			// Alpha is free again after 3 minutes, beta after 10.
			last := map[string]time.Time{}
			for _, at := range c.GetAttempts() {
				p, when := at.GetCandidate().GetProvider(), time.UnixMilli(at.GetStartedMs())
				least := map[string]time.Duration{"alpha": 3 * time.Minute, "beta": 10 * time.Minute}[p]
				if !last[p].IsZero() && when.Sub(last[p]) < least {
					t.Errorf("%s tried again after %s", p, when.Sub(last[p]))
				}
				last[p] = time.UnixMilli(at.GetEndedMs())
			}
			if c.GetFailure() != nil || c.GetEndedMs() != 0 || state.ClusterStatus(c, ns) == state.ClusterUp {
				t.Errorf("after %s: %v", time.Since(began), c)
			}
			return true
		})
		a.Allow("east-a", 1)
		r.await(id, "UP", status(state.ClusterUp))
		if len(b.Lives()) != 0 {
			t.Error("beta has machines")
		}
	})
}

// TestStandsWhereItStands: a cluster that was up stays in its zone, whatever is cheaper by now, and when that fails, too.
func TestStandsWhereItStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, a, b := cloudy(t, fake.Config{Capacity: map[string]int{"east-a": 0, "east-b": 9}}, fake.Config{})
		cands := []*statev1.Candidate{ladder()[0], ladder()[2], ladder()[6]}
		id := r.launch(desired.LaunchSpec{Candidates: cands, Task: &statev1.TaskSpec{NumNodes: 2}}).Cluster.GetId()
		r.await(id, "UP", status(state.ClusterUp))
		finish(r, id)
		a.Allow("east-a", 9)
		lost := a.Lives()[0].ID
		a.Preempt(lost)
		r.await(id, "its nodes", func(_ *statev1.Cluster, ns []*statev1.Node, _ []*statev1.Job) bool {
			for _, n := range ns {
				if n.GetInstanceId() == lost {
					if err := r.session(t.Context(), n.GetId(), false); err != nil {
						t.Fatal(err)
					}
				}
			}
			return true
		})
		time.Sleep(10 * time.Minute)
		r.launch(desired.LaunchSpec{Task: &statev1.TaskSpec{NumNodes: 2}})
		r.await(id, "UP again", status(state.ClusterUp))
		for _, l := range append(a.Lives(), b.Lives()...) {
			if l.Zone != "east-b" {
				t.Errorf("a machine in %s", l.Zone)
			}
		}
		// No room for another one: it does not go elsewhere, and what stands is stopped, not deleted.
		a.Allow("east-b", 1)
		r.want(func(tx store.Tx) error { _, err := desired.Stop(tx, r.target()); return err })
		finish(r, id)
		r.await(id, "STOPPED", status(state.ClusterStopped))
		for _, l := range a.Lives() {
			if l.State == providers.InstanceStopped {
				a.Preempt(l.ID)
				break
			}
		}
		time.Sleep(30 * time.Minute)
		r.want(func(tx store.Tx) error { _, err := desired.Start(tx, r.target(), desired.StartSpec{}); return err })
		time.Sleep(time.Hour)
		r.await(id, "its state", func(c *statev1.Cluster, ns []*statev1.Node, _ []*statev1.Job) bool {
			if c.GetEndedMs() > 0 || c.GetFailure().GetMessage() == "" {
				t.Errorf("after a start in a full zone: %v", c)
			}
			return true
		})
		if !slices.ContainsFunc(a.Lives(), func(l fake.Life) bool { return l.State == providers.InstanceStopped }) {
			t.Errorf("the machine that stood is not stopped: %v", a.Lives())
		}
		// Told to try until there is room, it does, in its own zone.
		r.want(func(tx store.Tx) error {
			_, err := desired.Start(tx, r.target(), desired.StartSpec{RetryUntilUp: true})
			return err
		})
		time.Sleep(time.Hour)
		a.Allow("east-b", 9)
		r.await(id, "UP", status(state.ClusterUp))
		for _, l := range append(a.Lives(), b.Lives()...) {
			if l.Zone != "east-b" {
				t.Errorf("a machine in %s", l.Zone)
			}
		}
	})
}
