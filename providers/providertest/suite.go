// Package providertest is the conformance suite that every provider passes, ours and outsiders'.
package providertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aloft/providers"
)

// Config says what the suite is to work with.
type Config struct {
	// New makes an empty place and a provider of it.
	New func(t *testing.T) providers.Provider
	// Spec is a small machine that the place sells.
	Spec func() providers.NodeSpec
	// Faults makes a provider of which the next Create fails with that kind; nil when the place cannot play it.
	Faults func(t *testing.T, kind providers.Kind) providers.Provider
	// Stranger plants a machine of another installation and returns its id; nil when the place has no such thing.
	Stranger func(t *testing.T, p providers.Provider) string
	// Keys open the machines of the place; the zero value where it needs none.
	Keys providers.Keys
	// Catalogue says that what the place sells is in a catalogue, so Offers yields nothing.
	Catalogue bool
	// Many is how many machines the listing test makes; 0 = 2500, or 3 when Live.
	Many int
	// Live says that machines cost money: few are made.
	Live bool
}

const installation = "providertest"

// Run runs the suite.
func Run(t *testing.T, c Config) {
	if c.Many == 0 {
		c.Many = 2500
		if c.Live {
			c.Many = 3
		}
	}
	for _, x := range []struct {
		name string
		run  func(*suite)
	}{
		{"capabilities", (*suite).capabilities},
		{"offers", (*suite).offers},
		{"create is seen", (*suite).createIsSeen},
		{"one token, one machine", (*suite).oneToken},
		{"changed spec", (*suite).changedSpec},
		{"replay after delete", (*suite).replayAfterDelete},
		{"strangers", (*suite).strangers},
		{"many", (*suite).many},
		{"delete", (*suite).deletes},
		{"delete while creating", (*suite).deleteWhileCreating},
		{"tags", (*suite).tags},
		{"deadline", (*suite).deadline},
		{"cancel", (*suite).cancel},
		{"faults", (*suite).faults},
		{"stop and start", (*suite).stopStart},
		{"shell", (*suite).shell},
	} {
		t.Run(x.name, func(t *testing.T) {
			s := &suite{T: t, c: c, p: c.New(t)}
			// Goroutines inherit labels, so those of this subtest are told from those of tests beside it.
			pprof.Do(t.Context(), pprof.Labels("suite", t.Name()), func(context.Context) {
				x.run(s)
				s.clean()
			})
			s.eventually(5*time.Second, "goroutines end", func() bool { return !labelled(t, t.Name()) })
		})
	}
}

// labelled reports whether a goroutine lives that began in the named subtest.
func labelled(t *testing.T, name string) bool {
	t.Helper()
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(b.Bytes(), fmt.Appendf(nil, "%q:%q", "suite", name))
}

// suite is one test on a place of its own.
type suite struct {
	*testing.T
	c    Config
	p    providers.Provider
	made []string // tokens
}

// request is a create request; tokens of one suite differ.
func (s *suite) request(token string) providers.CreateRequest {
	tok := "sky1-" + strings.ToLower(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, token))
	s.made = append(s.made, tok)
	return providers.CreateRequest{
		Token: tok, Name: "providertest-head", Spec: s.c.Spec(),
		Keys: s.c.Keys,
		Tags: providers.Tags{Installation: installation, ClusterID: "c1", ClusterName: "providertest", NodeID: token, Attempt: 1, Epoch: 7, Owner: "me",
			CI: providers.CIRun{System: "github", Repository: "github.com/acme/model", Run: "7", Job: "fit/a1", Group: "main", Key: "ci-1"}},
	}
}

func (s *suite) create(r providers.CreateRequest) providers.Instance {
	s.Helper()
	in, err := s.p.Create(s.Context(), r)
	if err != nil {
		s.Fatalf("create: %v", err)
	}
	return in
}

// list collects what Describe yields.
func (s *suite) list(sel providers.Selector) []providers.Instance {
	s.Helper()
	var out []providers.Instance
	for in, err := range s.p.Describe(s.Context(), sel) {
		if err != nil {
			s.Fatalf("describe: %v", err)
		}
		out = append(out, in)
	}
	return out
}

