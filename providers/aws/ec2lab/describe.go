package ec2lab

import (
	"context"
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var instanceID = regexp.MustCompile(`^i-[0-9a-f]{8,17}$`)

// named finds the instances that a call names, as listings show them; l.mu is held.
func (l *Lab) namedLocked(q *request, ids []string) ([]*record, *response) {
	var out []*record
	var missing []string
	for _, id := range ids {
		if !instanceID.MatchString(id) {
			return nil, failure(q, "InvalidInstanceID.Malformed", "Invalid id: \"%s\"", id)
		}
		r := l.instances[id]
		if r == nil || r.cur.Region != q.region {
			missing = append(missing, id)
			continue
		}
		if _, ok := l.shownLocked(r); !ok {
			missing = append(missing, id)
			continue
		}
		out = append(out, r)
	}
	switch len(missing) {
	case 0:
		return out, nil
	case 1:
		return nil, failure(q, "InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", missing[0])
	}
	return nil, failure(q, "InvalidInstanceID.NotFound", "The instance IDs '%s' do not exist", strings.Join(missing, ", "))
}

// filters reads Filter.N.
func filters(q *request) map[string][]string {
	out := map[string][]string{}
	for n := 1; q.form.Has(fmt.Sprintf("Filter.%d.Name", n)); n++ {
		name := q.get(fmt.Sprintf("Filter.%d.Name", n))
		out[name] = append(out[name], q.list(fmt.Sprintf("Filter.%d.Value", n))...)
	}
	return out
}

// glob matches EC2's wildcards.
func glob(pattern, s string) bool {
	p := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
	ok, err := regexp.MatchString("^(?s:"+p+")$", s)
	return err == nil && ok
}

func globs(patterns []string, s string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return glob(p, s) })
}

// passes applies filters; the error is the name of one that does not exist.
func (i Instance) passes(fs map[string][]string) (bool, string) {
	for name, want := range fs {
		var have []string
		switch {
		case strings.HasPrefix(name, "tag:"):
			v, ok := i.Tags[strings.TrimPrefix(name, "tag:")]
			if !ok {
				return false, ""
			}
			have = []string{v}
		case name == "tag-key":
			for k := range i.Tags {
				have = append(have, k)
			}
		default:
			one, ok := map[string]string{
				"instance-id": i.ID, "instance-state-name": string(i.State), "instance-state-code": strconv.Itoa(i.State.code()), "client-token": i.Token,
				"instance-type": i.Type, "availability-zone": i.Zone, "vpc-id": i.VPC, "subnet-id": i.Subnet, "image-id": i.Image, "key-name": i.Key,
				"private-ip-address": i.PrivateIP, "ip-address": i.PublicIP, "placement-group-name": i.Placement, "reservation-id": i.reservation,
				"spot-instance-request-id": i.spotRequest, "architecture": i.Arch, "instance-lifecycle": map[bool]string{true: "spot"}[i.Spot],
			}[name]
			switch {
			case name == "instance.group-id" || name == "network-interface.group-id":
				have = i.Groups
			case !ok:
				return false, name
			default:
				have = []string{one}
			}
		}
		if !slices.ContainsFunc(have, func(h string) bool { return globs(want, h) }) {
			return false, ""
		}
	}
	return true, ""
}

// pageSize is the most instances in one answer.
const pageSize = 1000

// describeInstances lists from the table.
func (l *Lab) describeInstances(_ context.Context, q *request) *response {
	ids := q.list("InstanceId")
	size := pageSize
	if s := q.get("MaxResults"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 5 || n > pageSize {
			return failure(q, "InvalidParameterValue", "Value ( %s ) for parameter maxResults is invalid. Expecting a value between 5 and 1000.", s)
		}
		if len(ids) > 0 {
			return failure(q, "InvalidParameterCombination", "The parameter instancesSet cannot be used with the parameter maxResults")
		}
		size = n
	}
	from := 0
	if s := q.get("NextToken"); s != "" {
		b, err := base64.StdEncoding.DecodeString(s)
		n, err2 := strconv.Atoi(string(b))
		if err != nil || err2 != nil {
			return failure(q, "InvalidNextToken", "The token is not valid")
		}
		from = n
	}
	fs := filters(q)
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.order
	if len(ids) > 0 {
		named, out := l.namedLocked(q, ids)
		if out != nil {
			return out
		}
		all, size = named, len(named)
	}
	var out struct {
		RequestID    string                `xml:"requestId"`
		Reservations items[reservationXML] `xml:"reservationSet"`
		Next         string                `xml:"nextToken,omitempty"`
	}
	out.RequestID = newID("r")
	last, count := "", 0
	for n := from; n < len(all); n++ {
		i, ok := l.shownLocked(all[n])
		if !ok || i.Region != q.region {
			continue
		}
		pass, unknown := i.passes(fs)
		if unknown != "" {
			return failure(q, "InvalidParameterValue", "The filter '%s' is invalid", unknown)
		}
		if !pass {
			continue
		}
		if count == size {
			out.Next = base64.StdEncoding.EncodeToString([]byte(strconv.Itoa(n)))
			break
		}
		count++
		if i.reservation != last {
			out.Reservations.Items = append(out.Reservations.Items, l.reservationXML(i.reservation, nil))
			last = i.reservation
		}
		set := &out.Reservations.Items[len(out.Reservations.Items)-1].Instances
		set.Items = append(set.Items, l.instanceXML(i))
	}
	return answerXML(q, out)
}

// describeStatus tells which instances run; checks of a system's health do not exist here: what runs is well.
func (l *Lab) describeStatus(_ context.Context, q *request) *response {
	type statusXML struct {
		ID     string   `xml:"instanceId"`
		Zone   string   `xml:"availabilityZone"`
		State  stateXML `xml:"instanceState"`
		System string   `xml:"systemStatus>status"`
		Own    string   `xml:"instanceStatus>status"`
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	rs := l.order
	if ids := q.list("InstanceId"); len(ids) > 0 {
		var out *response
		if rs, out = l.namedLocked(q, ids); out != nil {
			return out
		}
	}
	var out struct {
		RequestID string           `xml:"requestId"`
		Set       items[statusXML] `xml:"instanceStatusSet"`
	}
	for _, r := range rs {
		i, ok := l.shownLocked(r)
		if !ok || i.Region != q.region || (i.State != Running && q.get("IncludeAllInstances") != "true") {
			continue
		}
		health := "ok"
		if i.State != Running {
			health = "not-applicable"
		}
		out.Set.Items = append(out.Set.Items, statusXML{i.ID, i.Zone, stateXML{i.State.code(), string(i.State)}, health, health})
	}
	return answerXML(q, out)
}
