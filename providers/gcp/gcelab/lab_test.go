package gcelab_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	compute "cloud.google.com/go/compute/apiv1"
	"cloud.google.com/go/compute/apiv1/computepb"
	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	"google.golang.org/protobuf/proto"

	"aloft/providers/gcp/gcelab"
)

const zone = "us-central1-a"

// rig is a lab with Google's own client.
type rig struct {
	t         *testing.T
	lab       *gcelab.Lab
	instances *compute.InstancesClient
	ops       *compute.ZoneOperationsClient
}

func newLab(t *testing.T, o gcelab.Options) *gcelab.Lab {
	t.Helper()
	o.Errorf = t.Errorf
	l, err := gcelab.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func newRig(t *testing.T, o gcelab.Options) *rig {
	t.Helper()
	l := newLab(t, o)
	opts := []option.ClientOption{option.WithEndpoint(l.URL()), option.WithoutAuthentication()}
	in, err := compute.NewInstancesRESTClient(t.Context(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	ops, err := compute.NewZoneOperationsRESTClient(t.Context(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = in.Close(), ops.Close() })
	return &rig{t, l, in, ops}
}

// machine is a small instance.
func machine(name string) *computepb.Instance {
	return &computepb.Instance{
		Name:        proto.String(name),
		MachineType: proto.String("zones/" + zone + "/machineTypes/n1-standard-4"),
		Labels:      map[string]string{"owner": "me"},
		Disks: []*computepb.AttachedDisk{{Boot: proto.Bool(true), AutoDelete: proto.Bool(true), InitializeParams: &computepb.AttachedDiskInitializeParams{
			SourceImage: proto.String("projects/debian-cloud/global/images/family/debian-12"), DiskSizeGb: proto.Int64(20)}}},
		NetworkInterfaces: []*computepb.NetworkInterface{{Network: proto.String("global/networks/default"),
			AccessConfigs: []*computepb.AccessConfig{{Name: proto.String("External NAT"), Type: proto.String("ONE_TO_ONE_NAT")}}}},
	}
}

func (r *rig) insert(in *computepb.Instance, request string) (*compute.Operation, error) {
	q := &computepb.InsertInstanceRequest{Project: r.lab.Project(), Zone: zone, InstanceResource: in}
	if request != "" {
		q.RequestId = &request
	}
	return r.instances.Insert(r.t.Context(), q)
}

// done waits for an operation through its own call, which answers at once when it is over.
func (r *rig) done(op *compute.Operation, err error) *computepb.Operation {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
	got, err := r.ops.Wait(r.t.Context(), &computepb.WaitZoneOperationRequest{Project: r.lab.Project(), Zone: zone, Operation: op.Name()})
	if err != nil {
		r.t.Fatal(err)
	}
	if got.GetStatus() != computepb.Operation_DONE {
		r.t.Fatalf("operation is %s", got.GetStatus())
	}
	return got
}

func (r *rig) make(name string) *computepb.Instance {
	r.t.Helper()
	if op := r.done(r.insert(machine(name), "")); op.GetError() != nil {
		r.t.Fatalf("insert: %v", op.GetError())
	}
	return r.get(name)
}

func (r *rig) get(name string) *computepb.Instance {
	r.t.Helper()
	in, err := r.instances.Get(r.t.Context(), &computepb.GetInstanceRequest{Project: r.lab.Project(), Zone: zone, Instance: name})
	if err != nil {
		r.t.Fatal(err)
	}
	return in
}

func (r *rig) remove(name string) (*compute.Operation, error) {
	return r.instances.Delete(r.t.Context(), &computepb.DeleteInstanceRequest{Project: r.lab.Project(), Zone: zone, Instance: name})
}

// refused checks that err is Google's error with a status and a reason.
func refused(t *testing.T, err error, status int, reason string) {
	t.Helper()
	var api *apierror.APIError
	if !errors.As(err, &api) || api.HTTPCode() != status {
		t.Fatalf("error is %v, want HTTP %d", err, status)
	}
	var http *googleapi.Error
	if !errors.As(err, &http) || len(http.Errors) != 1 || (http.Errors[0].Reason != reason && !strings.Contains(http.Body, reason)) {
		t.Errorf("error %v does not say %s", err, reason)
	}
}

func TestInstanceLife(t *testing.T) {
	t.Parallel()
	r := newRig(t, gcelab.Options{})
	in := r.make("vm1")
	nic := in.GetNetworkInterfaces()[0]
	if in.GetStatus() != "RUNNING" || in.GetId() == 0 || nic.GetNetworkIP() == "" || nic.GetAccessConfigs()[0].GetNatIP() == "" || in.GetLabels()["owner"] != "me" {
		t.Fatalf("instance after insert: %v", in)
	}
	op := r.done(r.instances.Stop(t.Context(), &computepb.StopInstanceRequest{Project: r.lab.Project(), Zone: zone, Instance: "vm1"}))
	if op.GetOperationType() != "stop" || op.GetTargetId() != in.GetId() {
		t.Errorf("operation: %v", op)
	}
	if s := r.get("vm1"); s.GetStatus() != "TERMINATED" || s.GetNetworkInterfaces()[0].GetAccessConfigs()[0].GetNatIP() != "" || s.GetNetworkInterfaces()[0].GetNetworkIP() != nic.GetNetworkIP() {
		t.Errorf("after stop: %v", s)
	}
	r.done(r.instances.Start(t.Context(), &computepb.StartInstanceRequest{Project: r.lab.Project(), Zone: zone, Instance: "vm1"}))
	if s := r.get("vm1").GetStatus(); s != "RUNNING" {
		t.Errorf("after start: %s", s)
	}
	r.done(r.remove("vm1"))
	_, err := r.instances.Get(t.Context(), &computepb.GetInstanceRequest{Project: r.lab.Project(), Zone: zone, Instance: "vm1"})
	refused(t, err, 404, "notFound")
	_, err = r.remove("vm1")
	refused(t, err, 404, "notFound")
}

func TestNamesAreTakenOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, gcelab.Options{OperationTime: time.Hour})
	const request = "3b1f8f9e-7d2e-4c7b-9d2f-0a1b2c3d4e5f"
	first, err := r.insert(machine("vm1"), request)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.insert(machine("vm1"), request)
	if err != nil || again.Name() != first.Name() {
		t.Fatalf("the same request again: %v, %v", again, err)
	}
	_, err = r.insert(machine("vm1"), "")
	refused(t, err, 409, "alreadyExists")
	_, err = r.insert(machine("vm2"), "no-uuid")
	refused(t, err, 400, "invalid")
	_, err = r.instances.Stop(t.Context(), &computepb.StopInstanceRequest{Project: r.lab.Project(), Zone: zone, Instance: "vm1"})
	refused(t, err, 400, "resourceNotReady")
	for _, want := range []string{"PENDING", "RUNNING", "DONE"} {
		op, err := r.ops.Get(t.Context(), &computepb.GetZoneOperationRequest{Project: r.lab.Project(), Zone: zone, Operation: first.Name()})
		if err != nil || op.GetStatus().String() != want {
			t.Errorf("operation is %v, %v; want %s", op.GetStatus(), err, want)
		}
		r.lab.Advance(35 * time.Minute)
	}
}

func TestOperationsFail(t *testing.T) {
	t.Parallel()
	r := newRig(t, gcelab.Options{})
	r.lab.Fail(gcelab.Rule{Method: "instances.insert", Zone: zone, Times: 1, OperationError: "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"})
	op := r.done(r.insert(machine("vm1"), ""))
	if e := op.GetError().GetErrors(); len(e) != 1 || e[0].GetCode() != "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS" || op.GetHttpErrorStatusCode() != 503 ||
		e[0].GetErrorDetails()[2].GetErrorInfo().GetMetadatas()["vmType"] != "n1-standard-4" {
		t.Errorf("operation: %v", op)
	}
	if n := r.lab.Instances(); len(n) != 0 {
		t.Errorf("instances after a stockout: %v", n)
	}
	r.lab.SetQuota("us-central1", "NVIDIA_T4_GPUS", 1)
	gpu := machine("vm2")
	gpu.GuestAccelerators = []*computepb.AcceleratorConfig{{AcceleratorType: proto.String("zones/" + zone + "/acceleratorTypes/nvidia-tesla-t4"), AcceleratorCount: proto.Int32(2)}}
	gpu.Scheduling = &computepb.Scheduling{OnHostMaintenance: proto.String("TERMINATE")}
	op = r.done(r.insert(gpu, ""))
	if e := op.GetError().GetErrors(); len(e) != 1 || e[0].GetCode() != "QUOTA_EXCEEDED" || e[0].GetErrorDetails()[0].GetQuotaInfo().GetLimit() != 1 || op.GetHttpErrorStatusCode() != 403 {
		t.Errorf("operation over the quota: %v", op)
	}
	r.make("vm3")
}

func TestCallsFail(t *testing.T) {
	t.Parallel()
	r := newRig(t, gcelab.Options{})
	r.lab.Fail(gcelab.Rule{Method: "instances.insert", Times: 1, HTTP: 403, Reason: "quotaExceeded"})
	_, err := r.insert(machine("vm1"), "")
	refused(t, err, 403, "quotaExceeded")
	r.lab.Fail(gcelab.Rule{Method: "instances.insert", Times: 1, HTTP: 429, Reason: "rateLimitExceeded", RetryAfter: 7 * time.Second})
	res, err := http.Post(r.lab.URL()+"/compute/v1/projects/lab-project/zones/"+zone+"/instances", "application/json", strings.NewReader(`{"name": "vm1"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 429 || res.Header.Get("Retry-After") != "7" {
		t.Errorf("rate limit: %s, Retry-After %q", res.Status, res.Header.Get("Retry-After"))
	}
	r.lab.Fail(gcelab.Rule{Method: "instances.insert", Name: "vm1", Times: 1, Lost: true})
	if _, err := r.insert(machine("vm1"), ""); err == nil {
		t.Error("a lost answer arrived")
	}
	if r.lab.State(zone, "vm1") == "" {
		t.Error("a call with a lost answer had no effect")
	}
	r.lab.Fail(gcelab.Rule{Method: "instances.insert", Name: "vm2", Times: 1, Late: time.Minute})
	if _, err := r.insert(machine("vm2"), ""); err == nil {
		t.Error("a late call was answered")
	}
	if s := r.lab.State(zone, "vm2"); s != "" {
		t.Errorf("a late call took effect at once: %s", s)
	}
	r.lab.Advance(2 * time.Minute)
	if s := r.lab.State(zone, "vm2"); s == "" {
		t.Error("a late call never took effect")
	}
	calls := r.lab.Calls()
	i := slices.IndexFunc(calls, func(c gcelab.Call) bool { return c.Reason == "rateLimitExceeded" })
	if i < 0 || calls[i].Method != "compute.instances.insert" || calls[i].Status != 429 {
		t.Errorf("calls: %+v", calls)
	}
}

func TestListing(t *testing.T) {
	t.Parallel()
	r := newRig(t, gcelab.Options{})
	for i := range 7 {
		in := machine(fmt.Sprintf("vm%d", i))
		in.Labels["even"] = map[bool]string{true: "yes", false: "no"}[i%2 == 0]
		if _, err := r.insert(in, ""); err != nil {
			t.Fatal(err)
		}
	}
	count := func(filter string) (int, error) {
		q := &computepb.AggregatedListInstancesRequest{Project: r.lab.Project(), MaxResults: proto.Uint32(2)}
		if filter != "" {
			q.Filter = &filter
		}
		n := 0
		for it := r.instances.AggregatedList(t.Context(), q); ; {
			pair, err := it.Next()
			if errors.Is(err, iterator.Done) {
				return n, nil
			}
			if err != nil {
				return n, err
			}
			n += len(pair.Value.GetInstances())
		}
	}
	for filter, want := range map[string]int{
		"": 7, `labels.even = "yes"`: 4, `labels.even=no AND name != vm1`: 2, `(labels.even = yes) (name != "vm0")`: 3, `name eq "vm[02]"`: 2, `name ne .*[02]`: 5, "name=vm1 OR name=vm2 AND labels.even=no": 1,
		"NOT labels.even:*": 0, "name=vm1 OR name=vm2": 2, "-name:vm1": 6, "status=RUNNING labels.none:*": 0,
	} {
		if got, err := count(filter); err != nil || got != want {
			t.Errorf("filter %q: %d, %v; want %d", filter, got, err, want)
		}
	}
	for _, filter := range []string{"labels.even = (", "labels.even = yes AND name eq vm1", "name", "name = vm1)", `name = "`} {
		_, err := count(filter)
		refused(t, err, 400, "invalid")
	}
	r.lab.Unreachable("us-east1-b", true)
	if _, err := count(""); err == nil {
		t.Error("an unreachable zone, and the list has no error")
	}
	res, err := http.Get(r.lab.URL() + "/compute/v1/projects/lab-project/aggregated/instances?returnPartialSuccess=true")
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if s := string(b); res.StatusCode != 200 || !strings.Contains(s, `"unreachables":["https://www.googleapis.com/compute/v1/projects/lab-project/zones/us-east1-b"]`) || !strings.Contains(s, "vm6") {
		t.Errorf("partial success: %s", s)
	}
}

func TestListingLag(t *testing.T) {
	t.Parallel()
	r := newRig(t, gcelab.Options{ListingLag: time.Minute})
	r.make("vm1")
	listed := func() string {
		in, err := r.instances.List(t.Context(), &computepb.ListInstancesRequest{Project: r.lab.Project(), Zone: zone}).Next()
		if err != nil {
			return ""
		}
		return in.GetStatus()
	}
	if s := listed(); s != "" {
		t.Errorf("a list without lag: %s", s)
	}
	r.lab.Advance(time.Minute)
	if s := listed(); s != "RUNNING" {
		t.Errorf("a minute later: %q", s)
	}
	r.done(r.remove("vm1"))
	if s := listed(); s != "RUNNING" {
		t.Errorf("a deleted instance at once: %q", s)
	}
	r.lab.Advance(2 * time.Minute)
	if s := listed(); s != "" {
		t.Errorf("two minutes later: %q", s)
	}
}

func TestEnds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ action, want string }{{"DELETE", ""}, {"STOP", "TERMINATED"}} {
		t.Run(c.action, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, gcelab.Options{})
			in := machine("vm1")
			in.Scheduling = &computepb.Scheduling{InstanceTerminationAction: &c.action, MaxRunDuration: &computepb.Duration{Seconds: proto.Int64(3600)}}
			r.done(r.insert(in, ""))
			got := r.get("vm1")
			end, err := time.Parse(time.RFC3339, got.GetResourceStatus().GetScheduling().GetTerminationTimestamp())
			if d := end.Sub(r.lab.Now()); err != nil || d > time.Hour || d < 59*time.Minute {
				t.Errorf("it ends in %s, %v", d, err)
			}
			if _, err := r.instances.SetScheduling(t.Context(), &computepb.SetSchedulingInstanceRequest{Project: r.lab.Project(), Zone: zone, Instance: "vm1", SchedulingResource: &computepb.Scheduling{
				InstanceTerminationAction: &c.action, MaxRunDuration: &computepb.Duration{Seconds: proto.Int64(7200)}}}); err == nil {
				t.Error("the run limit of a running instance was changed")
			}
			r.lab.Advance(59 * time.Minute)
			if s := r.lab.State(zone, "vm1"); s != "RUNNING" {
				t.Errorf("before its end: %q", s)
			}
			r.lab.Advance(2 * time.Minute)
			if s := r.lab.State(zone, "vm1"); s != c.want {
				t.Errorf("after its end: %q, want %q", s, c.want)
			}
		})
	}
}