// alive are those of the listing that may cost money.
func (s *suite) alive(sel providers.Selector) []providers.Instance {
	s.Helper()
	return slices.DeleteFunc(s.list(sel), func(in providers.Instance) bool { return !in.State.Alive() })
}

// eventually waits for what a place may take its time for.
func (s *suite) eventually(limit time.Duration, what string, ok func() bool) {
	s.Helper()
	end := time.Now().Add(limit + s.p.Capabilities().Settle())
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(end) {
			s.Fatalf("not in time: %s", what)
		}
		<-tick.C
	}
}

// running waits until the instance runs.
func (s *suite) running(id string) providers.Instance {
	s.Helper()
	var found providers.Instance
	s.eventually(10*time.Minute, "instance "+id+" runs", func() bool {
		for _, in := range s.list(providers.Selector{IDs: []string{id}}) {
			found = in
			return in.State == providers.InstanceRunning
		}
		return false
	})
	return found
}

// clean deletes what the test made.
func (s *suite) clean() {
	s.Helper()
	for _, tok := range s.made {
		for _, in := range s.alive(providers.Selector{Token: tok}) {
			if err := s.p.Delete(s.Context(), in.InstanceRef); err != nil {
				s.Errorf("delete %s: %v", in.ID, err)
			}
		}
	}
}

func (s *suite) capabilities() {
	c := s.p.Capabilities()
	if !reflect.DeepEqual(c, s.p.Capabilities()) {
		s.Error("capabilities change")
	}
	if n := s.p.Name(); n == "" || n != strings.ToLower(n) {
		s.Errorf("name %q is not lower case", n)
	}
	if _, ok := s.p.(providers.Sheller); ok != c.Shell {
		s.Errorf("Shell is %v, implementing Sheller is %v", c.Shell, ok)
	}
	if _, ok := s.p.(providers.Stopper); ok != c.Stop {
		s.Errorf("Stop is %v, implementing Stopper is %v", c.Stop, ok)
	}
	if _, ok := s.p.(providers.DeadlineExtender); ok != c.DeadlineMoves {
		s.Errorf("DeadlineMoves is %v, implementing DeadlineExtender is %v", c.DeadlineMoves, ok)
	}
	if c.VisibilityLag < 0 || c.RequestLateness < 0 || c.MaxTTL < 0 || c.MaxNodes < 0 {
		s.Errorf("negative numbers: %+v", c)
	}
}

func (s *suite) offers() {
	collect := func() (out []providers.Offer) {
		for o, err := range s.p.Offers(s.Context(), providers.OfferQuery{}) {
			if err != nil {
				s.Fatalf("offers: %v", err)
			}
			out = append(out, o)
		}
		return out
	}
	a := collect()
	if (len(a) == 0) != s.c.Catalogue {
		s.Fatalf("%d on offer, with a catalogue: %v", len(a), s.c.Catalogue)
	}
	if b := collect(); !slices.Equal(a, b) {
		s.Error("the order of offers is not stable")
	}
	for _, o := range a {
		if o.InstanceType == "" || o.HourlyPrice < 0 || o.CPUs <= 0 {
			s.Errorf("odd offer %+v", o)
		}
	}
	for range s.p.Offers(s.Context(), providers.OfferQuery{}) {
		break // must not panic when the caller has enough
	}
	if s.p.Capabilities().Tags && len(s.list(providers.Selector{Installation: installation})) > 0 {
		s.Error("offers made a machine")
	}
}

