// Package plan decides what to do for a cluster and never does it: Next maps a snapshot of its records and a time to
// actions, Draft writes down what actions and observations mean for the records. Everything is pure: no clock, no
// randomness, no store, no goroutines. The rules R1-R4 of docs/no-leak.md live here.
package plan

import (
	"strconv"
	"time"

	"aloft/controller/state"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

// Policy are the numbers of the planner. Zero fields take the defaults of WithDefaults.
type Policy struct {
	Seed         uint64        // of all jitter
	Hold         time.Duration // a gang that is not ready by then gives up its candidate
	BackoffMin   time.Duration // first pause after a failed step
	BackoffMax   time.Duration // longest pause after a failed step
	RoundPause   time.Duration // retry_until_up: first pause after all candidates failed
	RoundMax     time.Duration // retry_until_up: longest such pause
	DrainGrace   time.Duration // how long jobs may take to end before their machine goes
	ResultGrace  time.Duration // how long results of ended jobs may take to arrive before their machine goes
	DrainCall    time.Duration // how long an agent that does not answer is called before its machine goes with what it has
	FinishGrace  time.Duration // how long a node may take to stop itself after it announced so
	Idle         time.Duration // look at everything this often even when nothing happens
	StoppedPause time.Duration // look at stopped machines this often
	TTL          time.Duration // a machine that costs money ends by itself this long after anybody last wanted it longer
	FirstLease   time.Duration // the same for one whose agent was never heard of
	HardTTL      time.Duration // the same where the place's own limit cannot be moved: nothing renews it
	CallHold     time.Duration // a candidate of which nothing but failed calls came is given up after this

	// How long refusals block: see Rules.
	CapacityBlock, QuotaBlock, AuthBlock, ShortBlock time.Duration

	BudgetSlack time.Duration // between the end of a budget, which the agent sees to, and the deadline of its machines
}

// WithDefaults fills the zero fields.
func (p Policy) WithDefaults() Policy {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&p.Hold, 15*time.Minute)
	set(&p.BackoffMin, time.Second)
	set(&p.BackoffMax, time.Minute)
	set(&p.RoundPause, 30*time.Second)
	set(&p.RoundMax, 10*time.Minute)
	set(&p.DrainGrace, 40*time.Second)
	set(&p.ResultGrace, 30*time.Second)
	set(&p.DrainCall, 10*time.Second)
	set(&p.FinishGrace, 10*time.Minute)
	set(&p.Idle, 5*time.Minute)
	set(&p.StoppedPause, 10*time.Minute)
	set(&p.TTL, 7*24*time.Hour)
	set(&p.FirstLease, time.Hour)
	set(&p.HardTTL, 30*24*time.Hour)
	set(&p.BudgetSlack, time.Hour)
	set(&p.CallHold, 3*time.Minute)
	set(&p.CapacityBlock, 3*time.Minute)
	set(&p.QuotaBlock, 10*time.Minute)
	set(&p.AuthBlock, 10*time.Minute)
	set(&p.ShortBlock, time.Minute)
	return p
}

// Snapshot is all that is known of one cluster.
type Snapshot struct {
	Installation string
	Epoch        uint64
	Cluster      *statev1.Cluster
	Nodes        []*statev1.Node
	Intents      map[string]*statev1.Intent // by node id: that of the node's present attempt
	Jobs         []*statev1.Job             // unfinished ones and those ended lately
	Caps         map[string]providers.Capabilities
	Policy       Policy
	// Blocks are those of other clusters' launches that these should know of.
	Blocks []*statev1.Block
	// Quota are the providers that tell beforehand what an account may have, Finish those that remove what machines shared.
	// PowerOff are those that can be told what a shutdown from within does.
	Quota, Finish, PowerOff map[string]bool

	// Busy are nodes with an effect under way, Looks the earliest next look at nodes. Both live in memory only: after a
	// restart nothing is under way and everything may be looked at.
	Busy  map[string]bool
	Looks map[string]time.Time
}

// settle is how long after the last create call a machine may still turn up unseen.
func (s *Snapshot) settle(provider string) time.Duration {
	if c, ok := s.Caps[provider]; ok {
		return c.Settle()
	}
	return unknownSettle
}

