package aws

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"aloft/providers"
)

// Tags of ours.
const (
	tagPrefix       = "aloft:"
	tagInstallation = tagPrefix + "installation"
	tagClusterID    = tagPrefix + "cluster-id"
	tagCluster      = tagPrefix + "cluster"
	tagNode         = tagPrefix + "node"
	tagAttempt      = tagPrefix + "attempt"
	tagEpoch        = tagPrefix + "epoch"
	tagOwner        = tagPrefix + "owner"
	tagToken        = tagPrefix + "token"
	tagDeadline     = tagPrefix + "deadline"
	tagCI           = tagPrefix + "ci"
	tagCIRepository = tagPrefix + "ci-repository"
	tagCIRun        = tagPrefix + "ci-run"
	tagCIJob        = tagPrefix + "ci-job"
	tagCIGroup      = tagPrefix + "ci-group"
	tagCIKey        = tagPrefix + "ci-key"
)

// Limits of EC2 on tags, in characters.
const (
	maxTags     = 50
	maxTagKey   = 128
	maxTagValue = 256
)

// tagsOf are the tags of a machine: ours, its name, and the user's labels, by key.
func tagsOf(r providers.CreateRequest) ([]types.Tag, error) {
	m := map[string]string{
		"Name": fold(r.Name), tagInstallation: r.Tags.Installation, tagClusterID: r.Tags.ClusterID, tagCluster: fold(r.Tags.ClusterName),
		tagNode: r.Tags.NodeID, tagAttempt: strconv.Itoa(int(r.Tags.Attempt)), tagEpoch: strconv.FormatUint(r.Tags.Epoch, 10),
		tagOwner: fold(r.Tags.Owner), tagToken: r.Token,
	}
	if !r.Deadline.IsZero() {
		m[tagDeadline] = strconv.FormatInt(r.Deadline.Unix(), 10)
	}
	if ci := r.Tags.CI; ci != (providers.CIRun{}) {
		m[tagCI], m[tagCIRepository], m[tagCIRun], m[tagCIJob] = fold(ci.System), fold(ci.Repository), fold(ci.Run), fold(ci.Job)
		if ci.Group != "" {
			m[tagCIGroup] = fold(ci.Group)
		}
		if ci.Key != "" {
			m[tagCIKey] = fold(ci.Key)
		}
	}
	var problems []string
	for _, k := range slices.Sorted(maps.Keys(r.Spec.Labels)) {
		v := r.Spec.Labels[k]
		low := strings.ToLower(k)
		switch {
		case k == "":
			problems = append(problems, "a label has no name")
		case strings.HasPrefix(low, "aws:"), strings.HasPrefix(low, tagPrefix):
			problems = append(problems, fmt.Sprintf("label %q: names that begin with aws: or %s are taken", k, tagPrefix))
		case utf8.RuneCountInString(k) > maxTagKey:
			problems = append(problems, fmt.Sprintf("label %.20q...: a name has at most %d characters", k, maxTagKey))
		case utf8.RuneCountInString(v) > maxTagValue:
			problems = append(problems, fmt.Sprintf("label %q: a value has at most %d characters", k, maxTagValue))
		case fold(k) != k, fold(v) != v:
			problems = append(problems, fmt.Sprintf("label %q: allowed are letters, digits, spaces and _.:/=+-@ in names and values", k))
		default:
			m[k] = v
		}
	}
	if len(m) > maxTags {
		problems = append(problems, fmt.Sprintf("%d labels; at most %d are allowed", len(r.Spec.Labels), maxTags-len(m)+len(r.Spec.Labels)))
	}
	if len(problems) > 0 {
		e := invalid("create", "labels", "correct `labels` of the task", "%s", strings.Join(problems, "; "))
		e.Scope = providers.ScopeProvider
		return nil, e
	}
	return sorted(m), nil
}

func sorted(m map[string]string) []types.Tag {
	var out []types.Tag
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, types.Tag{Key: sdk.String(k), Value: sdk.String(m[k])})
	}
	return out
}

