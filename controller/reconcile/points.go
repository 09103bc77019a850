package reconcile

import "aloft/controller/plan"

// Points are the steps at which Options.Crash is called. "before" a commit nothing is written, "after" it the records
// are durable and no call is made yet; "before" a call its records are durable, "after" it nothing of its answer is.
func Points() []string {
	return []string{
		"before-intent", "after-intent", // the commit that holds new create calls (R1)
		"before-quota", "after-quota",
		"before-create", "after-create",
		"before-bind", "after-bind", // the commit that records the answer of a create call
		"before-probe", "after-probe",
		"before-ship", "after-ship",
		"before-connect", "after-connect",
		"before-stop", "after-stop",
		"before-start", "after-start",
		"before-delete", "after-delete",
		"before-extend", "after-extend",
		"before-poweroff", "after-poweroff", // what a shutdown from within does
		"before-finish", "after-finish", // what a cluster's machines shared
		"before-record", "after-record", // any other commit
	}
}

// commitPoints names the points around a commit.
func commitPoints(obs []plan.Observation, effects []plan.Action) (before, after string) {
	for _, a := range effects {
		if _, ok := a.(plan.Create); ok {
			return "before-intent", "after-intent"
		}
	}
	for _, o := range obs {
		if _, ok := o.Effect.(plan.Create); ok {
			return "before-bind", "after-bind"
		}
	}
	return "before-record", "after-record"
}

// effectName is the word for an effect in points and logs.
func effectName(a plan.Action) string {
	switch a.(type) {
	case plan.AskQuota:
		return "quota"
	case plan.Remove:
		return "finish"
	case plan.Create:
		return "create"
	case plan.Probe:
		return "probe"
	case plan.Ship:
		return "ship"
	case plan.Connect:
		return "connect"
	case plan.Stop:
		return "stop"
	case plan.Start:
		return "start"
	case plan.Delete:
		return "delete"
	case plan.Extend:
		return "extend"
	case plan.PowerOff:
		return "poweroff"
	}
	return "other"
}
