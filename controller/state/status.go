package state

import (
	"slices"

	statev1 "aloft/proto/sky/state/v1"
)

// States of a cluster as users see them (SkyPilot's words).
const (
	ClusterPending      = "PENDING"
	ClusterInit         = "INIT"
	ClusterUp           = "UP"
	ClusterStopped      = "STOPPED"
	ClusterAutostopping = "AUTOSTOPPING"
	ClusterTerminated   = "TERMINATED"
)

// States of a job as users see them (SkyPilot's words).
const (
	JobInit         = "INIT"
	JobPending      = "PENDING"
	JobSettingUp    = "SETTING_UP"
	JobRunning      = "RUNNING"
	JobSucceeded    = "SUCCEEDED"
	JobFailed       = "FAILED"
	JobFailedSetup  = "FAILED_SETUP"
	JobFailedDriver = "FAILED_DRIVER"
	JobCancelled    = "CANCELLED"
)

// unreachableTries is how many times in a row a READY node's agent must be out of reach before its cluster counts as
// abnormal: a controller that has just started must not show INIT for machines that are fine.
const unreachableTries = 3

// jobStatus maps every phase of a job to the state users see.
var jobStatus = map[statev1.JobPhase]string{
	statev1.JobPhase_JOB_PHASE_UNSPECIFIED: JobInit,
	statev1.JobPhase_JOB_QUEUED:            JobInit,
	statev1.JobPhase_JOB_PLACED:            JobPending,
	statev1.JobPhase_JOB_STAGING:           JobSettingUp,
	statev1.JobPhase_JOB_SETUP:             JobSettingUp,
	statev1.JobPhase_JOB_RUNNING:           JobRunning,
	statev1.JobPhase_JOB_CHECKING:          JobRunning,
	statev1.JobPhase_JOB_SUCCEEDED:         JobSucceeded,
	statev1.JobPhase_JOB_FAILED_USER:       JobFailed,
	statev1.JobPhase_JOB_FAILED_SETUP:      JobFailedSetup,
	statev1.JobPhase_JOB_FAILED_INFRA:      JobFailedDriver,
	statev1.JobPhase_JOB_CANCELLED:         JobCancelled,
	statev1.JobPhase_JOB_TIMED_OUT:         JobFailed,
	statev1.JobPhase_JOB_FAILED_CHECKS:     JobFailed,
}

// JobStatus is the state users see of a job.
func JobStatus(j *statev1.Job) string {
	if s, ok := jobStatus[j.GetPhase()]; ok {
		return s
	}
	return JobInit
}

// ClusterStatus is the state users see of a cluster; nodes are all its nodes, past ones included.
//
//	ended                                        TERMINATED
//	every slot planned, nothing asked for yet    PENDING
//	every slot READY and reachable               UP, or AUTOSTOPPING once a node announced it
//	every slot STOPPED                           STOPPED
//	anything else                                INIT
func ClusterStatus(c *statev1.Cluster, nodes []*statev1.Node) string {
	if c.GetEndedMs() > 0 {
		return ClusterTerminated
	}
	var live, planned, ready, stopped int32
	for _, n := range nodes {
		if NodeEnded(n.GetPhase()) {
			continue
		}
		live++
		switch n.GetPhase() {
		case statev1.NodePhase_NODE_PLANNED:
			planned++
		case statev1.NodePhase_NODE_READY:
			if n.GetSession() || n.GetTries() < unreachableTries {
				ready++
			}
		case statev1.NodePhase_NODE_STOPPED:
			stopped++
		}
	}
	up := c.GetDesired() == statev1.ClusterDesired_CLUSTER_DESIRED_UP
	switch {
	case up && planned == live && planned == c.GetNumNodes():
		return ClusterPending
	case up && c.GetAutostoppingMs() > 0 && ready > 0:
		return ClusterAutostopping
	case up && ready == c.GetNumNodes():
		return ClusterUp
	case stopped > 0 && stopped == c.GetNumNodes() && c.GetDesired() != statev1.ClusterDesired_CLUSTER_DESIRED_DOWN:
		return ClusterStopped
	}
	return ClusterInit
}

// Cost is what a cluster has cost by now, in USD, as far as prices are known.
func Cost(c *statev1.Cluster, nowMs int64) float64 {
	var usd float64
	for _, b := range c.GetBilling() {
		end := b.GetEndMs()
		if end == 0 {
			end = nowMs
		}
		if end > b.GetStartMs() {
			usd += float64(end-b.GetStartMs()) / 3_600_000 * b.GetHourlyPrice() * float64(b.GetNodes())
		}
	}
	return usd
}

// CostUnknown reports whether a cluster had machines whose price is not known: its cost is more than Cost says.
func CostUnknown(c *statev1.Cluster) bool {
	return slices.ContainsFunc(c.GetBilling(), (*statev1.BillingInterval).GetPriceUnknown)
}

// HourlyPrice is what a cluster costs per hour now, in USD: the open billing intervals.
func HourlyPrice(c *statev1.Cluster) float64 {
	var usd float64
	for _, b := range c.GetBilling() {
		if b.GetEndMs() == 0 {
			usd += b.GetHourlyPrice() * float64(b.GetNodes())
		}
	}
	return usd
}
