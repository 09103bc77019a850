package api

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/proto"

	"aloft/controller/desired"
	"aloft/controller/state"
	"aloft/controller/store"
	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// Plan answers what Launch would choose; it changes nothing.
func (s *Server) Plan(ctx context.Context, r *controlv1.PlanRequest) (*controlv1.PlanResponse, error) {
	out := &controlv1.PlanResponse{ClusterName: r.GetClusterName()}
	if r.GetClusterName() == "" {
		name, err := s.clusterName("")
		if err != nil {
			return nil, s.reply("make a cluster name", err)
		}
		out.ClusterName = name
	} else {
		err := s.o.Store.View(ctx, func(tx store.Tx) error {
			c, err := store.FindCluster(tx, r.GetProject(), r.GetClusterName())
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			v := s.clusterView(tx, c, false)
			out.ClusterState = v.GetStatus()
			if cand := candidateOf(c, v.GetNodes()); cand != nil {
				out.Candidates = []*statev1.Candidate{cand}
			}
			return nil
		})
		if err != nil {
			return nil, s.reply("read the cluster", err)
		}
		if out.ClusterState != "" {
			return out, nil
		}
	}
	p, err := s.o.Placer.Place(ctx, r.GetTask())
	if err != nil {
		return nil, s.reply("choose where to run", err)
	}
	out.Candidates, out.Shown, out.Hints = p.Candidates, p.Shown, p.Hints
	return out, nil
}

// clusterName makes up a name as SkyPilot does: sky-<4 hex>-<user>.
func (s *Server) clusterName(user string) (string, error) {
	b := make([]byte, 2)
	if _, err := io.ReadFull(s.o.Entropy, b); err != nil {
		return "", fmt.Errorf("read entropy: %w", err)
	}
	name := "sky-" + hex.EncodeToString(b)
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(user))
	if clean != "" {
		name += "-" + clean[:min(len(clean), 16)]
	}
	return name, nil
}

// remembered answers a repeated request with its first answer.
func (s *Server) remembered(ctx context.Context, user, requestID string, into proto.Message) (bool, error) {
	if requestID == "" {
		return false, nil
	}
	var found bool
	err := s.o.Store.View(ctx, func(tx store.Tx) (err error) {
		found, err = recall(tx, user, requestID, into)
		return err
	})
	return found, err
}

// recall reads the first answer of a request. Whoever carries a request out asks again in its own transaction: the same
// request may be under way twice.
func recall(tx store.Tx, user, requestID string, into proto.Message) (bool, error) {
	b, ok := tx.Idem(user, requestID)
	if requestID == "" || !ok {
		return false, nil
	}
	if err := proto.Unmarshal(b, into); err != nil {
		return false, fmt.Errorf("read the answer given before: %w", err)
	}
	return true, nil
}

// adopted finds the job of a request among those of clusters that another home made: its agents told whose they are.
func adopted(tx store.Tx, requestID string, rev uint64, out *controlv1.LaunchResponse) bool {
	if requestID == "" {
		return false
	}
	for _, c := range store.Clusters(tx) {
		if !c.GetAdopted() || c.GetEndedMs() > 0 {
			continue
		}
		for _, j := range store.JobsOf(tx, c.GetId(), 0) {
			if j.GetRequestId() == requestID {
				fillLaunch(out, desired.Result{Cluster: c, Job: j}, rev)
				return true
			}
		}
	}
	return false
}

// remember keeps the answer of a request in the transaction that carried it out.
func (s *Server) remember(tx store.Tx, user, requestID string, answer proto.Message) error {
	if requestID == "" {
		return nil
	}
	b, err := proto.Marshal(answer)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	return tx.PutIdem(user, requestID, b, s.now())
}

