package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"aloft/controller/forge"
	"aloft/controller/forge/comment"
	"aloft/controller/forge/render"
)

// checkOptions are the flags of `sky ci check`.
type checkOptions struct {
	report  renderOptions
	forge   commentOptions // repository, forge, token, commit
	state   string
	name    string
	title   string
	summary string
	as      string
}

func newCICheckCmd(a *app) *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check [FILE|DIR...]",
		Short: "Set the check, or the status, of the commit",
		Long: `Set the check of the commit that this run is of: GitHub's check run, Bitbucket's Code
Insights report, and where there is none, or the token may not, the commit's status.
With files of a run the result is theirs, and what did not pass becomes annotations.
The check of one run is changed, not made again: set it running first, then at the end.`,
		Example: "  sky ci check --state running\n  sky ci check out/report.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(checkOutput(o.forge.output), o.forge.checkForge()); err != nil {
				return err
			}
			if err := oneOf("--as", o.as, "auto", "check", "status"); err != nil {
				return err
			}
			if o.state != "" {
				var names []string
				for _, s := range forge.States() {
					names = append(names, string(s))
				}
				if err := oneOf("--state", o.state, names...); err != nil {
					return err
				}
			} else if len(args) == 0 {
				return usageError("there is nothing to say: give --state, or a report.json")
			}
			return a.setCheck(cmd.Context(), args, &o)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&o.state, "state", "", "`STATE`: pending, running, success, failure, error, cancelled, neutral or skipped (default by the reports)")
	fl.StringVar(&o.name, "name", "", "`NAME` of the check (default sky/ and the key of this run)")
	fl.StringVar(&o.title, "title", "", "`TITLE`, one line (default the verdict)")
	fl.StringVar(&o.summary, "summary", "", "`FILE` of Markdown shown on the check's page (default the report)")
	fl.StringVar(&o.as, "as", "auto", "`WHAT` to set: check, status, or auto: a check where that can be")
	fl.StringVar(&o.forge.sha, "commit-sha", "", "the commit `SHA` (default the one of this run)")
	fl.StringVar(&o.forge.repo, "repo", "", "`URL` or name of the repository (default the CI system's, else git's remote origin)")
	fl.StringVar(&o.forge.driver, "driver", "", "`FORGE`: github, gitlab, bitbucket or gitea, which is Forgejo, too (default by the repository)")
	fl.StringVar(&o.forge.token, "token", "", "`TOKEN` of the forge; others on the machine can see it, unlike one in $REPO_TOKEN")
	fl.StringArrayVar(&o.report.metrics, "metrics", nil, "`FILE` of metrics: JSON, or lines NAME: VALUE; can be repeated")
	fl.StringVar(&o.report.base, "base", "", "`FILE` of metrics to compare with")
	fl.StringVar(&o.report.source, "source", "suite.yaml", "`FILE` in the repository that findings are shown at")
	apiURLFlag(fl, &o.forge.api)
	apiTimeoutFlag(fl, &o.forge.apiTimeout)
	outputFlag(cmd, &o.forge.output)
	return cmd
}

