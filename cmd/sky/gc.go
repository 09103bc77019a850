package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	controlv1 "aloft/proto/sky/control/v1"
)

func newGcCmd(a *app) *cobra.Command {
	var del, adopt, yes bool
	var output string
	var installations []string
	cmd := &cobra.Command{
		Use:   "gc [ID...]",
		Short: "Find machines of ours that no cluster owns",
		Long: `Find machines that bear our tags, in every account and region that is enabled, and that no cluster of this home owns.
With --delete they are deleted; with --adopt their clusters are known again: status, logs, ssh and down work as before.
Naming machines restricts that to them. Machines of other installations are shown, and deleted only when they are named.
Ends with 0 only when no machine of ours is left without an owner and every place could be listed.`,
		Example: "sky gc\nsky gc --delete -y\nsky gc --adopt          # after the home's state.db was lost\nsky gc --delete i-0123456789abcdef0",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			if del && adopt {
				return usageError("--delete and --adopt exclude one another")
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			ask := &controlv1.GcRequest{Ids: args, Installations: installations, Adopt: adopt}
			r, err := c.Gc(cmd.Context(), ask)
			if err != nil {
				return rpcError("look for orphans", err)
			}
			meant := 0
			for _, o := range r.GetOrphans() {
				if !o.GetForeign() && len(args) == 0 || slices.Contains(args, o.GetInstanceId()) {
					meant++
				}
			}
			if del && meant > 0 {
				if err := a.confirm(yes, fmt.Sprintf("Deleting %s that no cluster of this home owns. Proceed?", plural(meant, "machine"))); err != nil {
					return err
				}
				ask.Delete = true
				if r, err = c.Gc(cmd.Context(), ask); err != nil {
					return rpcError("delete orphans", err)
				}
			}
			failed, foreign := len(r.GetErrors()) > 0, 0
			list := []map[string]any{}
			for _, o := range r.GetOrphans() {
				if o.GetForeign() {
					foreign++
				}
				done := o.GetDeleted() || o.GetAdopted()
				if !done && (!o.GetForeign() || slices.Contains(args, o.GetInstanceId())) {
					failed = true
				}
				list = append(list, map[string]any{"infra": o.GetProvider(), "region": o.GetRegion(), "instance": o.GetInstanceId(), "cluster": o.GetClusterName(),
					"created_ms": o.GetCreatedMs(), "reason": o.GetReason(), "deleted": o.GetDeleted(), "adopted": o.GetAdopted(), "foreign": o.GetForeign(),
					"installation": o.GetInstallation(), "owner": o.GetOwner(), "failure": whyJSON(o.GetFailure())})
			}
			if output == "json" {
				if err := a.printJSON(map[string]any{"ok": !failed, "instances": r.GetInstances(), "owned": r.GetOwned(), "orphans": list, "errors": append([]string{}, r.GetErrors()...)}); err != nil {
					return err
				}
			} else {
				a.say("%s seen, %d owned by clusters, %d owned by none.", plural(int(r.GetInstances()), "machine"), r.GetOwned(), len(r.GetOrphans())-foreign)
				t := &table{header: []string{"INFRA", "INSTANCE", "CLUSTER", "OWNER", "CREATED", "REASON", "DONE"}, flex: []int{5}}
				for _, o := range r.GetOrphans() {
					done := "-"
					switch {
					case o.GetDeleted():
						done = "deleted"
					case o.GetAdopted():
						done = "adopted"
					case o.GetFailure() != nil:
						done = o.GetFailure().GetMessage()
					}
					t.add(infraName(o.GetProvider()), o.GetInstanceId(), dash(o.GetClusterName()), dash(o.GetOwner()), ago(o.GetCreatedMs(), time.Now()), o.GetReason(), done)
				}
				if len(t.rows) > 0 {
					a.say("%s", strings.TrimRight(a.plain(t), "\n"))
					if !del && !adopt && len(t.rows) > foreign {
						a.say("Take them over: sky gc --adopt. Delete them: sky gc --delete")
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
	cmd.Flags().BoolVar(&adopt, "adopt", false, "take over what nothing owns: rebuild its records")
	cmd.Flags().StringSliceVar(&installations, "installation", nil, "count machines of installation `ID` as ours; repeatable")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	outputFlag(cmd, &output)
	return cmd
}
