// Package providers is the contract with any place that can run a machine.
//
// The interface is what every place can do; the rest is optional, one method each, found by type assertion and
// declared in Capabilities. Errors are *Error: SDK errors never leave a provider's package.
package providers

import (
	"context"
	"crypto/ed25519"
	"io"
	"iter"
	"net"
	"time"

	statev1 "aloft/proto/sky/state/v1"
)

// Provider is one place that rents machines: this host, a cloud, a scheduler.
type Provider interface {
	// Name is the word users write in `infra:`, lower case.
	Name() string
	// Capabilities never changes during the life of the value and needs no network.
	Capabilities() Capabilities
	// Offers yields what can be asked for, in a stable order. It writes nothing anywhere.
	Offers(ctx context.Context, q OfferQuery) iter.Seq2[Offer, error]
	// Create asks for one machine. It is idempotent per r.Token: the same token and spec give the same instance, the
	// same token with another spec is Conflict, a token whose instance was deleted gives that dead instance or Conflict.
	Create(ctx context.Context, r CreateRequest) (Instance, error)
	// Describe yields the instances that s selects and nothing else. An empty answer does not prove absence:
	// see Capabilities.VisibilityLag.
	Describe(ctx context.Context, s Selector) iter.Seq2[Instance, error]
	// Delete asks for the end of an instance; nil when it is already gone. It proves nothing: Describe does.
	Delete(ctx context.Context, ref InstanceRef) error
}

// Sheller opens a Shell on a running instance. Places that are not reached over SSH ignore the keys.
type Sheller interface {
	Shell(ctx context.Context, in Instance, k Keys) (Shell, error)
}

// Keys open one machine that is reached over SSH. They are derived from the installation's secret, so they are the same in
// every call about that machine, and are held in memory only.
type Keys struct {
	// User logs in: one for all machines of a cluster. Empty where no SSH keys are in use.
	User ed25519.PrivateKey
	// FirstHost is the host key that a machine is created with: the first connection is verified already. What a machine is
	// created with can be read on it, so the first contact replaces the key by Host. Empty once that has happened: only
	// Host is accepted then.
	FirstHost ed25519.PrivateKey
	// Host is the host key of a machine after its first contact.
	Host ed25519.PrivateKey
}

// SSHTarget is how a person's own ssh reaches an instance.
type SSHTarget struct {
	Host      string // address or name
	Port      int    // 0 = 22
	User      string
	ProxyJump string // as in ssh_config; "" = direct
	// ProxyCommand and HostKeyAlias are as in ssh_config; "" = none.
	ProxyCommand string
	HostKeyAlias string
	// Own says that the machine's host key is in the user's own known_hosts, and its login key the user's own: nothing is
	// written for it but the way.
	Own bool
	// Identity is the private key file of a machine whose keys are the user's own; "" = the cluster's key.
	Identity string
}

// SSHer is a Sheller whose instances a person can reach with ssh.
type SSHer interface {
	SSH(ctx context.Context, in Instance) (SSHTarget, error)
}

// PowerOffSetter changes what a shutdown from within does to an instance: end it for good, or (keep) stop it and keep its
// disk. A new instance ends for good. Idempotent.
type PowerOffSetter interface {
	SetPowerOff(ctx context.Context, ref InstanceRef, keep bool) error
}

// QuotaReader says beforehand that an account may not have what a spec asks for: a *Error of kind Quota, or nil when it
// may, or when the place does not tell.
type QuotaReader interface {
	CheckQuota(ctx context.Context, s NodeSpec, nodes int) error
}

// Finisher removes what a cluster shared among its machines (groups, rules, keys) once all of them are gone. Idempotent.
type Finisher interface {
	Finish(ctx context.Context, t Tags, region string) error
}

// Stopper can stop an instance keeping its disk, and start it again. Both are idempotent requests: Describe tells the outcome.
type Stopper interface {
	Stop(ctx context.Context, ref InstanceRef) error
	Start(ctx context.Context, ref InstanceRef) error
}

// AccountChecker says whether the credentials at hand can be used, for `sky check`.
type AccountChecker interface {
	CheckAccount(ctx context.Context) (Account, error)
}

// ConsoleReader reads the boot log of an instance that never became reachable.
type ConsoleReader interface {
	Console(ctx context.Context, ref InstanceRef) ([]byte, error)
}

// DeadlineExtender moves the instant at which the place itself ends an instance (see CreateRequest.Deadline).
type DeadlineExtender interface {
	ExtendDeadline(ctx context.Context, ref InstanceRef, deadline time.Time) error
}

