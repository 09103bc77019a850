package api

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"sync"

	"aloft/controller/plan"
	"aloft/controller/state"
	"aloft/controller/store"
	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

// Info says who answers.
func (s *Server) Info(ctx context.Context, _ *controlv1.InfoRequest) (*controlv1.InfoResponse, error) {
	r := &controlv1.InfoResponse{Pid: int64(s.pid), Socket: s.o.Socket, Version: s.o.Version, Commit: s.o.Commit, Home: s.o.Home,
		StartedMs: s.started.UnixMilli(), Sessions: int32(s.o.Sessions()), Ready: s.o.Ready()}
	err := s.o.Store.View(ctx, func(tx store.Tx) error {
		r.Installation, r.Epoch = tx.Installation(), tx.WriterEpoch()
		return nil
	})
	if err != nil {
		return nil, s.reply("read the store", err)
	}
	return r, nil
}

// Shutdown ends the daemon after its commits; agents and jobs go on.
func (s *Server) Shutdown(context.Context, *controlv1.ShutdownRequest) (*controlv1.ShutdownResponse, error) {
	s.o.Stop()
	return &controlv1.ShutdownResponse{}, nil
}

// Check says which providers can be used.
func (s *Server) Check(ctx context.Context, r *controlv1.CheckRequest) (*controlv1.CheckResponse, error) {
	known := map[string]bool{}
	for _, n := range s.o.Providers.Names() {
		known[n] = true
	}
	names := s.o.Providers.Names()
	if len(r.GetInfra()) > 0 {
		names = nil
		for _, n := range r.GetInfra() {
			n = strings.ToLower(strings.SplitN(n, "/", 2)[0])
			if !known[n] {
				return nil, refuse(&statev1.Failure{Kind: statev1.FailureKind_NOT_FOUND, Code: "NO_PROVIDER", Message: fmt.Sprintf("no such infra: %q", n),
					Hint: "allowed: " + strings.Join(s.o.Providers.Names(), ", ")})
			}
			names = append(names, n)
		}
	}
	out := &controlv1.CheckResponse{}
	out.Infra = make([]*controlv1.InfraCheck, len(names))
	var wg sync.WaitGroup
	for i, n := range names {
		wg.Go(func() { out.Infra[i] = s.checkInfra(ctx, n) })
	}
	wg.Wait()
	return out, nil
}

// checkInfra says whether one provider can be used: it is turned on, has credentials, they are accepted, and nothing that it
// needs is forbidden to them.
func (s *Server) checkInfra(ctx context.Context, name string) *controlv1.InfraCheck {
	c := &controlv1.InfraCheck{Name: name}
	no := func(err error) *controlv1.InfraCheck {
		c.Reason = err.Error()
		var e *providers.Error
		if errors.As(err, &e) {
			c.Hint = e.Hint
			if e.Err != nil {
				c.Reason = e.Err.Error() // which place it is is said already
			}
		}
		return c
	}
	if err := s.o.Providers.WhyDisabled(name); err != nil {
		return no(err)
	}
	p, err := s.o.Providers.Get(name)
	if err != nil {
		return no(err)
	}
	ac, ok := p.(providers.AccountChecker)
	if !ok {
		c.Enabled, c.Capabilities = true, []string{"compute"}
		return c
	}
	acc, err := ac.CheckAccount(ctx)
	if err != nil {
		return no(err)
	}
	c.Identity, c.Notes = acc.Identity, acc.Notes
	for _, m := range acc.Missing {
		c.Missing = append(c.Missing, &controlv1.MissingPermission{Name: m.Name, Purpose: m.For, Fix: m.Fix})
	}
	switch n := len(c.Missing); n {
	case 0:
		c.Enabled, c.Capabilities = true, acc.Capabilities
		if len(c.Capabilities) == 0 {
			c.Capabilities = []string{"compute"}
		}
	case 1:
		c.Reason = "a permission is missing"
	default:
		c.Reason = fmt.Sprintf("%d permissions are missing", n)
	}
	return c
}

// Offers lists accelerators that enabled providers sell, the cheapest first.
func (s *Server) Offers(ctx context.Context, r *controlv1.OffersRequest) (*controlv1.OffersResponse, error) {
	out := &controlv1.OffersResponse{}
	cloud, region, _ := strings.Cut(strings.ToLower(r.GetInfra()), "/")
	for _, name := range s.o.Providers.Enabled(ctx) {
		if cloud != "" && cloud != "*" && cloud != name {
			continue
		}
		p, err := s.o.Providers.Get(name)
		if err != nil {
			continue
		}
		for o, err := range p.Offers(ctx, providers.OfferQuery{Region: region}) {
			if err != nil {
				return nil, s.reply("list offers of "+name, err)
			}
			if o.Accelerator == "" || !matchAccelerator(o.Accelerator, r.GetAccelerator()) || r.GetCount() > 0 && o.AcceleratorCount != r.GetCount() {
				continue
			}
			out.Offers = append(out.Offers, &statev1.Candidate{Provider: name, Region: o.Region, Zone: o.Zone, InstanceType: o.InstanceType,
				Accelerator: o.Accelerator, AcceleratorCount: o.AcceleratorCount, Cpus: o.CPUs, MemoryGb: o.MemoryGB, HourlyPrice: o.HourlyPrice})
		}
	}
	sort.SliceStable(out.Offers, func(i, j int) bool {
		a, b := out.Offers[i], out.Offers[j]
		if a.GetAccelerator() != b.GetAccelerator() {
			return a.GetAccelerator() < b.GetAccelerator()
		}
		if a.GetAcceleratorCount() != b.GetAcceleratorCount() {
			return a.GetAcceleratorCount() < b.GetAcceleratorCount()
		}
		return a.GetHourlyPrice() < b.GetHourlyPrice()
	})
	return out, nil
}