func TestPreemption(t *testing.T) {
	t.Parallel()
	r := newRig(t, gcelab.Options{})
	in := machine("spot")
	in.Scheduling = &computepb.Scheduling{ProvisioningModel: proto.String("SPOT"), InstanceTerminationAction: proto.String("DELETE")}
	r.done(r.insert(in, ""))
	if !r.get("spot").GetScheduling().GetPreemptible() || !r.lab.Preempt(zone, "spot") {
		t.Fatal("no spot instance")
	}
	if s := r.lab.State(zone, "spot"); s != "STOPPING" {
		t.Errorf("in its notice: %q", s)
	}
	r.lab.Advance(31 * time.Second)
	if s := r.lab.State(zone, "spot"); s != "" {
		t.Errorf("after its notice: %q", s)
	}
	found := false
	for it := r.ops.List(t.Context(), &computepb.ListZoneOperationsRequest{Project: r.lab.Project(), Zone: zone, Filter: proto.String(`operationType="compute.instances.preempted"`)}); ; {
		op, err := it.Next()
		if err != nil {
			break
		}
		found = found || strings.HasSuffix(op.GetTargetLink(), "/instances/spot")
	}
	if !found {
		t.Error("no operation tells of the preemption")
	}
}

func TestEdits(t *testing.T) {
	t.Parallel()
	r := newRig(t, gcelab.Options{})
	in := r.make("vm1")
	labels := func(fingerprint string) (*compute.Operation, error) {
		return r.instances.SetLabels(t.Context(), &computepb.SetLabelsInstanceRequest{Project: r.lab.Project(), Zone: zone, Instance: "vm1",
			InstancesSetLabelsRequestResource: &computepb.InstancesSetLabelsRequest{LabelFingerprint: &fingerprint, Labels: map[string]string{"a": "b"}}})
	}
	r.done(labels(in.GetLabelFingerprint()))
	_, err := labels(in.GetLabelFingerprint())
	refused(t, err, 412, "conditionNotMet")
	r.done(r.instances.SetMetadata(t.Context(), &computepb.SetMetadataInstanceRequest{Project: r.lab.Project(), Zone: zone, Instance: "vm1",
		MetadataResource: &computepb.Metadata{Fingerprint: in.GetMetadata().Fingerprint, Items: []*computepb.Items{{Key: proto.String("k"), Value: proto.String("v")}}}}))
	r.done(r.instances.SetTags(t.Context(), &computepb.SetTagsInstanceRequest{Project: r.lab.Project(), Zone: zone, Instance: "vm1",
		TagsResource: &computepb.Tags{Fingerprint: in.GetTags().Fingerprint, Items: []string{"ssh"}}}))
	got := r.get("vm1")
	if got.GetLabels()["a"] != "b" || got.GetMetadata().GetItems()[0].GetValue() != "v" || got.GetTags().GetItems()[0] != "ssh" {
		t.Errorf("after the edits: %v", got)
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	role, err := gcelab.ReadRole(strings.NewReader("title: x\nincludedPermissions:\n- compute.instances.get\n- compute.instances.create # why\nstage: GA\n"))
	if err != nil || !slices.Equal(role, []string{"compute.instances.get", "compute.instances.create"}) {
		t.Fatalf("role: %v, %v", role, err)
	}
	r := newRig(t, gcelab.Options{Permissions: role})
	_, err = r.insert(machine("vm1"), "")
	refused(t, err, 403, "Required 'compute.disks.create' permission for 'projects/lab-project/zones/us-central1-a/disks/vm1'")
	r.lab.Permit(append(role, "compute.disks.create", "compute.subnetworks.use", "compute.subnetworks.useExternalIp", "compute.instances.setLabels", "compute.zoneOperations.get"))
	r.make("vm1")
	_, err = r.remove("vm1")
	refused(t, err, 403, "compute.instances.delete")
	res, err := http.Post(r.lab.URL()+"/v3/projects/lab-project:testIamPermissions", "application/json", strings.NewReader(`{"permissions": ["compute.instances.get", "compute.instances.delete"]}`))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if string(b) != `{"permissions":["compute.instances.get"]}` {
		t.Errorf("testIamPermissions: %s", b)
	}
	r.lab.Disable("compute.googleapis.com", true)
	_, err = r.insert(machine("vm2"), "")
	refused(t, err, 403, "SERVICE_DISABLED")
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	l := newLab(t, gcelab.Options{})
	get := func(path string) map[string]any {
		res, err := http.Get(l.URL() + "/compute/v1/projects/lab-project/" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		var out map[string]any
		if err := json.NewDecoder(res.Body).Decode(&out); err != nil || res.StatusCode != 200 {
			t.Fatalf("%s: %s, %v: %v", path, res.Status, err, out)
		}
		return out
	}
	for path, want := range map[string]string{
		"zones": "europe-west4-a", "regions": "us-central1", "zones/us-central1-a/machineTypes": "n1-standard-4", "zones/us-central1-a/acceleratorTypes": "nvidia-tesla-t4",
		"aggregated/machineTypes?filter=name=a3-highgpu-8g": "nvidia-h100-80gb", "aggregated/acceleratorTypes": "nvidia-l4", "regions/us-central1": "NVIDIA_T4_GPUS",
		"global/networks": "default", "global/firewalls": "default-allow-ssh", "regions/us-central1/subnetworks": "10.", "": "GPUS_ALL_REGIONS", "zones/us-central1-a/diskTypes": "pd-balanced",
		"global/operations": "operationList", "aggregated/subnetworks": "us-east1", "aggregated/disks": "NO_RESULTS_ON_PAGE", "aggregated/operations": "items",
	} {
		b, err := json.Marshal(get(strings.TrimSuffix(path, "/")))
		if err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s does not show %s", path, want)
		}
	}
}