// setCheck sets a check. What a forge does not take for now goes into the job's summary.
func (a *app) setCheck(ctx context.Context, args []string, o *checkOptions) error {
	ctx, stop := o.forge.forgeTime(ctx)
	defer stop()
	ci := a.ciContext()
	c := forge.Check{Status: forge.Status{Name: o.name, State: forge.State(o.state), Title: o.title, URL: ci.RunURL}}
	if c.Name == "" {
		c.Name = "sky/" + ci.Key()
	}
	if ci.Run > 0 {
		c.ExternalID = fmt.Sprintf("%d/%d/%s", ci.Run, max(ci.Attempt, 1), ci.Key())
	}
	if len(args) > 0 || len(o.report.metrics) > 0 {
		r, err := a.gatherReport(args, &o.report)
		if err != nil {
			return err
		}
		fillCheck(&c, r, o.report.source)
	}
	if o.summary != "" {
		text, err := a.readText(o.summary)
		if err != nil {
			return err
		}
		c.Summary = comment.Neutralise(text, ci.RunURL)
	}
	if c.Title == "" {
		c.Title = string(c.State)
	}
	now := time.Now()
	if c.State == forge.Running {
		c.Started = now
	}
	if c.State.Ended() {
		c.Ended = now
	}
	client, err := a.forgeClient(ctx, &ci, &o.forge)
	if err != nil {
		return err
	}
	o.forge.target = "commit"
	target, err := a.commentTarget(ctx, client, ci, &o.forge)
	if err != nil {
		a.keepCheck(err, c)
		return err
	}
	c.SHA = target.SHA
	p, err := a.post(ctx, client, c, o.as)
	if err != nil {
		a.keepCheck(err, c)
		return notPosted(err, checkHint(err, client.Kind(), c.SHA, o.as, o.forge.access))
	}
	if p.Dropped > 0 {
		a.note("warning: %d annotations are more than the forge takes", p.Dropped)
	}
	if o.forge.output == "json" {
		return a.printJSON(map[string]any{"ok": true, "provider": client.Kind(), "kind": p.Kind, "sha": c.SHA, "name": c.Name, "state": c.State, "id": p.ID, "url": p.URL, "action": p.Action})
	}
	if p.URL != "" {
		a.say("%s", visibleLine(p.URL))
	}
	return nil
}

// keepCheck puts the page of a check that ended into the job's summary, when the forge could not be asked to show it.
func (a *app) keepCheck(err error, c forge.Check) {
	if away(err) && c.State.Ended() {
		a.intoSummary("## "+c.Name+": "+string(c.State)+"\n\n"+c.Title+"\n\n"+c.Summary, "set the check again.")
	}
}

// fillCheck takes state, title, text and annotations from a report.
func fillCheck(c *forge.Check, r *render.Report, source string) {
	if c.State == "" {
		c.State = forge.Success
		if !r.Passed() {
			c.State = forge.Failure
		}
	}
	if c.Title == "" {
		c.Title = r.Verdict()
	}
	c.Summary = comment.Neutralise(render.Markdown(r), r.RunURL)
	for _, f := range r.Findings() {
		level := map[render.Level]forge.Level{render.LevelError: forge.LevelFailure, render.LevelWarning: forge.LevelWarning, render.LevelNotice: forge.LevelNotice}[f.Level]
		c.Annotations = append(c.Annotations, forge.Annotation{Path: strings.TrimPrefix(source, "./"), Line: 1, Level: level, Title: f.Title, Message: f.Message(), Key: f.Fingerprint})
	}
	for _, m := range r.Metrics {
		c.Data = append(c.Data, forge.Datum{Title: m.Name, Value: m.Value})
	}
	if !c.State.Ended() {
		c.Annotations = nil // they would be there twice
	}
}

// post sets a check, or a status where there are no checks or the token may not set them.
func (a *app) post(ctx context.Context, client forge.Client, c forge.Check, as string) (forge.Posted, error) {
	checks, ok := client.(forge.CheckSetter)
	if ok && as != "status" {
		p, err := checks.SetCheck(ctx, c)
		var e *forge.Error
		if err == nil || as == "check" || !errors.As(err, &e) || e.Reason != forge.Forbidden {
			return p, err
		}
		a.note("The token may not set checks (`permissions: checks: write`): the commit's status is set instead.")
	}
	if as == "check" {
		return forge.Posted{}, fmt.Errorf("%s has no checks: use --as status", client.Kind())
	}
	s, ok := client.(forge.StatusSetter)
	if !ok {
		return forge.Posted{}, fmt.Errorf("%s has no statuses", client.Kind())
	}
	return s.SetStatus(ctx, c.Status)
}
