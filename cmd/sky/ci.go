package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"aloft/controller/forge/cienv"
)

// maxEvent bounds the file in which a CI system describes what set it off.
const maxEvent = 32 << 20

func newCICmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "ci", Short: "In a CI system: this run, its commit's check, what it left behind", Args: knownCommand, RunE: showHelp}
	var output string
	env := &cobra.Command{
		Use:   "env",
		Short: "Show what the CI system says: repository, commit, pull request, run",
		Long: `Show what the CI system says about this run, and the key under which it comments.
Known are GitHub Actions, act, Gitea and Forgejo Actions, GitLab, Bitbucket,
Buildkite, CircleCI, Azure Pipelines and Jenkins; any other is CI if $CI says so.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			return a.ciEnv(output)
		},
	}
	outputFlag(env, &output)
	cmd.AddCommand(env, newCICheckCmd(a), newCIInitCmd(a), newCIKeyCmd(a), newCIMatrixCmd(a), newCIPolicyCmd(a), newCIPRCmd(a), newCIReapCmd(a), newCIRunnerCmd(a), newCMLCmd(a))
	return cmd
}

// ciContext is what is known of the CI run that this process is part of.
func (a *app) ciContext() cienv.Context {
	return cienv.Detect(a.getenv, func(path string) ([]byte, error) { return readBounded(path, maxEvent) })
}

// readBounded reads a file of at most so many bytes.
func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s is larger than %s", path, bytesText(most))
	}
	return b, err
}

func (a *app) ciEnv(output string) error {
	c := a.ciContext()
	if output == "json" {
		return a.printJSON(struct {
			cienv.Context
			Key string `json:"key"`
		}{c, c.Key()})
	}
	if c.System == cienv.None {
		a.say("No CI system started this.")
		return nil
	}
	number := func(n int64) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatInt(n, 10)
	}
	fork := ""
	if c.Fork {
		fork = "yes"
	}
	for _, row := range [][2]string{
		{"system", string(c.System)}, {"forge", c.Forge}, {"server", c.ServerURL}, {"api", c.APIURL}, {"repository", c.Repository}, {"event", c.Event},
		{"commit", c.SHA}, {"branch", c.Branch}, {"pull request", number(int64(c.PullRequest))}, {"from a fork", fork}, {"workflow", c.Workflow},
		{"job", c.Job}, {"matrix", c.Matrix}, {"run", number(c.Run)}, {"attempt", number(c.Attempt)}, {"run page", c.RunURL}, {"actor", c.Actor}, {"key", c.Key()},
	} {
		if row[1] != "" {
			a.say("%-13s %s", row[0], visibleLine(row[1]))
		}
	}
	return nil
}

// visibleLine replaces what would act on a terminal instead of being seen.
func visibleLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return '\uFFFD'
		}
		return r
	}, s)
}
