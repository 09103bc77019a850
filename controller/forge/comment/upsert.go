package comment

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"aloft/controller/forge"
)

// maxRounds bounds how often the comments are listed again while others post.
const maxRounds = 12

// Action says what became of a comment.
type Action string

// What becomes of a comment.
const (
	Created   Action = "created"
	Updated   Action = "updated"
	Unchanged Action = "unchanged"
	Kept      Action = "kept" // a newer run's is there
)

// Post is a comment to be.
type Post struct {
	Target forge.Target
	Key    string
	Stamp  Stamp
	Text   string // Markdown
	// Label is that of a comment of CML's that is taken over; AdoptCML says that one may be.
	Label    string
	AdoptCML bool
	// New posts one more comment, whatever is there; Bare leaves the marker out, so that nothing finds it again.
	New, Bare bool
	// Mode says what becomes of the comment that is there; "" = Upsert.
	Mode Mode
	// Link is where the whole text is, for one that has to be shortened.
	Link string
	// Jitter spreads the looks of jobs whose posts were lost together; nil = a source of its own.
	Jitter rand.Source
}

// Result is what became of it.
type Result struct {
	Action    Action
	Comment   forge.Comment
	Truncated bool
	Removed   int // of our own that were too many
}

// Do posts or updates. Comments of others are left alone even if they hold our marker.
func Do(ctx context.Context, c forge.Client, p Post) (Result, error) {
	u := &upsert{c: c, p: p, limit: c.Kind().Limit(), foreign: map[int64]bool{}}
	if p.New || p.Bare {
		return u.plain(ctx)
	}
	var err error
	if u.me, err = c.Identity(ctx); err != nil {
		return Result{}, err
	}
	if c.Kind() == forge.GitLab && p.Target.Place == forge.Commit {
		return u.once(ctx)
	}
	switch p.Mode {
	case Append:
		if err := u.extend(ctx); err != nil {
			return Result{}, err
		}
	case Recreate, MinimizeOld:
		return u.renew(ctx)
	}
	for range maxRounds {
		done, err := u.round(ctx)
		if err != nil {
			return Result{}, err
		}
		switch {
		case u.left:
			// Their jobs are at work: what is there after a while is nobody's any more.
			u.left, u.settled = false, true
			if err := rest(ctx, settleTime); err != nil {
				return Result{}, err
			}
		case done && u.busy && u.wrote:
			// Another job may have decided to change the comment before ours was there, and do it now. Look again in a while.
			u.busy = false
			if err := rest(ctx, settleTime); err != nil {
				return Result{}, err
			}
		case done:
			return u.result, nil
		}
	}
	if u.wrote && u.result.Comment.ID != 0 {
		return u.result, nil
	}
	return Result{}, fmt.Errorf("the comments of %s change all the time: given up after %d looks", p.Target, maxRounds)
}

// Mine lists the comments of a post's key that are ours already.
func Mine(ctx context.Context, c forge.Client, p Post) ([]forge.Comment, error) {
	u := &upsert{c: c, p: p, foreign: map[int64]bool{}}
	var err error
	if u.me, err = c.Identity(ctx); err != nil {
		return nil, err
	}
	mine, err := u.find(ctx)
	var out []forge.Comment
	for _, o := range mine {
		out = append(out, o.Comment)
	}
	return out, err
}

// upsert is one run of the algorithm: list, write, list again until there is one comment and nothing to do.
type upsert struct {
	c       forge.Client
	p       Post
	me      string
	limit   int
	foreign map[int64]bool // marked, but not to be changed by us
	wrote   bool
	busy    bool  // others post at the same time
	tries   int   // posts whose fate is not known
	made    int64 // the comment that we posted
	left    bool  // comments of jobs that are at work were left to them
	settled bool  // they had their time
	known   map[int64]forge.Comment
	began   time.Time // when all were listed, by our clock; zero = they are to be listed
	changed time.Time // when we wrote last, by the forge's clock
	result  Result
}

// own is a comment of ours.
type own struct {
	forge.Comment
	mark marker
	cml  bool
}

// body is the text as it is sent.
func (u *upsert) body() (string, string) {
	room := u.limit
	if u.p.Bare {
		text, cut := Shorten(u.p.Text, room, u.p.Link)
		u.result.Truncated = cut
		return text, ""
	}
	m := marker{key: u.p.Key, stamp: u.p.Stamp}
	room -= len([]rune(m.line(u.c.Kind()))) + 40
	text, cut := Shorten(u.p.Text, room, u.p.Link)
	u.result.Truncated = cut
	m.hash = hashOf(text)
	return m.line(u.c.Kind()) + "\n\n" + text, m.hash
}

