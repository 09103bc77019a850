package gcp_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"aloft/providers"
	"aloft/providers/gcp"
	"aloft/providers/gcp/gcelab"
)

var update = flag.Bool("update", false, "rewrite golden files")

// inserted is the body of the n-th insert call of a machine.
func inserted(t *testing.T, l *gcelab.Lab, n int) map[string]any {
	t.Helper()
	for _, c := range l.Calls() {
		if c.Method != "compute.instances.insert" {
			continue
		}
		if n > 0 {
			n--
			continue
		}
		var b map[string]any
		if err := json.Unmarshal(c.Body, &b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	t.Fatal("no insert call")
	return nil
}

func count(l *gcelab.Lab, method string) int {
	n := 0
	for _, c := range l.Calls() {
		if c.Method == method {
			n++
		}
	}
	return n
}

// at digs a value out of JSON.
func at(v any, path ...any) any {
	for _, p := range path {
		switch k := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[k]
		case int:
			a, _ := v.([]any)
			if k >= len(a) {
				return nil
			}
			v = a[k]
		}
	}
	return v
}

func TestMachines(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name     string
		settings map[string]string
		change   func(*providers.CreateRequest)
		want     map[string]any // by path, dots between
	}{
		{name: "CPU", want: map[string]any{
			"machineType": "zones/us-central1-a/machineTypes/n2-standard-2", "guestAccelerators": nil, "disks.0.autoDelete": true, "disks.0.initializeParams.diskSizeGb": "30",
			"disks.0.initializeParams.diskType":    "zones/us-central1-a/diskTypes/pd-balanced",
			"disks.0.initializeParams.sourceImage": "projects/ubuntu-os-cloud/global/images/family/ubuntu-2204-lts",
			"networkInterfaces.0.network":          "projects/lab-project/global/networks/aloft-vpc", "networkInterfaces.0.accessConfigs.0.type": "ONE_TO_ONE_NAT",
			"scheduling.provisioningModel": nil, "serviceAccounts": nil, "shieldedInstanceConfig.enableVtpm": true,
		}},
		{name: "N1 with GPUs, spot", change: func(r *providers.CreateRequest) {
			r.Spec.InstanceType, r.Spec.Accelerator, r.Spec.Accelerators, r.Spec.Spot, r.Spec.DiskTier, r.Spec.DiskGB = "n1-standard-8", "T4", 2, true, "high", 100
			r.Deadline = time.Now().Add(3 * time.Hour)
		}, want: map[string]any{
			"guestAccelerators.0.acceleratorCount": 2.0, "guestAccelerators.0.acceleratorType": "projects/lab-project/zones/us-central1-a/acceleratorTypes/nvidia-tesla-t4",
			"scheduling.onHostMaintenance": "TERMINATE", "scheduling.provisioningModel": "SPOT", "scheduling.instanceTerminationAction": "DELETE", "scheduling.automaticRestart": false,
			"disks.0.initializeParams.diskType":    "zones/us-central1-a/diskTypes/pd-ssd",
			"disks.0.initializeParams.sourceImage": "projects/deeplearning-platform-release/global/images/family/common-cu129-ubuntu-2204-nvidia-580",
		}},
		{name: "accelerator-optimised", settings: map[string]string{"use_internal_ips": "true", "service_account": "default"}, change: func(r *providers.CreateRequest) {
			r.Spec.InstanceType, r.Spec.Accelerator, r.Spec.Accelerators, r.Spec.DiskTier, r.Spec.DiskGB = "g2-standard-8", "L4", 1, "low", 100
		}, want: map[string]any{
			"guestAccelerators": nil, "scheduling.onHostMaintenance": "TERMINATE", "networkInterfaces.0.accessConfigs": nil, "serviceAccounts.0.email": "default",
			"disks.0.initializeParams.diskType": "zones/us-central1-a/diskTypes/pd-balanced",
		}},
		{name: "a gang close together", change: func(r *providers.CreateRequest) { r.Spec.Nodes, r.Spec.NetworkTier = 2, "best" }, want: map[string]any{
			"resourcePolicies.0": "projects/lab-project/regions/us-central1/resourcePolicies/" + "aloft-", // the rest is a digest
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			l, p := lab(t, gcelab.Options{}, x.settings)
			r := request("machine")
			if x.change != nil {
				x.change(&r)
			}
			if _, err := p.Create(t.Context(), r); err != nil {
				t.Fatalf("create: %v", err)
			}
			b := inserted(t, l, 0)
			for path, want := range x.want {
				var keys []any
				for _, k := range strings.Split(path, ".") {
					if k == "0" {
						keys = append(keys, 0)
					} else {
						keys = append(keys, k)
					}
				}
				got := at(b, keys...)
				if s, ok := want.(string); ok && strings.HasSuffix(s, "-") {
					if g, _ := got.(string); !strings.HasPrefix(g, s) {
						t.Errorf("%s = %v, want %v...", path, got, want)
					}
				} else if got != want {
					t.Errorf("%s = %v, want %v", path, got, want)
				}
			}
			if d := r.Deadline; !d.IsZero() {
				in := created(t, p, r)
				if in.Deadline.IsZero() || in.Deadline.After(d.Add(time.Minute)) {
					t.Errorf("deadline %v came back as %v", d, in.Deadline)
				}
			}
		})
	}
}

