package comment

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"aloft/controller/forge"
	"aloft/controller/forge/forgetest"
)

func TestAppend(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, s *forgetest.Server, c forge.Client, _ *bytes.Buffer) {
		for i, text := range []string{"one", "two", "two", "three"} {
			p := post("k", int64(i+1), int64(i), text)
			p.Mode = Append
			mustDo(t, c, p)
		}
		mine := s.By("me")
		if len(mine) != 1 || !strings.HasSuffix(strings.TrimSpace(mine[0].Body), "one\n\n---\n\ntwo\n\n---\n\nthree") {
			t.Errorf("%+v", mine)
		}
		// What does not fit any more goes from the start.
		p := post("k", 9, 9, strings.Repeat("long ", (c.Kind().Limit()-520)/5))
		p.Mode = Append
		mustDo(t, c, p)
		if mine := s.By("me"); strings.Contains(mine[0].Body, "one") || !strings.Contains(mine[0].Body, "long") {
			t.Errorf("%.200s", mine[0].Body)
		}
	})
}

func TestRecreate(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, s *forgetest.Server, c forge.Client, _ *bytes.Buffer) {
		first := mustDo(t, c, post("k", 1, 0, "one")).Comment.ID
		s.Add(place(s.Kind), "other", false, "talk")
		p := post("k", 2, 1, "two")
		p.Mode = Recreate
		r := mustDo(t, c, p)
		if r.Action != Created || r.Removed != 1 || r.Comment.ID <= first {
			t.Errorf("%+v", r)
		}
		if r := mustDo(t, c, p); r.Action != Unchanged {
			t.Errorf("again: %+v", r)
		}
		old := post("k", 1, 5, "late")
		old.Mode = Recreate
		if r := mustDo(t, c, old); r.Action != Kept {
			t.Errorf("an older run: %+v", r)
		}
		if mine := s.By("me"); len(mine) != 1 || !strings.Contains(mine[0].Body, "two") || len(s.Comments()) != 2 {
			t.Errorf("%+v", mine)
		}
	})
}

// TestRecreateLost loses the answer of the post: there is one comment all the same.
func TestRecreateLost(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, s *forgetest.Server, c forge.Client, _ *bytes.Buffer) {
		mustDo(t, c, post("k", 1, 0, "one"))
		lost := false
		s.Lose = func(r *http.Request, _ int) bool {
			l := r.Method == http.MethodPost && !lost
			lost = lost || l
			return l
		}
		p := post("k", 2, 1, "two")
		p.Mode = Recreate
		mustDo(t, c, p)
		if mine := s.By("me"); len(mine) != 1 || !strings.Contains(mine[0].Body, "two") || !lost {
			t.Errorf("%+v", mine)
		}
	})
}

func TestMinimizeOld(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, s *forgetest.Server, c forge.Client, _ *bytes.Buffer) {
		mustDo(t, c, post("k", 1, 0, "one"))
		p := post("k", 2, 1, "two")
		p.Mode = MinimizeOld
		r, err := Do(context.Background(), c, p)
		if s.Kind != forge.GitHub {
			if !errors.Is(err, ErrMinimize) || len(s.By("me")) != 1 {
				t.Errorf("%+v, %v", r, err)
			}
			return
		}
		mine := s.By("me")
		if err != nil || len(mine) != 2 || !mine[0].Minimized || mine[1].Minimized || r.Removed != 1 {
			t.Errorf("%v, %+v", err, mine)
		}
	})
}
