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
	wait := s.jobBudgets(now)
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
		s.stopAll("the node's time is up")
		finishing = s.open > 0
	}
	s.mu.Unlock()
	if finishing {
		s.o.Announce(off)
		return left // sooner when the last job has ended
	}
	s.powerOff(ctx, off)
	return offRetry
}

// stopAll ends every job for good; the caller holds the lock.
func (s *Supervisor) stopAll(why string) {
	for _, j := range s.jobs {
		if !j.ended {
			s.stopJob(j, &agentv1.StopCause{Reason: why, AtMs: nowMS(), GraceMs: (finishLimit / 2).Milliseconds(),
				Failure: failure(statev1.FailureKind_TIMEOUT, "NODE_BUDGET", why)})
		}
	}
}

// powerOff ends the node. It tells everybody first, and is tried again should the node go on.
func (s *Supervisor) powerOff(ctx context.Context, off *agentv1.Autostopping) {
	s.o.Log.Info("ending the node", "down", off.GetDown(), "budget", off.GetBudget(), "idle_ms", off.GetIdleMs())
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

// nodeEnd says whether the node's own time is up: its deadline, or the cluster's cost. The caller holds the lock.
func (s *Supervisor) nodeEnd(now time.Time) (*agentv1.Autostopping, time.Duration) {
	p, wait := s.policy, never
	if p == nil {
		return nil, wait
	}
	if d := p.GetDeadlineMs(); d > 0 {
		left := time.UnixMilli(d).Sub(now)
		if left <= 0 {
			return &agentv1.Autostopping{Down: true, Budget: true}, 0
		}
		wait = min(wait, left)
	}
	b := p.GetBudget()
	rate := p.GetHourlyPrice() * float64(max(1, p.GetNodes())) // USD per hour
	if b.GetMaxCost() > 0 && rate > 0 && p.GetBillingSinceMs() > 0 {
		// What was billed before is node time: it cost the price of one node.
		spent := p.GetHourlyPrice() * float64(p.GetBilledMs()) / hourMS
		end := time.UnixMilli(p.GetBillingSinceMs()).Add(time.Duration((b.GetMaxCost() - spent) / rate * float64(time.Hour)))
		if !now.Before(end) {
			return &agentv1.Autostopping{Down: true, Budget: true}, 0
		}
		wait = min(wait, end.Sub(now))
	}
	if b.GetMaxDurationMs() > 0 && p.GetBillingSinceMs() > 0 {
		end := time.UnixMilli(p.GetBillingSinceMs() + b.GetMaxDurationMs())
		if !now.Before(end) {
			return &agentv1.Autostopping{Down: true, Budget: true}, 0
		}
		wait = min(wait, end.Sub(now))
	}
	return nil, wait
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
	if limit == 0 && own.GetIdleSinceMs() <= as.GetSetMs() {
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
