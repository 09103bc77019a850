package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aloft/providers/gcp/gcelab"
	"aloft/providers/hostlab"
)

// gcpWorld is a world whose gcp is a lab with real hosts.
func gcpWorld(t *testing.T, o gcelab.Options) (*world, *gcelab.Lab) {
	t.Helper()
	if err := hostlab.Available(); err != nil {
		t.Skipf("SKIPPED, no hosts can be made here: %v", err)
	}
	h, err := hostlab.New(hostlab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	o.Hosts, o.Errorf = h, t.Errorf
	l, err := gcelab.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	w := newWorld(t, "ALOFT_GCP_ENDPOINT="+l.URL(), "ALOFT_GCP_PROJECT="+l.Project(), "ALOFT_GCP_AUTH=none", "ALOFT_GCP_SERVICE_ACCOUNT=default",
		"ALOFT_GCP_VISIBILITY_LAG=1s", "ALOFT_GCP_REQUEST_LATENESS=1s")
	w.write(".aloft/catalog/gcp/vms.csv", gcpCatalogue)
	return w, l
}

// gcpCatalogue is what the lab sells in these tests. The prices are the lab's own: nobody pays them.
const gcpCatalogue = `InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,AvailabilityZone
n2-standard-2,,,2,8,,0.10,0.02,us-central1,us-central1-a
n2-standard-2,,,2,8,,0.10,0.02,us-central1,us-central1-b
n2-standard-2,,,2,8,,0.12,0.03,us-east1,us-east1-b
`

// gcpLaunch are the words of a launch in the lab.
func gcpLaunch(cluster string, rest ...string) []string {
	return append([]string{"launch", "-y", "-c", cluster, "--infra", "gcp", "--instance-type", "n2-standard-2"}, rest...)
}

// machines are the lab's instances.
func (w *world) machines(l *gcelab.Lab, want int) []string {
	w.Helper()
	got := l.Instances()
	if len(got) != want {
		w.Fatalf("the lab has %d instances, want %d: %v", len(got), want, got)
	}
	return got
}

// emptyLab checks that the cloud has nothing of ours that costs, and that the store agrees.
func (w *world) emptyLab(l *gcelab.Lab) {
	w.Helper()
	w.machines(l, 0)
	if m := w.document(w.ok("gc", "-o", "json")); m["instances"] != 0.0 || len(m["orphans"].([]any)) != 0 {
		w.Errorf("gc: %v", m)
	}
}

// TestGCPLabLife: a machine from its launch to its end, with nothing replaced but the hypervisor.
func TestGCPLabLife(t *testing.T) {
	t.Parallel()
	w, l := gcpWorld(t, gcelab.Options{})
	w.exits(0, []string{"GCP: enabled"}, "check", "gcp")
	r := w.exits(7, []string{"GCP (us-central1-a)", "hello", "exit code 7"}, gcpLaunch("c", "--", "hostname; echo hello; exit 7")...)
	zone, name, _ := strings.Cut(w.machines(l, 1)[0], "/")
	if !strings.Contains(r.out+r.errOut, name) {
		t.Errorf("the job did not run on %s:\n%s", name, r.out)
	}

	t.Log("a controller that dies while a job runs")
	w.ok("exec", "-d", "c", "--", "echo begun; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo kept >kept; echo ended; exit 3")
	w.says("begun", "logs", "c", "2", "--no-follow")
	w.killController()
	if out, err := l.Host(zone, name).Run(t.Context(), "touch /tmp/go"); err != nil {
		t.Fatalf("let the job go: %v: %s", err, out)
	}
	w.exits(3, []string{"ended"}, "logs", "c", "2", "--tail", "all")

	t.Log("stop and start")
	w.ok("stop", "-y", "c")
	if s := l.State(zone, name); s != "TERMINATED" {
		t.Errorf("after sky stop the instance is %q", s)
	}
	w.says(`"status": "STOPPED"`, "status", "c", "-o", "json")
	w.ok("start", "-y", "c")
	if s := l.State(zone, name); s != "RUNNING" {
		t.Errorf("after sky start the instance is %q", s)
	}
	w.exits(0, []string{"kept"}, "exec", "c", "--", "cat kept")

	t.Log("down")
	w.ok("down", "-y", "c")
	w.emptyLab(l)
}

// mortal starts a controller that dies at a recorded step, and gives its process.
func (w *world) mortal(point string) int {
	w.Helper()
	w.sky("api", "stop")
	w.with("ALOFT_CRASH_AT="+point).sky("api", "start") // may die before it answers
	return w.controllerPID()
}

// TestGCPLabDeaths kills the controller at recorded steps of every verb: each verb ends as it should, there was one machine
// all the time, and nothing is left.
func TestGCPLabDeaths(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{}, 2)
	for _, c := range []struct{ launch, stop, start, down string }{
		{launch: "after-create", stop: "after-stop", start: "after-start", down: "after-delete"},
		{launch: "after-quota", down: "before-finish"},
		{launch: "before-bind", down: "after-finish"},
		{launch: "after-ship", down: "before-delete"},
	} {
		t.Run(c.launch, func(t *testing.T) {
			t.Parallel()
			gate <- struct{}{}
			defer func() { <-gate }()
			w, l := gcpWorld(t, gcelab.Options{})
			w.ok("api", "start")
			run := func(point string, code int, args ...string) result {
				if point == "" {
					return w.exits(code, nil, args...)
				}
				pid := w.mortal(point)
				r := w.exits(code, nil, args...)
				if pid != 0 && runs(pid) {
					t.Errorf("the controller did not die at %s: nothing was tested", point)
				}
				return r
			}
			if r := run(c.launch, 7, gcpLaunch("c", "--", "echo out-$((20+3)); exit 7")...); strings.Count(r.out, "out-23\n") != 1 {
				t.Errorf("the log of the job: %q", r.out)
			}
			one := w.machines(l, 1)
			if c.stop != "" {
				run(c.stop, 0, "stop", "-y", "c")
				run(c.start, 0, "start", "-y", "c")
				w.exits(5, nil, "exec", "c", "--", "exit 5")
			}
			if again := w.machines(l, 1); again[0] != one[0] {
				t.Errorf("the machine %s became %s", one[0], again[0])
			}
			run(c.down, 0, "down", "-y", "c")
			w.emptyLab(l)
			if n := inserted(l); n != 1 {
				t.Errorf("%d machines were made", n)
			}
		})
	}
}

