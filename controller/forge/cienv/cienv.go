// Package cienv reads what a CI system says about the run it started: which repository, commit, pull request and job.
// It is pure: the environment and the event file come through functions.
package cienv

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// System is a CI system.
type System string

// The systems that are told apart.
const (
	None      System = ""
	GitHub    System = "github"
	Act       System = "act"
	Gitea     System = "gitea"
	GitLab    System = "gitlab"
	Bitbucket System = "bitbucket"
	Buildkite System = "buildkite"
	CircleCI  System = "circleci"
	Azure     System = "azure"
	Jenkins   System = "jenkins"
	Generic   System = "generic"
)

// Context is what is known of a run. Fields that a system does not tell are empty.
type Context struct {
	System    System `json:"system"`
	Forge     string `json:"forge"`      // where the repository lives: github, gitlab, bitbucket, gitea; "" = not known
	ServerURL string `json:"server_url"` // of the forge
	APIURL    string `json:"api_url"`
	// Repository is its full name: owner/name, with GitLab's subgroups.
	Repository string `json:"repository"`
	Event      string `json:"event"`
	// SHA is the commit that a report is about: the head of the pull request, never a merge made for the run.
	SHA    string `json:"sha"`
	Branch string `json:"branch"`
	// DefaultBranch is the repository's, where the event says so.
	DefaultBranch string `json:"default_branch"`
	// HeadOwner owns the repository that the branch is in, where the event says so.
	HeadOwner string `json:"head_owner"`
	// PullRequest is its number; 0 = none is known.
	PullRequest int `json:"pull_request"`
	// Fork says that the commit comes from another repository, so that the run's token may only read.
	Fork     bool   `json:"fork"`
	Workflow string `json:"workflow"`
	Job      string `json:"job"`
	Matrix   string `json:"matrix"` // a short hash of the leg, "" = none
	// Run is the number that grows with each run of the workflow, Attempt counts its repetitions; 0 = not known.
	Run     int64  `json:"run"`
	Attempt int64  `json:"attempt"`
	RunURL  string `json:"run_url"`
	Actor   string `json:"actor"`
}

// Key names what the run reports on: the same for each run of one job and matrix leg.
func (c Context) Key() string {
	var parts []string
	for _, s := range []string{c.Workflow, c.Job, c.Matrix} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if len(parts) == 0 {
		return "default"
	}
	return strings.Join(parts, "/")
}

// Detect finds out what is running this process. readFile reads the event file of GitHub and its likes; an event that
// cannot be read is one that says nothing.
func Detect(lookup func(string) (string, bool), readFile func(string) ([]byte, error)) Context {
	e := env{lookup}
	var c Context
	switch {
	case e.truthy("GITEA_ACTIONS"), e.truthy("FORGEJO_ACTIONS"):
		c = github(e, readFile)
		c.System, c.Forge = Gitea, "gitea"
		if c.APIURL == "" && c.ServerURL != "" {
			c.APIURL = c.ServerURL + "/api/v1"
		}
	case e.truthy("GITHUB_ACTIONS") && e.truthy("ACT"):
		c = github(e, readFile)
		c.System, c.RunURL = Act, ""
	case e.truthy("GITHUB_ACTIONS"):
		c = github(e, readFile)
	case e.truthy("GITLAB_CI"):
		c = gitlab(e)
	case e.get("BITBUCKET_BUILD_NUMBER") != "":
		c = bitbucket(e)
	case e.truthy("BUILDKITE"):
		c = buildkite(e)
	case e.truthy("CIRCLECI"):
		c = circle(e)
	case e.truthy("TF_BUILD"):
		c = azure(e)
	case e.get("JENKINS_URL") != "":
		c = jenkins(e)
	case e.get("CI") != "" && !strings.EqualFold(e.get("CI"), "false") && e.get("CI") != "0":
		c = Context{System: Generic}
	}
	if m := e.get("ALOFT_MATRIX"); m != "" && m != "null" && m != "{}" {
		c.Matrix = shortHash(m)
	}
	return c
}

// shortHash tells legs of a matrix apart.
func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:4])
}

// env reads variables.
type env struct {
	lookup func(string) (string, bool)
}

func (e env) get(name string) string {
	v, _ := e.lookup(name)
	return strings.TrimSpace(v)
}

// first is the first variable that is set.
func (e env) first(names ...string) string {
	for _, n := range names {
		if v := e.get(n); v != "" {
			return v
		}
	}
	return ""
}

func (e env) truthy(name string) bool {
	v := e.get(name)
	return v == "1" || strings.EqualFold(v, "true")
}

// number is a whole number above zero, else 0.
func (e env) number(name string) int64 { return positive(e.get(name)) }

func positive(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// pull is a number of a pull request, else 0.
func pull(s string) int {
	n := positive(s)
	if n > 1<<31-1 {
		return 0
	}
	return int(n)
}
