package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"aloft/agent/shim"
)

// nodeFile names the node that a state directory belongs to.
const nodeFile = "node"

// settle makes sure that the state directory is of this node. A machine may be another cluster's node today than it was
// yesterday; what is left of the former one is ended and removed, for nobody will ask for it.
func settle(ctx context.Context, o *Options) error {
	path := filepath.Join(o.StateDir, nodeFile)
	b, err := os.ReadFile(path)
	former := strings.TrimSpace(string(b))
	switch {
	case o.NodeID == "":
		o.NodeID = former
		return nil
	case err == nil && former == o.NodeID:
		return nil
	case err == nil:
		o.Logger.Warn("this machine was another node before: removing what is left of it", "node", former)
		if err := clearNode(ctx, o); err != nil {
			return fmt.Errorf("remove what is left of node %s: %w", former, err)
		}
	case !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("read the node's id: %w", err)
	}
	if err := os.WriteFile(path, []byte(o.NodeID+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the node's id: %w", err)
	}
	return nil
}

// clearNode ends every process that an agent of this directory started, and empties the directory.
func clearNode(ctx context.Context, o *Options) error {
	k := shim.NewKeeper(filepath.Join(o.StateDir, "shims"), o.Self, shim.Options{MinIdle: -1, Log: o.Logger})
	left, err := k.Adopt(ctx)
	for _, p := range left {
		err = errors.Join(err, p.Stop(ctx, 0, 0))
	}
	for _, p := range left {
		_, werr := p.Wait(ctx)
		err = errors.Join(err, werr)
	}
	if err = errors.Join(err, k.Close()); err != nil {
		return err
	}
	for _, name := range []string{"shims", "spool", "results", "jobs", "journal", "gang.key"} {
		if err := os.RemoveAll(filepath.Join(o.StateDir, name)); err != nil {
			return err
		}
	}
	return nil
}