func (s *suite) createIsSeen() {
	r := s.request("seen")
	in := s.create(r)
	if in.ID == "" || in.Token != r.Token {
		s.Fatalf("created %+v", in)
	}
	lag := s.p.Capabilities().VisibilityLag
	for _, sel := range []providers.Selector{{Token: r.Token}, {IDs: []string{in.ID}}, {Installation: installation}, {IDs: []string{in.ID, "nobody"}, Region: r.Spec.Region}} {
		if sel.Installation != "" && !s.p.Capabilities().Tags {
			continue
		}
		s.eventually(lag, fmt.Sprintf("%+v shows the machine", sel), func() bool {
			got := s.list(sel)
			return len(got) == 1 && got[0].ID == in.ID
		})
	}
	if got := s.running(in.ID); got.Address == "" {
		s.Error("a running machine without an address")
	}
	if got := s.list(providers.Selector{Token: "sky1-nobody"}); len(got) > 0 {
		s.Errorf("a token that nobody used shows %v", got)
	}
}

func (s *suite) oneToken() {
	if s.p.Capabilities().Idempotency == providers.IdempotencyNone {
		s.Skip("the place knows no tokens")
	}
	r := s.request("many-calls")
	const calls = 32
	ids := make([]string, calls)
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			for {
				in, err := s.p.Create(s.Context(), r)
				if k := providers.KindOf(err); err != nil && (k == providers.Transient || k == providers.Throttled) {
					continue
				}
				if err != nil {
					s.Errorf("create: %v", err)
				}
				ids[i] = in.ID
				return
			}
		})
	}
	wg.Wait()
	if len(slices.Compact(slices.Sorted(slices.Values(ids)))) != 1 {
		s.Fatalf("one token gave %v", ids)
	}
	s.eventually(s.p.Capabilities().VisibilityLag, "one machine is listed", func() bool { return len(s.alive(providers.Selector{Token: r.Token})) == 1 })
}

func (s *suite) changedSpec() {
	if s.p.Capabilities().Idempotency == providers.IdempotencyNone {
		s.Skip("the place knows no tokens")
	}
	r := s.request("changed")
	s.create(r)
	r.Spec.DiskGB += 17
	if _, err := s.p.Create(s.Context(), r); providers.KindOf(err) != providers.Conflict {
		s.Fatalf("the same token with another spec: %v, want a conflict", err)
	}
}

func (s *suite) replayAfterDelete() {
	if s.p.Capabilities().Idempotency != providers.IdempotencyToken {
		s.Skip("the place does not remember tokens")
	}
	r := s.request("replayed")
	in := s.create(r)
	s.running(in.ID)
	if err := s.p.Delete(s.Context(), in.InstanceRef); err != nil {
		s.Fatalf("delete: %v", err)
	}
	s.eventually(10*time.Minute, "the machine ends", func() bool { return len(s.alive(providers.Selector{IDs: []string{in.ID}})) == 0 })
	got, err := s.p.Create(s.Context(), r)
	if err == nil && got.State.Alive() || err != nil && providers.KindOf(err) != providers.Conflict {
		s.Fatalf("a spent token gave %+v, %v", got, err)
	}
}

func (s *suite) strangers() {
	if s.c.Stranger == nil || !s.p.Capabilities().Tags {
		s.Skip("no strangers here")
	}
	id := s.c.Stranger(s.T, s.p)
	mine := s.create(s.request("mine"))
	s.eventually(s.p.Capabilities().VisibilityLag, "mine is listed", func() bool {
		return slices.ContainsFunc(s.list(providers.Selector{Installation: installation}), func(in providers.Instance) bool { return in.ID == mine.ID })
	})
	for _, in := range s.list(providers.Selector{Installation: installation}) {
		if in.ID == id || in.Tags.Installation != installation {
			s.Errorf("a stranger is listed: %+v", in)
		}
	}
	theirs := s.request("theirs")
	theirs.Tags.Installation = "providertest-another"
	other := s.create(theirs)
	s.eventually(s.p.Capabilities().VisibilityLag, "both are listed among all installations'", func() bool {
		var k int
		for _, in := range s.list(providers.Selector{Ours: true}) {
			if in.Tags.Installation == "" {
				s.Errorf("a machine without our tags is listed: %+v", in)
			}
			if in.ID == other.ID || in.ID == mine.ID {
				k++
			}
		}
		return k == 2
	})
	if x, ok := s.p.(providers.PowerOffSetter); ok {
		for _, keep := range []bool{true, true, false} {
			if err := x.SetPowerOff(s.Context(), mine.InstanceRef, keep); err != nil {
				s.Errorf("what a shutdown from within does, keep %v: %v", keep, err)
			}
		}
	}
	if x, ok := s.p.(providers.Finisher); ok {
		for range 2 { // of a cluster that never was
			if err := x.Finish(s.Context(), providers.Tags{Installation: installation, ClusterID: "never", ClusterName: "never"}, s.c.Spec().Region); err != nil {
				s.Errorf("finish of nothing: %v", err)
			}
		}
	}
	for range s.p.Describe(s.Context(), providers.Selector{}) {
		s.Error("the empty selector selects something")
	}
}

