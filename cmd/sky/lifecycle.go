package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// clusterVerb is stop, start, down or autostop: which clusters, and whether to wait.
type clusterVerb struct {
	a               *app
	all             bool
	allUsers        bool
	yes             bool
	async           bool
	noAsync         bool
	purge           bool
	graceful        bool
	gracefulTimeout int
	output          string
}

func (v *clusterVerb) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVarP(&v.all, "all", "a", false, "all clusters")
	f.BoolVarP(&v.allUsers, "all-users", "u", false, "clusters of all users, with --all")
	f.BoolVarP(&v.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&v.async, "async", false, "return when the controller has taken the request over")
	f.BoolVar(&v.noAsync, "no-async", false, "wait (the default)")
	outputFlag(cmd, &v.output)
}

// names checks the arguments and resolves globs, so that the question can name what it is about.
func (v *clusterVerb) names(ctx context.Context, c *client, args []string) (names []string, ids map[string]string, notFound []string, err error) {
	if len(args) == 0 && !v.all && !v.allUsers {
		return nil, nil, nil, usageError("name a cluster, or pass --all")
	}
	ans, err := again(ctx, v.a, c, func() (*controlv1.ClustersAnswer, error) {
		return c.Clusters(ctx, &controlv1.ClustersQuery{Names: args})
	})
	if err != nil {
		return nil, nil, nil, rpcError("read the clusters", err)
	}
	ids = map[string]string{}
	for _, cl := range ans.GetClusters() {
		names = append(names, cl.GetCluster().GetName())
		ids[cl.GetCluster().GetName()] = cl.GetCluster().GetId()
	}
	return names, ids, ans.GetNotFound(), nil
}

// do runs one verb: ask, call, wait until every cluster is where it should be, report each, and fail if any failed.
func (v *clusterVerb) do(cmd *cobra.Command, args []string, asking, doing, done string,
	call func(ctx context.Context, c *client, r *controlv1.ClustersRequest) (*controlv1.ClustersResponse, error),
	reached func(view *controlv1.ClusterView) (bool, error)) error {
	if err := checkOutput(v.output); err != nil {
		return err
	}
	a, ctx := v.a, cmd.Context()
	c, err := a.connectTo(ctx, args...)
	if err != nil {
		return err
	}
	defer c.Close()
	names, ids, notFound, err := v.names(ctx, c, args)
	if err != nil {
		return err
	}
	type outcome struct {
		Name  string   `json:"name"`
		OK    bool     `json:"ok"`
		Note  string   `json:"note,omitempty"`
		Error *jsonWhy `json:"error,omitempty"`
		code  int
		text  string
	}
	var outs []outcome
	for _, n := range notFound {
		f := &statev1.Failure{Kind: statev1.FailureKind_NOT_FOUND, Message: "no such cluster", Hint: "run `sky status` to see the clusters there are"}
		outs = append(outs, outcome{Name: n, Error: whyJSON(f), code: exitNotFound, text: "no such cluster: run `sky status` to see those there are"})
	}
	if len(names) > 0 {
		if err := a.confirm(v.yes, fmt.Sprintf("%s %s: %s. Proceed?", asking, plural(len(names), "cluster"), strings.Join(names, ", "))); err != nil {
			return err
		}
		id, err := a.requestID()
		if err != nil {
			return err
		}
		calls := 0
		resp, err := again(ctx, a, c, func() (*controlv1.ClustersResponse, error) {
			calls++
			return call(ctx, c, &controlv1.ClustersRequest{RequestId: id, Names: names, Purge: v.purge, User: a.userName()})
		})
		if err != nil {
			return rpcError(doing, err)
		}
		for _, o := range resp.GetOutcomes() {
			if calls > 1 {
				afterDeath(o, ids[o.GetName()])
			}
			x := outcome{Name: o.GetName(), OK: o.GetAccepted(), Note: o.GetNote(), Error: whyJSON(o.GetFailure())}
			if f := o.GetFailure(); !o.GetAccepted() {
				x.code, x.text = codeOfKind(f.GetKind()), f.GetMessage()
				if h := hintText(f.GetHint()); h != "" {
					x.text += "\n    " + h
				}
			} else if !v.async && reached != nil {
				a.spin("%s %s", doing, o.GetName())
				if err := a.waitCluster(ctx, c, o.GetClusterId(), resp.GetRev(), reached); err != nil {
					var ee *exitError
					if errors.As(err, &ee) && ee.code == exitInterrupted {
						a.note("\n%s goes on in the background. See `sky status %s`.", doing, o.GetName())
						return err
					}
					x.OK, x.code, x.text = false, codeOf(err), err.Error()
					x.Error = &jsonWhy{Kind: "infra", Message: err.Error()}
				} else if strings.HasSuffix(x.Note, "ing") {
					x.Note = "" // it was on its way, and has arrived
				}
			}
			outs = append(outs, x)
		}
	}
	a.endSpin()
	code := exitOK
	for _, o := range outs {
		if !o.OK && code == exitOK {
			code = o.code
		}
	}
	if v.output == "json" {
		if outs == nil {
			outs = []outcome{}
		}
		if err := a.printJSON(map[string]any{"ok": code == exitOK, "clusters": outs}); err != nil {
			return err
		}
	} else {
		if len(outs) == 0 {
			a.say("No existing clusters.")
		}
		for _, o := range outs {
			switch {
			case !o.OK:
				a.note("%s %s: %s", a.style(styleRed, "✗"), o.Name, o.text)
			case o.Note != "":
				a.say("%s Cluster %s: %s", a.style(styleGreen, "✓"), o.Name, o.Note)
			case v.async:
				a.say("%s %s %s goes on in the background. See: sky status %s", a.style(styleGreen, "✓"), doing, o.Name, o.Name)
			default:
				a.say("%s Cluster %s: %s", a.style(styleGreen, "✓"), o.Name, strings.ReplaceAll(done, "NAME", o.Name))
			}
		}
	}
	if code != exitOK {
		return &exitError{code: code}
	}
	return nil
}

