package gcp

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"cloud.google.com/go/compute/apiv1/computepb"
	"google.golang.org/protobuf/proto"

	"aloft/providers"
	"aloft/providers/boot"
)

// defaultDiskGB is the size of a boot disk where none is asked for, as SkyPilot's.
const defaultDiskGB = 256

// limit is the time after its start at which GCE ends a machine: it counts anew with every start, and cannot be moved while the
// machine runs. What ends a machine before is its lease.
func limit(deadline, now time.Time) time.Duration {
	return min(max(deadline.Sub(now), shortestRun), longestRun).Truncate(time.Second)
}

// resource builds the body of an insert call.
func (p *Provider) resource(project string, r providers.CreateRequest, rec record, net attachment, now time.Time) (*computepb.Instance, error) {
	s := r.Spec
	invalid := func(err error) error {
		return fail("create", providers.Invalid, providers.ScopeProvider, "request", "correct the task's resources", "%w", err)
	}
	disk, err := p.bootDisk(project, s, rec.labels(s.Labels))
	if err != nil {
		return nil, invalid(err)
	}
	meta, err := rec.metadata(s.Labels)
	if err != nil {
		return nil, invalid(err)
	}
	script, err := p.startup(r)
	if err != nil {
		return nil, invalid(err)
	}
	meta = append(meta, item("enable-oslogin", "FALSE"), item("block-project-ssh-keys", "TRUE"))
	if script != "" {
		meta = append(meta, item(metaStartup, script))
	}
	guests, err := guestAccelerators(s)
	if err != nil {
		return nil, invalid(err)
	}
	if s.Accelerator != "" {
		meta = append(meta, item("install-nvidia-driver", "True")) // read by Deep Learning images without a driver
	}
	in := &computepb.Instance{
		Name: proto.String(instanceName(r.Token)), MachineType: proto.String("zones/" + s.Zone + "/machineTypes/" + s.InstanceType),
		Labels: rec.labels(s.Labels), Metadata: &computepb.Metadata{Items: meta}, Disks: []*computepb.AttachedDisk{disk},
		Tags: &computepb.Tags{Items: []string{allTag, clusterTag(r.Tags.ClusterID)}}, NetworkInterfaces: []*computepb.NetworkInterface{p.nic(net)},
		Scheduling:             p.scheduling(s, r.Deadline, now),
		ShieldedInstanceConfig: &computepb.ShieldedInstanceConfig{EnableVtpm: proto.Bool(true), EnableIntegrityMonitoring: proto.Bool(true)},
	}
	for _, g := range guests {
		g.AcceleratorType = proto.String(fmt.Sprintf("projects/%s/zones/%s/acceleratorTypes/%s", project, s.Zone, g.GetAcceleratorType()))
		in.GuestAccelerators = append(in.GuestAccelerators, g)
	}
	if p.set.serviceAccount != "" {
		in.ServiceAccounts = []*computepb.ServiceAccount{{Email: proto.String(p.set.serviceAccount), Scopes: []string{"https://www.googleapis.com/auth/cloud-platform"}}}
	}
	switch {
	case len(p.set.reservations) > 0 && !s.Spot:
		in.ReservationAffinity = &computepb.ReservationAffinity{
			ConsumeReservationType: proto.String("SPECIFIC_RESERVATION"), Key: proto.String("compute.googleapis.com/reservation-name"), Values: p.set.reservations,
		}
	case s.Spot:
		in.ReservationAffinity = &computepb.ReservationAffinity{ConsumeReservationType: proto.String("NO_RESERVATION")}
	}
	if net.placement != "" {
		in.ResourcePolicies = []string{net.placement}
	}
	return in, nil
}

// bootDisk is encrypted at rest, as every disk of GCE is, and ends with its machine.
func (p *Provider) bootDisk(project string, s providers.NodeSpec, labels map[string]string) (*computepb.AttachedDisk, error) {
	kind, err := diskType(s.DiskTier, s.InstanceType)
	if err != nil {
		return nil, err
	}
	image, err := p.set.imageFor(s)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(image, "global/") {
		image = "projects/" + project + "/" + image
	}
	size := int64(s.DiskGB)
	if size == 0 {
		size = defaultDiskGB
	}
	return &computepb.AttachedDisk{
		Boot: proto.Bool(true), AutoDelete: proto.Bool(true),
		InitializeParams: &computepb.AttachedDiskInitializeParams{
			SourceImage: proto.String(image), DiskSizeGb: proto.Int64(size), DiskType: proto.String("zones/" + s.Zone + "/diskTypes/" + kind), Labels: labels,
		},
	}, nil
}