// Launch makes or reuses a cluster and queues the task on it.
func (s *Server) Launch(ctx context.Context, r *controlv1.LaunchRequest) (*controlv1.LaunchResponse, error) {
	if r.GetTask() == nil {
		return nil, usage("no task in the request")
	}
	again := &controlv1.LaunchResponse{}
	if ok, err := s.remembered(ctx, r.GetUser(), r.GetRequestId(), again); err != nil || ok {
		return again, s.reply("launch", err)
	}
	if r.GetMaxLifetimeMs() < 0 {
		return nil, usage("max_lifetime_ms is %d: allowed: a time above 0, or 0 for no limit", r.GetMaxLifetimeMs())
	}
	if err := s.checkTrees(r.GetTask()); err != nil {
		return nil, err
	}
	name := r.GetClusterName()
	if name == "" {
		var err error
		if name, err = s.clusterName(r.GetUser()); err != nil {
			return nil, s.reply("make a cluster name", err)
		}
	}
	sealed, err := s.sealSecrets(r.GetSecrets())
	if err != nil {
		return nil, s.reply("seal the secrets", err)
	}
	// Places are ranked before the transaction: it takes calls. A cluster that exists needs none.
	var cands []*statev1.Candidate
	exists := false
	if err := s.o.Store.View(ctx, func(tx store.Tx) error {
		_, err := store.FindCluster(tx, r.GetProject(), name)
		exists = err == nil
		return nil
	}); err != nil {
		return nil, s.reply("read the cluster", err)
	}
	if !exists {
		p, err := s.o.Placer.Place(ctx, r.GetTask())
		if err != nil {
			return nil, s.reply("choose where to run", err)
		}
		cands = p.Candidates
	}
	seed, err := s.seed()
	if err != nil {
		return nil, s.reply("launch", err)
	}
	now := s.now()
	out := &controlv1.LaunchResponse{}
	var down []string // ids of those that are let go
	rev, err := s.o.Store.Update(ctx, func(tx store.Tx) error {
		out.Reset()
		if ok, err := recall(tx, r.GetUser(), r.GetRequestId(), out); err != nil || ok {
			return err
		}
		from := uint64(tx.Rev())
		if adopted(tx, r.GetRequestId(), from, out) {
			return s.remember(tx, r.GetUser(), r.GetRequestId(), out)
		}
		gone, err := desired.Supersede(tx, desired.Target{Project: r.GetProject(), Name: name, User: r.GetUser(), Now: now}, r.GetCi(), r.GetCancelPrevious())
		if err != nil {
			return err
		}
		res, err := desired.Launch(tx, desired.LaunchSpec{Project: r.GetProject(), User: r.GetUser(), ClusterName: name, Seed: seed,
			Task: proto.CloneOf(r.GetTask()), HasJob: r.GetHasRun(), WithSetup: !r.GetNoSetup() && !(r.GetFast() && exists), SealedSecrets: sealed, RequestID: r.GetRequestId(),
			Candidates: cands, Autostop: r.GetAutostop(), Budget: clusterBudget(r.GetTask().GetBudget(), r.GetMaxLifetimeMs()), RetryUntilUp: r.GetRetryUntilUp(), CommandLine: r.GetCommandLine(), CI: r.GetCi(), Now: now})
		if err != nil {
			return err
		}
		fillLaunch(out, res, from)
		out.Superseded, down = gone, nil
		for _, n := range gone {
			if c, err := store.FindCluster(tx, r.GetProject(), n); err == nil {
				down = append(down, c.GetId())
			}
		}
		return s.remember(tx, r.GetUser(), r.GetRequestId(), out)
	})
	if err != nil {
		return nil, s.reply("launch", err)
	}
	_ = rev
	s.o.Kick(out.GetClusterId())
	for _, id := range down {
		s.o.Kick(id)
	}
	return out, nil
}

// clusterBudget is what a cluster may cost and how long it may live, in milliseconds; 0 = for ever. A task's max_duration
// is the job's own, and says nothing of the machines.
func clusterBudget(b *statev1.Budget, lifetime int64) *statev1.Budget {
	if b.GetMaxCost() == 0 && b.GetMaxHourlyCost() == 0 && lifetime <= 0 {
		return nil
	}
	return &statev1.Budget{MaxCost: b.GetMaxCost(), MaxHourlyCost: b.GetMaxHourlyCost(), MaxDurationMs: max(lifetime, 0)}
}

