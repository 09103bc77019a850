package main

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aloft/providers/aws/ec2lab"
)

// TestCloudLabFailover: no capacity in one zone, no quota in one region; every attempt is shown with its code.
func TestCloudLabFailover(t *testing.T) {
	t.Parallel()
	lab, w := awsLab(t)
	lab.Fail(ec2lab.Rule{Action: "RunInstances", Region: "us-east-1", Zone: "us-east-1a", Code: "InsufficientInstanceCapacity"})
	lab.SetQuota("us-east-1", "L-1216C47A", 1)
	lab.Fail(ec2lab.Rule{Action: "RunInstances", Region: "us-west-2", Zone: "us-west-2a", Code: "InsufficientInstanceCapacity"})
	w.exits(0, []string{"landed"}, "launch", "-y", "-c", "far", "--infra", "aws", "--instance-type", "m7i.large", "--", "echo landed")
	if i, _ := labMachine(t, lab); i.Zone != "us-west-2b" {
		t.Errorf("landed in %s", i.Zone)
	}
	w.exits(0, []string{"InsufficientInstanceCapacity", "us-west-2a", "us-west-2b"}, "status", "-v", "far")
	w.ok("down", "-y", "far")
	cloudIsEmpty(t, lab)
}

// TestCloudLabGang is a gang of three whose members know and reach each other; its port is opened and closed again.
func TestCloudLabGang(t *testing.T) {
	t.Parallel()
	lab, w := awsLab(t)
	r := w.exits(0, nil, "launch", "-y", "-c", "gang", "--infra", "aws/us-east-1", "--instance-type", "m7i.large", "--num-nodes", "3", "--ports", "8080", "--",
		"echo rank $SKYPILOT_NODE_RANK of $SKYPILOT_NUM_NODES with $(echo \"$SKYPILOT_NODE_IPS\" | wc -l) addresses; for ip in $SKYPILOT_NODE_IPS; do timeout 5 bash -c \"</dev/tcp/$ip/22\" && echo reached-$((1+1)); done")
	for _, s := range []string{"rank 0 of 3 with 3 addresses", "rank 1 of 3 with 3 addresses", "rank 2 of 3 with 3 addresses"} {
		if !strings.Contains(r.out+r.errOut, s) {
			t.Errorf("%q is missing:\n%s%s", s, r.out, r.errOut)
		}
	}
	if n := strings.Count(r.out+r.errOut, "reached-2"); n != 9 {
		t.Errorf("%d of 9 connections:\n%s%s", n, r.out, r.errOut)
	}
	if n := len(lab.Alive()); n != 3 {
		t.Errorf("%d machines", n)
	}
	opened := 0
	for _, c := range lab.CallsOf("AuthorizeSecurityGroupIngress") {
		if strings.Contains(c.Form.Encode(), "8080") {
			opened++
		}
	}
	if opened == 0 {
		t.Error("the port was not opened")
	}
	t.Logf("a gang of three was up after %v", r.took)
	w.ok("down", "-y", "gang")
	cloudIsEmpty(t, lab)
	w.eventually("the group of the port is removed", func() bool {
		for _, c := range lab.CallsOf("DeleteSecurityGroup") {
			if c.Code == "" {
				return true
			}
		}
		return false
	})
}

// TestCloudLabAnswersLost: calls that took effect and were not answered, at once or later, make one machine and leave none.
func TestCloudLabAnswersLost(t *testing.T) {
	t.Parallel()
	lab, w := awsLab(t)
	lab.Fail(ec2lab.Rule{Action: "RunInstances", Times: 4, Lost: true})
	lab.Fail(ec2lab.Rule{Action: "TerminateInstances", Times: 4, Lost: true})
	w.exits(0, []string{"here"}, "launch", "-y", "-c", "lossy", "--infra", "aws", "--instance-type", "m7i.large", "--", "echo here")
	if n := len(lab.Instances()); n != 1 {
		t.Errorf("%d machines were made", n)
	}
	w.ok("down", "-y", "lossy")
	cloudIsEmpty(t, lab)
	lab.ClearFaults()
	lab.Fail(ec2lab.Rule{Action: "RunInstances", Times: 3, Late: 2 * time.Second})
	w.exits(0, []string{"here"}, "launch", "-y", "-c", "late", "--infra", "aws", "--instance-type", "m7i.large", "--", "echo here")
	w.eventually("the late calls", func() bool { return len(lab.CallsOf("RunInstances")) >= 3 })
	if n := len(lab.Alive()); n != 1 {
		t.Errorf("%d machines after late calls", n)
	}
	w.ok("down", "-y", "late")
	cloudIsEmpty(t, lab)
}

