package gcelab

import (
	"container/heap"
	"time"
)

// clock is the lab's time: the machine's, faster by a factor, and moved forward by Advance. Things that happen later are
// events; they happen under the lab's lock, each at its own instant, in order. All methods need the lab's lock.
type clock struct {
	start    time.Time
	speed    float64
	advanced time.Duration
	frozen   time.Time // the instant of the event that happens now; zero = none does
	events   events
	seq      int
}

type event struct {
	at  time.Time
	seq int
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || (e[i].at.Equal(e[j].at) && e[i].seq < e[j].seq)
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}

func (c *clock) now() time.Time {
	if !c.frozen.IsZero() {
		return c.frozen
	}
	return c.real()
}

func (c *clock) real() time.Time {
	return c.start.Add(time.Duration(float64(time.Since(c.start))*c.speed) + c.advanced)
}

func (c *clock) after(d time.Duration, do func()) {
	c.seq++
	heap.Push(&c.events, event{at: c.now().Add(d), seq: c.seq, do: do})
}

// happen lets everything happen that is due.
func (c *clock) happen() {
	for len(c.events) > 0 && !c.events[0].at.After(c.real()) {
		e := heap.Pop(&c.events).(event)
		c.frozen = e.at
		e.do()
		c.frozen = time.Time{}
	}
}

// next is how long, in the machine's time, until something is due.
func (c *clock) next() time.Duration {
	if len(c.events) == 0 {
		return time.Hour
	}
	return max(0, time.Duration(float64(c.events[0].at.Sub(c.real()))/c.speed))
}