// TestTagsSurvive: what labels cannot hold comes back unharmed, and the user's labels are labels where they fit.
func TestTagsSurvive(t *testing.T) {
	t.Parallel()
	l, p := lab(t, gcelab.Options{}, nil)
	r := request("tags")
	r.Tags = providers.Tags{Installation: "Ünïcode/" + strings.Repeat("X", 70), ClusterID: "01JC", ClusterName: strings.Repeat("ß", 80), NodeID: "a b c", Attempt: 9, Epoch: 1 << 60, Owner: "Zoë \"Q\" <zoe@example.com>"}
	r.Spec.Labels = map[string]string{"team": "vision", "Cost Center": "Straße 7", strings.Repeat("k", 80): strings.Repeat("v", 80), "aloft-token": "forged", "": "x"}
	in := created(t, p, r)
	if in.Tags != r.Tags || in.Token != r.Token {
		t.Errorf("tags %+v came back as %+v", r.Tags, in.Tags)
	}
	if got := list(t, p, providers.Selector{Installation: r.Tags.Installation}); len(got) != 1 || got[0].ID != in.ID {
		t.Errorf("by installation: %+v", got)
	}
	if got := list(t, p, providers.Selector{Installation: r.Tags.Installation + "y"}); len(got) > 0 {
		t.Errorf("by another installation: %+v", got)
	}
	labels, _ := at(inserted(t, l, 0), "labels").(map[string]any)
	if labels["team"] != "vision" || labels["cost-center"] == nil || labels["aloft-token"] != r.Token {
		t.Errorf("labels %v", labels)
	}
}

func TestOurs(t *testing.T) {
	t.Parallel()
	l, p := lab(t, gcelab.Options{}, nil)
	stranger(t, l, "us-central1-a", "theirs")
	mine, other := request("mine"), request("other")
	other.Tags.Installation = "another"
	a, b := created(t, p, mine), created(t, p, other)
	got := list(t, p, providers.Selector{Ours: true})
	ids := []string{}
	for _, in := range got {
		ids = append(ids, in.ID)
	}
	slices.Sort(ids)
	want := []string{a.ID, b.ID}
	slices.Sort(want)
	if !slices.Equal(ids, want) {
		t.Errorf("ours are %v, want %v", ids, want)
	}
}

// TestNetworkRace: many first machines at once make one network and one rule, from one process and from several.
func TestNetworkRace(t *testing.T) {
	t.Parallel()
	l, p := lab(t, gcelab.Options{OperationTime: 30 * time.Millisecond}, nil)
	q, err := gcp.New(map[string]string{"project": l.Project(), "endpoint": l.URL(), "auth": "none"})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			r := request("race-" + string(rune('a'+i)))
			r.Spec.Nodes, r.Spec.Ports = 12, []string{"8080", "6006-6010"}
			by := p
			if i%2 == 1 {
				by = q
			}
			for try := 0; ; try++ {
				_, err := by.Create(t.Context(), r)
				if providers.KindOf(err) == providers.Transient && try < 20 {
					continue
				}
				if err != nil {
					t.Errorf("create: %v", err)
				}
				return
			}
		})
	}
	wg.Wait()
	if n := count(l, "compute.networks.insert"); n > 2 {
		t.Errorf("%d calls to make the network", n)
	}
	if err := p.Finish(t.Context(), request("x").Tags, "us-central1"); err != nil {
		t.Errorf("finish: %v", err)
	}
	if err := p.Finish(t.Context(), request("x").Tags, "us-central1"); err != nil {
		t.Errorf("finish again: %v", err)
	}
}

