package contract_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"aloft/controller/forge"
	"aloft/controller/forge/comment"
)

func numbered(n int, text string) []string {
	var out []string
	for i := range n {
		out = append(out, text+" "+strconv.Itoa(i))
	}
	return out
}

// TestOneComment posts again and again among comments of others, of which there are several pages.
func TestOneComment(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, w *world) {
		first, then := 150, 100
		if w.fake == nil { // its list is one page however long it is, and each comment takes it a while
			first, then = 30, 20
		}
		w.others(numbered(first, "talk")...)
		if r := w.mustDo(w.post("k", 1, 0, "first")); r.Action != comment.Created || r.Comment.URL == "" {
			t.Errorf("%+v", r)
		}
		w.others(numbered(then, "more")...)
		for i := range int64(10) {
			if r := w.mustDo(w.post("k", 2+i, i, "report "+strconv.FormatInt(i, 10))); r.Action != comment.Updated {
				t.Errorf("%+v", r)
			}
		}
		if r := w.mustDo(w.post("k", 11, 99, "report 9")); r.Action != comment.Unchanged {
			t.Errorf("the same again: %+v", r)
		}
		if r := w.mustDo(w.post("k", 5, 100, "old")); r.Action != comment.Kept {
			t.Errorf("an older run: %+v", r)
		}
		w.mustDo(w.post("another", 1, 0, "second"))
		mine := w.mine()
		if len(mine) != 2 || !strings.Contains(mine[0].Body, "report 9") || !strings.Contains(mine[1].Body, "second") || len(w.all()) != first+then+2 {
			t.Errorf("%+v", mine)
		}
	})
}

// TestRace posts from twenty jobs at once.
func TestRace(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, w *world) {
		w.others(numbered(30, "talk")...)
		c := w.client()
		var wg sync.WaitGroup
		for i := range int64(20) {
			wg.Go(func() {
				if _, err := comment.Do(context.Background(), c, w.post("k", 100+i, i, fmt.Sprintf("run %d.", 100+i))); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if mine := w.mine(); len(mine) != 1 || !strings.Contains(mine[0].Body, "run 119.") {
			t.Errorf("%d comments: %+v", len(mine), mine)
		}
		if n := len(w.all()); n != 31 {
			t.Errorf("%d comments in all", n)
		}
	})
}

// TestOthersMarker leaves a comment alone that someone pasted our marker into, the same as ours to the letter.
func TestOthersMarker(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, w *world) {
		w.mustDo(w.post("k", 999, 0, "true"))
		spoof := w.all()[0].Body
		if err := w.client().Delete(context.Background(), w.target, w.all()[0].ID); err != nil {
			t.Fatal(err)
		}
		w.others(spoof)
		if r := w.mustDo(w.post("k", 1, 0, "true")); r.Action != comment.Created {
			t.Errorf("%+v", r)
		}
		if r := w.mustDo(w.post("k", 2, 0, "truer")); r.Action != comment.Updated {
			t.Errorf("%+v", r)
		}
		if all := w.all(); len(all) != 2 || all[0].Body != spoof || !strings.Contains(all[1].Body, "truer") {
			t.Errorf("%+v", all)
		}
	})
}

// TestTokenOfAnApp cannot say who it is. Another program's comment of the same key is not ours.
func TestTokenOfAnApp(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, w *world) {
		if w.fake == nil {
			t.Skip("SKIPPED: the real one gives a job's token to jobs alone")
		}
		w.mustDo(w.post("k", 1, 0, "of another program"))
		body := w.all()[0].Body
		if err := w.client().Delete(context.Background(), w.target, w.all()[0].ID); err != nil {
			t.Fatal(err)
		}
		w.fake.NoUser, w.fake.Bot = true, true
		if w.kind == forge.Gitea {
			w.fake.User, w.me.Name = "gitea-actions", "gitea-actions"
		}
		w.fake.Add(w.place(), "other-app", true, body)
		for i := range int64(3) {
			w.mustDo(w.post("k", 2+i, i, "r"+strconv.FormatInt(i, 10)))
		}
		if mine := w.mine(); len(mine) != 1 || !strings.Contains(mine[0].Body, "r2") {
			t.Errorf("%+v", w.all())
		}
	})
}

