// Command sky takes a machine-learning task from a YAML file to machines and back: it is the command line, and with
// `sky controller` the daemon behind it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Stamped by the linker (see Makefile).
var (
	version = "0.0.0-dev"
	commit  = "unknown"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

// run executes one command line and returns its exit code.
func run(args []string) int {
	a, err := newApp()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sky:", err)
		return exitConfig
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot(a)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	a.endSpin()
	return a.report(cmd, err)
}

// report prints what went wrong, once, in the form asked for, and gives the exit code.
func (a *app) report(cmd *cobra.Command, err error) int {
	if err == nil {
		return exitOK
	}
	code := codeOf(err)
	e, ours := err.(*exitError)
	if !ours {
		code = exitUsage // cobra's own complaints: unknown flags, commands, arguments
	}
	if ours && e.err == nil {
		return code
	}
	if wantsJSON(cmd) {
		doc := jsonError{Error: strings.SplitN(err.Error(), "\n", 2)[0], ExitInt: code}
		if ours {
			if fe, ok := e.err.(*failureError); ok {
				doc.Error, doc.Hint, doc.Code = fe.f.GetMessage(), fe.f.GetHint(), fe.f.GetCode()
				doc.Kind = strings.ToLower(fe.f.GetKind().String())
			}
		}
		if jerr := a.printJSON(doc); jerr == nil {
			return code
		}
	}
	a.note("%s %s", a.style(styleRed, "sky:"), err)
	if !ours && cmd != nil {
		a.note("Run `%s --help` to see what it takes.", cmd.CommandPath())
	}
	return code
}

// wantsJSON reports whether the command line asked for -o json.
func wantsJSON(cmd *cobra.Command) bool {
	if cmd == nil {
		return false
	}
	f := cmd.Flags().Lookup("output")
	return f != nil && f.Value.String() == "json"
}

// newRoot builds the whole command tree.
func newRoot(a *app) *cobra.Command {
	var showVersion, showCommit bool
	root := &cobra.Command{
		Use:           "sky",
		Short:         "Run machine-learning tasks on the cheapest machines that can, with proof that the model is good",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case showVersion:
				a.say("sky, version %s", version)
				return nil
			case showCommit:
				a.say("%s", commit)
				return nil
			}
			return cmd.Help()
		},
	}
	root.Flags().BoolVarP(&showVersion, "version", "v", false, "print the version")
	root.Flags().BoolVarP(&showCommit, "commit", "c", false, "print the commit this was built from")
	root.SetOut(a.out)
	root.SetErr(a.errOut)
	root.SuggestionsMinimumDistance = 2
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run:"},
		&cobra.Group{ID: "look", Title: "Look:"},
		&cobra.Group{ID: "cluster", Title: "Clusters:"},
		&cobra.Group{ID: "model", Title: "Tasks and models:"},
		&cobra.Group{ID: "system", Title: "System:"},
	)
	for group, cmds := range map[string][]*cobra.Command{
		"run":     {newLaunchCmd(a), newExecCmd(a), newCancelCmd(a)},
		"look":    {newStatusCmd(a), newQueueCmd(a), newLogsCmd(a), newWhyCmd(a), newCostReportCmd(a)},
		"cluster": {newStopCmd(a), newStartCmd(a), newDownCmd(a), newAutostopCmd(a), newGcCmd(a)},
		"model":   {newValidateCmd(), newTestCmd()},
		"system":  {newCheckCmd(a), newGpusCmd(a), newAPICmd(a), newVersionCmd(a), newControllerCmd(a)},
	} {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	root.AddCommand(newShowGpusCmd(a))
	root.SetHelpCommandGroupID("system")
	root.SetCompletionCommandGroupID("system")
	return root
}

// outputFlag adds -o to a command.
func outputFlag(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVarP(into, "output", "o", "text", "output format: text or json")
}

// checkOutput refuses an unknown output format.
func checkOutput(o string) error {
	if o == "text" || o == "json" {
		return nil
	}
	return usageError("--output %q: allowed: text, json", o)
}
