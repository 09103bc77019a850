package sim_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"

	"aloft/controller/api"
	"aloft/controller/catalog"
	"aloft/controller/store"
	"aloft/controller/store/boltstore"
	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers/fake"
)

// crowd is a placer that answers nobody before everybody has come.
type crowd struct {
	*world
	wait *sync.WaitGroup
}

// Place waits for the others.
func (c crowd) Place(ctx context.Context, t *statev1.TaskSpec) (*catalog.Placement, error) {
	c.wait.Done()
	c.wait.Wait()
	return c.world.Place(ctx, t)
}

// TestOneRequestAtOnce: the same launch that comes several times at the same moment is one launch, with one answer.
func TestOneRequestAtOnce(t *testing.T) {
	t.Parallel()
	st, err := boltstore.Open(filepath.Join(t.TempDir(), "state.db"), boltstore.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	const callers = 8
	s := scenario{}
	w := &world{clouds: places{newPlace(&s, placeMoves, fake.Config{Name: "fake"})}}
	all := crowd{w, &sync.WaitGroup{}}
	all.wait.Add(callers)
	srv := api.New(api.Options{
		Store: st, Providers: w.clouds, Placer: all, Kick: func(string) {}, Entropy: &lockedEntropy{r: rand.NewChaCha8([32]byte{})},
		Logger: slog.New(slog.DiscardHandler), Busy: func() {},
	}, 1)
	answers := make([]*controlv1.LaunchResponse, callers)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			r, err := srv.Launch(context.Background(), &controlv1.LaunchRequest{RequestId: "r", User: "u", HasRun: true, Task: &statev1.TaskSpec{Run: "true"}})
			if err != nil {
				t.Error(err)
			}
			answers[i] = r
		})
	}
	wg.Wait()
	for _, r := range answers[1:] {
		if r.GetClusterId() != answers[0].GetClusterId() || r.GetJobId() != answers[0].GetJobId() || r.GetJobId() == "" {
			t.Errorf("answers %v and %v", answers[0], r)
		}
	}
	if err := st.View(context.Background(), func(tx store.Tx) error {
		if cs, js := store.Clusters(tx), store.OpenJobs(tx); len(cs) != 1 || len(js) != 1 {
			t.Errorf("%d clusters and %d jobs of one request", len(cs), len(js))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// lockedEntropy is a seeded source for several callers.
type lockedEntropy struct {
	mu sync.Mutex
	r  *rand.ChaCha8
}

// Read never fails.
func (e *lockedEntropy) Read(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.r.Read(p)
}
