package stats

// Folds deals n rows to k folds for cross-validation: contiguous blocks, the
// first n mod k of them longer by one. It returns the fold of each row.
func Folds(n, k int) []int32 {
	folds := make([]int32, 0, n)
	for f := range k {
		size := n / k
		if f < n%k {
			size++
		}
		for range size {
			folds = append(folds, int32(f))
		}
	}
	return folds
}

// StratifiedFolds deals rows to k folds so that each has the classes in the
// same shares, as scikit-learn's StratifiedKFold does without shuffling. It
// returns nil when every class has fewer than k rows.
func StratifiedFolds(classes []int32, k int) []int32 {
	number := make(map[int32]int) // classes in order of appearance
	var counts []int
	coded := make([]int, len(classes))
	for i, c := range classes {
		n, ok := number[c]
		if !ok {
			n = len(counts)
			number[c] = n
			counts = append(counts, 0)
		}
		coded[i] = n
		counts[n]++
	}
	enough := false
	for _, n := range counts {
		enough = enough || n >= k
	}
	if !enough {
		return nil
	}
	// Of the sorted classes, fold f takes every k-th from f on.
	left := make([][]int, len(counts)) // rows each fold still takes, by class
	at := 0
	for c, n := range counts {
		left[c] = make([]int, k)
		for range n {
			left[c][at%k]++
			at++
		}
	}
	folds := make([]int32, len(classes))
	next := make([]int, len(counts)) // the fold that is filled, by class
	for i, c := range coded {
		for left[c][next[c]] == 0 {
			next[c]++
		}
		left[c][next[c]]--
		folds[i] = int32(next[c])
	}
	return folds
}
