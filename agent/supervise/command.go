package supervise

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"aloft/agent/shim"
	"aloft/agent/spool"
	agentv1 "aloft/proto/sky/agent/v1"
	"aloft/tasks/check/python"
	"aloft/tasks/train"
)

// Names in a job's directory.
const (
	reportsDir  = "reports"
	metricsFile = "metrics.jsonl"
)

func (f *flow) setupSpec(id string) (shim.Spec, error) {
	return f.script(id, streamSetup, f.a.GetTask().GetSetup())
}

func (f *flow) runSpec(id string) (shim.Spec, error) {
	return f.script(id, streamRun, f.a.GetTask().GetRun())
}

// script is a process that runs the user's commands with bash. They are in a file, because a command line has a limit
// and is public.
func (f *flow) script(id, name, text string) (shim.Spec, error) {
	path := filepath.Join(f.dir, name+".sh")
	if err := os.WriteFile(path, train.Script(text, f.workdir), 0o700); err != nil {
		return shim.Spec{}, fmt.Errorf("write script: %w", err)
	}
	return f.spec(id, name, []string{"/bin/bash", path}), nil
}

// spec is a process of the job in its working directory.
func (f *flow) spec(id, name string, argv []string) shim.Spec {
	s := shim.Spec{
		ID: id, Argv: argv, Dir: f.workdir, SpoolDir: f.s.o.SpoolDir,
		Stream: spool.Key{JobID: f.a.GetJobId(), Attempt: f.a.GetAttempt(), Slot: f.a.GetSlot(), Name: name},
		Env:    f.environment(name),
	}
	for _, v := range f.secrets {
		if v != "" {
			s.Redact = append(s.Redact, v)
		}
	}
	return s
}

// ours are variables of the agent's own environment that are not for the user's commands.
var ours = []string{"GOGC=", "GOMEMLIMIT=", "GODEBUG=", "GOTRACEBACK=", "ALOFT_"}

// nodeMark begins the mark that every process of a node on somebody's machine carries, so that it ends with the node.
const nodeMark = "ALOFT_LOCAL_NODE="

func (f *flow) environment(name string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return !strings.HasPrefix(kv, nodeMark) && slices.ContainsFunc(ours, func(p string) bool { return strings.HasPrefix(kv, p) })
	})
	env = append(env, "HOME="+f.s.o.Home, "SHELL=/bin/bash")
	if os.Getenv("PATH") == "" {
		env = append(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	if os.Getenv("USER") == "" && f.s.o.User != "" {
		env = append(env, "USER="+f.s.o.User, "LOGNAME="+f.s.o.User)
	}
	return f.python(dedupe(append(env, train.Env(f.rankInfo(name))...)))
}

// python lets Python programs of the job find aloft_checks, and that the agent as its engine. What the task puts on
// PYTHONPATH goes before it.
func (f *flow) python(env []string) []string {
	dir, err := f.s.bridge()
	if err != nil {
		f.s.o.Log.Warn("aloft_checks is not there for jobs", "err", err)
		return env
	}
	path := filepath.Join(dir, python.PathChecks)
	for i, kv := range env {
		if own, found := strings.CutPrefix(kv, "PYTHONPATH="); found && own != "" {
			env[i], path = "PYTHONPATH="+own+string(os.PathListSeparator)+path, ""
		}
	}
	if path != "" {
		env = append(env, "PYTHONPATH="+path)
	}
	env = append(env, "ALOFT_ENGINE="+f.s.o.Self, "ALOFT_REPORTS="+f.own(reportsDir))
	if len(f.meeting.Secret) > 0 {
		env = append(env, fmt.Sprintf("ALOFT_BRIDGE_PORT=%d", f.meeting.BridgePort), "ALOFT_JOB_SECRET="+hex.EncodeToString(f.meeting.Secret))
	}
	return dedupe(env)
}

// dedupe keeps the last value of each variable.
func dedupe(env []string) []string {
	last := make(map[string]string, len(env))
	for _, kv := range env {
		k, v, _ := strings.Cut(kv, "=")
		last[k] = v
	}
	out := make([]string, 0, len(last))
	for _, k := range slices.Sorted(maps.Keys(last)) {
		out = append(out, k+"="+last[k])
	}
	return out
}

func (f *flow) rankInfo(name string) train.RankInfo {
	t := f.a.GetTask()
	own := make(map[string]string, len(t.GetEnvs())+len(f.secrets))
	maps.Copy(own, t.GetEnvs())
	maps.Copy(own, f.secrets)
	r := train.RankInfo{
		Phase: train.Run, Env: own, Rank: int(f.a.GetRank()), NumNodes: int(f.a.GetNumRanks()),
		GPUsPerNode: t.GetGpusPerRank(), TaskID: f.a.GetTaskId(), User: f.a.GetUser(),
		MetricsPath: f.own(metricsFile), MasterPort: int(f.meeting.Port),
	}
	// What the controller writes there is JSON of this shape; another shape leaves the names empty.
	_ = json.Unmarshal([]byte(f.a.GetClusterInfo()), &r.Cluster)
	peers := slices.Clone(f.a.GetPeers())
	if name == streamSetup {
		r.Phase, r.Rank, r.NumNodes = train.Setup, int(f.a.GetSlot()), max(1, len(peers))
		slices.SortFunc(peers, func(a, b *agentv1.Peer) int { return cmp.Compare(a.GetSlot(), b.GetSlot()) })
		r.Rank = max(0, slices.IndexFunc(peers, func(p *agentv1.Peer) bool { return p.GetSlot() == f.a.GetSlot() }))
	} else {
		peers = slices.DeleteFunc(peers, func(p *agentv1.Peer) bool { return p.GetRank() < 0 })
		slices.SortFunc(peers, func(a, b *agentv1.Peer) int { return cmp.Compare(a.GetRank(), b.GetRank()) })
		if len(f.s.o.GPUs) > 0 {
			r.GPUs = append([]int{}, f.grant.Devices...)
		}
		if r.MasterPort == 0 {
			r.MasterPort = FreePort()
		}
	}
	for _, p := range peers {
		r.NodeIPs = append(r.NodeIPs, p.GetAddress())
	}
	return r
}

// FreePort is a TCP port that nobody listens on now, 0 when there is none to be had.
func FreePort() int {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		return 0
	}
	defer func() { _ = l.Close() }()
	a, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0
	}
	return a.Port
}
