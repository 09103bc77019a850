package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"aloft/controller/forge/cienv"
	"aloft/controller/forge/comment"
	"aloft/controller/forge/guard"
	"aloft/controller/forge/render"
	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// heartbeat is how often a wait is told of in CI, where no line moves.
const heartbeat = time.Minute

// ciSystem is the CI system that started this process.
func (a *app) ciSystem() cienv.System {
	a.ciOnce.Do(func() {
		a.ci = cienv.Detect(a.getenv, func(string) ([]byte, error) { return nil, os.ErrNotExist }).System
	})
	return a.ci
}

// inCI reports whether a CI system started this process.
func (a *app) inCI() bool { return a.ciSystem() != cienv.None }

// github reports whether workflow commands are obeyed.
func (a *app) github() bool {
	s := a.ciSystem()
	return s == cienv.GitHub || s == cienv.Act || s == cienv.Gitea
}

// guarded is the writer of a remote log: as it is on a terminal, made harmless in CI. close ends it.
func (a *app) guarded(rest string) (w io.Writer, end func() error) {
	if a.ciSystem() == cienv.None {
		return a.out, func() error { return nil }
	}
	g := guard.New(a.out, guard.Options{System: a.ciSystem(), Token: rand.Text(), Limit: a.logLimit, Rest: rest})
	return g, g.Close
}

// section opens a part of the CI system's log that can be folded away; the function closes it.
func (a *app) section(name, title string) (end func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	none := func() {}
	switch {
	case a.github():
		fmt.Fprintf(a.out, "::group::%s\n", title)
		return func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.clearSpinner()
			fmt.Fprint(a.out, "::endgroup::\n")
		}
	case a.ciSystem() == cienv.GitLab:
		fmt.Fprintf(a.out, "\x1b[0Ksection_start:%d:sky_%s[collapsed=true]\r\x1b[0K%s\n", time.Now().Unix(), name, title)
		return func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.clearSpinner()
			fmt.Fprintf(a.out, "\x1b[0Ksection_end:%d:sky_%s\r\x1b[0K\n", time.Now().Unix(), name)
		}
	case a.ciSystem() == cienv.Buildkite:
		fmt.Fprintf(a.out, "--- %s\n", title)
	}
	return none
}

