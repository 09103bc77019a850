package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"aloft/controller/forge"
	"aloft/controller/forge/cienv"
	"aloft/controller/forge/comment"
)

const (
	maxCommentFile = 16 << 20
	summaryBudget  = 1_000_000 // bytes of a job summary; GitHub refuses more than 1 MiB
)

// commentOptions are the flags of `sky comment`, named as CML's where it has them.
type commentOptions struct {
	target, sha, of, repo, driver, api, token, title, key, ifNoPR, output, mode string

	pr, issue int

	removeMark, fresh, trusted, update, dryRun bool

	apiTimeout time.Duration // all requests together, with the pauses that a forge asks for; 0 = the default
	images     imageOptions
	dir        string      // of the report, where its pictures are
	access     forgeAccess // how the forge is reached, once its client is made
}

func newCommentCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "comment", Short: "Post a report on a pull request and keep it up to date", Args: knownCommand, RunE: showHelp}
	cmd.AddCommand(a.commentCmd("create"), a.commentCmd("update"), a.commentCmd("watch"))
	return cmd
}

func (a *app) commentCmd(verb string) *cobra.Command {
	var o commentOptions
	use, short, more := verb+" FILE|-", "Post a Markdown file, or put it in the place of what was posted before", ""
	if verb == "watch" {
		use, short = "watch FILE", "Post a Markdown file whenever it has changed"
		more = `

It goes on until it is interrupted or terminated, posts at most every 30 seconds, and
posts what the file holds at the end.`
	}
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Long: `Post a Markdown file on a pull request of GitHub, GitLab, Bitbucket or Gitea. There is one
comment per key, whoever else comments and however many jobs post at once: a later
run replaces it, an earlier one does not. A comment that CML left is taken over.
Text counts as a stranger's: it mentions nobody, refers to no issue, links to and
loads nothing, unless --trusted is given. What is too long is shortened. Pictures that
are files beside the report are kept with the forge (GitLab, Bitbucket, Gitea), in
--image-bucket, or with --image-branch on GitHub; others are named.

A forge whose limit of requests is used up, or that is down, is waited for until
--api-timeout. Then the report goes into the job summary, and the exit code is 110.

The token comes from $REPO_TOKEN, $CML_TOKEN, $GITHUB_TOKEN, $GITLAB_TOKEN,
$BITBUCKET_TOKEN (USER:PASSWORD, or an access token), $GITEA_TOKEN or $FORGEJO_TOKEN.` + more,
		Example: "  sky comment " + verb + " report.md\n  sky comment " + verb + " report.md --target pr/7 --key nightly",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(o.output); err != nil {
				return err
			}
			if err := oneOf("--if-no-pr", o.ifNoPR, "summary", "commit", "fail"); err != nil {
				return err
			}
			if err := oneOf("--mode", o.mode, "upsert", "append", "recreate", "minimize-old", "new"); err != nil {
				return err
			}
			if err := errors.Join(o.images.check(), o.checkForge()); err != nil {
				return err
			}
			if o.dir = "."; args[0] != "-" {
				o.dir = filepath.Dir(args[0])
			}
			if o.mode == "new" {
				o.fresh, o.mode = true, "upsert"
			}
			switch {
			case verb == "watch" && (o.fresh || o.dryRun || args[0] == "-"):
				return usageError("sky comment watch: it takes a file, and not --dry-run or --mode new")
			case o.target != "" && o.sha != "":
				return usageError("--target and --commit-sha exclude each other")
			case o.pr < 0 || o.issue < 0 || o.of != "" && !commitHash.MatchString(o.of):
				return usageError("--pr and --issue take a number from 1, --sha a commit's hash")
			case o.pr > 0 && (o.issue > 0 || o.target+o.sha != "") || o.issue > 0 && o.target+o.sha != "":
				return usageError("only one of --pr, --issue, --target and --commit-sha can be given")
			case o.pr > 0:
				o.target = "pr/" + strconv.Itoa(o.pr)
			case o.issue > 0:
				o.target = "issue/" + strconv.Itoa(o.issue)
			}
			switch {
			case o.removeMark && (verb == "update" || o.update):
				return usageError("--rm-watermark: what is to be found again needs its mark")
			}
			if verb == "watch" {
				return a.watchAndKeep(cmd.Context(), args[0], &o, func(ctx context.Context, text string) error { return a.postComment(ctx, text, &o) })
			}
			text, err := a.readText(args[0])
			if err != nil {
				return err
			}
			return a.comment(cmd.Context(), text, &o)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&o.target, "target", "", "`PLACE`: pr, pr/N, commit, commit/SHA or issue/N (default the pull request of this run)")
	fl.StringVar(&o.sha, "commit-sha", "", "comment on the commit `SHA`")
	fl.StringVar(&o.sha, "head-sha", "", "as --commit-sha")
	_ = fl.MarkHidden("head-sha")
	fl.IntVar(&o.pr, "pr", 0, "as --target pr/`N`")
	fl.IntVar(&o.issue, "issue", 0, "as --target issue/`N`")
	fl.StringVar(&o.of, "sha", "", "look for the pull request of the commit `SHA` instead of this run's")
	fl.StringVar(&o.repo, "repo", "", "`URL` or name of the repository (default the CI system's, else git's remote origin)")
	fl.StringVar(&o.driver, "driver", "", "`FORGE`: github, gitlab, bitbucket or gitea, which is Forgejo, too (default by the repository)")
	apiURLFlag(fl, &o.api)
	fl.StringVar(&o.token, "token", "", "`TOKEN` of the forge; others on the machine can see it, unlike one in $REPO_TOKEN")
	fl.StringVar(&o.title, "watermark-title", "", "key of the comment, as CML has it: `TEXT` in which {workflow} and {run} are replaced")
	fl.StringVar(&o.key, "key", "", "`KEY` of the comment (default workflow, job and matrix leg)")
	fl.StringVar(&o.ifNoPR, "if-no-pr", "summary", "what to do without a pull request: `WHAT` is summary (of the job), commit or fail")
	fl.BoolVar(&o.trusted, "trusted", false, "post the text as it is, with mentions, links, images and HTML")
	fl.StringVar(&o.mode, "mode", "upsert", "what becomes of the comment that is there: `MODE` is upsert, append, recreate, minimize-old (GitHub) or new")
	fl.BoolVar(&o.dryRun, "dry-run", false, "print the request that would be sent, and send none")
	o.images.flags(fl)
	apiTimeoutFlag(fl, &o.apiTimeout)
	if verb == "create" {
		fl.BoolVar(&o.fresh, "new", false, "post one more comment, whatever is there")
		fl.BoolVar(&o.removeMark, "rm-watermark", false, "post one more comment, without a mark by which it could be found again")
		fl.BoolVar(&o.update, "update", false, "what happens anyway")
		_ = fl.MarkHidden("update")
	}
	outputFlag(cmd, &o.output)
	return cmd
}

