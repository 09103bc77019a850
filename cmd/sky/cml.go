package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"aloft/controller/forge"
	"aloft/controller/forge/cienv"
	"aloft/controller/forge/comment"
)

// cmlName is the name under which the program is CML's.
const cmlName = "cml"

// cmlOptions are flags of CML's that several commands have.
type cmlOptions struct {
	forge commentOptions
	log   string
}

// newCMLCmd is CML's command line: `sky ci cml`, and the program itself when it is called cml. Flags and environment are
// CML's; nothing is sent to anybody but the forge.
func newCMLCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   cmlName,
		Short: "The commands of CML, with its flags and environment",
		Long: `The commands of CML (cml.dev), with its flags and environment, for workflows that call
it. Differences: comments of a key are found among any number, pictures are uploaded to
GitLab and Bitbucket and nowhere else, git's global configuration is left alone, tokens
do not get into addresses, and nobody is told of anything.`,
		Args: knownCommand,
		RunE: showHelp,
	}
	comments := &cobra.Command{Use: "comment", Short: "Post a report", Args: knownCommand, RunE: showHelp}
	comments.AddCommand(a.cmlComment("create", "comment", "send_comment"), a.cmlComment("update", "comment", "send_comment"))
	old := a.cmlComment("send-comment", "comment", "send_comment")
	old.Hidden = true
	check := &cobra.Command{Use: "check", Short: "Set a check", Args: knownCommand, RunE: showHelp}
	check.AddCommand(a.cmlCheck("create"))
	oldCheck := a.cmlCheck("send-github-check")
	oldCheck.Hidden = true
	repo := &cobra.Command{Use: "repo", Short: "Prepare the repository", Args: knownCommand, RunE: showHelp}
	repo.AddCommand(a.cmlPrepare("prepare"))
	oldRepo := a.cmlPrepare("ci")
	oldRepo.Hidden = true
	workflow := &cobra.Command{Use: "workflow", Short: "Run the workflow again", Args: knownCommand, RunE: showHelp}
	workflow.AddCommand(a.cmlRerun("rerun"))
	oldRerun := a.cmlRerun("rerun-workflow")
	oldRerun.Hidden = true
	asset := &cobra.Command{Use: "asset", Short: "Upload a file", Hidden: true, Args: knownCommand, RunE: showHelp}
	asset.AddCommand(a.cmlPublish("publish"))
	pr := &cobra.Command{Use: "pr", Short: "Propose changed files", Args: knownCommand, RunE: showHelp}
	pr.AddCommand(a.cmlPR("create"))
	runner := &cobra.Command{Use: "runner", Short: "Launch a self-hosted runner", Args: knownCommand, RunE: showHelp}
	runner.AddCommand(a.cmlRunner("launch"))
	cmd.AddCommand(pr, comments, old, check, oldCheck, runner, repo, oldRepo, workflow, oldRerun, asset, a.cmlPublish("publish"))
	return cmd
}

// cmlFlags adds what every command of CML's has, and reads flags that were not given from the environment as CML does:
// CML_PREFIX_FLAG for each prefix, then the global ones.
func (a *app) cmlFlags(cmd *cobra.Command, o *cmlOptions, prefixes ...string) {
	fl := cmd.Flags()
	fl.StringVar(&o.log, "log", "info", "`LEVEL` of messages: error, warn, info or debug")
	fl.StringVar(&o.forge.driver, "driver", "", "`FORGE`: github, gitlab or bitbucket")
	fl.StringVar(&o.forge.repo, "repo", "", "`URL` or name of the repository")
	fl.StringVar(&o.forge.token, "driver-token", "", "`TOKEN` of the forge; others on the machine can see it, unlike one in $REPO_TOKEN")
	fl.StringVar(&o.forge.token, "token", "", "as --driver-token")
	_ = fl.MarkHidden("token")
	apiURLFlag(fl, &o.forge.api)
	apiTimeoutFlag(fl, &o.forge.apiTimeout)
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		var bad error
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Changed || f.Name == "help" || bad != nil {
				return
			}
			name := strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
			var from []string
			for _, p := range prefixes {
				from = append(from, "CML_"+strings.ToUpper(p)+"_"+name)
			}
			switch f.Name {
			case "driver", "repo", "log", "token", "driver-token":
				from = append(from, "CML_"+name)
			}
			for _, n := range from {
				v, ok := a.getenv(n)
				if !ok || v == "" {
					continue
				}
				if err := f.Value.Set(v); err != nil {
					bad = usageError("%s=%q: %v", n, v, err)
				}
				return
			}
		})
		if bad == nil {
			bad = o.forge.checkForge()
		}
		return bad
	}
}

