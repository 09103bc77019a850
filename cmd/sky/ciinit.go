package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// ciFiles are the workflows that `sky ci init` writes. @TASK@, @URL@ and @SHA256@ are filled in.
//
//go:embed ciinit/*.yml
var ciFiles embed.FS

// ciInitOptions are the flags of `sky ci init`.
type ciInitOptions struct {
	task, url, sha256 string
	force, dryRun     bool
}

func newCIInitCmd(a *app) *cobra.Command {
	var o ciInitOptions
	cmd := &cobra.Command{
		Use:   "init github|gitlab|bitbucket",
		Short: "Write the workflow that trains, tests and reports",
		Long: `Write the workflow of a CI system that runs ` + "`sky launch`" + ` on every pull request, and
reports there. It has the least permissions, actions pinned by commit, and on GitHub
a second workflow that posts the reports of forks. No file is overwritten without
--force. The binary of sky comes from an address that you give, with its digest.`,
		Example: "  sky ci init github --task task.yaml\n  sky ci init gitlab --dry-run",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.ciInit(args[0], &o)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&o.task, "task", "task.yaml", "the task's `FILE` in the repository")
	fl.StringVar(&o.url, "url", "", "https `URL` of a binary of sky for linux-amd64 (default the CI variable SKY_URL)")
	fl.StringVar(&o.sha256, "sha256", "", "`DIGEST` of that binary, from SHA256SUMS (default the CI variable SKY_SHA256)")
	fl.BoolVar(&o.force, "force", false, "overwrite files that are there")
	fl.BoolVar(&o.dryRun, "dry-run", false, "print the files, write none")
	return cmd
}

// ciTarget is one file that `sky ci init` writes, and the template it comes from.
type ciTarget struct{ path, from string }

func (a *app) ciInit(system string, o *ciInitOptions) error {
	targets := map[string][]ciTarget{
		"github":    {{".github/workflows/sky.yml", "github.yml"}, {".github/workflows/sky-report.yml", "github-report.yml"}},
		"gitlab":    {{".gitlab-ci.yml", "gitlab.yml"}},
		"bitbucket": {{"bitbucket-pipelines.yml", "bitbucket.yml"}},
	}
	if err := oneOf("the CI system", system, "github", "gitlab", "bitbucket"); err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	files := targets[system]
	if !o.force && !o.dryRun {
		for _, f := range files {
			if _, err := os.Lstat(f.path); !errors.Is(err, fs.ErrNotExist) {
				return usageError("%s is there already: pass --force to overwrite it, or --dry-run to see what would be written", f.path)
			}
		}
	}
	for _, f := range files {
		text, err := o.fill(system, f.from)
		if err != nil {
			return &exitError{code: exitFailure, err: fmt.Errorf("read the template: %w", err)}
		}
		if o.dryRun {
			a.say("# %s\n%s", f.path, strings.TrimSuffix(text, "\n"))
			continue
		}
		if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
			return &exitError{code: exitFailure, err: fmt.Errorf("write %s: %w", f.path, err)}
		}
		if err := writeWhole(f.path, []byte(text)); err != nil {
			return &exitError{code: exitFailure, err: fmt.Errorf("write %s: %w", f.path, err)}
		}
		a.say("Wrote %s", f.path)
	}
	if o.dryRun {
		return nil
	}
	if _, err := os.Stat(o.task); err != nil {
		a.note("warning: there is no %s yet: write it, or pass --task", o.task)
	}
	a.say("Next: %s", o.next(system))
	return nil
}

// check refuses what cannot stand in a workflow.
func (o *ciInitOptions) check() error {
	if o.task == "" || strings.ContainsFunc(o.task, func(r rune) bool { return r < ' ' || r == 0x7f }) || strings.HasPrefix(o.task, "-") || strings.Contains(o.task, "${{") {
		return usageError("--task %q: want the path of a file, without control characters", o.task)
	}
	if o.url != "" {
		u, err := url.Parse(o.url)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.ContainsAny(o.url, "'\"`$\\ \t\r\n") {
			return usageError("--url %q: want an https address without user, quotes and blanks", o.url)
		}
	}
	if o.sha256 != "" && !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(o.sha256) {
		return usageError("--sha256 %q: want 64 hexadecimal digits", o.sha256)
	}
	return nil
}

// fill writes the options into a template, quoted as the place wants it.
func (o *ciInitOptions) fill(system, name string) (string, error) {
	b, err := ciFiles.ReadFile("ciinit/" + name)
	if err != nil {
		return "", err
	}
	yaml := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	task, at, digest := yaml(o.task), o.url, o.sha256
	switch {
	case system == "github":
		if at == "" {
			at = "${{ vars.SKY_URL }}"
		}
		if digest == "" {
			digest = "${{ vars.SKY_SHA256 }}"
		}
	default:
		if at == "" {
			at = `"$SKY_URL"`
		}
		if digest == "" {
			digest = `"$SKY_SHA256"`
		}
		if o.url != "" {
			at = "'" + at + "'"
		}
		if system == "gitlab" { // GitLab expands variables in variables
			task = strings.ReplaceAll(task, "$", "$$")
		} else { // a word of the shell, within a plain scalar
			if strings.ContainsAny(o.task, "'\"`$\\: #") {
				return "", fmt.Errorf("--task %q: in a Bitbucket pipeline want a path without quotes, blanks, $, : and #", o.task)
			}
			task = o.task
		}
	}
	return strings.NewReplacer("@TASK@", task, "@URL@", at, "@SHA256@", digest).Replace(string(b)), nil
}

// next is what to do after the files are written.
func (o *ciInitOptions) next(system string) string {
	if o.url != "" && o.sha256 != "" {
		return "git add the file, commit and push"
	}
	switch system {
	case "github":
		return "gh variable set SKY_URL --body URL && gh variable set SKY_SHA256 --body DIGEST, then commit and push"
	case "gitlab":
		return "glab variable set SKY_URL URL && glab variable set SKY_SHA256 DIGEST, then commit and push"
	}
	return "set SKY_URL and SKY_SHA256 under Repository settings > Repository variables, then commit and push"
}
