package gcelab

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"aloft/providers/hostlab"
)

// projectNumber is the number of every lab's project.
const projectNumber = "123456789012"

// Options configure a Lab. The zero value is a project whose operations take 20 ms, with no hosts and every permission.
type Options struct {
	// Project is the project's id; "" = lab-project.
	Project string
	// Listen is the address that is served; "" = a free port of 127.0.0.1.
	Listen string
	// Hosts makes a real host of every instance that runs; nil = instances are records only. The lab then listens where the
	// hosts can reach it, unless Listen says otherwise.
	Hosts *hostlab.Lab
	Log   *slog.Logger
	// Errorf is told of answers that break Google's documents, and of calls to what the documents do not have: a test
	// gives t.Errorf. nil = Violations alone has them.
	Errorf func(format string, args ...any)
	// Speed is how much faster than the machine's the lab's time goes; 0 = 1.
	Speed float64
	// OperationTime is how long operations take, in the lab's time; 0 = 20 ms.
	OperationTime time.Duration
	// Notice is how long a preempted instance keeps running, in the lab's time; 0 = 30 s, as Google's.
	Notice time.Duration
	// ListingLag is how old lists are, in the lab's time. Reading one resource by its name is never stale, as with Google.
	ListingLag time.Duration
	// Permissions are what callers may do: names of IAM permissions. nil = everything.
	Permissions []string
	// NodePermissions are what the service account of instances may do, within the instance's scopes. nil = everything.
	NodePermissions []string
	// NoDefaultNetwork leaves the project without its default network.
	NoDefaultNetwork bool
	// Disabled are services that are not enabled in the project: compute.googleapis.com.
	Disabled []string
}

// Lab is one project of Compute Engine. Its methods may be called at any time from any goroutine.
type Lab struct {
	o         Options
	docs      []*document
	types     map[string]machineType
	images    []image
	listener  net.Listener
	server    *http.Server
	ctx       context.Context
	cancel    context.CancelFunc
	wake      chan struct{}
	wg        sync.WaitGroup
	mu        sync.Mutex
	clock     clock
	closed    bool
	rules     []*Rule
	calls     []Call
	violated  []string
	instances map[string]*instance // by zone/name
	shelf     map[string]map[string]object
	ops       map[string]*operation
	requests  map[string]*operation
	quotas    map[string]map[string]float64 // by region ("" = global) and metric
	dark      map[string]bool               // zones that cannot be reached
	tokens    map[string]*instance
	granted   map[string]bool
	off       map[string]bool // services
	handlers  map[string]handler
	ids       uint64
	addresses int
}

