package fleet_test

import (
	"strings"
	"testing"

	statev1 "aloft/proto/sky/state/v1"
)

func TestOneJob(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.up()
	id := r.submit(1, &statev1.TaskSpec{
		Setup: "echo setting up",
		Run:   "for i in $(seq 1000); do echo line $i; done; echo err >&2; echo rank $SKYPILOT_NODE_RANK; exit 3",
	})
	j := r.until(id, "complete", complete)
	r.wantPhase(j, statev1.JobPhase_JOB_FAILED_USER)
	if j.GetExitCode() != 3 || j.GetStartedMs() == 0 || j.GetEndedMs() == 0 {
		t.Errorf("job %v", j)
	}
	if got := r.log(id, 0, "setup"); got != "setting up\n" {
		t.Errorf("setup log %q", got)
	}
	got := r.log(id, 0, "run")
	if n := strings.Count(got, "\n"); n != 1002 || !strings.Contains(got, "rank 0\n") {
		t.Errorf("%d lines: %q", n, got[:min(len(got), 200)])
	}
}
