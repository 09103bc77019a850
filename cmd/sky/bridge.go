package main

import (
	"github.com/spf13/cobra"

	"aloft/tasks/check/bridge"
)

// newBridgeCmd makes `sky bridge`, which the Python package aloft_checks starts beside itself. Its flags are its own.
func newBridgeCmd(*app) *cobra.Command {
	return &cobra.Command{
		Use:                "bridge --fd N",
		Short:              "Run a validation suite on what a Python program streams",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if code := bridge.Main(cmd.Context(), args, cmd.ErrOrStderr()); code != bridge.Served {
				return &exitError{code: exitUsage}
			}
			return nil
		},
	}
}