// TestCloudLabControllerDies kills the controller while the create call is under way, and while a machine is stopped: what
// the user asked for is done by the next one, with the same machine.
func TestCloudLabControllerDies(t *testing.T) {
	t.Parallel()
	lab, w := awsLab(t)
	lab.Fail(ec2lab.Rule{Action: "RunInstances", Times: 1, Delay: 3 * time.Second})
	w.ok("launch", "-y", "-c", "phoenix", "--infra", "aws", "--instance-type", "m7i.large", "--async", "--", "echo risen on $(hostname)")
	w.eventually("the create call", func() bool { return lab.Waiting() > 0 })
	w.killController()
	w.says("risen on i-", "logs", "phoenix", "1")
	i, _ := labMachine(t, lab)
	if n := len(lab.Instances()); n != 1 {
		t.Errorf("%d machines were made", n)
	}
	lab.Fail(ec2lab.Rule{Action: "StopInstances", Times: 1, Delay: 2 * time.Second})
	w.ok("stop", "-y", "--async", "phoenix")
	w.eventually("the stop call", func() bool { return lab.Waiting() > 0 })
	w.killController()
	w.says("STOPPED", "status", "phoenix")
	w.ok("start", "-y", "phoenix")
	if j, _ := labMachine(t, lab); j.ID != i.ID || j.State != ec2lab.Running {
		t.Errorf("%s is %s, was %s", j.ID, j.State, i.ID)
	}
	lab.Fail(ec2lab.Rule{Action: "TerminateInstances", Times: 1, Delay: 2 * time.Second})
	w.ok("down", "-y", "--async", "phoenix")
	w.eventually("the terminate call", func() bool { return lab.Waiting() > 0 })
	w.killController()
	w.says("No existing clusters", "status")
	cloudIsEmpty(t, lab)
}

// TestCloudLabSpot: a machine that Amazon takes back is noticed; nothing of it is kept, and nothing is billed.
func TestCloudLabSpot(t *testing.T) {
	t.Parallel()
	lab, w := awsLab(t)
	w.ok("launch", "-y", "-c", "cheap", "--infra", "aws", "--instance-type", "m7i.large", "--use-spot", "-d", "--", "echo begun; sleep 600")
	i, _ := labMachine(t, lab)
	if !i.Spot {
		t.Errorf("no spot machine: %+v", i)
	}
	w.says("RUNNING", "queue", "cheap")
	lab.Interrupt(i.ID, 2*time.Second)
	cloudIsEmpty(t, lab)
	w.eventually("the job is not said to run", func() bool {
		r := w.sky("queue", "cheap")
		return !strings.Contains(r.out, "RUNNING")
	})
	t.Logf("queue after the end:\n%s\nstatus:\n%s", w.sky("queue", "cheap").out, w.sky("status", "-v", "cheap").out)
	w.sky("down", "-y", "cheap")
	w.says("No existing clusters", "status")
}

// TestCloudLabLaptopClosed: with the controller dead, autostop is the machine's own.
func TestCloudLabLaptopClosed(t *testing.T) {
	t.Parallel()
	lab, w := awsLab(t)
	w.ok("launch", "-y", "-c", "alone", "--infra", "aws", "--instance-type", "m7i.large", "-i", "0", "--down", "-d", "--", "sleep 8")
	labMachine(t, lab)
	w.eventually("the job runs", func() bool { return strings.Contains(w.sky("queue", "alone").out, "RUNNING") })
	w.killController()
	cloudIsEmpty(t, lab)
	if i := lab.Instances()[0]; i.Reason != "Client.InstanceInitiatedShutdown" {
		t.Errorf("ended by %s", i.Reason)
	}
	w.says("No existing clusters", "status")
}

