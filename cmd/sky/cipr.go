package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"aloft/controller/forge"
	"aloft/controller/forge/cienv"
)

// proposeOptions are the flags of `sky ci pr`, named as CML's.
type proposeOptions struct {
	forge                                  commentOptions // repository, forge, token, time
	remote, branch, target                 string
	title, body, message                   string
	by                                     author
	md, skipCI, merge, rebase, squash, dry bool

	cml bool // names, texts and what becomes of a branch that is there are CML's
}

func newCIPRCmd(a *app) *cobra.Command {
	var o proposeOptions
	cmd := &cobra.Command{
		Use:   "pr [GLOB...]",
		Short: "Propose files that this job has changed as a pull request",
		Long: `Commit the files that match and have changed to a new branch, and open a pull request
of it. The branch is named after the change: while a pull request of the same change is
open, it is that one. Without files, the commits that were made here are proposed.

The checkout stays as it is: its branch, index and configuration, and git's global one.
The token of the forge is shown to the forge's own server alone, and written nowhere.

Nothing is proposed on top of what was proposed: in a run of such a branch, and in one
of a commit of it that holds [skip ci] or whose run the token's owner has set off.`,
		Example: "  sky ci pr model.json metrics.json\n  sky ci pr 'results/**' --title 'New results' --merge",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(checkOutput(o.forge.output), o.forge.checkForge()); err != nil {
				return err
			}
			return a.propose(cmd.Context(), args, &o)
		},
	}
	o.flags(cmd, "Aloft", "aloft@localhost")
	fl := cmd.Flags()
	fl.BoolVar(&o.skipCI, "skip-ci", true, "mark the commit with [skip ci], so that it starts no pipeline")
	fl.BoolVar(&o.dry, "dry-run", false, "print what would be proposed, and change nothing")
	fl.StringVar(&o.forge.repo, "repo", "", "`URL` or name of the repository (default the CI system's, else git's remote origin)")
	fl.StringVar(&o.forge.driver, "driver", "", "`FORGE`: github, gitlab, bitbucket or gitea, which is Forgejo, too (default by the repository)")
	fl.StringVar(&o.forge.token, "token", "", "`TOKEN` of the forge; others on the machine can see it, unlike one in $REPO_TOKEN")
	apiURLFlag(fl, &o.forge.api)
	apiTimeoutFlag(fl, &o.forge.apiTimeout)
	outputFlag(cmd, &o.forge.output)
	return cmd
}

// flags are those that CML has, too.
func (o *proposeOptions) flags(cmd *cobra.Command, name, email string) {
	fl := cmd.Flags()
	fl.StringVar(&o.remote, "remote", "origin", "git's `REMOTE` to push to")
	fl.StringVar(&o.by.email, "user-email", email, "author's `EMAIL`")
	fl.StringVar(&o.by.name, "user-name", name, "author's `NAME`")
	fl.BoolVar(&o.md, "md", false, "print a link in Markdown")
	fl.BoolVar(&o.merge, "merge", false, "have it merged once its checks have passed; at once where the forge waits for none")
	fl.BoolVar(&o.merge, "auto-merge", false, "as --merge")
	fl.BoolVar(&o.rebase, "rebase", false, "as --merge, by a rebase")
	fl.BoolVar(&o.squash, "squash", false, "as --merge, as one commit")
	fl.StringVar(&o.branch, "branch", "", "`BRANCH` to push (default named after the target and the change)")
	fl.StringVar(&o.target, "target-branch", "", "`BRANCH` that it is to be merged into (default the one of this run)")
	fl.StringVar(&o.title, "title", "", "`TITLE` of the pull request")
	fl.StringVar(&o.body, "body", "", "`TEXT` of the pull request")
	fl.StringVar(&o.message, "message", "", "`MESSAGE` of the commit")
	_ = fl.MarkHidden("auto-merge")
	cmd.MarkFlagsMutuallyExclusive("merge", "rebase", "squash")
}

func (a *app) cmlPR(verb string) *cobra.Command {
	var o cmlOptions
	p := proposeOptions{cml: true}
	cmd := &cobra.Command{
		Use:   verb + " [GLOB...]",
		Short: "Propose files that this job has changed as a pull request",
		RunE: func(cmd *cobra.Command, args []string) error {
			p.forge = o.forge
			p.forge.output = "text"
			p.skipCI = p.skipCI || p.message == ""
			return a.propose(cmd.Context(), args, &p)
		},
	}
	p.flags(cmd, "Olivaw[bot]", "olivaw@iterative.ai")
	cmd.Flags().BoolVar(&p.skipCI, "skip-ci", false, "mark the commit with [skip ci], as is done without --message")
	a.cmlFlags(cmd, &o, "pr")
	return cmd
}

