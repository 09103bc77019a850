package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// writeLine writes one line of JSON.
func writeLine(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// follower shows one launch: the cluster coming up, the job's log, its results.
type follower struct {
	a       *app
	c       *client
	resp    *controlv1.LaunchResponse
	json    bool
	name    string
	results string

	upSaid    bool
	placed    bool // the job has machines
	lastPhase string
}

// errTornDown says that the cluster ended while it was waited for.
var errTornDown = errors.New("was torn down")

// run ends with nil when the job succeeded, else with the error that carries the exit code.
func (f *follower) run(ctx context.Context, detach bool) error {
	end := func() {}
	if !f.json {
		end = f.a.section("launch", "Bringing up "+f.resp.GetClusterName())
	}
	ready, err := f.watch(ctx, detach)
	for errors.Is(err, errLost) {
		if err = f.a.reconnect(ctx, f.c); err == nil {
			ready, err = f.watch(ctx, detach)
		}
	}
	end()
	if err != nil || ready == nil {
		return err
	}
	if c := ready.GetCluster().GetCandidates(); len(c) > 0 && c[0].GetProvider() != hostProvider && (detach || f.resp.GetJobId() == "") {
		f.a.awaitPiece(ctx, f.resp.GetClusterName()) // with a job that is followed it is there long before
	}
	if f.resp.GetJobId() == "" {
		f.say("%s Cluster %s is up.", f.a.style(styleGreen, "✓"), f.resp.GetClusterName())
		return nil
	}
	if detach {
		f.say("Job %d is submitted.\n  follow it:   sky logs %s %d\n  cancel it:   sky cancel %s %d", f.resp.GetJobNumber(),
			f.resp.GetClusterName(), f.resp.GetJobNumber(), f.resp.GetClusterName(), f.resp.GetJobNumber())
		return nil
	}
	f.say("Job %d is submitted. %s", f.resp.GetJobNumber(), f.a.style(styleDim, "Its log follows; Ctrl-C detaches, the job goes on."))
	p := f.a.newLogPrinter(f.name, fmt.Sprintf("sky logs %s %d --tail all", f.resp.GetClusterName(), f.resp.GetJobNumber()), false)
	if f.json {
		p.json = f.a.ndjson
	}
	quit := f.showChecking(ctx)
	err = f.a.streamLogs(ctx, f.c, &controlv1.LogsRequest{JobId: f.resp.GetJobId(), Follow: true, Streams: []string{"setup", "run"}}, p)
	quit()
	if err != nil {
		return err
	}
	return f.a.conclude(ctx, f.c, f.resp.GetJobId(), f.json, f.results)
}

// showChecking tells, on a terminal, that the validation suites run: they write nothing that is followed.
func (f *follower) showChecking(ctx context.Context) (quit func()) {
	if !f.a.ttyErr || f.json {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	client := f.c.ControlClient
	go func() {
		defer close(done)
		st, err := client.Watch(ctx, &controlv1.WatchRequest{FromRev: f.resp.GetRev(), ClusterId: f.resp.GetClusterId()})
		if err != nil {
			return // the log tells what is wrong
		}
		for {
			ev, err := st.Recv()
			if err != nil {
				return
			}
			j := ev.GetJob().GetJob()
			if j.GetId() == f.resp.GetJobId() && j.GetPhase() == statev1.JobPhase_JOB_CHECKING {
				f.a.spin("Running the validation suites")
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// watch is one watch of the launch, under one controller.
func (f *follower) watch(ctx context.Context, detach bool) (*controlv1.ClusterView, error) {
	wctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events, err := f.c.Watch(wctx, &controlv1.WatchRequest{FromRev: f.resp.GetRev(), ClusterId: f.resp.GetClusterId()})
	if err != nil {
		return nil, f.broken(ctx, err)
	}
	return f.untilRunning(ctx, events, detach)
}

// broken is errLost when the controller is gone, else what is wrong with the call.
func (f *follower) broken(ctx context.Context, err error) error {
	if lost(ctx, err) {
		return errLost
	}
	return rpcError("watch the launch", err)
}

func (f *follower) say(format string, args ...any) { f.a.sayUnless(f.json, format, args...) }

// untilRunning shows the cluster's way up and returns once the job has begun to write (or is over), or, with detach or
// without a job, once the cluster is up. A nil view means that the launch failed and the error says how.
func (f *follower) untilRunning(ctx context.Context, events interface {
	Recv() (*controlv1.WatchEvent, error)
}, detach bool) (*controlv1.ClusterView, error) {
	// What happened before the watch began: look once.
	if view, done, err := f.look(ctx, detach); done || err != nil {
		return view, err
	}
	for {
		ev, err := events.Recv()
		if err != nil {
			return nil, f.broken(ctx, err)
		}
		view, done, err := f.step(ev.GetCluster(), ev.GetJob(), detach)
		if errors.Is(err, errTornDown) && ev.GetJob() == nil {
			// The job may well have ended first: its own record says how.
			view, done, err = f.look(ctx, detach)
		}
		if done || err != nil {
			return view, err
		}
	}
}

func (f *follower) look(ctx context.Context, detach bool) (*controlv1.ClusterView, bool, error) {
	if f.resp.GetJobId() != "" {
		ans, err := f.c.GetJob(ctx, &controlv1.GetJobRequest{JobId: f.resp.GetJobId()})
		if err != nil {
			return nil, true, f.broken(ctx, err)
		}
		return f.step(ans.GetCluster(), ans.GetJob(), detach)
	}
	ans, err := f.c.Clusters(ctx, &controlv1.ClustersQuery{Names: []string{f.resp.GetClusterName()}})
	if err != nil {
		return nil, true, f.broken(ctx, err)
	}
	for _, v := range ans.GetClusters() {
		if v.GetCluster().GetId() == f.resp.GetClusterId() {
			return f.step(v, nil, detach)
		}
	}
	return nil, false, nil
}

// step takes one more sight of cluster and job and says what is new in it.
func (f *follower) step(cl *controlv1.ClusterView, job *controlv1.JobView, detach bool) (*controlv1.ClusterView, bool, error) {
	if cl == nil {
		cl = &controlv1.ClusterView{}
	}
	c := cl.GetCluster()
	if c.GetId() != "" && c.GetId() != f.resp.GetClusterId() {
		return nil, false, nil
	}
	f.a.costing(cl)
	if f.json && cl.GetStatus() != "" && cl.GetStatus() != f.lastPhase {
		f.lastPhase = cl.GetStatus()
		if err := f.a.ndjson(map[string]any{"type": "cluster", "cluster": c.GetName(), "status": cl.GetStatus(), "infra": cl.GetInfraText()}); err != nil {
			return nil, true, err
		}
	}
	if !f.upSaid && cl.GetInfraText() != "" && cl.GetStatus() == "INIT" && !f.json {
		f.a.spin("Launching on %s: %s", cl.GetInfraText(), c.GetLastEvent())
	}
	if !f.upSaid && cl.GetStatus() == "UP" {
		f.upSaid = true
		if f.resp.GetCreated() || f.resp.GetRestarted() {
			f.say("%s Cluster launched: %s on %s.", f.a.style(styleGreen, "✓"), c.GetName(), cl.GetInfraText())
		}
		if detach || f.resp.GetJobId() == "" {
			return cl, true, nil
		}
	}
	j := job.GetJob()
	f.placed = f.placed || j.GetId() == f.resp.GetJobId() && len(j.GetRanks()) > 0
	if fail := c.GetFailure(); fail.GetMessage() != "" && cl.GetStatus() != "UP" && !f.placed {
		return nil, true, f.a.launchFailed(cl, f.json)
	}
	if j.GetId() == f.resp.GetJobId() && j.GetId() != "" {
		if over, err := f.jobStep(job); over || err != nil {
			return cl, true, err
		}
	}
	if cl.GetStatus() == "TERMINATED" {
		return nil, true, &exitError{code: exitCancelled, err: fmt.Errorf("cluster %s %w", f.resp.GetClusterName(), errTornDown)}
	}
	return nil, false, nil
}

// jobStep says what is new of the job; true once its log can be followed.
func (f *follower) jobStep(v *controlv1.JobView) (bool, error) {
	j := v.GetJob()
	switch {
	case j.GetPhase() >= statev1.JobPhase_JOB_SETUP:
		return true, nil
	case f.json || !f.upSaid:
	case j.GetStateReason() != "":
		f.a.spin("%s", waits(j))
	case j.GetPhase() >= statev1.JobPhase_JOB_PLACED:
		f.a.spin("Preparing job %d on %s", j.GetNumber(), plural(max(1, len(j.GetRanks())), "node"))
	default:
		f.a.spin("Job %d waits for its turn", j.GetNumber())
	}
	return false, nil
}

// waits says what a job waits for.
func waits(j *statev1.Job) string {
	if r := j.GetStateReason(); strings.HasPrefix(r, "waits ") {
		return fmt.Sprintf("Job %d %s", j.GetNumber(), r)
	}
	return fmt.Sprintf("Job %d waits: %s", j.GetNumber(), j.GetStateReason())
}

// conclude reads a finished job, brings its results here, shows them, and turns the outcome into the exit code.
func (a *app) conclude(ctx context.Context, c *client, jobID string, asJSON bool, under string) error {
	ans, err := again(ctx, a, c, func() (*controlv1.JobAnswer, error) { return c.GetJob(ctx, &controlv1.GetJobRequest{JobId: jobID}) })
	if err != nil {
		return rpcError("read the job", err)
	}
	if ans, err = a.awaitFiles(ctx, c, ans); err != nil {
		return err
	}
	v := ans.GetJob()
	j := v.GetJob()
	if j.GetEndedMs() == 0 {
		a.note("The log ended, the job has not: %s. See: sky queue %s", v.GetStatus(), j.GetClusterName())
		return &exitError{code: exitUnfinished}
	}
	paths, err := a.bringBack(ctx, c, j, under)
	if err != nil {
		return err
	}
	if asJSON {
		out := jobJSON(v)
		for i, f := range out.Files {
			out.Files[i].Path = paths[f.Name]
		}
		if err := a.ndjson(map[string]any{"type": "job", "job": out, "ok": jobExit(j) == exitOK, "exit_code": jobExit(j)}); err != nil {
			return err
		}
	} else {
		a.showOutcome(ans.GetCluster(), v, paths, resultsUnder(j, under))
	}
	if len(paths) > 0 || a.inCI() {
		if err := keepRun(resultsUnder(j, under), ans.GetCluster(), v); err != nil {
			a.note("warning: %v", err)
		}
	}
	a.ciOutcome(ans.GetCluster(), v, resultsUnder(j, under), !asJSON)
	if code := jobExit(j); code != exitOK {
		return &exitError{code: code}
	}
	return nil
}

// filesTime is how long the files of a job that has ended may be on their way.
const filesTime = time.Minute

// awaitFiles waits until the files of a job that has ended are here: its verdict is told before they are sent.
func (a *app) awaitFiles(ctx context.Context, c *client, ans *controlv1.JobAnswer) (*controlv1.JobAnswer, error) {
	late := time.NewTimer(filesTime)
	defer late.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		j := ans.GetJob().GetJob()
		if j.GetEndedMs() == 0 || j.GetResultsComplete() || len(j.GetFiles()) == 0 {
			return ans, nil
		}
		a.spin("The results of job %d are on their way", j.GetNumber())
		select {
		case <-tick.C:
		case <-late.C:
			return ans, nil // what is missing is named when it is asked for
		case <-ctx.Done():
			return ans, &exitError{code: exitInterrupted, err: errors.New("interrupted")}
		}
		var err error
		if ans, err = again(ctx, a, c, func() (*controlv1.JobAnswer, error) { return c.GetJob(ctx, &controlv1.GetJobRequest{JobId: j.GetId()}) }); err != nil {
			return ans, rpcError("read the job", err)
		}
	}
}

// jobExit is the exit code of launch, exec and logs for a finished job.
func jobExit(j *statev1.Job) int {
	switch j.GetPhase() {
	case statev1.JobPhase_JOB_SUCCEEDED:
		return exitOK
	case statev1.JobPhase_JOB_FAILED_USER:
		if j.GetExitCode() != 0 {
			return int(j.GetExitCode())
		}
		return exitFailure
	case statev1.JobPhase_JOB_FAILED_SETUP:
		return exitSetup
	case statev1.JobPhase_JOB_CANCELLED:
		return exitCancelled
	case statev1.JobPhase_JOB_TIMED_OUT:
		return exitBudget
	case statev1.JobPhase_JOB_FAILED_CHECKS:
		return exitChecks
	case statev1.JobPhase_JOB_FAILED_INFRA:
		if k := j.GetFailure().GetKind(); k == statev1.FailureKind_AUTH {
			return codeOfKind(k) // as the launch did: trying again does not help
		}
		return exitInfra
	}
	return exitUnfinished
}

// bringBack writes a job's files under the results directory: reports always, artifacts where the task says.
func (a *app) bringBack(ctx context.Context, c *client, j *statev1.Job, under string) (map[string]string, error) {
	paths := map[string]string{}
	if len(j.GetFiles()) == 0 {
		return paths, nil
	}
	under = resultsUnder(j, under)
	for i, f := range j.GetFiles() {
		a.spin("Bringing results back: %d of %d", i+1, len(j.GetFiles()))
		rel := filepath.FromSlash(f.GetName())
		if !filepath.IsLocal(rel) {
			return paths, fmt.Errorf("result %q would leave the results directory: refused", f.GetName())
		}
		path := filepath.Join(under, rel)
		if d := a.artifactDest(j, f); d != "" {
			path = d
		}
		if err := a.fetchBlob(ctx, c, f.GetSha256(), path, os.FileMode(f.GetMode())); err != nil {
			return paths, err
		}
		paths[f.GetName()] = path
	}
	a.endSpin()
	return paths, nil
}

// resultsUnder is the directory that a job's results go to.
func resultsUnder(j *statev1.Job, asked string) string {
	if asked != "" {
		return asked
	}
	return filepath.Join(resultsDir, fmt.Sprintf("%s-%d", j.GetClusterName(), j.GetNumber()))
}

// artifactDest is the local path a task gives to an artifact; "" when it gives none.
func (a *app) artifactDest(j *statev1.Job, f *statev1.StoredFile) string {
	if f.GetKind() != "artifact" {
		return ""
	}
	name := strings.TrimPrefix(f.GetName(), "artifacts/")
	for _, art := range j.GetTask().GetArtifacts() {
		if art.GetDestination() == "" {
			continue
		}
		d, err := a.expand(art.GetDestination())
		if err != nil {
			continue
		}
		ok, _ := filepath.Match(art.GetPath(), name)
		switch {
		case ok && art.GetPath() == name && !strings.HasSuffix(art.GetDestination(), "/"):
			return d
		case ok:
			return filepath.Join(d, filepath.Base(name))
		case strings.HasPrefix(name, strings.TrimSuffix(art.GetPath(), "/")+"/"):
			return filepath.Join(d, filepath.FromSlash(strings.TrimPrefix(name, strings.TrimSuffix(art.GetPath(), "/")+"/")))
		}
	}
	return ""
}
