package logs_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aloft/controller/logs"
	agentv1 "aloft/proto/sky/agent/v1"
)

// chunk is what an agent sends at once: 64 KiB in lines of n bytes.
func chunk(n int) ([]*agentv1.LogRecord, uint64) {
	var recs []*agentv1.LogRecord
	var total uint64
	for total < 64<<10 {
		b := make([]byte, n)
		for i := range b {
			b[i] = 'x'
		}
		b[n-1] = '\n'
		recs = append(recs, &agentv1.LogRecord{AtMs: 1, Fd: 1, Data: b})
		total += uint64(n)
	}
	return recs, total
}

func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{100, 4096, 64 << 10} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := open(b, b.TempDir(), logs.Options{})
			recs, size := chunk(n)
			b.SetBytes(int64(size))
			var off uint64
			for b.Loop() {
				off = mustAppend(b, s, key("run"), off, recs...)
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	s := open(b, b.TempDir(), logs.Options{NoSync: true})
	recs, _ := chunk(4096)
	var off uint64
	for off < 64<<20 {
		off = mustAppend(b, s, key("run"), off, recs...)
	}
	b.SetBytes(int64(off))
	for b.Loop() {
		var n uint64
		if err := s.Read(context.Background(), key("run"), 0, false, func(r logs.Record) bool { n += uint64(len(r.Data)); return true }); err != nil || n != off {
			b.Fatal(n, err)
		}
	}
}

// BenchmarkAppendAndFollow appends while one follower reads along, to its end.
func BenchmarkAppendAndFollow(b *testing.B) {
	s := open(b, b.TempDir(), logs.Options{})
	recs, size := chunk(4096)
	b.SetBytes(int64(size))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Read(context.Background(), key("run"), 0, true, func(logs.Record) bool { return true }); err != nil {
			b.Error(err)
		}
	})
	var off uint64
	for b.Loop() {
		off = mustAppend(b, s, key("run"), off, recs...)
	}
	if err := s.Complete(key("run"), off); err != nil {
		b.Fatal(err)
	}
	wg.Wait()
}

// BenchmarkLatency is the time from Append to the follower's yield.
func BenchmarkLatency(b *testing.B) {
	s := open(b, b.TempDir(), logs.Options{})
	got := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = s.Read(ctx, key("run"), 0, true, func(logs.Record) bool { got <- struct{}{}; return true })
	})
	var off uint64
	for b.Loop() {
		off = mustAppend(b, s, key("run"), off, rec("a line of text\n"))
		<-got
	}
	cancel()
	wg.Wait()
}

// BenchmarkFollowers5000 wakes 5000 followers of one stream with every append.
func BenchmarkFollowers5000(b *testing.B) {
	s := open(b, b.TempDir(), logs.Options{NoSync: true})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var seen atomic.Int64
	const followers = 5000
	for range followers {
		wg.Go(func() {
			_ = s.Read(ctx, key("run"), 0, true, func(logs.Record) bool { seen.Add(1); return true })
		})
	}
	var off uint64
	rounds := int64(0)
	for b.Loop() {
		off = mustAppend(b, s, key("run"), off, rec("a line of text\n"))
		rounds++
		for seen.Load() < rounds*followers {
			time.Sleep(50 * time.Microsecond)
		}
	}
	cancel()
	wg.Wait()
}
