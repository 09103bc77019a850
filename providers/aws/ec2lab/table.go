package ec2lab

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"aloft/providers/hostlab"
)

// State is that of an instance, in EC2's words.
type State string

// States of an instance.
const (
	Pending      State = "pending"
	Running      State = "running"
	ShuttingDown State = "shutting-down"
	Terminated   State = "terminated"
	Stopping     State = "stopping"
	Stopped      State = "stopped"
)

func (s State) code() int {
	return map[State]int{Pending: 0, Running: 16, ShuttingDown: 32, Terminated: 48, Stopping: 64, Stopped: 80}[s]
}

// Instance is one instance as EC2 knows it now.
type Instance struct {
	ID, Region, Zone, Type, Image string
	State                         State
	Token                         string
	Spot                          bool
	Tags                          map[string]string
	PrivateIP, PublicIP           string
	UserData                      []byte // as the machine reads it
	ShutdownBehavior              string // stop or terminate
	Protected                     bool   // disableApiTermination
	Launched                      time.Time
	Ended                         time.Time // when it was terminated
	Reason                        string    // state reason code: Client.UserInitiatedShutdown, ...
	Key, Subnet, VPC              string
	Groups                        []string // ids of security groups
	Placement                     string   // placement group
	Profile                       string   // instance profile
	HTTPTokens, HTTPEndpoint      string
	TagsInMetadata                bool
	VCPUs                         int
	Arch                          string
	RootDevice                    string

	reservation string
	publicKey   string // of Key, where moto has it
	spotRequest string
	spotState   string
	public      bool // has a public address while it runs
	interfaces  int
}

// record is the history of an instance.
type record struct {
	cur      Instance
	versions []version
	host     *hostlab.Host
	inMoto   bool
	power    sync.Mutex // one change of its host at a time
	tokens   map[string]time.Time
	notice   *notice
}

type version struct {
	at time.Time
	is Instance
}

// at is the instance as it was shown at a time.
func (r *record) at(t time.Time) (Instance, bool) {
	for i := len(r.versions) - 1; i >= 0; i-- {
		if !r.versions[i].at.After(t) {
			return r.versions[i].is, true
		}
	}
	return Instance{}, false
}

// setLocked changes the instance; l.mu is held.
func (l *Lab) setLocked(r *record, change func(*Instance)) {
	r.cur.Tags = maps.Clone(r.cur.Tags)
	change(&r.cur)
	now := time.Now()
	r.versions = append(r.versions, version{now, r.cur})
	if l.lag == 0 && len(r.versions) > 2 {
		r.versions = slices.Delete(r.versions, 0, len(r.versions)-2)
	}
}

// Instances are all instances that ever were, with what is true of them now, in the order of their creation.
func (l *Lab) Instances() []Instance {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Instance, 0, len(l.order))
	for _, r := range l.order {
		i := r.cur
		i.Tags = maps.Clone(i.Tags)
		out = append(out, i)
	}
	return out
}

// Alive are the instances that may cost money: all but the terminated.
func (l *Lab) Alive() []Instance {
	return slices.DeleteFunc(l.Instances(), func(i Instance) bool { return i.State == Terminated })
}

// terminatedLife is how long a terminated instance is shown.
const terminatedLife = time.Hour

// shownLocked is an instance as a listing shows it now.
func (l *Lab) shownLocked(r *record) (Instance, bool) {
	now := time.Now()
	i, ok := r.at(now.Add(-l.lag))
	if ok && i.State == Terminated && now.Sub(i.Ended) > terminatedLife {
		return i, false
	}
	return i, ok
}

// state reads the state of an instance now.
func (l *Lab) state(r *record) State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return r.cur.State
}