// TestWhyItEnded: the end of a machine that is not listed any more is told from the operations.
func TestWhyItEnded(t *testing.T) {
	t.Parallel()
	l, p := lab(t, gcelab.Options{}, nil)
	end := func(r providers.CreateRequest, how func(in providers.Instance), want string) {
		t.Helper()
		in := created(t, p, r)
		how(in)
		until(t, r.Token+" ends", func() bool {
			got := list(t, p, providers.Selector{IDs: []string{in.ID}, Region: in.Region})
			if len(got) == 1 && got[0].State == providers.InstanceTerminated {
				if !strings.Contains(got[0].Reason, want) {
					t.Errorf("%s ended: %q, want %q", r.Token, got[0].Reason, want)
				}
				return true
			}
			return false
		})
	}
	spot := request("spot")
	spot.Spec.Spot = true
	end(spot, func(in providers.Instance) {
		if !l.Preempt(in.Zone, strings.SplitN(in.ID, ".", 2)[0]) {
			t.Fatal("not preempted")
		}
		l.Advance(time.Minute)
	}, "preempted")
	end(request("deleted"), func(in providers.Instance) {
		if err := p.Delete(t.Context(), in.InstanceRef); err != nil {
			t.Fatal(err)
		}
	}, "deleted")
	mortal := request("mortal")
	mortal.Deadline = time.Now().Add(time.Hour)
	end(mortal, func(providers.Instance) { l.Advance(2 * time.Hour) }, "deadline")
}

// TestUnreachableZone: what is found is told, and that the rest is not known, too.
func TestUnreachableZone(t *testing.T) {
	t.Parallel()
	l, p := lab(t, gcelab.Options{}, nil)
	in := created(t, p, request("seen"))
	l.Unreachable("europe-west4-a", true)
	sweep := func(s providers.Selector) (found int, failed error) {
		for _, err := range p.Describe(t.Context(), s) {
			if err != nil {
				failed = err
				continue
			}
			found++
		}
		return found, failed
	}
	if n, err := sweep(providers.Selector{Installation: "5e55a1d0"}); n != 1 || providers.KindOf(err) != providers.Transient {
		t.Errorf("the sweep found %d: %v, want one and a transient error", n, err)
	}
	if n, err := sweep(providers.Selector{IDs: []string{in.ID}, Region: in.Region}); n != 1 || err != nil {
		t.Errorf("by id in another region: %d, %v", n, err)
	}
	if n, err := sweep(providers.Selector{IDs: []string{"sky1-gone.77"}, Region: "europe-west4"}); n != 0 || providers.KindOf(err) != providers.Transient {
		t.Errorf("absent there: %d, %v, want a transient error", n, err)
	}
}

// TestRegionAlone: a request without a zone gets one of the region, the same when it is repeated, and the same for all
// machines of a cluster.
func TestRegionAlone(t *testing.T) {
	t.Parallel()
	_, p := lab(t, gcelab.Options{}, nil)
	bare := func(token string, nodes int) providers.Instance {
		t.Helper()
		r := request(token)
		r.Spec.Zone, r.Spec.Region, r.Spec.Nodes = "", "us-central1", nodes
		return created(t, p, r)
	}
	one, again := bare("bare", 1), bare("bare", 1)
	if one.ID != again.ID || one.Region != "us-central1" || one.Zone == "" {
		t.Errorf("%+v, then %+v", one.InstanceRef, again.InstanceRef)
	}
	zones := map[string]bool{}
	for i := range 4 {
		zones[bare("gang-"+strconv.Itoa(i), 4).Zone] = true
	}
	if len(zones) != 1 {
		t.Errorf("a gang is in %v", zones)
	}
	if err := p.Delete(t.Context(), providers.InstanceRef{ID: one.ID, Region: one.Region}); err != nil {
		t.Errorf("delete without a zone: %v", err)
	}
	r := request("nowhere")
	r.Spec.Zone, r.Spec.Region = "", "us-nowhere1"
	if _, err := p.Create(t.Context(), r); providers.KindOf(err) != providers.Invalid {
		t.Errorf("a region that there is not: %v", err)
	}
}

func TestQuota(t *testing.T) {
	t.Parallel()
	l, p := lab(t, gcelab.Options{}, nil)
	l.SetQuota("us-central1", "NVIDIA_T4_GPUS", 2)
	s := spec()
	s.InstanceType, s.Accelerator, s.Accelerators, s.CPUs = "n1-standard-4", "T4", 1, 4
	if err := p.CheckQuota(t.Context(), s, 2); err != nil {
		t.Errorf("two of two: %v", err)
	}
	if err := p.CheckQuota(t.Context(), s, 3); providers.KindOf(err) != providers.Quota || !strings.Contains(err.Error(), "NVIDIA_T4_GPUS") {
		t.Errorf("three of two: %v, want quota", err)
	}
}

