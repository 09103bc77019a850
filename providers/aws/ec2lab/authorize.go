package ec2lab

import (
	"context"
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// SetPolicy makes the laboratory refuse every call that an IAM policy document does not allow, with UnauthorizedOperation
// (AccessDenied elsewhere). Resources and conditions are enforced: those that the laboratory does not know are an error
// here. nil = everything is allowed.
func (l *Lab) SetPolicy(doc []byte) error {
	var p *policy
	if doc != nil {
		var err error
		if p, err = parsePolicy(doc); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.policy = p
	return nil
}

// PermissionsUsed are the permissions that calls so far needed, in the words of IAM, sorted: ec2:RunInstances, ec2:CreateTags, ...
func (l *Lab) PermissionsUsed() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.used))
}

// authorize refuses a call that the policy does not allow; nil = it may go on.
func (l *Lab) authorize(ctx context.Context, q *request) *response {
	if q.service == "sts" {
		return nil // who one is may be asked without a permission
	}
	l.mu.Lock()
	p := l.policy
	l.mu.Unlock()
	targets := l.targets(ctx, q, p != nil)
	l.mu.Lock()
	for _, t := range targets {
		l.used[t.action] = true
	}
	l.mu.Unlock()
	if p == nil {
		return nil
	}
	for _, t := range targets {
		if p.allowed(t) {
			continue
		}
		text := fmt.Sprintf("User: arn:aws:iam::%s:user/laboratory is not authorized to perform: %s on resource: %s because no identity-based policy allows the %s action", l.account, t.action, t.arn, t.action)
		switch {
		case q.service == "ec2":
			return failure(q, "UnauthorizedOperation", "You are not authorized to perform this operation. %s. Encoded authorization failure message: 3ncoded", text)
		case q.json != nil:
			return failure(q, "AccessDeniedException", "%s", text)
		}
		return failure(q, "AccessDenied", "%s", text)
	}
	return nil
}

// targets are the permissions that a call needs, one for each resource. detail = look up what conditions may ask for.
func (l *Lab) targets(ctx context.Context, q *request, detail bool) []target {
	base := map[string][]string{"aws:RequestedRegion": {q.region}}
	if q.service != "ec2" {
		arn := "*"
		if q.service == "ssm" {
			arn = "arn:aws:ssm:" + q.region + ":*"
			if _, rest, ok := strings.Cut(string(q.json), `"Name":"`); ok {
				name, _, _ := strings.Cut(rest, `"`)
				arn = "arn:aws:ssm:" + q.region + "::parameter" + name
			}
		}
		return []target{{q.service + ":" + q.action, arn, base}}
	}
	base["ec2:Region"] = []string{q.region}
	arn := func(kind, id string) string {
		owner := l.account
		if kind == "image" {
			owner = ""
		}
		return "arn:aws:ec2:" + q.region + ":" + owner + ":" + kind + "/" + id
	}
	var out []target
	add := func(action, arn string, more map[string][]string) {
		keys := maps.Clone(base)
		maps.Copy(keys, more)
		out = append(out, target{"ec2:" + action, arn, keys})
	}
	switch {
	case strings.HasPrefix(q.action, "Describe") || q.action == "GetConsoleOutput" && q.get("InstanceId") == "":
		add(q.action, "*", nil)
	case q.action == "RunInstances":
		about := map[string][]string{"ec2:InstanceType": {q.get("InstanceType")}, "ec2:InstanceMarketType": {"on-demand"}}
		if q.get("InstanceMarketOptions.MarketType") == "spot" {
			about["ec2:InstanceMarketType"] = []string{"spot"}
		}
		if v := q.get("MetadataOptions.HttpTokens"); v != "" {
			about["ec2:MetadataHttpTokens"] = []string{v}
		}
		add(q.action, arn("image", q.get("ImageId")), nil)
		if s := subnetOf(q); s != "" {
			add(q.action, arn("subnet", s), nil)
		} else {
			add(q.action, arn("subnet", "*"), nil)
		}
		for _, g := range append(q.list("SecurityGroupId"), q.list("NetworkInterface.1.SecurityGroupId")...) {
			add(q.action, arn("security-group", g), resourceTags(l.tagsOf(ctx, q, "sg", g, detail)))
		}
		if k := q.get("KeyName"); k != "" {
			add(q.action, arn("key-pair", k), nil)
		}
		if g := q.get("Placement.GroupName"); g != "" {
			add(q.action, arn("placement-group", g), resourceTags(l.tagsOf(ctx, q, "pg", g, detail)))
		}
		for _, kind := range []string{"instance", "volume", "network-interface"} {
			tags := requestTags(q, kind)
			keys := maps.Clone(about)
			maps.Copy(keys, tags)
			add(q.action, arn(kind, "*"), keys)
		}
		if q.form.Has("IamInstanceProfile.Name") || q.form.Has("IamInstanceProfile.Arn") {
			name := q.get("IamInstanceProfile.Name")
			if name == "" {
				_, name, _ = strings.Cut(q.get("IamInstanceProfile.Arn"), "instance-profile/")
			}
			keys := maps.Clone(base)
			keys["iam:PassedToService"] = []string{"ec2.amazonaws.com"}
			out = append(out, target{"iam:PassRole", "arn:aws:iam::" + l.account + ":role/" + name, keys})
		}
	case q.action == "CreateSecurityGroup":
		add(q.action, arn("security-group", "*"), requestTags(q, "security-group"))
		if v := q.get("VpcId"); v != "" {
			add(q.action, arn("vpc", v), nil)
		}
	case q.action == "CreatePlacementGroup":
		add(q.action, arn("placement-group", q.get("GroupName")), requestTags(q, "placement-group"))
	case q.action == "DeletePlacementGroup":
		add(q.action, arn("placement-group", q.get("GroupName")), resourceTags(l.tagsOf(ctx, q, "pg", q.get("GroupName"), detail)))
	case strings.Contains(q.action, "SecurityGroup"):
		add(q.action, arn("security-group", q.get("GroupId")), resourceTags(l.tagsOf(ctx, q, "sg", q.get("GroupId"), detail)))
	case q.action == "CreateTags" || q.action == "DeleteTags":
		for _, id := range q.list("ResourceId") {
			kind, of := "instance", "i"
			if strings.HasPrefix(id, "sg-") {
				kind, of = "security-group", "sg"
			} else if !strings.HasPrefix(id, "i-") {
				kind, of = "volume", ""
			}
			keys := resourceTags(l.tagsOf(ctx, q, of, id, detail))
			for n := 1; q.form.Has(fmt.Sprintf("Tag.%d.Key", n)); n++ {
				k := q.get(fmt.Sprintf("Tag.%d.Key", n))
				keys["aws:TagKeys"] = append(keys["aws:TagKeys"], k)
				keys["aws:RequestTag/"+k] = []string{q.get(fmt.Sprintf("Tag.%d.Value", n))}
			}
			add(q.action, arn(kind, id), keys)
		}
	default:
		ids := q.list("InstanceId")
		if id := q.get("InstanceId"); id != "" {
			ids = append(ids, id)
		}
		for _, id := range ids {
			add(q.action, arn("instance", id), resourceTags(l.tagsOf(ctx, q, "i", id, detail)))
		}
		if len(ids) == 0 {
			add(q.action, "*", nil)
		}
	}
	// Tags at creation need a permission of their own.
	for n := 1; q.form.Has(fmt.Sprintf("TagSpecification.%d.ResourceType", n)); n++ {
		kind := q.get(fmt.Sprintf("TagSpecification.%d.ResourceType", n))
		keys := requestTags(q, kind)
		keys["ec2:CreateAction"] = []string{q.action}
		add("CreateTags", arn(kind, "*"), keys)
	}
	return out
}

