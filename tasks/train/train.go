// Package train says how one rank of a job is started: its environment and its
// script. It is pure; the agent does the starting.
package train

import (
	"encoding/json"
	"math"
	"sort"
	"strconv"
	"strings"
)

// DefaultMasterPort is the rendezvous port when RankInfo names none. It is the
// one torch uses.
const DefaultMasterPort = 29500

// Phase tells setup from run, which see different variables.
type Phase int

// The phases of a job.
const (
	Run Phase = iota
	Setup
)

// Cluster is where the job runs, as SKYPILOT_CLUSTER_INFO tells it.
type Cluster struct {
	Name   string `json:"cluster_name"`
	Cloud  string `json:"cloud"`
	Region string `json:"region"`
	Zone   string `json:"zone"`
}

// RankInfo is all that decides the environment of one rank.
type RankInfo struct {
	Phase Phase
	// Env is the task's own environment: envs with secrets on top. Runtime
	// variables win over it, except the rendezvous aliases, which a task may set.
	Env map[string]string
	// Rank is 0-based; NodeIPs are in rank order and may be empty on one node.
	Rank    int
	NodeIPs []string
	// NumNodes is len(NodeIPs) when 0.
	NumNodes int
	// GPUsPerNode may be a fraction; it is rounded up for the job to see.
	GPUsPerNode float64
	// GPUs are the device indexes given to this rank. Nil leaves
	// CUDA_VISIBLE_DEVICES alone; empty hides every device.
	GPUs []int
	// TaskID is stable across recoveries; use it for checkpoints.
	TaskID string
	// TaskIDs are those of all tasks of a pipeline.
	TaskIDs []string
	Cluster Cluster
	User    string
	// ManagedJobID and InternalJobID are empty for jobs that are not managed.
	ManagedJobID, InternalJobID string
	// JobGroup is the name of the job group, if any.
	JobGroup string
	// JobRank and NumJobs place the job in an array; NumJobs 0 means none.
	JobRank, NumJobs int
	// MetricsPath is where the job may append metrics; empty means nowhere.
	MetricsPath string
	// MasterPort is the rendezvous port; DefaultMasterPort when 0.
	MasterPort int
}

// Env returns the environment of a rank as sorted NAME=value entries.
func Env(r RankInfo) []string {
	env := make(map[string]string, len(r.Env)+24)
	for k, v := range r.Env {
		env[k] = v
	}
	nodes := r.NumNodes
	if nodes == 0 {
		nodes = max(len(r.NodeIPs), 1)
	}
	ips := strings.Join(r.NodeIPs, "\n")
	gpus := strconv.Itoa(int(math.Ceil(max(r.GPUsPerNode, 0))))
	rank := strconv.Itoa(r.Rank)

	env["SKYPILOT_NUM_NODES"] = strconv.Itoa(nodes)
	env["SKYPILOT_TASK_ID"] = r.TaskID
	env["SKYPILOT_USER"] = r.User
	env["SKYPILOT_CLUSTER_INFO"] = clusterInfo(r.Cluster)
	set := func(name, value string) {
		if value != "" {
			env[name] = value
		}
	}
	set("SKYPILOT_TASK_IDS", strings.Join(r.TaskIDs, "\n"))
	set("SKYPILOT_MANAGED_JOB_ID", r.ManagedJobID)
	set("SKYPILOT_INTERNAL_JOB_ID", r.InternalJobID)
	set("SKYPILOT_JOBGROUP_NAME", r.JobGroup)
	set("ALOFT_METRICS", r.MetricsPath)
	if r.NumJobs > 0 {
		env["SKYPILOT_JOB_RANK"] = strconv.Itoa(r.JobRank)
		env["SKYPILOT_NUM_JOBS"] = strconv.Itoa(r.NumJobs)
	}
	switch r.Phase {
	case Setup:
		env["SKYPILOT_SETUP_NODE_RANK"] = rank
		env["SKYPILOT_SETUP_NODE_IPS"] = ips
		env["SKYPILOT_SETUP_NUM_GPUS_PER_NODE"] = gpus
	default:
		env["SKYPILOT_NODE_RANK"] = rank
		env["SKYPILOT_NODE_IPS"] = ips
		env["SKYPILOT_NUM_GPUS_PER_NODE"] = gpus
		if r.GPUs != nil {
			env["CUDA_VISIBLE_DEVICES"] = deviceList(r.GPUs)
		}
		alias(env, "MASTER_ADDR", masterAddr(r.NodeIPs))
		port := r.MasterPort
		if port == 0 {
			port = DefaultMasterPort
		}
		alias(env, "MASTER_PORT", strconv.Itoa(port))
	}
	out := make([]string, 0, len(env))
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	sort.Strings(out)
	return out
}

// alias sets a variable that other launchers define too, unless the task did.
func alias(env map[string]string, name, value string) {
	if _, given := env[name]; !given {
		env[name] = value
	}
}

func masterAddr(ips []string) string {
	if len(ips) == 0 {
		return "127.0.0.1"
	}
	return ips[0]
}

func deviceList(gpus []int) string {
	parts := make([]string, len(gpus))
	for i, g := range gpus {
		parts[i] = strconv.Itoa(g)
	}
	return strings.Join(parts, ",")
}

func clusterInfo(c Cluster) string {
	b, err := json.Marshal(c)
	if err != nil {
		return "{}" // four strings always encode
	}
	return string(b)
}