// afterDeath reads the outcome of a verb that was asked for twice, because the controller died of or after the first
// call: a cluster that is not there any more has ended by it.
func afterDeath(o *controlv1.ClusterOutcome, id string) {
	if o.GetFailure().GetKind() == statev1.FailureKind_NOT_FOUND && id != "" {
		o.Accepted, o.Failure, o.ClusterId = true, nil, id
	}
}

// waitCluster watches a cluster until reached says so, under as many controllers as it takes.
func (a *app) waitCluster(ctx context.Context, c *client, id string, rev uint64, reached func(*controlv1.ClusterView) (bool, error)) error {
	for {
		err := a.waitClusterOnce(ctx, c, id, rev, reached)
		if !errors.Is(err, errLost) {
			return err
		}
		if err := a.reconnect(ctx, c); err != nil {
			return err
		}
	}
}

func (a *app) waitClusterOnce(ctx context.Context, c *client, id string, rev uint64, reached func(*controlv1.ClusterView) (bool, error)) error {
	broken := func(doing string, err error) error {
		if lost(ctx, err) {
			return errLost
		}
		return rpcError(doing, err)
	}
	wctx, cancel := context.WithCancel(ctx)
	defer cancel()
	st, err := c.Watch(wctx, &controlv1.WatchRequest{FromRev: rev, ClusterId: id})
	if err != nil {
		return broken("watch the cluster", err)
	}
	// The state may have been reached before the watch: look once.
	ans, err := c.Clusters(ctx, &controlv1.ClustersQuery{History: true})
	if err != nil {
		return broken("read the clusters", err)
	}
	for _, v := range ans.GetClusters() {
		if v.GetCluster().GetId() == id {
			if ok, err := reached(v); ok || err != nil {
				return err
			}
		}
	}
	for {
		ev, err := st.Recv()
		if err != nil {
			return broken("watch the cluster", err)
		}
		if ev.GetCluster() == nil {
			continue
		}
		if ok, err := reached(ev.GetCluster()); ok || err != nil {
			return err
		}
	}
}

func newStopCmd(a *app) *cobra.Command {
	v := &clusterVerb{a: a}
	cmd := &cobra.Command{
		Use:   "stop [CLUSTER...]",
		Short: "Stop clusters, keeping their disks",
		Long:  "Stop clusters, keeping their disks: `sky start` brings them back as they were.\nJobs that run are ended. Names may be globs, as 'train-*'.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return v.do(cmd, args, "Stopping", "Stopping", "stopped. Restart it: sky start NAME",
				func(ctx context.Context, c *client, r *controlv1.ClustersRequest) (*controlv1.ClustersResponse, error) {
					return c.Stop(ctx, r)
				}, func(view *controlv1.ClusterView) (bool, error) {
					return view.GetStatus() == "STOPPED" || view.GetStatus() == "TERMINATED", nil
				})
		},
	}
	v.flags(cmd)
	v.gracefulFlags(cmd)
	return cmd
}

func (v *clusterVerb) gracefulFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&v.graceful, "graceful", false, "wait for cached writes to buckets before stopping")
	cmd.Flags().IntVar(&v.gracefulTimeout, "graceful-timeout", 0, "wait at most `SEC` seconds with --graceful")
}

func newDownCmd(a *app) *cobra.Command {
	v := &clusterVerb{a: a}
	cmd := &cobra.Command{
		Use:   "down [CLUSTER...]",
		Short: "Tear clusters down",
		Long:  "Tear clusters down: their machines and disks are deleted, and the command ends\nwhen the provider shows them gone. Running jobs have ten seconds to end, and the\nlogs and results of all jobs are waited for (up to half a minute; ten seconds\nwhere the agent does not answer). Logs and reports stay readable.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return v.do(cmd, args, "Terminating", "Terminating", "terminated",
				func(ctx context.Context, c *client, r *controlv1.ClustersRequest) (*controlv1.ClustersResponse, error) {
					return c.Down(ctx, r)
				}, func(view *controlv1.ClusterView) (bool, error) { return view.GetStatus() == "TERMINATED", nil })
		},
	}
	v.flags(cmd)
	v.gracefulFlags(cmd)
	cmd.Flags().BoolVarP(&v.purge, "purge", "p", false, "forget the cluster even when the provider refuses to delete it (you own what is left)")
	return cmd
}

