package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"aloft/controller/seal"
	controlv1 "aloft/proto/sky/control/v1"
)

// homeKeyEnv holds the key that homes of one project's CI jobs share.
const homeKeyEnv = "ALOFT_HOME_KEY"

// rebuildTime is how long agents may take to tell what they hold.
const rebuildTime = 2 * time.Minute

func newCIKeyCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "key",
		Short: "Make a key by which homes of CI jobs find each other's clusters",
		Long: `Make a key by which the homes of CI jobs find each other's clusters. Keep it as a
secret of the repository and give it to jobs as $` + homeKeyEnv + `: a home that is made
then has this key. A step that is tried again on another machine finds the job of its
first try; sky wait, logs, cancel and down of a later CI job find a cluster by its name.
Whoever has the key and the cloud's credentials can do what the jobs can: open their
machines and read their secrets.`,
		Example: `  sky ci key | gh secret set ` + homeKeyEnv,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			key, err := seal.NewKey()
			if err != nil {
				return err
			}
			a.say("%s", key)
			return nil
		},
	}
}

// shareKey gives this home the key of the environment, unless it has it.
func (a *app) shareKey() error {
	if a.homeKey == "" {
		return nil
	}
	switch err := seal.Share(a.home, a.homeKey); {
	case errors.Is(err, seal.ErrOtherKey):
		return &exitError{code: exitConfig, err: fmt.Errorf("$%s is not the key of %s: unset it, or set ALOFT_HOME to an empty directory", homeKeyEnv, a.home)}
	case errors.Is(err, seal.ErrBadKey):
		return &exitError{code: exitConfig, err: fmt.Errorf("$%s: %w\n  make one: sky ci key", homeKeyEnv, err)}
	case err != nil:
		return &exitError{code: exitConfig, err: err}
	}
	return nil
}

// connectTo connects, and finds clusters of these names that homes with the same key made, when this one does not know them.
// A name may be followed by a job's number.
func (a *app) connectTo(ctx context.Context, names ...string) (*client, error) {
	c, err := a.connect(ctx)
	if err != nil || a.homeKey == "" {
		return c, err
	}
	var ask []string
	for _, n := range names {
		n, _, _ = strings.Cut(n, "/")
		if n == "" || strings.ContainsAny(n, "*?[") || strings.Trim(n, "0123456789") == "" {
			continue
		}
		r, err := c.Clusters(ctx, &controlv1.ClustersQuery{Names: []string{n}})
		if err == nil && len(r.GetClusters()) == 0 {
			ask = append(ask, n)
		}
	}
	if len(ask) == 0 {
		return c, nil
	}
	if _, err := a.takeOver(ctx, c, &controlv1.GcRequest{Adopt: true, Kin: true, Clusters: ask}); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// findByKey finds the cluster that an earlier try of this step made in another home, by the key in its tags; "" = none.
func (a *app) findByKey(ctx context.Context, c *client, key string) (string, error) {
	ci := a.ciRun("", key)
	if a.homeKey == "" || key == "" || ci == nil {
		return "", nil
	}
	return a.takeOver(ctx, c, &controlv1.GcRequest{Adopt: true, Kin: true, Ci: &controlv1.CIFilter{Repository: ci.GetRepository(), Key: key}})
}

// takeOver adopts what a request means, waits until the agents have told what they hold, and names one of the clusters.
func (a *app) takeOver(ctx context.Context, c *client, ask *controlv1.GcRequest) (string, error) {
	r, err := c.Gc(ctx, ask)
	if err != nil {
		return "", rpcError("look for clusters of homes with the same key", err)
	}
	for _, e := range r.GetErrors() {
		a.note("warning: clusters of homes with the same key were not looked for everywhere: %s", e)
	}
	name := ""
	for _, o := range r.GetOrphans() {
		if !o.GetAdopted() {
			a.note("warning: %s of cluster %s: %s", o.GetInstanceId(), o.GetClusterName(), o.GetFailure().GetMessage())
			continue
		}
		if name != o.GetClusterName() {
			name = o.GetClusterName()
			a.note("Found cluster %s, which another home made.", name)
		}
	}
	if name == "" {
		return "", nil
	}
	wctx, cancel := context.WithTimeout(ctx, rebuildTime)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		v, err := c.Clusters(wctx, &controlv1.ClustersQuery{Names: []string{name}})
		if err == nil && !adopting(v) {
			return name, nil
		}
		select {
		case <-tick.C:
		case <-wctx.Done():
			if ctx.Err() != nil {
				return "", &exitError{code: exitInterrupted, err: errors.New("interrupted")}
			}
			a.note("warning: cluster %s does not answer; what it runs is not known", name)
			return name, nil
		}
	}
}

// adopting reports whether a machine has not told yet what it holds.
func adopting(v *controlv1.ClustersAnswer) bool {
	for _, cl := range v.GetClusters() {
		for _, n := range cl.GetNodes() {
			if n.GetAdopting() {
				return true
			}
		}
	}
	return false
}
