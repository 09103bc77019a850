package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	controlv1 "aloft/proto/sky/control/v1"
)

func newCancelCmd(a *app) *cobra.Command {
	var all, allUsers, yes, async, noAsync bool
	var output string
	cmd := &cobra.Command{
		Use:   "cancel CLUSTER [JOB...]",
		Short: "Cancel jobs",
		Long:  "Cancel jobs of a cluster: the latest unfinished one when none is named. The\nwhole process tree is ended: TERM, a grace, KILL.",
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
			c, err := a.connectTo(cmd.Context(), args...)
			if err != nil {
				return err
			}
			defer c.Close()
			if err := a.confirm(yes, fmt.Sprintf("Cancelling %s on cluster %s. Proceed?", what, args[0])); err != nil {
				return err
			}
			id, err := a.requestID()
			if err != nil {
				return err
			}
			r, err := again(cmd.Context(), a, c, func() (*controlv1.CancelResponse, error) {
				return c.Cancel(cmd.Context(), &controlv1.CancelRequest{RequestId: id, ClusterName: args[0], Numbers: numbers, All: all || allUsers})
			})
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