func (a *app) cmlComment(verb string, prefixes ...string) *cobra.Command {
	var o cmlOptions
	var pr, watch, publish, native, update bool
	var trigger, publishURL string
	cmd := &cobra.Command{
		Use:   verb + " FILE",
		Short: "Post a Markdown file on the pull request or commit",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f := o.forge
			f.ifNoPR, f.output, f.mode, f.trusted = "commit", "text", string(comment.Upsert), true
			f.fresh = verb != "update" && !update && !f.removeMark
			switch {
			case f.removeMark && (verb == "update" || update):
				return usageError("watermarks are mandatory for updatable comments")
			case pr && f.target == "":
				f.target = "pr"
			case f.target != "" && f.sha != "":
				return usageError("--target and --commit-sha exclude each other")
			}
			if publishURL != "" {
				a.note("warning: --publish-url: pictures go to nobody but the forge")
			}
			post := func(ctx context.Context, text string) error {
				ctx, stop := f.forgeTime(ctx) // pictures and comment together
				defer stop()
				text, err := a.publishImages(ctx, text, filepath.Dir(args[0]), publish, &f)
				if err != nil {
					return err
				}
				return a.postComment(ctx, text, &f)
			}
			if watch {
				f.fresh = false
				return a.watchAndKeep(cmd.Context(), args[0], &f, post)
			}
			text, err := a.readText(args[0])
			if err != nil {
				return err
			}
			if err = post(cmd.Context(), text); away(err) {
				a.intoSummary(f.summaryText(text, a.ciContext().RunURL), "post it again, or keep its file as an artifact of the job.")
			}
			return err
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&o.forge.target, "target", "", "`PLACE`: pr, pr/N, commit, commit/SHA or issue/N (default the pull request, else the commit)")
	fl.BoolVar(&pr, "pr", false, "as --target pr")
	fl.StringVar(&o.forge.sha, "commit-sha", "", "comment on the commit `SHA`")
	fl.StringVar(&o.forge.sha, "head-sha", "", "as --commit-sha")
	fl.BoolVar(&watch, "watch", false, "post again whenever the file has changed")
	fl.StringVar(&trigger, "trigger-file", "", "not needed: the file itself is watched")
	fl.BoolVar(&publish, "publish", true, "upload pictures, where the forge takes them")
	fl.StringVar(&publishURL, "publish-url", "", "nothing is sent there")
	fl.BoolVar(&native, "publish-native", false, "what happens anyway")
	fl.BoolVar(&native, "native", false, "what happens anyway")
	fl.BoolVar(&update, "update", false, "put it in the place of the last one")
	fl.BoolVar(&o.forge.removeMark, "rm-watermark", false, "without a mark by which it could be found again")
	fl.StringVar(&o.forge.title, "watermark-title", "", "key of the comment: `TEXT` in which {workflow} and {run} are replaced")
	for _, h := range []string{"pr", "head-sha", "trigger-file", "publish-url", "native", "update", "rm-watermark"} {
		_ = fl.MarkHidden(h)
	}
	a.cmlFlags(cmd, &o, prefixes...)
	return cmd
}

// publishImages uploads the pictures of a text that are files, and puts their addresses there. Where the forge takes none,
// or one is missing, the text says so.
func (a *app) publishImages(ctx context.Context, text, dir string, publish bool, o *commentOptions) (string, error) {
	if !publish {
		return text, nil
	}
	var up forge.Uploader
	var failed error
	asked := false
	text = comment.Images(text, func(alt, path string) string {
		if alt == "" {
			alt = filepath.Base(path)
		}
		file := path
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, path)
		}
		b, err := readBounded(file, maxCommentFile)
		if err != nil {
			a.note("warning: the picture %s cannot be read: %v", path, err)
			return "⚠️ (the picture " + alt + " is missing)"
		}
		if !asked && failed == nil {
			asked = true
			ci := a.ciContext()
			var c forge.Client
			if c, failed = a.forgeClient(ctx, &ci, o); failed == nil {
				up, _ = c.(forge.Uploader)
			}
		}
		if failed != nil || up == nil {
			a.note("warning: %s takes no pictures: %s stays with the files of the run", orForge(o.driver), path)
			return "(the picture " + alt + " is among the files of the run)"
		}
		address, err := up.Upload(ctx, forge.Target{}, path, b)
		if err != nil {
			a.note("warning: upload %s: %v", path, err)
			return "⚠️ (the picture " + alt + " could not be uploaded)"
		}
		return "![" + alt + "](" + address + ")"
	})
	return text, failed
}

