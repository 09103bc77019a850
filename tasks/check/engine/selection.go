package engine

import (
	"aloft/tasks/check/frame"
	"aloft/tasks/check/stats"
)

// Selection returns the rows that the checks look at in a table of total rows:
// the beginning of the permutation of each of their seeds. It is nil when they
// look at all of them. A check without the parameter n_samples looks at no
// rows; it may ask a column for Counts and the table for Total.
func Selection(items []Item, total int) *frame.Selection {
	most := make(map[int]int)
	for _, item := range items {
		n, sampled := item.Args["n_samples"]
		if !sampled {
			continue
		}
		k, limited := n.(int)
		if !limited || k >= total {
			return nil
		}
		seed := item.Args.Int("random_state")
		most[seed] = max(most[seed], k)
	}
	samples := make(map[int][]int32, len(most))
	for seed, k := range most {
		samples[seed] = append([]int32(nil), stats.Sample(total, k, uint32(seed))...)
	}
	return frame.NewSelection(total, samples)
}
