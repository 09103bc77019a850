// Package sweep finds machines that the places show as ours and the store does not know, or knows otherwise, and ends
// them: the last net of the no-leak protocol (rule R4 of docs/no-leak.md).
package sweep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"aloft/controller/state"
	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

// Providers are the places to be swept.
type Providers interface {
	// Enabled lists the providers that may be used.
	Enabled(ctx context.Context) []string
	// Get finds a provider by name.
	Get(name string) (providers.Provider, error)
}

// Options are the ports and numbers of a Sweeper.
type Options struct {
	Store     store.Store
	Providers Providers
	Grace     time.Duration // younger machines are left alone; 0 = 5 min
	Every     time.Duration // pace of Run; 0 = 10 min
	Keep      time.Duration // released intents are kept this long; 0 = 8 days, longer than any place remembers tokens
	Seed      uint64        // of the jitter
	// Made is when the store was made, where it was made anew after one was lost: machines older than that are reported, and
	// deleted or adopted only when somebody asks for it.
	Made time.Time
	// Kin begins the installations of homes that share this one's key; "" = it is shared with none.
	Kin string
	// Owns decides; nil = Owned. Simulations put wrong rules here to prove that they would notice.
	Owns func(in *statev1.Intent, i providers.Instance) bool
	Log  *slog.Logger // nil = none
}

// Sweeper compares what the places show with what the store knows.
type Sweeper struct{ o Options }

// Orphan is a machine of this installation that nobody wants.
type Orphan struct {
	Provider string
	Instance providers.Instance
	Reason   string
	Foreign  bool // of another installation
	Deleted  bool
	Adopted  bool
	Err      error
}

// Report is the outcome of one sweep.
type Report struct {
	Instances int // seen alive
	Owned     int
	Young     int // not owned, but within the grace
	Orphans   []Orphan
	Errors    []error // places that could not be listed
}

// New makes a Sweeper.
func New(o Options) *Sweeper {
	if o.Grace == 0 {
		o.Grace = 5 * time.Minute
	}
	if o.Every == 0 {
		o.Every = 10 * time.Minute
	}
	if o.Keep == 0 {
		o.Keep = 8 * 24 * time.Hour
	}
	if o.Owns == nil {
		o.Owns = Owned
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Sweeper{o: o}
}

// Owned is rule R4: a machine is ours and wanted only if its intent still waits for the answer of a call with the
// machine's token, or is bound to this very machine. A token alone proves nothing: a call may have made two.
func Owned(in *statev1.Intent, i providers.Instance) bool {
	switch in.GetPhase() {
	case statev1.IntentPhase_INTENT_ISSUED:
		return in.GetToken() == i.Token
	case statev1.IntentPhase_INTENT_BOUND:
		return in.GetInstanceId() == i.ID
	}
	return false
}

// Run sweeps until ctx ends: the first time it only reports, so that a restored backup does not delete what it forgot
// before anybody could look; ready is closed then.
func (s *Sweeper) Run(ctx context.Context, ready chan<- struct{}) error {
	for n := 0; ; n++ {
		r, err := s.Sweep(ctx, n > 0)
		if err != nil && ctx.Err() == nil {
			s.o.Log.Warn("sweep", "err", err)
		}
		for _, o := range r.Orphans {
			s.o.Log.Warn("orphan", "provider", o.Provider, "instance", o.Instance.ID, "cluster", o.Instance.Tags.ClusterName, "reason", o.Reason, "deleted", o.Deleted, "err", o.Err)
		}
		if n == 0 && ready != nil {
			close(ready)
		}
		t := time.NewTimer(s.o.Every + state.Jitter(s.o.Every/8+time.Microsecond, s.o.Seed, "sweep", fmt.Sprint(n)))
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
	}
}

// Sweep compares once. Without remove it only reports.
func (s *Sweeper) Sweep(ctx context.Context, remove bool) (Report, error) {
	var r Report
	var installation string
	if err := s.o.Store.View(ctx, func(tx store.Tx) error { installation = tx.Installation(); return nil }); err != nil {
		return r, fmt.Errorf("sweep: %w", err)
	}
	for _, name := range s.places(ctx) {
		if err := s.place(ctx, name, installation, remove, &r); err != nil {
			r.Errors = append(r.Errors, fmt.Errorf("%s: %w", name, err))
		}
	}
	if remove {
		_, err := s.o.Store.Update(ctx, func(tx store.Tx) error {
			_, err := tx.PruneIntents(time.Now().Add(-s.o.Keep))
			return err
		})
		if err != nil {
			return r, fmt.Errorf("prune intents: %w", err)
		}
	}
	return r, errors.Join(r.Errors...)
}

// places are the enabled providers and those that the store has machines of.
func (s *Sweeper) places(ctx context.Context) []string {
	names := s.o.Providers.Enabled(ctx)
	seen := map[string]bool{}
	for _, n := range names {
		seen[n] = true
	}
	_ = s.o.Store.View(ctx, func(tx store.Tx) error {
		for _, in := range tx.Intents("") {
			if !seen[in.GetProvider()] {
				seen[in.GetProvider()] = true
				names = append(names, in.GetProvider())
			}
		}
		return nil
	})
	return names
}

func (s *Sweeper) place(ctx context.Context, name, installation string, remove bool, r *Report) error {
	p, err := s.o.Providers.Get(name)
	if err != nil {
		return err
	}
	if !p.Capabilities().Tags {
		return nil
	}
	// The list comes first: an intent is durable before its machine can be seen, so whatever is in the list has its
	// intent in the store by now.
	var seen []providers.Instance
	for in, err := range p.Describe(ctx, providers.Selector{Installation: installation}) {
		if err != nil {
			return fmt.Errorf("list: %w", err)
		}
		if in.State.Alive() && in.State != providers.InstanceTerminating {
			seen = append(seen, in)
		}
	}
	if len(seen) == 0 {
		return nil
	}
	var orphans []Orphan
	err = s.o.Store.View(ctx, func(tx store.Tx) error {
		orphans = nil
		for _, in := range seen {
			if in.Tags.Installation != installation {
				continue // never touch what is another's, whatever the listing says
			}
			intent, err := tx.IntentByToken(in.Token)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			r.Instances++
			switch {
			case intent != nil && s.o.Owns(intent, in):
				r.Owned++
			case time.Since(in.Created) <= s.o.Grace:
				r.Young++
			case in.Created.Before(s.o.Made):
				orphans = append(orphans, Orphan{Provider: name, Instance: in, Reason: "older than the store: sky gc --adopt takes it over"})
			default:
				orphans = append(orphans, Orphan{Provider: name, Instance: in, Reason: reason(intent, in)})
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read intents: %w", err)
	}
	for _, o := range orphans {
		if remove && !o.Instance.Created.Before(s.o.Made) {
			o.Err = p.Delete(ctx, o.Instance.InstanceRef)
			o.Deleted = o.Err == nil
		}
		r.Orphans = append(r.Orphans, o)
	}
	return nil
}

func reason(in *statev1.Intent, i providers.Instance) string {
	switch {
	case in == nil:
		return "the store does not know its token"
	case in.GetPhase() == statev1.IntentPhase_INTENT_RELEASED:
		return "its node was given up"
	}
	return "its node is bound to " + in.GetInstanceId() + ", not to " + i.ID
}