// oneOf refuses a value that is none of those allowed.
func oneOf(flag, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return usageError("%s %q: allowed: %s", flag, value, strings.Join(allowed, ", "))
}

// notPosted is a comment that could not be posted, with what helps.
func notPosted(err error, hint string) error {
	if errors.Is(err, context.Canceled) {
		return &exitError{code: exitInterrupted, err: errors.New("interrupted")}
	}
	if hint == "" && errors.Is(err, context.DeadlineExceeded) {
		hint = "--api-timeout ran out: give it more time"
	}
	if hint != "" {
		err = fmt.Errorf("%w\n  %s", err, hint)
	}
	return &exitError{code: exitNotPosted, err: err}
}

// comment posts a text. What a forge does not take for now goes into the job's summary.
func (a *app) comment(ctx context.Context, text string, o *commentOptions) error {
	err := a.postComment(ctx, text, o)
	if away(err) && !o.dryRun {
		a.intoSummary(o.summaryText(text, a.ciContext().RunURL), "post it again, or keep its file as an artifact of the job.")
	}
	return err
}

// postComment posts a text.
func (a *app) postComment(ctx context.Context, text string, o *commentOptions) error {
	ctx, stop := o.forgeTime(ctx)
	defer stop()
	ci := a.ciContext()
	switch {
	case o.of == "":
	case ci.Event == "workflow_run" && o.of != ci.SHA: // it may come from what a fork wrote
		return notPosted(fmt.Errorf("--sha %s: the run was of %s", o.of, ci.SHA), "after another run only its own commit can be reported on")
	default:
		ci.SHA, ci.Branch, ci.PullRequest = o.of, "", 0
		if ci.Event != "workflow_run" {
			ci.Event = ""
		}
	}
	text, pictures := takeImages(text, o.dir)
	if !o.trusted {
		text = comment.Neutralise(text, ci.RunURL)
	}
	client, err := a.forgeClient(ctx, &ci, o)
	if err != nil {
		return err
	}
	target, err := a.commentTarget(ctx, client, ci, o)
	if err != nil {
		return err
	}
	if target == nil {
		return a.withoutPull(pictures.settle(text, o.images.placeholder), o)
	}
	p := comment.Post{Target: *target, Key: o.key, Stamp: comment.Stamp{Run: ci.Run, Attempt: ci.Attempt, AtMS: time.Now().UnixMilli()},
		Text: comment.Dialect(text, client.Kind()), AdoptCML: true, New: o.fresh, Bare: o.removeMark, Mode: comment.Mode(o.mode), Link: ci.RunURL}
	if o.title != "" {
		p.Label = strings.NewReplacer("{workflow}", ci.Workflow, "{run}", strconv.FormatInt(ci.Run, 10)).Replace(o.title)
		if p.Key == "" {
			p.Key = p.Label
		}
	}
	if p.Key == "" {
		p.Key = ci.Key()
	}
	if err := a.showImages(ctx, client, &p, pictures, &o.images, o.dryRun); err != nil {
		return notPosted(err, postHint(err, ci, client.Kind(), *target, o.access))
	}
	if o.dryRun {
		if err := a.dryPost(ctx, client, p); err != nil {
			return notPosted(err, postHint(err, ci, client.Kind(), *target, o.access))
		}
		return nil
	}
	r, err := comment.Do(ctx, client, p)
	if errors.Is(err, comment.ErrMinimize) {
		return usageError("--mode %s: %v", o.mode, err)
	}
	if err != nil {
		return notPosted(err, postHint(err, ci, client.Kind(), *target, o.access))
	}
	if r.Action == comment.Kept {
		a.note("A newer run has posted there: its comment stays.")
	}
	if o.output == "json" {
		return a.printJSON(map[string]any{"ok": true, "provider": client.Kind(), "target": target.String(), "key": p.Key, "id": r.Comment.ID, "url": r.Comment.URL,
			"action": r.Action, "truncated": r.Truncated, "removed": r.Removed})
	}
	if r.Comment.URL != "" {
		a.say("%s", visibleLine(r.Comment.URL))
	}
	return nil
}