// CatalogSource tells what the place sells and at which prices, asked from the place itself.
type CatalogSource interface {
	// Catalog calls row with every machine type in every zone that may be used, in a stable order, and with accelerators that
	// attach to machines. A price that the place does not tell is unknown: none is made up. An error of row ends it.
	Catalog(ctx context.Context, row func(CatalogRow) error) error
}

// CatalogRow is what is sold in one zone.
type CatalogRow struct {
	InstanceType     string // "" = an accelerator that attaches to a machine
	Accelerator      string // in the names that tasks use; "" = none
	AcceleratorCount float64
	DeviceGB         float64 // memory of one accelerator; 0 = not told
	CPUs             float64
	MemoryGB         float64
	Arch             string // x86_64, arm64; "" = not told
	Region           string
	Zone             string    // as the account calls it
	Price, SpotPrice float64   // USD per hour; NaN = unknown, or not sold so
	Dated            time.Time // when the prices were seen; zero = there are none
}

// Account is who we are at a provider.
type Account struct {
	Identity     string   // account, project or user; never a secret
	Capabilities []string // "compute", "storage"
	Missing      []Permission
	Notes        []string // what else a person should know, a sentence each
}

// Permission is one that the credentials at hand lack; with any missing the place is not usable.
type Permission struct {
	Name string // the vendor's word: ec2:RunInstances, compute.instances.create
	For  string // what it is needed for
	Fix  string // the exact command that grants it
}

// Shell runs commands on an instance and opens byte streams to sockets there.
type Shell interface {
	// Run runs cmd and waits for it. A non-zero exit is in Exit, not an error; an error means the verdict is unknown.
	Run(ctx context.Context, cmd Cmd) (Exit, error)
	// Dial opens a stream to an address on the instance; network is "unix" or "tcp".
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	Close() error
}

// Cmd is a command for Shell.Run. Line is given to /bin/sh -c; secrets belong on Stdin, never in Line.
type Cmd struct {
	Line   string
	Stdin  io.Reader // nil = empty
	Stdout io.Writer // nil = discarded
	Stderr io.Writer // nil = discarded
}

// Exit is how a command ended.
type Exit struct {
	Code   int // 0-255; 128+n when killed by signal n
	Signal int // 0 = none
}

// Idempotency says how a provider keeps the promise of Create.
type Idempotency int

// Kinds of idempotency.
const (
	IdempotencyNone  Idempotency = iota // list, then create, under a lease; the sweep is stricter
	IdempotencyToken                    // the place remembers tokens
	IdempotencyName                     // a deterministic name is taken once
)

// Capabilities are numbers where the reconciler needs numbers.
type Capabilities struct {
	Idempotency     Idempotency
	VisibilityLag   time.Duration // after a change, listings may be this stale
	RequestLateness time.Duration // a call without answer may still take effect this much later
	TokenLife       time.Duration // replays are safe this long after the first call; 0 = for ever
	Tags            bool          // instances carry our tags, so Selector.Installation works
	MaxTTL          time.Duration // longest CreateRequest.Deadline the place enforces itself; 0 = it cannot
	DeadlineMoves   bool          // implements DeadlineExtender; without it a Deadline holds from create or start to the end
	Spot            bool
	Stop            bool          // implements Stopper
	Shell           bool          // implements Sheller
	MaxNodes        int           // per cluster; 0 = no limit
	Fixed           bool          // its machines are what they are: no image, and no ports to open or close
	PollInterval    time.Duration // pace of Describe while something is awaited; 0 = 2 s
}

// Settle is how long after the last create call a token may still turn into an instance that listings do not show yet.
// "Not found" counts only after it (rule R3).
func (c Capabilities) Settle() time.Duration { return c.VisibilityLag + c.RequestLateness }

// OfferQuery narrows Offers; zero fields mean any.
type OfferQuery struct {
	Accelerator string
	Region      string
	Spot        bool
}

// Offer is a machine a provider sells, at a price in USD per hour. A price of 0 means free (this host, a scheduler).
type Offer struct {
	Region           string
	Zone             string
	InstanceType     string
	Accelerator      string
	AcceleratorCount float64
	CPUs             float64
	MemoryGB         float64
	HourlyPrice      float64
	SpotPrice        float64 // 0 = not sold as spot
}

// NodeSpec is what a create call asks for. Any change of it is a new attempt with a new token.
type NodeSpec struct {
	Region       string
	Zone         string
	InstanceType string
	Accelerator  string
	Accelerators float64
	CPUs         float64
	MemoryGB     float64
	DiskGB       int32
	DiskTier     string
	Image        string
	Spot         bool
	Ports        []string
	Labels       map[string]string // the user's
	NetworkTier  string            // "best" = the fastest network between nodes that the type has
	Nodes        int               // of the cluster: machines of one gang are placed close together where the place can
}

