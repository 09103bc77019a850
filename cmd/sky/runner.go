package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"aloft/controller/forge"
	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/tasks"
)

const (
	// runnerGrace is how long the machine of a runner lives after it, so that its log comes home.
	runnerGrace = 5 * time.Second
	// runnerLook and runnerLookMost are how often the forge is asked about a runner: less and less often.
	runnerLook, runnerLookMost = time.Second, 10 * time.Second
	// nameTries bounds how many names are made up for one runner.
	nameTries = 5
)

// runnerWork is one run of a command about runners: the controller, the forge, and what is asked of both.
type runnerWork struct {
	a      *app
	c      *client
	client forge.Client
	host   forge.RunnerHost
	o      *runnerOptions

	task    *tasks.Task
	builds  map[string]runnerBuild
	secrets map[string]string // of the task itself
	spec    *statev1.TaskSpec
	command string
}

// launchRunners is `sky ci runner launch`.
func (a *app) launchRunners(ctx context.Context, args []string, o *runnerOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	w, trees, err := a.prepareRunners(ctx, args, o)
	if err != nil {
		return err
	}
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	w.c = c
	w.sweep(ctx)
	reused, err := w.reusable(ctx)
	if err != nil {
		return err
	}
	missing := max(o.count-len(reused), 0)
	for _, r := range reused[:min(len(reused), o.count)] {
		a.sayUnless(o.output == "json", "Runner %s is there already: %s.", r.Name, stateOf(r))
	}
	if missing == 0 {
		if o.output == "json" {
			return a.printJSON(map[string]any{"ok": true, "runners": []any{}, "reused": names(reused)})
		}
		return nil
	}
	if err := w.ask(ctx, missing); err != nil {
		return err
	}
	if _, err := a.upload(ctx, c, trees); err != nil {
		return err
	}
	var made []runnerRecord
	for i := range missing {
		r, err := w.launch(ctx, w.wanted(i, missing))
		if err != nil {
			for _, r := range made {
				a.note("Runner %s was launched before that. Stop it: sky ci runner stop %s", r.Name, r.Name)
			}
			return err
		}
		made = append(made, r)
	}
	return w.see(ctx, made, reused)
}

// prepareRunners reads everything that can be wrong before a machine is asked for.
func (a *app) prepareRunners(ctx context.Context, args []string, o *runnerOptions) (*runnerWork, []localTree, error) {
	t, err := a.runnerTask(args, o)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case strings.TrimSpace(t.Run) != "":
		return nil, nil, configError(t, "run", "the runner is what runs: put into setup what comes before it")
	case t.NumNodes > 1:
		return nil, nil, configError(t, "num_nodes", "a runner is one machine; for several runners give --count")
	case len(t.Tests) > 0:
		return nil, nil, configError(t, "tests", "a runner has no data to check: its jobs run suites")
	}
	client, host, err := a.runnerHost(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	if o.reuseIdle && !host.RunnerBusyKnown() {
		return nil, nil, usageError("--reuse-idle: %s does not tell whether a runner has a job: use --reuse", client.Kind())
	}
	if client.Kind() == forge.GitHub && !slices.Contains(o.labels, "self-hosted") {
		o.labels = append([]string{"self-hosted"}, o.labels...) // what workflows ask for beside a label of their own
	}
	fctx, stop := o.forge.forgeTime(ctx)
	defer stop()
	builds, err := a.runnerBuilds(fctx, client, o)
	if err != nil {
		return nil, nil, err
	}
	// Setup belongs to run: as the task's own it would see the secret of the runner.
	o.setup, t.Setup = strings.TrimSpace(t.Setup+"\n"+o.setup), ""
	if t.Name == "" {
		t.Name = "runner"
	}
	spec, secrets, err := taskSpec(t)
	if err != nil {
		return nil, nil, err
	}
	if spec.Budget == nil {
		spec.Budget = &statev1.Budget{}
	}
	if own := spec.Budget.MaxDurationMs; own == 0 || own > o.life.Milliseconds() {
		spec.Budget.MaxDurationMs = o.life.Milliseconds()
	}
	trees, err := a.snapshotFiles(ctx, t, spec)
	return &runnerWork{a: a, client: client, host: host, o: o, task: t, builds: builds, secrets: secrets, spec: spec, command: commandLine("ci runner launch", args, "")}, trees, err
}

