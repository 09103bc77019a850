// Package queue decides which rank of a node starts next: first come first served in job-number order, by what a rank
// asks of CPUs and GPU devices, with back-fill that never delays an earlier job.
//
// The rule of back-fill: while a job waits, everything it asks for stays reserved for it, as far as it is free now and
// on the devices it will get. A later job starts only from what is left. So an earlier job is never made to wait for a
// later one, and because every node of a cluster follows the same order, gangs cannot block one another.
//
// Jobs with equal demand form a class; only the first of a class can start, so one decision costs the number of
// classes plus the number of starts, not the number of jobs.
package queue

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"math"
	"slices"
)

// ErrTooBig means that the node can never satisfy a demand.
var ErrTooBig = errors.New("asks for more than the node has")

// Order is a job's place in the queue.
type Order struct {
	Number  uint32
	Attempt int32
}

func (o Order) compare(p Order) int {
	return cmp.Or(cmp.Compare(o.Number, p.Number), cmp.Compare(o.Attempt, p.Attempt))
}

// Demand is what a rank asks for. GPUs below one is a share of one device; from one on, whole devices.
type Demand struct {
	CPUs float64
	GPUs float64
}

// Grant is what a rank holds.
type Grant struct {
	MilliCPUs int64
	Devices   []int // indexes of devices
	Share     int64 // thousandths of each device
}

// Blocked is the first job of a class that must wait, and for what.
type Blocked struct {
	ID  string
	Why string
}

// Admission is a job that may start with what it was granted.
type Admission struct {
	ID    string
	Grant Grant
}

const whole = 1000

// class is a demand in thousandths, comparable so that equal demands fall together.
type class struct {
	cpus int64
	gpus int64
}

type item struct {
	id    string
	order Order
	class class
	index int // in its heap
}

// Queue holds the ranks of one node that wait or run. It is not safe for concurrent use.
type Queue struct {
	cpus    int64   // total, thousandths
	devices []int   // index of each device
	used    int64   // thousandths of CPU
	free    []int64 // per device, thousandths
	waiting map[string]*item
	classes map[class]*waitHeap
	running map[string]Grant
}

// New makes the queue of a node with that many CPUs and those devices.
func New(cpus float64, devices []int) *Queue {
	q := &Queue{
		cpus: milli(cpus), devices: slices.Clone(devices), free: make([]int64, len(devices)),
		waiting: make(map[string]*item), classes: make(map[class]*waitHeap), running: make(map[string]Grant),
	}
	for i := range q.free {
		q.free[i] = whole
	}
	return q
}

// Add puts a rank in the queue. A demand for more CPUs than the node has is cut to all of them, because what a provider
// calls n CPUs may count a little less here; more GPUs than there are is ErrTooBig.
func (q *Queue) Add(id string, o Order, d Demand) error {
	c := class{cpus: min(milli(d.CPUs), q.cpus), gpus: milli(d.GPUs)}
	if c.gpus > whole {
		c.gpus = (c.gpus + whole - 1) / whole * whole
	}
	if c.gpus > int64(len(q.devices))*whole {
		return fmt.Errorf("%g GPUs of %d: %w", d.GPUs, len(q.devices), ErrTooBig)
	}
	if q.Has(id) {
		return nil
	}
	it := &item{id: id, order: o, class: c}
	h := q.classes[c]
	if h == nil {
		h = &waitHeap{}
		q.classes[c] = h
	}
	heap.Push(h, it)
	q.waiting[id] = it
	return nil
}

// Has reports whether the rank waits or runs.
func (q *Queue) Has(id string) bool {
	_, runs := q.running[id]
	return runs || q.waiting[id] != nil
}

// Hold takes what a rank already has, after a restart of the agent. It never refuses: the rank is running.
func (q *Queue) Hold(id string, g Grant) {
	if _, ok := q.running[id]; ok {
		return
	}
	q.drop(id)
	q.running[id] = g
	q.used += g.MilliCPUs
	q.give(g, -1)
}

// Remove takes a rank out of the queue, with what it held.
func (q *Queue) Remove(id string) {
	q.drop(id)
	g, ok := q.running[id]
	if !ok {
		return
	}
	delete(q.running, id)
	q.used -= g.MilliCPUs
	q.give(g, 1)
}

