package gcp

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"cloud.google.com/go/compute/apiv1/computepb"
	"google.golang.org/protobuf/proto"

	"aloft/providers"
)

// Labels are what listings are filtered by, and what bills show. They hold lower-case words of 63 characters, so the truth is
// in the metadata, verbatim.
const (
	labelPrefix       = "aloft-"
	labelInstallation = labelPrefix + "installation"
	labelToken        = labelPrefix + "token"
	labelSpec         = labelPrefix + "spec"

	metaTags    = "aloft-tags"
	metaLabels  = "aloft-labels" // the user's labels that do not fit GCE's
	metaStartup = "startup-script"
)

// maxLabels is how many labels a machine has at most.
const maxLabels = 64

// record is what the metadata hold of a request.
type record struct {
	Token        string `json:"token"`
	Spec         string `json:"spec"`
	Name         string `json:"name,omitempty"`
	Installation string `json:"installation"`
	ClusterID    string `json:"cluster"`
	ClusterName  string `json:"cluster_name,omitempty"`
	NodeID       string `json:"node"`
	Attempt      int32  `json:"attempt"`
	Epoch        uint64 `json:"epoch"`
	Owner        string `json:"owner,omitempty"`
	CI           ciRun  `json:"ci,omitzero"`
}

// ciRun is providers.CIRun as the metadata hold it.
type ciRun struct {
	System     string `json:"system,omitempty"`
	Repository string `json:"repository,omitempty"`
	Run        string `json:"run,omitempty"`
	Job        string `json:"job,omitempty"`
	Group      string `json:"group,omitempty"`
	Key        string `json:"key,omitempty"`
}

func newRecord(r providers.CreateRequest, spec string) record {
	t := r.Tags
	return record{
		Token: r.Token, Spec: spec, Name: r.Name, Installation: t.Installation, ClusterID: t.ClusterID, ClusterName: t.ClusterName,
		NodeID: t.NodeID, Attempt: t.Attempt, Epoch: t.Epoch, Owner: t.Owner, CI: ciRun(t.CI),
	}
}

func (r record) tags() providers.Tags {
	return providers.Tags{
		Installation: r.Installation, ClusterID: r.ClusterID, ClusterName: r.ClusterName, NodeID: r.NodeID, Attempt: r.Attempt,
		Epoch: r.Epoch, Owner: r.Owner, CI: providers.CIRun(r.CI),
	}
}

// labels are those of a machine: ours, and the user's as far as they fit.
func (r record) labels(user map[string]string) map[string]string {
	out := map[string]string{}
	ours := map[string]string{
		"installation": r.Installation, "token": r.Token, "spec": r.Spec, "cluster": r.ClusterID, "cluster-name": r.ClusterName,
		"node": r.NodeID, "name": r.Name, "attempt": strconv.Itoa(int(r.Attempt)), "epoch": strconv.FormatUint(r.Epoch, 10), "owner": r.Owner,
	}
	if r.CI != (ciRun{}) {
		ours["ci"], ours["ci-repository"], ours["ci-run"], ours["ci-job"] = r.CI.System, r.CI.Repository, r.CI.Run, r.CI.Job
		if r.CI.Group != "" {
			ours["ci-group"] = r.CI.Group
		}
		if r.CI.Key != "" {
			ours["ci-key"] = r.CI.Key
		}
	}
	for k, v := range ours {
		out[labelPrefix+k], _ = labelValue(v)
	}
	for _, k := range slices.Sorted(maps.Keys(user)) {
		key := labelKey(k)
		if _, taken := out[key]; key == "" || taken || strings.HasPrefix(key, labelPrefix) || len(out) == maxLabels {
			continue
		}
		out[key], _ = labelValue(user[k])
	}
	return out
}

// metadata are the entries that hold what labels cannot.
func (r record) metadata(user map[string]string) ([]*computepb.Items, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("tags: %w", err)
	}
	items := []*computepb.Items{item(metaTags, string(b))}
	if len(user) > 0 {
		l, err := json.Marshal(user)
		if err != nil {
			return nil, fmt.Errorf("labels: %w", err)
		}
		items = append(items, item(metaLabels, string(l)))
	}
	return items, nil
}

func item(k, v string) *computepb.Items {
	return &computepb.Items{Key: proto.String(k), Value: proto.String(v)}
}

// attribute is a value of an instance's metadata.
func attribute(in *computepb.Instance, key string) string {
	for _, i := range in.GetMetadata().GetItems() {
		if i.GetKey() == key {
			return i.GetValue()
		}
	}
	return ""
}

// recordOf reads back what an instance was made with. An instance whose metadata are lost is known by its labels.
func recordOf(in *computepb.Instance) record {
	var r record
	if err := json.Unmarshal([]byte(attribute(in, metaTags)), &r); err == nil && r.Token != "" {
		return r
	}
	l := in.GetLabels()
	attempt, _ := strconv.ParseInt(l[labelPrefix+"attempt"], 10, 32)
	epoch, _ := strconv.ParseUint(l[labelPrefix+"epoch"], 10, 64)
	return record{
		Token: l[labelToken], Spec: l[labelSpec], Name: l[labelPrefix+"name"], Installation: l[labelInstallation],
		ClusterID: l[labelPrefix+"cluster"], ClusterName: l[labelPrefix+"cluster-name"], NodeID: l[labelPrefix+"node"],
		Attempt: int32(attempt), Epoch: epoch, Owner: l[labelPrefix+"owner"],
		CI: ciRun{System: l[labelPrefix+"ci"], Repository: l[labelPrefix+"ci-repository"], Run: l[labelPrefix+"ci-run"], Job: l[labelPrefix+"ci-job"], Group: l[labelPrefix+"ci-group"], Key: l[labelPrefix+"ci-key"]},
	}
}