// runnerTask is the task that says of which kind the machines are.
func (a *app) runnerTask(args []string, o *runnerOptions) (*tasks.Task, error) {
	if o.source == nil {
		t, _, err := a.readTask(args, &o.task)
		return t, err
	}
	over := tasks.Overrides{LookupEnv: a.getenv}
	if o.infra != "" {
		over.Infra = &o.infra
	}
	doc, ds := tasks.Parse(cmlName, o.source, over)
	if ds.HasErrors() {
		return nil, &exitError{code: exitConfig, err: &taskError{ds.Errors(), strings.TrimRight(problems("", nil, ds.Errors(), painter(a.errOut)), "\n")}}
	}
	return doc.Tasks[0], nil
}

// ask shows what is chosen and asks whether it is meant.
func (w *runnerWork) ask(ctx context.Context, n int) error {
	plan, err := again(ctx, w.a, w.c, func() (*controlv1.PlanResponse, error) {
		return w.c.Plan(ctx, &controlv1.PlanRequest{Task: w.spec})
	})
	if err != nil {
		return rpcError("choose where to run", err)
	}
	if w.o.output == "text" {
		w.a.say("%s", strings.TrimRight(w.a.planTable(plan, 1), "\n"))
		for _, h := range plan.GetHints() {
			w.a.say("%s", h)
		}
	}
	return w.a.confirm(w.o.yes, fmt.Sprintf("Launching %s of %s on %s. Proceed?", plural(n, "runner"), w.place(), plural(n, "machine")))
}

// place is where the runners are registered, in words.
func (w *runnerWork) place() string {
	if w.o.owner != "" {
		return w.client.Host() + "/" + w.o.owner
	}
	return w.client.Host() + "/" + w.o.forge.access.repo
}

// wanted is the record of the i-th of n runners that are to be; without a name one is made up.
func (w *runnerWork) wanted(i, n int) runnerRecord {
	r := runnerRecord{Forge: w.client.Kind(), Host: w.client.Host(), Repo: w.o.forge.access.repo, Owner: w.o.owner, Labels: w.o.labels, Keep: !w.o.ephemeral}
	if r.Name = w.o.name; r.Name != "" && n > 1 {
		r.Name = fmt.Sprintf("%s-%d", r.Name, i+1)
	}
	return r
}

// launch makes one runner and its machine. The record comes first, then the registration, then the machine: what a death
// in between leaves costs nothing, and the next command about runners removes it.
func (w *runnerWork) launch(ctx context.Context, r runnerRecord) (runnerRecord, error) {
	if err := ctx.Err(); err != nil {
		return r, &exitError{code: exitInterrupted, err: errors.New("interrupted")}
	}
	// From here to the controller's answer an interruption waits: a registration alone would be of no use.
	ctx = context.WithoutCancel(ctx)
	fctx, stop := w.o.forge.forgeTime(ctx)
	f, reg, err := w.register(fctx, r)
	stop()
	if err != nil {
		return r, err
	}
	defer f.release()
	spec := proto.CloneOf(w.spec)
	spec.Run = runnerRun(w.client.Kind(), f.runnerRecord, reg.Env, w.builds, w.o.idleTime, w.o.setup)
	secrets := map[string]string{}
	for k, v := range w.secrets {
		secrets[k] = v
	}
	for _, v := range reg.Secrets { // there is one
		secrets[runnerSecret] = v
	}
	spec.SecretNames = sortedKeys(secrets)
	req := &controlv1.LaunchRequest{
		RequestId: rand.Text(), User: w.a.userName(), ClusterName: f.Name, Task: spec, Secrets: secrets, HasRun: true, CommandLine: w.command,
		Autostop:      &statev1.Autostop{Enabled: true, IdleMs: runnerGrace.Milliseconds(), Down: true, WaitFor: "jobs"},
		MaxLifetimeMs: w.o.life.Milliseconds(), Ci: w.a.ciRun("", ""),
	}
	lctx, done := context.WithTimeout(ctx, handOverTime)
	defer done()
	resp, err := again(lctx, w.a, w.c, func() (*controlv1.LaunchResponse, error) { return w.c.Launch(lctx, req) })
	if err != nil {
		fctx, stop := w.o.forge.forgeTime(ctx)
		defer stop()
		if left := w.discard(fctx, f); left != nil {
			w.a.note("warning: the runner %s is still registered: %v", f.Name, left)
		}
		return r, rpcError("launch the machine of runner "+f.Name, err)
	}
	f.ClusterID, f.JobID = resp.GetClusterId(), resp.GetJobId()
	if err := f.save(); err != nil {
		return f.runnerRecord, err
	}
	w.a.sayUnless(w.o.output == "json", "Runner %s is registered with %s; its machine is being launched.", f.Name, w.client.Host())
	return f.runnerRecord, nil
}