// costing notes what the cluster costs that is waited for.
func (a *app) costing(cl *controlv1.ClusterView) {
	rate := ""
	if cl.GetHourlyPrice() > 0 {
		rate = fmt.Sprintf("$%.2f per hour", cl.GetHourlyPrice())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rate = rate
}

// maskedLeast is the length of the shortest text that is masked: shorter ones would take words out of every line.
const maskedLeast = 4

// mask tells GitHub and its likes of the task's secrets, so that no line of any later step shows one: those that come from
// files and other stores it does not know of. The commands stand on standard error, before any log, and are not written where
// that is a file: there nobody takes them out.
func (a *app) mask(secrets map[string]string) {
	f, isFile := a.errOut.(*os.File)
	if !a.github() || len(secrets) == 0 {
		return
	}
	if isFile {
		if st, err := f.Stat(); err != nil || st.Mode().IsRegular() {
			return
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.clearSpinner()
	for _, name := range sortedKeys(secrets) {
		for line := range strings.SplitSeq(secrets[name], "\n") { // each line of a value is masked by itself
			line = strings.TrimSuffix(line, "\r")
			if len(strings.TrimSpace(line)) >= maskedLeast {
				fmt.Fprintf(a.errOut, "::add-mask::%s\n", strings.NewReplacer("%", "%25", "\r", "%0D").Replace(line))
			}
		}
	}
}

// beat tells once a minute what is being waited for, where no line can move.
func (a *app) beat(s *spinner) {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		<-tick.C
		a.mu.Lock()
		if a.spinner != s {
			a.mu.Unlock()
			return
		}
		about := span(time.Since(s.began))
		if a.rate != "" {
			about += ", " + a.rate
		}
		fmt.Fprintf(a.errOut, "... %s (%s)\n", s.text, about)
		a.mu.Unlock()
	}
}

// ciKey is the request id of a launch in CI: the same for the same step of the same run, so that a step that is tried
// again finds the job that the first try made. "" outside of CI, and where the system does not tell runs apart.
func (a *app) ciKey(verb, cluster string, spec *statev1.TaskSpec) string {
	c := a.ciContext()
	if c.System == cienv.None || c.Run == 0 || c.Repository == "" {
		return ""
	}
	step, _ := a.getenv("GITHUB_ACTION")
	h := sha256.New()
	for _, s := range []string{string(c.System), c.ServerURL, c.Repository, strconv.FormatInt(c.Run, 10), c.Workflow, c.Job, c.Matrix, step, verb, cluster, spec.GetName(), spec.GetSetup(), spec.GetRun()} {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return "ci-" + hex.EncodeToString(h.Sum(nil)[:16])
}

// ciOutcome gives the end of a job to the CI system: outputs for later steps, a summary, annotations.
func (a *app) ciOutcome(cl *controlv1.ClusterView, v *controlv1.JobView, under string, human bool) {
	j := v.GetJob()
	report := ""
	if found := filesNamed(under, "report.html"); len(found) > 0 {
		report = found[0]
	}
	pairs := [][2]string{{"cluster", j.GetClusterName()}, {"job", strconv.Itoa(int(j.GetNumber()))}, {"status", v.GetStatus()}, {"exit_code", strconv.Itoa(jobExit(j))},
		{"results", under}, {"report", report}, {"cost", strconv.FormatFloat(cl.GetCost(), 'f', 4, 64)}}
	if a.outputFile != "" {
		if err := appendFile(a.outputFile, dotenv(pairs)); err != nil {
			a.note("warning: --output-file: %v", err)
		}
	}
	if a.ciSystem() == cienv.None {
		return
	}
	if path, _ := a.getenv("GITHUB_OUTPUT"); path != "" && a.github() {
		if err := appendFile(path, githubOutputs(pairs)); err != nil {
			a.note("warning: write the step's outputs: %v", err)
		}
	}
	r := a.ciReport(cl, v, under)
	if path, _ := a.getenv("GITHUB_STEP_SUMMARY"); path != "" && a.github() {
		if err := appendSummary(path, comment.Neutralise(render.Markdown(r), r.RunURL)); err != nil {
			a.note("warning: write the job summary: %v", err)
		}
	}
	if human && a.github() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if err := render.Annotations(a.out, r, ""); err != nil {
			return
		}
		if jobExit(j) != exitOK && j.GetFailure().GetMessage() != "" {
			fmt.Fprintf(a.out, "::error title=sky::%s\n", render.CommandText(j.GetFailure().GetMessage()))
		}
	}
}

// ciReport is the report of a finished job, of what came back.
func (a *app) ciReport(cl *controlv1.ClusterView, v *controlv1.JobView, under string) *render.Report {
	j := v.GetJob()
	ci := a.ciContext()
	r := &render.Report{RunURL: ci.RunURL, Commit: ci.SHA, Run: ci.Run, Attempt: ci.Attempt, Failed: jobExit(j) != exitOK}
	r.Title = j.GetTask().GetName()
	if r.Title == "" {
		r.Title = fmt.Sprintf("Job %d on %s", j.GetNumber(), j.GetClusterName())
	}
	for _, path := range filesNamed(under, "report.json") {
		if b, err := readReport(path); err == nil {
			if s, err := render.ParseSuite(b); err == nil {
				r.Suites = append(r.Suites, s)
			}
		}
	}
	curves := map[string]render.Metric{}
	if list, err := readMetrics(filepath.Join(under, "metrics.jsonl")); err == nil {
		for _, m := range list {
			curves[m.Name] = m
		}
	}
	for _, name := range sortedKeys(j.GetMetrics()) {
		m := curves[name]
		m.Name, m.Value = name, j.GetMetrics()[name]
		r.Metrics = append(r.Metrics, m)
	}
	r.Facts = runFacts(cl, v)
	return r
}

// runFacts are what a report says of the run itself: where it ran, how long, at what cost.
func runFacts(cl *controlv1.ClusterView, v *controlv1.JobView) []render.Fact {
	j := v.GetJob()
	var facts []render.Fact
	fact := func(name, value string) {
		if value != "" {
			facts = append(facts, render.Fact{Name: name, Value: value})
		}
	}
	fact("status", v.GetStatus())
	if f := j.GetFailure().GetMessage(); f != "" {
		fact("reason", f)
	}
	fact("ran on", strings.TrimSpace(cl.GetInfraText()+" "+cl.GetResourcesText()))
	now := time.Now()
	if j.GetStartedMs() > 0 {
		fact("waited", between(j.GetSubmittedMs(), j.GetStartedMs(), now))
		fact("took", between(j.GetStartedMs(), j.GetEndedMs(), now))
	}
	if cl.GetHourlyPrice() > 0 || cl.GetCost() > 0 {
		cost := fmt.Sprintf("$%.2f so far", cl.GetCost())
		if cl.GetHourlyPrice() > 0 {
			cost += fmt.Sprintf(", $%.2f per hour", cl.GetHourlyPrice())
		}
		if cl.GetCostUnknown() {
			cost += ", some prices are not known"
		}
		fact("cost", cost)
	}
	return facts
}

// filesNamed finds the files of a name below a directory.
func filesNamed(dir, name string) []string {
	var out []string
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == name {
			out = append(out, path)
		}
		return nil
	})
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func appendFile(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// githubOutputs is the form of GITHUB_OUTPUT; nobody who wrote a value can guess its end.
func githubOutputs(pairs [][2]string) string {
	var b strings.Builder
	for _, p := range pairs {
		end := "sky_" + rand.Text()
		fmt.Fprintf(&b, "%s<<%s\n%s\n%s\n", p[0], end, p[1], end)
	}
	return b.String()
}

// dotenv is the form of GitLab's dotenv reports: one line a name, without quotes.
func dotenv(pairs [][2]string) string {
	var b strings.Builder
	for _, p := range pairs {
		fmt.Fprintf(&b, "SKY_%s=%s\n", strings.ToUpper(p[0]), strings.NewReplacer("\n", " ", "\r", " ").Replace(p[1]))
	}
	return b.String()
}

var sizeText = regexp.MustCompile(`^([0-9]+)\s*(|B|[kK]B?|[mM]B?|[gG]B?)$`)

// parseLimit reads --log-limit: bytes, or with KB, MB, GB; 0 = none. "" gives the default.
func parseLimit(s string) (int64, error) {
	if s == "" {
		return guard.DefaultLimit, nil
	}
	m := sizeText.FindStringSubmatch(s)
	if m == nil {
		return 0, usageError("--log-limit %q: allowed: a size such as 10MB, or 0 for no limit", s)
	}
	n, err := strconv.ParseInt(m[1], 10, 40)
	if err != nil {
		return 0, usageError("--log-limit %q: too large", s)
	}
	shift := map[string]uint{"": 0, "B": 0, "K": 10, "M": 20, "G": 30}[strings.ToUpper(strings.TrimRight(m[2], "bB"))]
	return n << shift, nil
}