func orForge(driver string) string {
	if driver == "" {
		return "the forge"
	}
	return driver
}

func (a *app) cmlCheck(verb string) *cobra.Command {
	var o cmlOptions
	var status, conclusion, title string
	cmd := &cobra.Command{
		Use:   verb + " FILE",
		Short: "Set a check of the commit with a Markdown file as its page",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("--status", status, "queued", "in_progress", "completed"); err != nil {
				return err
			}
			if err := oneOf("--conclusion", conclusion, "success", "failure", "neutral", "cancelled", "skipped", "timed_out"); err != nil {
				return err
			}
			c := checkOptions{forge: o.forge, title: title, name: title, summary: args[0], as: "auto"}
			c.forge.output = "text"
			c.state = map[string]string{"queued": "pending", "in_progress": "running"}[status]
			if c.state == "" {
				c.state = conclusion
				if conclusion == "timed_out" {
					c.state = string(forge.Failure)
				}
			}
			return a.setCheck(cmd.Context(), nil, &c)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&o.forge.sha, "commit-sha", "", "the commit `SHA`")
	fl.StringVar(&o.forge.sha, "head-sha", "", "as --commit-sha")
	fl.StringVar(&conclusion, "conclusion", "success", "`HOW` it ended: success, failure, neutral, cancelled, skipped or timed_out")
	fl.StringVar(&status, "status", "completed", "`HOW` far it is: queued, in_progress or completed")
	fl.StringVar(&title, "title", "CML Report", "`TITLE`")
	_ = fl.MarkHidden("head-sha")
	a.cmlFlags(cmd, &o, "check", "send_github_check")
	return cmd
}

