package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// requestID makes the key under which a repeated request is recognised.
func (a *app) requestID() (string, error) {
	return rand.Text(), nil
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }

func newCancelCmd(a *app) *cobra.Command {
	var all, allUsers, yes, async, noAsync bool
	var output string
	cmd := &cobra.Command{
		Use:   "cancel CLUSTER [JOB...]",
		Short: "Cancel jobs",
		Long:  "Cancel jobs of a cluster: the latest unfinished one when none is named. The whole process tree is ended: TERM, a grace, KILL.",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			var numbers []uint32
			for _, s := range args[1:] {
				n, err := strconv.ParseUint(s, 10, 32)
				if err != nil || n == 0 {
					return usageError("job %q: allowed: the numbers that `sky queue %s` shows", s, args[0])
				}
				numbers = append(numbers, uint32(n))
			}
			what := "the latest unfinished job"
			switch {
			case all || allUsers:
				what = "all jobs"
			case len(numbers) > 0:
				what = "jobs " + strings.Join(args[1:], " ")
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			if err := a.confirm(yes || output == "json", fmt.Sprintf("Cancelling %s on cluster %s. Proceed?", what, args[0])); err != nil {
				return err
			}
			id, err := a.requestID()
			if err != nil {
				return err
			}
			r, err := c.Cancel(cmd.Context(), &controlv1.CancelRequest{RequestId: id, ClusterName: args[0], Numbers: numbers, All: all || allUsers})
			if err != nil {
				return rpcError("cancel", err)
			}
			if output == "json" {
				return a.printJSON(map[string]any{"ok": true, "cluster": args[0], "job_ids": append([]uint32{}, r.GetNumbers()...)})
			}
			if len(r.GetNumbers()) == 0 {
				a.say("No unfinished jobs on cluster %s.", args[0])
				return nil
			}
			var list []string
			for _, n := range r.GetNumbers() {
				list = append(list, fmt.Sprint(n))
			}
			a.say("%s Cancelling %s on cluster %s: see `sky queue %s`.", a.style(styleGreen, "✓"), plural(len(list), "job")+" ("+strings.Join(list, ", ")+")", args[0], args[0])
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&all, "all", "a", false, "all unfinished jobs of the cluster")
	f.BoolVarP(&allUsers, "all-users", "u", false, "jobs of all users")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	f.BoolVar(&async, "async", false, "return when the controller has taken the request over")
	f.BoolVar(&noAsync, "no-async", false, "wait (the default)")
	outputFlag(cmd, &output)
	return cmd
}

func newCheckCmd(a *app) *cobra.Command {
	var verbose bool
	var workspace, output string
	cmd := &cobra.Command{
		Use:   "check [INFRA...]",
		Short: "Check which places can be used; fails when one that was named cannot",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			r, err := c.Check(cmd.Context(), &controlv1.CheckRequest{Infra: args})
			if err != nil {
				return rpcError("check", err)
			}
			bad := false
			var enabled []string
			list := []map[string]any{}
			for _, i := range r.GetInfra() {
				if i.GetEnabled() {
					enabled = append(enabled, i.GetName())
				} else if len(args) > 0 {
					bad = true
				}
				list = append(list, map[string]any{"name": i.GetName(), "enabled": i.GetEnabled(), "capabilities": append([]string{}, i.GetCapabilities()...),
					"reason": i.GetReason(), "hint": i.GetHint(), "identity": i.GetIdentity()})
			}
			if len(enabled) == 0 {
				bad = true
			}
			if output == "json" {
				if err := a.printJSON(map[string]any{"ok": !bad, "infra": list}); err != nil {
					return err
				}
			} else {
				for _, i := range r.GetInfra() {
					if i.GetEnabled() {
						a.say("  %s: %s [%s]", infraName(i.GetName()), a.style(styleGreen, "enabled"), strings.Join(i.GetCapabilities(), ", "))
						if i.GetIdentity() != "" && verbose {
							a.say("    as %s", i.GetIdentity())
						}
						continue
					}
					a.say("  %s: %s", infraName(i.GetName()), a.style(styleAmber, "disabled"))
					a.say("    Reason: %s", i.GetReason())
					if i.GetHint() != "" {
						a.say("    %s", i.GetHint())
					}
				}
				a.say("\nEnabled infra: %s", strings.Join(enabled, ", "))
			}
			if bad {
				return &exitError{code: exitConfig}
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "also show who we are there")
	cmd.Flags().StringVarP(&workspace, "workspace", "w", "", "workspace")
	outputFlag(cmd, &output)
	return cmd
}

func newGpusCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "gpus", Short: "Accelerators that can be had"}
	cmd.AddCommand(a.gpusList("list [GPU[:N]]", false))
	return cmd
}

