package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"aloft/controller/forge/cienv"
	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// groupBusy is the code of a launch that another run of its concurrency group stands in the way of.
const groupBusy = "group-busy"

// groupEvery is how often a launch that waits for its turn asks.
const groupEvery = 2 * time.Second

// ciRun is the CI job that this process is part of, as it goes into the tags of machines; nil outside of CI without a group.
func (a *app) ciRun(group, key string) *statev1.CIRun {
	c := a.ciContext()
	if c.System == cienv.None || c.Repository == "" {
		if group == "" {
			return nil
		}
		return &statev1.CIRun{Group: group}
	}
	r := &statev1.CIRun{System: string(c.System), Repository: ciRepository(c), Job: c.Job, Group: group, Key: key}
	if c.Run != 0 {
		r.Run = strconv.FormatInt(c.Run, 10)
	}
	if c.Matrix != "" {
		r.Job += "/" + c.Matrix
	}
	return r
}

// ciRepository is the repository's name with the host that it is on: acme/model is another one on another server.
func ciRepository(c cienv.Context) string {
	if u, err := url.Parse(c.ServerURL); err == nil && u.Host != "" {
		return u.Host + strings.TrimSuffix(u.Path, "/") + "/" + c.Repository
	}
	return c.Repository
}

// releasePrevious ends machines that earlier runs of the group left and that this home knows nothing of: the home of a CI
// job often ends with it. What this home does know, the launch itself lets go.
func (a *app) releasePrevious(ctx context.Context, c *client, ci *statev1.CIRun) error {
	if ci.GetRepository() == "" || ci.GetRun() == "" {
		return nil
	}
	r, err := c.Gc(ctx, &controlv1.GcRequest{Delete: true, Ci: &controlv1.CIFilter{Repository: ci.GetRepository(), Group: ci.GetGroup(), NotRun: ci.GetRun()}})
	if err != nil {
		return rpcError("release the machines of earlier runs", err)
	}
	for _, o := range r.GetOrphans() {
		if !o.GetDeleted() {
			return &exitError{code: exitInfra, err: fmt.Errorf("machine %s of run %s of the group could not be released: %s\n  sky ci reap --repo %s --run %s",
				o.GetInstanceId(), o.GetCi().GetRun(), o.GetFailure().GetMessage(), ci.GetRepository(), o.GetCi().GetRun())}
		}
		a.note("Released %s (%s) of run %s.", o.GetInstanceId(), infraName(o.GetProvider()), o.GetCi().GetRun())
	}
	for _, e := range r.GetErrors() {
		a.note("warning: machines of earlier runs were not looked for everywhere: %s", e)
	}
	return nil
}

// launchInTurn asks again until the group is free.
func (a *app) launchInTurn(ctx context.Context, c *client, req *controlv1.LaunchRequest, f *statev1.Failure, limit time.Duration) (*controlv1.LaunchResponse, error) {
	a.note("%s\nWaiting for it; --cancel-previous would take it down.", f.GetMessage())
	wctx, cancel := timeLimit(ctx, limit)
	defer cancel()
	tick, told := time.NewTicker(groupEvery), time.NewTicker(heartbeat)
	defer tick.Stop()
	defer told.Stop()
	since := time.Now()
	for {
		select {
		case <-wctx.Done():
			if ctx.Err() != nil {
				return nil, &exitError{code: exitInterrupted, err: fmt.Errorf("interrupted while waiting for concurrency group %q: nothing was launched", req.GetCi().GetGroup())}
			}
			return nil, &exitError{code: exitConflict, err: fmt.Errorf("%s Gave up waiting after %s: nothing was launched", f.GetMessage(), limit)}
		case <-told.C:
			a.note("Waiting for concurrency group %s for %s: %s", req.GetCi().GetGroup(), time.Since(since).Round(time.Second), f.GetMessage())
			continue
		case <-tick.C:
		}
		lctx, done := context.WithTimeout(context.WithoutCancel(ctx), handOverTime)
		resp, err := again(lctx, a, c, func() (*controlv1.LaunchResponse, error) { return c.Launch(lctx, req) })
		done()
		if busy := failureOf(err); busy.GetCode() == groupBusy {
			f = busy
			continue
		}
		return resp, err
	}
}
