package plan

import (
	"fmt"
	"strings"
	"time"

	"aloft/controller/state"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

// Problem is a classified failure of a call; the planner never sees an error value.
type Problem struct {
	Kind       providers.Kind
	Scope      providers.Scope
	Code       string
	Message    string
	Hint       string
	RetryAfter time.Duration
}

// Seen is the answer to a look: the instances found, as of the time the look began.
type Seen struct {
	At        time.Time
	Instances []providers.Instance
	ByToken   bool     // the look was for the token, too, not for the instance id only
	Problem   *Problem // the look itself failed: nothing is known
}

// Observation is what an effect found out. Attempt guards it: what concerns another attempt is dropped.
type Observation struct {
	NodeID  string
	Attempt int32
	Effect  Action
	Unasked bool                // a look that a person asked for, beside whatever is under way
	Problem *Problem            // of the call
	Created *providers.Instance // Create
	Seen    *Seen               // Probe, Stop, Delete, Connect, a failed Start: the look; nil = none was taken
}

// definite are the refusals after which the call certainly had no effect.
func definite(k providers.Kind) bool {
	switch k {
	case providers.Capacity, providers.Quota, providers.Auth, providers.Invalid, providers.Unsupported:
		return true
	}
	return false
}

// Observe writes into the draft what an effect found out. The node is not busy any more.
func (d *Draft) Observe(o Observation) {
	if o.Unasked && d.Busy[o.NodeID] {
		return
	}
	delete(d.Busy, o.NodeID)
	n := d.node(o.NodeID)
	if n == nil || n.GetAttempt() != o.Attempt {
		return
	}
	switch a := o.Effect.(type) {
	case Create:
		d.observeCreate(n, o)
	case Extend:
		if o.Problem != nil {
			d.look(n, d.Policy.BackoffMax)
			return
		}
		n.DeadlineMs = a.Deadline.UnixMilli()
		d.rule(n, "lease renewed")
	case PowerOff:
		if o.Problem != nil {
			d.look(n, d.Policy.BackoffMax)
			return
		}
		n.PoweroffKeeps = a.Keep
		d.rule(n, "a shutdown from within "+map[bool]string{true: "keeps its disk", false: "ends it for good"}[a.Keep])
	case Probe:
		d.pace(n)
		d.observeSeen(n, o.Seen)
	case Ship:
		d.observeShip(n, o)
	case Connect:
		if o.Seen != nil {
			d.observeSeen(n, o.Seen)
		}
		d.observeShip(n, o)
	case Stop:
		d.observeStop(n, o)
	case Start:
		d.observeStart(n, o)
	case Delete:
		d.observeDelete(n, o)
	case AskQuota:
		d.observeQuota(n, o)
	case Remove:
		d.observeRemove(n, o)
	}
}

// rule notes a change of what the node's agent enforces: the event has it told.
func (d *Draft) rule(n *statev1.Node, reason string) {
	d.nodeDirty(n)
	phase := state.PhaseName(n.GetPhase())
	d.Events = append(d.Events, &statev1.Event{
		Kind: "node", Id: n.GetId(), ClusterId: d.Cluster.GetId(), OldPhase: phase, NewPhase: phase,
		Actor: "reconcile", Reason: reason, AtMs: d.ms(), Name: n.GetName(),
	})
}

func (d *Draft) observeCreate(n *statev1.Node, o Observation) {
	in := d.Intents[n.GetId()]
	if n.GetPhase() != statev1.NodePhase_NODE_CREATING || in.GetPhase() != statev1.IntentPhase_INTENT_ISSUED {
		return
	}
	p := o.Problem
	switch {
	case p == nil && o.Created != nil && o.Created.State == providers.InstanceTerminated:
		// The token was spent on a machine that is dead: a failed attempt. The next one has a token of its own.
		d.releaseIntent(n)
		d.retryAt(n, nil)
		if n.GetAttempt() >= maxAttempts {
			d.refuse(n, &Problem{Kind: providers.Transient, Scope: providers.ScopeZone, Code: "dead-replay", Message: "The place keeps answering with a dead machine."})
			d.setPhase(n, statev1.NodePhase_NODE_FAILED, n.GetFailure().GetMessage())
		}
	case p == nil && o.Created != nil:
		d.bind(n, in, *o.Created)
	case p != nil && (definite(p.Kind) || p.Kind == providers.NotFound):
		d.refuse(n, p)
		if n.GetTries() <= 1 {
			// This was the only call ever made for the token, and it had no effect: nothing exists.
			d.releaseIntent(n)
			d.setPhase(n, statev1.NodePhase_NODE_FAILED, p.Message)
			return
		}
		// An earlier call without answer may still take effect: R3 says how to find out.
		d.callEnded(n, in)
		n.Desired = statev1.NodeDesired_NODE_DESIRED_GONE
	case p != nil && p.Kind == providers.Conflict:
		d.refuse(n, p)
		d.callEnded(n, in)
		n.Desired = statev1.NodeDesired_NODE_DESIRED_GONE
	default:
		d.callEnded(n, in)
		d.retryAt(n, p)
		if a := d.attempt(); a != nil && p != nil {
			a.Problem = FailureOf(p, d.ms())
			d.ClusterDirty = true
		}
	}
}

// maxShips bounds how often an agent that does not come up is installed on a new machine.
const maxShips = 5

// maxAttempts bounds how often a node is asked for under a new token.
const maxAttempts = 3

// attemptInstances is how many machines the record of an attempt names.
const attemptInstances = 16

// callEnded moves the time of the last call to now: the call may have been sent as late as this.
func (d *Draft) callEnded(n *statev1.Node, in *statev1.Intent) {
	in.IssuedMs = d.ms()
	d.intentDirty(in)
	d.nodeDirty(n)
}

// refuse records why a machine was refused.
func (d *Draft) refuse(n *statev1.Node, p *Problem) {
	n.Failure = FailureOf(p, d.ms())
	d.nodeDirty(n)
}

// FailureOf turns a classified problem into the record users see.
func FailureOf(p *Problem, atMs int64) *statev1.Failure {
	kind := statev1.FailureKind_INFRA
	switch p.Kind {
	case providers.Capacity:
		kind = statev1.FailureKind_CAPACITY
	case providers.Quota:
		kind = statev1.FailureKind_QUOTA
	case providers.Auth:
		kind = statev1.FailureKind_AUTH
	case providers.Invalid, providers.Unsupported, providers.NotFound:
		kind = statev1.FailureKind_CONFIG
	}
	return &statev1.Failure{Kind: kind, Scope: p.Scope.String(), Code: p.Code, Class: p.Kind.String(), Message: p.Message, Hint: p.Hint, AtMs: atMs}
}

// bind ties an intent to the machine that its call made.
func (d *Draft) bind(n *statev1.Node, in *statev1.Intent, i providers.Instance) {
	in.Phase, in.InstanceId = statev1.IntentPhase_INTENT_BOUND, i.ID
	d.intentDirty(in)
	n.InstanceId, n.Address, n.PublicAddress = i.ID, i.Address, i.PublicAddress
	n.PoweroffSettable, n.PoweroffKeeps = d.PowerOff[n.GetCandidate().GetProvider()], false
	if a := d.attempt(); a != nil && len(a.GetInstances()) < attemptInstances {
		a.Instances = append(a.Instances, i.ID)
		d.ClusterDirty = true
	}
	calls := n.GetTries()
	to := statev1.NodePhase_NODE_BOOTING
	if i.State == providers.InstanceRunning && i.Address != "" {
		to = statev1.NodePhase_NODE_SHIPPING
	}
	d.setPhase(n, to, "instance "+i.ID)
	if calls > 1 {
		d.Events[len(d.Events)-1].Reason = fmt.Sprintf("instance %s after %d calls", i.ID, calls)
	}
}

func (d *Draft) observeShip(n *statev1.Node, o Observation) {
	switch n.GetPhase() {
	case statev1.NodePhase_NODE_SHIPPING, statev1.NodePhase_NODE_READY, statev1.NodePhase_NODE_DRAINING:
	default:
		return
	}
	if p := o.Problem; p != nil {
		if n.GetPhase() == statev1.NodePhase_NODE_SHIPPING && hopeless(p, n.GetTries()+1) {
			d.cannotShip(n, p)
			return
		}
		d.retry(n, p)
		if n.GetPhase() == statev1.NodePhase_NODE_SHIPPING && p.Kind == providers.KindUnknown && n.GetTries() >= maxShips && !d.wasUp() {
			// The machine can be reached, the agent does not come up: waiting longer will not help, another machine may.
			d.refuse(n, p)
			n.Desired = statev1.NodeDesired_NODE_DESIRED_GONE
		}
		return
	}
	if n.GetPhase() == statev1.NodePhase_NODE_SHIPPING {
		d.setPhase(n, statev1.NodePhase_NODE_READY, "agent connected")
	} else if n.GetTries() > 0 {
		n.Tries, n.RetryMs = 0, 0
		d.nodeDirty(n)
	}
	if !n.GetSession() {
		// The session is recorded by whoever holds it. It has ended already: look again soon, not at once.
		d.look(n, 5*time.Second)
	}
}

// startTries is how often an agent that does not start is started.
const startTries = 3

// hopeless reports whether an agent will not run however often it is sent. What a machine that still boots may answer,
// refused keys among it, is not.
func hopeless(p *Problem, tries int32) bool {
	switch p.Kind {
	case providers.Unsupported, providers.Invalid:
		return true
	}
	return p.Code == providers.CodeAgentStart && tries >= startTries
}

// cannotShip gives up a machine on which no agent will ever run.
func (d *Draft) cannotShip(n *statev1.Node, p *Problem) {
	d.refuse(n, p)
	if d.wasUp() {
		d.applyFail(FailureOf(p, d.ms()))
		return
	}
	n.Desired = statev1.NodeDesired_NODE_DESIRED_GONE
}

// observeSeen writes down how the provider says the machine is.
func (d *Draft) observeSeen(n *statev1.Node, seen *Seen) {
	if seen == nil {
		return
	}
	if seen.Problem != nil {
		d.retry(n, seen.Problem)
		return
	}
	if n.GetPhase() == statev1.NodePhase_NODE_CREATING {
		d.seenByToken(n, seen)
		return
	}
	i, ok := find(n, seen)
	if !ok {
		if d.absent(n, seen) {
			d.vanished(n, seen, "The machine is gone.")
		}
		return
	}
	if n.GetAbsentMs() != 0 {
		n.AbsentMs = 0
		d.nodeDirty(n)
	}
	if i.Address != "" && (i.Address != n.GetAddress() || i.PublicAddress != n.GetPublicAddress()) {
		n.Address, n.PublicAddress = i.Address, i.PublicAddress
		d.nodeDirty(n)
	}
	switch i.State {
	case providers.InstanceRunning:
		d.seenRunning(n)
	case providers.InstanceStopped:
		d.seenStopped(n, i.Reason)
	case providers.InstanceTerminating, providers.InstanceTerminated:
		if n.GetPhase() == statev1.NodePhase_NODE_STOPPING || n.GetPhase() == statev1.NodePhase_NODE_STOPPED || live(n) {
			d.vanished(n, seen, "The machine was ended: "+orElse(i.Reason, "not by us")+".")
		}
		if i.State == providers.InstanceTerminated {
			d.proven(n, seen)
		}
	}
}

func live(n *statev1.Node) bool {
	switch n.GetPhase() {
	case statev1.NodePhase_NODE_BOOTING, statev1.NodePhase_NODE_SHIPPING, statev1.NodePhase_NODE_READY, statev1.NodePhase_NODE_DRAINING:
		return true
	}
	return false
}

// find picks the node's own machine out of what was seen.
func find(n *statev1.Node, seen *Seen) (providers.Instance, bool) {
	for _, i := range seen.Instances {
		if i.ID == n.GetInstanceId() {
			return i, true
		}
	}
	return providers.Instance{}, false
}

// seenByToken is rule R3: an intent that nobody wants any more is forgotten only after an empty look that began a
// settle time after the last call.
func (d *Draft) seenByToken(n *statev1.Node, seen *Seen) {
	in := d.Intents[n.GetId()]
	if in.GetPhase() != statev1.IntentPhase_INTENT_ISSUED {
		return
	}
	for _, i := range seen.Instances {
		if i.State.Alive() {
			d.bind(n, in, i)
			return
		}
	}
	ripe := time.UnixMilli(in.GetIssuedMs()).Add(d.settle(in.GetProvider()))
	if seen.At.Before(ripe) {
		if at := ripe.Add(time.Millisecond + state.Jitter(time.Second, d.Policy.Seed, n.GetId(), "settle")); at.After(d.Now) {
			d.Looks[n.GetId()] = at
		}
		return
	}
	d.releaseIntent(n)
	to := statev1.NodePhase_NODE_GONE
	if n.GetFailure() != nil {
		to = statev1.NodePhase_NODE_FAILED
	}
	d.setPhase(n, to, "no machine came of the call")
}

// absent notes an empty look and reports whether two of them, a listing's lag apart, prove that the machine is gone.
func (d *Draft) absent(n *statev1.Node, seen *Seen) bool {
	at := seen.At.UnixMilli()
	lag := d.lag(n.GetCandidate().GetProvider())
	if n.GetAbsentMs() == 0 {
		n.AbsentMs = at
		d.nodeDirty(n)
	}
	if at-n.GetAbsentMs() < lag.Milliseconds() {
		d.look(n, lag+time.Millisecond-seen.At.Sub(time.UnixMilli(n.GetAbsentMs())))
		return false
	}
	return true
}

// vanished is the end of a machine that nobody asked for, or the proof of one that was asked for.
func (d *Draft) vanished(n *statev1.Node, seen *Seen, message string) {
	switch n.GetPhase() {
	case statev1.NodePhase_NODE_DELETING, statev1.NodePhase_NODE_LOST:
		d.proven(n, seen)
		return
	}
	gone := n.GetAbsentMs() != 0
	unwanted := n.GetDesired() == statev1.NodeDesired_NODE_DESIRED_GONE
	if !unwanted {
		n.Failure = &statev1.Failure{
			Kind: statev1.FailureKind_INFRA, Scope: "node", Code: d.endCode(n, message), Message: message, AtMs: d.ms(),
			Hint: "sky why " + d.Cluster.GetName(),
		}
		if n.GetCandidate().GetSpot() && !d.wasUp() {
			n.Failure.Class = providers.Capacity.String() // taken back before it was ready: the zone has none to spare
		}
	}
	d.setPhase(n, statev1.NodePhase_NODE_LOST, message)
	if gone {
		d.proven(n, seen)
	}
	c := d.Cluster
	if !unwanted && c.GetAutostop().GetEnabled() && c.GetAutostop().GetDown() && d.wasUp() && !d.working() &&
		c.GetDesired() == statev1.ClusterDesired_CLUSTER_DESIRED_UP {
		d.applyFinish(Finish{Desired: statev1.ClusterDesired_CLUSTER_DESIRED_DOWN, Reason: "autodown"})
	}
}

// endCode is why a machine is no more that nobody asked to end, as far as that can be told: its lease was over, the place
// took it back, or neither.
func (d *Draft) endCode(n *statev1.Node, message string) string {
	for _, end := range []int64{n.GetDeadlineMs(), n.GetHardEndMs()} {
		if end > 0 && d.ms() >= end-time.Minute.Milliseconds() {
			return "lease"
		}
	}
	if strings.Contains(strings.ToLower(message), "preempt") {
		return "preempted"
	}
	return "lost"
}

// working reports whether a job of the cluster has not ended.
func (d *Draft) working() bool {
	for _, j := range d.Jobs {
		if !state.JobEnded(j.GetPhase()) {
			return true
		}
	}
	return false
}

// proven releases a node whose machine certainly is no more, as far as seen tells.
func (d *Draft) proven(n *statev1.Node, seen *Seen) {
	if c, ok := d.Caps[n.GetCandidate().GetProvider()]; ok && c.Idempotency != providers.IdempotencyToken {
		// Without memory of tokens a late call can make the machine again. So the look must have been for the token, too,
		// at a time when no call could be under way any more.
		if !seen.ByToken {
			return
		}
		for _, i := range seen.Instances {
			if i.State.Alive() {
				return
			}
		}
		in := d.Intents[n.GetId()]
		if ripe := time.UnixMilli(in.GetIssuedMs()).Add(c.Settle() + time.Millisecond); in != nil && seen.At.Before(ripe) {
			if ripe.After(d.Now) {
				d.Looks[n.GetId()] = ripe
			}
			return
		}
	}
	d.releaseIntent(n)
	if n.GetPhase() == statev1.NodePhase_NODE_DELETING {
		d.setPhase(n, statev1.NodePhase_NODE_GONE, "machine gone")
	}
}

func (d *Draft) seenRunning(n *statev1.Node) {
	switch n.GetPhase() {
	case statev1.NodePhase_NODE_BOOTING:
		if n.GetAddress() != "" {
			d.setPhase(n, statev1.NodePhase_NODE_SHIPPING, "running")
		}
	case statev1.NodePhase_NODE_STOPPED:
		if n.GetDesired() == statev1.NodeDesired_NODE_DESIRED_STOPPED {
			// A late start took effect: the next step stops the machine again.
			d.setPhase(n, statev1.NodePhase_NODE_BOOTING, "found running, though it is to be stopped")
		}
	}
}

// seenStopped is the end of a stop, or a machine that stopped on its own (autostop, reboot of a host, reclaimed spot).
func (d *Draft) seenStopped(n *statev1.Node, reason string) {
	switch n.GetPhase() {
	case statev1.NodePhase_NODE_STOPPING:
		d.setPhase(n, statev1.NodePhase_NODE_STOPPED, "stopped")
		d.pace(n)
	case statev1.NodePhase_NODE_BOOTING, statev1.NodePhase_NODE_SHIPPING:
		if d.Now.Before(time.UnixMilli(n.GetPhaseMs()).Add(d.settle(n.GetCandidate().GetProvider()))) {
			return // the listing may be from before the start, or the start still on its way
		}
		tries := n.GetTries()
		d.setPhase(n, statev1.NodePhase_NODE_STOPPED, orElse(reason, "found stopped"))
		n.Tries = tries
		if n.GetDesired() == statev1.NodeDesired_NODE_DESIRED_UP {
			d.retry(n, nil)
		}
	case statev1.NodePhase_NODE_READY:
		d.setPhase(n, statev1.NodePhase_NODE_STOPPED, orElse(reason, "stopped on its own"))
		d.pace(n)
		c := d.Cluster
		late := time.UnixMilli(c.GetLaunchedMs()).Add(d.settle(n.GetCandidate().GetProvider()))
		if c.GetDesired() == statev1.ClusterDesired_CLUSTER_DESIRED_UP && c.GetAutostoppingMs() == 0 && d.Now.Before(late) {
			return // a stop call of before the start took effect only now: start again
		}
		if n.GetDesired() == statev1.NodeDesired_NODE_DESIRED_UP {
			n.Desired = statev1.NodeDesired_NODE_DESIRED_STOPPED
		}
		all := true
		for _, o := range d.Nodes {
			all = all && (!wanted(o) || o.GetDesired() == statev1.NodeDesired_NODE_DESIRED_STOPPED)
		}
		auto := c.GetAutostop().GetEnabled() && !c.GetAutostop().GetDown() && !d.working()
		if c.GetDesired() == statev1.ClusterDesired_CLUSTER_DESIRED_UP && (all || auto) {
			d.applyFinish(Finish{Desired: statev1.ClusterDesired_CLUSTER_DESIRED_STOPPED, Reason: orElse(reason, "stopped on its own")})
		}
	}
}

func (d *Draft) observeStop(n *statev1.Node, o Observation) {
	if n.GetPhase() != statev1.NodePhase_NODE_STOPPING {
		return
	}
	d.pace(n)
	if o.Problem != nil {
		d.retry(n, o.Problem)
	}
	if o.Seen != nil && o.Seen.Problem == nil {
		d.observeSeen(n, o.Seen)
	}
}

func (d *Draft) observeStart(n *statev1.Node, o Observation) {
	if n.GetPhase() != statev1.NodePhase_NODE_BOOTING || o.Problem == nil {
		return
	}
	tries, absent := n.GetTries(), n.GetAbsentMs()
	d.setPhase(n, statev1.NodePhase_NODE_STOPPED, o.Problem.Message)
	n.Tries, n.AbsentMs = tries, absent
	if definite(o.Problem.Kind) && o.Problem.Kind != providers.Capacity {
		d.refuse(n, o.Problem)
		d.applyFail(FailureOf(o.Problem, d.ms()))
		return
	}
	d.retry(n, o.Problem)
	if o.Seen != nil && o.Seen.Problem == nil {
		d.observeSeen(n, o.Seen) // a machine that ended while it was stopped will never start
	}
}

func (d *Draft) observeDelete(n *statev1.Node, o Observation) {
	p := n.GetPhase()
	if p != statev1.NodePhase_NODE_DELETING && p != statev1.NodePhase_NODE_LOST {
		return
	}
	d.pace(n)
	if o.Problem != nil {
		if d.Cluster.GetPurge() && definite(o.Problem.Kind) {
			d.refuse(n, o.Problem)
			d.releaseIntent(n)
			if p == statev1.NodePhase_NODE_DELETING {
				d.setPhase(n, statev1.NodePhase_NODE_GONE, "forgotten (purge): "+o.Problem.Message)
			}
			return
		}
		d.retry(n, o.Problem)
	}
	if o.Seen != nil && o.Seen.Problem == nil {
		d.observeSeen(n, o.Seen)
	}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
