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
		Short: "Tell how something came to its state: every event with its reason",
		Args:  cobra.ExactArgs(1),
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
		return a.printJSON(map[string]any{"subject": r.GetSubject(), "summary": r.GetSummary(), "failure": whyJSON(r.GetFailure()), "events": events})
	}
	a.say("%s", r.GetSummary())
	if f := r.GetFailure(); f.GetMessage() != "" {
		a.say("%s: %s", strings.ToLower(f.GetKind().String()), f.GetMessage())
		if f.GetHint() != "" {
			a.say("  %s", f.GetHint())
		}
	}
	t := &table{header: []string{"TIME", "WHAT", "FROM", "TO", "BY", "REASON"}}
	for _, e := range r.GetEvents() {
		what := e.GetKind()
		if e.GetName() != "" {
			what += " " + e.GetName()
		}
		t.add(time.UnixMilli(e.GetAtMs()).Format("2006-01-02 15:04:05.000"), what, dash(e.GetOldPhase()), dash(e.GetNewPhase()), e.GetActor(), e.GetReason())
	}
	if len(t.rows) > 0 {
		a.say("%s", strings.TrimRight(a.plain(t), "\n"))
	}
	a.showAttempts(r.GetSubject(), r.GetAttempts())
	return nil
}
