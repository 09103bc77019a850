package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"aloft/controller/forge"
	"aloft/tasks"
)

// Defaults of runners.
const (
	runnerIdle     = "5 minutes"
	runnerLifetime = "24h" // the token of a job of GitHub's lasts no longer
	runnerTimeout  = 30 * time.Minute
	maxRunners     = 100
	maxLabels      = 100 // GitHub's
)

// runnerOptions are the flags of `sky ci runner launch`.
type runnerOptions struct {
	task  taskFlags
	forge commentOptions
	// owner is the organisation, group or workspace that the runners are for; "" = the repository.
	owner  string
	group  int64
	name   string
	labels []string
	count  int

	ephemeral, reuse, reuseIdle, watch, noRetry, detach, yes bool

	idle, lifetime, setup string
	version               string
	sums, urls            []string
	timeout               time.Duration
	output                string

	idleTime, life time.Duration // of idle and lifetime, once checked
	prefix         string        // of names that are made up
	source         []byte        // a task file that flags of CML's are; nil = none
	infra          string        // its place, when a task file cannot name it
}

func newCIRunnerCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "runner", Short: "Self-hosted runners on machines that end by themselves", Args: knownCommand, RunE: showHelp}
	cmd.AddCommand(a.runnerLaunchCmd(), a.runnerListCmd(), a.runnerStopCmd())
	return cmd
}

func (a *app) runnerLaunchCmd() *cobra.Command {
	o := &runnerOptions{prefix: "runner-"}
	cmd := &cobra.Command{
		Use:   "launch [TASK.yaml]",
		Short: "Launch machines that are runners of GitHub, GitLab or Bitbucket",
		Long: `Register runners, launch a machine for each, and return when they are online. A runner
takes one job and is gone with its machine. It is gone, too, when it had no job for
--idle-timeout, and after --max-lifetime whatever it does: the machine sees to both,
also when nobody else is there any more.

The token stays here: it comes from --token, $REPO_TOKEN, $GITHUB_TOKEN, $GITLAB_TOKEN
or $BITBUCKET_TOKEN, and must be allowed to make runners. The machine gets what is its
runner's alone. The runner's program is held to a digest that is known before the
launch: GitHub's and GitLab's own, or --runner-sha256.

Machines are asked for as sky launch asks. A task file may say of which kind they are,
and what setup does before the runner starts; it has no run.`,
		Example: `  sky ci runner launch -y --infra aws --gpus T4 --labels gpu
  sky ci runner launch -y --count 4 --labels cpu --idle-timeout 10m
  sky ci runner launch -y --use-spot --gpus A100:8 --labels big --watch`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && !looksLikeFile(args[0]) {
				return usageError("%q is no task file: sky ci runner launch takes a task file that ends with .yaml, or nothing", args[0])
			}
			o.name = o.task.name
			return a.launchRunners(cmd.Context(), args, o)
		},
	}
	o.task.add(cmd)
	cmd.Flags().Lookup("name").Usage = "`NAME` of the runner and of its cluster; of several NAME-1, NAME-2 (default made up)"
	_ = cmd.Flags().MarkHidden("num-nodes")
	o.runnerFlags(cmd)
	fl := cmd.Flags()
	fl.BoolVar(&o.ephemeral, "ephemeral", true, "one job for each runner; =false: until it is idle or its time is up")
	fl.BoolVar(&o.ephemeral, "single", true, "as --ephemeral")
	_ = fl.MarkHidden("single")
	fl.StringVar(&o.setup, "setup", "", "`COMMANDS` for the machine before its runner starts")
	return cmd
}

// forgeFlags say where runners are registered.
func (o *runnerOptions) forgeFlags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&o.forge.repo, "repo", "", "`URL` or name of the repository (default the CI system's, else git's remote origin)")
	fl.StringVar(&o.owner, "org", "", "runners for a whole `ORGANISATION`, group (GitLab) or workspace (Bitbucket)")
	fl.StringVar(&o.forge.driver, "driver", "", "`FORGE`: github, gitlab or bitbucket (default by the repository)")
	fl.StringVar(&o.forge.token, "token", "", "`TOKEN` of the forge; others on the machine can see it, unlike one in $REPO_TOKEN")
	apiURLFlag(fl, &o.forge.api)
	apiTimeoutFlag(fl, &o.forge.apiTimeout)
}

