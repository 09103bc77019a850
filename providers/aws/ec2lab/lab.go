// Package ec2lab is an EC2 for tests: moto_server, an independent implementation of the API, behind a proxy of ours that
// adds what moto lacks and refuses what moto is too lenient about.
//
// Networks, security groups, key pairs, instance types, offerings, regions, identities and parameters are moto's. Instances
// are kept in a table of the proxy: client tokens, states, listings, stop and start, shutdown from within, metadata and
// spot notices follow the documentation of EC2. Every RunInstances call goes through moto before its instances exist, so
// that an independent server has read it; with Options.Through only the first calls of one shape do, for tests with
// thousands of instances (moto takes 15-30 ms for one). The proxy adds: refusal of unknown types, images, keys, subnets and
// placement groups; vCPU quotas and the Service Quotas API; spot prices and the price list, with prices that the test
// gives; placement groups; policies (see Lab.SetPolicy) and faults (see Rule).
//
// With Options.Hosts every instance that is reported running is a real host (package hostlab) that executed its user data.
//
// What it cannot show: how EC2 behaves where its documentation is silent.
package ec2lab

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"aloft/providers/hostlab"
)

// Options of New.
type Options struct {
	// Hosts makes a real host of every instance.
	Hosts bool
	// Moto is a server that several laboratories share, each with an account of its own; nil = one of this laboratory's own.
	Moto *Moto
	// Log gets what happens; nil = nobody.
	Log *slog.Logger
	// StateDelay is how long pending, stopping and shutting-down last at least; 0 = 20 ms.
	StateDelay time.Duration
	// Through is how many RunInstances calls of one shape (all but token, user data and values of tags) go through moto;
	// 0 = all.
	Through int
	// ReplayRefused makes a token whose instance is terminated an error, IdempotentInstanceTerminated, instead of an answer
	// with that instance.
	ReplayRefused bool
	// Prices are USD per hour by instance type, for the price list and, halved, for spot. They are the test's, not Amazon's.
	Prices map[string]float64
	// Images are further AMIs that exist in every region, by id: their architecture, x86_64 or arm64.
	Images map[string]string
}

// Lab is one account of an EC2.
type Lab struct {
	o       Options
	log     *slog.Logger
	moto    *Moto
	ownMoto bool
	account string
	server  *http.Server
	url     string
	hosts   *hostlab.Lab
	client  *http.Client
	ctx     context.Context
	cancel  context.CancelFunc
	tasks   sync.WaitGroup
	waiting atomic.Int32

	mu        sync.Mutex
	instances map[string]*record
	order     []*record // as they were created
	tokens    map[string]*reservation
	shapes    map[string]int
	groups    map[string]*placementGroup // region + name
	known     map[string]any             // what moto said of things that do not change
	quotas    map[string]float64         // region + code
	lag       time.Duration
	rules     []*Rule
	calls     []Call
	policy    *policy
	used      map[string]bool
	bad       map[string]string // access key -> code
	counter   uint32
	closed    bool
}

// Available is nil, or why the laboratory cannot be had here: tests skip loudly with it.
func Available(o Options) error {
	if err := motoAvailable(); o.Moto == nil && err != nil {
		return err
	}
	if o.Hosts {
		return hostlab.Available()
	}
	return nil
}

// New makes an empty account. Close it.
func New(o Options) (*Lab, error) {
	l := &Lab{
		o: o, log: o.Log, moto: o.Moto, instances: map[string]*record{}, tokens: map[string]*reservation{}, shapes: map[string]int{},
		groups: map[string]*placementGroup{}, known: map[string]any{}, quotas: map[string]float64{}, used: map[string]bool{}, bad: map[string]string{},
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}},
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if l.o.StateDelay <= 0 {
		l.o.StateDelay = 20 * time.Millisecond
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	n, err := rand.Int(rand.Reader, big.NewInt(900_000_000_000))
	if err != nil {
		return nil, fmt.Errorf("ec2lab: %w", err)
	}
	l.account = fmt.Sprint(100_000_000_000 + n.Int64())
	if l.moto == nil {
		if l.moto, err = StartMoto(); err != nil {
			return nil, err
		}
		l.ownMoto = true
	}
	if o.Hosts {
		if l.hosts, err = hostlab.New(hostlab.Options{Log: o.Log}); err != nil {
			_ = l.Close()
			return nil, err
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("ec2lab: %w", err)
	}
	l.url = "http://" + ln.Addr().String()
	l.server = &http.Server{Handler: http.HandlerFunc(l.serve), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = l.server.Serve(ln) }()
	return l, nil
}

// Close ends every host and server of the laboratory.
func (l *Lab) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.cancel()
	var errs []error
	if l.server != nil {
		errs = append(errs, l.server.Close())
	}
	l.tasks.Wait()
	if l.hosts != nil {
		errs = append(errs, l.hosts.Close())
	}
	l.client.CloseIdleConnections()
	if l.ownMoto {
		errs = append(errs, l.moto.Close())
	}
	return errors.Join(errs...)
}

// URL is the endpoint of every service.
func (l *Lab) URL() string { return l.url }

// Account is the twelve digits of the account.
func (l *Lab) Account() string { return l.account }

// AccessKey is an access key that the laboratory accepts, with SecretKey.
const (
	AccessKey = "AKIALABORATORY000001"
	SecretKey = "a-secret-of-the-laboratory"
)

// Env are the variables, NAME=value, with which a program's SDK uses the laboratory and nothing of the user's.
func (l *Lab) Env() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + l.url, "AWS_ACCESS_KEY_ID=" + AccessKey, "AWS_SECRET_ACCESS_KEY=" + SecretKey, "AWS_SESSION_TOKEN=",
		"AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_PROFILE=", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_CA_BUNDLE=",
	}
}

// SetListingLag makes listings as stale as d: what happened later is not shown.
func (l *Lab) SetListingLag(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lag = d
}

// SetKey makes calls with an access key fail with a code (AuthFailure, InvalidClientTokenId, ExpiredToken, ...); "" = no
// longer.
func (l *Lab) SetKey(accessKey, code string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if code == "" {
		delete(l.bad, accessKey)
		return
	}
	l.bad[accessKey] = code
}

// Host is the host of an instance; nil when it has none (yet, or any more).
func (l *Lab) Host(id string) *hostlab.Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.instances[id]; r != nil {
		return r.host
	}
	return nil
}

// spawn runs f later; Close waits for it.
func (l *Lab) spawn(after time.Duration, f func(ctx context.Context)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spawnLocked(after, f)
}

func (l *Lab) spawnLocked(after time.Duration, f func(ctx context.Context)) {
	if l.closed {
		return
	}
	l.tasks.Go(func() {
		t := time.NewTimer(after)
		defer t.Stop()
		select {
		case <-t.C:
			f(l.ctx)
		case <-l.ctx.Done():
		}
	})
}

// newID is an id as EC2 makes them.
func newID(prefix string) string {
	var b [9]byte
	_, _ = rand.Read(b[:])
	return prefix + "-" + strings.ToLower(hex.EncodeToString(b[:]))[:17]
}
