package desired

import (
	"strconv"

	"aloft/controller/state"
	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
)

// Supersede makes room for a run in its concurrency group. A cluster of the group that another run of the same repository
// asked for stands in the way while it has unfinished jobs or is still coming up. With cancel it is taken down, or, when it is
// the very cluster that t names, its jobs are cancelled; the names of all those are returned. Without cancel, and when the
// other run is a newer one, an Error says who is there, and nothing is changed.
func Supersede(tx store.Tx, t Target, ci *statev1.CIRun, cancel bool) (names []string, err error) {
	if ci.GetGroup() == "" {
		return nil, nil
	}
	for _, c := range store.Clusters(tx) {
		o := c.GetCi()
		if c.GetEndedMs() > 0 || c.GetProject() != t.Project || o.GetGroup() != ci.GetGroup() || o.GetRepository() != ci.GetRepository() ||
			c.GetDesired() == statev1.ClusterDesired_CLUSTER_DESIRED_DOWN {
			continue
		}
		if same := o.GetRun() == ci.GetRun(); same && (ci.GetRun() != "" || c.GetName() == t.Name) {
			continue
		}
		nodes := store.NodesOf(tx, c.GetId())
		busy := len(open(tx, c.GetId())) > 0 || state.ClusterStatus(c, nodes) == state.ClusterInit
		switch {
		case busy && newer(o.GetRun(), ci.GetRun()):
			return nil, refuse(statev1.FailureKind_CONFLICT, "superseded", "sky status "+c.GetName(),
				"Run %s of concurrency group %q is newer than run %s, and has cluster %q: nothing was launched.", o.GetRun(), ci.GetGroup(), ci.GetRun(), c.GetName())
		case busy && !cancel:
			return nil, refuse(statev1.FailureKind_CONFLICT, "group-busy", "sky status "+c.GetName(),
				"Concurrency group %q is taken: cluster %q%s has unfinished jobs.", ci.GetGroup(), c.GetName(), ofRun(o.GetRun()))
		case !cancel:
			continue // it is warm, and nobody uses it
		case c.GetName() == t.Name:
			if !busy {
				continue
			}
			ch := begin(tx, c, nodes)
			if err := cancelAll(tx, c, t.Now, "superseded by a newer run of its concurrency group"); err != nil {
				return nil, err
			}
			if err := ch.commit(t.Now, "superseded"+ofRun(ci.GetRun()), nodes); err != nil {
				return nil, err
			}
		default:
			if _, err := Down(tx, Target{Project: t.Project, Name: c.GetName(), User: t.User, Now: t.Now}, false); err != nil {
				return nil, err
			}
		}
		names = append(names, c.GetName())
	}
	return names, nil
}

// newer reports whether run a began after run b, where the CI system numbers them.
func newer(a, b string) bool {
	x, err := strconv.ParseInt(a, 10, 64)
	y, err2 := strconv.ParseInt(b, 10, 64)
	return err == nil && err2 == nil && x > y
}

func ofRun(run string) string {
	if run == "" {
		return ""
	}
	return " of run " + run
}