// Waiting is the number of ranks that wait.
func (q *Queue) Waiting() int { return len(q.waiting) }

// Admit starts every rank that may start now, earliest first, and names the classes' first ranks that may not.
func (q *Queue) Admit() (started []Admission, blocked []Blocked) {
	left := q.cpus - q.used // of CPUs, after what earlier ones wait for
	free := slices.Clone(q.free)
	heads := make([]*waitHeap, 0, len(q.classes))
	for c, h := range q.classes {
		if len(*h) == 0 {
			delete(q.classes, c)
			continue
		}
		heads = append(heads, h)
	}
	for len(heads) > 0 {
		i := earliest(heads)
		it := (*heads[i])[0]
		picked, fits := pick(free, it.class.gpus)
		if it.class.cpus <= left && fits {
			g := q.start(it, picked)
			left -= g.MilliCPUs
			for _, d := range picked {
				free[d] -= g.Share
			}
			started = append(started, Admission{ID: it.id, Grant: g})
			if len(*heads[i]) > 0 {
				continue
			}
		} else {
			blocked = append(blocked, Blocked{ID: it.id, Why: why(it.class, left, fits)})
			left -= it.class.cpus
			for _, d := range picked {
				free[d] = 0
			}
		}
		heads = slices.Delete(heads, i, i+1)
	}
	return started, blocked
}

func (q *Queue) start(it *item, picked []int) Grant {
	g := Grant{MilliCPUs: it.class.cpus, Share: min(it.class.gpus, whole)}
	for _, d := range picked {
		g.Devices = append(g.Devices, q.devices[d])
	}
	q.drop(it.id)
	q.running[it.id] = g
	q.used += g.MilliCPUs
	q.give(g, -1)
	return g
}

func (q *Queue) drop(id string) {
	it := q.waiting[id]
	if it == nil {
		return
	}
	delete(q.waiting, id)
	heap.Remove(q.classes[it.class], it.index)
}

func (q *Queue) give(g Grant, sign int64) {
	for _, d := range g.Devices {
		if i := slices.Index(q.devices, d); i >= 0 {
			q.free[i] += sign * g.Share
		}
	}
}

// pick chooses positions of devices for a demand. When it does not fit, the answer is the devices to keep for it:
// those that will be free soonest, which is those with most free now.
func pick(free []int64, gpus int64) (positions []int, fits bool) {
	if gpus == 0 {
		return nil, true
	}
	order := make([]int, len(free))
	for i := range order {
		order[i] = i
	}
	if gpus < whole {
		// The fullest device that still has room, so that whole devices stay whole.
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(free[a], free[b]) })
		for _, i := range order {
			if free[i] >= gpus {
				return []int{i}, true
			}
		}
		return order[max(0, len(order)-1):], false
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(free[b], free[a]) })
	n := int(gpus / whole)
	positions = order[:min(n, len(order))]
	slices.Sort(positions)
	for _, i := range positions {
		fits = free[i] == whole
		if !fits {
			return positions, false
		}
	}
	return positions, len(positions) == n
}

func why(c class, left int64, gpusFit bool) string {
	if !gpusFit {
		return fmt.Sprintf("waits for %g GPU", float64(c.gpus)/whole)
	}
	if left < c.cpus {
		return fmt.Sprintf("waits for %g CPU", float64(c.cpus)/whole)
	}
	return "waits"
}

func earliest(heads []*waitHeap) int {
	best := 0
	for i := range heads {
		if (*heads[i])[0].order.compare((*heads[best])[0].order) < 0 {
			best = i
		}
	}
	return best
}

func milli(f float64) int64 {
	if f <= 0 || math.IsNaN(f) {
		return 0
	}
	return int64(math.Round(f * whole))
}

type waitHeap []*item

func (h waitHeap) Len() int           { return len(h) }
func (h waitHeap) Less(i, j int) bool { return h[i].order.compare(h[j].order) < 0 }
func (h waitHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *waitHeap) Push(x any) {
	it, _ := x.(*item)
	it.index = len(*h)
	*h = append(*h, it)
}
func (h *waitHeap) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return it
}
