package sweep_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"aloft/controller/state"
	"aloft/controller/store"
	"aloft/controller/store/boltstore"
	"aloft/controller/sweep"
	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
	"aloft/providers/fake"
)

// places is one cloud, and one that nobody can list.
type places struct{ cloud *fake.Cloud }

func (p places) Enabled(context.Context) []string { return []string{"fake"} }

func (p places) Get(name string) (providers.Provider, error) {
	if name != "fake" {
		return nil, &providers.Error{Provider: name, Op: "get", Kind: providers.Auth, Err: errors.New("credentials have expired")}
	}
	return p.cloud, nil
}

func TestOwned(t *testing.T) {
	t.Parallel()
	const issued, bound, released = statev1.IntentPhase_INTENT_ISSUED, statev1.IntentPhase_INTENT_BOUND, statev1.IntentPhase_INTENT_RELEASED
	for _, x := range []struct {
		phase     statev1.IntentPhase
		token, id string
		want      bool
	}{
		{issued, "t", "i-1", true}, {issued, "u", "i-1", false}, {bound, "t", "i-1", true}, {bound, "t", "i-2", false},
		{released, "t", "i-1", false}, {released, "t", "i-2", false},
	} {
		in := &statev1.Intent{Phase: x.phase, Token: "t", InstanceId: "i-1"}
		if got := sweep.Owned(in, providers.Instance{Token: x.token, InstanceRef: providers.InstanceRef{ID: x.id}}); got != x.want {
			t.Errorf("%v, token %s, instance %s: %v", x.phase, x.token, x.id, got)
		}
	}
	if sweep.Owned(nil, providers.Instance{}) {
		t.Error("owned without an intent")
	}
}

func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, err := boltstore.Open(filepath.Join(t.TempDir(), "state.db"), boltstore.Options{NoSync: true, Installation: "mine"})
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		cloud := fake.New(fake.Config{Idempotency: providers.IdempotencyNone})
		make := func(node, installation string) string {
			in, err := cloud.Create(t.Context(), providers.CreateRequest{
				Token: state.Token("mine", node, 1), Tags: providers.Tags{Installation: installation, NodeID: node, ClusterName: "c"}, Spec: providers.NodeSpec{Region: "east", Zone: "east-a"},
			})
			if err != nil {
				t.Fatal(err)
			}
			return in.ID
		}
		intent := func(node string, p statev1.IntentPhase, id, provider string) {
			if _, err := st.Update(t.Context(), func(tx store.Tx) error {
				return tx.PutIntent(&statev1.Intent{
					NodeId: node, Attempt: 1, Phase: p, Token: state.Token("mine", node, 1), Provider: provider, InstanceId: id, ReleasedMs: time.Now().UnixMilli(),
				})
			}); err != nil {
				t.Fatal(err)
			}
		}
		waiting := make("waiting", "mine")
		bound := make("bound", "mine")
		twin := make("bound", "mine")
		given := make("given", "mine")
		unknown := make("unknown", "mine")
		stranger := make("stranger", "another")
		intent("waiting", statev1.IntentPhase_INTENT_ISSUED, "", "fake")
		intent("bound", statev1.IntentPhase_INTENT_BOUND, bound, "fake")
		intent("given", statev1.IntentPhase_INTENT_RELEASED, given, "fake")
		s := sweep.New(sweep.Options{Store: st, Providers: places{cloud}})

		if r, err := s.Sweep(t.Context(), true); err != nil || r.Instances != 5 || r.Owned != 2 || r.Young != 3 || len(r.Orphans) != 0 {
			t.Fatalf("young machines: %+v, %v", r, err)
		}
		time.Sleep(6 * time.Minute)
		orphans := func(r sweep.Report) (out []string) {
			for _, o := range r.Orphans {
				out = append(out, o.Instance.ID)
			}
			slices.Sort(out)
			return out
		}
		want := slices.Sorted(slices.Values([]string{twin, given, unknown}))
		if r, err := s.Sweep(t.Context(), false); err != nil || !slices.Equal(orphans(r), want) || r.Orphans[0].Deleted {
			t.Fatalf("report: %+v, %v", r, err)
		}
		if got := cloud.Calls("delete"); got != 0 {
			t.Fatalf("a report deleted %d machines", got)
		}
		intent("elsewhere", statev1.IntentPhase_INTENT_BOUND, "x", "expired")
		out, err := s.Gc(t.Context(), &controlv1.GcRequest{Delete: true})
		if err != nil {
			t.Fatal(err)
		}
		out.Orphans = slices.DeleteFunc(out.Orphans, func(o *controlv1.Orphan) bool {
			if o.GetForeign() && (o.GetDeleted() || o.GetInstanceId() != stranger) {
				t.Errorf("foreign machine %v", o)
			}
			return o.GetForeign()
		})
		if len(out.GetErrors()) != 1 || len(out.GetOrphans()) != 3 || !out.GetOrphans()[0].GetDeleted() || out.GetOrphans()[0].GetReason() == "" {
			t.Fatalf("gc: %v, %v", out, err)
		}
		var alive []string
		for _, l := range cloud.Lives() {
			if l.Ended.IsZero() {
				alive = append(alive, l.ID)
			}
		}
		slices.Sort(alive)
		if want := slices.Sorted(slices.Values([]string{waiting, bound, stranger})); !slices.Equal(alive, want) {
			t.Fatalf("left %v, want %v", alive, want)
		}
		// Tombstones go after their time, intents that stand never.
		time.Sleep(9 * 24 * time.Hour)
		if _, err := s.Sweep(t.Context(), true); err == nil {
			t.Fatal("a place that cannot be listed is no error")
		}
		if err := st.View(t.Context(), func(tx store.Tx) error {
			if n := len(tx.Intents("")); n != 3 {
				t.Errorf("%d intents left, want 3", n)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, err := boltstore.Open(filepath.Join(t.TempDir(), "state.db"), boltstore.Options{NoSync: true, Installation: "mine"})
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		cloud := fake.New(fake.Config{Tokens: true})
		if _, err := cloud.Create(t.Context(), providers.CreateRequest{Token: "sky1-lost", Tags: providers.Tags{Installation: "mine"}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		ready := make(chan struct{})
		done := make(chan error)
		go func() {
			done <- sweep.New(sweep.Options{Store: st, Providers: places{cloud}}).Run(ctx, ready)
		}()
		<-ready
		if cloud.Calls("delete") != 0 {
			t.Error("the first sweep deletes")
		}
		time.Sleep(15 * time.Minute)
		if l := cloud.Lives(); l[0].Ended.IsZero() {
			t.Error("the orphan is left")
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
	})
}