// register has the forge make a runner, and keeps a record of it from before that on.
func (w *runnerWork) register(ctx context.Context, r runnerRecord) (*runnerFile, forge.Registration, error) {
	given := r.Name != ""
	cleared := false
	for try := 1; ; try++ {
		if !given {
			r.Name = w.o.prefix + strings.ToLower(rand.Text()[:8])
		}
		if err := w.free(ctx, r.Name); err != nil {
			return nil, forge.Registration{}, err
		}
		r.MadeMS = time.Now().UnixMilli()
		f, err := newRunnerFile(w.a.home, r)
		if errors.Is(err, errTaken) || errors.Is(err, errHeld) {
			return nil, forge.Registration{}, nameInUse(r.Name)
		}
		if err != nil {
			return nil, forge.Registration{}, err
		}
		reg, err := w.host.Register(ctx, forge.RunnerSpec{Name: r.Name, Labels: r.Labels, Owner: r.Owner, Group: w.o.group, Keep: r.Keep})
		if err == nil {
			f.ID = reg.Runner.ID
			if err = f.save(); err == nil {
				return f, reg, nil
			}
			if left := w.discard(ctx, f); left != nil {
				w.a.note("warning: the runner %s is still registered: %v", f.Name, left)
				f.release()
			}
			return nil, forge.Registration{}, err
		}
		var e *forge.Error
		known := errors.As(err, &e)
		switch {
		case known && e.Unsure && try < nameTries:
			// It may be there, but its secret was lost with the answer: it is removed, and made again.
			if derr := w.discard(ctx, f); derr != nil {
				f.release()
				return nil, forge.Registration{}, w.o.refused(fmt.Errorf("%w; whether it was made cannot be told: %v", err, derr), w.client.Kind())
			}
		case known && e.Status == 409 && !given && try < nameTries:
			if err := f.forget(); err != nil {
				return nil, forge.Registration{}, err
			}
		case known && e.Status == 409 && given && !cleared:
			if err := f.forget(); err != nil {
				return nil, forge.Registration{}, err
			}
			if err := w.clear(ctx, r.Name); err != nil {
				return nil, forge.Registration{}, err
			}
			cleared = true
		case known && e.Unsure:
			f.release()
			return nil, forge.Registration{}, w.o.refused(err, w.client.Kind())
		default:
			if ferr := f.forget(); ferr != nil {
				w.a.note("warning: %v", ferr)
			}
			return nil, forge.Registration{}, w.o.refused(err, w.client.Kind())
		}
	}
}

func nameInUse(name string) error {
	return &exitError{code: exitConflict, err: fmt.Errorf("the runner name %s is already in use: give another --name, or end that runner\n  stop it: sky ci runner stop %s", name, name)}
}

// free refuses a name that a cluster has.
func (w *runnerWork) free(ctx context.Context, name string) error {
	v, err := w.cluster(ctx, name)
	if err == nil && v != nil {
		return nameInUse(name)
	}
	return err
}

// clear removes the registration of a runner that is offline, of a name that is wanted again. One that is online is in use.
func (w *runnerWork) clear(ctx context.Context, name string) error {
	list, err := w.host.Runners(ctx, w.o.owner)
	if err != nil {
		return w.o.refused(err, w.client.Kind())
	}
	for _, r := range list {
		if r.Name != name {
			continue
		}
		if r.Online || r.Busy {
			return nameInUse(name)
		}
		w.a.note("A runner %s that is offline was registered: its registration is replaced.", name)
		if err := w.host.RemoveRunner(ctx, w.o.owner, r.ID); err != nil {
			return w.o.refused(err, w.client.Kind())
		}
	}
	return nil
}