// turnOn makes a pending instance run.
func (l *Lab) turnOn(r *record) {
	l.spawn(l.o.StateDelay, func(ctx context.Context) {
		r.power.Lock()
		defer r.power.Unlock()
		if l.state(r) != Pending {
			return
		}
		if l.hosts != nil {
			if err := l.bootHost(ctx, r); err != nil {
				if ctx.Err() != nil {
					return
				}
				l.log.Error("the host of an instance does not start", "instance", r.cur.ID, "err", err)
				l.mu.Lock()
				l.setLocked(r, func(i *Instance) { i.State, i.Reason, i.Ended = Terminated, "Server.InternalError", time.Now() })
				l.mu.Unlock()
				return
			}
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if r.cur.State != Pending {
			return // what happened meanwhile waits for the power
		}
		l.setLocked(r, func(i *Instance) {
			i.State = Running
			if r.host != nil {
				i.PrivateIP = r.host.Address()
			}
			if i.public {
				i.PublicIP = i.PrivateIP
				if r.host == nil {
					l.counter++
					i.PublicIP = fmt.Sprintf("198.18.%d.%d", l.counter>>8&255, l.counter&255)
				}
			}
		})
	})
}

// bootHost makes the host of an instance, or boots it again. r.power is held.
func (l *Lab) bootHost(ctx context.Context, r *record) error {
	l.mu.Lock()
	h, i := r.host, r.cur
	l.mu.Unlock()
	if h != nil {
		return h.Boot(ctx)
	}
	script, err := bootScript(i.UserData)
	if err != nil {
		l.log.Warn("user data is not executed", "instance", i.ID, "err", err)
	}
	h, err = l.hosts.Start(ctx, hostlab.Spec{
		Name: i.ID, Boot: script, Metadata: l.Metadata(i.ID), PowerOff: func() { l.poweredOff(r) },
	})
	if err != nil {
		return err
	}
	l.mu.Lock()
	r.host = h
	l.mu.Unlock()
	return nil
}

// poweredOff is a shutdown from within.
func (l *Lab) poweredOff(r *record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch r.cur.State {
	case Pending, Running:
	default:
		return
	}
	if r.cur.ShutdownBehavior == "terminate" {
		l.endLocked(r, "Client.InstanceInitiatedShutdown")
	} else {
		l.stopLocked(r, "Client.InstanceInitiatedShutdown")
	}
}

// endLocked begins the end of an instance; l.mu is held.
func (l *Lab) endLocked(r *record, reason string) {
	switch r.cur.State {
	case ShuttingDown, Terminated:
		return
	}
	l.setLocked(r, func(i *Instance) { i.State, i.Reason, i.PublicIP = ShuttingDown, reason, "" })
	l.spawnLocked(l.o.StateDelay, func(ctx context.Context) {
		r.power.Lock()
		defer r.power.Unlock()
		l.mu.Lock()
		h := r.host
		l.mu.Unlock()
		if h != nil {
			if err := h.Remove(ctx); err != nil {
				l.log.Error("the host of an instance does not end", "instance", r.cur.ID, "err", err)
			}
		}
		if r.inMoto {
			l.ask(ctx, r.cur.Region, "TerminateInstances", map[string]string{"InstanceId.1": r.cur.ID})
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		r.host = nil
		l.setLocked(r, func(i *Instance) {
			i.State, i.Ended, i.PrivateIP, i.Subnet, i.VPC, i.Groups = Terminated, time.Now(), "", "", "", nil
			if i.Spot {
				i.spotState = "closed"
			}
		})
	})
}

// stopLocked begins the stop of an instance; l.mu is held.
func (l *Lab) stopLocked(r *record, reason string) {
	l.setLocked(r, func(i *Instance) { i.State, i.Reason, i.PublicIP = Stopping, reason, "" })
	l.spawnLocked(l.o.StateDelay, func(ctx context.Context) {
		r.power.Lock()
		defer r.power.Unlock()
		l.mu.Lock()
		h := r.host
		l.mu.Unlock()
		if h != nil {
			if err := h.Stop(ctx); err != nil {
				l.log.Error("the host of an instance does not stop", "instance", r.cur.ID, "err", err)
			}
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if r.cur.State == Stopping {
			l.setLocked(r, func(i *Instance) { i.State = Stopped })
		}
	})
}

// End terminates an instance as Amazon would: for a reason of its own (Server.InternalError, ...).
func (l *Lab) End(id, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.instances[id]; r != nil {
		l.endLocked(r, reason)
	}
}