func (o *runnerOptions) runnerFlags(cmd *cobra.Command) {
	o.forgeFlags(cmd)
	fl := cmd.Flags()
	fl.Int64Var(&o.group, "group", 0, "`ID` of GitHub's runner group (default the default one)")
	fl.StringSliceVar(&o.labels, "labels", []string{"sky"}, "`LABELS` by which jobs ask for it, separated by commas")
	fl.IntVar(&o.count, "count", 1, "`N` runners, each on its own machine; 0 = only clean up")
	fl.BoolVar(&o.reuse, "reuse", false, "count runners that are online and have these labels: launch what is missing of --count")
	fl.BoolVar(&o.reuseIdle, "reuse-idle", false, "as --reuse, but count only those without a job; not on Bitbucket, which does not tell")
	fl.StringVar(&o.idle, "idle-timeout", runnerIdle, "`TIME` without a job after which the machine ends, as 300, 5m, \"5 minutes\" or never")
	fl.StringVar(&o.lifetime, "max-lifetime", runnerLifetime, "`TIME` after which the machine ends, job or no job")
	fl.BoolVar(&o.watch, "watch", false, "stay until the runners are gone; one whose machine is lost gets a successor, and its run is run again")
	fl.BoolVar(&o.noRetry, "no-retry", false, "with --watch: a lost machine is a failure")
	fl.BoolVarP(&o.detach, "detach", "d", false, "return when the controller has taken the launches over")
	fl.DurationVar(&o.timeout, "timeout", runnerTimeout, "give up waiting for a runner to be online after `TIME` (exit code 75); the launch goes on")
	fl.StringVar(&o.version, "runner-version", "", "`VERSION` of the runner's program (default as the forge says)")
	fl.StringArrayVar(&o.sums, "runner-sha256", nil, "`[ARCH=]DIGEST` that the program must have; ARCH is x64 or arm64")
	fl.StringArrayVar(&o.urls, "runner-url", nil, "`[ARCH=]URL` of the program, as of a mirror")
	fl.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	outputFlag(cmd, &o.output)
}

// check reads what the flags say.
func (o *runnerOptions) check() error {
	if err := checkOutput(o.output); err != nil {
		return err
	}
	var err error
	if o.idleTime, err = parseSpan("--idle-timeout", o.idle, true); err != nil {
		return err
	}
	if o.idleTime > 0 {
		o.idleTime = max(o.idleTime, time.Second)
	}
	if o.life, err = parseSpan("--max-lifetime", o.lifetime, false); err != nil {
		return err
	}
	if o.name != "" {
		if err := tasks.ValidClusterName(o.name); err != nil {
			return usageError("--name: %v", err)
		}
	}
	switch {
	case o.count < 0 || o.count > maxRunners:
		return usageError("--count %d: allowed: 0 to %d", o.count, maxRunners)
	case o.timeout <= 0:
		return usageError("--timeout %s: allowed: a time above 0, as 90s or 1h", o.timeout)
	case o.detach && o.watch:
		return usageError("--detach and --watch exclude each other")
	case o.noRetry && !o.watch && o.prefix != cmlName+"-":
		return usageError("--no-retry says what --watch does: give that, too")
	case len(o.name) > 40:
		return usageError("--name: %d characters; allowed: at most 40", len(o.name))
	case o.task.numNodes > 1:
		return usageError("--num-nodes %d: a runner is one machine; for several runners give --count", o.task.numNodes)
	case len(o.labels) == 0 || len(o.labels) > maxLabels:
		return usageError("--labels: %d of them; allowed: 1 to %d", len(o.labels), maxLabels)
	}
	for i, l := range o.labels {
		if o.labels[i] = strings.TrimSpace(l); o.labels[i] == "" || strings.ContainsAny(l, "\"'\\\n\t") || len(l) > 256 {
			return usageError("--labels %q: allowed: words without quotes, of at most 256 characters", l)
		}
	}
	return nil
}

// runnerHost is the forge that runners are registered with.
func (a *app) runnerHost(ctx context.Context, o *runnerOptions) (forge.Client, forge.RunnerHost, error) {
	if err := o.forge.checkForge(); err != nil {
		return nil, nil, err
	}
	ci := a.ciContext()
	client, err := a.forgeClient(ctx, &ci, &o.forge)
	if err != nil {
		return nil, nil, err
	}
	host, ok := client.(forge.RunnerHost)
	if !ok {
		return nil, nil, usageError("runners of %s cannot be launched: allowed are those of github, gitlab and bitbucket", client.Kind())
	}
	return client, host, nil
}

// refused is a call about runners that a forge refused, with what the token must be allowed to do.
func (o *runnerOptions) refused(err error, k forge.Kind) error {
	var e *forge.Error
	hint := ""
	if errors.As(err, &e) && (e.Reason == forge.Forbidden || e.Reason == forge.Unauthorized || e.Reason == forge.NotFound) {
		switch k {
		case forge.GitHub:
			hint = "the token (" + o.forge.access.source + ") must be of an administrator of the repository: a classic one with `repo`, a fine-grained one or an app's with administration: write"
			if o.owner != "" {
				hint = "the token (" + o.forge.access.source + ") must be of an owner of the organisation: a classic one with `admin:org`, an app's with self-hosted runners: write"
			}
			hint += "; the token of a workflow's run is never allowed to"
		case forge.GitLab:
			hint = "the token (" + o.forge.access.source + ") must have the scopes api and create_runner, of a maintainer of the project or an owner of the group; a job's own token is not allowed to"
		default:
			hint = "the token (" + o.forge.access.source + ") must have the scopes repository:admin and runner:write (account and runner:write for a workspace)"
		}
	}
	return notPosted(err, hint)
}
