package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/tasks"
)

// launchFlags are those of launch that exec has not.
type launchFlags struct {
	task      taskFlags
	cluster   string
	dryrun    bool
	detach    bool
	noDetach  bool
	yes       bool
	idle      int
	waitFor   string
	down      bool
	retry     bool
	noSetup   bool
	fast      bool
	async     bool
	noAsync   bool
	cloneDisk string
	workspace string
	docker    bool
	output    string
	timeout   time.Duration
	requestID string
	group     string // --concurrency-group
	// cancelPrevious lets what earlier runs of the group have go.
	cancelPrevious bool
	resultsUnder   string
	logLimit       string
	onInterrupt    string
	outputFile     string
	clouds         []string
	catalog        string
}

func newLaunchCmd(a *app) *cobra.Command {
	fl := &launchFlags{}
	cmd := &cobra.Command{
		Use:   "launch [TASK.yaml | COMMAND...]",
		Short: "Run a task on a new or existing cluster",
		Long: `Run a task: find the cheapest place that can run it, get the machines, send the
files, run setup and run, then the validation suites, bring results back, and
end with the job's own exit code.

Without a task the cluster is only made. Ctrl-C detaches: the job goes on.`,
		Example: `  sky launch task.yaml
  sky launch -y -c train --gpus A100:8 task.yaml
  sky launch --infra local -- echo hello
  sky launch --dryrun --clouds aws,gcp task.yaml`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.launch(cmd, args, fl) },
	}
	fl.task.add(cmd)
	f := cmd.Flags()
	f.StringVarP(&fl.cluster, "cluster", "c", "", "`CLUSTER` to run on; a name is made up when none is given")
	f.BoolVar(&fl.dryrun, "dryrun", false, "stop after showing what would be chosen")
	f.StringSliceVar(&fl.clouds, "clouds", nil, "with --dryrun: choose among these `CLOUDS` by their catalogues, as aws,gcp, enabled or not")
	f.StringVar(&fl.catalog, "catalog", "", "with --dryrun: `DIR` of catalogues to choose by, instead of those that `sky catalog` keeps")
	f.BoolVarP(&fl.yes, "yes", "y", false, "do not ask")
	f.IntVarP(&fl.idle, "idle-minutes-to-autostop", "i", 0, "stop the cluster after `MIN` idle minutes; -1 = never")
	f.StringVar(&fl.waitFor, "wait-for", "", "`WHAT` keeps it from idling: jobs_and_ssh, jobs or none")
	f.BoolVar(&fl.down, "down", false, "tear the cluster down when its jobs are done (with -i: after that many idle minutes)")
	f.BoolVarP(&fl.retry, "retry-until-up", "r", false, "keep trying until machines are to be had")
	f.BoolVar(&fl.noSetup, "no-setup", false, "skip setup")
	f.BoolVar(&fl.fast, "fast", false, "skip setup when the cluster is already up")
	f.StringVar(&fl.cloneDisk, "clone-disk-from", "", "not supported")
	f.StringVarP(&fl.workspace, "workspace", "w", "", "not supported")
	f.BoolVar(&fl.docker, "docker", false, "not supported")
	_ = f.MarkHidden("docker")
	_ = f.MarkHidden("workspace")
	_ = f.MarkHidden("clone-disk-from")
	f.StringVar(&fl.group, "concurrency-group", "", "`NAME` of a group of runs of this repository of which one has machines at a time; others wait")
	f.BoolVar(&fl.cancelPrevious, "cancel-previous", false, "with --concurrency-group: take down what earlier runs of the group have, instead of waiting")
	fl.followFlags(cmd)
	return cmd
}

func (fl *launchFlags) followFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVarP(&fl.detach, "detach-run", "d", false, "return when the job is queued; do not follow its log")
	f.BoolVar(&fl.noDetach, "no-detach-run", false, "follow the log (the default)")
	f.BoolVar(&fl.async, "async", false, "return when the controller has taken the request over")
	f.BoolVar(&fl.noAsync, "no-async", false, "wait (the default)")
	f.DurationVar(&fl.timeout, "timeout", 0, "give up waiting after `TIME`, as 90s or 2h (exit code 75); the job goes on")
	f.StringVar(&fl.requestID, "request-id", "", "`KEY` of idempotency: the same one within 24 h attaches to the same job (default in CI: of this step of this run)")
	f.StringVar(&fl.requestID, "idempotency-key", "", "as --request-id")
	_ = f.MarkHidden("idempotency-key")
	f.StringVar(&fl.onInterrupt, "on-interrupt", interruptAuto, "`WHAT` an interruption does: detach, cancel (the job), down (the cluster), or auto: in CI down for a cluster\nthat this launch made and cancel for others, else detach")
	f.StringVar(&fl.logLimit, "log-limit", "", "in CI print at most `SIZE` of a log, and its last 500 lines; 0 = all (default 10MB)")
	f.StringVar(&fl.outputFile, "output-file", "", "append the outcome to `FILE` as lines SKY_NAME=VALUE, for later steps")
	f.StringVar(&fl.resultsUnder, "results", "", "`DIR` for results (default "+resultsDir+"/CLUSTER-JOB)")
	outputFlag(cmd, &fl.output)
}

