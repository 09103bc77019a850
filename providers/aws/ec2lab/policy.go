package ec2lab

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// policy is an IAM policy document as far as the laboratory reads one.
type policy struct {
	Statement []statement
}

type statement struct {
	Sid       string
	Effect    string
	Action    oneOrMany
	NotAction oneOrMany
	Resource  oneOrMany
	Condition map[string]map[string]oneOrMany
}

// oneOrMany is a string or a list of strings.
type oneOrMany []string

// UnmarshalJSON reads either form, and booleans as IAM does.
func (o *oneOrMany) UnmarshalJSON(b []byte) error {
	var one any
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	list, ok := one.([]any)
	if !ok {
		list = []any{one}
	}
	for _, x := range list {
		switch x := x.(type) {
		case string:
			*o = append(*o, x)
		case bool:
			*o = append(*o, fmt.Sprint(x))
		default:
			return fmt.Errorf("%v is neither a string nor a boolean", x)
		}
	}
	return nil
}

// parsePolicy reads a document and refuses what the laboratory would not enforce.
func parsePolicy(doc []byte) (*policy, error) {
	var p struct {
		Version   string
		ID        string `json:"Id"`
		Statement []statement
	}
	d := json.NewDecoder(strings.NewReader(string(doc)))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return nil, fmt.Errorf("ec2lab: policy: %w", err)
	}
	if p.Version != "2012-10-17" {
		return nil, fmt.Errorf("ec2lab: policy: Version %q, want 2012-10-17", p.Version)
	}
	for n, s := range p.Statement {
		switch {
		case s.Effect != "Allow" && s.Effect != "Deny":
			return nil, fmt.Errorf("ec2lab: policy: statement %d: Effect %q", n+1, s.Effect)
		case (len(s.Action) == 0) == (len(s.NotAction) == 0):
			return nil, fmt.Errorf("ec2lab: policy: statement %d needs one of Action and NotAction", n+1)
		case len(s.Resource) == 0:
			return nil, fmt.Errorf("ec2lab: policy: statement %d has no Resource", n+1)
		}
		for op, keys := range s.Condition {
			if _, _, _, err := operator(op); err != nil {
				return nil, fmt.Errorf("ec2lab: policy: statement %d: %w", n+1, err)
			}
			for k := range keys {
				if !knownKey(k) {
					return nil, fmt.Errorf("ec2lab: policy: statement %d: the laboratory does not know the condition key %s", n+1, k)
				}
			}
		}
	}
	return &policy{p.Statement}, nil
}

func knownKey(k string) bool {
	if strings.HasPrefix(k, "aws:RequestTag/") || strings.HasPrefix(k, "aws:ResourceTag/") || strings.HasPrefix(k, "ec2:ResourceTag/") {
		return true
	}
	return slices.Contains([]string{
		"aws:TagKeys", "aws:RequestedRegion", "ec2:Region", "ec2:CreateAction", "ec2:InstanceType", "ec2:MetadataHttpTokens", "ec2:Attribute",
		"ec2:InstanceMarketType", "iam:PassedToService", "iam:AWSServiceName",
	}, k)
}

// operator takes an operator of conditions apart.
func operator(op string) (set, base string, ifExists bool, err error) {
	base = op
	for _, s := range []string{"ForAllValues:", "ForAnyValue:"} {
		if rest, ok := strings.CutPrefix(base, s); ok {
			set, base = s, rest
		}
	}
	base, ifExists = strings.CutSuffix(base, "IfExists")
	switch base {
	case "StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase", "ArnLike", "ArnEquals", "Bool", "Null":
		return set, base, ifExists, nil
	}
	return "", "", false, fmt.Errorf("the laboratory does not know the condition operator %s", op)
}

// target is one resource of a call, with what conditions may ask about it.
type target struct {
	action string
	arn    string
	keys   map[string][]string
}

// allowed evaluates a policy for one target: an explicit Deny wins, then an Allow is needed.
func (p *policy) allowed(t target) bool {
	yes := false
	for _, s := range p.Statement {
		if !s.covers(t) {
			continue
		}
		if s.Effect == "Deny" {
			return false
		}
		yes = true
	}
	return yes
}

func (s statement) covers(t target) bool {
	match := func(patterns []string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return glob(strings.ToLower(p), strings.ToLower(t.action)) })
	}
	if len(s.Action) > 0 && !match(s.Action) || len(s.NotAction) > 0 && match(s.NotAction) {
		return false
	}
	if !globs(s.Resource, t.arn) {
		return false
	}
	for op, keys := range s.Condition {
		set, base, ifExists, err := operator(op)
		if err != nil {
			return false
		}
		for k, want := range keys {
			if !holds(set, base, ifExists, t.keys[k], want) {
				return false
			}
		}
	}
	return true
}

// holds evaluates one condition.
func holds(set, base string, ifExists bool, have, want []string) bool {
	if base == "Null" {
		return len(want) == 1 && (want[0] == "true") == (len(have) == 0)
	}
	if len(have) == 0 {
		return ifExists || set == "ForAllValues:" || strings.Contains(base, "Not")
	}
	one := func(h string) bool {
		switch base {
		case "StringEquals", "ArnEquals", "Bool":
			return slices.Contains(want, h)
		case "StringNotEquals":
			return !slices.Contains(want, h)
		case "StringEqualsIgnoreCase":
			return slices.ContainsFunc(want, func(w string) bool { return strings.EqualFold(w, h) })
		case "StringNotLike":
			return !globs(want, h)
		}
		return globs(want, h)
	}
	if set == "ForAnyValue:" {
		return slices.ContainsFunc(have, one)
	}
	return !slices.ContainsFunc(have, func(h string) bool { return !one(h) })
}
