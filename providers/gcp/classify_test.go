package gcp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"aloft/providers"
	"aloft/providers/gcp"
)

// answers serves the network and its rule as they are to be, and answers everything else with one status and body.
func answers(t *testing.T, status int, header http.Header, body string) *gcp.Provider {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/global/networks/"):
			_, _ = io.WriteString(w, `{"name":"aloft-vpc"}`)
		case r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/global/firewalls/"):
			_, _ = io.WriteString(w, `{"name":"aloft-ssh","allowed":[{"IPProtocol":"tcp","ports":["22"]}]}`)
		default:
			for k, v := range header {
				w.Header()[k] = v
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}))
	t.Cleanup(srv.Close)
	p, err := gcp.New(map[string]string{"project": "p1", "endpoint": srv.URL, "auth": "none"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// refusal is the API's error body.
func refusal(status int, reason, message, details string) string {
	if details == "" {
		details = "[]"
	}
	return fmt.Sprintf(`{"error":{"code":%d,"message":%q,"errors":[{"message":%q,"domain":"global","reason":%q}],"details":%s}}`, status, message, message, reason, details)
}

// operation is one that is done and failed.
func operation(status int, code, message, details string) string {
	if details == "" {
		details = "[]"
	}
	return fmt.Sprintf(`{"kind":"compute#operation","name":"operation-1","operationType":"insert","status":"DONE","httpErrorStatusCode":%d,
		"error":{"errors":[{"code":%q,"message":%q,"errorDetails":%s}]}}`, status, code, message, details)
}

func TestErrorClasses(t *testing.T) {
	t.Parallel()
	const zonePath = "projects/p1/zones/us-central1-a"
	for _, x := range []struct {
		name   string
		status int // of the answer; operations come with 200
		header http.Header
		body   string
		kind   providers.Kind
		scope  providers.Scope
		code   string
		hint   string
		after  time.Duration
	}{
		{name: "stockout", status: 200, body: operation(503, "ZONE_RESOURCE_POOL_EXHAUSTED", "The zone '"+zonePath+"' does not have enough resources available to fulfill the request.  Try a different zone, or try again later.", ""),
			kind: providers.Capacity, scope: providers.ScopeZone, code: "ZONE_RESOURCE_POOL_EXHAUSTED"},
		{name: "stockout with details", status: 200, body: operation(503, "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "The zone '"+zonePath+"' does not have enough resources available to fulfill the request.  '(resource type:compute)'.",
			`[{"errorInfo":{"reason":"resource_availability","domain":"compute.googleapis.com"}}]`), kind: providers.Capacity, scope: providers.ScopeZone, code: "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"},
		{name: "insufficient capacity", status: 200, body: operation(503, "insufficientCapacity", "no", ""), kind: providers.Capacity, scope: providers.ScopeZone, code: "insufficientCapacity"},
		{name: "capacity by text", status: 503, body: refusal(503, "backendError", "The zone '"+zonePath+"' does not have enough resources available to fulfill the request.", ""), kind: providers.Capacity, scope: providers.ScopeZone, code: "backendError"},
		{name: "preempted while made", status: 200, body: operation(409, "INSTANCE_PREEMPTED", "Instance 'x' was preempted.", ""), kind: providers.Capacity, scope: providers.ScopeZone, code: "INSTANCE_PREEMPTED"},
		{name: "reservation used up", status: 200, body: operation(400, "INVALID_USAGE", "No available resources in specified reservations", ""), kind: providers.Capacity, scope: providers.ScopeZone, code: "INVALID_USAGE", hint: "reservations list"},
		{name: "regional quota", status: 200, body: operation(403, "QUOTA_EXCEEDED", "Quota 'NVIDIA_T4_GPUS' exceeded.  Limit: 1.0 in region us-central1.",
			`[{"quotaInfo":{"metricName":"compute.googleapis.com/nvidia_t4_gpus","limitName":"NVIDIA-T4-GPUS-per-project-region","limit":1,"dimensions":{"region":"us-central1"}}}]`),
			kind: providers.Quota, scope: providers.ScopeRegion, code: "QUOTA_EXCEEDED", hint: "quotas?project=p1"},
		{name: "quota of all regions", status: 200, body: operation(403, "QUOTA_EXCEEDED", "Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally.", ""), kind: providers.Quota, scope: providers.ScopeAccount, code: "QUOTA_EXCEEDED", hint: "quotas?project=p1"},
		{name: "quota at once", status: 403, body: refusal(403, "quotaExceeded", "Quota 'CPUS' exceeded.  Limit: 24.0 in region us-central1.", ""), kind: providers.Quota, scope: providers.ScopeRegion, code: "quotaExceeded"},
		{name: "unsupported operation", status: 200, body: operation(400, "UNSUPPORTED_OPERATION", "Scheduling of this kind is not supported.", ""), kind: providers.Unsupported, scope: providers.ScopeZone, code: "UNSUPPORTED_OPERATION"},
		{name: "not ready", status: 400, body: refusal(400, "resourceNotReady", "The resource 'projects/p1/global/networks/aloft-vpc' is not ready", ""), kind: providers.Transient, scope: providers.ScopeZone, code: "resourceNotReady"},
		{name: "operations too fast", status: 200, body: operation(429, "RESOURCE_OPERATION_RATE_EXCEEDED", "Operation rate exceeded for resource. Too frequent operations from the source resource.", ""), kind: providers.Throttled, scope: providers.ScopeZone, code: "RESOURCE_OPERATION_RATE_EXCEEDED"},
		{name: "rate limit", status: 403, header: http.Header{"Retry-After": {"7"}}, body: refusal(403, "rateLimitExceeded", "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute' of service 'compute.googleapis.com'", ""),
			kind: providers.Throttled, scope: providers.ScopeZone, code: "rateLimitExceeded", after: 7 * time.Second},
		{name: "too many requests", status: 429, body: `{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"12s"}]}}`,
			kind: providers.Throttled, scope: providers.ScopeAccount, code: "RESOURCE_EXHAUSTED", after: 12 * time.Second},
		{name: "permission", status: 403, body: refusal(403, "forbidden", "Required 'compute.instances.create' permission for '"+zonePath+"/instances/sky1-a'", ""),
			kind: providers.Auth, scope: providers.ScopeProvider, code: "compute.instances.create", hint: "gcloud projects add-iam-policy-binding p1"},
		{name: "permission by IAM", status: 403, body: refusal(403, "forbidden", "Permission 'iam.serviceAccounts.actAs' denied", `[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"IAM_PERMISSION_DENIED","domain":"iam.googleapis.com"}]`),
			kind: providers.Auth, scope: providers.ScopeProvider, code: "iam.serviceAccounts.actAs", hint: "roles/aloft"},
		{name: "policy update", status: 400, body: refusal(400, "badRequest", "Policy update access denied.", ""), kind: providers.Auth, scope: providers.ScopeProvider, code: "badRequest", hint: "roles/aloft"},
		{name: "API is off", status: 403, body: refusal(403, "accessNotConfigured", "Compute Engine API has not been used in project 1 before or it is disabled.", `[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"SERVICE_DISABLED","domain":"googleapis.com"}]`),
			kind: providers.Auth, scope: providers.ScopeProvider, code: "SERVICE_DISABLED", hint: "gcloud services enable compute.googleapis.com --project=p1"},
		{name: "billing is off", status: 403, body: refusal(403, "forbidden", "This API method requires billing to be enabled. Please enable billing on project #1", `[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"BILLING_DISABLED","domain":"googleapis.com"}]`),
			kind: providers.Auth, scope: providers.ScopeProvider, code: "BILLING_DISABLED", hint: "gcloud billing projects link p1"},
		{name: "expired", status: 401, body: `{"error":{"code":401,"message":"Request had invalid authentication credentials.","errors":[{"message":"Invalid Credentials","domain":"global","reason":"authError"}],"status":"UNAUTHENTICATED"}}`,
			kind: providers.Auth, scope: providers.ScopeProvider, code: "authError", hint: "gcloud auth application-default login"},
		{name: "no such VPC", status: 200, body: operation(404, "VPC_NOT_FOUND", "no", ""), kind: providers.Invalid, scope: providers.ScopeProvider, code: "VPC_NOT_FOUND", hint: "networks list"},
		{name: "no such subnet", status: 200, body: operation(404, "SUBNET_NOT_FOUND_FOR_VPC", "no", ""), kind: providers.Invalid, scope: providers.ScopeRegion, code: "SUBNET_NOT_FOUND_FOR_VPC", hint: "subnets list"},
		{name: "subnet by path", status: 400, body: refusal(400, "invalid", "Invalid value for field 'resource.networkInterfaces[0].subnetwork': 'projects/p1/regions/us-central1/subnetworks/x'. The referenced subnetwork resource cannot be found.", ""), kind: providers.Invalid, scope: providers.ScopeRegion, code: "invalid"},
		{name: "no such image", status: 404, body: refusal(404, "notFound", "The resource 'projects/ubuntu-os-cloud/global/images/family/nothing' was not found", ""), kind: providers.Invalid, scope: providers.ScopeProvider, code: "notFound", hint: "images list"},
		{name: "no such machine type", status: 400, body: refusal(400, "invalid", "Invalid value for field 'resource.machineType': 'zones/us-central1-a/machineTypes/x9'. The referenced resource does not exist.", ""), kind: providers.Invalid, scope: providers.ScopeZone, code: "invalid", hint: "machine-types list"},
		{name: "no such accelerator", status: 400, body: refusal(400, "invalid", "Invalid value for field 'resource.guestAccelerators[0].acceleratorType': 'x'. The referenced resource does not exist.", ""), kind: providers.Invalid, scope: providers.ScopeZone, code: "invalid", hint: "accelerator-types list"},
		{name: "no such zone", status: 400, body: refusal(400, "invalid", "Invalid value for field 'zone': 'us-central1-q'. Unknown zone.", ""), kind: providers.Invalid, scope: providers.ScopeZone, code: "invalid", hint: "zones list"},
		{name: "disk below image", status: 400, body: refusal(400, "invalid", "Invalid value for field 'resource.disks[0].initializeParams.diskSizeGb': '10'. Requested disk size cannot be smaller than the image size (50 GB)", ""), kind: providers.Invalid, scope: providers.ScopeProvider, code: "invalid", hint: "disk_size"},
		{name: "public addresses forbidden", status: 412, body: refusal(412, "conditionNotMet", "Constraint constraints/compute.vmExternalIpAccess violated for project 1.", ""), kind: providers.Invalid, scope: providers.ScopeProvider, code: "conditionNotMet", hint: "use_internal_ips"},
		{name: "policy", status: 412, body: refusal(412, "conditionNotMet", "Constraint constraints/gcp.resourceLocations violated for project 1.", ""), kind: providers.Invalid, scope: providers.ScopeProvider, code: "conditionNotMet", hint: "org-policies"},
		{name: "internal", status: 500, body: refusal(500, "internalError", "Internal Error", ""), kind: providers.Transient, scope: providers.ScopeRegion, code: "internalError"},
		{name: "unavailable, no body", status: 503, body: "", kind: providers.Transient, scope: providers.ScopeRegion, code: "503"},
		{name: "gateway's page", status: 502, body: "<html>502</html>", kind: providers.Transient, scope: providers.ScopeRegion, code: "502"},
		{name: "something new", status: 200, body: operation(0, "NEVER_HEARD_OF", "what?", ""), kind: providers.KindUnknown, scope: providers.ScopeZone, code: "NEVER_HEARD_OF"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			p := answers(t, x.status, x.header, x.body)
			_, err := p.Create(t.Context(), request("classes"))
			var e *providers.Error
			if !errors.As(err, &e) {
				t.Fatalf("%v is not a *providers.Error", err)
			}
			if e.Kind != x.kind || e.Scope != x.scope || e.Code != x.code || e.RetryAfter != x.after || !strings.Contains(e.Hint, x.hint) || e.Provider != "gcp" || e.Op != "create" {
				t.Errorf("got %s/%s/%s after %s, hint %q (%v)\nwant %s/%s/%s after %s, hint with %q", e.Kind, e.Scope, e.Code, e.RetryAfter, e.Hint, e, x.kind, x.scope, x.code, x.after, x.hint)
			}
			if strings.ContainsAny(e.Error(), "\n\r") {
				t.Errorf("more than a line: %q", e.Error())
			}
		})
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	p, err := gcp.New(map[string]string{"project": "p1", "endpoint": srv.URL, "auth": "none"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Create(t.Context(), request("nobody")); providers.KindOf(err) != providers.Transient {
		t.Errorf("nobody answers: %v, want transient", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Create(ctx, request("nobody")); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}

func TestDeleteOfNothing(t *testing.T) {
	t.Parallel()
	p := answers(t, http.StatusNotFound, nil, refusal(404, "notFound", "The resource was not found", ""))
	ref := providers.InstanceRef{ID: "sky1-a.42", Region: "us-central1", Zone: "us-central1-a"}
	if err := p.Delete(t.Context(), ref); err != nil {
		t.Errorf("delete: %v", err)
	}
	if err := p.Start(t.Context(), ref); providers.KindOf(err) != providers.NotFound {
		t.Errorf("start: %v, want not found", err)
	}
	if _, err := p.Console(t.Context(), ref); providers.KindOf(err) != providers.NotFound {
		t.Errorf("console: %v, want not found", err)
	}
}
