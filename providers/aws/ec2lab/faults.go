package ec2lab

import (
	"encoding/json"
	"net/url"
	"slices"
	"time"
)

// Rule makes calls fail. Empty fields match everything. The first rule that matches a call and is not used up decides.
type Rule struct {
	Service      string // "ec2" when empty and Action is set, any when both are empty
	Action       string // RunInstances, ...
	Region       string
	Zone         string // of RunInstances, also when it names a subnet
	InstanceType string
	Spot         *bool // only spot requests, or only others
	Skip         int   // so many matching calls pass first
	Times        int   // then so many are affected; 0 = all

	Code       string // the vendor's error code; see statusOf for its HTTP status
	Message    string
	HTTP       int           // instead of the code's own status
	Body       string        // instead of the vendor's XML: a page of HTML, say
	RetryAfter time.Duration // a header of the answer
	Lost       bool          // the call is done, its answer is lost: the connection ends
	Late       time.Duration // the connection ends at once, the call is done so much later
	Delay      time.Duration // the call is held up, then goes on (or fails, with Code)
}

func (r *Rule) message() string {
	if r.Message != "" {
		return r.Message
	}
	switch r.Code {
	case "InsufficientInstanceCapacity":
		return "We currently do not have sufficient capacity in the Availability Zone you requested. Our system will be working on provisioning additional capacity."
	case "VcpuLimitExceeded":
		return "You have requested more vCPU capacity than your current vCPU limit allows for the instance bucket that the specified instance type belongs to."
	case "MaxSpotInstanceCountExceeded":
		return "Max spot instance count exceeded"
	case "SpotMaxPriceTooLow":
		return "Your Spot request price is lower than the minimum required Spot request fulfillment price."
	case "RequestLimitExceeded":
		return "Request limit exceeded."
	case "UnauthorizedOperation":
		return "You are not authorized to perform this operation."
	case "AuthFailure":
		return "AWS was not able to validate the provided access credentials"
	}
	return "the laboratory was told to fail this call"
}

// Call is a call that was made.
type Call struct {
	Service, Action, Region, Zone string
	Form                          url.Values      // of EC2, STS and IAM
	JSON                          json.RawMessage // of the others
	At                            time.Time
	Code                          string // the error's; lost or late when the answer was dropped; "" = it went well
}

// Fail adds a rule.
func (l *Lab) Fail(r Rule) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Service == "" && r.Action != "" {
		r.Service = "ec2"
	}
	if r.Times == 0 {
		r.Times = -1
	}
	l.rules = append(l.rules, &r)
}

// ClearFaults removes every rule.
func (l *Lab) ClearFaults() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rules = nil
}

// Calls are the calls so far, in the order in which they were answered.
func (l *Lab) Calls() []Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.calls)
}

// Waiting is how many calls a Delay is holding up now.
func (l *Lab) Waiting() int { return int(l.waiting.Load()) }

// CallsOf are the calls of one action.
func (l *Lab) CallsOf(action string) []Call {
	return slices.DeleteFunc(l.Calls(), func(c Call) bool { return c.Action != action })
}

func (l *Lab) note(c Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, c)
}

// match takes the rule for a call; nil = none.
func (l *Lab) match(q *request) *Rule {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.rules {
		spot := q.get("InstanceMarketOptions.MarketType") == "spot"
		switch {
		case r.Times == 0,
			r.Service != "" && r.Service != q.service,
			r.Action != "" && r.Action != q.action,
			r.Region != "" && r.Region != q.region,
			r.Zone != "" && r.Zone != q.zone,
			r.InstanceType != "" && r.InstanceType != q.get("InstanceType"),
			r.Spot != nil && *r.Spot != spot:
			continue
		}
		if r.Skip > 0 {
			r.Skip--
			continue
		}
		if r.Times > 0 {
			r.Times--
		}
		taken := *r
		return &taken
	}
	return nil
}