// inserted is how many machines were asked for: calls with one request id are one.
func inserted(l *gcelab.Lab) int {
	seen := map[string]bool{}
	for _, c := range l.Calls() {
		if c.Method == "compute.instances.insert" && c.Status == 200 {
			_, id, _ := strings.Cut(c.HTTP, "requestId=")
			seen[id] = true
		}
	}
	return len(seen)
}

// TestGCPLabFailover: every refusal is shown, and the next place is tried.
func TestGCPLabFailover(t *testing.T) {
	t.Parallel()
	w, l := gcpWorld(t, gcelab.Options{})
	l.Fail(gcelab.Rule{Method: "instances.insert", Zone: "us-central1-a", OperationError: "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"})
	l.Fail(gcelab.Rule{Method: "instances.insert", Zone: "us-central1-b", OperationError: "QUOTA_EXCEEDED"})
	w.exits(0, []string{"us-east1-b", "hello"}, gcpLaunch("c", "--", "echo hello")...)
	r := w.ok("status", "-v", "c")
	for _, want := range []string{"us-central1-a", "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "us-central1-b", "QUOTA_EXCEEDED", "us-east1-b"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("sky status -v does not show %s:\n%s", want, r.out)
		}
	}
	if m := w.machines(l, 1); !strings.HasPrefix(m[0], "us-east1-b/") {
		t.Errorf("the machine is %s", m[0])
	}
	w.ok("down", "-y", "c")
	w.emptyLab(l)

	t.Log("everything is refused")
	l.Fail(gcelab.Rule{Method: "instances.insert", OperationError: "ZONE_RESOURCE_POOL_EXHAUSTED"})
	w.exits(104, []string{"QUOTA_EXCEEDED", "https://console.cloud.google.com/iam-admin/quotas"}, gcpLaunch("d", "--", "echo hello")...)
	w.emptyLab(l)

	t.Log("a permission is missing")
	l.ClearFaults()
	role := strings.Split("compute.projects.get compute.regions.get compute.instances.list compute.instances.get compute.networks.get compute.firewalls.get compute.zoneOperations.get compute.globalOperations.get compute.globalOperations.list", " ")
	l.Permit(role)
	r = w.sky(gcpLaunch("e", "--", "echo hello")...)
	if r.code == 0 || !strings.Contains(r.out+r.errOut, "compute.instances.create") {
		t.Errorf("exit code %d:\n%s%s", r.code, r.out, r.errOut)
	}
	l.Permit(nil)
	w.emptyLab(l)
}

