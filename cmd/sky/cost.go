package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	controlv1 "aloft/proto/sky/control/v1"
)

func newCostReportCmd(a *app) *cobra.Command {
	var all bool
	var days int
	var output string
	cmd := &cobra.Command{
		Use:   "cost-report",
		Short: "Show what clusters cost, by the time their machines were billed",
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
						"status": x.GetStatus(), "hourly_price_usd": x.GetHourlyPrice(), "cost_usd": x.GetCost(), "cost_unknown": x.GetCostUnknown()})
				}
				return a.printJSON(map[string]any{"clusters": list, "total_usd": r.GetTotal(), "total_unknown": r.GetTotalUnknown()})
			}
			rows := r.GetRows()
			if !all && len(rows) > 5 {
				rows = rows[:5]
			}
			if len(rows) > 0 {
				t := &table{header: []string{"NAME", "LAUNCHED", "DURATION", "RESOURCES", "STATUS", "COST/hr", "COST"}, flex: []int{3}}
				for _, x := range rows {
					t.add(x.GetName(), ago(x.GetLaunchedMs(), time.Now()), span(time.Duration(x.GetDurationMs())*time.Millisecond), x.GetResourcesText(), x.GetStatus(),
						usd(x.GetHourlyPrice(), x.GetCostUnknown()), usd(x.GetCost(), x.GetCostUnknown()))
				}
				a.say("%s\n", strings.TrimRight(a.plain(t), "\n"))
			}
			a.say("Total Cost: $%s", money(r.GetTotal()))
			if r.GetTotalUnknown() {
				a.say("A cost of ? is not known, because the price of a machine is not: the total is of the others.")
			}
			if len(rows) < len(r.GetRows()) {
				a.say("Showing %d of %d clusters: pass --all for the rest.", len(rows), len(r.GetRows()))
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "all clusters, not the last five")
	cmd.Flags().IntVar(&days, "days", 30, "clusters of the last `N` days; 0 = all")
	outputFlag(cmd, &output)
	return cmd
}

// usd is an amount of money; one of which a part is not known is "?", with what is known of it.
func usd(v float64, unknown bool) string {
	switch {
	case unknown && v == 0:
		return "?"
	case unknown:
		return "? (over $ " + money(v) + ")"
	}
	return "$ " + money(v)
}