// readText reads a file or standard input.
func (a *app) readText(file string) (string, error) {
	var b []byte
	var err error
	if file == "-" {
		b, err = io.ReadAll(io.LimitReader(a.in, maxCommentFile+1))
		if err == nil && len(b) > maxCommentFile {
			err = fmt.Errorf("standard input is larger than %s", bytesText(maxCommentFile))
		}
	} else {
		b, err = readBounded(file, maxCommentFile)
	}
	if err != nil {
		return "", usageError("read the report: %v", err)
	}
	if strings.TrimSpace(string(b)) == "" {
		return "", usageError("%s is empty: there is nothing to post", file)
	}
	return string(b), nil
}

// forgeClient finds out which repository is meant, and makes its client.
func (a *app) forgeClient(ctx context.Context, ci *cienv.Context, o *commentOptions) (forge.Client, error) {
	name, api, kind := ci.Repository, ci.APIURL, ci.Forge
	remote := o.repo
	if remote == "" && name == "" {
		out, err := exec.CommandContext(ctx, "git", "config", "--get", "remote.origin.url").Output()
		if err != nil {
			return nil, usageError("which repository? No CI system says so, and git knows no remote origin: give --repo")
		}
		remote = strings.TrimSpace(string(out))
	}
	host, repo := cienv.Remote(remote)
	switch {
	case repo != "":
		here, err := url.Parse(ci.ServerURL)
		if err != nil || here.Host != host || ci.APIURL == "" { // not the forge that the CI system belongs to
			kind, api = cienv.ForgeOf(host)
		} else if below := strings.Trim(here.Path, "/"); below != "" { // a server below a path
			repo = strings.TrimPrefix(repo, below+"/")
		}
		if k := map[string]string{"github": "/api/v3", "gitlab": "/api/v4", "gitea": "/api/v1"}[o.driver]; api == "" && k != "" {
			api = "https://" + host + k
		}
		name = repo
	case remote != "":
		name = remote // a name without a host, on this run's forge
	}
	if o.driver != "" {
		kind = o.driver
	}
	if o.api != "" {
		api = o.api
		name = belowPath(name, api)
	}
	if kind == "" {
		return nil, usageError("which forge is %s on? Give --driver: github, gitlab, bitbucket or gitea", name)
	}
	token, source := a.forgeToken(o.token)
	if in, ok := a.getenv("BITBUCKET_BUILD_NUMBER"); token == "" && forge.Kind(kind) == forge.Bitbucket && ok && in != "" {
		o.access = forgeAccess{source: "the proxy of Pipelines", host: "api.bitbucket.org", repo: name}
		return a.pipelinesClient(name, o.apiTimeout)
	}
	if token == "" {
		return nil, notPosted(errors.New("there is no token to post with"), "set REPO_TOKEN, GITHUB_TOKEN, GITLAB_TOKEN, BITBUCKET_TOKEN or GITEA_TOKEN")
	}
	opts := a.reachForge(forge.Options{API: api, Repo: name, Token: token}, o.apiTimeout)
	if o.dryRun {
		opts.Transport = dryForge{a.out, http.DefaultTransport}
	}
	c, err := forge.New(forge.Kind(kind), opts)
	if err != nil {
		return nil, usageError("%v", err)
	}
	o.access = forgeAccess{source: source, host: c.Host(), repo: name}
	return c, nil
}

