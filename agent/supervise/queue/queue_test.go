package queue_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"aloft/agent/supervise/queue"
)

func ids(as []queue.Admission) []string {
	var out []string
	for _, a := range as {
		out = append(out, a.ID)
	}
	return out
}

func add(t testing.TB, q *queue.Queue, n uint32, d queue.Demand) string {
	t.Helper()
	id := fmt.Sprint(n)
	if err := q.Add(id, queue.Order{Number: n}, d); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestFirstComeFirstServed(t *testing.T) {
	t.Parallel()
	q := queue.New(1, nil)
	for n := uint32(5); n >= 1; n-- {
		add(t, q, n, queue.Demand{CPUs: 0.5})
	}
	started, blocked := q.Admit()
	if got := ids(started); !slices.Equal(got, []string{"1", "2"}) {
		t.Fatalf("started %v", got)
	}
	if len(blocked) != 1 || blocked[0].ID != "3" {
		t.Fatalf("blocked %v", blocked)
	}
	q.Remove("1")
	started, _ = q.Admit()
	if got := ids(started); !slices.Equal(got, []string{"3"}) {
		t.Fatalf("started %v", got)
	}
}

func TestBackfillTakesOnlyWhatNobodyEarlierWaitsFor(t *testing.T) {
	t.Parallel()
	q := queue.New(4, []int{0, 1, 2, 3})
	add(t, q, 1, queue.Demand{CPUs: 0.5, GPUs: 2})
	add(t, q, 2, queue.Demand{CPUs: 0.5, GPUs: 4}) // waits for job 1's devices
	add(t, q, 3, queue.Demand{CPUs: 0.5, GPUs: 1}) // would take what job 2 waits for
	add(t, q, 4, queue.Demand{CPUs: 0.5})          // does not
	add(t, q, 5, queue.Demand{CPUs: 3})            // would take a CPU that jobs 2 and 3 wait for
	started, blocked := q.Admit()
	if got := ids(started); !slices.Equal(got, []string{"1", "4"}) {
		t.Fatalf("started %v, blocked %v", got, blocked)
	}
	q.Remove("1")
	q.Remove("4")
	started, _ = q.Admit()
	if got := ids(started); !slices.Equal(got, []string{"2", "5"}) {
		t.Fatalf("started %v", got)
	}
}

func TestFractionsShareADevice(t *testing.T) {
	t.Parallel()
	q := queue.New(8, []int{0, 1})
	for n := uint32(1); n <= 3; n++ {
		add(t, q, n, queue.Demand{CPUs: 0.5, GPUs: 0.5})
	}
	add(t, q, 4, queue.Demand{CPUs: 0.5, GPUs: 1})
	started, _ := q.Admit()
	got := map[string][]int{}
	for _, a := range started {
		got[a.ID] = a.Grant.Devices
	}
	if len(got) != 3 || got["1"][0] != got["2"][0] || got["3"][0] == got["1"][0] {
		t.Fatalf("devices %v", got)
	}
	q.Remove("3")
	started, _ = q.Admit()
	if len(started) != 1 || started[0].ID != "4" || !slices.Equal(started[0].Grant.Devices, got["3"]) {
		t.Fatalf("started %v", started)
	}
}

func TestTooBig(t *testing.T) {
	t.Parallel()
	q := queue.New(2, []int{0})
	if err := q.Add("a", queue.Order{Number: 1}, queue.Demand{GPUs: 2}); err == nil {
		t.Fatal("accepted 2 GPUs of 1")
	}
	if err := q.Add("b", queue.Order{Number: 2}, queue.Demand{CPUs: 64}); err != nil {
		t.Fatal(err)
	}
	if started, _ := q.Admit(); len(started) != 1 {
		t.Fatal("a demand for more CPUs than there are must be cut to all of them")
	}
}

// An earlier job never waits for a later one: whenever a job is blocked, adding later jobs does not change when it starts.
func TestLaterJobsNeverDelayEarlierOnes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		devices := make([]int, rapid.IntRange(0, 4).Draw(rt, "devices"))
		for i := range devices {
			devices[i] = i
		}
		demand := rapid.Custom(func(rt *rapid.T) queue.Demand {
			d := queue.Demand{CPUs: rapid.SampledFrom([]float64{0.5, 1, 2}).Draw(rt, "cpus")}
			if len(devices) > 0 {
				d.GPUs = rapid.SampledFrom([]float64{0, 0.25, 0.5, 1, float64(len(devices))}).Draw(rt, "gpus")
			}
			return d
		})
		with, without := queue.New(4, devices), queue.New(4, devices)
		early := rapid.SliceOfN(demand, 1, 6).Draw(rt, "early")
		late := rapid.SliceOfN(demand, 1, 6).Draw(rt, "late")
		for i, d := range early {
			add(t, with, uint32(i+1), d)
			add(t, without, uint32(i+1), d)
		}
		for i, d := range late {
			add(t, with, uint32(100+i), d)
		}
		isEarly := func(id string) bool { return len(id) < 3 }
		runs := map[string]bool{}
		for range 50 {
			a, _ := with.Admit()
			b, _ := without.Admit()
			as := slices.DeleteFunc(ids(a), func(id string) bool { return !isEarly(id) })
			if !slices.Equal(as, ids(b)) {
				rt.Fatalf("with later jobs %v started, without %v", as, ids(b))
			}
			for _, id := range as {
				runs[id] = true
			}
			var first string
			for i := range early {
				if id := fmt.Sprint(i + 1); runs[id] {
					first = id
					break
				}
			}
			if first == "" {
				break
			}
			delete(runs, first)
			with.Remove(first)
			without.Remove(first)
		}
		if without.Waiting() > 0 {
			rt.Fatal("jobs left waiting although nothing runs")
		}
	})
}

func BenchmarkAdmit(b *testing.B) {
	q := queue.New(1, nil)
	for n := range 100_000 {
		add(b, q, uint32(n+1), queue.Demand{CPUs: 0.5})
	}
	next := 1
	q.Admit()
	b.ResetTimer()
	for range b.N {
		q.Remove(fmt.Sprint(next))
		next++
		q.Admit()
	}
}