// TestAdoptCML takes over what CML left.
func TestAdoptCML(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, w *world) {
		for _, text := range []string{"# Old\n\n![](https://cml.dev/watermark.png#abc \"CML watermark a\\_b\")", "# Other\n\n![](https://cml.dev/watermark.png#abc \"CML watermark\")"} {
			if _, err := w.client().Create(context.Background(), w.target, text); err != nil {
				t.Fatal(err)
			}
		}
		p := w.post("k", 1, 0, "new")
		p.Label = "a_b"
		if r := w.mustDo(p); r.Action != comment.Updated {
			t.Errorf("%+v", r)
		}
		p.Stamp.Run, p.Text = 2, "newer"
		w.mustDo(p)
		if mine := w.mine(); len(mine) != 2 || !strings.Contains(mine[0].Body, "newer") || !strings.Contains(mine[1].Body, "# Other") {
			t.Errorf("%+v", mine)
		}
	})
}

// TestTooMany keeps the oldest of several, with the newest text, in whichever order they are listed.
func TestTooMany(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, w *world) {
		for _, newestFirst := range []bool{false, true} {
			if w.fake != nil {
				w.fake.NewestFirst = newestFirst
			}
			for _, run := range []int64{1, 9, 2} {
				p := w.post("k", run, 0, "of run "+strconv.FormatInt(run, 10))
				p.New = true
				w.mustDo(p)
			}
			first := w.mine()[0].ID
			r := w.mustDo(w.post("k", 5, 0, "five"))
			mine := w.mine()
			if r.Action != comment.Kept || r.Removed != 2 || len(mine) != 1 || mine[0].ID != first || !strings.Contains(mine[0].Body, "of run 9") {
				t.Errorf("%+v %+v", r, mine)
			}
			if err := w.client().Delete(context.Background(), w.target, first); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestLimits posts what just fits, and what is longer by far.
func TestLimits(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, w *world) {
		limit := w.kind.Limit()
		if w.fake != nil {
			w.fake.Most = limit
		}
		fits := strings.Repeat("ä", limit-300)
		if r := w.mustDo(w.post("k", 1, 0, fits)); r.Truncated || !strings.Contains(w.mine()[0].Body, fits) {
			t.Errorf("%d characters were cut", limit-300)
		}
		long := "# Failed\n\n" + strings.Repeat("a line of forty characters, more or less\n\n", limit/30)
		r := w.mustDo(w.post("k", 2, 0, long))
		if mine := w.mine(); !r.Truncated || len(mine) != 1 || !strings.Contains(mine[0].Body, "# Failed") || !strings.Contains(mine[0].Body, "left out") || len([]rune(mine[0].Body)) > limit {
			t.Errorf("%+v", r.Action)
		}
		if w.fake == nil {
			return
		}
		w.fake.Most = limit * 3 / 4 // the forge means another limit
		if r = w.mustDo(w.post("k", 3, 1, long+"changed")); r.Action != comment.Updated || !r.Truncated {
			t.Errorf("%+v %v", r.Action, r.Truncated)
		}
	})
}

// TestDeleted posts anew when someone deleted the comment meanwhile.
func TestDeleted(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, w *world) {
		w.mustDo(w.post("k", 1, 0, "one"))
		gone := false
		w.wire.answer = func(_ http.ResponseWriter, r *http.Request, _ int) bool {
			if (r.Method == http.MethodPatch || r.Method == http.MethodPut) && !gone {
				gone = true
				if err := w.client().Delete(context.Background(), w.target, w.mine()[0].ID); err != nil {
					t.Error(err)
				}
			}
			return false
		}
		w.mustDo(w.post("k", 2, 1, "two"))
		if mine := w.mine(); len(mine) != 1 || !strings.Contains(mine[0].Body, "two") {
			t.Errorf("%+v", mine)
		}
	})
}
