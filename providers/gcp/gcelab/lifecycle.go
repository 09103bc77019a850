package gcelab

import (
	"net/http"
	"strings"
)

// boot begins the boot of an instance that is STAGING; op, which may be nil, is done once it runs.
func (l *Lab) boot(in *instance, op *operation) {
	life := in.life
	in.serial = append(in.serial, "Booting "+in.name+"\n")
	l.work(in, hostBoot, func(err error) {
		switch {
		case in.life != life || in.gone:
			l.finish(op, resourceGone(l, in))
		case err != nil:
			l.violation("%s: host: %s", in.path(), err)
			l.remove(in)
			l.finish(op, &opError{code: "INTERNAL_ERROR", status: http.StatusInternalServerError, text: "INTERNAL SERVER ERROR", message: "Internal error: " + err.Error()})
		default:
			l.running(in)
			l.finish(op, nil)
		}
	})
}

// running marks an instance as up, and plans the end that its scheduling asks for.
func (l *Lab) running(in *instance) {
	l.addressed(in, true)
	in.body["lastStartTimestamp"] = stamp(l.clock.now())
	s := inner(in.body, "scheduling")
	status := object{"scheduling": object{}}
	end, limited := runLimit(s, l.clock.now())
	if limited {
		status["scheduling"] = object{"terminationTimestamp": stamp(end)}
	}
	in.body["resourceStatus"] = status
	l.set(in, "RUNNING")
	if !limited {
		return
	}
	life := in.life
	l.clock.after(end.Sub(l.clock.now()), func() {
		if in.life != life || in.gone {
			return
		}
		if text(s, "instanceTerminationAction") == "DELETE" {
			l.end(in, l.start(nil, "zones/"+in.zone, "compute.instances.delete", in.body), "delete")
			return
		}
		l.end(in, l.start(nil, "zones/"+in.zone, "compute.instances.stop", in.body), "stop")
	})
}

// end begins the end of an instance: delete, or stop and keep its disk. op, which may be nil, is done when it is over.
func (l *Lab) end(in *instance, op *operation, how string) {
	l.set(in, "STOPPING")
	life := in.life
	do := hostStop
	if how == "delete" {
		do = hostRemove
	}
	l.work(in, do, func(err error) {
		if err != nil {
			l.violation("%s: host: %s", in.path(), err)
		}
		if how == "delete" {
			l.remove(in)
			l.finish(op, nil)
			return
		}
		if in.life == life && !in.gone {
			l.stopped(in)
		}
		l.finish(op, nil)
	})
}

// stopped marks an instance as TERMINATED, which in this API means stopped.
func (l *Lab) stopped(in *instance) {
	l.addressed(in, false)
	in.body["lastStopTimestamp"] = stamp(l.clock.now())
	in.body["resourceStatus"] = object{"scheduling": object{}}
	l.set(in, "TERMINATED")
}

// remove forgets an instance.
func (l *Lab) remove(in *instance) {
	if in.gone {
		return
	}
	in.gone = true
	in.life++
	l.note(in)
	for t, owner := range l.tokens {
		if owner == in {
			delete(l.tokens, t)
		}
	}
	forget := func() {
		if l.instances[in.key()] == in {
			delete(l.instances, in.key())
		}
	}
	if l.o.ListingLag > 0 {
		// Lists show it for a while; its name is free.
		delete(l.instances, in.key())
		ghost := in.key() + "#" + text(in.body, "id")
		l.instances[ghost] = in
		l.clock.after(l.o.ListingLag, func() { delete(l.instances, ghost) })
	} else {
		forget()
	}
	in.changed()
	for _, f := range in.onGone {
		f()
	}
	in.onGone = nil
}

func deleteInstance(l *Lab, c *call) (object, *apiError) {
	op, bad := l.again(c)
	if op != nil || bad != nil {
		return opBody(op), bad
	}
	in, bad := l.instance(c)
	if bad != nil {
		return nil, bad
	}
	if p, _ := in.body["deletionProtection"].(bool); p {
		return nil, refuse(http.StatusPreconditionFailed, "conditionNotMet", "Invalid resource usage: 'Resource cannot be deleted if it's protected against deletion. - The instance %s is protected.'", in.name)
	}
	op = l.start(c, "zones/"+in.zone, "delete", in.body)
	if fails := l.operationError(c.rule, c); fails != nil {
		l.clock.after(l.o.OperationTime, func() { l.finish(op, fails) })
		return opBody(op), nil
	}
	if in.onGone != nil {
		in.onGone = append(in.onGone, func() { l.finish(op, nil) })
		return opBody(op), nil
	}
	in.onGone = []func(){func() { l.finish(op, nil) }}
	l.end(in, nil, "delete")
	return opBody(op), nil
}

func notReady(l *Lab, in *instance) *apiError {
	return refuse(http.StatusBadRequest, "resourceNotReady", "The resource 'projects/%s/%s' is not ready", l.o.Project, in.path())
}