// guestAccelerators are those that attach to the machine; machine types with accelerators of their own have them already.
func guestAccelerators(s providers.NodeSpec) ([]*computepb.AcceleratorConfig, error) {
	if s.Accelerator == "" || family(s.InstanceType) != "n1" {
		if strings.HasPrefix(strings.ToLower(s.Accelerator), "tpu") {
			return nil, errors.New("TPUs are not supported")
		}
		return nil, nil
	}
	kind, ok := attachable(s.Accelerator)
	if !ok {
		return nil, fmt.Errorf("%s does not attach to %s: T4, V100, P100, P4 and K80 do", s.Accelerator, s.InstanceType)
	}
	if s.Accelerators < 1 || s.Accelerators != math.Trunc(s.Accelerators) || s.Accelerators > 16 {
		return nil, fmt.Errorf("%v accelerators: GCP attaches whole ones, 1 to 16", s.Accelerators)
	}
	return []*computepb.AcceleratorConfig{{AcceleratorType: proto.String(kind), AcceleratorCount: proto.Int32(int32(s.Accelerators))}}, nil
}

func (p *Provider) nic(net attachment) *computepb.NetworkInterface {
	n := &computepb.NetworkInterface{Network: proto.String(net.network), NicType: proto.String("GVNIC")}
	if net.subnet != "" {
		n.Subnetwork = proto.String(net.subnet)
	}
	if !p.set.internal {
		n.AccessConfigs = []*computepb.AccessConfig{{Name: proto.String("External NAT"), Type: proto.String("ONE_TO_ONE_NAT")}}
	}
	return n
}

// scheduling says what ends or moves a machine. Machines with GPUs, spot machines and those of a placement cannot move.
func (p *Provider) scheduling(s providers.NodeSpec, deadline, now time.Time) *computepb.Scheduling {
	out := &computepb.Scheduling{}
	if s.Accelerator != "" || s.Spot || family(s.InstanceType) == "h3" || family(s.InstanceType) == "h4d" {
		out.OnHostMaintenance = proto.String("TERMINATE")
	}
	if s.Spot {
		out.ProvisioningModel, out.AutomaticRestart, out.InstanceTerminationAction = proto.String("SPOT"), proto.Bool(false), proto.String("DELETE")
	}
	if !deadline.IsZero() {
		out.MaxRunDuration = &computepb.Duration{Seconds: proto.Int64(int64(limit(deadline, now) / time.Second))}
		out.InstanceTerminationAction = proto.String("DELETE")
	}
	return out
}

// endLines tell GCE to delete the machine before it shuts down: a machine that only shuts down is stopped, and its disk costs.
// They need curl, and a service account that may delete the machine; without, the machine stops, and the controller or
// `sky gc` deletes it. The token never is an argument of a command.
const endLines = `if [ "$1" = terminate ]; then
  m=http://metadata.google.internal/computeMetadata/v1/instance
  get() { curl -sf -m 20 -H 'Metadata-Flavor: Google' "$m/$1"; }
  token=$(get service-accounts/default/token | sed -n 's/.*"access_token" *: *"\([^"]*\)".*/\1/p')
  if [ -n "$token" ]; then
    printf 'header = "Authorization: Bearer %%s"\n' "$token" |
      curl -sf -m 60 -o /dev/null -X DELETE -K - "%s/compute/v1/$(get zone)/instances/$(get id)" || :
  fi
fi`

// startup is the script that the machine runs as root at every boot; "" where the machine has no keys.
func (p *Provider) startup(r providers.CreateRequest) (string, error) {
	if len(r.Keys.User) == 0 {
		return "", nil
	}
	endpoint := p.set.endpoint
	if endpoint == "" {
		endpoint = computeEndpoint
	}
	s := boot.Script{User: p.set.user, Keys: r.Keys, Deadline: r.Lease, Issued: r.Issued, End: fmt.Sprintf(endLines, endpoint)}
	if s.Deadline.IsZero() {
		s.Deadline = r.Deadline
	}
	b, err := s.Bytes()
	if err != nil {
		return "", err
	}
	// GCE runs it itself: the first line is cloud-init's.
	if line, rest, ok := bytes.Cut(b, []byte("\n")); ok && bytes.HasPrefix(line, []byte("#cloud-")) {
		b = rest
	}
	return string(b), nil
}