// requestTags are the tags that a call gives to what it makes.
func requestTags(q *request, kind string) map[string][]string {
	keys := map[string][]string{}
	tags, out := tagSpecs(q, kind)
	if out != nil {
		return keys
	}
	for k, v := range tags {
		keys["aws:RequestTag/"+k] = []string{v}
		keys["aws:TagKeys"] = append(keys["aws:TagKeys"], k)
	}
	return keys
}

func resourceTags(tags map[string]string) map[string][]string {
	keys := map[string][]string{}
	for k, v := range tags {
		keys["aws:ResourceTag/"+k] = []string{v}
		keys["ec2:ResourceTag/"+k] = []string{v}
	}
	return keys
}

// tagsOf are the tags of something that exists.
func (l *Lab) tagsOf(ctx context.Context, q *request, kind, id string, detail bool) map[string]string {
	if !detail {
		return nil
	}
	switch kind {
	case "i":
		l.mu.Lock()
		defer l.mu.Unlock()
		if r := l.instances[id]; r != nil {
			return maps.Clone(r.cur.Tags)
		}
	case "pg":
		l.mu.Lock()
		defer l.mu.Unlock()
		if g := l.groups[q.region+" "+id]; g != nil {
			return maps.Clone(g.tags)
		}
	case "sg":
		out := l.ask(ctx, q.region, "DescribeSecurityGroups", map[string]string{"GroupId.1": id})
		var v struct {
			Groups []struct {
				Tags []tagXML `xml:"tagSet>item"`
			} `xml:"securityGroupInfo>item"`
		}
		if out.code != "" || xml.Unmarshal(out.body, &v) != nil || len(v.Groups) == 0 {
			return nil
		}
		tags := map[string]string{}
		for _, t := range v.Groups[0].Tags {
			tags[t.Key] = t.Value
		}
		return tags
	}
	return nil
}

// simulate is SimulatePrincipalPolicy: what the policy says of actions on everything.
func (l *Lab) simulate(q *request) *response {
	type resultXML struct {
		Action   string `xml:"EvalActionName"`
		Decision string `xml:"EvalDecision"`
		Resource string `xml:"EvalResourceName"`
	}
	l.mu.Lock()
	p := l.policy
	l.mu.Unlock()
	var results []resultXML
	for _, a := range q.list("ActionNames.member") {
		decision := "allowed"
		if p != nil && !p.allowed(target{a, "*", map[string][]string{"aws:RequestedRegion": {q.region}}}) {
			decision = "implicitDeny"
		}
		results = append(results, resultXML{a, decision, "*"})
	}
	return answerXML(q, struct {
		Results   []resultXML `xml:"SimulatePrincipalPolicyResult>EvaluationResults>member"`
		Truncated bool        `xml:"SimulatePrincipalPolicyResult>IsTruncated"`
		RequestID string      `xml:"ResponseMetadata>RequestId"`
	}{results, false, newID("r")})
}