// New starts a lab. Close ends it.
func New(o Options) (*Lab, error) {
	if o.Project == "" {
		o.Project = "lab-project"
	}
	if o.Speed <= 0 {
		o.Speed = 1
	}
	if o.OperationTime <= 0 {
		o.OperationTime = 20 * time.Millisecond
	}
	if o.Notice <= 0 {
		o.Notice = 30 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	listen := o.Listen
	if listen == "" {
		listen = "127.0.0.1:0"
		if o.Hosts != nil {
			listen = o.Hosts.Gateway() + ":0"
		}
	}
	docs, err := loadDocuments()
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("gcelab: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &Lab{
		o: o, docs: docs, types: machineTypes(), images: images(), listener: ln, ctx: ctx, cancel: cancel, wake: make(chan struct{}, 1),
		clock:     clock{start: time.Now(), speed: o.Speed},
		instances: map[string]*instance{}, shelf: map[string]map[string]object{}, ops: map[string]*operation{}, requests: map[string]*operation{},
		quotas: map[string]map[string]float64{}, dark: map[string]bool{}, tokens: map[string]*instance{}, off: map[string]bool{}, handlers: handlers(), ids: 4_000_000_000_000_000_000,
	}
	l.granted = set(o.Permissions)
	for _, s := range o.Disabled {
		l.off[s] = true
	}
	l.furnish()
	l.server = &http.Server{Handler: l, ReadHeaderTimeout: time.Minute}
	l.wg.Go(func() {
		// Serve ends with the listener; whatever else it says has nobody to hear it.
		_ = l.server.Serve(ln)
	})
	l.wg.Go(l.run)
	return l, nil
}

// Close ends the server and what it began. Hosts that still run are removed.
func (l *Lab) Close() error {
	l.lock()
	if l.closed {
		l.unlock()
		return nil
	}
	l.closed = true
	for _, in := range l.instances {
		if in.host.host != nil {
			l.work(in, hostRemove, func(error) {})
		}
	}
	l.unlock()
	l.cancel()
	err := l.server.Close()
	l.wg.Wait()
	return err
}

// URL is the server's root, without a slash at its end. Clients append compute/v1/ or get it as their endpoint, as they are
// used to.
func (l *Lab) URL() string { return "http://" + l.listener.Addr().String() }

// Project is the project's id.
func (l *Lab) Project() string { return l.o.Project }

// Now is the lab's time.
func (l *Lab) Now() time.Time {
	l.lock()
	defer l.unlock()
	return l.clock.now()
}

// Advance moves the lab's time forward; what is due by then has happened when it returns, except for work on hosts.
func (l *Lab) Advance(d time.Duration) {
	l.lock()
	l.clock.advanced += d
	l.unlock()
}

// Permit replaces what callers may do; nil = everything.
func (l *Lab) Permit(permissions []string) {
	l.lock()
	defer l.unlock()
	l.granted = set(permissions)
}

// Disable switches a service of the project off or on again: compute.googleapis.com.
func (l *Lab) Disable(service string, off bool) {
	l.lock()
	defer l.unlock()
	l.off[service] = off
}

// Unreachable makes a zone's backend fail to answer lists.
func (l *Lab) Unreachable(zone string, dark bool) {
	l.lock()
	defer l.unlock()
	l.dark[zone] = dark
}

// SetQuota limits a metric (NVIDIA_T4_GPUS, CPUS) in a region; region "" is the whole project.
func (l *Lab) SetQuota(region, metric string, limit float64) {
	l.lock()
	defer l.unlock()
	if l.quotas[region] == nil {
		l.quotas[region] = map[string]float64{}
	}
	l.quotas[region][metric] = limit
}

// AddImage puts an image of at least gb gigabytes on offer.
func (l *Lab) AddImage(project, family, name string, gb int) {
	l.lock()
	defer l.unlock()
	l.images = append(l.images, image{project: project, family: family, name: name, gb: gb, arch: "X86_64"})
}

// Violations are answers that broke the documents and calls that they do not have.
func (l *Lab) Violations() []string {
	l.lock()
	defer l.unlock()
	return append([]string(nil), l.violated...)
}

func set(list []string) map[string]bool {
	if list == nil {
		return nil
	}
	out := map[string]bool{}
	for _, s := range list {
		out[s] = true
	}
	return out
}

// lock takes the lab and lets what is due happen.
func (l *Lab) lock() {
	l.mu.Lock()
	l.clock.happen()
}

// unlock gives the lab back and tells the goroutine that waits for the next event.
func (l *Lab) unlock() {
	l.clock.happen()
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run lets events happen when they are due.
func (l *Lab) run() {
	for {
		l.mu.Lock()
		l.clock.happen()
		wait := l.clock.next()
		l.mu.Unlock()
		t := time.NewTimer(wait)
		select {
		case <-l.ctx.Done():
			t.Stop()
			return
		case <-l.wake:
			t.Stop()
		case <-t.C:
		}
	}
}

func (l *Lab) violation(format string, args ...any) {
	v := fmt.Sprintf(format, args...)
	l.violated = append(l.violated, v)
	l.o.Log.Error("gcelab", "violation", v)
	if l.o.Errorf != nil {
		l.o.Errorf("gcelab: %s", v)
	}
}

func (l *Lab) id() string {
	l.ids += 7_919
	return fmt.Sprint(l.ids)
}

// stamp is an instant as Google writes it.
func stamp(t time.Time) string {
	return t.In(time.FixedZone("", -8*60*60)).Format("2006-01-02T15:04:05.000-07:00")
}

// link is a resource's full URL.
func (l *Lab) link(parts ...string) string {
	return "https://www.googleapis.com/compute/v1/projects/" + l.o.Project + "/" + strings.Join(parts, "/")
}

// partial is what follows compute/v1/ in a link.
func partial(link string) string {
	if i := strings.Index(link, "/projects/"); i >= 0 {
		return link[i+1:]
	}
	return link
}

// last is what follows the last slash of a link.
func last(link string) string { return link[strings.LastIndexByte(link, '/')+1:] }

// text is a string field of an object; "" where there is none.
func text(o object, name string) string {
	s, _ := o[name].(string)
	return s
}

// list is an array field of objects.
func list(o object, name string) []object {
	a, _ := o[name].([]any)
	var out []object
	for _, e := range a {
		if m, ok := e.(object); ok {
			out = append(out, m)
		}
	}
	return out
}

// inner is an object field; nil where there is none.
func inner(o object, name string) object {
	m, _ := o[name].(object)
	return m
}
