package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"aloft/controller"
)

func newControllerCmd(a *app) *cobra.Command {
	var readyFD int
	cmd := &cobra.Command{
		Use:    "controller",
		Short:  "Run the controller in the foreground",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runController(cmd.Context(), readyFD)
		},
	}
	cmd.Flags().IntVar(&readyFD, "ready-fd", -1, "file descriptor that is told `ready`, or why not")
	return cmd
}

// runController is the daemon. readyFD < 0 = nobody waits for the word.
func (a *app) runController(ctx context.Context, readyFD int) error {
	var tell *os.File
	if readyFD >= 0 {
		tell = os.NewFile(uintptr(readyFD), "ready")
	}
	say := func(s string) {
		if tell != nil {
			fmt.Fprintln(tell, strings.ReplaceAll(s, "\n", "\\n"))
			tell.Close()
			tell = nil
		}
	}
	settings := map[string]string{}
	for _, k := range []string{"ALOFT_CRASH_AT"} {
		if v, ok := a.getenv(k); ok {
			settings[k] = v
		}
	}
	err := controller.Run(ctx, controller.Options{
		Home: a.home, Version: version, Commit: commit, LogTo: a.errOut, Payload: a.agentPayload(), Providers: a.providers,
		Getenv: a.getenv, Ready: func() { say("ready") }, CrashAt: settings["ALOFT_CRASH_AT"],
	})
	switch {
	case errors.Is(err, controller.ErrRunning):
		say("running")
		if readyFD >= 0 {
			return nil
		}
		return &exitError{code: exitConflict, err: err}
	case err != nil:
		say(err.Error())
		return &exitError{code: exitConfig, err: err}
	}
	return nil
}
