package gcelab

import (
	"context"
	_ "embed"
	"strconv"

	"aloft/providers/hostlab"
)

// guest is what a machine of Google's runs at boot: it asks the metadata server for the startup script, at every boot.
//
//go:embed guest.sh
var guest []byte

// hostState is what an instance has of a real host.
type hostState struct {
	host      *hostlab.Host // nil = none now
	last      chan struct{} // closed when the last work on the host is over; nil = there was none
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

// work does something to an instance's host, after what was begun before, and then tells under the lab's lock. Without
// hosts some time passes.
func (l *Lab) work(in *instance, do hostAction, then func(error)) {
	if l.o.Hosts == nil {
		l.clock.after(l.o.OperationTime/2, func() { then(nil) })
		return
	}
	before, over := in.host.last, make(chan struct{})
	in.host.last = over
	l.wg.Go(func() {
		if before != nil {
			<-before
		}
		err := l.host(in, do)
		l.lock()
		then(err)
		l.unlock()
		close(over)
	})
}

func (l *Lab) host(in *instance, do hostAction) error {
	ctx := l.ctx
	if do == hostRemove || do == hostStop {
		ctx = context.WithoutCancel(ctx) // what runs must end, also when the lab is closed
	}
	l.lock()
	h := in.host.host
	l.unlock()
	switch {
	case do == hostBoot && h == nil:
		made, err := l.o.Hosts.Start(ctx, hostlab.Spec{
			Name: in.name, Boot: guest, Metadata: metadataServer{in}, PowerOff: func() { l.poweredOff(in) },
			Env: map[string]string{"GCELAB_IMAGE": in.image},
		})
		if err != nil {
			return err
		}
		l.lock()
		in.host.host = made
		l.unlock()
		return nil
	case h == nil:
		return nil
	case do == hostBoot:
		return h.Boot(ctx)
	case do == hostStop:
		return h.Stop(ctx)
	case do == hostReset:
		if err := h.Stop(ctx); err != nil {
			return err
		}
		return h.Boot(ctx)
	}
	l.lock()
	in.host.host = nil
	l.unlock()
	return h.Remove(ctx)
}

// poweredOff is told by a host that shut itself down. Compute Engine shows such an instance as TERMINATED.
func (l *Lab) poweredOff(in *instance) {
	l.lock()
	defer l.unlock()
	if in.gone || in.status() != "RUNNING" {
		return
	}
	l.end(in, l.start(nil, "zones/"+in.zone, "compute.instances.guestTerminate", in.body), "stop")
}

// Host is the real host of an instance; nil when it has none now.
func (l *Lab) Host(zone, name string) *hostlab.Host {
	l.lock()
	defer l.unlock()
	if in := l.instances[zone+"/"+name]; in != nil && !in.gone {
		return in.host.host
	}
	return nil
}

// changed wakes those who wait for a change of the instance's metadata.
func (in *instance) changed() {
	if in.host.waiting != nil {
		close(in.host.waiting)
		in.host.waiting = nil
	}
}

// console is what the host wrote while it booted.
func (in *instance) console() string {
	if in.host.host == nil {
		return ""
	}
	return string(in.host.host.Console())
}

// address is the host's; "" = there is no host.
func (in *instance) address() string {
	if in.host.host == nil {
		return ""
	}
	return in.host.host.Address()
}

func itoa(n int) string { return strconv.Itoa(n) }
