package contract_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"aloft/controller/forge"
	"aloft/controller/forge/comment"
)

// TestThousand posts from a thousand jobs at once, none of which sees another before it posts: one comment is left, that of
// the last run.
func TestThousand(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("SKIPPED: a thousand jobs take a while")
	}
	synctest.Test(t, func(t *testing.T) {
		w, stop := fakeWorld(t, forge.GitHub)
		defer stop()
		w.fake.Unchecked = true
		w.others("talk")
		c := w.client()
		const jobs = 1000
		var looked atomic.Int64
		all := make(chan struct{})
		w.wire.after = func(r *http.Request, resp *http.Response, _ int) (*http.Response, error) {
			if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/comments") && looked.Load() < jobs {
				if looked.Add(1) == jobs {
					close(all)
				}
				<-all
			}
			return resp, nil
		}
		var wg sync.WaitGroup
		for i := range int64(jobs) {
			wg.Go(func() {
				if _, err := comment.Do(context.Background(), c, w.post("k", 100+i, i, fmt.Sprintf("run %d.", 100+i))); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		t.Logf("%d requests: %d GET, %d POST, %d PATCH, %d DELETE", len(w.fake.Log), w.fake.Requests("GET"), w.fake.Requests("POST"), w.fake.Requests("PATCH"), w.fake.Requests("DELETE"))
		if mine := w.mine(); len(mine) != 1 || !strings.Contains(mine[0].Body, "run 1099.") {
			t.Errorf("%d comments are left", len(mine))
		}
	})
}
