// Package queue decides which rank of a node starts next: first come first served in job-number order, by what a rank
// asks of CPUs and GPU devices, with back-fill that never delays an earlier job.
//
// The rule of back-fill: while a job waits, everything it asks for stays reserved for it, as far as it is free now and
// on the devices it will get. A later job starts only from what is left. So an earlier job is never made to wait for a
// later one, and because every node of a cluster follows the same order, gangs cannot block one another.
//
// A decision looks at waiting jobs in order until what is left after their reservations is less than anybody asks for, so
// it costs what fits on the node, not the number of jobs.
package queue

import (
	"cmp"
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

// Blocked is the first of the jobs with equal demand that must wait, and for what.
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
}

func (it *item) compare(o *item) int {
	return cmp.Or(it.order.compare(o.order), cmp.Compare(it.id, o.id))
}

// Queue holds the ranks of one node that wait or run. It is not safe for concurrent use.
type Queue struct {
	cpus    int64   // total, thousandths
	devices []int   // index of each device
	used    int64   // thousandths of CPU
	free    []int64 // per device, thousandths
	known   map[string]*item
	waiting []*item // by order
	nothing []*item // ask for nothing, so they never wait
	classes map[class]int
	running map[string]Grant
}

// New makes the queue of a node with that many CPUs and those devices.
func New(cpus float64, devices []int) *Queue {
	q := &Queue{
		cpus: milli(cpus), devices: slices.Clone(devices), free: make([]int64, len(devices)),
		known: make(map[string]*item), classes: make(map[class]int), running: make(map[string]Grant),
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
	q.known[id] = it
	if c == (class{}) {
		q.nothing = append(q.nothing, it)
		return nil
	}
	at, _ := slices.BinarySearchFunc(q.waiting, it, (*item).compare)
	q.waiting = slices.Insert(q.waiting, at, it)
	q.classes[c]++
	return nil
}

// Has reports whether the rank waits or runs.
func (q *Queue) Has(id string) bool {
	_, runs := q.running[id]
	return runs || q.known[id] != nil
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
func (q *Queue) Waiting() int { return len(q.known) }

// Admit starts every rank that may start now, earliest first, and names the first of those that may not.
func (q *Queue) Admit() (started []Admission, blocked []Blocked) {
	for _, it := range q.nothing {
		delete(q.known, it.id)
		q.running[it.id] = Grant{}
		started = append(started, Admission{ID: it.id})
	}
	q.nothing = nil
	left := q.cpus - q.used // of CPUs, after what earlier ones wait for
	free := slices.Clone(q.free)
	full := make(map[class]bool)
	i := 0
	for i < len(q.waiting) && left >= q.least() {
		it := q.waiting[i]
		picked, fits := pick(free, it.class.gpus)
		if !full[it.class] && it.class.cpus <= left && fits {
			g := q.start(it, i, picked)
			left -= g.MilliCPUs
			for _, d := range picked {
				free[d] -= g.Share
			}
			started = append(started, Admission{ID: it.id, Grant: g})
			continue // the next one is at i now
		}
		if !full[it.class] {
			full[it.class] = true
			blocked = append(blocked, Blocked{ID: it.id, Why: why(it.class, left, fits)})
		}
		left -= it.class.cpus
		for _, d := range picked {
			free[d] = 0
		}
		i++
	}
	if len(blocked) == 0 && i < len(q.waiting) {
		blocked = append(blocked, Blocked{ID: q.waiting[i].id, Why: why(q.waiting[i].class, left, true)})
	}
	return started, blocked
}

// least is the smallest demand for CPUs that waits. Kinds of demand are few.
func (q *Queue) least() int64 {
	least := int64(math.MaxInt64)
	for c := range q.classes {
		least = min(least, c.cpus)
	}
	return least
}

func (q *Queue) start(it *item, at int, picked []int) Grant {
	g := Grant{MilliCPUs: it.class.cpus, Share: min(it.class.gpus, whole)}
	for _, d := range picked {
		g.Devices = append(g.Devices, q.devices[d])
	}
	q.remove(it, at)
	q.running[it.id] = g
	q.used += g.MilliCPUs
	q.give(g, -1)
	return g
}

func (q *Queue) drop(id string) {
	it := q.known[id]
	if it == nil {
		return
	}
	if it.class == (class{}) {
		delete(q.known, id)
		q.nothing = slices.DeleteFunc(q.nothing, func(o *item) bool { return o == it })
		return
	}
	at, _ := slices.BinarySearchFunc(q.waiting, it, (*item).compare)
	q.remove(it, at)
}

// remove takes out the item at a place. What lies before it is moved, for most are taken near the front.
func (q *Queue) remove(it *item, at int) {
	delete(q.known, it.id)
	if q.classes[it.class]--; q.classes[it.class] == 0 {
		delete(q.classes, it.class)
	}
	if at > len(q.waiting)/2 {
		q.waiting = slices.Delete(q.waiting, at, at+1)
		return
	}
	copy(q.waiting[1:at+1], q.waiting[:at])
	q.waiting[0] = nil
	q.waiting = q.waiting[1:]
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

func milli(f float64) int64 {
	if f <= 0 || math.IsNaN(f) {
		return 0
	}
	return int64(math.Round(f * whole))
}
