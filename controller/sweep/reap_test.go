package sweep_test

import (
	"context"
	"iter"
	"path/filepath"
	"slices"
	"strings"
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

// sleepers is a cloud whose machines do not end at their deadlines.
type sleepers struct {
	*fake.Cloud
	deadlines map[string]time.Time // by token
}

func (c *sleepers) Enabled(context.Context) []string { return []string{"fake"} }

func (c *sleepers) Get(string) (providers.Provider, error) { return c, nil }

func (c *sleepers) Describe(ctx context.Context, s providers.Selector) iter.Seq2[providers.Instance, error] {
	return func(yield func(providers.Instance, error) bool) {
		for in, err := range c.Cloud.Describe(ctx, s) {
			in.Deadline = c.deadlines[in.Token]
			if !yield(in, err) {
				return
			}
		}
	}
}

// TestReap ends machines of CI jobs by their tags: those of any home, but not what this one's clusters own, nor what no CI
// job asked for.
func TestReap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, err := boltstore.Open(filepath.Join(t.TempDir(), "state.db"), boltstore.Options{NoSync: true, Installation: "mine"})
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		cloud := fake.New(fake.Config{Idempotency: providers.IdempotencyNone})
		names := map[string]string{} // by id
		make := func(name, installation string, ci providers.CIRun) string {
			in, err := cloud.Create(t.Context(), providers.CreateRequest{Token: state.Token(installation, name, 1),
				Tags: providers.Tags{Installation: installation, NodeID: name, ClusterName: "c", CI: ci}, Spec: providers.NodeSpec{Region: "east", Zone: "east-a"}})
			if err != nil {
				t.Fatal(err)
			}
			names[in.ID] = name
			return in.ID
		}
		run := func(repo, id, group string) providers.CIRun {
			return providers.CIRun{System: "github", Repository: repo, Run: id, Job: "fit", Group: group}
		}
		const model, other = "github.com/acme/model", "github.com/acme/other"
		make("old", "dead", run(model, "7", ""))
		make("in use", "dead", run(other, "7", ""))
		make("other repository", "dead", run(other, "7", ""))
		make("no ci", "dead", providers.CIRun{})
		make("no ci of ours", "mine", providers.CIRun{})
		owned := make("owned", "mine", run(model, "7", ""))
		make("lost", "mine", run(model, "8", ""))
		if _, err := st.Update(t.Context(), func(tx store.Tx) error {
			return tx.PutIntent(&statev1.Intent{NodeId: "owned", Attempt: 1, Phase: statev1.IntentPhase_INTENT_BOUND, Token: state.Token("mine", "owned", 1),
				Provider: "fake", InstanceId: owned})
		}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		make("young", "dead", run(model, "9", "main"))
		make("overdue", "dead", run(model, "9", ""))
		deadlines := map[string]time.Time{state.Token("dead", "overdue", 1): time.Now(), state.Token("dead", "in use", 1): time.Now().Add(time.Hour)}
		make("late", "dead", run(model, "11", "main"))
		time.Sleep(10 * time.Minute)
		s := sweep.New(sweep.Options{Store: st, Providers: &sleepers{cloud, deadlines}})
		reap := func(del bool, f *controlv1.CIFilter) string {
			t.Helper()
			r, err := s.Gc(t.Context(), &controlv1.GcRequest{Delete: del, Ci: f})
			if err != nil || len(r.GetErrors()) > 0 {
				t.Fatalf("%v, %v", r, err)
			}
			var got []string
			for _, o := range r.GetOrphans() {
				if o.GetDeleted() != del || o.GetCi().GetRepository() == "" || o.GetReason() == "" {
					t.Errorf("%v", o)
				}
				got = append(got, names[o.GetInstanceId()])
			}
			slices.Sort(got)
			return strings.Join(got, ", ")
		}
		hours, minutes := time.Hour.Milliseconds(), time.Minute.Milliseconds()
		for _, x := range []struct {
			f    *controlv1.CIFilter
			want string
		}{
			{&controlv1.CIFilter{Repository: model, OlderThanMs: 2 * hours, OverdueMs: 15 * minutes}, "lost, old"},
			{&controlv1.CIFilter{Repository: "GitHub.com/Acme/Model", OlderThanMs: 2 * hours, OverdueMs: 5 * minutes}, "lost, old, overdue"},
			// The deadline of one is still to come.
			{&controlv1.CIFilter{Repository: other, OlderThanMs: 2 * hours, SpareLeased: true}, "other repository"},
			{&controlv1.CIFilter{OlderThanMs: 2 * hours, OverdueMs: hours}, "in use, lost, old, other repository"},
			{&controlv1.CIFilter{Repository: model, Run: "9"}, "overdue, young"},
			{&controlv1.CIFilter{Repository: model, Run: "10"}, ""},
			// What stands in the way of run 10 of the group: neither its own machines nor those of later runs.
			{&controlv1.CIFilter{Repository: model, Group: "main", NotRun: "10"}, "young"},
			{&controlv1.CIFilter{Repository: model, Group: "main", NotRun: "9"}, ""},
		} {
			if got := reap(false, x.f); got != x.want {
				t.Errorf("%v: %q, want %q", x.f, got, x.want)
			}
		}
		if n := cloud.Calls("delete"); n != 0 {
			t.Fatalf("looking deleted %d machines", n)
		}
		reap(true, &controlv1.CIFilter{Repository: model, OlderThanMs: 2 * hours, OverdueMs: 5 * minutes})
		var left []string
		for _, l := range cloud.Lives() {
			if l.Ended.IsZero() {
				left = append(left, names[l.ID])
			}
		}
		slices.Sort(left)
		if got := strings.Join(left, ", "); got != "in use, late, no ci, no ci of ours, other repository, owned, young" {
			t.Errorf("left: %s", got)
		}
		if got := reap(true, &controlv1.CIFilter{Repository: model, OlderThanMs: 2 * hours, OverdueMs: 5 * minutes}); got != "" {
			t.Errorf("again: %s", got)
		}
	})
}