// proposalBranch is how branches are named that are proposed here, or by CML.
var proposalBranch = regexp.MustCompile(`-(?:sky|cml)-pr-[0-9a-f]{8}$`)

// skipMarks keep the forges from starting pipelines.
var skipMarks = []string{"[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]"}

// proposal is a change on its way.
type proposal struct {
	git            *checkout
	client         forge.Client
	pulls          forge.PullMaker
	ci             cienv.Context
	base, target   string // commit and branch
	branch, commit string
	files          []string
}

func (a *app) propose(ctx context.Context, globs []string, o *proposeOptions) error {
	if len(globs) > 0 && !slices.ContainsFunc(globs, func(g string) bool { return !strings.HasPrefix(g, "!") }) {
		return usageError("every argument leaves files out: name those that are to be proposed, too")
	}
	for flag, v := range map[string]string{"--user-name": o.by.name, "--user-email": o.by.email, "--remote": o.remote} {
		if v == "" || strings.ContainsAny(v, "<>\n\x00") || strings.HasPrefix(v, "-") {
			return usageError("%s %q: it takes one line without < and >, which does not begin with -", flag, v)
		}
	}
	p := &proposal{ci: a.ciContext()}
	if p.ci.Fork {
		return notPosted(errors.New("this run is of a fork, whose token may only read"), "propose changes in a run of the repository itself")
	}
	if proposalBranch.MatchString(p.ci.Branch) || o.branch != "" && p.ci.Branch == o.branch {
		return a.proposedNothing(o, "This run is of the branch "+p.ci.Branch+", which was proposed: nothing is proposed on top of it.")
	}
	var err error
	if p.client, err = a.forgeClient(ctx, &p.ci, &o.forge); err != nil {
		return err
	}
	var ok bool
	if p.pulls, ok = p.client.(forge.PullMaker); !ok {
		return usageError("%s: no pull requests can be opened there", p.client.Kind())
	}
	token, _ := a.forgeToken(o.forge.token)
	if p.git, err = openCheckout(ctx, o.remote, token, p.client.Kind(), func(host string) bool { return p.serves(host, o) }); err != nil {
		return err
	}
	if done, err := a.prepareProposal(ctx, p, globs, o); err != nil || done {
		return err
	}
	if o.dry {
		return a.dryProposal(p, o)
	}
	pushed, err := p.publish(ctx, o)
	if err != nil {
		return err
	}
	return a.openProposal(ctx, p, o, pushed)
}

// serves says whether a host is the forge's own, to which its token may be shown.
func (p *proposal) serves(host string, o *proposeOptions) bool {
	if host == p.client.Host() || "api."+host == p.client.Host() {
		return true
	}
	if u, err := url.Parse(p.ci.ServerURL); err == nil && o.forge.repo == "" && u.Host == host {
		return p.ci.Forge == string(p.client.Kind())
	}
	named, _ := cienv.Remote(o.forge.repo)
	return named != "" && named == host
}

// prepareProposal makes the commit, here alone; true = there is nothing to propose.
func (a *app) prepareProposal(ctx context.Context, p *proposal, globs []string, o *proposeOptions) (bool, error) {
	failed := func(err error) (bool, error) {
		return false, &exitError{code: exitFailure, err: fmt.Errorf("prepare the change: %w", err)}
	}
	var err error
	if p.base, err = p.git.base(ctx, p.ci.SHA); err != nil {
		return failed(err)
	}
	if p.target = o.target; p.target == "" {
		p.target = p.ci.Branch
	}
	if p.target == "" {
		if p.target, err = p.git.git(ctx, nil, "symbolic-ref", "--quiet", "--short", "HEAD"); err != nil {
			return false, usageError("which branch is the change for? This run is of none: give --target-branch")
		}
	}
	for flag, name := range map[string]string{"--branch": o.branch, "--target-branch": p.target} {
		if _, err := p.git.git(ctx, nil, "check-ref-format", "refs/heads/"+name); name != "" && (err != nil || strings.HasPrefix(name, "-")) {
			return false, usageError("%s %q: git takes no branch of that name", flag, name)
		}
	}
	ours, message, err := p.git.proposed(ctx, p.base, o.by.email)
	if err != nil {
		return failed(err)
	}
	if loop, err := p.loops(ctx, ours, message, o); err != nil || loop {
		if err != nil {
			return false, notPosted(err, p.hint(err, o))
		}
		return true, a.proposedNothing(o, "This run is of a change that was proposed: nothing is proposed on top of it.")
	}
	p.commit = p.base
	tree := p.base + "^{tree}"
	if len(globs) > 0 {
		if p.files, err = p.git.changed(ctx, globs); err != nil {
			return failed(err)
		}
		if len(p.files) == 0 {
			return true, a.proposedNothing(o, "Nothing that matches has changed: nothing is proposed.")
		}
		if tree, err = p.git.tree(ctx, p.base, p.files); err != nil {
			return failed(err)
		}
		if old, err := p.git.git(ctx, nil, "rev-parse", p.base+"^{tree}"); err == nil && old == tree {
			return true, a.proposedNothing(o, "Nothing that matches differs from "+brief(p.base)+": nothing is proposed.")
		}
		if p.commit, err = p.git.commit(ctx, p.base, tree, o.commitMessage(p.base), o.by); err != nil {
			return failed(err)
		}
	}
	p.branch = o.branch
	switch {
	case p.branch != "":
	case o.cml:
		p.branch = p.target + "-cml-pr-" + brief(p.base)
	case len(globs) == 0:
		p.branch = p.target + "-sky-pr-" + brief(p.base)
	default:
		digest, err := p.git.digest(ctx, p.base, tree)
		if err != nil {
			return failed(err)
		}
		p.branch = p.target + "-sky-pr-" + digest
	}
	if p.branch == p.target {
		return false, usageError("--branch %s: it is the branch that the change is for", p.branch)
	}
	return false, nil
}