func (s *suite) many() {
	if !s.p.Capabilities().Tags {
		s.Skip("no listing by installation")
	}
	const workers = 16
	jobs := make(chan providers.CreateRequest)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for r := range jobs {
				if _, err := s.p.Create(s.Context(), r); err != nil {
					s.Errorf("create: %v", err)
				}
			}
		})
	}
	for i := range s.c.Many {
		jobs <- s.request(fmt.Sprintf("many-%d", i))
	}
	close(jobs)
	wg.Wait()
	s.eventually(s.p.Capabilities().VisibilityLag, "all machines are listed", func() bool {
		seen := map[string]bool{}
		for _, in := range s.list(providers.Selector{Installation: installation}) {
			seen[in.ID] = true
		}
		return len(seen) == s.c.Many
	})
}

func (s *suite) deletes() {
	in := s.create(s.request("deleted"))
	s.running(in.ID)
	for range 2 {
		if err := s.p.Delete(s.Context(), in.InstanceRef); err != nil {
			s.Fatalf("delete: %v", err)
		}
	}
	s.eventually(10*time.Minute, "the machine ends", func() bool { return len(s.alive(providers.Selector{IDs: []string{in.ID}})) == 0 })
	if err := s.p.Delete(s.Context(), providers.InstanceRef{ID: "n-aaaaaaaaaaaa", Region: in.Region, Zone: in.Zone}); err != nil {
		s.Errorf("delete of what never was: %v", err)
	}
}

func (s *suite) deleteWhileCreating() {
	r := s.request("short-lived")
	in := s.create(r)
	if err := s.p.Delete(s.Context(), in.InstanceRef); err != nil {
		s.Fatalf("delete: %v", err)
	}
	s.eventually(10*time.Minute, "the machine ends", func() bool { return len(s.alive(providers.Selector{Token: r.Token})) == 0 })
}

func (s *suite) tags() {
	if !s.p.Capabilities().Tags {
		s.Skip("no tags")
	}
	r := s.request("tagged")
	r.Tags.ClusterName = strings.Repeat("n", 63)
	r.Tags.Owner = "Zoë Ångström"
	r.Spec.Labels = map[string]string{"team": strings.Repeat("x", 63), "empty": ""}
	in := s.create(r)
	s.eventually(s.p.Capabilities().VisibilityLag, "tags are read back", func() bool {
		got := s.list(providers.Selector{IDs: []string{in.ID}})
		if len(got) != 1 {
			return false
		}
		tags := got[0].Tags
		if tags.Owner != r.Tags.Owner && !ascii(tags.Owner) {
			s.Fatalf("owner %q came back as %q", r.Tags.Owner, tags.Owner)
		}
		tags.Owner = r.Tags.Owner // a place may fold what it cannot hold
		if tags != r.Tags {
			s.Fatalf("tags %+v came back as %+v", r.Tags, tags)
		}
		return true
	})
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > 126 }) < 0
}

