package main

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"aloft/providers/aws"
	"aloft/providers/gcp"
)

// policyOptions are the flags of `sky ci oidc-policy`.
type policyOptions struct {
	forge, repo, branch, environment  string
	ownerID, repoID, workspaceID, url string
	pull                              bool
}

func newCIPolicyCmd(a *app) *cobra.Command {
	var o policyOptions
	cmd := &cobra.Command{
		Use:   "oidc-policy aws|gcp|azure --repo OWNER/NAME",
		Short: "Print the cloud's policies that let CI jobs in without keys",
		Long: `Print a shell script that lets the jobs of one repository act in a cloud by the token
that the CI system gives them, without keys: whom the cloud trusts, and what those
may do, which is what sky calls and no more. Nothing is changed until you run it.
One of --branch, --environment and --pull-request says which jobs. GitHub names a
repository by name, and newer ones by name and number: both are trusted; the numbers
are those of ` + "`gh api repos/OWNER/NAME --jq '.owner.id, .id'`" + `.`,
		Example: `  sky ci oidc-policy aws --repo acme/model --branch main --owner-id 17 --repo-id 4711
  sky ci oidc-policy gcp --repo acme/model --environment production`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := o.script(args[0])
			if err != nil {
				return err
			}
			a.say("%s", strings.TrimSuffix(text, "\n"))
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&o.forge, "provider", "github", "`FORGE` whose tokens are trusted: github, gitlab or bitbucket")
	fl.StringVar(&o.repo, "repo", "", "the repository, `OWNER/NAME`")
	fl.StringVar(&o.branch, "branch", "", "jobs of this `BRANCH`")
	fl.StringVar(&o.environment, "environment", "", "jobs of this `ENVIRONMENT`; Bitbucket: its UUID")
	fl.BoolVar(&o.pull, "pull-request", false, "jobs of pull requests: any who may push a branch can change what those run")
	fl.StringVar(&o.ownerID, "owner-id", "", "`NUMBER` of the owner on GitHub")
	fl.StringVar(&o.repoID, "repo-id", "", "`NUMBER` of the repository on GitHub; Bitbucket: its UUID")
	fl.StringVar(&o.workspaceID, "workspace-id", "", "`UUID` of the workspace on Bitbucket")
	fl.StringVar(&o.url, "url", "", "`URL` of a server of your own, as https://gitlab.example.com")
	return cmd
}

var (
	repoWord   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)+$`)
	branchWord = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./+-]*$`)
	envWord    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./:+ -]*$`)
	numberWord = regexp.MustCompile(`^[0-9]+$`)
	uuidWord   = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	serverWord = regexp.MustCompile(`^https://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._/-]*)?$`)
)

// check refuses what is not a name: it would become part of a policy and of a script.
func (o *policyOptions) check() error {
	if err := oneOf("--provider", o.forge, "github", "gitlab", "bitbucket"); err != nil {
		return err
	}
	if !repoWord.MatchString(o.repo) || o.forge != "gitlab" && strings.Count(o.repo, "/") != 1 {
		return usageError("--repo %q: want OWNER/NAME", o.repo)
	}
	id, what := numberWord, "a number"
	if o.forge == "bitbucket" {
		id, what = uuidWord, "a UUID without braces"
	}
	for _, x := range []struct {
		flag, value string
		want        *regexp.Regexp
		what        string
	}{
		{"--branch", o.branch, branchWord, "the name of a branch, without wildcards"}, {"--environment", o.environment, envWord, "the name of an environment, without wildcards"},
		{"--owner-id", o.ownerID, numberWord, "a number"}, {"--repo-id", o.repoID, id, what}, {"--workspace-id", o.workspaceID, uuidWord, "a UUID without braces"},
		{"--url", o.url, serverWord, "an https address"},
	} {
		if x.value != "" && !x.want.MatchString(x.value) {
			return usageError("%s %q: want %s", x.flag, x.value, x.what)
		}
	}
	given := 0
	for _, b := range []bool{o.branch != "", o.environment != "", o.pull} {
		if b {
			given++
		}
	}
	switch {
	case o.forge == "github" && given != 1:
		return usageError("say which jobs: one of --branch NAME, --environment NAME and --pull-request")
	case o.forge == "gitlab" && (o.branch == "" || given != 1):
		return usageError("--provider gitlab: a token's subject tells projects and branches apart, nothing else: want --branch NAME alone")
	case o.forge == "bitbucket" && (o.branch != "" || o.pull):
		return usageError("--provider bitbucket: a token's subject has no branch: want --environment UUID, or none for all steps of the repository")
	case o.forge == "bitbucket" && (o.repoID == "" || o.workspaceID == ""):
		return usageError("--provider bitbucket: want --repo-id UUID and --workspace-id UUID: Repository settings > OpenID Connect shows them")
	case o.forge == "bitbucket" && o.environment != "" && !uuidWord.MatchString(o.environment):
		return usageError("--environment %q: want a UUID without braces: a token's subject has no names on Bitbucket", o.environment)
	}
	return nil
}

// issuer is who signs the tokens.
func (o *policyOptions) issuer() string {
	switch {
	case o.forge == "bitbucket":
		workspace, _, _ := strings.Cut(o.repo, "/")
		return "https://api.bitbucket.org/2.0/workspaces/" + workspace + "/pipelines-config/identity/oidc"
	case o.forge == "gitlab" && o.url == "":
		return "https://gitlab.com"
	case o.forge == "gitlab":
		return strings.TrimSuffix(o.url, "/")
	case o.url != "": // GitHub Enterprise Server
		return strings.TrimSuffix(o.url, "/") + "/_services/token"
	}
	return "https://token.actions.githubusercontent.com"
}

// subjects are those of the jobs; like tells that they have wildcards, in Bitbucket's, which end with the step.
func (o *policyOptions) subjects() (list []string, like bool) {
	switch o.forge {
	case "gitlab":
		return []string{"project_path:" + o.repo + ":ref_type:branch:ref:" + o.branch}, false
	case "bitbucket":
		if o.environment != "" {
			return []string{"{" + o.repoID + "}:{" + o.environment + "}:*"}, true
		}
		return []string{"{" + o.repoID + "}:*"}, true
	}
	end := "pull_request"
	switch {
	case o.branch != "":
		end = "ref:refs/heads/" + o.branch
	case o.environment != "":
		end = "environment:" + strings.ReplaceAll(o.environment, ":", "%3A")
	}
	owner, name, _ := strings.Cut(o.repo, "/")
	ownerID, repoID := o.ownerID, o.repoID
	if ownerID == "" {
		ownerID = "OWNER_ID"
	}
	if repoID == "" {
		repoID = "REPO_ID"
	}
	return []string{"repo:" + o.repo + ":" + end, "repo:" + owner + "@" + ownerID + "/" + name + "@" + repoID + ":" + end}, false
}

// script is what to run for a cloud.
func (o *policyOptions) script(cloud string) (string, error) {
	if err := oneOf("the cloud", cloud, "aws", "gcp", "azure"); err != nil {
		return "", err
	}
	if err := o.check(); err != nil {
		return "", err
	}
	switch cloud {
	case "aws":
		policy, err := aws.Policy()
		if err != nil {
			return "", &exitError{code: exitFailure, err: fmt.Errorf("make the policy: %w", err)}
		}
		return o.aws(string(policy)), nil
	case "gcp":
		return o.gcp(gcp.Role()), nil
	}
	if o.forge == "bitbucket" {
		return "", usageError("azure trusts whole subjects alone, and Bitbucket's end with the number of the step: no policy can name them")
	}
	return o.azure(), nil
}
