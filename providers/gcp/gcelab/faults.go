package gcelab

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Rule makes calls fail. The first five fields choose calls; a zero field chooses any.
type Rule struct {
	Method      string // the document's id without "compute.": instances.insert, zoneOperations.get
	Zone        string
	Region      string // the zone's, where the call names a zone
	MachineType string // of an instance that is inserted
	Name        string // of the resource that the call names or inserts

	// Times is how many calls the rule meets; 0 = all until ClearFaults.
	Times int

	// HTTP refuses the call with this status, Reason (errors[].reason) and Message; nothing happens.
	HTTP       int
	Reason     string
	Message    string
	RetryAfter time.Duration // header of the refusal

	// OperationError lets the call be accepted and its operation fail with this code: ZONE_RESOURCE_POOL_EXHAUSTED,
	// ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS, QUOTA_EXCEEDED, or any other. The instance that was to be made is gone then.
	OperationError string

	// Lost drops the connection after the call took effect; Late drops it at once and lets it take effect that much later,
	// in the lab's time.
	Lost bool
	Late time.Duration
	// Delay holds the answer back that long, in the machine's time.
	Delay time.Duration

	left int
}

// Fail adds a rule. Of several that choose a call the one added first counts.
func (l *Lab) Fail(r Rule) {
	l.lock()
	defer l.unlock()
	r.left = r.Times
	l.rules = append(l.rules, &r)
}

// ClearFaults removes every rule.
func (l *Lab) ClearFaults() {
	l.lock()
	defer l.unlock()
	l.rules = nil
}

// fault takes the rule that chooses the call; nil when none does.
func (l *Lab) fault(c *call) *Rule {
	for i, r := range l.rules {
		if !r.chooses(c) {
			continue
		}
		if r.Times > 0 {
			if r.left--; r.left == 0 {
				l.rules = slices.Delete(l.rules, i, i+1)
			}
		}
		return r
	}
	return nil
}

func (r *Rule) chooses(c *call) bool {
	zone := c.params["zone"]
	name := c.name()
	return (r.Method == "" || "compute."+r.Method == c.method.ID || r.Method == c.method.ID) &&
		(r.Zone == "" || r.Zone == zone) &&
		(r.Region == "" || r.Region == c.params["region"] || (zone != "" && r.Region == regionOf(zone))) &&
		(r.MachineType == "" || r.MachineType == last(text(c.body, "machineType"))) &&
		(r.Name == "" || r.Name == name)
}

// refusal is the rule's HTTP error.
func (r *Rule) refusal(c *call) *apiError {
	e := refuse(r.HTTP, r.Reason, "%s", r.Message)
	if e.reason == "" {
		e.reason = map[int]string{400: "invalid", 401: "authError", 403: "forbidden", 404: "notFound", 409: "alreadyExists", 412: "conditionNotMet",
			429: "rateLimitExceeded", 500: "internalError", 502: "backendError", 503: "backendError"}[r.HTTP]
	}
	e.retryAfter = r.RetryAfter
	switch e.reason {
	case "rateLimitExceeded", "userRateLimitExceeded":
		e.domain = "usageLimits"
		if e.message == "" {
			e.message = "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute' of service 'compute.googleapis.com' for consumer 'project_number:" + projectNumber + "'."
		}
		e.details = []any{errorInfo("RATE_LIMIT_EXCEEDED", "googleapis.com", object{"service": "compute.googleapis.com", "consumer": "projects/" + projectNumber,
			"quota_metric": "compute.googleapis.com/default", "quota_limit": "defaultPerMinutePerProject", "quota_location": "global"})}
	case "quotaExceeded":
		if e.message == "" {
			e.message = "Quota 'CPUS' exceeded.  Limit: 8.0 in region " + regionOf(c.params["zone"]) + "."
		}
	case "authError":
		if e.message == "" {
			e.message = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential."
		}
	}
	if e.message == "" {
		e.message = http.StatusText(r.HTTP)
	}
	return e
}

// operationError is the rule's error of an operation; nil when it has none.
func (l *Lab) operationError(r *Rule, c *call) *opError {
	if r == nil || r.OperationError == "" {
		return nil
	}
	zone, mt := c.params["zone"], last(text(c.body, "machineType"))
	var e *opError
	switch {
	case strings.HasPrefix(r.OperationError, "ZONE_RESOURCE_POOL_EXHAUSTED"):
		e = l.stockout(zone, mt, attachment(c.body), strings.HasSuffix(r.OperationError, "_WITH_DETAILS"))
	case r.OperationError == "QUOTA_EXCEEDED":
		e = quotaExceeded(l.types[mt].metric, regionOf(zone), 8)
		if l.types[mt].metric == "" {
			e = quotaExceeded("CPUS", regionOf(zone), 8)
		}
	default:
		e = &opError{code: r.OperationError, status: http.StatusServiceUnavailable, text: "SERVICE UNAVAILABLE", message: "Internal error. Please try again or contact Google Support. (Code: '" + r.OperationError + "')"}
		if r.HTTP != 0 {
			e.status, e.text = r.HTTP, strings.ToUpper(http.StatusText(r.HTTP))
		}
	}
	if r.Message != "" {
		e.message = r.Message
	}
	return e
}
