package tasks

import (
	"sort"
	"strings"
)

// Nearest returns the candidate most like s by edit distance, ignoring case,
// or "" when none is close enough to be a likely slip.
func Nearest(s string, candidates []string) string {
	const longest = 64 // nobody mistypes longer words; bounds the work
	if s == "" || len(s) > longest {
		return ""
	}
	low := strings.ToLower(s)
	best, bestDist := "", 1+max(1, len(low)/3)
	sorted := append([]string(nil), candidates...)
	sort.Strings(sorted)
	for _, c := range sorted {
		if len(c) > longest {
			continue
		}
		if d := editDistance(low, strings.ToLower(c)); d < bestDist {
			best, bestDist = c, d
		}
	}
	return best
}

// editDistance counts insertions, deletions, substitutions and swaps of
// neighbours.
func editDistance(a, b string) int {
	x, y := []rune(a), []rune(b)
	prev2 := make([]int, len(y)+1)
	prev := make([]int, len(y)+1)
	cur := make([]int, len(y)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(x); i++ {
		cur[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(y)]
}

// didYouMean phrases a suggestion, or returns "".
func didYouMean(s string, candidates []string) string {
	if n := Nearest(s, candidates); n != "" {
		return "did you mean " + n + "?"
	}
	return ""
}
