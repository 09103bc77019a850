package ec2lab

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"time"
)

type changeXML struct {
	ID       string   `xml:"instanceId"`
	Current  stateXML `xml:"currentState"`
	Previous stateXML `xml:"previousState"`
}

// change is TerminateInstances, StopInstances, StartInstances and RebootInstances: all of the named, or none.
func (l *Lab) change(_ context.Context, q *request) *response {
	ids := q.list("InstanceId")
	if len(ids) == 0 {
		return failure(q, "MissingParameter", "The request must contain the parameter InstanceId")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// What changes an instance finds it before listings show it, unless they lag.
	rs, out := l.namedLocked(q, ids)
	if out != nil {
		return out
	}
	for _, r := range rs {
		if out := l.mayChange(q, r.cur); out != nil {
			return out
		}
	}
	var set items[changeXML]
	for _, r := range rs {
		before := r.cur.State
		switch q.action {
		case "TerminateInstances":
			l.endLocked(r, "Client.UserInitiatedShutdown")
		case "StopInstances":
			if before == Running || before == Pending {
				l.stopLocked(r, "Client.UserInitiatedShutdown")
			}
		case "StartInstances":
			if before == Stopped {
				l.setLocked(r, func(i *Instance) { i.State, i.Reason, i.Launched = Pending, "", time.Now().UTC().Truncate(time.Second) })
				go l.turnOn(r)
			}
		}
		set.Items = append(set.Items, changeXML{r.cur.ID, stateXML{r.cur.State.code(), string(r.cur.State)}, stateXML{before.code(), string(before)}})
	}
	return answerXML(q, struct {
		RequestID string           `xml:"requestId"`
		Set       items[changeXML] `xml:"instancesSet"`
	}{newID("r"), set})
}

// mayChange refuses transitions that EC2 refuses.
func (l *Lab) mayChange(q *request, i Instance) *response {
	verb, ok := "", true
	switch q.action {
	case "TerminateInstances":
		if i.Protected && i.State != ShuttingDown && i.State != Terminated {
			return failure(q, "OperationNotPermitted", "The instance '%s' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.", i.ID)
		}
	case "StopInstances":
		if i.Spot && i.State != Stopped && i.State != Terminated && i.State != ShuttingDown {
			return failure(q, "UnsupportedOperation", "You can't stop the Spot Instance '%s' because it is associated with a one-time Spot Instance request. You can only stop Spot Instances associated with persistent Spot Instance requests.", i.ID)
		}
		verb, ok = "stopped", i.State == Running || i.State == Stopping || i.State == Stopped
	case "StartInstances":
		verb, ok = "started", i.State == Stopped || i.State == Pending || i.State == Running
	case "RebootInstances":
		verb, ok = "rebooted", i.State == Running
	}
	if !ok {
		return failure(q, "IncorrectInstanceState", "The instance '%s' is not in a state from which it can be %s.", i.ID, verb)
	}
	return nil
}

// one finds the instance of a call about one.
func (l *Lab) oneLocked(q *request) (*record, *response) {
	rs, out := l.namedLocked(q, []string{q.get("InstanceId")})
	if out != nil {
		return nil, out
	}
	return rs[0], nil
}

// modifyAttribute knows the attributes that matter for the life of an instance.
func (l *Lab) modifyAttribute(_ context.Context, q *request) *response {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, out := l.oneLocked(q)
	if out != nil {
		return out
	}
	if r.cur.State == Terminated || r.cur.State == ShuttingDown {
		return failure(q, "IncorrectInstanceState", "The instance '%s' is not in a valid state for this operation.", r.cur.ID)
	}
	switch {
	case q.form.Has("InstanceInitiatedShutdownBehavior.Value"):
		v := q.get("InstanceInitiatedShutdownBehavior.Value")
		if v != "stop" && v != "terminate" {
			return failure(q, "InvalidParameterValue", "Value (%s) for parameter instanceInitiatedShutdownBehavior is invalid.", v)
		}
		if r.cur.Spot && v == "stop" {
			return failure(q, "UnsupportedOperation", "The attribute instanceInitiatedShutdownBehavior cannot be modified for Spot Instances.")
		}
		l.setLocked(r, func(i *Instance) { i.ShutdownBehavior = v })
	case q.form.Has("DisableApiTermination.Value"):
		l.setLocked(r, func(i *Instance) { i.Protected = q.get("DisableApiTermination.Value") == "true" })
	case q.form.Has("UserData.Value"):
		if r.cur.State != Stopped {
			return failure(q, "IncorrectInstanceState", "The instance '%s' is not in the 'stopped' state.", r.cur.ID)
		}
		b, err := base64.StdEncoding.DecodeString(q.get("UserData.Value"))
		if err != nil {
			return failure(q, "InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.")
		}
		l.setLocked(r, func(i *Instance) { i.UserData = b })
	case q.form.Has("GroupId.1"):
		l.setLocked(r, func(i *Instance) { i.Groups = q.list("GroupId") })
	default:
		return failure(q, "InvalidParameterCombination", "No attributes specified.")
	}
	return done(q)
}

func (l *Lab) describeAttribute(_ context.Context, q *request) *response {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, out := l.oneLocked(q)
	if out != nil {
		return out
	}
	type value struct {
		Value string `xml:"value"`
	}
	v := struct {
		RequestID string `xml:"requestId"`
		ID        string `xml:"instanceId"`
		Behaviour *value `xml:"instanceInitiatedShutdownBehavior,omitempty"`
		Protected *value `xml:"disableApiTermination,omitempty"`
		UserData  *value `xml:"userData,omitempty"`
	}{RequestID: newID("r"), ID: r.cur.ID}
	switch q.get("Attribute") {
	case "instanceInitiatedShutdownBehavior":
		v.Behaviour = &value{r.cur.ShutdownBehavior}
	case "disableApiTermination":
		v.Protected = &value{fmt.Sprint(r.cur.Protected)}
	case "userData":
		v.UserData = &value{base64.StdEncoding.EncodeToString(r.cur.UserData)}
	default:
		return failure(q, "InvalidParameterValue", "the laboratory does not know the attribute %s", q.get("Attribute"))
	}
	return answerXML(q, v)
}

// console is what the host printed.
func (l *Lab) console(_ context.Context, q *request) *response {
	l.mu.Lock()
	r, out := l.oneLocked(q)
	if out != nil {
		l.mu.Unlock()
		return out
	}
	h, id := r.host, r.cur.ID
	l.mu.Unlock()
	text := []byte("the laboratory: no console without a host\n")
	if h != nil {
		text = h.Console()
	}
	return answerXML(q, struct {
		RequestID string `xml:"requestId"`
		ID        string `xml:"instanceId"`
		At        string `xml:"timestamp"`
		Output    string `xml:"output"`
	}{newID("r"), id, time.Now().UTC().Format(time.RFC3339), base64.StdEncoding.EncodeToString(text)})
}

// tagSpecs reads the tags for one type of resource.
func tagSpecs(q *request, kind string) (map[string]string, *response) {
	tags := map[string]string{}
	for n := 1; q.form.Has(fmt.Sprintf("TagSpecification.%d.ResourceType", n)); n++ {
		at := fmt.Sprintf("TagSpecification.%d.", n)
		if q.get(at+"ResourceType") != kind {
			continue
		}
		for m := 1; q.form.Has(fmt.Sprintf("%sTag.%d.Key", at, m)); m++ {
			k := q.get(fmt.Sprintf("%sTag.%d.Key", at, m))
			if _, ok := tags[k]; ok {
				return nil, failure(q, "InvalidParameterValue", "Duplicate tag key '%s' specified.", k)
			}
			tags[k] = q.get(fmt.Sprintf("%sTag.%d.Value", at, m))
		}
	}
	return tags, checkTags(q, tags)
}

var tagText = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)