// reusable are the runners that --reuse counts.
func (w *runnerWork) reusable(ctx context.Context) ([]forge.Runner, error) {
	if !w.o.reuse && !w.o.reuseIdle {
		return nil, nil
	}
	ctx, stop := w.o.forge.forgeTime(ctx)
	defer stop()
	list, err := w.host.Runners(ctx, w.o.owner)
	if err != nil {
		return nil, w.o.refused(err, w.client.Kind())
	}
	var out []forge.Runner
	for _, r := range list {
		if !r.Online {
			continue
		}
		if w.client.Kind() == forge.GitLab { // its list holds neither labels nor what has a job
			if r, err = w.host.Runner(ctx, w.o.owner, r.ID); err != nil {
				return nil, w.o.refused(err, w.client.Kind())
			}
		}
		if r.Has(w.o.labels) && !(w.o.reuseIdle && r.Busy) {
			out = append(out, r)
		}
	}
	return out, nil
}

// cluster is the living cluster of a name; nil = there is none.
func (w *runnerWork) cluster(ctx context.Context, name string) (*controlv1.ClusterView, error) {
	ans, err := again(ctx, w.a, w.c, func() (*controlv1.ClustersAnswer, error) {
		return w.c.Clusters(ctx, &controlv1.ClustersQuery{Names: []string{name}})
	})
	if err != nil {
		return nil, rpcError("read the clusters", err)
	}
	for _, v := range ans.GetClusters() {
		if v.GetStatus() != "TERMINATED" {
			return v, nil
		}
	}
	return nil, nil
}

// job is the job that runs a runner; nil = there is none yet, or it is forgotten.
func (w *runnerWork) job(ctx context.Context, r runnerRecord) (*controlv1.JobView, error) {
	if r.JobID == "" {
		return nil, nil
	}
	ans, err := again(ctx, w.a, w.c, func() (*controlv1.JobAnswer, error) {
		return w.c.GetJob(ctx, &controlv1.GetJobRequest{JobId: r.JobID})
	})
	if err != nil {
		err = rpcError("read the job of runner "+r.Name, err)
		if codeOf(err) == exitNotFound {
			return nil, nil
		}
		return nil, err
	}
	return ans.GetJob(), nil
}

// find looks a registered runner up; nil = the forge does not have it.
func (w *runnerWork) find(ctx context.Context, r runnerRecord) (*forge.Runner, error) {
	if r.ID != "" {
		got, err := w.host.Runner(ctx, r.Owner, r.ID)
		var e *forge.Error
		if errors.As(err, &e) && e.Reason == forge.NotFound {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return &got, nil
	}
	list, err := w.host.Runners(ctx, r.Owner)
	if err != nil {
		return nil, err
	}
	for _, x := range list {
		if x.Name == r.Name {
			return &x, nil
		}
	}
	return nil, nil
}

// discard removes a runner from the forge, and its record when that is done.
func (w *runnerWork) discard(ctx context.Context, f *runnerFile) error {
	got, err := w.find(ctx, f.runnerRecord)
	if err != nil {
		return err
	}
	if got != nil {
		if err := w.host.RemoveRunner(ctx, f.Owner, got.ID); err != nil {
			return err
		}
	}
	return f.forget()
}

// here reports whether a record is of a runner that this forge has.
func (w *runnerWork) here(r runnerRecord) bool {
	return r.Forge == w.client.Kind() && r.Host == w.client.Host() && r.Owner == w.o.owner && (r.Owner != "" || r.Repo == w.o.forge.access.repo)
}

// sweep removes registrations whose machines are gone or never came to be. What it cannot remove stays for the next time.
func (w *runnerWork) sweep(ctx context.Context) {
	ctx, stop := w.o.forge.forgeTime(ctx)
	defer stop()
	list, err := runnerRecords(w.a.home)
	if err != nil {
		w.a.note("warning: %v", err)
	}
	for _, r := range list {
		if !w.here(r) {
			continue
		}
		if err := w.sweepOne(ctx, r.Name); err != nil && !errors.Is(err, errHeld) && !errors.Is(err, fs.ErrNotExist) {
			w.a.note("warning: runner %s, whose machine is gone, stays registered for now: %v", r.Name, err)
		}
	}
}

func (w *runnerWork) sweepOne(ctx context.Context, name string) error {
	f, err := openRunnerFile(w.a.home, name)
	if err != nil {
		return err
	}
	defer f.release()
	v, err := w.cluster(ctx, name)
	if err != nil || v != nil && !f.over(v) {
		return err
	}
	return w.discard(ctx, f)
}

// over reports whether a cluster of the runner's name is another one than the runner's.
func (r runnerRecord) over(v *controlv1.ClusterView) bool {
	return r.ClusterID != "" && v.GetCluster().GetId() != r.ClusterID
}