// brief is the beginning of a commit's hash.
func brief(sha string) string { return sha[:min(8, len(sha))] }

// commitMessage is the commit's, marked so that it is known again.
func (o *proposeOptions) commitMessage(base string) string {
	subject := o.message
	if subject == "" {
		subject = map[bool]string{true: "CML PR for " + brief(base), false: "Files of a run of " + brief(base)}[o.cml]
	}
	if o.skipCI && !slices.ContainsFunc(skipMarks, func(m string) bool { return strings.Contains(strings.ToLower(subject), m) }) {
		first, rest, more := strings.Cut(subject, "\n")
		subject = first + " [skip ci]"
		if more {
			subject += "\n" + rest
		}
	}
	return strings.TrimRight(subject, "\n") + "\n\n" + proposalTrailer
}

// loops says whether a run was set off by what this program proposed: its commit says that none is wanted, or the token's
// owner has set it off.
func (p *proposal) loops(ctx context.Context, ours bool, message string, o *proposeOptions) (bool, error) {
	if !ours {
		return false, nil
	}
	if p.ci.Actor == "" || slices.ContainsFunc(skipMarks, func(m string) bool { return strings.Contains(strings.ToLower(message), m) }) {
		return true, nil
	}
	ctx, stop := o.forge.forgeTime(ctx)
	defer stop()
	me, err := p.client.Identity(ctx)
	if err != nil {
		return false, err
	}
	if me == "" { // a token without a user is an app's
		return strings.HasSuffix(p.ci.Actor, "[bot]") || p.ci.Actor == "gitea-actions", nil
	}
	return strings.EqualFold(me, p.ci.Actor), nil
}

// publish pushes the branch unless it is there, and reports whether it did.
func (p *proposal) publish(ctx context.Context, o *proposeOptions) (bool, error) {
	failed := func(err error) error {
		return notPosted(fmt.Errorf("push the branch %s: %w", p.branch, err), "it takes a token that may write: on GitHub `permissions: contents: write`, elsewhere the scope that writes repositories")
	}
	if len(p.files) == 0 {
		head, err := p.git.head(ctx, p.target)
		if err != nil {
			return false, failed(err)
		}
		if head != "" && p.git.fetch(ctx, head) == nil {
			if _, err := p.git.git(ctx, nil, "merge-base", "--is-ancestor", p.commit, head); err == nil {
				p.commit = "" // there is nothing that the target lacks
				return false, nil
			}
		}
	}
	was, err := p.git.head(ctx, p.branch)
	if err != nil {
		return false, failed(err)
	}
	if was != "" && (o.cml || o.branch == "") {
		return false, nil // what is there is this change
	}
	if was != "" {
		if err := p.git.fetch(ctx, was); err != nil {
			return false, failed(err)
		}
		if _, err := p.git.git(ctx, nil, "diff", "--quiet", was, p.commit, "--"); err == nil {
			return false, nil
		}
		ours, _, err := p.git.proposed(ctx, was, o.by.email)
		if err != nil {
			return false, failed(err)
		}
		if !ours {
			return false, notPosted(fmt.Errorf("the branch %s holds a commit of somebody else: %s", p.branch, brief(was)), "give another --branch, or leave it out")
		}
	}
	if err := p.git.push(ctx, p.commit, p.branch, was); err != nil {
		// Another job may have pushed it since.
		if now, again := p.git.head(ctx, p.branch); again == nil && now != was && now != "" && o.branch == "" {
			return false, nil
		}
		return false, failed(err)
	}
	return true, nil
}