func newShowGpusCmd(a *app) *cobra.Command { return a.gpusList("show-gpus [GPU[:N]]", true) }

func (a *app) gpusList(use string, hidden bool) *cobra.Command {
	var all, allRegions, verbose bool
	var infra, cloud, region, output string
	cmd := &cobra.Command{
		Use:    use,
		Short:  "List accelerators, where they are and what they cost",
		Args:   cobra.MaximumNArgs(1),
		Hidden: hidden,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			req := &controlv1.OffersRequest{Infra: infra, AllRegions: allRegions}
			if cloud != "" {
				req.Infra = cloud
				if region != "" {
					req.Infra += "/" + region
				}
			}
			if len(args) == 1 {
				name, count, ok := strings.Cut(args[0], ":")
				req.Accelerator = name
				if ok {
					n, err := strconv.ParseFloat(count, 64)
					if err != nil || n <= 0 {
						return usageError("%q: the count after ':' must be a positive number, as in A100:8", args[0])
					}
					req.Count = n
				}
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			r, err := c.Offers(cmd.Context(), req)
			if err != nil {
				return rpcError("list accelerators", err)
			}
			return a.showOffers(r.GetOffers(), len(args) == 1, output)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&all, "all", "a", false, "every accelerator, common or not")
	f.BoolVar(&allRegions, "all-regions", false, "every region, not the cheapest only")
	f.BoolVarP(&verbose, "verbose", "v", false, "show more")
	f.StringVar(&infra, "infra", "", "only this infra")
	f.StringVar(&cloud, "cloud", "", "only this cloud")
	f.StringVar(&region, "region", "", "only this region")
	_ = f.MarkHidden("cloud")
	_ = f.MarkHidden("region")
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) showOffers(offers []*statev1.Candidate, one bool, output string) error {
	if output == "json" {
		list := []map[string]any{}
		for _, o := range offers {
			list = append(list, map[string]any{"gpu": o.GetAccelerator(), "count": o.GetAcceleratorCount(), "infra": o.GetProvider(), "instance_type": o.GetInstanceType(),
				"cpus": o.GetCpus(), "memory_gb": o.GetMemoryGb(), "hourly_price_usd": o.GetHourlyPrice(), "spot": o.GetSpot(), "region": o.GetRegion()})
		}
		return a.printJSON(map[string]any{"gpus": list})
	}
	if len(offers) == 0 {
		a.say("No accelerators found in the enabled infra. See `sky check`.")
		return nil
	}
	if !one {
		counts := map[string][]string{}
		var names []string
		for _, o := range offers {
			n := o.GetAccelerator()
			if _, ok := counts[n]; !ok {
				names = append(names, n)
			}
			q := number(o.GetAcceleratorCount())
			if len(counts[n]) == 0 || counts[n][len(counts[n])-1] != q {
				counts[n] = append(counts[n], q)
			}
		}
		t := &table{header: []string{"COMMON_GPU", "AVAILABLE_QUANTITIES"}}
		for _, n := range names {
			t.add(n, strings.Join(counts[n], ", "))
		}
		a.say("%s", strings.TrimRight(a.plain(t), "\n"))
		return nil
	}
	t := &table{header: []string{"GPU", "QTY", "CLOUD", "INSTANCE_TYPE", "vCPUs", "HOST_MEM", "HOURLY_PRICE", "REGION"}}
	for _, o := range offers {
		t.add(o.GetAccelerator(), number(o.GetAcceleratorCount()), infraName(o.GetProvider()), dash(o.GetInstanceType()), number(o.GetCpus()),
			number(o.GetMemoryGb())+"GB", fmt.Sprintf("$ %.3f", o.GetHourlyPrice()), dash(o.GetRegion()))
	}
	a.say("%s", strings.TrimRight(a.plain(t), "\n"))
	return nil
}

func newCostReportCmd(a *app) *cobra.Command {
	var all bool
	var days int
	var output string
	cmd := &cobra.Command{
		Use:   "cost-report",
		Short: "What clusters cost, from the times their machines were billed",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			if days < 0 {
				return usageError("--days %d: allowed: 0 (all) or more", days)
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			req := &controlv1.CostReportRequest{}
			if days > 0 {
				req.SinceMs = time.Now().AddDate(0, 0, -days).UnixMilli()
			}
			r, err := c.CostReport(cmd.Context(), req)
			if err != nil {
				return rpcError("report costs", err)
			}
			if output == "json" {
				list := []map[string]any{}
				for _, x := range r.GetRows() {
					list = append(list, map[string]any{"name": x.GetName(), "launched_ms": x.GetLaunchedMs(), "duration_ms": x.GetDurationMs(), "resources": x.GetResourcesText(),
						"status": x.GetStatus(), "hourly_price_usd": x.GetHourlyPrice(), "cost_usd": x.GetCost()})
				}
				return a.printJSON(map[string]any{"clusters": list, "total_usd": r.GetTotal()})
			}
			rows := r.GetRows()
			if !all && len(rows) > 5 {
				rows = rows[:5]
			}
			if len(rows) > 0 {
				t := &table{header: []string{"NAME", "LAUNCHED", "DURATION", "RESOURCES", "STATUS", "COST/hr", "COST"}}
				for _, x := range rows {
					t.add(x.GetName(), ago(x.GetLaunchedMs(), time.Now()), span(time.Duration(x.GetDurationMs())*time.Millisecond), x.GetResourcesText(), x.GetStatus(),
						"$ "+money(x.GetHourlyPrice()), "$ "+money(x.GetCost()))
				}
				a.say("%s\n", strings.TrimRight(a.plain(t), "\n"))
			}
			a.say("Total Cost: $%s", money(r.GetTotal()))
			if len(rows) < len(r.GetRows()) {
				a.say("Showing %d of %d clusters: pass --all for the rest.", len(rows), len(r.GetRows()))
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "all clusters, not the last five")
	cmd.Flags().IntVar(&days, "days", 30, "clusters of the last N days; 0 = all")
	outputFlag(cmd, &output)
	return cmd
}

func newGcCmd(a *app) *cobra.Command {
	var del, yes bool
	var output string
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Find machines of ours that no cluster owns, and delete them with --delete",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			r, err := c.Gc(cmd.Context(), &controlv1.GcRequest{})
			if err != nil {
				return rpcError("look for orphans", err)
			}
			if del && len(r.GetOrphans()) > 0 {
				if err := a.confirm(yes || output == "json", fmt.Sprintf("Deleting %s that nothing owns. Proceed?", plural(len(r.GetOrphans()), "machine"))); err != nil {
					return err
				}
				if r, err = c.Gc(cmd.Context(), &controlv1.GcRequest{Delete: true}); err != nil {
					return rpcError("delete orphans", err)
				}
			}
			failed := len(r.GetErrors()) > 0
			list := []map[string]any{}
			for _, o := range r.GetOrphans() {
				if del && !o.GetDeleted() {
					failed = true
				}
				list = append(list, map[string]any{"infra": o.GetProvider(), "region": o.GetRegion(), "instance": o.GetInstanceId(), "cluster": o.GetClusterName(),
					"created_ms": o.GetCreatedMs(), "reason": o.GetReason(), "deleted": o.GetDeleted(), "failure": whyJSON(o.GetFailure())})
			}
			if output == "json" {
				if err := a.printJSON(map[string]any{"ok": !failed, "instances": r.GetInstances(), "owned": r.GetOwned(), "orphans": list, "errors": append([]string{}, r.GetErrors()...)}); err != nil {
					return err
				}
			} else {
				a.say("%d machines seen, %d owned, %d orphaned.", r.GetInstances(), r.GetOwned(), len(r.GetOrphans()))
				t := &table{header: []string{"INFRA", "INSTANCE", "CLUSTER", "CREATED", "REASON", "DELETED"}}
				for _, o := range r.GetOrphans() {
					t.add(infraName(o.GetProvider()), o.GetInstanceId(), dash(o.GetClusterName()), ago(o.GetCreatedMs(), time.Now()), o.GetReason(), strconv.FormatBool(o.GetDeleted()))
				}
				if len(t.rows) > 0 {
					a.say("%s", strings.TrimRight(a.plain(t), "\n"))
					if !del {
						a.say("Delete them: sky gc --delete")
					}
				}
				for _, e := range r.GetErrors() {
					a.note("%s", e)
				}
			}
			if failed {
				return &exitError{code: exitInfra}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&del, "delete", false, "delete what nothing owns")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	outputFlag(cmd, &output)
	return cmd
}

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