func (s *suite) deadline() {
	r := s.request("mortal")
	r.Deadline = time.Now().Add(2 * time.Hour).Truncate(time.Second)
	in := s.create(r)
	s.eventually(s.p.Capabilities().VisibilityLag, "the machine is listed", func() bool {
		got := s.list(providers.Selector{IDs: []string{in.ID}})
		if len(got) != 1 {
			return false
		}
		if d := got[0].Deadline; s.p.Capabilities().MaxTTL > 0 && d.IsZero() || !d.IsZero() && d.After(r.Deadline.Add(time.Minute)) {
			s.Fatalf("deadline %v came back as %v", r.Deadline, d)
		}
		return true
	})
	if x, ok := s.p.(providers.DeadlineExtender); ok {
		later := r.Deadline.Add(time.Hour)
		if err := x.ExtendDeadline(s.Context(), in.InstanceRef, later); err != nil {
			s.Fatalf("extend: %v", err)
		}
		if got := s.list(providers.Selector{IDs: []string{in.ID}}); len(got) == 1 && !got[0].Deadline.Equal(later) {
			s.Errorf("deadline %v came back as %v", later, got[0].Deadline)
		}
	}
}

func (s *suite) cancel() {
	r := s.request("resumed")
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	began := time.Now()
	if _, err := s.p.Create(ctx, r); err != nil && !errors.Is(err, context.Canceled) && providers.KindOf(err) == providers.KindUnknown {
		s.Errorf("a cancelled create: %v", err)
	}
	if d := time.Since(began); d > time.Second {
		s.Errorf("a cancelled create took %s", d)
	}
	for _, err := range s.p.Describe(ctx, providers.Selector{Token: r.Token}) {
		if err == nil {
			s.Error("a cancelled describe yields machines")
		}
	}
	if s.p.Capabilities().Idempotency == providers.IdempotencyNone {
		return
	}
	in := s.create(r)
	s.eventually(s.p.Capabilities().Settle(), "one machine is listed", func() bool {
		got := s.alive(providers.Selector{Token: r.Token})
		return len(got) == 1 && got[0].ID == in.ID
	})
}

func (s *suite) faults() {
	if s.c.Faults == nil {
		s.Skip("no faults to play")
	}
	for _, kind := range []providers.Kind{providers.Capacity, providers.Quota, providers.Auth, providers.Invalid, providers.Throttled, providers.Transient} {
		p := s.c.Faults(s.T, kind)
		if p == nil {
			continue
		}
		_, err := p.Create(s.Context(), s.request("fault-"+kind.String()))
		var e *providers.Error
		switch {
		case !errors.As(err, &e):
			s.Errorf("%s: %v is not a *providers.Error", kind, err)
		case e.Kind != kind:
			s.Errorf("want %s, got %s: %v", kind, e.Kind, err)
		case e.Provider != p.Name() || e.Op != "create":
			s.Errorf("%s: names provider %q, operation %q", kind, e.Provider, e.Op)
		}
	}
}

func (s *suite) stopStart() {
	st, ok := s.p.(providers.Stopper)
	if !ok {
		s.Skip("machines cannot be stopped here")
	}
	in := s.create(s.request("stopped"))
	s.running(in.ID)
	state := func(want providers.InstanceState) {
		s.Helper()
		s.eventually(10*time.Minute, fmt.Sprintf("state %d", want), func() bool {
			got := s.list(providers.Selector{IDs: []string{in.ID}})
			return len(got) == 1 && got[0].State == want
		})
	}
	for range 2 {
		if err := st.Stop(s.Context(), in.InstanceRef); err != nil {
			s.Fatalf("stop: %v", err)
		}
		state(providers.InstanceStopped)
	}
	for range 2 {
		if err := st.Start(s.Context(), in.InstanceRef); err != nil {
			s.Fatalf("start: %v", err)
		}
		state(providers.InstanceRunning)
	}
	if err := s.p.Delete(s.Context(), in.InstanceRef); err != nil {
		s.Fatalf("delete: %v", err)
	}
	s.eventually(10*time.Minute, "the machine ends", func() bool { return len(s.alive(providers.Selector{IDs: []string{in.ID}})) == 0 })
	if err := st.Start(s.Context(), in.InstanceRef); providers.KindOf(err) != providers.NotFound {
		s.Errorf("start of a dead machine: %v, want not found", err)
	}
}
