package main

import (
	"strings"

	"github.com/spf13/cobra"

	controlv1 "aloft/proto/sky/control/v1"
)

func newCheckCmd(a *app) *cobra.Command {
	var verbose bool
	var workspace, output string
	cmd := &cobra.Command{
		Use:   "check [INFRA...]",
		Short: "Check which places can be used",
		Long:  "Check which places can be used. Fails when one that was named cannot, or when none can.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			if workspace != "" {
				return usageError("--workspace: workspaces are not part of this version")
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
				missing := []map[string]any{}
				for _, m := range i.GetMissing() {
					missing = append(missing, map[string]any{"name": m.GetName(), "for": m.GetPurpose(), "fix": m.GetFix()})
				}
				list = append(list, map[string]any{"name": i.GetName(), "enabled": i.GetEnabled(), "capabilities": append([]string{}, i.GetCapabilities()...),
					"reason": i.GetReason(), "hint": i.GetHint(), "identity": i.GetIdentity(), "missing": missing, "notes": append([]string{}, i.GetNotes()...)})
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
					a.sayInfra(i, verbose)
				}
				list := strings.Join(enabled, ", ")
				if len(enabled) == 0 {
					list = "none"
				}
				a.say("\n%s %s", a.style(styleBold, "Enabled infra:"), list)
			}
			if bad {
				return &exitError{code: exitConfig}
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "also show who we are there")
	cmd.Flags().StringVarP(&workspace, "workspace", "w", "", "not supported")
	_ = cmd.Flags().MarkHidden("workspace")
	outputFlag(cmd, &output)
	return cmd
}

// sayInfra shows one place: whether it can be used, else why not, and every missing permission with what grants it.
func (a *app) sayInfra(i *controlv1.InfraCheck, verbose bool) {
	if i.GetEnabled() {
		a.say("  %s: %s [%s]", infraName(i.GetName()), a.style(styleGreen, "enabled"), strings.Join(i.GetCapabilities(), ", "))
	} else {
		a.say("  %s: %s", infraName(i.GetName()), a.style(styleAmber, "disabled"))
		a.say("    Reason: %s", i.GetReason())
		if h := hintText(i.GetHint()); h != "" {
			a.say("    %s", h)
		}
	}
	if i.GetIdentity() != "" && (verbose || len(i.GetMissing()) > 0) {
		a.say("    as %s", i.GetIdentity())
	}
	for n, m := range i.GetMissing() {
		a.say("    %s: %s", a.style(styleAmber, m.GetName()), m.GetPurpose())
		// Permissions that one command grants are named together, then the command.
		if all := i.GetMissing(); m.GetFix() != "" && (n+1 == len(all) || all[n+1].GetFix() != m.GetFix()) {
			a.say("      Fix: %s", m.GetFix())
		}
	}
	for _, s := range i.GetNotes() {
		a.say("    %s", s)
	}
}