// handOverTime bounds the call that hands a job over.
const handOverTime = time.Minute

// ndjson writes one line of the event stream of launch, exec and logs under -o json.
func (a *app) ndjson(v any) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return writeLine(a.out, v)
}

func (a *app) launch(cmd *cobra.Command, args []string, fl *launchFlags) error {
	ctx := cmd.Context()
	if err := fl.check(); err != nil {
		return err
	}
	if fl.cluster != "" {
		if err := tasks.ValidClusterName(fl.cluster); err != nil {
			return usageError("--cluster: %v", err)
		}
	}
	t, what, err := a.readTask(args, &fl.task)
	if err != nil {
		return err
	}
	spec, secrets, err := taskSpec(t)
	if err != nil {
		return err
	}
	a.mask(secrets)
	human := fl.output == "text"
	if human && what != "" {
		a.say("%s", what)
	}
	if fl.planNeedsNoController() {
		return a.dryrun(fl, spec)
	}
	// The files are looked at before anything is asked for: a bad workdir must not cost a machine.
	trees, err := a.snapshotFiles(ctx, t, spec)
	if err != nil {
		return err
	}
	a.readBuffer = largeReads
	c, err := a.connectTo(ctx, fl.cluster)
	if err != nil {
		return err
	}
	defer c.Close()
	defer a.sshIncludes()
	id := fl.requestID
	if id == "" {
		id = a.ciKey("launch", fl.cluster, spec)
	}
	wanted := fl.cluster
	if found, err := a.findByKey(ctx, c, id); err != nil {
		return err
	} else if found != "" && wanted == "" {
		wanted = found
	}
	plan, err := again(ctx, a, c, func() (*controlv1.PlanResponse, error) {
		return c.Plan(ctx, &controlv1.PlanRequest{ClusterName: wanted, Task: spec})
	})
	if err != nil {
		err = rpcError("choose where to run", err)
		var fe *failureError
		if fl.dryrun && human && errors.As(err, &fe) && (fe.f.GetCode() == "no-provider" || fe.f.GetCode() == "infeasible") {
			a.note("To see what clouds would give that are not enabled, add --clouds aws,gcp.")
		}
		return err
	}
	name := wanted
	if name == "" {
		name = plan.GetClusterName()
	}
	if human {
		a.say("%s %s", a.style(styleBold, "Running on cluster:"), name)
		if plan.GetClusterState() != "UP" {
			a.say("%s", strings.TrimRight(a.planTable(plan, spec.GetNumNodes()), "\n"))
		}
		for _, h := range plan.GetHints() {
			a.say("%s", h)
		}
	} else if err := a.ndjson(planJSON(name, plan, spec.GetNumNodes())); err != nil {
		return err
	}
	if fl.dryrun {
		if human {
			a.say("Dryrun finished.")
		}
		return nil
	}
	question := ""
	switch plan.GetClusterState() {
	case "":
		question = fmt.Sprintf("Launching a new cluster '%s'. Proceed?", name)
	case "STOPPED":
		question = fmt.Sprintf("Restarting the stopped cluster '%s'. Proceed?", name)
	}
	if question != "" {
		if err := a.confirm(fl.yes, question); err != nil {
			return err
		}
	}
	if _, err := a.upload(ctx, c, trees); err != nil {
		return err
	}
	if id == "" {
		if id, err = a.requestID(); err != nil {
			return err
		}
	}
	req := &controlv1.LaunchRequest{
		RequestId: id, User: a.userName(), ClusterName: name, Task: spec, Secrets: secrets,
		HasRun: strings.TrimSpace(spec.GetRun()) != "" || len(spec.GetSuites()) > 0, Autostop: fl.autostop(cmd, t),
		RetryUntilUp: fl.retry, NoSetup: fl.noSetup, Down: fl.down && !cmd.Flags().Changed("idle-minutes-to-autostop"),
		CommandLine: commandLine("launch", args, fl.cluster), Fast: fl.fast, Project: fl.workspace,
		Ci: a.ciRun(fl.group, id), CancelPrevious: fl.cancelPrevious,
	}
	if fl.cancelPrevious {
		if err := a.releasePrevious(ctx, c, req.GetCi()); err != nil {
			return err
		}
	}
	// The request's id makes the second call of a launch whose answer was lost find the first one's.
	// An interruption waits for the answer: what was made must be known to be ended.
	lctx, done := context.WithTimeout(context.WithoutCancel(ctx), handOverTime)
	resp, err := again(lctx, a, c, func() (*controlv1.LaunchResponse, error) { return c.Launch(lctx, req) })
	done()
	if f := failureOf(err); f.GetCode() == groupBusy {
		resp, err = a.launchInTurn(ctx, c, req, f, fl.timeout)
	}
	if err != nil {
		return rpcError("launch", err)
	}
	if human {
		for _, n := range resp.GetSuperseded() {
			a.say("Concurrency group %s: cluster %s of an earlier run was let go.", fl.group, n)
		}
	}
	return a.follow(ctx, c, resp, fl, spec)
}