// plain posts without looking.
func (u *upsert) plain(ctx context.Context) (Result, error) {
	body, _ := u.body()
	c, err := u.c.Create(ctx, u.p.Target, body)
	if u.halve(err) {
		body, _ = u.body()
		c, err = u.c.Create(ctx, u.p.Target, body)
	}
	if err != nil {
		return Result{}, err
	}
	u.result.Action, u.result.Comment = Created, c
	return u.result, nil
}

// once posts where comments cannot be changed, unless the run has said the same already.
func (u *upsert) once(ctx context.Context) (Result, error) {
	mine, err := u.find(ctx)
	if err != nil {
		return Result{}, err
	}
	_, hash := u.body()
	for _, o := range mine {
		switch {
		case u.p.Stamp.older(o.mark.stamp):
			u.result.Action, u.result.Comment = Kept, o.Comment
			return u.result, nil
		case o.mark.hash == hash && o.mark.stamp.Run == u.p.Stamp.Run:
			u.result.Action, u.result.Comment = Unchanged, o.Comment
			return u.result, nil
		}
	}
	return u.plain(ctx)
}

// halve makes less of a text that the forge found too long, once.
func (u *upsert) halve(err error) bool {
	var e *forge.Error
	if !errors.As(err, &e) || e.Reason != forge.TooLong || u.limit < u.c.Kind().Limit() {
		return false
	}
	u.limit = min(u.limit, len([]rune(u.p.Text))) / 2
	return u.limit > 500
}

// round looks at all comments once and does what is wanted. It is done when it had nothing to do.
func (u *upsert) round(ctx context.Context) (bool, error) {
	mine, err := u.find(ctx)
	if err != nil {
		return false, err
	}
	if len(mine) == 0 {
		return false, u.create(ctx)
	}
	newest := mine[0]
	for _, o := range mine[1:] {
		if newest.mark.stamp.before(o.mark.stamp) {
			newest = o
		}
	}
	keep := mine[0] // the lowest number: all who look agree on it
	for _, o := range mine[1:] {
		if o.ID < keep.ID {
			keep = o
		}
	}
	u.busy = u.busy || len(mine) > 1 || u.wrote && u.result.Comment.ID != keep.ID || newest.mark.stamp != u.p.Stamp && !newest.cml && near(newest.mark.stamp.AtMS, u.p.Stamp.AtMS)
	changed, err := u.settle(ctx, keep, newest)
	if err != nil || changed == gone {
		return false, err
	}
	if u.made != 0 && u.made != keep.ID && !slices.ContainsFunc(mine, func(o own) bool { return o.ID == u.made }) {
		// Pages move while others delete, so that ours was on none, or it is gone already.
		mine = append(mine, own{Comment: forge.Comment{ID: u.made}, mark: newest.mark})
	}
	for _, o := range mine {
		if o.ID == keep.ID {
			continue
		}
		if o.ID == u.made {
			u.made = 0
		} else if !u.settled && near(o.mark.stamp.AtMS, u.p.Stamp.AtMS) {
			// Each job takes its own away: if all took away all, a thousand jobs would send a million requests.
			u.left = true
			continue
		}
		switch err := u.remove(ctx, o.ID); {
		case reason(err) == forge.NotFound: // another one was faster
		case reason(err) == forge.Forbidden:
			u.foreign[o.ID] = true
		case err != nil:
			return false, err
		default:
			u.result.Removed++
		}
		changed = yes
	}
	return changed == no, nil
}

// settleTime is how long after the last change a job that saw others at work looks again; nearTime how close in time
// another's post is one at work.
const (
	settleTime = 2 * time.Second
	nearTime   = time.Minute
)

// near reports whether two moments, in milliseconds, are close.
func near(a, b int64) bool {
	d := time.Duration(a-b) * time.Millisecond
	return d < nearTime && d > -nearTime
}

// change says whether a comment was changed, or was not there any more.
type change int

const (
	no change = iota
	yes
	gone
)