func (a *app) cmlPrepare(verb string) *cobra.Command {
	var o cmlOptions
	var depth int
	var unshallow bool
	var email, name string
	cmd := &cobra.Command{
		Use:   verb,
		Short: "Give the checkout an author and as much history as is wanted",
		Long: `Give the checkout of this job an author, in its own configuration, and as much history
as is wanted. The address of the remote stays as it is: no token gets into it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			steps := [][]string{{"config", "--local", "user.email", email}, {"config", "--local", "user.name", name}}
			switch {
			case depth > 0:
				steps = append(steps, []string{"fetch", "--depth", strconv.Itoa(depth)})
			case unshallow:
				out, err := exec.CommandContext(cmd.Context(), "git", "rev-parse", "--is-shallow-repository").Output()
				if err == nil && strings.TrimSpace(string(out)) == "true" {
					steps = append(steps, []string{"fetch", "--all", "--unshallow"})
				}
			}
			for _, args := range steps {
				if out, err := exec.CommandContext(cmd.Context(), "git", args...).CombinedOutput(); err != nil {
					return &exitError{code: exitFailure, err: fmt.Errorf("git %s: %w\n  %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))}
				}
			}
			return nil
		},
	}
	fl := cmd.Flags()
	fl.IntVar(&depth, "fetch-depth", 0, "fetch the last `N` commits")
	fl.BoolVar(&unshallow, "unshallow", false, "fetch the whole history")
	fl.StringVar(&email, "user-email", "olivaw@iterative.ai", "author's `EMAIL`")
	fl.StringVar(&name, "user-name", "Olivaw[bot]", "author's `NAME`")
	a.cmlFlags(cmd, &o, "repo", "ci")
	return cmd
}

func (a *app) cmlRerun(verb string) *cobra.Command {
	var o cmlOptions
	var id string
	cmd := &cobra.Command{
		Use:   verb,
		Short: "Run this workflow again",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ci := a.ciContext()
			if id == "" {
				id = a.pipelineID(ci)
			}
			if id == "" {
				return usageError("which run? No CI system says so: give --id")
			}
			client, err := a.forgeClient(cmd.Context(), &ci, &o.forge)
			if err != nil {
				return err
			}
			r, ok := client.(forge.Rerunner)
			if !ok {
				return usageError("%s cannot run workflows again", client.Kind())
			}
			ctx, stop := o.forge.forgeTime(cmd.Context())
			defer stop()
			if err := r.Rerun(ctx, id, false); err != nil {
				hint := ""
				var e *forge.Error
				if errors.As(err, &e) && e.Reason == forge.Forbidden && client.Kind() == forge.GitHub {
					hint = "the token needs `permissions: actions: write`"
				}
				return notPosted(err, hint)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "`ID` of the run or pipeline (default this one)")
	a.cmlFlags(cmd, &o, "workflow", "rerun_workflow")
	return cmd
}

// pipelineID is what the forge calls this run.
func (a *app) pipelineID(ci cienv.Context) string {
	name := map[cienv.System]string{cienv.GitHub: "GITHUB_RUN_ID", cienv.GitLab: "CI_PIPELINE_ID", cienv.Bitbucket: "BITBUCKET_PIPELINE_UUID"}[ci.System]
	v, _ := a.getenv(name)
	return v
}

func (a *app) cmlPublish(verb string) *cobra.Command {
	var o cmlOptions
	var md, native, noMark bool
	var title, into, address, mime string
	cmd := &cobra.Command{
		Use:    verb + " FILE",
		Short:  "Upload a file to the forge and print its address",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := readBounded(args[0], maxCommentFile)
			if err != nil {
				return usageError("read the file: %v", err)
			}
			ci := a.ciContext()
			client, err := a.forgeClient(cmd.Context(), &ci, &o.forge)
			if err != nil {
				return err
			}
			up, ok := client.(forge.Uploader)
			if !ok {
				return usageError("%s takes no files: keep it as an artifact of the run", client.Kind())
			}
			ctx, stop := o.forge.forgeTime(cmd.Context())
			defer stop()
			out, err := up.Upload(ctx, forge.Target{}, args[0], b)
			if err != nil {
				return notPosted(err, "")
			}
			if md {
				out = fmt.Sprintf("![](%s %q)", out, title)
			}
			if into != "" {
				return appendFile(into, out+"\n")
			}
			a.say("%s", out)
			return nil
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&md, "md", false, "print Markdown of a picture")
	fl.StringVarP(&title, "title", "t", "", "`TITLE` of the picture")
	fl.StringVarP(&into, "file", "f", "", "append to `FILE` instead of printing")
	fl.BoolVar(&native, "native", false, "what happens anyway")
	fl.BoolVar(&native, "gitlab-uploads", false, "what happens anyway")
	fl.BoolVar(&noMark, "rm-watermark", false, "what happens anyway")
	fl.StringVar(&address, "url", "", "nothing is sent there")
	fl.StringVar(&mime, "mime-type", "", "found by the forge")
	a.cmlFlags(cmd, &o, "asset", "publish")
	return cmd
}

// cmlArgs are the arguments of a program that is called cml, as those of sky: old forms of CML's commands are brought to
// the new ones.
func cmlArgs(program string, args []string) []string {
	name := strings.TrimSuffix(filepath.Base(program), ".exe")
	name, old, _ := strings.Cut(name, "-")
	if name != cmlName {
		return args
	}
	if old != "" { // cml-send-comment
		args = append([]string{old}, args...)
	}
	if len(args) > 1 && args[0] == "comment" && args[1] != "create" && args[1] != "update" && !strings.HasPrefix(args[1], "-") {
		args = append([]string{"comment", "create"}, args[1:]...)
	}
	if len(args) > 0 && args[0] == "pr" && (len(args) == 1 || args[1] != "create" && args[1] != "--help") {
		args = append([]string{"pr", "create"}, args[1:]...)
	}
	if len(args) > 0 && args[0] == "runner" && (len(args) == 1 || strings.HasPrefix(args[1], "-") && args[1] != "--help") {
		args = append([]string{"runner", "launch"}, args[1:]...)
	}
	return append([]string{"ci", cmlName}, args...)
}
