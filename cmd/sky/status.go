package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// jsonCluster is a cluster under -o json; docs/json.md describes it.
type jsonCluster struct {
	Name        string     `json:"name"`
	ID          string     `json:"id"`
	Status      string     `json:"status"`
	Infra       string     `json:"infra"`
	Resources   string     `json:"resources"`
	NumNodes    int32      `json:"num_nodes"`
	Autostop    string     `json:"autostop"`
	LaunchedMS  int64      `json:"launched_ms"`
	Command     string     `json:"command"`
	LastEvent   string     `json:"last_event"`
	HourlyPrice float64    `json:"hourly_price_usd"`
	Cost        float64    `json:"cost_usd"`
	CostUnknown bool       `json:"cost_unknown"`
	Running     int32      `json:"jobs_running"`
	Pending     int32      `json:"jobs_pending"`
	User        string     `json:"user"`
	Nodes       []jsonNode `json:"nodes"`
	Failure     *jsonWhy   `json:"failure,omitempty"`
	Attempts    []jsonTry  `json:"attempts,omitempty"`
}

type jsonNode struct {
	Name     string  `json:"name"`
	ID       string  `json:"id"`
	Slot     int32   `json:"slot"`
	Phase    string  `json:"phase"`
	Instance string  `json:"instance"`
	Address  string  `json:"address"`
	Session  bool    `json:"session"`
	CPUs     float64 `json:"cpus"`
	GPUs     float64 `json:"gpus"`
}