// everything makes every call that the provider makes.
func everything(t *testing.T, l *gcelab.Lab, p *gcp.Provider) error {
	t.Helper()
	l.AddImage(l.Project(), "mine", "mine-v1", 10)
	ctx := t.Context()
	r := request("all")
	r.Spec.Nodes, r.Spec.NetworkTier, r.Spec.Ports, r.Spec.Image = 2, "best", []string{"8080"}, "family/mine"
	if _, err := p.Create(ctx, r); err != nil {
		return err
	}
	more := request("all-2")
	more.Spec = r.Spec
	more.Spec.Ports = []string{"8080", "9090"}
	if _, err := p.Create(ctx, more); err != nil {
		return err
	}
	var in providers.Instance
	for _, sel := range []providers.Selector{{Token: r.Token}, {IDs: []string{"sky1-nobody.1"}}} {
		for i, err := range p.Describe(ctx, sel) {
			if err != nil {
				return err
			}
			in = i
		}
	}
	if err := p.CheckQuota(ctx, providers.NodeSpec{Region: "us-central1", InstanceType: "n1-standard-4", Accelerator: "T4", Accelerators: 1, CPUs: 4}, 1); err != nil {
		return err
	}
	if _, err := p.Console(ctx, in.InstanceRef); err != nil {
		return err
	}
	if err := p.Stop(ctx, in.InstanceRef); err != nil {
		return err
	}
	until(t, "it is stopped", func() bool {
		l.Advance(10 * time.Second)
		return l.State(in.Zone, strings.SplitN(in.ID, ".", 2)[0]) == "TERMINATED"
	})
	if err := p.Start(ctx, in.InstanceRef); err != nil {
		return err
	}
	for _, x := range []string{r.Token, more.Token} {
		for i, err := range p.Describe(ctx, providers.Selector{Token: x}) {
			if err != nil {
				return err
			}
			if err := p.Delete(ctx, i.InstanceRef); err != nil {
				return err
			}
		}
	}
	until(t, "all are gone", func() bool {
		l.Advance(10 * time.Second)
		return len(l.Instances()) == 0
	})
	return p.Finish(ctx, r.Tags, "us-central1")
}