// checkTags refuses tags that EC2 refuses.
func checkTags(q *request, tags map[string]string) *response {
	if len(tags) > 50 {
		return failure(q, "TagLimitExceeded", "The maximum number of Tags for a resource has been reached.")
	}
	for k, v := range tags {
		switch {
		case k == "" || len([]rune(k)) > 128:
			return failure(q, "InvalidParameterValue", "Tag key exceeds the maximum length of 128 characters, or is empty")
		case len([]rune(v)) > 256:
			return failure(q, "InvalidParameterValue", "Tag value exceeds the maximum length of 256 characters")
		case strings.HasPrefix(strings.ToLower(k), "aws:"):
			return failure(q, "InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
		case !tagText.MatchString(k) || !tagText.MatchString(v):
			return failure(q, "InvalidParameterValue", "The tag %q = %q has characters that are not allowed", k, v)
		}
	}
	return nil
}

// tag is CreateTags and DeleteTags: instances are ours, everything else is moto's.
func (l *Lab) tag(ctx context.Context, q *request) *response {
	var rest []string
	var rs []*record
	l.mu.Lock()
	for _, id := range q.list("ResourceId") {
		if !strings.HasPrefix(id, "i-") {
			rest = append(rest, id)
			continue
		}
		r, out := l.namedLocked(q, []string{id})
		if out != nil {
			l.mu.Unlock()
			return out
		}
		rs = append(rs, r[0])
	}
	l.mu.Unlock()
	tags, valued := map[string]string{}, map[string]bool{}
	for n := 1; q.form.Has(fmt.Sprintf("Tag.%d.Key", n)); n++ {
		k := q.get(fmt.Sprintf("Tag.%d.Key", n))
		tags[k], valued[k] = q.get(fmt.Sprintf("Tag.%d.Value", n)), q.form.Has(fmt.Sprintf("Tag.%d.Value", n))
	}
	if len(rest) > 0 {
		form := map[string]string{}
		for n, id := range rest {
			form[fmt.Sprintf("ResourceId.%d", n+1)] = id
		}
		for k, v := range q.form {
			if strings.HasPrefix(k, "Tag.") {
				form[k] = v[0]
			}
		}
		if out := l.ask(ctx, q.region, q.action, form); out.code != "" {
			return out
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range rs {
		all := maps.Clone(r.cur.Tags)
		if all == nil {
			all = map[string]string{}
		}
		for k, v := range tags {
			if q.action == "CreateTags" {
				all[k] = v
			} else if !valued[k] || all[k] == v {
				delete(all, k)
			}
		}
		if out := checkTags(q, all); out != nil {
			return out
		}
		l.setLocked(r, func(i *Instance) { i.Tags = all })
	}
	return done(q)
}
