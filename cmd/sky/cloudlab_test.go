package main

import (
	"strings"
	"sync"
	"testing"
	"time"

	"aloft/providers/aws/ec2lab"
	"aloft/providers/hostlab"
)

// labMoto is one moto_server for all tests of the cloud laboratory; it ends with this process.
var labMoto = sync.OnceValues(ec2lab.StartMoto)

// awsLab is an EC2 with real hosts, and a world whose user has credentials for it and nothing else.
func awsLab(t testing.TB, change ...func(*ec2lab.Options)) (*ec2lab.Lab, *world) {
	t.Helper()
	o := ec2lab.Options{Hosts: true, Prices: map[string]float64{"m7i.large": 0.1, "m7i.xlarge": 0.2}}
	for _, f := range change {
		f(&o)
	}
	if err := ec2lab.Available(o); err != nil {
		t.Skipf("SKIPPED, the cloud laboratory cannot be had here: %v", err)
	}
	var err error
	if o.Moto, err = labMoto(); err != nil {
		t.Fatal(err)
	}
	lab, err := ec2lab.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	w := newWorld(t, lab.Env()...)
	w.write(".aloft/config.yaml", "providers:\n  aws:\n    regions: us-east-1,us-west-2\n")
	var rows strings.Builder
	rows.WriteString("InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,AvailabilityZone\n")
	for _, r := range []string{"us-east-1", "us-west-2"} {
		for _, z := range []string{"a", "b", "c"} {
			rows.WriteString("m7i.large,,,2,8,,0.1,0.05," + r + "," + r + z + "\n")
			rows.WriteString("m7i.xlarge,,,4,16,,0.2,0.1," + r + "," + r + z + "\n")
		}
	}
	w.write(".aloft/catalog/aws/vms.csv", rows.String())
	return lab, w
}

// cloudIsEmpty fails when anything that costs money, or was one cluster's, is left.
func cloudIsEmpty(t *testing.T, lab *ec2lab.Lab) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); len(lab.Alive()) > 0 && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	for _, i := range lab.Instances() {
		if i.State != ec2lab.Terminated || lab.Host(i.ID) != nil {
			t.Errorf("left over: %s %s %s host %t", i.ID, i.State, i.Reason, lab.Host(i.ID) != nil)
		}
	}
	for _, r := range []string{"us-east-1", "us-west-2"} {
		if g := lab.PlacementGroups(r); len(g) > 0 {
			t.Errorf("placement groups left in %s: %v", r, g)
		}
	}
}

func labMachine(t *testing.T, lab *ec2lab.Lab) (ec2lab.Instance, *hostlab.Host) {
	t.Helper()
	alive := lab.Alive()
	if len(alive) != 1 {
		t.Fatalf("%d instances, want 1: %+v", len(alive), alive)
	}
	h := lab.Host(alive[0].ID)
	if h == nil {
		t.Fatalf("%s has no host", alive[0].ID)
	}
	return alive[0], h
}

// TestCloudLabLife is what a user does with one machine of AWS, from launch to down.
func TestCloudLabLife(t *testing.T) {
	t.Parallel()
	lab, w := awsLab(t)
	began := time.Now()
	r := w.exits(0, []string{"hello from i-", "user ubuntu"}, "launch", "-y", "-c", "one", "--infra", "aws", "--instance-type", "m7i.large", "--", "echo hello from $(hostname); echo user $(id -un); echo kept >~/kept.txt")
	t.Logf("launch took %v (command) in %v", r.took, time.Since(began))
	i, _ := labMachine(t, lab)
	if i.Type != "m7i.large" || i.HTTPTokens != "required" || i.ShutdownBehavior != "terminate" || i.Token == "" {
		t.Errorf("the machine: %+v", i)
	}
	w.exits(42, nil, "exec", "one", "--", "exit 42")
	w.ok("stop", "-y", "one")
	if i, _ := labMachine(t, lab); i.State != ec2lab.Stopped {
		t.Errorf("after stop: %s", i.State)
	}
	w.ok("start", "-y", "one")
	w.exits(0, []string{"kept"}, "exec", "one", "--", "cat ~/kept.txt")
	if j, _ := labMachine(t, lab); j.ID != i.ID {
		t.Errorf("start made another machine: %s, then %s", i.ID, j.ID)
	}
	w.ok("down", "-y", "one")
	cloudIsEmpty(t, lab)
	if n := len(lab.Instances()); n != 1 {
		t.Errorf("%d instances were made for one cluster", n)
	}
	if doc := w.document(w.ok("gc", "-o", "json")); doc["instances"] != float64(0) {
		t.Errorf("gc: %v", doc)
	}
}
