package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	controlv1 "aloft/proto/sky/control/v1"
)

func newGcCmd(a *app) *cobra.Command {
	var del, yes bool
	var output string
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Find machines of ours that no cluster owns",
		Long:  "Find machines of ours, by their tags, that no cluster owns; with --delete also delete them.",
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
				if err := a.confirm(yes, fmt.Sprintf("Deleting %s that nothing owns. Proceed?", plural(len(r.GetOrphans()), "machine"))); err != nil {
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
				a.say("%s seen, %d owned by clusters, %d owned by none.", plural(int(r.GetInstances()), "machine"), r.GetOwned(), len(r.GetOrphans()))
				t := &table{header: []string{"INFRA", "INSTANCE", "CLUSTER", "CREATED", "REASON", "DELETED"}, flex: []int{4}}
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
