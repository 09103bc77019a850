package queue_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"aloft/agent/supervise/queue"
)

// gang is a job that needs its demand on several nodes at the same time.
type gang struct {
	number uint32
	demand queue.Demand
	nodes  []int
	held   map[int]bool // nodes that have admitted it
}

// Gangs cannot block one another: nodes hear of jobs at different times, but each in the order of their numbers, and
// every job runs in the end, whichever running job ends first.
func TestGangsNeverBlockOneAnother(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		nodes := make([]*queue.Queue, rapid.IntRange(2, 4).Draw(rt, "nodes"))
		for i := range nodes {
			nodes[i] = queue.New(2, []int{0, 1})
		}
		jobs := make([]*gang, rapid.IntRange(1, 12).Draw(rt, "jobs"))
		for i := range jobs {
			all := rapid.Permutation(slices.Collect(seq(len(nodes)))).Draw(rt, "order")
			jobs[i] = &gang{
				number: uint32(i + 1), held: map[int]bool{}, nodes: all[:rapid.IntRange(1, len(nodes)).Draw(rt, "size")],
				demand: queue.Demand{
					CPUs: rapid.SampledFrom([]float64{0.5, 1, 2}).Draw(rt, "cpus"),
					GPUs: rapid.SampledFrom([]float64{0, 0.5, 1, 2}).Draw(rt, "gpus"),
				},
			}
		}
		heard := make([]int, len(nodes)) // jobs that each node knows of
		left := len(jobs)
		for steps := 0; left > 0; steps++ {
			if steps > 10_000 {
				rt.Fatalf("%d jobs never run", left)
			}
			if n := rapid.IntRange(0, len(nodes)-1).Draw(rt, "hears"); heard[n] < len(jobs) {
				j := jobs[heard[n]]
				heard[n]++
				if slices.Contains(j.nodes, n) {
					if err := nodes[n].Add(fmt.Sprint(j.number), queue.Order{Number: j.number}, j.demand); err != nil {
						rt.Fatal(err)
					}
				}
			}
			for n, q := range nodes {
				started, _ := q.Admit()
				for _, a := range started {
					var number int
					_, _ = fmt.Sscan(a.ID, &number)
					jobs[number-1].held[n] = true
				}
			}
			var running []*gang
			for _, j := range jobs {
				if j.held != nil && len(j.held) == len(j.nodes) {
					running = append(running, j)
				}
			}
			if len(running) == 0 {
				continue
			}
			j := rapid.SampledFrom(running).Draw(rt, "ends")
			for _, n := range j.nodes {
				nodes[n].Remove(fmt.Sprint(j.number))
			}
			j.held = nil
			left--
		}
	})
}

func seq(n int) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}
