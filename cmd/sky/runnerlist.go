package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"aloft/controller/forge"
	controlv1 "aloft/proto/sky/control/v1"
)

// States of a runner, by what the forge and the controller say.
const (
	runnerStarting = "starting" // it has a machine, or will have one, and was not online yet
	runnerIs       = "idle"     // online, without a job
	runnerBusy     = "busy"
	runnerOffline  = "offline" // it was online, and its machine is there
	runnerEnding   = "ending"  // its program has ended, or somebody stopped it
	runnerUnknown  = "unknown" // the forge was not asked, or did not answer
)

// stateOf is the state of a runner that the forge has.
func stateOf(r forge.Runner) string {
	switch {
	case r.Busy:
		return runnerBusy
	case r.Online:
		return runnerIs
	}
	return runnerOffline
}

func names(list []forge.Runner) []string {
	out := []string{}
	for _, r := range list {
		out = append(out, r.Name)
	}
	return out
}

// sight is one runner as it is seen now.
type sight struct {
	runnerRecord
	state   string
	runner  *forge.Runner
	cluster *controlv1.ClusterView
}

// jsonRunner is a runner under -o json; docs/json.md describes it.
type jsonRunner struct {
	Name          string   `json:"name"`
	State         string   `json:"state"`
	Forge         string   `json:"forge"`
	Host          string   `json:"host"`
	Repository    string   `json:"repository"`
	Owner         string   `json:"owner"`
	ID            string   `json:"id"`
	Labels        []string `json:"labels"`
	Ephemeral     bool     `json:"ephemeral"`
	Run           string   `json:"run"`
	Cluster       string   `json:"cluster"`
	ClusterStatus string   `json:"cluster_status"`
	Infra         string   `json:"infra"`
	HourlyPrice   float64  `json:"hourly_price_usd"`
	LaunchedMS    int64    `json:"launched_ms"`
}

func (s sight) json() jsonRunner {
	return jsonRunner{Name: s.Name, State: s.state, Forge: string(s.Forge), Host: s.Host, Repository: s.Repo, Owner: s.Owner, ID: s.ID, Labels: append([]string{}, s.Labels...),
		Ephemeral: !s.Keep, Run: s.Run, Cluster: s.cluster.GetCluster().GetName(), ClusterStatus: s.cluster.GetStatus(), Infra: s.cluster.GetInfraText(),
		HourlyPrice: s.cluster.GetHourlyPrice(), LaunchedMS: s.MadeMS}
}

// sight joins what is known of a runner. With asking false the forge is left alone.
func (w *runnerWork) sight(ctx context.Context, r runnerRecord, asking bool) sight {
	s := sight{runnerRecord: r, state: runnerUnknown}
	if v, err := w.cluster(ctx, r.Name); err == nil && v != nil && !r.over(v) {
		s.cluster = v
	}
	j, err := w.job(ctx, r)
	ended := err == nil && j != nil && j.GetJob().GetEndedMs() > 0
	if asking {
		got, err := w.find(ctx, r)
		switch {
		case err != nil:
			w.a.note("warning: %s cannot be asked about runner %s: %v", w.client.Host(), r.Name, err)
			return s
		case got == nil:
			s.state = runnerStarting // GitHub's runners for several jobs register themselves
			if r.ID != "" || r.Seen {
				s.state = runnerEnding
			}
		case got.Busy || got.Online:
			s.runner, s.state = got, stateOf(*got)
			s.runnerRecord = w.note(r, func(r *runnerRecord) { r.ID, r.Seen = got.ID, true })
		case r.Seen:
			s.runner, s.state = got, runnerOffline
		default:
			s.runner, s.state = got, runnerStarting
		}
	}
	if (ended || r.Stopped || s.cluster == nil) && s.state != runnerBusy {
		s.state = runnerEnding
	}
	return s
}

