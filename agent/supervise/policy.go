package supervise

import (
	"context"
	"fmt"
	"time"

	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

const (
	never    = time.Duration(1<<63 - 1)
	hourMS   = float64(time.Hour / time.Millisecond)
	offRetry = 10 * time.Second
	// finishLimit is how long jobs may take to end when the node's time is up.
	finishLimit = 10 * time.Second
	// settle lets an announcement reach the controller before the node goes.
	settle = 200 * time.Millisecond
	// evidenceTime is how long a node that has nothing left to run waits for what no controller has yet, since something last
	// got through; evidenceLast when its time is up.
	evidenceTime = 2 * time.Minute
	evidenceLast = 20 * time.Second
	// evidenceEvery is how often it looks.
	evidenceEvery = 50 * time.Millisecond
	// firstWork is how long a node that is to end with its jobs waits for the first of them.
	firstWork = time.Minute
	// loginEvery is how often login sessions are looked for once the node would be idle long enough.
	loginEvery = 10 * time.Second
	// reportEvery is how often the nodes of a cluster tell slot 0 how idle they are.
	reportEvery = 2 * time.Second
)

// enforce keeps to budgets, deadlines and autostop until ctx ends, whether or not a controller is there.
func (s *Supervisor) enforce(ctx context.Context) {
	s.mu.Lock()
	p := s.policy
	s.mu.Unlock()
	if p != nil {
		s.o.Gang.Cluster(p)
	}
	for {
		wait := s.enforceOnce(ctx, time.Now())
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-s.poke:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// enforceOnce does what is due at now and says how long nothing else will be.
func (s *Supervisor) enforceOnce(ctx context.Context, now time.Time) time.Duration {
	s.mu.Lock()
	wait := min(s.jobBudgets(now), s.renewLease(now))
	if s.off != nil && !s.off.GetBudget() && s.open > 0 {
		s.off = nil // the node did not end, and has work again
	}
	if s.off == nil {
		off, nodeWait := s.nodeEnd(now)
		if off == nil {
			var idle time.Duration
			off, idle = s.idleEnd(now)
			nodeWait = min(nodeWait, idle)
		}
		if off == nil {
			s.mu.Unlock()
			return min(wait, nodeWait)
		}
		s.off, s.offAt = off, now
	}
	off := s.off
	left := s.offAt.Add(finishLimit).Sub(now)
	finishing := off.GetBudget() && s.open > 0 && left > 0
	if finishing {
		s.stopAll(off)
		finishing = s.open > 0
	}
	owes := !finishing && s.owes(off, now)
	s.mu.Unlock()
	if finishing {
		s.o.Announce(off)
		return left // sooner when the last job has ended
	}
	if owes {
		return evidenceEvery
	}
	s.powerOff(ctx, off)
	return offRetry
}

// owes reports whether the node is to stay because a verdict, logs or files are still on their way to a controller: what is
// lost with the node nobody ever sees. The caller holds the lock.
func (s *Supervisor) owes(off *agentv1.Autostopping, now time.Time) bool {
	if s.o.Evidence == nil {
		return false
	}
	reads, left, moved := s.o.Evidence()
	if left = left || len(s.outbox.items) > 0; !left || !reads {
		return false // with nobody there, waiting would cost money and save nothing
	}
	if off.GetBudget() {
		return now.Sub(moved) < evidenceLast/4 && now.Sub(s.offAt) < finishLimit+evidenceLast // somebody is there, and reads
	}
	if done := time.UnixMilli(s.busyMS); done.After(moved) {
		moved = done
	}
	return now.Sub(moved) < evidenceTime
}

// stopAll ends every job for good, for the reason the node ends; the caller holds the lock.
func (s *Supervisor) stopAll(off *agentv1.Autostopping) {
	for _, j := range s.jobs {
		if !j.ended {
			s.stopJob(j, &agentv1.StopCause{Reason: off.GetReason(), AtMs: nowMS(), GraceMs: (finishLimit / 2).Milliseconds(),
				Failure: failure(statev1.FailureKind_TIMEOUT, off.GetCode(), off.GetReason())})
		}
	}
}

// powerOff ends the node. It tells everybody first, and is tried again should the node go on.
func (s *Supervisor) powerOff(ctx context.Context, off *agentv1.Autostopping) {
	s.o.Log.Info("ending the node", "down", off.GetDown(), "budget", off.GetBudget(), "reason", off.GetReason(), "idle_ms", off.GetIdleMs())
	s.o.Announce(off)
	s.o.Gang.Off(&agentv1.NodeOrder{Off: true, Down: off.GetDown(), IdleMs: off.GetIdleMs()})
	timer := time.NewTimer(settle)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return
	}
	if off.GetDown() {
		if err := s.o.Vault.Destroy(); err != nil {
			s.o.Log.Warn("secrets", "err", err)
		}
	}
	if err := s.o.PowerOff(ctx, off.GetDown()); err != nil && ctx.Err() == nil {
		s.o.Log.Error("cannot end the node: trying again", "err", err)
	}
}

// jobBudgets stops running jobs whose budget is used up and says when the next one will be. The caller holds the lock.
func (s *Supervisor) jobBudgets(now time.Time) time.Duration {
	wait := never
	for _, j := range s.running {
		b := j.a.GetTask().GetBudget()
		if b == nil || j.started == 0 || j.stop != nil {
			continue
		}
		run := now.Sub(time.UnixMilli(j.started))
		if limit := time.Duration(b.GetMaxDurationMs()) * time.Millisecond; limit > 0 {
			if run >= limit {
				s.overBudget(j, "MAX_DURATION", fmt.Sprintf("the job ran for its whole max_duration of %s", limit))
				continue
			}
			wait = min(wait, limit-run)
		}
		rate := s.policy.GetHourlyPrice() * float64(max(1, j.a.GetNumRanks()))
		if b.GetMaxCost() > 0 && rate > 0 {
			limit := time.Duration(b.GetMaxCost() / rate * float64(time.Hour))
			if run >= limit {
				s.overBudget(j, "MAX_COST", fmt.Sprintf("the job used up its max_cost of $%.2f", b.GetMaxCost()))
				continue
			}
			wait = min(wait, limit-run)
		}
	}
	return wait
}

func (s *Supervisor) overBudget(j *job, code, message string) {
	s.stopJob(j, &agentv1.StopCause{Reason: message, AtMs: nowMS(), GraceMs: j.a.GetGraceMs(),
		Failure: failure(statev1.FailureKind_TIMEOUT, code, message)})
}

// leaseEnd is the node's deadline. What was heard in this life counts by the length then left, whatever the node's clock
// says; a life that heard nothing yet goes by the machine's own count, or else by the clock. The caller holds the lock.
func (s *Supervisor) leaseEnd(now time.Time) time.Time {
	if s.lease.IsZero() && s.o.LeaseLeft != nil {
		if left, ok := s.o.LeaseLeft(); ok {
			s.lease = now.Add(left)
			s.renewed = s.lease // it is the machine's own
		}
	}
	if !s.lease.IsZero() {
		return s.lease
	}
	return time.UnixMilli(s.policy.GetDeadlineMs())
}

// renewLease tells the machine of a lease that it does not know and says when to try again. The caller holds the lock.
func (s *Supervisor) renewLease(now time.Time) time.Duration {
	if s.o.Renew == nil || s.lease.IsZero() || s.lease.Equal(s.renewed) || s.off != nil {
		return never
	}
	if err := s.o.Renew(time.UnixMilli(s.policy.GetDeadlineMs()), s.lease.Sub(now)); err != nil {
		s.o.Log.Error("trying again", "err", err)
		return offRetry
	}
	s.renewed = s.lease
	return never
}

// nodeEnd says whether the node's own time is up: its deadline, or the cluster's budget. A price that nobody knows counts
// as none. The caller holds the lock.
func (s *Supervisor) nodeEnd(now time.Time) (*agentv1.Autostopping, time.Duration) {
	p, wait := s.policy, never
	if p == nil {
		return nil, wait
	}
	end := func(code, format string, args ...any) (*agentv1.Autostopping, time.Duration) {
		return &agentv1.Autostopping{Down: true, Budget: true, Code: code, Reason: fmt.Sprintf(format, args...)}, 0
	}
	if p.GetDeadlineMs() > 0 {
		left := s.leaseEnd(now).Sub(now)
		if left <= 0 {
			return end("LEASE", "the machine's lease ran out: nobody renewed it")
		}
		wait = min(wait, left)
	}
	b := p.GetBudget()
	rate := p.GetHourlyPrice() * float64(max(1, p.GetNodes())) // USD per hour
	if b.GetMaxHourlyCost() > 0 && rate > b.GetMaxHourlyCost()*(1+1e-9) {
		return end("MAX_HOURLY_COST", "the cluster costs $%.2f an hour, more than its max_hourly_cost of $%.2f", rate, b.GetMaxHourlyCost())
	}
	if b.GetMaxCost() > 0 && rate > 0 && p.GetBillingSinceMs() > 0 {
		// What was billed before is node time: it cost the price of one node.
		spent := p.GetHourlyPrice() * float64(p.GetBilledMs()) / hourMS
		at := s.onOwnClock(p.GetBillingSinceMs()).Add(time.Duration((b.GetMaxCost() - spent) / rate * float64(time.Hour)))
		if !now.Before(at) {
			return end("MAX_COST", "the cluster used up its max_cost of $%.2f", b.GetMaxCost())
		}
		wait = min(wait, at.Sub(now))
	}
	if b.GetMaxDurationMs() > 0 && p.GetBillingSinceMs() > 0 {
		limit := time.Duration(b.GetMaxDurationMs()) * time.Millisecond
		at := s.onOwnClock(p.GetBillingSinceMs()).Add(limit)
		if !now.Before(at) {
			return end("MAX_DURATION", "the cluster ran for its whole max_duration of %s", limit)
		}
		wait = min(wait, at.Sub(now))
	}
	return nil, wait
}

// onOwnClock is an instant of the controller's on this process's clock: what was told in this life counts from when it
// was told, whatever the node's clock says. The caller holds the lock.
func (s *Supervisor) onOwnClock(ms int64) time.Time {
	if s.told.IsZero() {
		return time.UnixMilli(ms)
	}
	return s.told.Add(time.Duration(ms-s.policy.GetSentMs()) * time.Millisecond)
}

// idleEnd says whether the cluster was idle for long enough. Slot 0 decides for all nodes. The caller holds the lock.
func (s *Supervisor) idleEnd(now time.Time) (*agentv1.Autostopping, time.Duration) {
	p := s.policy
	as := p.GetAutostop()
	if !as.GetEnabled() {
		return nil, never
	}
	limit := time.Duration(as.GetIdleMinutes()) * time.Minute
	if as.GetIdleMs() > 0 {
		limit = time.Duration(as.GetIdleMs()) * time.Millisecond
	}
	if as.GetWaitFor() == "none" {
		return s.idleFor(as, now, time.UnixMilli(as.GetSetMs()), limit)
	}
	own := &agentv1.NodeReport{Busy: s.open > 0, IdleSinceMs: max(s.busyMS, as.GetSetMs())}
	wait := never
	if !own.Busy && as.GetWaitFor() != "jobs" && s.o.SSHSessions != nil {
		if now.Sub(time.UnixMilli(own.GetIdleSinceMs())) >= min(limit, loginEvery) {
			if s.o.SSHSessions() > 0 {
				s.busyMS = now.UnixMilli()
				own.IdleSinceMs = s.busyMS
			}
			wait = loginEvery
		}
	}
	if p.GetNodes() > 1 {
		own = s.o.Gang.Report(own)
		wait = min(wait, reportEvery)
		if p.GetSlot() != 0 || own == nil {
			return nil, wait
		}
	}
	if own.GetBusy() {
		return nil, wait
	}
	// The agent's own start counts as the end of idleness, too: only a job that has ended since tells that the first one came.
	if limit == 0 && (own.GetIdleSinceMs() <= as.GetSetMs() || s.worked < as.GetSetMs()) {
		limit = firstWork // "when the jobs are done": the first one is still on its way
	}
	off, left := s.idleFor(as, now, time.UnixMilli(own.GetIdleSinceMs()), limit)
	return off, min(wait, left)
}

func (s *Supervisor) idleFor(as *statev1.Autostop, now, since time.Time, limit time.Duration) (*agentv1.Autostopping, time.Duration) {
	idle := now.Sub(since)
	if idle < limit {
		return nil, limit - idle
	}
	return &agentv1.Autostopping{Down: as.GetDown(), IdleMs: idle.Milliseconds()}, 0
}

// PowerOffNow ends the node by slot 0's order.
func (s *Supervisor) PowerOffNow(o *agentv1.NodeOrder) {
	s.mu.Lock()
	if s.off == nil {
		s.off, s.offAt = &agentv1.Autostopping{Down: o.GetDown(), IdleMs: o.GetIdleMs()}, time.Now()
	}
	s.mu.Unlock()
	s.kickPolicy()
}
