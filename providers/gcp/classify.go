package gcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/compute/apiv1/computepb"
	"google.golang.org/api/googleapi"

	"aloft/providers"
)

// failure is what the API says went wrong, in the words of the wire.
type failure struct {
	status  int      // of HTTP; 0 = the error of an operation
	codes   []string // the most telling first
	message string
	after   time.Duration
}

// rule says what a failure is. All that is set must match; the first rule that matches counts.
type rule struct {
	codes  []string // any of them, without regard to case and underscores
	status []int    // any of them
	says   string   // in the message, lower case
	kind   providers.Kind
	scope  providers.Scope
	hint   string // {project} and {permission} are filled in
}

func (r rule) matches(f failure) bool {
	if r.says != "" && !strings.Contains(strings.ToLower(f.message), r.says) {
		return false
	}
	if len(r.status) > 0 && !contains(r.status, f.status) {
		return false
	}
	if len(r.codes) == 0 {
		return true
	}
	for _, have := range f.codes {
		for _, want := range r.codes {
			if plain(have) == plain(want) {
				return true
			}
		}
	}
	return false
}

func contains(list []int, n int) bool {
	for _, x := range list {
		if x == n {
			return true
		}
	}
	return false
}

// plain makes quotaExceeded and QUOTA_EXCEEDED one code.
func plain(code string) string { return strings.ToLower(strings.ReplaceAll(code, "_", "")) }

// Scopes and kinds, shortened for the table.
const (
	zone    = providers.ScopeZone
	region  = providers.ScopeRegion
	account = providers.ScopeAccount
	place   = providers.ScopeProvider
)

const (
	hintGrant = "gcloud projects add-iam-policy-binding {project} --member={member} --role=projects/{project}/roles/aloft (see docs/clouds.md)"
	hintQuota = "ask for more: https://console.cloud.google.com/iam-admin/quotas?project={project}"
)

