// Package nearest finds the known name that a misspelt one most likely meant,
// for messages that name the mistake and its cure together.
package nearest

import "strings"

// Name returns the candidate closest to name by edit distance, ignoring case,
// or "" when none is near enough to be a plausible misspelling: the distance
// may be at most a third of the longer name, rounded up.
func Name(name string, candidates []string) string {
	best, bestDistance := "", -1
	lower := strings.ToLower(name)
	for _, c := range candidates {
		d := distance(lower, strings.ToLower(c))
		limit := (max(len([]rune(name)), len([]rune(c))) + 2) / 3
		if d <= limit && (bestDistance < 0 || d < bestDistance) {
			best, bestDistance = c, d
		}
	}
	return best
}

// Hint returns ` (did you mean "x"?)`, or "" when Name finds nothing.
func Hint(name string, candidates []string) string {
	if c := Name(name, candidates); c != "" {
		return ` (did you mean "` + c + `"?)`
	}
	return ""
}

// distance is the Levenshtein distance over characters.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(x); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+cost)
		}
	}
	return row[len(y)]
}