func newStartCmd(a *app) *cobra.Command {
	v := &clusterVerb{a: a}
	var idle int
	var waitFor string
	var down, retry, force bool
	cmd := &cobra.Command{
		Use:   "start [CLUSTER...]",
		Short: "Restart stopped clusters",
		Long:  "Restart stopped clusters, with their disks. Clusters that are up stay as they are.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if down && !cmd.Flags().Changed("idle-minutes-to-autostop") {
				return usageError("--down needs --idle-minutes-to-autostop")
			}
			var as *statev1.Autostop
			if cmd.Flags().Changed("idle-minutes-to-autostop") {
				as = &statev1.Autostop{Enabled: idle >= 0, IdleMinutes: int32(idle), Down: down, WaitFor: waitFor}
			}
			return v.do(cmd, args, "Restarting", "Starting", "up",
				func(ctx context.Context, c *client, r *controlv1.ClustersRequest) (*controlv1.ClustersResponse, error) {
					return c.Start(ctx, &controlv1.StartRequest{Clusters: r, Autostop: as, RetryUntilUp: retry, Force: force})
				}, func(view *controlv1.ClusterView) (bool, error) {
					if f := view.GetCluster().GetFailure(); view.GetStatus() != "UP" && f.GetMessage() != "" {
						return true, &exitError{code: codeOfKind(f.GetKind()), err: &failureError{f}}
					}
					return view.GetStatus() == "UP", nil
				})
		},
	}
	v.flags(cmd)
	f := cmd.Flags()
	f.IntVarP(&idle, "idle-minutes-to-autostop", "i", 0, "stop after `MIN` idle minutes")
	f.StringVar(&waitFor, "wait-for", "", "`WHAT` keeps it from idling: jobs_and_ssh, jobs or none")
	f.BoolVar(&down, "down", false, "tear down instead of stopping when idle")
	f.BoolVarP(&retry, "retry-until-up", "r", false, "keep trying until machines are to be had")
	f.BoolVarP(&force, "force", "f", false, "also reinstall the agent on clusters that are up")
	return cmd
}

func newAutostopCmd(a *app) *cobra.Command {
	v := &clusterVerb{a: a}
	var idle int
	var waitFor string
	var cancel, down bool
	cmd := &cobra.Command{
		Use:   "autostop [CLUSTER...]",
		Short: "Stop or tear down clusters when they idle",
		Long:  "Stop or tear down clusters once they have had nothing to do for some minutes.\nThe nodes see to it themselves: it works without this machine.",
		Example: `  sky autostop train -i 10
  sky autostop train -i 30 --down
  sky autostop train --cancel`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cancel && cmd.Flags().Changed("idle-minutes") {
				return usageError("--cancel and --idle-minutes exclude each other")
			}
			if err := checkWaitFor(waitFor); err != nil {
				return err
			}
			as := &statev1.Autostop{Enabled: !cancel && idle >= 0, IdleMinutes: int32(idle), Down: down, WaitFor: waitFor, SetMs: time.Now().UnixMilli()}
			done := fmt.Sprintf("will be stopped after %s. Cancel that: sky autostop --cancel NAME", plural(idle, "idle minute"))
			if down {
				done = fmt.Sprintf("will be torn down after %s. Cancel that: sky autostop --cancel NAME", plural(idle, "idle minute"))
			}
			if !as.Enabled {
				done = "autostop is off"
			}
			return v.do(cmd, args, "Scheduling autostop on", "Setting autostop of", done,
				func(ctx context.Context, c *client, r *controlv1.ClustersRequest) (*controlv1.ClustersResponse, error) {
					return c.SetAutostop(ctx, &controlv1.AutostopRequest{Clusters: r, Autostop: as})
				}, nil)
		},
	}
	v.flags(cmd)
	f := cmd.Flags()
	f.IntVarP(&idle, "idle-minutes", "i", 5, "`MIN` idle minutes until it acts; -1 cancels")
	f.StringVar(&waitFor, "wait-for", "", "`WHAT` keeps it from idling: jobs_and_ssh (default), jobs or none")
	f.BoolVar(&cancel, "cancel", false, "turn autostop off")
	f.BoolVar(&down, "down", false, "tear down instead of stopping")
	return cmd
}

// checkWaitFor refuses an unknown --wait-for.
func checkWaitFor(s string) error {
	switch s {
	case "", "jobs_and_ssh", "jobs", "none":
		return nil
	}
	return usageError("--wait-for %q: allowed: jobs_and_ssh, jobs, none", s)
}
