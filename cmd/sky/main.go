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

	"aloft/providers"
	"aloft/providers/all"
)

// Stamped by the linker (see Makefile).
var (
	version = "0.0.0-dev"
	commit  = "unknown"
)

func main() {
	os.Exit(run(cmlArgs(os.Args[0], os.Args[1:]), all.Table()))
}

// run executes one command line, with the providers there are, and returns its exit code.
func run(args []string, table map[string]providers.Factory) int {
	a, err := newApp(table)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sky:", err)
		return exitConfig
	}
	ctx, stop := signal.NotifyContext(context.Background(), interrupts()...)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal ends the program at once
	if a.inCI() {
		signal.Ignore(syscall.SIGPIPE) // a log that nobody reads any more must not keep the job from being ended
		if len(args) == 0 || args[0] != "controller" {
			var release context.CancelFunc
			ctx, release = withParent(ctx)
			defer release()
		}
	}
	cobra.EnableCommandSorting = false
	root := newRoot(a)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	a.endSpin()
	return a.report(cmd, args, err)
}

// report prints what went wrong, once, in the form asked for, and gives the exit code.
func (a *app) report(cmd *cobra.Command, args []string, err error) int {
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
	if wantsJSON(cmd, args) {
		first, rest, _ := strings.Cut(err.Error(), "\n")
		doc := jsonError{Error: first, Hint: strings.TrimSpace(rest), ExitInt: code}
		if ours {
			if fe, ok := e.err.(*failureError); ok {
				doc.Error, doc.Hint, doc.Code = fe.f.GetMessage(), fe.f.GetHint(), fe.f.GetCode()
				doc.Kind = strings.ToLower(fe.f.GetKind().String())
			}
			if te, ok := e.err.(*taskError); ok {
				doc.Error, doc.Diagnostics = "the task cannot run as written", te.ds
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

// wantsJSON reports whether the command line asked for -o json, also when it was not understood as a whole.
func wantsJSON(cmd *cobra.Command, args []string) bool {
	if cmd == nil {
		return false
	}
	f := cmd.Flags().Lookup("output")
	if f == nil || f.Value.String() == "json" {
		return f != nil
	}
	for i, s := range args {
		switch {
		case s == "--":
			return false
		case s == "-ojson", s == "-o=json", s == "--output=json", (s == "-o" || s == "--output") && i+1 < len(args) && args[i+1] == "json":
			return !f.Changed
		}
	}
	return false
}

// newRoot builds the whole command tree.
func newRoot(a *app) *cobra.Command {
	var showVersion, showCommit bool
	var install, uninstall string
	root := &cobra.Command{
		Use:   "sky",
		Short: "Run machine-learning tasks where they are cheapest, and prove the model good",
		Long: `Take a machine-learning task from a YAML file to machines and back: find the
cheapest place that can run it, run it, validate data and model, and bring the
results here.`,
		Example: `  sky launch task.yaml
  sky status
  sky logs CLUSTER`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case install != "":
				return a.installCompletion(cmd, install)
			case uninstall != "":
				return a.uninstallCompletion(uninstall)
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
	root.Flags().StringVar(&install, "install-shell-completion", "", "install completion for a `SHELL`: bash, zsh, fish or auto")
	root.Flags().StringVar(&uninstall, "uninstall-shell-completion", "", "remove it again for a `SHELL`")
	for _, f := range []string{"install-shell-completion", "uninstall-shell-completion"} {
		_ = root.RegisterFlagCompletionFunc(f, words("bash", "zsh", "fish", "auto"))
	}
	root.SetUsageFunc(a.usage)
	root.SetOut(a.out)
	root.SetErr(a.errOut)
	root.SuggestionsMinimumDistance = 2
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run:"},
		&cobra.Group{ID: "look", Title: "Look:"},
		&cobra.Group{ID: "cluster", Title: "Clusters:"},
		&cobra.Group{ID: "model", Title: "Tasks and models:"},
		&cobra.Group{ID: "ci", Title: "CI:"},
		&cobra.Group{ID: "system", Title: "System:"},
	)
	for _, group := range []struct {
		id   string
		cmds []*cobra.Command
	}{
		{"run", []*cobra.Command{newLaunchCmd(a), newExecCmd(a), newCancelCmd(a)}},
		{"look", []*cobra.Command{newStatusCmd(a), newQueueCmd(a), newLogsCmd(a), newWaitCmd(a), newMetricsCmd(a), newDiffCmd(a), newWhyCmd(a), newCostReportCmd(a)}},
		{"cluster", []*cobra.Command{newStopCmd(a), newStartCmd(a), newDownCmd(a), newAutostopCmd(a), newGcCmd(a)}},
		{"model", []*cobra.Command{newValidateCmd(), newTestCmd(a), newBridgeCmd(a)}},
		{"ci", []*cobra.Command{newReportCmd(a), newCommentCmd(a), newCICmd(a)}},
		{"system", []*cobra.Command{newCheckCmd(a), newGpusCmd(a), newCatalogCmd(a), newAPICmd(a), newVersionCmd(a), newControllerCmd(a)}},
	} {
		for _, c := range group.cmds {
			c.GroupID = group.id
			root.AddCommand(c)
		}
	}
	root.AddCommand(newShowGpusCmd(a))
	root.AddCommand(absentCommands()...)
	a.completeNames(root)
	root.SetHelpCommandGroupID("system")
	root.SetCompletionCommandGroupID("system")
	return root
}

// knownCommand refuses a command that there is none of, naming the nearest.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	near := cmd.SuggestionsFor(args[0])
	if len(near) == 0 {
		return usageError("there is no command %q\n  run `%s --help` to see those there are", args[0], cmd.CommandPath())
	}
	return usageError("there is no command %q\n  did you mean `%s %s`?", args[0], cmd.CommandPath(), near[0])
}

// showHelp is what a command of commands does alone.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// absentCommands are SkyPilot's that this version has not: they say so.
func absentCommands() []*cobra.Command {
	var out []*cobra.Command
	for _, x := range []struct{ name, why string }{
		{"jobs", "managed jobs are not part of this version\n  run `sky launch -d --retry-until-up --down TASK.yaml` for a job that is not waited for"},
		{"serve", "serving is not part of this version"},
		{"storage", "buckets are not part of this version: list files to bring back under `artifacts` in the task"},
		{"volumes", "network volumes are not part of this version"},
		{"dashboard", "`sky status`, `sky queue` and `sky why` show everything, also with -o json"},
		{"workspace", "workspaces are not part of this version"},
		{"ssh", "list your machines in $ALOFT_HOME/ssh.yaml and use them with --infra ssh/POOL: nothing has to be set up on them\n  a shell on a cluster that is up: ssh CLUSTER"},
		{"local", "the provider `local` needs no setting up: run `sky launch --infra local -- COMMAND`"},
		{"debug-dump", "`sky api logs` shows the controller's log, `sky why CLUSTER` every event of a cluster"},
		{"users", "there is one user per controller in this version"},
		{"recipes", "recipes are not part of this version: see the task files under examples/"},
	} {
		out = append(out, absentCommand(x.name, x.why))
	}
	return out
}

func absentCommand(name, why string) *cobra.Command {
	return &cobra.Command{Use: name, Hidden: true, DisableFlagParsing: true, RunE: func(cmd *cobra.Command, _ []string) error {
		return usageError("there is no `%s`: %s", cmd.CommandPath(), why)
	}}
}

// acceptHidden adds flags of SkyPilot's that change nothing here.
func acceptHidden(cmd *cobra.Command, flags ...string) {
	for _, f := range flags {
		cmd.Flags().Bool(f, false, "accepted for SkyPilot's command lines")
		_ = cmd.Flags().MarkHidden(f)
	}
}

// outputFlag adds -o to a command.
func outputFlag(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVarP(into, "output", "o", "text", "output `FORMAT`: text or json")
}

// checkOutput refuses an unknown output format.
func checkOutput(o string) error {
	if o == "text" || o == "json" {
		return nil
	}
	return usageError("--output %q: allowed: text, json", o)
}