// matchAccelerator matches as `sky gpus list A100` does: without case, and also A100-80GB.
func matchAccelerator(have, want string) bool {
	return want == "" || strings.Contains(strings.ToLower(have), strings.ToLower(want))
}

// Gc compares what the providers show with what the store knows.
func (s *Server) Gc(ctx context.Context, r *controlv1.GcRequest) (*controlv1.GcResponse, error) {
	out, err := s.o.Sweeper.Gc(ctx, r)
	if err != nil {
		return nil, s.reply("look for orphans", err)
	}
	return out, nil
}

// whyLimit bounds the events that one answer holds.
const whyLimit = 500

// Why tells how a cluster or job came to its state.
func (s *Server) Why(ctx context.Context, r *controlv1.WhyRequest) (*controlv1.WhyResponse, error) {
	out := &controlv1.WhyResponse{}
	name, jobText, hasJob := strings.Cut(r.GetSubject(), "/")
	err := s.o.Store.View(ctx, func(tx store.Tx) error {
		c, err := store.FindCluster(tx, r.GetProject(), name)
		if err != nil {
			if c = s.lastOf(tx, r.GetProject(), name); c == nil {
				if c, err = store.GetCluster(tx, name); err != nil {
					return notFound("no such cluster: %s", name)
				}
			}
		}
		v := s.clusterView(tx, c, false)
		out.Cluster, out.Rev = v, uint64(tx.Rev())
		now := s.now()
		for _, b := range c.GetBlocks() {
			if c.GetUpMs() == 0 && plan.Holds(b, c.GetLaunchedMs(), now) && c.GetEndedMs() == 0 {
				out.Blocks = append(out.Blocks, b)
			}
		}
		f := store.Filter{ClusterID: c.GetId()}
		out.Subject, out.Failure, out.Attempts = c.GetName(), c.GetFailure(), c.GetAttempts()
		out.Summary = fmt.Sprintf("Cluster %s is %s on %s: %s.", c.GetName(), v.GetStatus(), v.GetInfraText(), v.GetResourcesText())
		if hasJob {
			n, err := strconv.ParseUint(jobText, 10, 32)
			if err != nil {
				return usage("%q: the part after '/' is a job number", r.GetSubject())
			}
			j, _, err := s.findJob(tx, &controlv1.GetJobRequest{JobId: jobID(tx, c.GetId(), uint32(n))})
			if err != nil {
				return noJob(c.GetName(), uint32(n))
			}
			f.Kind, f.ID = store.Job, j.GetId()
			out.Subject, out.Failure, out.Attempts = r.GetSubject(), j.GetFailure(), nil
			out.Summary = fmt.Sprintf("Job %d of cluster %s is %s.", j.GetNumber(), c.GetName(), state.JobStatus(j))
			if j.GetStateReason() != "" {
				out.Summary += " It waits: " + j.GetStateReason()
			}
		}
		evs, err := tx.Events(0, f, 0)
		if err != nil {
			return err
		}
		if len(evs) > whyLimit {
			evs = evs[len(evs)-whyLimit:]
		}
		out.Events = evs
		return nil
	})
	if err != nil {
		return nil, s.reply("tell why", err)
	}
	return out, nil
}

func jobID(tx store.Tx, clusterID string, number uint32) string {
	j, err := store.JobByNumber(tx, clusterID, number)
	if err != nil {
		return "?"
	}
	return j.GetId()
}

// CostReport lists what clusters cost, the newest first.
func (s *Server) CostReport(ctx context.Context, r *controlv1.CostReportRequest) (*controlv1.CostReportResponse, error) {
	out := &controlv1.CostReportResponse{}
	now := s.now().UnixMilli()
	err := s.o.Store.View(ctx, func(tx store.Tx) error {
		cs, _ := s.pick(tx, r.GetProject(), nil, true)
		for _, c := range cs {
			end := c.GetEndedMs()
			if end != 0 && end < r.GetSinceMs() {
				continue
			}
			v := s.clusterView(tx, c, false)
			var up int64
			price := v.GetHourlyPrice()
			for _, b := range c.GetBilling() {
				e := b.GetEndMs()
				if e == 0 {
					e = now
				}
				up = max(up, e-c.GetBilling()[0].GetStartMs())
				if price == 0 {
					price = b.GetHourlyPrice() * float64(b.GetNodes())
				}
			}
			out.Rows = append(out.Rows, &controlv1.CostRow{Name: c.GetName(), LaunchedMs: c.GetLaunchedMs(), DurationMs: up,
				ResourcesText: v.GetResourcesText(), Status: v.GetStatus(), HourlyPrice: price, Cost: v.GetCost(), CostUnknown: v.GetCostUnknown()})
			out.Total += v.GetCost()
			out.TotalUnknown = out.TotalUnknown || v.GetCostUnknown()
		}
		return nil
	})
	if err != nil {
		return nil, s.reply("report costs", err)
	}
	return out, nil
}