func (fl *launchFlags) check() error {
	if err := checkOutput(fl.output); err != nil {
		return err
	}
	switch {
	case fl.cloneDisk != "":
		return usageError("--clone-disk-from: no provider that is enabled here can clone disks")
	case fl.workspace != "":
		return usageError("--workspace: workspaces are not part of this version")
	case fl.docker:
		return usageError("--docker is gone: use --image-id docker:IMAGE")
	}
	if err := fl.checkDryrun(); err != nil {
		return err
	}
	if fl.cancelPrevious && fl.group == "" {
		return usageError("--cancel-previous needs --concurrency-group: which runs are meant?")
	}
	if _, err := parseLimit(fl.logLimit); err != nil {
		return err
	}
	if err := oneOf("--on-interrupt", fl.onInterrupt, interruptAuto, interruptDetach, interruptCancel, interruptDown); err != nil {
		return err
	}
	return checkWaitFor(fl.waitFor)
}

// autostop is what the flags ask for, else what the task file asks for; nil leaves the cluster's own.
func (fl *launchFlags) autostop(cmd *cobra.Command, t *tasks.Task) *statev1.Autostop {
	set := cmd.Flags().Changed("idle-minutes-to-autostop")
	switch {
	case set:
		return &statev1.Autostop{Enabled: fl.idle >= 0, IdleMinutes: int32(max(fl.idle, 0)), Down: fl.down, WaitFor: fl.waitFor}
	case fl.down:
		return &statev1.Autostop{Enabled: true, IdleMinutes: 0, Down: true, WaitFor: fl.waitFor}
	}
	return taskAutostop(t)
}

// commandLine is what status -v shows. Only names of files and clusters are kept: flags may hold secrets.
func commandLine(verb string, args []string, cluster string) string {
	s := "sky " + verb
	if cluster != "" {
		s += " -c " + cluster
	}
	if len(args) == 1 && looksLikeFile(args[0]) {
		return s + " " + args[0]
	}
	if len(args) > 0 {
		return s + " " + cut(strings.Join(args, " "), 60)
	}
	return s
}

func newExecCmd(a *app) *cobra.Command {
	fl := &launchFlags{}
	cmd := &cobra.Command{
		Use:   "exec CLUSTER [TASK.yaml | COMMAND...]",
		Short: "Run a task on a cluster that is up, without setup",
		Long: `Run a task on a cluster that is up: the workdir is sent, setup and file mounts
are skipped, and no machine is made. Ends with the job's own exit code.`,
		Example: `  sky exec train task.yaml
  sky exec train --gpus A100:1 -- python evaluate.py`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cluster, rest := args[0], args[1:]
			if fl.cluster != "" {
				cluster, rest = fl.cluster, args
			}
			return a.exec(cmd, cluster, rest, fl)
		},
	}
	fl.task.add(cmd)
	cmd.Flags().StringVarP(&fl.cluster, "cluster", "c", "", "cluster name, instead of the first argument")
	_ = cmd.Flags().MarkHidden("cluster")
	fl.followFlags(cmd)
	return cmd
}