func stopInstance(l *Lab, c *call) (object, *apiError) {
	op, bad := l.again(c)
	if op != nil || bad != nil {
		return opBody(op), bad
	}
	in, bad := l.instance(c)
	if bad != nil {
		return nil, bad
	}
	switch in.status() {
	case "RUNNING":
	case "TERMINATED":
		return l.change(c, "zones/"+in.zone, "stop", in.body, func() *opError { return nil })
	default:
		return nil, notReady(l, in)
	}
	op = l.start(c, "zones/"+in.zone, "stop", in.body)
	if fails := l.operationError(c.rule, c); fails != nil {
		l.clock.after(l.o.OperationTime, func() { l.finish(op, fails) })
		return opBody(op), nil
	}
	l.end(in, op, "stop")
	return opBody(op), nil
}

func startInstance(l *Lab, c *call) (object, *apiError) {
	op, bad := l.again(c)
	if op != nil || bad != nil {
		return opBody(op), bad
	}
	in, bad := l.instance(c)
	if bad != nil {
		return nil, bad
	}
	switch in.status() {
	case "TERMINATED":
	case "RUNNING":
		return l.change(c, "zones/"+in.zone, "start", in.body, func() *opError { return nil })
	default:
		return nil, notReady(l, in)
	}
	op = l.start(c, "zones/"+in.zone, "start", in.body)
	fails := l.operationError(c.rule, &call{method: c.method, params: c.params, body: in.body})
	if fails == nil {
		fails = l.overQuota(in)
	}
	if fails != nil {
		l.clock.after(l.o.OperationTime, func() { l.finish(op, fails) })
		return opBody(op), nil
	}
	l.set(in, "STAGING")
	l.boot(in, op)
	return opBody(op), nil
}

func resetInstance(l *Lab, c *call) (object, *apiError) {
	op, bad := l.again(c)
	if op != nil || bad != nil {
		return opBody(op), bad
	}
	in, bad := l.instance(c)
	if bad != nil {
		return nil, bad
	}
	if in.status() != "RUNNING" {
		return nil, notReady(l, in)
	}
	op = l.start(c, "zones/"+in.zone, "reset", in.body)
	l.work(in, hostReset, func(err error) {
		if err != nil {
			l.violation("%s: host: %s", in.path(), err)
		}
		l.finish(op, nil)
	})
	return opBody(op), nil
}

// simulateMaintenance answers a simulated maintenance event: a spot instance is preempted by it, as with Google.
func simulateMaintenance(l *Lab, c *call) (object, *apiError) {
	in, bad := l.instance(c)
	if bad != nil {
		return nil, bad
	}
	if in.status() != "RUNNING" {
		return nil, notReady(l, in)
	}
	return l.change(c, "zones/"+in.zone, "simulateMaintenanceEvent", in.body, func() *opError {
		if s, _ := inner(in.body, "scheduling")["preemptible"].(bool); s && !in.gone && in.status() == "RUNNING" {
			l.preempt(in)
		}
		return nil
	})
}

// Preempt takes a spot instance away as Compute Engine does: notice in its metadata, a while, then its termination action.
// It reports whether there was such an instance.
func (l *Lab) Preempt(zone, name string) bool {
	l.lock()
	defer l.unlock()
	in := l.instances[zone+"/"+name]
	if in == nil || in.gone || in.status() != "RUNNING" {
		return false
	}
	l.preempt(in)
	return true
}

func (l *Lab) preempt(in *instance) {
	op := l.start(nil, "zones/"+in.zone, "compute.instances.preempted", in.body)
	op.body["statusMessage"] = "Instance was preempted."
	l.finish(op, nil)
	in.host.preempted = true
	in.body["resourceStatus"] = object{"scheduling": object{}}
	l.set(in, "STOPPING")
	in.changed()
	life := in.life
	l.clock.after(l.o.Notice, func() {
		if in.life != life || in.gone {
			return
		}
		how := "stop"
		if text(inner(in.body, "scheduling"), "instanceTerminationAction") == "DELETE" {
			how = "delete"
		}
		l.end(in, nil, how)
	})
}

// Crash ends an instance's host as a failing machine does: it is TERMINATED without anybody having asked.
func (l *Lab) Crash(zone, name string) bool {
	l.lock()
	defer l.unlock()
	in := l.instances[zone+"/"+name]
	if in == nil || in.gone || in.status() != "RUNNING" {
		return false
	}
	op := l.start(nil, "zones/"+in.zone, "compute.instances.hostError", in.body)
	l.end(in, op, "stop")
	return true
}

// State is an instance's status, as the API writes it; "" when there is none.
func (l *Lab) State(zone, name string) string {
	l.lock()
	defer l.unlock()
	if in := l.instances[zone+"/"+name]; in != nil && !in.gone {
		return in.status()
	}
	return ""
}

// Instances are the names of all instances that exist, as zone/name, in no order.
func (l *Lab) Instances() []string {
	l.lock()
	defer l.unlock()
	var out []string
	for k, in := range l.instances {
		if !in.gone {
			out = append(out, k)
		}
	}
	return out
}

func serialPort(l *Lab, c *call) (object, *apiError) {
	in, bad := l.instance(c)
	if bad != nil {
		return nil, bad
	}
	all := strings.Join(in.serial, "") + in.console()
	return object{"kind": "compute#serialPortOutput", "selfLink": l.link("zones", in.zone, "instances", in.name, "serialPort"),
		"contents": all, "start": "0", "next": itoa(len(all))}, nil
}
