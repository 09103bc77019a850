package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	controlv1 "aloft/proto/sky/control/v1"
)

// completeLimit is how long the shell may wait for names: a controller that is running answers in a few milliseconds.
const completeLimit = 100 * time.Millisecond

type completer = func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective)

// completeNames gives every command what its arguments and flags can be.
func (a *app) completeNames(root *cobra.Command) {
	taskFile := []string{"yaml", "yml"}
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "status", "queue", "stop", "start", "down", "autostop":
			cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
				return without(a.clusterNames(), args), cobra.ShellCompDirectiveNoFileComp
			}
		case "logs", "wait", "cancel", "metrics":
			cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
				if len(args) == 0 {
					return a.clusterNames(), cobra.ShellCompDirectiveNoFileComp
				}
				return without(a.jobNumbers(args[0]), args[1:]), cobra.ShellCompDirectiveNoFileComp
			}
		case "why":
			cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
				if len(args) > 0 {
					return nil, cobra.ShellCompDirectiveNoFileComp
				}
				cluster, _, ok := strings.Cut(prefix, "/")
				if !ok {
					return a.clusterNames(), cobra.ShellCompDirectiveNoFileComp
				}
				var out []string
				for _, n := range a.jobNumbers(cluster) {
					out = append(out, cluster+"/"+n)
				}
				return out, cobra.ShellCompDirectiveNoFileComp
			}
		case "exec":
			cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
				if len(args) == 0 {
					return a.clusterNames(), cobra.ShellCompDirectiveNoFileComp
				}
				return taskFile, cobra.ShellCompDirectiveFilterFileExt
			}
		case "launch", "validate", "test":
			cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
				if len(args) > 0 {
					return nil, cobra.ShellCompDirectiveDefault // the words of a command
				}
				return taskFile, cobra.ShellCompDirectiveFilterFileExt
			}
		}
		for flag, f := range map[string]completer{
			"output":       words("text", "json"),
			"wait-for":     words("jobs_and_ssh", "jobs", "none"),
			"disk-tier":    words("low", "medium", "high", "ultra", "best", "none"),
			"network-tier": words("standard", "best", "none"),
			"cluster": func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
				return a.clusterNames(), cobra.ShellCompDirectiveNoFileComp
			},
		} {
			if cmd.Flags().Lookup(flag) != nil {
				_ = cmd.RegisterFlagCompletionFunc(flag, f)
			}
		}
	}
}

func words(list ...string) completer {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}

func without(list, taken []string) []string {
	var out []string
	for _, x := range list {
		free := true
		for _, t := range taken {
			free = free && t != x
		}
		if free {
			out = append(out, x)
		}
	}
	return out
}

// ask calls a controller that is running; it never starts one, and says nothing when none answers in time.
func (a *app) ask(call func(ctx context.Context, c *client) error) {
	ctx, cancel := context.WithTimeout(context.Background(), completeLimit)
	defer cancel()
	c, _, err := a.dial(ctx)
	if err != nil {
		return
	}
	defer c.Close()
	_ = call(ctx, c)
}

func (a *app) clusterNames() (names []string) {
	a.ask(func(ctx context.Context, c *client) error {
		ans, err := c.Clusters(ctx, &controlv1.ClustersQuery{})
		for _, v := range ans.GetClusters() {
			names = append(names, v.GetCluster().GetName())
		}
		return err
	})
	return names
}

func (a *app) jobNumbers(cluster string) (numbers []string) {
	a.ask(func(ctx context.Context, c *client) error {
		ans, err := c.Jobs(ctx, &controlv1.JobsQuery{Clusters: []string{cluster}})
		for _, q := range ans.GetClusters() {
			for _, j := range q.GetJobs() {
				numbers = append(numbers, fmt.Sprint(j.GetJob().GetNumber()))
			}
		}
		return err
	})
	return numbers
}

// completionFile is where a shell looks for our completion script, and what else it needs to hear.
func (a *app) completionFile(shell string) (file, then string, err error) {
	if shell == "auto" {
		s, _ := a.getenv("SHELL")
		shell = filepath.Base(s)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", "", &exitError{code: exitConfig, err: fmt.Errorf("find the home directory: %w", err)}
	}
	under := func(env, otherwise string) string {
		if d, ok := a.getenv(env); ok && d != "" {
			return d
		}
		return filepath.Join(home, otherwise)
	}
	switch shell {
	case "bash":
		return filepath.Join(under("XDG_DATA_HOME", ".local/share"), "bash-completion", "completions", "sky"),
			"Open a new shell to use it; it needs the package bash-completion.", nil
	case "fish":
		return filepath.Join(under("XDG_CONFIG_HOME", ".config"), "fish", "completions", "sky.fish"), "Open a new shell to use it.", nil
	case "zsh":
		return filepath.Join(home, ".zfunc", "_sky"),
			"Put these two lines into ~/.zshrc, if they are not there, and open a new shell:\n  fpath+=~/.zfunc\n  autoload -Uz compinit && compinit", nil
	}
	return "", "", usageError("shell %q: allowed: bash, zsh, fish, auto", shell)
}

func (a *app) installCompletion(cmd *cobra.Command, shell string) error {
	file, then, err := a.completionFile(shell)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("make the directory of completions: %w", err)
	}
	root := cmd.Root()
	switch filepath.Base(file) {
	case "sky":
		err = root.GenBashCompletionFileV2(file, true)
	case "_sky":
		err = root.GenZshCompletionFile(file)
	default:
		err = root.GenFishCompletionFile(file, true)
	}
	if err != nil {
		return fmt.Errorf("write the completion script: %w", err)
	}
	a.say("%s Completion is in %s. %s", a.style(styleGreen, "✓"), file, then)
	return nil
}

func (a *app) uninstallCompletion(shell string) error {
	file, _, err := a.completionFile(shell)
	if err != nil {
		return err
	}
	switch err := os.Remove(file); {
	case errors.Is(err, os.ErrNotExist):
		a.say("There is no completion in %s.", file)
		return nil
	case err != nil:
		return fmt.Errorf("remove the completion script: %w", err)
	}
	a.say("%s Completion removed: %s", a.style(styleGreen, "✓"), file)
	return nil
}
