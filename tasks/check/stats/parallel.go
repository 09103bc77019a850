package stats

import (
	"fmt"
	"runtime"
	"sync"
)

// Parallel runs f for 0 to n-1 on all processors, in no particular order. A
// crash of f is returned as an error: on a goroutine of its own it would take
// the whole program along.
func Parallel(n int, f func(i int)) error {
	workers := min(runtime.GOMAXPROCS(0), n)
	faults := make([]error, max(workers, 1))
	work := func(w int) {
		defer func() {
			if p := recover(); p != nil {
				faults[w] = fmt.Errorf("crashed: %v", p)
			}
		}()
		for i := w; i < n; i += max(workers, 1) {
			f(i)
		}
	}
	if workers < 2 {
		work(0)
		return faults[0]
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { work(w) })
	}
	wg.Wait()
	for _, err := range faults {
		if err != nil {
			return err
		}
	}
	return nil
}