// TestRole: the role in the documents is that of the calls, it is enough for all of them, and nothing in it is too much.
func TestRole(t *testing.T) {
	t.Parallel()
	file := filepath.Join("..", "..", "docs", "gcp-role.yaml")
	if *update {
		if err := os.WriteFile(file, []byte(gcp.RoleFile()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != gcp.RoleFile() {
		t.Fatalf("%s is not what the calls need: go test ./providers/gcp -run TestRole -update", file)
	}
	role, err := gcelab.ReadRole(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]string{"service_account": "nodes@lab-project.iam.gserviceaccount.com"}
	l, p := lab(t, gcelab.Options{Permissions: role}, set)
	err = everything(t, l, p)
	if err == nil {
		err = p.ListTypes(t.Context())
	}
	if err != nil {
		t.Fatalf("the role is not enough: %v", err)
	}
	a, err := p.CheckAccount(t.Context())
	if err != nil || len(a.Missing) > 0 {
		t.Errorf("check with the role: %+v, %v", a, err)
	}
	// Every call that was made is in the table, and every call of the table was made.
	made := map[string]bool{}
	for _, c := range l.Calls() {
		if strings.HasPrefix(c.Method, "compute.") {
			made[c.Method] = true
		}
	}
	known := map[string]bool{}
	for _, m := range gcp.Methods() {
		known[m] = true
	}
	if !maps.Equal(made, known) {
		t.Errorf("made %v\nthe table has %v", slices.Sorted(maps.Keys(made)), slices.Sorted(maps.Keys(known)))
	}
	for _, without := range role {
		t.Run("without "+without, func(t *testing.T) {
			t.Parallel()
			some := slices.DeleteFunc(slices.Clone(role), func(s string) bool { return s == without })
			l, p := lab(t, gcelab.Options{Permissions: some}, set)
			a, err := p.CheckAccount(t.Context())
			named := slices.ContainsFunc(a.Missing, func(m providers.Permission) bool { return m.Name == without && strings.Contains(m.Fix, "gcloud ") }) ||
				slices.ContainsFunc(a.Notes, func(n string) bool { return strings.Contains(n, without) })
			if err != nil || !named {
				t.Errorf("sky check does not name it: %+v, %v", a, err)
			}
			if strings.HasSuffix(without, "Types.list") {
				err = p.ListTypes(t.Context()) // a long listing: only where it matters
			} else {
				err = everything(t, l, p)
			}
			switch {
			case without == "compute.globalOperations.list":
				if err != nil { // only the reason of an end is not known without
					t.Errorf("%v", err)
				}
			case providers.KindOf(err) != providers.Auth || !strings.Contains(err.Error(), without):
				t.Errorf("got %v, want a refusal that names it", err)
			}
		})
	}
}

func TestCheckAccount(t *testing.T) {
	t.Parallel()
	t.Run("API off", func(t *testing.T) {
		t.Parallel()
		_, p := lab(t, gcelab.Options{Disabled: []string{"compute.googleapis.com"}}, nil)
		_, err := p.CheckAccount(t.Context())
		if err == nil || !strings.Contains(hint(err), "gcloud services enable compute.googleapis.com") {
			t.Errorf("%v, hint %q", err, hint(err))
		}
	})
	t.Run("permissions cannot be tested", func(t *testing.T) {
		t.Parallel()
		_, p := lab(t, gcelab.Options{Disabled: []string{"cloudresourcemanager.googleapis.com"}}, nil)
		a, err := p.CheckAccount(t.Context())
		if err != nil || len(a.Missing) > 0 || !slices.ContainsFunc(a.Notes, func(n string) bool { return strings.Contains(n, "could not be tested") }) {
			t.Errorf("%+v, %v", a, err)
		}
	})
	t.Run("another project", func(t *testing.T) {
		t.Parallel()
		_, p := lab(t, gcelab.Options{}, map[string]string{"project": "nobodys-project"})
		if a, err := p.CheckAccount(t.Context()); err == nil {
			t.Errorf("%+v", a)
		}
	})
}

// TestLostAnswers: a call whose answer is lost is asked again and finds its machine.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	l, p := lab(t, gcelab.Options{}, nil)
	l.Fail(gcelab.Rule{Method: "instances.insert", Lost: true, Times: 1})
	r := request("lost")
	if _, err := p.Create(t.Context(), r); providers.KindOf(err) != providers.Transient {
		t.Fatalf("the answer is lost: %v, want transient", err)
	}
	in, err := p.Create(t.Context(), r)
	if err != nil {
		t.Fatalf("again: %v", err)
	}
	if got := list(t, p, providers.Selector{Token: r.Token}); len(got) != 1 || got[0].ID != in.ID {
		t.Errorf("there are %+v", got)
	}
	// A failure that passes is not repeated to us for ever by the memory of calls.
	l.Fail(gcelab.Rule{Method: "instances.insert", OperationError: "INTERNAL_ERROR", Times: 1})
	r = request("passing")
	if _, err := p.Create(t.Context(), r); providers.KindOf(err) != providers.Transient {
		t.Fatalf("%v, want transient", err)
	}
	if _, err := p.Create(t.Context(), r); err != nil {
		t.Errorf("after a passing failure: %v", err)
	}
	// A machine that was deleted is not made again by a late repetition of its call.
	if err := p.Delete(t.Context(), in.InstanceRef); err != nil {
		t.Fatal(err)
	}
	until(t, "it ends", func() bool {
		l.Advance(time.Minute)
		return len(l.Instances()) == 1
	})
	if got, err := p.Create(t.Context(), request("lost")); providers.KindOf(err) != providers.Conflict {
		t.Errorf("a spent token gave %+v, %v", got, err)
	}
}

// TestNoSecrets: keys are nowhere but in the startup script.
func TestNoSecrets(t *testing.T) {
	t.Parallel()
	l, p := lab(t, gcelab.Options{}, nil)
	l.Fail(gcelab.Rule{Method: "instances.insert", HTTP: http.StatusBadRequest, Message: "Invalid value for field 'resource.x'."})
	_, err := p.Create(t.Context(), request("secret"))
	if err == nil || strings.Contains(err.Error(), "PRIVATE KEY") {
		t.Errorf("%v", err)
	}
	b := inserted(t, l, 0)
	items, _ := at(b, "metadata", "items").([]any)
	var script string
	for _, i := range items {
		v, _ := at(i, "value").(string)
		if at(i, "key") == "startup-script" {
			script = v
		} else if strings.Contains(v, "BEGIN") {
			t.Errorf("%v holds a key", at(i, "key"))
		}
	}
	if !strings.HasPrefix(script, "#!/bin/sh") || !strings.Contains(script, "service-accounts/default/token") || strings.Contains(script, "cloud-boothook") {
		t.Errorf("startup script %q", script[:min(len(script), 80)])
	}
}

func hint(err error) string {
	e, _ := err.(*providers.Error)
	if e == nil {
		return ""
	}
	return e.Hint
}