// Tags identify an instance as ours, readable back through Describe.
type Tags struct {
	Installation string
	ClusterID    string
	ClusterName  string
	NodeID       string
	Attempt      int32
	Epoch        uint64
	Owner        string
	CI           CIRun `json:",omitzero"` // zero outside CI
}

// CIRun names the job of a CI system that a machine was made for: whoever has only the cloud's credentials finds it by that.
type CIRun struct {
	System     string // as `sky ci env` names it
	Repository string // host/owner/name
	Run        string // the system's id of the run or pipeline
	Job        string // its name, and its matrix leg
	Group      string // its concurrency group; "" = none
	Key        string // id of the launch's request
}

// CreateRequest asks for one machine.
type CreateRequest struct {
	Token string // at most 64 ASCII characters, a valid DNS label
	Name  string // for people
	Spec  NodeSpec
	Tags  Tags
	// Deadline is armed inside the call where the place can: it ends the instance by then on its own. Zero = none.
	Deadline time.Time
	// Lease is when the machine ends by itself unless that is renewed on the machine: boot.Script.Deadline. Where a place's
	// own deadline cannot be moved, Lease is much earlier than Deadline. Zero = none. A place without a boot script ignores it.
	Lease time.Time
	// Issued is when this attempt was first asked for, the same in every repeated call: Lease - Issued is how long the
	// machine may run even when its clock is wrong (boot.Script.Issued).
	Issued time.Time
	Keys   Keys // what will open it, for places that are reached over SSH
}

// InstanceState is what a provider says of an instance.
type InstanceState int

// States of an instance, in the order of a life.
const (
	InstancePending InstanceState = iota + 1
	InstanceRunning
	InstanceStopping
	InstanceStopped
	InstanceTerminating
	InstanceTerminated // seen, but dead; some places show it for an hour
)

// Alive reports whether the instance may still cost money.
func (s InstanceState) Alive() bool { return s != InstanceTerminated }

// Instance is a machine as the provider sees it.
type Instance struct {
	InstanceRef
	Token   string
	State   InstanceState
	Address string // private address, for peers; "" = not known yet
	// PublicAddress is where we reach it when that differs from Address; "" = it does not.
	PublicAddress string
	Created       time.Time
	Deadline      time.Time // read back; zero = none armed
	Tags          Tags
	Reason        string // why it ended, when the place says (preempted, ...)
}

// InstanceRef is enough to delete an instance.
type InstanceRef struct {
	ID     string
	Region string
	Zone   string
}

// Selector chooses instances: by ids, or by token, or all of an installation, or all that any installation made. Exactly
// one of the first four is set.
type Selector struct {
	IDs          []string
	Token        string
	Installation string
	Ours         bool   // bears tags of this program, whichever installation's
	Region       string // "" = every region
	Zone         string
}

// Config configures a provider; the keys are those of its Factory's Options.
type Config struct {
	Home     string            // $ALOFT_HOME
	Settings map[string]string // from the config file and the environment
}

// Option describes one setting of a provider: it feeds flags, docs and `sky check`.
type Option struct {
	Name    string
	Help    string
	Default string
	Env     string
	Secret  bool
}

// Factory makes a provider.
type Factory struct {
	Name    string
	Options []Option
	New     func(ctx context.Context, c Config) (Provider, error)
	// ByDefault reports whether the provider is enabled without being named in the config.
	ByDefault bool
	// Found reports whether credentials are at hand, for a provider that is enabled without being named in the config when
	// they are. It reads the environment and files, quickly; it uses no network. What it answers otherwise is an *Error of
	// kind Auth whose Hint is the command that gets credentials. nil = the provider is not looked for.
	Found func(c Config, getenv func(string) (string, bool)) error
}

// CandidateSpec turns the chosen candidate into a create call's spec.
func CandidateSpec(c *statev1.Candidate) NodeSpec {
	w := c.GetWanted()
	return NodeSpec{
		Region: c.GetRegion(), Zone: c.GetZone(), InstanceType: c.GetInstanceType(),
		Accelerator: c.GetAccelerator(), Accelerators: c.GetAcceleratorCount(), CPUs: c.GetCpus(), MemoryGB: c.GetMemoryGb(),
		DiskGB: w.GetDiskGb(), DiskTier: w.GetDiskTier(), Image: w.GetImage(), Spot: c.GetSpot(),
		Ports: w.GetPorts(), Labels: w.GetLabels(), NetworkTier: w.GetNetworkTier(),
	}
}
