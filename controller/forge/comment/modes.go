package comment

import (
	"context"
	"errors"
	"strings"

	"aloft/controller/forge"
)

// Mode says what becomes of the comment of a key that is there already.
type Mode string

// The modes.
const (
	Upsert      Mode = "upsert"       // its text is replaced
	Append      Mode = "append"       // the text is put below it
	Recreate    Mode = "recreate"     // it is deleted, the new one stands at the end
	MinimizeOld Mode = "minimize-old" // it is folded away as outdated, the new one stands at the end; GitHub only
)

// ErrMinimize is returned where comments cannot be folded away.
var ErrMinimize = errors.New("only GitHub folds comments away: use the mode recreate")

// between parts what was appended.
const between = "\n\n---\n\n"

// extend puts the text that is there before the new one, unless it ends with it already. What does not fit is cut from
// the start: the newest part matters.
func (u *upsert) extend(ctx context.Context) error {
	mine, err := u.find(ctx)
	if err != nil || len(mine) == 0 {
		return err
	}
	old := mine[0]
	for _, o := range mine[1:] {
		if old.mark.stamp.before(o.mark.stamp) {
			old = o
		}
	}
	_, text, _ := strings.Cut(old.Body, "\n")
	text = strings.TrimSpace(text)
	if old.cml {
		text = strings.TrimSpace(old.Body)
	}
	if text == strings.TrimSpace(u.p.Text) || strings.HasSuffix(text, between+strings.TrimSpace(u.p.Text)) {
		u.p.Text = text
		return nil
	}
	parts := append(strings.Split(text, between), strings.TrimSpace(u.p.Text))
	for len(parts) > 1 && len([]rune(strings.Join(parts, between))) > u.limit-500 {
		parts = parts[1:]
	}
	u.p.Text = strings.Join(parts, between)
	return nil
}

// renew posts anew and then does away with what is older. When two do so at once, the one of the later run stays.
func (u *upsert) renew(ctx context.Context) (Result, error) {
	fold, ok := u.c.(forge.Minimizer)
	if u.p.Mode == MinimizeOld && !ok {
		return Result{}, ErrMinimize
	}
	mine, err := u.find(ctx)
	if err != nil {
		return Result{}, err
	}
	_, hash := u.body()
	for _, o := range mine {
		switch {
		case o.cml:
		case u.p.Stamp.older(o.mark.stamp):
			u.result.Action, u.result.Comment = Kept, o.Comment
			return u.result, nil
		case o.mark.hash == hash && o.mark.stamp.Run == u.p.Stamp.Run && o.mark.stamp.Attempt == u.p.Stamp.Attempt:
			u.result.Action, u.result.Comment = Unchanged, o.Comment
			return u.result, nil
		}
	}
	for !u.wrote || u.result.Comment.ID == 0 {
		if u.wrote { // the answer was lost: it may be there
			if mine, err = u.find(ctx); err != nil {
				return Result{}, err
			}
			for _, o := range mine {
				if o.mark.hash == hash && o.mark.stamp == u.p.Stamp {
					u.result.Comment = o.Comment
				}
			}
			if u.result.Comment.ID != 0 {
				break
			}
		}
		if err := u.create(ctx); err != nil {
			return Result{}, err
		}
	}
	if mine, err = u.find(ctx); err != nil {
		return Result{}, err
	}
	for _, o := range mine {
		if o.ID == u.result.Comment.ID || !o.cml && !o.mark.stamp.before(u.p.Stamp) && o.mark.stamp != u.p.Stamp {
			continue
		}
		if u.p.Mode == MinimizeOld {
			err = fold.Minimize(ctx, o.Comment)
		} else {
			err = u.remove(ctx, o.ID)
		}
		switch {
		case err == nil:
			u.result.Removed++
		case reason(err) == forge.NotFound, reason(err) == forge.Forbidden && u.me == "":
		default:
			return Result{}, err
		}
	}
	return u.result, nil
}