// ours are the tags of what the machines of a cluster, or of all, share.
func ours(t providers.Tags, name string) []types.Tag {
	m := map[string]string{"Name": name, tagInstallation: t.Installation}
	if t.ClusterID != "" {
		m[tagClusterID], m[tagCluster], m[tagOwner] = t.ClusterID, fold(t.ClusterName), fold(t.Owner)
	}
	return sorted(m)
}

// fold makes a tag's value of any text: EC2 takes letters and digits of every script, spaces and some signs.
func fold(s string) string {
	s = strings.Map(func(r rune) rune {
		if r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == ' ' || strings.ContainsRune("_.:/=+-@", r)) {
			return r
		}
		return '_'
	}, s)
	if utf8.RuneCountInString(s) > maxTagValue {
		s = string([]rune(s)[:maxTagValue])
	}
	return s
}

// instanceOf is a machine as the rest of the program sees it.
func instanceOf(region string, i types.Instance) providers.Instance {
	tags := map[string]string{}
	for _, t := range i.Tags {
		tags[sdk.ToString(t.Key)] = sdk.ToString(t.Value)
	}
	attempt, _ := strconv.ParseInt(tags[tagAttempt], 10, 32)
	epoch, _ := strconv.ParseUint(tags[tagEpoch], 10, 64)
	in := providers.Instance{
		InstanceRef: providers.InstanceRef{ID: sdk.ToString(i.InstanceId), Region: region},
		Token:       tags[tagToken], State: stateOf(i.State), Address: sdk.ToString(i.PrivateIpAddress), PublicAddress: sdk.ToString(i.PublicIpAddress),
		Created: sdk.ToTime(i.LaunchTime),
		Tags: providers.Tags{
			Installation: tags[tagInstallation], ClusterID: tags[tagClusterID], ClusterName: tags[tagCluster], NodeID: tags[tagNode],
			Attempt: int32(attempt), Epoch: epoch, Owner: tags[tagOwner],
			CI: providers.CIRun{System: tags[tagCI], Repository: tags[tagCIRepository], Run: tags[tagCIRun], Job: tags[tagCIJob], Group: tags[tagCIGroup], Key: tags[tagCIKey]},
		},
	}
	if i.Placement != nil {
		in.Zone = sdk.ToString(i.Placement.AvailabilityZone)
	}
	if in.Token == "" {
		in.Token = sdk.ToString(i.ClientToken)
	}
	if s, err := strconv.ParseInt(tags[tagDeadline], 10, 64); err == nil {
		in.Deadline = time.Unix(s, 0)
	}
	in.Reason = reasonOf(i)
	return in
}

func stateOf(s *types.InstanceState) providers.InstanceState {
	if s == nil {
		return providers.InstancePending
	}
	switch s.Name {
	case types.InstanceStateNameRunning:
		return providers.InstanceRunning
	case types.InstanceStateNameStopping:
		return providers.InstanceStopping
	case types.InstanceStateNameStopped:
		return providers.InstanceStopped
	case types.InstanceStateNameShuttingDown:
		return providers.InstanceTerminating
	case types.InstanceStateNameTerminated:
		return providers.InstanceTerminated
	}
	return providers.InstancePending
}

// reasonOf says in our words why a machine ended; "" while it lives.
func reasonOf(i types.Instance) string {
	if s := stateOf(i.State); s == providers.InstancePending || s == providers.InstanceRunning {
		return ""
	}
	if i.StateReason == nil {
		return clip(sdk.ToString(i.StateTransitionReason))
	}
	switch code := sdk.ToString(i.StateReason.Code); code {
	case "Server.SpotInstanceTermination", "Server.SpotInstanceShutdown":
		return "preempted"
	case "Client.InstanceInitiatedShutdown":
		return "it shut itself down"
	case "Client.UserInitiatedShutdown", "Client.UserInitiatedHibernate":
		return "ended by a call to EC2"
	case "Server.InsufficientInstanceCapacity":
		return "no capacity when it started"
	case "Client.VolumeLimitExceeded", "Client.InternalError", "Server.InternalError", "Server.ScheduledStop":
		return clip(code + ": " + sdk.ToString(i.StateReason.Message))
	default:
		return clip(strings.TrimPrefix(code+": "+sdk.ToString(i.StateReason.Message), ": "))
	}
}

func errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }
