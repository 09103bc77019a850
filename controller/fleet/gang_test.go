package fleet_test

import (
	"fmt"
	"strings"
	"testing"

	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
)

func TestGang(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	r.up()
	id := r.submit(1, &statev1.TaskSpec{NumNodes: 3, Run: `echo "$SKYPILOT_NODE_RANK of $SKYPILOT_NUM_NODES at $MASTER_ADDR port ${MASTER_PORT:+set} ips $(echo "$SKYPILOT_NODE_IPS" | wc -l)"`}, 0, 1, 2)
	j := r.until(id, "complete", complete)
	r.wantPhase(j, statev1.JobPhase_JOB_SUCCEEDED)
	for slot := range int32(3) {
		if got, want := r.log(id, slot, "run"), fmt.Sprintf("%d of 3 at 127.0.0.1 port set ips 3\n", slot); got != want {
			t.Errorf("slot %d: %q, want %q", slot, got, want)
		}
	}
	// One rank fails: the others are stopped, its code is the job's.
	for n, failing := range []int{0, 2} {
		id := r.submit(uint32(2+n), &statev1.TaskSpec{NumNodes: 3, Run: fmt.Sprintf(`[ $SKYPILOT_NODE_RANK = %d ] && { sleep 0.1; exit 7; }; sleep 1000`, failing)}, 0, 1, 2)
		j := r.until(id, "complete", complete)
		r.wantPhase(j, statev1.JobPhase_JOB_FAILED_USER)
		if j.GetExitCode() != 7 || int(j.GetFailedRank()) != failing {
			t.Errorf("exit %d by rank %d, want 7 by %d", j.GetExitCode(), j.GetFailedRank(), failing)
		}
		for _, rank := range j.GetRanks() {
			want := statev1.RankPhase_RANK_KILLED
			if int(rank.GetRank()) == failing {
				want = statev1.RankPhase_RANK_EXITED
			}
			if rank.GetPhase() != want {
				t.Errorf("rank %d is %s, want %s", rank.GetRank(), rank.GetPhase(), want)
			}
		}
	}
}

func TestGangCancelReachesAll(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.up()
	id := r.submit(1, &statev1.TaskSpec{NumNodes: 2, Run: "echo begun; sleep 1000"}, 0, 1)
	r.eventually("both run", func() bool {
		return r.log(id, 0, "run") != "" && r.log(id, 1, "run") != ""
	})
	r.cancel(id)
	r.wantPhase(r.until(id, "complete", complete), statev1.JobPhase_JOB_CANCELLED)
}

// A node of a gang dies with its agent: the others end the attempt and keep the evidence.
func TestGangSilence(t *testing.T) {
	t.Parallel()
	for _, dead := range []int{0, 1} {
		t.Run(fmt.Sprintf("rank %d", dead), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2, func(r *rig) {
				for _, n := range r.nodes {
					n.args = []string{"--gang-grace", "1s"}
				}
			})
			r.up()
			id := r.submit(1, &statev1.TaskSpec{NumNodes: 2, Run: "echo begun; sleep 1000"}, 0, 1)
			r.eventually("both run", func() bool {
				return r.log(id, 0, "run") != "" && r.log(id, 1, "run") != ""
			})
			r.nodes[dead].kill()
			other := 1 - dead
			j := r.until(id, "ended on the other node", func(j *statev1.Job) bool {
				return j.GetRanks()[other].GetPhase() == statev1.RankPhase_RANK_KILLED
			})
			if f := j.GetRanks()[other].GetFailure(); f.GetKind() != statev1.FailureKind_INFRA || f.GetCode() != "GANG_SILENT" {
				t.Errorf("failure %v", f)
			}
		})
	}
}

// Twelve jobs, four of them gangs of four, are handed over; the controller is gone for good; all finish, in order; and
// another controller that comes much later learns everything.
func TestWithoutController(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	r.up()
	var ids []string
	var jobs []*statev1.Job
	slots := make(map[int][]int32)
	for n := 1; n <= 12; n++ {
		j := &statev1.Job{Number: uint32(n), WithSetup: true, Task: &statev1.TaskSpec{NumNodes: 1, CpusPerRank: 1000, Setup: "echo setup",
			Run: fmt.Sprintf("echo job %d rank $SKYPILOT_NODE_RANK; echo %d >> ~/order; echo data > made", n, n)}}
		slots[n] = []int32{int32(n % 4)}
		if n%3 == 0 {
			slots[n], j.Task.NumNodes = []int32{0, 1, 2, 3}, 4
		}
		if n == 1 {
			j.Task.Run = "sleep 1; " + j.Task.Run // the others are still waiting when the controller goes
		}
		j.Task.Artifacts = []*statev1.Artifact{{Path: "made"}}
		jobs = append(jobs, j)
	}
	r.update(func(tx store.Tx) error {
		ids = ids[:0]
		for _, j := range jobs {
			if err := r.place(tx, j, slots[int(j.GetNumber())]...); err != nil {
				return err
			}
			ids = append(ids, j.GetId())
		}
		return nil
	})
	for _, id := range ids {
		r.until(id, "handed over", func(j *statev1.Job) bool {
			for _, rank := range j.GetRanks() {
				if rank.GetPhase() < statev1.RankPhase_RANK_ACCEPTED {
					return false
				}
			}
			return true
		})
	}
	r.close()
	r.eventually("everything ran without a controller", func() bool {
		for _, n := range r.nodes {
			if want := 3; len(r.order(n)) < want+3 {
				return false
			}
		}
		return true
	})
	for _, n := range r.nodes {
		got := r.order(n)
		for i := 1; i < len(got); i++ {
			if len(got[i]) < len(got[i-1]) || len(got[i]) == len(got[i-1]) && got[i] <= got[i-1] {
				t.Errorf("node %s ran in the order %v", n.id, got)
			}
		}
	}
	r.open()
	r.connect(r.nodes...)
	for i, id := range ids {
		j := r.until(id, "complete", complete)
		r.wantPhase(j, statev1.JobPhase_JOB_SUCCEEDED)
		for rank, slot := range slots[i+1] {
			if got, want := r.log(id, slot, "run"), fmt.Sprintf("job %d rank %d\n", i+1, rank); got != want {
				t.Errorf("log of job %d rank %d: %q", i+1, rank, got)
			}
		}
		if len(j.GetFiles()) != 1 {
			t.Errorf("job %d has files %v", i+1, j.GetFiles())
		}
	}
}

func (r *rig) order(n *agentNode) []string {
	b := readFile(n.home + "/order")
	return strings.Fields(b)
}

// Agents of a gang are killed and started again, rank 0's too, without a controller: the job goes on as if nothing was.
func TestGangSurvivesItsAgents(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	r.up()
	stop := r.dir + "/stop"
	id := r.submit(1, &statev1.TaskSpec{NumNodes: 3, CpusPerRank: 1000, Run: fmt.Sprintf(
		`echo $MASTER_PORT >> ~/ports; while [ ! -e %s ]; do sleep 0.01; done; [ $SKYPILOT_NODE_RANK = 1 ] && { sleep 1; exit 5; }; sleep 1000`, stop)}, 0, 1, 2)
	next := r.submit(2, &statev1.TaskSpec{NumNodes: 3, CpusPerRank: 1000, Run: "echo next"}, 0, 1, 2)
	accepted := func(j *statev1.Job) bool {
		for _, rank := range j.GetRanks() {
			if rank.GetPhase() < statev1.RankPhase_RANK_ACCEPTED {
				return false
			}
		}
		return true
	}
	r.until(next, "accepted", accepted)
	r.eventually("all run", func() bool {
		for _, n := range r.nodes {
			if readFile(n.home+"/ports") == "" {
				return false
			}
		}
		return true
	})
	r.close()
	for _, n := range r.nodes {
		n.kill()
		n.start()
	}
	write(t, stop, "")
	r.eventually("rank 1's failure stopped the others", func() bool {
		for _, n := range r.nodes {
			if n.marked() != "" {
				return false
			}
		}
		return true
	})
	r.open()
	r.connect(r.nodes...)
	j := r.until(id, "complete", complete)
	r.wantPhase(j, statev1.JobPhase_JOB_FAILED_USER)
	if j.GetExitCode() != 5 || j.GetFailedRank() != 1 {
		t.Errorf("exit %d by rank %d", j.GetExitCode(), j.GetFailedRank())
	}
	r.wantPhase(r.until(next, "complete", complete), statev1.JobPhase_JOB_SUCCEEDED)
	ports := map[string]bool{}
	for _, n := range r.nodes {
		ports[readFile(n.home+"/ports")] = true
	}
	if len(ports) != 1 {
		t.Errorf("ranks were told different ports: %v", ports)
	}
}