// openProposal opens the pull request, unless there is one of the branch.
func (a *app) openProposal(ctx context.Context, p *proposal, o *proposeOptions, pushed bool) error {
	if p.commit == "" {
		return a.proposedNothing(o, "The branch "+p.target+" has all that was committed here: nothing is proposed.")
	}
	ctx, stop := o.forge.forgeTime(ctx)
	defer stop()
	fail := func(err error) error { return notPosted(err, p.hint(err, o)) }
	action := "adopted"
	pull, found, err := p.pulls.PullOf(ctx, p.branch)
	if err != nil {
		return fail(err)
	}
	if !found {
		action = "created"
		pull, err = p.pulls.OpenPull(ctx, o.texts(p))
		var e *forge.Error
		if errors.As(err, &e) && (e.Unsure || e.Reason == forge.Invalid) {
			// The answer was lost, or another job was faster: then it is there.
			if other, there, again := p.pulls.PullOf(ctx, p.branch); again == nil && there {
				pull, action, err = other, "adopted", nil
				if e.Unsure {
					action = "created"
				}
			}
		}
		if err != nil {
			return fail(err)
		}
	}
	how := map[bool]forge.MergeMethod{o.merge: forge.MergeCommit}[true]
	if o.rebase {
		how = forge.MergeRebase
	} else if o.squash {
		how = forge.MergeSquash
	}
	merged := false
	if how != "" {
		if merged, err = p.pulls.MergePull(ctx, pull, how); err != nil {
			return fail(err)
		}
		if merged {
			a.note("It was merged at once: the branch waits for no checks, or the forge cannot wait.")
		}
	}
	if o.forge.output == "json" {
		return a.printJSON(map[string]any{"ok": true, "provider": p.client.Kind(), "action": action, "number": pull.Number, "url": pull.URL, "branch": p.branch, "target": p.target,
			"commit": p.commit, "pushed": pushed, "merged": merged})
	}
	switch {
	case o.md:
		a.say("[%s](%s)", map[bool]string{true: "CML's ", false: ""}[o.cml]+map[bool]string{true: "Merge Request", false: "Pull Request"}[p.client.Kind() == forge.GitLab], visibleLine(pull.URL))
	default:
		a.say("%s", visibleLine(pull.URL))
	}
	return nil
}

// texts are what the pull request says.
func (o *proposeOptions) texts(p *proposal) forge.Proposal {
	out := forge.Proposal{Head: p.branch, Base: p.target, Title: o.title, Body: o.body}
	if out.Title == "" {
		out.Title = map[bool]string{true: "CML PR for " + p.target + " " + brief(p.base), false: "Files of a run of " + p.target + " at " + brief(p.base)}[o.cml]
	}
	if out.Body == "" {
		out.Body = "Made by a run of " + p.base + "."
		if p.ci.RunURL != "" {
			out.Body = "Made by [a run](" + p.ci.RunURL + ") of " + p.base + "."
		}
	}
	return out
}

func (a *app) proposedNothing(o *proposeOptions, why string) error {
	a.note("%s", visibleLine(why))
	if o.forge.output == "json" {
		return a.printJSON(map[string]any{"ok": true, "action": "none"})
	}
	return nil
}

func (a *app) dryProposal(p *proposal, o *proposeOptions) error {
	if o.forge.output == "json" {
		return a.printJSON(map[string]any{"ok": true, "action": "dry-run", "branch": p.branch, "target": p.target, "base": p.base, "files": p.files})
	}
	a.say("branch  %s\ntarget  %s\non      %s", p.branch, p.target, p.base)
	for _, f := range p.files {
		a.say("file    %s", visibleLine(f))
	}
	return nil
}

// hint says what a forge wants for a pull request that it refused.
func (p *proposal) hint(err error, o *proposeOptions) string {
	needs := map[forge.Kind]string{forge.GitHub: "`permissions: pull-requests: write`, and the setting of the repository or organisation by which Actions may create pull requests",
		forge.GitLab: "the scope api and the role Developer", forge.Bitbucket: "the scope pullrequest:write", forge.Gitea: "the scope write:repository"}[p.client.Kind()]
	return o.forge.access.refused(err, "branch "+p.branch, needs)
}