// TestGCPLabGang: three machines whose ranks know and reach each other, for a user whose ssh finds them by the cluster's name.
func TestGCPLabGang(t *testing.T) {
	t.Parallel()
	w, l := gcpWorld(t, gcelab.Options{})
	r := w.exits(0, nil, gcpLaunch("gang", "--num-nodes", "3", "--ports", "8080", "--",
		"echo rank $SKYPILOT_NODE_RANK of $SKYPILOT_NUM_NODES with $(echo \"$SKYPILOT_NODE_IPS\" | wc -l) addresses; for ip in $SKYPILOT_NODE_IPS; do timeout 5 bash -c \"</dev/tcp/$ip/22\" && echo reached-$((1+1)); done")...)
	t.Logf("a gang of three was up and had run after %v", r.took)
	for _, s := range []string{"rank 0 of 3 with 3 addresses", "rank 1 of 3 with 3 addresses", "rank 2 of 3 with 3 addresses"} {
		if !strings.Contains(r.out, s) {
			t.Errorf("%q is missing:\n%s", s, r.out)
		}
	}
	if n := strings.Count(r.out, "reached-2"); n != 9 {
		t.Errorf("%d of 9 connections:\n%s", n, r.out)
	}
	w.machines(l, 3)
	out, err := exec.Command("ssh", "-F", filepath.Join(w.dir, ".ssh", "config"), "-o", "BatchMode=yes", "gang", "hostname; id -un").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "sky1-") || !strings.HasSuffix(strings.TrimSpace(string(out)), "sky") {
		t.Errorf("ssh gang: %v: %s", err, out)
	}
	w.ok("down", "-y", "gang")
	w.emptyLab(l)
	rules := map[string]int{}
	for _, c := range l.Calls() {
		if c.Status == 200 && (c.Method == "compute.firewalls.insert" || c.Method == "compute.firewalls.delete") {
			rules[c.Method]++
		}
	}
	// The rule for port 22 stays, those of the cluster go.
	if rules["compute.firewalls.insert"] != rules["compute.firewalls.delete"]+1 {
		t.Errorf("firewall rules: %v", rules)
	}
}

// TestGCPLabLaptopClosed: with the controller dead, autostop is the machine's own: it deletes itself, with no more rights than that.
func TestGCPLabLaptopClosed(t *testing.T) {
	t.Parallel()
	w, l := gcpWorld(t, gcelab.Options{NodePermissions: []string{"compute.instances.delete"}})
	w.ok(gcpLaunch("alone", "-i", "0", "--down", "-d", "--", "sleep 3")...)
	w.machines(l, 1)
	w.killController()
	w.eventually("the machine deletes itself", func() bool { return len(l.Instances()) == 0 })
	deleted := ""
	for _, c := range l.Calls() {
		if c.Method == "compute.instances.delete" {
			deleted = c.Node
		}
	}
	if !strings.HasPrefix(deleted, "sky1-") {
		t.Errorf("it was deleted by %q", deleted)
	}
	w.says("No existing clusters", "status")
}

// TestGCPLabAnswers: answers are lost, calls take effect late, lists are stale, and there is one machine all the same.
func TestGCPLabAnswers(t *testing.T) {
	t.Parallel()
	w, l := gcpWorld(t, gcelab.Options{ListingLag: 900 * time.Millisecond})
	l.Fail(gcelab.Rule{Method: "instances.insert", Times: 1, Lost: true})
	l.Fail(gcelab.Rule{Method: "instances.insert", Times: 1, Late: 700 * time.Millisecond})
	l.Fail(gcelab.Rule{Method: "instances.insert", Times: 1, HTTP: 503})
	l.Fail(gcelab.Rule{Method: "instances.delete", Times: 1, Lost: true})
	w.exits(7, []string{"hello"}, gcpLaunch("c", "--", "echo hello; exit 7")...)
	w.machines(l, 1)
	w.ok("down", "-y", "c")
	w.eventually("an empty lab", func() bool { return len(l.Instances()) == 0 })
	if n := inserted(l); n > 1 {
		t.Errorf("%d machines were made", n)
	}
}

// TestGCPLabEnds: the cloud itself ends a machine whose controller never comes back, and takes a spot machine away.
func TestGCPLabEnds(t *testing.T) {
	t.Parallel()
	w, l := gcpWorld(t, gcelab.Options{Notice: time.Second})
	w.exits(0, nil, gcpLaunch("c", "--", "true")...)
	w.killController()
	l.Advance(29 * 24 * time.Hour)
	w.machines(l, 1)
	l.Advance(2 * 24 * time.Hour)
	w.eventually("the end of the machine by its run limit", func() bool { return len(l.Instances()) == 0 })
	w.says("No existing clusters", "status")
	w.exits(0, []string{"LOST"}, "why", "c")

	t.Log("preemption")
	w.exits(0, nil, gcpLaunch("s", "--use-spot", "--", "true")...)
	zone, name, _ := strings.Cut(w.machines(l, 1)[0], "/")
	w.ok("exec", "-d", "s", "--", "echo begun; sleep 1000")
	w.says("begun", "logs", "s", "2", "--no-follow")
	if !l.Preempt(zone, name) {
		t.Fatal("no spot machine")
	}
	w.exits(104, []string{"begun"}, "logs", "s", "2")
	w.says("No existing clusters", "status")
	w.exits(0, []string{"preempted"}, "why", "s")
	w.emptyLab(l)
}
