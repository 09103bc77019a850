package frame

import (
	"fmt"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/memory"
)

// guard runs f, which decodes a file with a library that may crash on a
// damaged one: that is an error of the file.
func guard(name string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: the file is damaged: %v", name, p)
		}
	}()
	return f()
}

// bounded allocates no more in one piece than a sound file of the given size
// could need, and nothing above it: the decoder then fails, where it would
// otherwise ask for whatever size a damaged file tells.
type bounded struct{ most int }

const (
	allocationFloor = 16 << 20
	allocationRatio = 1024 // how far a page may have been compressed
	allocationMost  = 2 << 30
)

func newBounded(fileSize int64) memory.Allocator {
	most := int64(allocationMost)
	if fileSize < allocationMost/allocationRatio {
		most = allocationFloor + fileSize*allocationRatio
	}
	return bounded{int(most)}
}

// Allocate returns nil above the bound.
func (b bounded) Allocate(size int) []byte {
	if size < 0 || size > b.most {
		return nil
	}
	return memory.DefaultAllocator.Allocate(size)
}

// Reallocate returns nil above the bound.
func (b bounded) Reallocate(size int, old []byte) []byte {
	if size < 0 || size > b.most {
		return nil
	}
	return memory.DefaultAllocator.Reallocate(size, old)
}

// Free gives memory back.
func (b bounded) Free(old []byte) { memory.DefaultAllocator.Free(old) }

// parallel runs f for 0 to n-1 on some goroutines and returns the first error
// in that order.
func parallel(n, workers int, f func(int) error) error {
	errs := make([]error, n)
	next := make(chan int)
	var group sync.WaitGroup
	for range min(n, workers) {
		group.Go(func() {
			for i := range next {
				errs[i] = f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
