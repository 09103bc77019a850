package gcelab

import "strconv"

// hostState is what an instance has of a real host.
type hostState struct {
	preempted bool
	waiting   chan struct{} // closed at every change that its metadata shows
}

// hostAction is what is done to an instance's host.
type hostAction int

const (
	hostBoot hostAction = iota
	hostStop
	hostReset
	hostRemove
)

// work does something to an instance's host and then tells, under the lab's lock.
func (l *Lab) work(in *instance, _ hostAction, then func(error)) {
	l.later(func() { then(nil) })
}

// changed wakes those who wait for a change of the instance's metadata.
func (in *instance) changed() {
	if in.host.waiting != nil {
		close(in.host.waiting)
		in.host.waiting = nil
	}
}

// console is what the host wrote while it booted.
func (in *instance) console() string { return "" }

func itoa(n int) string { return strconv.Itoa(n) }