// lag is how stale a listing may be.
func (s *Snapshot) lag(provider string) time.Duration {
	if c, ok := s.Caps[provider]; ok {
		return c.VisibilityLag
	}
	return unknownSettle
}

// unknownSettle stands in for the numbers of a provider that is not configured any more.
const unknownSettle = 5 * time.Minute

func (s *Snapshot) node(id string) *statev1.Node {
	for _, n := range s.Nodes {
		if n.GetId() == id {
			return n
		}
	}
	return nil
}

func (s *Snapshot) job(id string) *statev1.Job {
	for _, j := range s.Jobs {
		if j.GetId() == id {
			return j
		}
	}
	return nil
}

// owes reports whether a machine of n may still exist, or come to exist.
func (s *Snapshot) owes(n *statev1.Node) bool {
	if n.GetPhase() == statev1.NodePhase_NODE_PLANNED {
		return false
	}
	if !state.NodeEnded(n.GetPhase()) {
		return true
	}
	in := s.Intents[n.GetId()]
	return in != nil && in.GetPhase() != statev1.IntentPhase_INTENT_RELEASED
}

// current is the node that stands for a slot: wanted, not ended. A node being deleted stands for nothing any more.
func (s *Snapshot) current(slot int32) *statev1.Node {
	for _, n := range s.Nodes {
		if n.GetSlot() == slot && wanted(n) {
			return n
		}
	}
	return nil
}

func wanted(n *statev1.Node) bool {
	return !state.NodeEnded(n.GetPhase()) && n.GetDesired() != statev1.NodeDesired_NODE_DESIRED_GONE
}

// slotClear reports whether no other node of n's slot may be a machine: two live machines per slot are never wanted.
func (s *Snapshot) slotClear(n *statev1.Node) bool {
	for _, o := range s.Nodes {
		if o.GetId() != n.GetId() && o.GetSlot() == n.GetSlot() && s.owes(o) {
			return false
		}
	}
	return true
}

// tally counts the slots that stand.
type tally struct {
	current, coming, ready, missing int32 // coming = wanted up, ready ones included
	missingSlots                    []int32
}

func (s *Snapshot) tally() tally {
	var t tally
	for slot := range s.Cluster.GetNumNodes() {
		n := s.current(slot)
		switch {
		case n == nil:
			t.missing++
			t.missingSlots = append(t.missingSlots, slot)
			continue
		case n.GetDesired() == statev1.NodeDesired_NODE_DESIRED_UP:
			t.coming++
			if n.GetPhase() == statev1.NodePhase_NODE_READY {
				t.ready++
			}
		}
		t.current++
	}
	return t
}

// wasUp reports whether the cluster stood once since it was made: then it stays where it is.
func (s *Snapshot) wasUp() bool { return s.Cluster.GetUpMs() > 0 }

// holdUntil is when the present try to get every machine ready must be through; zero = no try is on.
func (s *Snapshot) holdUntil() time.Time {
	start := s.Cluster.GetLaunchedMs()
	if as := s.Cluster.GetAttempts(); len(as) > 0 && as[len(as)-1].GetEndedMs() == 0 {
		start = max(start, as[len(as)-1].GetStartedMs())
	}
	if start == 0 {
		return time.Time{}
	}
	return time.UnixMilli(start).Add(s.Policy.Hold)
}

// backoff is the pause before try number tries+1 of a step of n: doubling, capped, with seeded jitter on top.
func (s *Snapshot) backoff(n *statev1.Node) time.Duration {
	return s.pause(n.GetTries(), n.GetId(), n.GetPhase().String())
}

func (s *Snapshot) pause(tries int32, of ...string) time.Duration {
	d := s.Policy.BackoffMin
	for i := int32(1); i < tries && d < s.Policy.BackoffMax; i++ {
		d *= 2
	}
	d = min(d, s.Policy.BackoffMax)
	return d + state.Jitter(d/4+time.Millisecond, s.Policy.Seed, append(of, strconv.Itoa(int(tries)))...)
}
