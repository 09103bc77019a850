package gcelab

import (
	"fmt"
	"net/http"
	"time"
)

// apiError is an answer that refuses a call, in Google's shape.
type apiError struct {
	status     int // HTTP
	reason     string
	domain     string // "" = global
	message    string
	location   string
	details    []any
	canonical  string // "" = that of the status
	retryAfter time.Duration
}

func refuse(status int, reason, format string, args ...any) *apiError {
	return &apiError{status: status, reason: reason, message: fmt.Sprintf(format, args...)}
}

func notFound(link string) *apiError {
	return refuse(http.StatusNotFound, "notFound", "The resource '%s' was not found", link)
}

func invalid(field, value, format string, args ...any) *apiError {
	return refuse(http.StatusBadRequest, "invalid", "Invalid value for field '%s': '%s'. %s", field, value, fmt.Sprintf(format, args...))
}

// body is the answer as JSON.
func (e *apiError) body() object {
	domain := e.domain
	if domain == "" {
		domain = "global"
	}
	item := object{"message": e.message, "domain": domain, "reason": e.reason}
	if e.location != "" {
		item["location"], item["locationType"] = e.location, "parameter"
	}
	canonical := e.canonical
	if canonical == "" {
		canonical = canonicalStatus(e.status)
	}
	body := object{"code": e.status, "message": e.message, "errors": []any{item}, "status": canonical}
	if len(e.details) > 0 {
		body["details"] = e.details
	}
	return object{"error": body}
}

func canonicalStatus(http int) string {
	names := map[int]string{
		400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ALREADY_EXISTS",
		412: "FAILED_PRECONDITION", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
	}
	if n := names[http]; n != "" {
		return n
	}
	return "UNKNOWN"
}

func errorInfo(reason, domain string, metadata object) object {
	return object{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": domain, "metadata": metadata}
}

// bad is the refusal of a request that its document does not allow.
func (v *violation) bad() *apiError {
	e := refuse(http.StatusBadRequest, v.reason, "%s", v.message)
	if v.reason == "badRequest" {
		e.details = []any{object{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": []any{object{"field": v.field, "description": v.message}}}}
	}
	if v.reason == "invalidParameter" || v.reason == "required" {
		e.location = v.field
	}
	return e
}

func (l *Lab) denied(permission, on string) *apiError {
	e := refuse(http.StatusForbidden, "forbidden", "Required '%s' permission for '%s'", permission, on)
	e.details = []any{errorInfo("IAM_PERMISSION_DENIED", "compute.googleapis.com", object{"permission": permission, "resource": on})}
	return e
}

func (l *Lab) disabled(service, title string) *apiError {
	url := fmt.Sprintf("https://console.developers.google.com/apis/api/%s/overview?project=%s", service, l.o.Project)
	e := refuse(http.StatusForbidden, "accessNotConfigured", "%s has not been used in project %s before or it is disabled. Enable it by visiting %s then retry. "+
		"If you enabled this API recently, wait a few minutes for the action to propagate to our systems and retry.", title, l.o.Project, url)
	e.domain = "usageLimits"
	e.details = []any{
		object{"@type": "type.googleapis.com/google.rpc.Help", "links": []any{object{"description": "Google developers console API activation", "url": url}}},
		errorInfo("SERVICE_DISABLED", "googleapis.com", object{"consumer": "projects/" + l.o.Project, "service": service, "serviceTitle": title, "containerInfo": l.o.Project}),
	}
	return e
}

// opError is how an operation fails.
type opError struct {
	code, message string
	status        int    // HTTP
	text          string // HTTP's words
	details       []any
}

func (l *Lab) stockout(zone, machineType, attachment string, withDetails bool) *opError {
	e := &opError{code: "ZONE_RESOURCE_POOL_EXHAUSTED", status: http.StatusServiceUnavailable, text: "SERVICE UNAVAILABLE"}
	e.message = fmt.Sprintf("The zone 'projects/%s/zones/%s' does not have enough resources available to fulfill the request.  Try a different zone, or try again later.", l.o.Project, zone)
	if !withDetails {
		return e
	}
	e.code = "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"
	e.message = fmt.Sprintf("The zone 'projects/%s/zones/%s' does not have enough resources available to fulfill the request.  '(resource type:compute)'.", l.o.Project, zone)
	what := "A " + machineType + " VM instance"
	meta := object{"vmType": machineType, "zone": zone, "zonesAvailable": ""}
	if attachment != "" {
		what += " with " + attachment + " accelerator(s)"
		meta["attachment"] = attachment
	}
	e.details = []any{
		object{"help": object{"links": []any{object{"description": "Troubleshooting documentation", "url": "https://cloud.google.com/compute/docs/resource-error"}}}},
		object{"localizedMessage": object{"locale": "en-US", "message": what + " is currently unavailable in the " + zone +
			" zone. Alternatively, you can try your request again with a different VM hardware configuration or at a later time. For more information, see the troubleshooting documentation."}},
		object{"errorInfo": object{"reason": "resource_availability", "domain": "compute.googleapis.com", "metadatas": meta}},
	}
	return e
}

func quotaExceeded(metric, region string, limit float64) *opError {
	where, name := "in region "+region, metric+"-per-project-region"
	dimensions := object{"region": region}
	if region == "" {
		where, name, dimensions = "globally", metric+"-per-project", object{"global": "global"}
	}
	return &opError{
		code: "QUOTA_EXCEEDED", status: http.StatusForbidden, text: "FORBIDDEN",
		message: fmt.Sprintf("Quota '%s' exceeded.  Limit: %.1f %s.", metric, limit, where),
		details: []any{object{"quotaInfo": object{"metricName": "compute.googleapis.com/" + metric, "limitName": name, "limit": limit, "dimensions": dimensions}}},
	}
}
