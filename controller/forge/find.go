package forge

import (
	"context"
	"time"
)

// FindPulls is PullRequestsOf, asked again for so long while there is none: a forge may need a while to tie a new pull
// request to its commit.
func FindPulls(ctx context.Context, c Client, sha, owner, branch string, patience time.Duration) ([]PullRequest, error) {
	for wait := time.Second; ; wait += time.Second {
		list, err := c.PullRequestsOf(ctx, sha, owner, branch)
		if err != nil || len(list) > 0 || patience <= 0 {
			return list, err
		}
		t := time.NewTimer(min(wait, patience))
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, ctx.Err()
		case <-t.C:
		}
		patience -= wait
	}
}