// jsonWhy is a failure in words and codes.
type jsonWhy struct {
	Kind    string `json:"kind"`
	Scope   string `json:"scope,omitempty"`
	Class   string `json:"class,omitempty"`
	Code    string `json:"code,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	AtMS    int64  `json:"at_ms,omitempty"`
}

func whyJSON(f *statev1.Failure) *jsonWhy {
	if f == nil || f.GetKind() == statev1.FailureKind_FAILURE_KIND_UNSPECIFIED && f.GetMessage() == "" {
		return nil
	}
	return &jsonWhy{Kind: strings.ToLower(f.GetKind().String()), Scope: f.GetScope(), Class: f.GetClass(), Code: f.GetCode(),
		Message: f.GetMessage(), Hint: f.GetHint(), AtMS: f.GetAtMs()}
}

func clusterJSON(v *controlv1.ClusterView) jsonCluster {
	c := v.GetCluster()
	out := jsonCluster{Name: c.GetName(), ID: c.GetId(), Status: v.GetStatus(), Infra: v.GetInfraText(), Resources: v.GetResourcesText(),
		NumNodes: c.GetNumNodes(), Autostop: v.GetAutostopText(), LaunchedMS: c.GetLaunchedMs(), Command: c.GetLastCommand(),
		LastEvent: c.GetLastEvent(), HourlyPrice: v.GetHourlyPrice(), Cost: v.GetCost(), CostUnknown: v.GetCostUnknown(), Running: v.GetJobsRunning(), Pending: v.GetJobsPending(),
		User: c.GetUser(), Failure: whyJSON(c.GetFailure()), Nodes: []jsonNode{}}
	for _, n := range v.GetNodes() {
		out.Nodes = append(out.Nodes, jsonNode{Name: n.GetName(), ID: n.GetId(), Slot: n.GetSlot(), Phase: phaseWord(n.GetPhase().String(), "NODE_"),
			Instance: n.GetInstanceId(), Address: n.GetAddress(), Session: n.GetSession(), CPUs: n.GetCpus(), GPUs: n.GetGpus()})
	}
	out.Attempts = attemptsJSON(c.GetAttempts())
	return out
}

// phaseWord is an enum value without its prefix.
func phaseWord(s, prefix string) string { return strings.TrimPrefix(s, prefix) }

func newStatusCmd(a *app) *cobra.Command {
	var verbose, refresh, ip, allUsers, endpoints bool
	var noJobs, noServices, noPools, jobs, services, pools bool
	var output, endpoint string
	cmd := &cobra.Command{
		Use:   "status [CLUSTER...]",
		Short: "Show clusters",
		Long:  "Show clusters: where they run, what they are made of, and in which state they\nare. Names may be globs, as 'train-*'.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			if (ip || endpoint != "" || endpoints) && len(args) != 1 {
				return usageError("--ip and --endpoint take exactly one cluster")
			}
			c, err := a.connectTo(cmd.Context(), args...)
			if err != nil {
				return err
			}
			defer c.Close()
			ans, err := c.Clusters(cmd.Context(), &controlv1.ClustersQuery{Names: args, Refresh: refresh})
			if err != nil {
				return rpcError("read the clusters", err)
			}
			notFound := clusterNotFound(ans.GetNotFound())
			switch {
			case ip && notFound == nil:
				nodes := ans.GetClusters()[0].GetNodes()
				if len(nodes) == 0 || nodes[0].GetAddress() == "" {
					return &exitError{code: exitConflict, err: fmt.Errorf("cluster %s has no address: it is %s", args[0], ans.GetClusters()[0].GetStatus())}
				}
				a.say("%s", nodes[0].GetAddress())
				return nil
			case (endpoint != "" || endpoints) && notFound == nil:
				return a.endpoints(ans.GetClusters()[0], endpoint)
			case output == "json":
				list := []jsonCluster{}
				for _, v := range ans.GetClusters() {
					list = append(list, clusterJSON(v))
				}
				infra := ans.GetEnabledInfra()
				if infra == nil {
					infra = []string{}
				}
				if err := a.printJSON(map[string]any{"clusters": list, "enabled_infra": infra, "not_found": append([]string{}, ans.GetNotFound()...)}); err != nil {
					return err
				}
				if notFound != nil {
					return &exitError{code: exitNotFound}
				}
				return nil
			}
			if notFound == nil || len(ans.GetClusters()) > 0 {
				a.showClusters(ans, verbose, len(args) > 0)
			}
			return notFound
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&verbose, "verbose", "v", false, "show more: address, command, last event, placement attempts")
	f.BoolVarP(&refresh, "refresh", "r", false, "ask the providers before answering")
	f.BoolVar(&ip, "ip", false, "print the head node's address only")
	f.BoolVar(&endpoints, "endpoints", false, "print every endpoint of the cluster")
	f.StringVar(&endpoint, "endpoint", "", "print the endpoint of `PORT` only")
	f.BoolVarP(&allUsers, "all-users", "u", false, "show the clusters of all users (they are always shown)")
	f.BoolVar(&jobs, "show-managed-jobs", false, "accepted for SkyPilot's command lines")
	f.BoolVar(&noJobs, "no-show-managed-jobs", false, "accepted for SkyPilot's command lines")
	f.BoolVar(&services, "show-services", false, "accepted for SkyPilot's command lines")
	f.BoolVar(&noServices, "no-show-services", false, "accepted for SkyPilot's command lines")
	f.BoolVar(&pools, "show-pools", false, "accepted for SkyPilot's command lines")
	f.BoolVar(&noPools, "no-show-pools", false, "accepted for SkyPilot's command lines")
	for _, h := range []string{"show-managed-jobs", "no-show-managed-jobs", "show-services", "no-show-services", "show-pools", "no-show-pools"} {
		_ = f.MarkHidden(h)
	}
	outputFlag(cmd, &output)
	return cmd
}

// clusterNotFound is the error for names that match nothing; nil when there are none.
func clusterNotFound(names []string) error {
	if len(names) == 0 {
		return nil
	}
	return &exitError{code: exitNotFound, err: fmt.Errorf("no such cluster: %s\n  run `sky status` to see the clusters there are", strings.Join(names, ", "))}
}

func (a *app) endpoints(v *controlv1.ClusterView, port string) error {
	addr := ""
	if n := v.GetNodes(); len(n) > 0 {
		addr = n[0].GetAddress()
	}
	var found bool
	var ports []string
	if rs := v.GetCluster().GetResources(); len(rs) > 0 {
		ports = rs[0].GetPorts() // alternatives open the same ports
	}
	for _, p := range ports {
		if port == "" {
			a.say("%s: http://%s:%s", p, addr, p)
			found = true
		} else if p == port {
			a.say("http://%s:%s", addr, p)
			return nil
		}
	}
	if !found {
		return &exitError{code: exitNotFound, err: fmt.Errorf("cluster %s opens no port %s", v.GetCluster().GetName(), port)}
	}
	return nil
}

func (a *app) statusStyle(s string) string {
	switch s {
	case "UP", "SUCCEEDED", "RUNNING", "PASS":
		return a.style(styleGreen, s)
	case "INIT", "PENDING", "SETTING_UP", "AUTOSTOPPING":
		return a.style(styleCyan, s)
	case "STOPPED", "CANCELLED", "WARN":
		return a.style(styleAmber, s)
	}
	if strings.HasPrefix(s, "FAIL") || s == "ERROR" {
		return a.style(styleRed, s)
	}
	return s
}

func (a *app) showClusters(ans *controlv1.ClustersAnswer, verbose, named bool) {
	now := time.Now()
	if !named {
		a.say("%s %s", a.style(styleBold, "Enabled Infra:"), strings.Join(ans.GetEnabledInfra(), ", "))
		a.say("")
	}
	a.say("%s", a.style(styleBold, "Clusters"))
	if len(ans.GetClusters()) == 0 {
		a.say("No existing clusters.")
		return
	}
	t := &table{header: []string{"NAME", "INFRA", "RESOURCES", "STATUS", "AUTOSTOP", "LAUNCHED"}, flex: []int{2}}
	if verbose {
		t.header = append(t.header, "HEAD_IP", "COMMAND", "LAST_EVENT")
		t.flex, t.drop = []int{7, 8}, []int{4, 2, 8}
	}
	for _, v := range ans.GetClusters() {
		c := v.GetCluster()
		row := []string{c.GetName(), v.GetInfraText(), v.GetResourcesText(), v.GetStatus(), v.GetAutostopText(), ago(c.GetLaunchedMs(), now)}
		if verbose {
			ip := "-"
			if n := v.GetNodes(); len(n) > 0 && n[0].GetAddress() != "" {
				ip = n[0].GetAddress()
			}
			row = append(row, ip, dash(c.GetLastCommand()), dash(c.GetLastEvent()))
		}
		t.add(row...)
	}
	t.style = func(_, col int, cell string) string {
		if col == 3 {
			return a.statusStyle(cell)
		}
		return cell
	}
	a.say("%s", strings.TrimRight(a.plain(t), "\n"))
	for _, v := range ans.GetClusters() {
		if f := v.GetCluster().GetFailure(); f.GetMessage() != "" {
			a.say("\n%s: %s", v.GetCluster().GetName(), f.GetMessage())
			if h := hintText(f.GetHint()); h != "" {
				a.say("  %s", h)
			}
		}
		if verbose {
			a.showAttempts("Placement attempts of "+v.GetCluster().GetName(), v.GetCluster().GetAttempts())
		}
	}
}

// cut shortens a text to n runes.
func cut(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