func (a *app) exec(cmd *cobra.Command, cluster string, args []string, fl *launchFlags) error {
	ctx := cmd.Context()
	if err := fl.check(); err != nil {
		return err
	}
	if len(args) == 0 {
		return usageError("nothing to run: name a task file or a command after the cluster")
	}
	t, what, err := a.readTask(args, &fl.task)
	if err != nil {
		return err
	}
	t.FileMounts = nil // exec syncs the workdir only
	spec, secrets, err := taskSpec(t)
	if err != nil {
		return err
	}
	if strings.TrimSpace(spec.GetRun()) == "" {
		return usageError("the task has no `run`: there is nothing to execute")
	}
	a.mask(secrets)
	trees, err := a.snapshotFiles(ctx, t, spec)
	if err != nil {
		return err
	}
	a.readBuffer = largeReads
	c, err := a.connectTo(ctx, cluster)
	if err != nil {
		return err
	}
	defer c.Close()
	if fl.output == "text" {
		a.say("%s", what)
		a.say("Submitting job to cluster: %s", cluster)
	}
	if _, err := a.upload(ctx, c, trees); err != nil {
		return err
	}
	id := fl.requestID
	if id == "" {
		id = a.ciKey("exec", cluster, spec)
	}
	if id == "" {
		if id, err = a.requestID(); err != nil {
			return err
		}
	}
	req := &controlv1.ExecRequest{RequestId: id, User: a.userName(), ClusterName: cluster, Task: spec,
		Secrets: secrets, CommandLine: commandLine("exec "+cluster, args, "")}
	ectx, done := context.WithTimeout(context.WithoutCancel(ctx), handOverTime)
	resp, err := again(ectx, a, c, func() (*controlv1.LaunchResponse, error) { return c.Exec(ectx, req) })
	done()
	if err != nil {
		return rpcError("exec", err)
	}
	return a.follow(ctx, c, resp, fl, spec)
}

// follow shows a launch or exec from the moment the controller took it over until the job's end, and ends as the job did.
func (a *app) follow(ctx context.Context, c *client, r *controlv1.LaunchResponse, fl *launchFlags, spec *statev1.TaskSpec) error {
	if fl.output == "json" {
		if err := a.ndjson(map[string]any{"type": "launched", "cluster": r.GetClusterName(), "cluster_id": r.GetClusterId(),
			"job_id": r.GetJobNumber(), "id": r.GetJobId(), "created": r.GetCreated(), "task_id": r.GetTaskId()}); err != nil {
			return err
		}
	}
	if fl.async {
		a.sayUnless(fl.output == "json", "The controller goes on with it. See: sky status %s", r.GetClusterName())
		return nil
	}
	limit, err := parseLimit(fl.logLimit)
	if err != nil {
		return err
	}
	a.logLimit, a.outputFile = limit, fl.outputFile
	wctx, cancel := timeLimit(ctx, fl.timeout)
	defer cancel()
	f := &follower{a: a, c: c, resp: r, json: fl.output == "json", name: spec.GetName(), results: fl.resultsUnder}
	err = f.run(wctx, fl.detach)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil, errors.Is(err, syscall.EPIPE):
		return a.onInterrupt(ctx, c, r, fl.onInterrupt)
	case timeIsUp(wctx):
		a.note("Gave up waiting after %s; the job goes on.", fl.timeout)
		a.sayWhereToGoOn(r)
		return &exitError{code: exitWaitTimeout}
	}
	return err
}

// sayWhereToGoOn tells how to return to a job or end it.
func (a *app) sayWhereToGoOn(r *controlv1.LaunchResponse) {
	if r.GetJobId() == "" {
		a.note("\nDetached; the launch goes on.\n  see how it goes:  sky status %s\n  end it:           sky down %s", r.GetClusterName(), r.GetClusterName())
		return
	}
	a.note("\nDetached; the job goes on.\n  return to it:  sky logs %s %d\n  cancel it:     sky cancel %s %d", r.GetClusterName(), r.GetJobNumber(), r.GetClusterName(), r.GetJobNumber())
}

func (a *app) sayUnless(not bool, format string, args ...any) {
	if !not {
		a.say(format, args...)
	}
}

// planJSON is the first line of a launch's event stream, and all of a dry run's.
func planJSON(name string, p *controlv1.PlanResponse, nodes int32) map[string]any {
	list := []map[string]any{}
	for _, c := range p.GetCandidates() {
		m := map[string]any{"infra": candidateInfra(c), "provider": c.GetProvider(), "region": c.GetRegion(), "zone": c.GetZone(),
			"instance_type": c.GetInstanceType(), "accelerator": c.GetAccelerator(), "accelerator_count": c.GetAcceleratorCount(),
			"cpus": c.GetCpus(), "memory_gb": c.GetMemoryGb(), "spot": c.GetSpot(), "hourly_price_usd": nil, "price_date": nil}
		if !c.GetPriceUnknown() {
			m["hourly_price_usd"] = c.GetHourlyPrice() * float64(nodes)
		}
		if c.GetPriceDated() != "" {
			m["price_date"] = c.GetPriceDated()
		}
		list = append(list, m)
	}
	out := map[string]any{"type": "plan", "ok": len(list) > 0, "cluster": name, "cluster_status": p.GetClusterState(), "num_nodes": nodes, "candidates": list, "best": nil,
		"hints": append([]string{}, p.GetHints()...)}
	if len(list) > 0 {
		out["best"] = list[0]
	}
	return out
}