// settle gives the comment that stays the text that is to stand.
func (u *upsert) settle(ctx context.Context, keep, newest own) (change, error) {
	body, hash := u.body()
	stale := u.p.Stamp.older(newest.mark.stamp)
	if u.wrote { // what we wrote is listed, or was replaced by what is not older
		stale = !newest.mark.stamp.before(u.p.Stamp)
	}
	want := marker{key: u.p.Key, stamp: u.p.Stamp, hash: hash}
	if stale {
		body, want = newest.Body, newest.mark
	}
	same := keep.mark == want
	if !stale && !same { // an update of one run that says the same need not be sent
		same = keep.mark.hash == hash && !keep.cml && keep.mark.stamp.Run == u.p.Stamp.Run && keep.mark.stamp.Attempt == u.p.Stamp.Attempt
	}
	if same {
		if !u.wrote {
			u.result.Action = Unchanged
			if stale {
				u.result.Action = Kept
			}
		}
		u.result.Comment = keep.Comment
		return no, nil
	}
	c, err := u.c.Update(ctx, u.p.Target, keep.ID, body)
	if !stale && u.halve(err) {
		body, _ = u.body()
		c, err = u.c.Update(ctx, u.p.Target, keep.ID, body)
	}
	switch {
	case reason(err) == forge.NotFound:
		u.began = time.Time{} // what else has changed is not known, either
		return gone, nil
	case reason(err) == forge.Forbidden && u.me == "":
		u.foreign[keep.ID] = true // it was another program's
		return gone, nil
	case err != nil:
		return no, err
	}
	switch {
	case stale && !u.wrote:
		u.result.Action = Kept
	case !u.wrote:
		u.result.Action, u.wrote = Updated, true
	}
	u.result.Comment, u.changed = c, c.Changed
	return yes, nil
}

// create posts the first comment. When the answer is lost, the next round finds out whether it was taken.
func (u *upsert) create(ctx context.Context) error {
	body, _ := u.body()
	c, err := u.c.Create(ctx, u.p.Target, body)
	if u.halve(err) {
		body, _ = u.body()
		c, err = u.c.Create(ctx, u.p.Target, body)
	}
	var e *forge.Error
	if errors.As(err, &e) && e.Unsure && ctx.Err() == nil {
		u.tries++
		if u.tries > 3 {
			return err
		}
		u.result.Action, u.wrote = Created, true
		if u.p.Jitter == nil {
			u.p.Jitter = rand.NewPCG(rand.Uint64(), rand.Uint64())
		}
		back := time.Second << u.tries
		return rest(ctx, back+time.Duration(rand.New(u.p.Jitter).Int64N(int64(back/2)))) // #nosec G404: no secret hangs on it
	}
	if err != nil {
		return err
	}
	if u.me == "" {
		u.me = c.Author
	}
	u.result.Action, u.result.Comment, u.wrote, u.made, u.changed = Created, c, true, c.ID, c.Changed
	return nil
}

// rest waits.
func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// find lists our comments of the key.
func (u *upsert) find(ctx context.Context) ([]own, error) {
	if err := u.look(ctx); err != nil {
		return nil, err
	}
	var mine, cml []own
	for _, id := range slices.Sorted(maps.Keys(u.known)) {
		c := u.known[id]
		if u.foreign[c.ID] || !u.ours(c) {
			continue
		}
		if m, ok := parseMarker(c.Body); ok {
			if m.key == u.p.Key {
				mine = append(mine, own{Comment: c, mark: m})
			}
			continue
		}
		if label, ok := cmlLabel(c.Body); ok && u.p.AdoptCML && label == strings.TrimSpace(u.p.Label) {
			cml = append(cml, own{Comment: c, cml: true})
		}
	}
	if len(mine) == 0 && len(cml) > 0 {
		// The last one is the one that CML would have changed; older ones stay as they were.
		return cml[len(cml)-1:], nil
	}
	return mine, nil
}

// look brings what is known of the comments up to date. The first time all are listed; after a write of ours only what has
// changed since the first time, where the forge can tell: a pull request may have thousands.
func (u *upsert) look(ctx context.Context) error {
	which := forge.Which{Holding: []string{"sky-report", "cml.dev"}}
	if !u.began.IsZero() && !u.changed.IsZero() {
		which.Since = u.changed.Add(-time.Since(u.began) - sinceMargin)
	} else {
		u.known, u.began = map[int64]forge.Comment{}, time.Now()
	}
	all, err := u.c.Comments(ctx, u.p.Target, which)
	if err != nil {
		u.began = time.Time{}
		return err
	}
	for _, c := range all {
		u.known[c.ID] = c
	}
	return nil
}

// sinceMargin is what the forge's clock may go wrong while a comment is posted.
const sinceMargin = time.Minute

// remove deletes a comment; one that is gone is not known any more.
func (u *upsert) remove(ctx context.Context, id int64) error {
	err := u.c.Delete(ctx, u.p.Target, id)
	if err == nil || reason(err) == forge.NotFound {
		delete(u.known, id)
	}
	return err
}

// ours says whether the token's owner wrote a comment, as far as the forge tells.
func (u *upsert) ours(c forge.Comment) bool {
	switch {
	case u.me != "":
		return strings.EqualFold(c.Author, u.me)
	case u.c.Kind() == forge.GitHub:
		return c.Bot // a token that has no user is an app's
	case u.c.Kind() == forge.Gitea:
		return c.Author == "gitea-actions" || c.Author == "forgejo-actions" // so is a job's token
	}
	return true
}

func reason(err error) forge.Reason {
	var e *forge.Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}
