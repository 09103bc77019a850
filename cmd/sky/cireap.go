package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"aloft/controller/forge/cienv"
	controlv1 "aloft/proto/sky/control/v1"
)

// Ages of machines that are reaped: what a job may last in CI, and a margin for what ends by itself.
const (
	reapAge    = 6*time.Hour + reapMargin
	reapMargin = 15 * time.Minute
)

type reapFlags struct {
	olderThan       time.Duration
	repository, run string
	all, dryRun     bool
	output          string
}

func newCIReapCmd(a *app) *cobra.Command {
	fl := &reapFlags{}
	cmd := &cobra.Command{
		Use:   "reap",
		Short: "End machines that CI jobs left behind, by their tags alone",
		Long: `End machines that CI jobs asked for and left behind, in every account and region
that is enabled. They are found by their tags, whichever home made them: an empty
home and the cloud's credentials are enough, as in a scheduled workflow.
Meant are machines of this CI run's repository (or of --repo) that are more than 15
minutes past their own deadline, or that have none and are older than 6h15m. Somebody
renews the deadline of what is in use. With --older-than age alone counts, busy or not.
Machines that this home's clusters own, and machines that no CI job asked for, are
never touched.
Ends with 0 when nothing is left, with 3 when --dry-run found something.`,
		Example: `  sky ci reap --dry-run --repo acme/model
  sky ci reap --older-than 2h
  sky ci reap --run "$GITHUB_RUN_ID" --older-than 0     # the last step of a run, if: always()`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.reap(cmd, fl) },
	}
	f := cmd.Flags()
	f.DurationVar(&fl.olderThan, "older-than", reapAge, "whatever was made `TIME` ago or earlier, as 2h or 90m, also what is in use")
	f.StringVar(&fl.repository, "repo", "", "`REPOSITORY` whose CI made them, as owner/name or host/owner/name (default: this CI run's)")
	f.BoolVar(&fl.all, "all-repos", false, "of every repository")
	f.StringVar(&fl.run, "run", "", "only machines of the run or pipeline with this `ID`")
	f.BoolVar(&fl.dryRun, "dry-run", false, "only show them")
	outputFlag(cmd, &fl.output)
	return cmd
}

// target is the repository meant, with its host; "" = all.
func (fl *reapFlags) target(c cienv.Context) (string, error) {
	switch {
	case fl.all && fl.repository != "":
		return "", usageError("--all-repos and --repo exclude one another")
	case fl.all:
		return "", nil
	case fl.repository == "" && c.Repository == "":
		return "", usageError("which machines? Outside of CI name the repository with --repo HOST/OWNER/NAME, or say --all-repos")
	case fl.repository == "":
		return ciRepository(c), nil
	}
	n := strings.Count(fl.repository, "/")
	switch {
	case n == 0:
		return "", usageError("--repo %q: allowed is OWNER/NAME, or HOST/OWNER/NAME", fl.repository)
	case strings.Contains(fl.repository[:strings.Index(fl.repository, "/")], "."):
		return fl.repository, nil
	case c.Repository != "":
		c.Repository = fl.repository
		return ciRepository(c), nil
	}
	return "github.com/" + fl.repository, nil
}

func (a *app) reap(cmd *cobra.Command, fl *reapFlags) error {
	if err := checkOutput(fl.output); err != nil {
		return err
	}
	if fl.olderThan < 0 {
		return usageError("--older-than %s: allowed are times of 0 and more", fl.olderThan)
	}
	repository, err := fl.target(a.ciContext())
	if err != nil {
		return err
	}
	c, err := a.connect(cmd.Context())
	if err != nil {
		return err
	}
	defer c.Close()
	r, err := c.Gc(cmd.Context(), &controlv1.GcRequest{Delete: !fl.dryRun, Ci: &controlv1.CIFilter{
		Repository: repository, Run: fl.run, OlderThanMs: fl.olderThan.Milliseconds(), OverdueMs: reapMargin.Milliseconds(),
		SpareLeased: !cmd.Flags().Changed("older-than"), // a job of many hours or a runner is none that was left behind
	}})
	if err != nil {
		return rpcError("look for machines of CI jobs", err)
	}
	failed := len(r.GetErrors()) > 0
	list := []map[string]any{}
	t := &table{header: []string{"INFRA", "INSTANCE", "REPOSITORY", "RUN", "JOB", "CREATED", "WHY", "DONE"}, flex: []int{6}}
	for _, o := range r.GetOrphans() {
		done := "-"
		switch {
		case o.GetDeleted():
			done = "ended"
		case o.GetFailure() != nil:
			done, failed = o.GetFailure().GetMessage(), true
		}
		ci := o.GetCi()
		list = append(list, map[string]any{"infra": o.GetProvider(), "region": o.GetRegion(), "instance": o.GetInstanceId(), "cluster": o.GetClusterName(),
			"repository": ci.GetRepository(), "run": ci.GetRun(), "job": ci.GetJob(), "created_ms": o.GetCreatedMs(), "reason": o.GetReason(),
			"ended": o.GetDeleted(), "failure": whyJSON(o.GetFailure())})
		t.add(infraName(o.GetProvider()), o.GetInstanceId(), visibleLine(ci.GetRepository()), dash(visibleLine(ci.GetRun())), dash(visibleLine(ci.GetJob())),
			ago(o.GetCreatedMs(), time.Now()), o.GetReason(), done)
	}
	if fl.output == "json" {
		if err := a.printJSON(map[string]any{"ok": !failed, "machines": list, "errors": append([]string{}, r.GetErrors()...)}); err != nil {
			return err
		}
	} else {
		of := "any repository"
		if repository != "" {
			of = repository
		}
		a.say("%s of CI jobs of %s left behind.", plural(len(list), "machine"), of)
		if len(list) > 0 {
			a.say("%s", strings.TrimRight(a.plain(t), "\n"))
		}
		if fl.dryRun && len(list) > 0 {
			a.say("End them: sky ci reap%s", fl.again(repository, cmd.Flags().Changed("older-than")))
		}
		for _, e := range r.GetErrors() {
			a.note("%s", e)
		}
	}
	switch {
	case failed:
		return &exitError{code: exitInfra}
	case fl.dryRun && len(list) > 0:
		return &exitError{code: exitFound}
	}
	return nil
}

// again are the flags that mean the same machines.
func (fl *reapFlags) again(repository string, byAge bool) string {
	s := " --all-repos"
	if repository != "" {
		s = " --repo " + repository
	}
	if fl.run != "" {
		s += " --run " + strconv.Quote(fl.run)
	}
	if byAge {
		s += fmt.Sprintf(" --older-than %s", fl.olderThan)
	}
	return s
}
