package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	controlv1 "aloft/proto/sky/control/v1"
)

func newWhyCmd(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "why CLUSTER | CLUSTER/JOB",
		Short: "Tell how a cluster or job came to its state",
		Long:  "Tell how a cluster or job came to its state: every event with its\nreason, and every place that was tried.",
		Example: `  sky why train
  sky why train/3`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			return a.showWhy(cmd.Context(), c, args[0], output)
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) showWhy(ctx context.Context, c *client, subject, output string) error {
	r, err := c.Why(ctx, &controlv1.WhyRequest{Subject: subject})
	if err != nil {
		return rpcError("tell why", err)
	}
	if output == "json" {
		events := []map[string]any{}
		for _, e := range r.GetEvents() {
			events = append(events, map[string]any{"rev": e.GetRev(), "at_ms": e.GetAtMs(), "kind": e.GetKind(), "id": e.GetId(), "name": e.GetName(),
				"old": e.GetOldPhase(), "new": e.GetNewPhase(), "actor": e.GetActor(), "reason": e.GetReason()})
		}
		return a.printJSON(map[string]any{"subject": r.GetSubject(), "summary": r.GetSummary(), "failure": whyJSON(r.GetFailure()), "events": events,
			"attempts": attemptsJSON(r.GetAttempts()), "blocks": blocksJSON(r.GetBlocks())})
	}
	a.say("%s", r.GetSummary())
	if f := r.GetFailure(); f.GetMessage() != "" {
		a.say("%s: %s", strings.ToLower(f.GetKind().String()), f.GetMessage())
		if h := hintText(f.GetHint()); h != "" {
			a.say("  %s", h)
		}
	}
	// The day is said once, unless there are several.
	day, clock := time.DateOnly+" ", "15:04:05.000"
	if es := r.GetEvents(); len(es) > 0 {
		first, last := time.UnixMilli(es[0].GetAtMs()).Format(time.DateOnly), time.UnixMilli(es[len(es)-1].GetAtMs()).Format(time.DateOnly)
		if first == last {
			a.say("\n%s", a.style(styleBold, "Events of "+first))
			day = ""
		} else {
			a.say("\n%s", a.style(styleBold, "Events"))
		}
	}
	t := &table{header: []string{"TIME", "WHAT", "STATE", "BY", "REASON"}, flex: []int{1, 4}, drop: []int{3}}
	for _, e := range r.GetEvents() {
		what := e.GetKind()
		if e.GetName() != "" {
			what += " " + e.GetName()
		}
		state := e.GetNewPhase()
		if old := e.GetOldPhase(); old != "" && old != state {
			state = old + " → " + state
		}
		t.add(time.UnixMilli(e.GetAtMs()).Format(day+clock), what, dash(state), e.GetActor(), e.GetReason())
	}
	if len(t.rows) > 0 {
		a.say("%s", strings.TrimRight(a.plain(t), "\n"))
	}
	a.showAttempts("Placement attempts of "+r.GetSubject(), r.GetAttempts())
	a.showBlocks(r.GetBlocks())
	return nil
}