// belowPath is a repository's name without the path that its server is below, as the address of the API tells it.
func belowPath(name, api string) string {
	u, err := url.Parse(api)
	if err != nil {
		return name
	}
	path := strings.Trim(u.Path, "/")
	for _, end := range []string{"api/v4", "api/v3", "api/v1"} {
		if below, ok := strings.CutSuffix(path, end); ok && below != "" {
			return strings.TrimPrefix(name, below)
		}
	}
	return name
}

// forgeToken finds the token of a forge, and says where.
func (a *app) forgeToken(given string) (token, source string) {
	if given != "" {
		return given, "--token"
	}
	for _, n := range []string{"REPO_TOKEN", "repo_token", "CML_TOKEN", "GITHUB_TOKEN", "GITLAB_TOKEN", "BITBUCKET_TOKEN", "GITEA_TOKEN", "FORGEJO_TOKEN"} {
		if v, _ := a.getenv(n); strings.TrimSpace(v) != "" {
			return strings.TrimSpace(v), "$" + n
		}
	}
	return "", ""
}

// pipelinesClient goes through the proxy of Bitbucket Pipelines, which knows the step: no token is needed there. It takes
// reports and statuses of commits, no comments.
func (a *app) pipelinesClient(repo string, timeout time.Duration) (forge.Client, error) {
	address := "http://localhost:29418"
	if v, _ := a.getenv("ALOFT_BITBUCKET_PROXY"); v != "" {
		address = v
	}
	proxy, err := url.Parse(address)
	if err != nil || proxy.Host == "" {
		return nil, usageError("ALOFT_BITBUCKET_PROXY: %q is no URL", address)
	}
	c, err := forge.New(forge.Bitbucket, a.reachForge(forge.Options{API: "http://api.bitbucket.org/2.0", Repo: repo,
		Transport: &http.Transport{Proxy: http.ProxyURL(proxy)}}, timeout))
	if err != nil {
		return nil, usageError("%v", err)
	}
	return c, nil
}

// withoutPull puts the report into the job's summary where there is one.
func (a *app) withoutPull(text string, o *commentOptions) error {
	done := "none"
	where, err := a.writeSummary(text)
	switch {
	case err != nil:
		return notPosted(fmt.Errorf("write the job summary: %w", err), "")
	case where != "":
		done = "summary"
		a.note("There is no pull request: the report is in %s.", where)
	default:
		a.note("There is no pull request, and no job summary to write to: nothing was posted.")
	}
	if o.output == "json" {
		return a.printJSON(map[string]any{"ok": true, "action": done})
	}
	return nil
}

// appendSummary adds a text to a file of at most so many bytes.
func appendSummary(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err == nil {
		room := summaryBudget - int(min(st.Size(), summaryBudget)) - 1
		short, _ := comment.Shorten(text, room, "")
		for n := room; len(short) > room && n > 1; n /= 2 {
			short, _ = comment.Shorten(text, n/2, "")
		}
		if len(short) <= room {
			_, err = f.WriteString("\n" + short)
		}
	}
	return errors.Join(err, f.Close())
}