// fillLaunch writes the answer. Its rev is the one before the launch, so that a watch from there misses nothing.
func fillLaunch(out *controlv1.LaunchResponse, res desired.Result, rev uint64) {
	out.ClusterId, out.ClusterName = res.Cluster.GetId(), res.Cluster.GetName()
	out.Created, out.Restarted, out.Rev = res.Created, res.Restarted, rev
	if res.Job != nil {
		out.JobId, out.JobNumber, out.TaskId = res.Job.GetId(), res.Job.GetNumber(), res.Job.GetTaskId()
	}
}

// seed makes ids of one request unlike those of any other.
func (s *Server) seed() (string, error) {
	return state.NewID(s.now(), s.o.Entropy)
}

// Exec queues a task on an UP cluster, without setup.
func (s *Server) Exec(ctx context.Context, r *controlv1.ExecRequest) (*controlv1.LaunchResponse, error) {
	if r.GetTask() == nil {
		return nil, usage("no task in the request")
	}
	again := &controlv1.LaunchResponse{}
	if ok, err := s.remembered(ctx, r.GetUser(), r.GetRequestId(), again); err != nil || ok {
		return again, s.reply("exec", err)
	}
	if err := s.checkTrees(r.GetTask()); err != nil {
		return nil, err
	}
	sealed, err := s.sealSecrets(r.GetSecrets())
	if err != nil {
		return nil, s.reply("seal the secrets", err)
	}
	seed, err := s.seed()
	if err != nil {
		return nil, s.reply("exec", err)
	}
	now := s.now()
	out := &controlv1.LaunchResponse{}
	_, err = s.o.Store.Update(ctx, func(tx store.Tx) error {
		out.Reset()
		if ok, err := recall(tx, r.GetUser(), r.GetRequestId(), out); err != nil || ok {
			return err
		}
		from := uint64(tx.Rev())
		if adopted(tx, r.GetRequestId(), from, out) {
			return s.remember(tx, r.GetUser(), r.GetRequestId(), out)
		}
		res, err := desired.Exec(tx, desired.LaunchSpec{Project: r.GetProject(), User: r.GetUser(), ClusterName: r.GetClusterName(), Seed: seed,
			Task: proto.CloneOf(r.GetTask()), HasJob: true, SealedSecrets: sealed, RequestID: r.GetRequestId(), CommandLine: r.GetCommandLine(), Now: now})
		if err != nil {
			return err
		}
		fillLaunch(out, res, from)
		return s.remember(tx, r.GetUser(), r.GetRequestId(), out)
	})
	if err != nil {
		return nil, s.reply("exec", err)
	}
	s.o.Kick(out.GetClusterId())
	return out, nil
}

// checkTrees refuses a task whose files are not here yet.
func (s *Server) checkTrees(t *statev1.TaskSpec) error {
	trees := append([]*statev1.FileTree{}, t.GetMounts()...)
	if t.GetWorkdir() != nil {
		trees = append(trees, t.GetWorkdir())
	}
	for _, tr := range trees {
		if !s.o.Blobs.Has(tr.GetManifest()) {
			return usage("the files for %s were not sent before the launch", tr.GetDestination())
		}
	}
	return nil
}

// sealSecrets encrypts the secrets of a request; nothing is written in the clear.
func (s *Server) sealSecrets(secrets map[string]string) ([]byte, error) {
	if len(secrets) == 0 {
		return nil, nil
	}
	plain, err := proto.Marshal(&statev1.SecretMap{Values: secrets})
	if err != nil {
		return nil, fmt.Errorf("encode the secrets: %w", err)
	}
	return s.o.Sealer.Seal(plain)
}
