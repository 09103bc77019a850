package contract_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"aloft/controller/forge"
	"aloft/controller/forge/comment"
)

func TestAppend(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, w *world) {
		for i, text := range []string{"one", "two", "two", "three"} {
			p := w.post("k", int64(i+1), int64(i), text)
			p.Mode = comment.Append
			w.mustDo(p)
		}
		mine := w.mine()
		if len(mine) != 1 || !strings.HasSuffix(strings.TrimSpace(mine[0].Body), "one\n\n---\n\ntwo\n\n---\n\nthree") {
			t.Errorf("%+v", mine)
		}
		// What does not fit any more goes from the start.
		p := w.post("k", 9, 9, strings.Repeat("long ", (w.kind.Limit()-520)/5))
		p.Mode = comment.Append
		w.mustDo(p)
		if mine := w.mine(); strings.Contains(mine[0].Body, "one") || !strings.Contains(mine[0].Body, "long") {
			t.Errorf("%.200s", mine[0].Body)
		}
	})
}

func TestRecreate(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, w *world) {
		first := w.mustDo(w.post("k", 1, 0, "one")).Comment.ID
		w.others("talk")
		p := w.post("k", 2, 1, "two")
		p.Mode = comment.Recreate
		r := w.mustDo(p)
		if r.Action != comment.Created || r.Removed != 1 || r.Comment.ID <= first {
			t.Errorf("%+v", r)
		}
		if r := w.mustDo(p); r.Action != comment.Unchanged {
			t.Errorf("again: %+v", r)
		}
		old := w.post("k", 1, 5, "late")
		old.Mode = comment.Recreate
		if r := w.mustDo(old); r.Action != comment.Kept {
			t.Errorf("an older run: %+v", r)
		}
		if mine := w.mine(); len(mine) != 1 || !strings.Contains(mine[0].Body, "two") || len(w.all()) != 2 {
			t.Errorf("%+v", mine)
		}
	})
}

// TestRecreateLost loses the answer of the post: there is one comment all the same.
func TestRecreateLost(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, w *world) {
		w.mustDo(w.post("k", 1, 0, "one"))
		lost := false
		w.wire.after = func(r *http.Request, resp *http.Response, _ int) (*http.Response, error) {
			if r.Method != http.MethodPost || lost {
				return resp, nil
			}
			lost = true
			return nil, errCut
		}
		p := w.post("k", 2, 1, "two")
		p.Mode = comment.Recreate
		w.mustDo(p)
		if mine := w.mine(); len(mine) != 1 || !strings.Contains(mine[0].Body, "two") || !lost {
			t.Errorf("%+v", mine)
		}
	})
}

func TestMinimizeOld(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, w *world) {
		w.mustDo(w.post("k", 1, 0, "one"))
		p := w.post("k", 2, 1, "two")
		p.Mode = comment.MinimizeOld
		r, err := comment.Do(context.Background(), w.client(), p)
		if w.kind != forge.GitHub {
			if !errors.Is(err, comment.ErrMinimize) || len(w.mine()) != 1 {
				t.Errorf("%+v, %v", r, err)
			}
			return
		}
		mine := w.fake.By("me")
		if err != nil || len(mine) != 2 || !mine[0].Minimized || mine[1].Minimized || r.Removed != 1 {
			t.Errorf("%v, %+v", err, mine)
		}
	})
}