func (a *app) runnerListCmd() *cobra.Command {
	o := &runnerOptions{}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "Show the runners that were launched from here",
		Long: `Show the runners that were launched from here, with what the forge says of them and
their machines. Registrations whose machines are gone, or never came to be, are removed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(o.output); err != nil {
				return err
			}
			return a.listRunners(cmd.Context(), o)
		},
	}
	o.forgeFlags(cmd)
	outputFlag(cmd, &o.output)
	return cmd
}

func (a *app) listRunners(ctx context.Context, o *runnerOptions) error {
	list, err := runnerRecords(a.home)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		if o.output == "json" {
			return a.printJSON(map[string]any{"runners": []any{}})
		}
		a.say("No runners.")
		return nil
	}
	w := &runnerWork{a: a, o: o}
	client, host, unasked := a.runnerHost(ctx, o)
	w.client, w.host = client, host
	if w.c, err = a.connect(ctx); err != nil {
		return err
	}
	defer w.c.Close()
	if unasked != nil {
		a.note("The forge is not asked: %v", unasked)
	} else {
		w.sweep(ctx)
	}
	ctx, stop := o.forge.forgeTime(ctx)
	defer stop()
	if list, err = runnerRecords(a.home); err != nil {
		return err
	}
	docs := []jsonRunner{}
	t := &table{header: []string{"NAME", "STATE", "LABELS", "REPOSITORY", "INFRA", "LAUNCHED", "CLUSTER"}, flex: []int{0, 2, 3}, drop: []int{5, 4}}
	now := time.Now()
	for _, r := range list {
		s := w.sight(ctx, r, unasked == nil && w.here(r))
		docs = append(docs, s.json())
		where := r.Repo
		if r.Owner != "" {
			where = r.Owner
		}
		d := s.json()
		t.add(r.Name, s.state, strings.Join(r.Labels, ","), r.Host+"/"+where, dash(d.Infra), ago(r.MadeMS, now), dash(d.ClusterStatus))
	}
	if o.output == "json" {
		return a.printJSON(map[string]any{"runners": docs})
	}
	if len(list) == 0 {
		a.say("No runners.")
		return nil
	}
	a.say("%s", strings.TrimRight(a.plain(t), "\n"))
	return nil
}

func (a *app) runnerStopCmd() *cobra.Command {
	o := &runnerOptions{}
	var all, force bool
	cmd := &cobra.Command{
		Use:   "stop [NAME...]",
		Short: "Remove runners and end their machines",
		Long: `Remove runners from the forge and end their machines. One that has a job is left alone,
unless --force is given: then its job fails.`,
		Args: func(_ *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return usageError("name the runners to stop, or pass --all: sky ci runner list shows them")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(o.output); err != nil {
				return err
			}
			return a.stopRunners(cmd.Context(), args, all, force, o)
		},
	}
	o.forgeFlags(cmd)
	fl := cmd.Flags()
	fl.BoolVarP(&all, "all", "a", false, "all runners of this repository or organisation that were launched from here")
	fl.BoolVar(&force, "force", false, "also those that have a job")
	fl.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	outputFlag(cmd, &o.output)
	return cmd
}

func (a *app) stopRunners(ctx context.Context, args []string, all, force bool, o *runnerOptions) error {
	w := &runnerWork{a: a, o: o}
	var err error
	if w.client, w.host, err = a.runnerHost(ctx, o); err != nil {
		return err
	}
	if w.c, err = a.connect(ctx); err != nil {
		return err
	}
	defer w.c.Close()
	list, err := runnerRecords(a.home)
	if err != nil {
		return err
	}
	var stop []runnerRecord
	for _, r := range list {
		switch {
		case slices.Contains(args, r.Name) && !w.here(r):
			return usageError("runner %s is registered with %s %s: give --repo or --org, and the token of there", r.Name, r.Host, dash(strings.TrimSpace(r.Owner+" "+r.Repo)))
		case all && w.here(r) || slices.Contains(args, r.Name):
			stop = append(stop, r)
		}
	}
	if len(stop) > 0 {
		var words []string
		for _, r := range stop {
			words = append(words, r.Name)
		}
		if err := a.confirm(o.yes, fmt.Sprintf("Stopping %s: %s. Proceed?", plural(len(stop), "runner"), strings.Join(words, ", "))); err != nil {
			return err
		}
	}
	type outcome struct {
		Name  string `json:"name"`
		OK    bool   `json:"ok"`
		Note  string `json:"note,omitempty"`
		Error string `json:"error,omitempty"`
	}
	outs, code := []outcome{}, exitOK
	add := func(name, note string, err error) {
		x := outcome{Name: name, OK: err == nil, Note: note}
		if err != nil {
			if x.Error = err.Error(); code == exitOK {
				code = codeOf(err)
			}
		}
		outs = append(outs, x)
		switch {
		case o.output == "json":
		case err != nil:
			a.note("%s %s: %v", a.style(styleRed, "✗"), name, err)
		case note != "":
			a.say("%s Runner %s: %s", a.style(styleGreen, "✓"), name, note)
		default:
			a.say("%s Runner %s: stopped", a.style(styleGreen, "✓"), name)
		}
	}
	for _, name := range args {
		if !slices.ContainsFunc(stop, func(r runnerRecord) bool { return r.Name == name }) {
			add(name, "", &exitError{code: exitNotFound, err: errors.New("no such runner was launched from here: sky ci runner list shows those that were")})
		}
	}
	for _, r := range stop {
		note, err := w.stop(ctx, r.Name, force)
		add(r.Name, note, err)
	}
	if all {
		w.sweep(ctx)
	}
	if o.output == "json" {
		if err := a.printJSON(map[string]any{"ok": code == exitOK, "runners": outs}); err != nil {
			return err
		}
	} else if len(outs) == 0 {
		a.say("No runners.")
	}
	if code != exitOK {
		return &exitError{code: code}
	}
	return nil
}

// stop removes a runner, then its machine: a runner that is removed gets no job any more. One with a job is not removed;
// with force its machine ends first.
func (w *runnerWork) stop(ctx context.Context, name string, force bool) (note string, err error) {
	f, err := openRunnerFile(w.a.home, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "it is gone already", nil
	}
	if errors.Is(err, errHeld) {
		return "", &exitError{code: exitConflict, err: fmt.Errorf("%w: try again in a moment", errHeld)}
	}
	if err != nil {
		return "", err
	}
	defer f.release()
	fctx, done := w.o.forge.forgeTime(ctx)
	defer done()
	got, err := w.find(fctx, f.runnerRecord)
	if err == nil && got != nil {
		err = w.host.RemoveRunner(fctx, f.Owner, got.ID)
	}
	var e *forge.Error
	isBusy := errors.As(err, &e) && e.Reason == forge.Busy
	switch {
	case isBusy && !force:
		return "", &exitError{code: exitConflict, err: errors.New("it has a job: wait for its end, or pass --force, which fails the job")}
	case err != nil && !force:
		return "", w.o.refused(err, w.client.Kind())
	}
	f.Stopped = true
	if err := f.save(); err != nil {
		return "", err
	}
	if err := w.down(ctx, f.runnerRecord); err != nil {
		return "", err
	}
	if err != nil {
		if left := w.discard(fctx, f); left != nil {
			return "its machine is gone; it stays registered until the forge has seen that: `sky ci runner list` removes it then", nil
		}
		return "", nil
	}
	return "", f.forget()
}

// down ends the machine of a runner, and waits until it is gone.
func (w *runnerWork) down(ctx context.Context, r runnerRecord) error {
	v, err := w.cluster(ctx, r.Name)
	if err != nil || v == nil || r.over(v) {
		return err
	}
	id, err := w.a.requestID()
	if err != nil {
		return err
	}
	resp, err := again(ctx, w.a, w.c, func() (*controlv1.ClustersResponse, error) {
		return w.c.Down(ctx, &controlv1.ClustersRequest{RequestId: id, Names: []string{r.Name}, User: w.a.userName()})
	})
	if err != nil {
		return rpcError("end the machine of runner "+r.Name, err)
	}
	for _, out := range resp.GetOutcomes() {
		if f := out.GetFailure(); !out.GetAccepted() {
			if codeOfKind(f.GetKind()) == exitNotFound {
				return nil
			}
			return &exitError{code: codeOfKind(f.GetKind()), err: fmt.Errorf("end its machine: %s", f.GetMessage())}
		}
		w.a.spin("Ending the machine of runner %s", r.Name)
		err := w.a.waitCluster(ctx, w.c, out.GetClusterId(), resp.GetRev(), func(v *controlv1.ClusterView) (bool, error) { return v.GetStatus() == "TERMINATED", nil })
		w.a.endSpin()
		if err != nil {
			return err
		}
	}
	return nil
}