// TestCloudLabKeys: credentials that were taken away are said in one line with what to do; nothing is made.
func TestCloudLabKeys(t *testing.T) {
	t.Parallel()
	lab, w := awsLab(t)
	lab.SetKey(ec2lab.AccessKey, "AuthFailure")
	r := w.sky("launch", "-y", "-c", "nobody", "--infra", "aws", "--instance-type", "m7i.large", "--", "true")
	if r.code == 0 || !strings.Contains(r.out+r.errOut, "AuthFailure") && !strings.Contains(r.out+r.errOut, "InvalidClientTokenId") || !strings.Contains(r.out+r.errOut, "aws configure") {
		t.Errorf("ended with %d:\n%s%s", r.code, r.out, r.errOut)
	}
	if n := len(lab.Instances()); n != 0 {
		t.Errorf("%d machines", n)
	}
}

// TestCloudLabSSH: a person's own ssh reaches the machine by the name of the cluster, also after it was stopped.
func TestCloudLabSSH(t *testing.T) {
	t.Parallel()
	lab, w := awsLab(t)
	w.ok("launch", "-y", "-c", "door", "--infra", "aws", "--instance-type", "m7i.large", "--", "true")
	in := func() {
		t.Helper()
		i, _ := labMachine(t, lab)
		var out []byte
		// What ssh reads is written a moment after the machine is ready; the next command of sky includes it.
		w.eventually("ssh door", func() bool {
			w.ok("status")
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, "ssh", "-F", filepath.Join(w.dir, ".ssh", "config"), "-o", "BatchMode=yes", "door", "echo in as $(id -un) on $(hostname)")
			cmd.Env = w.env
			var err error
			out, err = cmd.CombinedOutput()
			return err == nil
		})
		if !strings.Contains(string(out), "in as ubuntu on "+i.ID) {
			t.Errorf("ssh: %s", out)
		}
	}
	in()
	w.ok("stop", "-y", "door")
	w.ok("start", "-y", "door")
	in()
	w.ok("down", "-y", "door")
	cloudIsEmpty(t, lab)
}

// BenchmarkCloudLabLaunch is a launch of 1 and of 16 machines, from the command to the job's end. overhead-s is without the
// cloud: from the first call of its API until sshd answers on the last machine.
func BenchmarkCloudLabLaunch(b *testing.B) {
	for _, n := range []int{1, 16} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			lab, w := awsLab(b)
			w.ok("api", "start")
			var overhead, total float64
			for b.Loop() {
				before := len(lab.Instances())
				calls := len(lab.Calls())
				up := make(chan time.Time, 1)
				go func() {
					for {
						all := lab.Instances()[before:]
						ready := 0
						for _, i := range all {
							if c, err := net.DialTimeout("tcp", i.PrivateIP+":22", 100*time.Millisecond); i.PrivateIP != "" && err == nil {
								c.Close()
								ready++
							}
						}
						if ready == n {
							up <- time.Now()
							return
						}
						time.Sleep(10 * time.Millisecond)
					}
				}()
				r := w.ok("launch", "-y", "-c", "bench", "--infra", "aws", "--instance-type", "m7i.large", "--num-nodes", fmt.Sprint(n), "--", "true")
				cloud := (<-up).Sub(lab.Calls()[calls].At)
				total += r.took.Seconds()
				overhead += (r.took - cloud).Seconds()
				b.StopTimer()
				w.ok("down", "-y", "bench")
				b.StartTimer()
			}
			b.ReportMetric(overhead/float64(b.N), "overhead-s")
			b.ReportMetric(total/float64(b.N), "total-s")
		})
	}
}