// rules are the vendor's documented codes, and what each blocks.
func rules() []rule {
	return []rule{
		// Who we are, and what we may do.
		{codes: []string{"invalid_grant", "invalid_rapt", "invalid_client", "unauthorized_client"}, kind: providers.Auth, scope: place, hint: login},
		{codes: []string{"BILLING_DISABLED", "accountClosed", "billingNotEnabled"}, kind: providers.Auth, scope: place, hint: "gcloud billing projects link {project} --billing-account=ACCOUNT"},
		{status: []int{403}, says: "billing", kind: providers.Auth, scope: place, hint: "gcloud billing projects link {project} --billing-account=ACCOUNT"},
		{codes: []string{"SERVICE_DISABLED", "accessNotConfigured"}, kind: providers.Auth, scope: place, hint: "gcloud services enable {service} --project={project}"},
		{codes: []string{"CONSUMER_INVALID", "USER_PROJECT_DENIED", "PROJECT_NOT_FOUND"}, kind: providers.Auth, scope: place, hint: "gcloud config set project PROJECT"},
		{codes: []string{"ACCESS_TOKEN_SCOPE_INSUFFICIENT", "insufficientPermissions"}, kind: providers.Auth, scope: place, hint: login},
		{status: []int{401}, kind: providers.Auth, scope: place, hint: login},
		// Rates come before quotas and permissions: they are 403, too.
		{codes: []string{"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED", "RESOURCE_OPERATION_RATE_EXCEEDED", "operationRateExceeded", "concurrentOperationQuotaExceeded"}, kind: providers.Throttled, scope: zone},
		{status: []int{429}, kind: providers.Throttled, scope: account},
		// How much an account may have.
		{codes: []string{"QUOTA_EXCEEDED", "quotaExceeded", "LIMIT_EXCEEDED", "QuotaFailure"}, says: "all_regions", kind: providers.Quota, scope: account, hint: hintQuota},
		{codes: []string{"QUOTA_EXCEEDED", "quotaExceeded", "LIMIT_EXCEEDED"}, says: "globally", kind: providers.Quota, scope: account, hint: hintQuota},
		{codes: []string{"QUOTA_EXCEEDED", "quotaExceeded", "LIMIT_EXCEEDED", "QuotaFailure"}, kind: providers.Quota, scope: region, hint: hintQuota},
		// What is to be had.
		{codes: []string{"ZONE_RESOURCE_POOL_EXHAUSTED", "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "RESOURCE_POOL_EXHAUSTED", "REGION_RESOURCE_POOL_EXHAUSTED", "insufficientCapacity", "STOCKOUT", "VM_MIN_COUNT_NOT_REACHED", "resourceExhausted"}, kind: providers.Capacity, scope: zone},
		{says: "does not have enough resources available", kind: providers.Capacity, scope: zone},
		{says: "no more capacity", kind: providers.Capacity, scope: zone},
		{says: "was preempted", kind: providers.Capacity, scope: zone},
		{says: "no available resources in specified reservations", kind: providers.Capacity, scope: zone, hint: "gcloud compute reservations list --project={project}"},
		{codes: []string{"UNSUPPORTED_OPERATION"}, kind: providers.Unsupported, scope: zone},
		// What is being changed just now.
		{codes: []string{"RESOURCE_NOT_READY", "resourceNotReady", "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", "resourceInUseByAnotherResource"}, kind: providers.Transient, scope: zone},
		// What is there already.
		{codes: []string{"alreadyExists", "RESOURCE_ALREADY_EXISTS"}, kind: providers.Conflict, scope: zone},
		{status: []int{409}, kind: providers.Conflict, scope: zone},
		// Where it is to be.
		{codes: []string{"VPC_NOT_FOUND"}, kind: providers.Invalid, scope: place, hint: "gcloud compute networks list --project={project}"},
		{codes: []string{"SUBNET_NOT_FOUND_FOR_VPC"}, kind: providers.Invalid, scope: region, hint: "gcloud compute networks subnets list --project={project}"},
		{status: []int{0, 400, 404}, says: "/subnetworks/", kind: providers.Invalid, scope: region, hint: "gcloud compute networks subnets list --project={project}"},
		{status: []int{0, 400, 404}, says: "subnetwork", kind: providers.Invalid, scope: region, hint: "gcloud compute networks subnets list --project={project}"},
		{status: []int{0, 400, 404}, says: "/global/networks/", kind: providers.Invalid, scope: place, hint: "gcloud compute networks list --project={project}"},
		// Permissions.
		{codes: []string{"IAM_PERMISSION_DENIED", "PERMISSIONS_ERROR"}, kind: providers.Auth, scope: place, hint: hintGrant},
		{says: "policy update access denied", kind: providers.Auth, scope: place, hint: hintGrant},
		{says: "compute.vmexternalipaccess", kind: providers.Invalid, scope: place, hint: "your organisation forbids public addresses: set `use_internal_ips: true` under providers.gcp"},
		{codes: []string{"conditionNotMet", "CONDITION_NOT_MET"}, says: "constraint", kind: providers.Invalid, scope: place, hint: "a policy of your organisation forbids it: gcloud resource-manager org-policies list --project={project}"},
		{status: []int{403}, kind: providers.Auth, scope: place, hint: hintGrant},
		{status: []int{412}, kind: providers.Transient, scope: zone},
		// What was asked for.
		{says: "disk size cannot be smaller than", kind: providers.Invalid, scope: place, hint: "raise disk_size in the task, or take a smaller image"},
		{says: "disk size: '", kind: providers.Invalid, scope: place, hint: "change disk_size in the task"},
		{status: []int{0, 400, 404}, says: "/images/", kind: providers.Invalid, scope: place, hint: "gcloud compute images list shows the images there are; correct image_id"},
		{status: []int{0, 400, 404}, says: "machinetype", kind: providers.Invalid, scope: zone, hint: "gcloud compute machine-types list shows where a type is sold; sky catalog update"},
		{status: []int{0, 400, 404}, says: "acceleratortype", kind: providers.Invalid, scope: zone, hint: "gcloud compute accelerator-types list shows where an accelerator is sold; sky catalog update"},
		{status: []int{0, 400, 404}, says: "/disktypes/", kind: providers.Invalid, scope: zone, hint: "choose another disk_tier"},
		{status: []int{0, 400, 404}, says: "/reservations/", kind: providers.Invalid, scope: zone, hint: "gcloud compute reservations list --project={project}"},
		{status: []int{0, 400, 404}, says: "unknown zone", kind: providers.Invalid, scope: zone, hint: "gcloud compute zones list; sky catalog update"},
		{status: []int{0, 400, 404}, says: "unknown region", kind: providers.Invalid, scope: region, hint: "gcloud compute regions list; sky catalog update"},
		{codes: []string{"notFound", "RESOURCE_NOT_FOUND"}, kind: providers.NotFound, scope: zone},
		{status: []int{404}, kind: providers.NotFound, scope: zone},
		{status: []int{400}, kind: providers.Invalid, scope: place},
		{codes: []string{"INVALID_FIELD_VALUE", "INVALID_USAGE", "INVALID_ARGUMENT", "BAD_REQUEST", "DISK_SIZE_TOO_SMALL"}, kind: providers.Invalid, scope: place},
		// Theirs.
		{status: []int{408, 500, 502, 503, 504}, kind: providers.Transient, scope: region},
		{codes: []string{"INTERNAL_ERROR", "INTERNAL", "backendError", "internalError", "SERVICE_UNAVAILABLE", "UNAVAILABLE", "TIMEOUT", "OPERATION_CANCELED_BY_USER", "HOST_ERROR"}, kind: providers.Transient, scope: region},
	}
}

var permissionPattern = regexp.MustCompile(`'((?:compute|iam|resourcemanager|serviceusage)\.[A-Za-z.]+)'`)

// failure turns any error of a call into a *providers.Error; the context's own errors stay what they are. where is the zone
// or region that the call was about.
func (p *Provider) failure(ctx context.Context, op, where string, err error) error {
	if err == nil {
		return nil
	}
	if cerr := ctx.Err(); cerr != nil && (errors.Is(err, cerr) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return fmt.Errorf("%s: %s: %w", Name, op, cerr)
	}
	var done *providers.Error
	if errors.As(err, &done) {
		if done.Op == "" {
			done.Op = op
		}
		return done
	}
	if e := p.set.federation(op, p.getenv, err); e != nil {
		return e
	}
	f, ok := read(err)
	if !ok {
		return unreached(op, err)
	}
	return p.judge(op, where, f)
}

// judge looks a failure up in the table.
func (p *Provider) judge(op, where string, f failure) *providers.Error {
	e := &providers.Error{Provider: Name, Op: op, Kind: providers.KindUnknown, Scope: zone, RetryAfter: f.after}
	for _, r := range rules() {
		if r.matches(f) {
			e.Kind, e.Scope, e.Hint = r.kind, r.scope, r.hint
			break
		}
	}
	if len(f.codes) > 0 {
		e.Code = f.codes[0]
	} else if f.status > 0 {
		e.Code = strconv.Itoa(f.status)
	}
	text := f.message
	if text == "" {
		text = http.StatusText(f.status)
	}
	if where != "" && !strings.Contains(text, where) {
		text = where + ": " + text
	}
	if m := permissionPattern.FindStringSubmatch(f.message); m != nil && e.Kind == providers.Auth {
		e.Code = m[1]
	}
	e.Err = errors.New(text)
	project, member := p.set.project, "MEMBER"
	p.mu.Lock()
	if c := p.clients; c != nil {
		project = c.project
		if c.member != "" {
			member = c.member
		}
	}
	p.mu.Unlock()
	if project == "" {
		project = "PROJECT"
	}
	service := "compute.googleapis.com"
	if strings.Contains(f.message, "cloudresourcemanager.googleapis.com") {
		service = "cloudresourcemanager.googleapis.com"
	}
	e.Hint = strings.NewReplacer("{project}", project, "{member}", member, "{service}", service).Replace(e.Hint)
	if e.Kind == providers.Auth && f.status != 403 {
		p.forget() // the next call reads the credentials again
	}
	return e
}

// unreached is a call that got no answer: it may have taken effect.
func unreached(op string, err error) *providers.Error {
	e := &providers.Error{Provider: Name, Op: op, Kind: providers.Transient, Scope: region, Code: "unreachable", Err: errors.New(clean(err.Error()))}
	var n net.Error
	switch {
	case errors.As(err, &n) && n.Timeout():
		e.Code = "timeout"
	case strings.Contains(err.Error(), "could not find default credentials"):
		e.Kind, e.Scope, e.Code, e.Hint = providers.Auth, place, "no-credentials", login
	case strings.HasPrefix(err.Error(), "credentials: "):
		e.Kind, e.Scope, e.Code, e.Hint = providers.Auth, place, "bad-credentials", login
	}
	return e
}

// read finds out what the API said.
func read(err error) (failure, bool) {
	if a, ok := authError(err); ok {
		f := failure{status: http.StatusUnauthorized, message: "the credentials were refused"}
		if a.Response != nil && a.Response.StatusCode >= 500 {
			f.status, f.message = a.Response.StatusCode, "no token could be had"
		}
		var b struct {
			Error       any    `json:"error"`
			Description string `json:"error_description"`
		}
		if json.Unmarshal(a.Body, &b) == nil {
			if s, ok := b.Error.(string); ok {
				f.codes = append(f.codes, s)
			}
			if b.Description != "" {
				f.message += ": " + clean(b.Description)
			}
		}
		return f, true
	}
	var g *googleapi.Error
	if !errors.As(err, &g) {
		return failure{}, false
	}
	f := failure{status: g.Code, message: clean(g.Message), after: retryAfter(g.Header)}
	var b struct {
		Error struct {
			Status string `json:"status"`
			Errors []struct {
				Reason string `json:"reason"`
			} `json:"errors"`
			Details []struct {
				Reason string `json:"reason"`
				Delay  string `json:"retryDelay"`
			} `json:"details"`
		} `json:"error"`
	}
	if json.Unmarshal([]byte(g.Body), &b) == nil {
		for _, d := range b.Error.Details {
			if d.Reason != "" {
				f.codes = append(f.codes, d.Reason)
			}
			if d, err := time.ParseDuration(d.Delay); err == nil && d > f.after {
				f.after = d
			}
		}
		for _, e := range b.Error.Errors {
			f.codes = append(f.codes, e.Reason)
		}
		if b.Error.Status != "" {
			f.codes = append(f.codes, b.Error.Status)
		}
	}
	return f, true
}

// ofOperation is what an operation failed with; false when it did not.
func ofOperation(op *computepb.Operation) (failure, bool) {
	errs := op.GetError().GetErrors()
	if len(errs) == 0 {
		if c := int(op.GetHttpErrorStatusCode()); c >= 400 {
			return failure{status: c, message: clean(op.GetHttpErrorMessage())}, true
		}
		return failure{}, false
	}
	var f failure
	var texts []string
	for _, e := range errs {
		if e.GetCode() != "" {
			f.codes = append(f.codes, e.GetCode())
		}
		if m := clean(e.GetMessage()); m != "" {
			texts = append(texts, m)
		}
		for _, d := range e.GetErrorDetails() {
			if r := d.GetErrorInfo().GetReason(); r != "" {
				f.codes = append(f.codes, r)
			}
			if q := d.GetQuotaInfo(); q.GetLimitName() != "" && !strings.Contains(e.GetMessage(), q.GetLimitName()) {
				texts = append(texts, fmt.Sprintf("%s: limit %v", q.GetLimitName(), q.GetLimit()))
			}
		}
	}
	f.message = strings.Join(texts, "; ")
	return f, true
}

// retryAfter reads the header, in seconds or as a date.
func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil && n > 0 && n < 86400 {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		if d := time.Until(t); d > 0 {
			return d
		}
	}
	return 0
}

// clean makes a vendor's text one line of bounded length.
func clean(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 600 {
		s = strings.ToValidUTF8(s[:600], "") + " ..."
	}
	return s
}
