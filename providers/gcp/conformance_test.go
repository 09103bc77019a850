package gcp_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"aloft/providers"
	"aloft/providers/gcp"
	"aloft/providers/gcp/gcelab"
	"aloft/providers/hostlab"
	"aloft/providers/providertest"
)

// lab starts a Compute Engine of its own and a provider of it.
func lab(t *testing.T, o gcelab.Options, settings map[string]string) (*gcelab.Lab, *gcp.Provider) {
	t.Helper()
	o.Errorf = t.Errorf
	l, err := gcelab.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close the lab: %v", err)
		}
	})
	m := map[string]string{"project": l.Project(), "endpoint": l.URL(), "auth": "none", "visibility_lag": "1s", "request_lateness": "1s"}
	for k, v := range settings {
		m[k] = v
	}
	p, err := gcp.New(m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close the provider: %v", err)
		}
	})
	return l, p
}

func spec() providers.NodeSpec {
	return providers.NodeSpec{Region: "us-central1", Zone: "us-central1-a", InstanceType: "n2-standard-2", CPUs: 2, MemoryGB: 8, DiskGB: 30}
}

// keys are the same in every run.
func keys() providers.Keys {
	key := func(b byte) ed25519.PrivateKey {
		return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
	}
	return providers.Keys{User: key(1), FirstHost: key(2), Host: key(3)}
}

// request asks for a machine; names are those of its token.
func request(token string) providers.CreateRequest {
	return providers.CreateRequest{
		Token: "sky1-" + token, Name: "train-head", Spec: spec(), Keys: keys(),
		Tags: providers.Tags{Installation: "5e55a1d0", ClusterID: "01JC0000000000000000000001", ClusterName: "train", NodeID: "01JN-" + token, Attempt: 1, Epoch: 3, Owner: "me"},
	}
}

// stranger plants a machine that bears no tags of this program.
func stranger(t *testing.T, l *gcelab.Lab, zone, name string) {
	t.Helper()
	body := `{"name":"` + name + `","machineType":"zones/` + zone + `/machineTypes/e2-small","labels":{"team":"others"},
		"disks":[{"boot":true,"autoDelete":true,"initializeParams":{"sourceImage":"projects/debian-cloud/global/images/family/debian-12"}}],
		"networkInterfaces":[{"network":"global/networks/default"}]}`
	resp, err := http.Post(l.URL()+"/compute/v1/projects/"+l.Project()+"/zones/"+zone+"/instances", "application/json", bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("plant a stranger: %s", b)
	}
}

// TestConformance runs the suite. Labs are made beforehand: the suite counts goroutines, and theirs are not the provider's.
func TestConformance(t *testing.T) {
	t.Parallel()
	const subtests, kinds = 16, 6
	type place struct {
		l *gcelab.Lab
		p *gcp.Provider
	}
	places := make(chan place, subtests+kinds)
	for range cap(places) {
		l, p := lab(t, gcelab.Options{OperationTime: time.Millisecond}, nil)
		places <- place{l, p}
	}
	var mu sync.Mutex
	labs := map[providers.Provider]*gcelab.Lab{}
	take := func(t *testing.T) place {
		t.Helper()
		select {
		case x := <-places:
			mu.Lock()
			defer mu.Unlock()
			labs[x.p] = x.l
			return x
		default:
			t.Fatal("the suite has grown: make more labs")
			return place{}
		}
	}
	hosts, err := real(t)
	c := providertest.Config{
		Spec: spec, Keys: keys(), Catalogue: true, Many: 2500,
		New: func(t *testing.T) providers.Provider {
			if !strings.HasSuffix(t.Name(), "/shell") {
				return take(t).p
			}
			if err != nil {
				t.Skipf("no real hosts here: %v", err)
			}
			return hosts
		},
		Stranger: func(t *testing.T, p providers.Provider) string {
			stranger(t, labs[p], "us-central1-a", "somebody-elses")
			return "somebody-elses"
		},
		Faults: func(t *testing.T, k providers.Kind) providers.Provider {
			x := take(t)
			r := gcelab.Rule{Method: "instances.insert"}
			switch k {
			case providers.Capacity:
				r.OperationError = "ZONE_RESOURCE_POOL_EXHAUSTED"
			case providers.Quota:
				r.OperationError = "QUOTA_EXCEEDED"
			case providers.Auth:
				r.HTTP = http.StatusUnauthorized
			case providers.Invalid:
				r.HTTP, r.Message = http.StatusBadRequest, "Invalid value for field 'resource.name': 'x'."
			case providers.Throttled:
				r.HTTP, r.RetryAfter = http.StatusTooManyRequests, time.Second
			case providers.Transient:
				r.HTTP = http.StatusServiceUnavailable
			}
			x.l.Fail(r)
			return x.p
		},
	}
	if testing.Short() {
		c.Many = 600
	}
	providertest.Run(t, c)
}

// real is a provider whose machines are real hosts.
func real(t *testing.T) (*gcp.Provider, error) {
	if err := hostlab.Available(); err != nil {
		return nil, err
	}
	h, err := hostlab.New(hostlab.Options{Dir: t.TempDir()})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close the hosts: %v", err)
		}
	})
	_, p := lab(t, gcelab.Options{Hosts: h}, nil)
	return p, nil
}

// created makes a machine and waits until it runs.
func created(t *testing.T, p *gcp.Provider, r providers.CreateRequest) providers.Instance {
	t.Helper()
	if _, err := p.Create(t.Context(), r); err != nil {
		t.Fatalf("create: %v", err)
	}
	var in providers.Instance
	until(t, "the machine runs", func() bool {
		for _, i := range list(t, p, providers.Selector{Token: r.Token}) {
			in = i
		}
		return in.State == providers.InstanceRunning
	})
	return in
}

func list(t *testing.T, p providers.Provider, s providers.Selector) []providers.Instance {
	t.Helper()
	var out []providers.Instance
	for in, err := range p.Describe(t.Context(), s) {
		if err != nil {
			t.Fatalf("describe: %v", err)
		}
		out = append(out, in)
	}
	return out
}

// until waits for what takes a while.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("not in time: %s", what)
		case <-tick.C:
		}
	}
}
