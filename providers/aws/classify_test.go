package aws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"aloft/providers"
	"aloft/providers/aws"
)

// answer is a server that answers every call alike.
func answer(t *testing.T, status int, header http.Header, body string) (url string, calls func() int) {
	t.Helper()
	n := make(chan int, 1)
	n <- 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n <- <-n + 1
		_, _ = io.Copy(io.Discard, r.Body)
		for k, v := range header {
			w.Header()[k] = v
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() int { c := <-n; n <- c; return c }
}

func ec2Error(code, message string) string {
	return fmt.Sprintf(`<?xml version="1.0"?><Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>r-1</RequestID></Response>`, code, message)
}

func at(t *testing.T, url string, set map[string]string) *aws.Provider {
	t.Helper()
	all := map[string]string{"endpoint_url": url, "region": region, "regions": region}
	for k, v := range set {
		all[k] = v
	}
	p, err := aws.New(providers.Config{Settings: all}, aws.Options{Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "very-secret", "session-secret")})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func fault(t *testing.T, err error) *providers.Error {
	t.Helper()
	var e *providers.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *providers.Error", err)
	}
	return e
}

// TestClasses has what the SDK makes of EC2's answers sorted into classes.
func TestClasses(t *testing.T) {
	t.Parallel()
	const zone, inRegion, account = providers.ScopeZone, providers.ScopeRegion, providers.ScopeAccount
	for _, tt := range []struct {
		code    string
		status  int
		message string
		kind    providers.Kind
		scope   providers.Scope
		calls   int // the SDK makes
		hint    string
	}{
		{"InsufficientInstanceCapacity", 500, "We currently do not have sufficient m7i.large capacity", providers.Capacity, zone, 1, ""},
		{"InsufficientHostCapacity", 500, "", providers.Capacity, zone, 1, ""},
		{"InsufficientReservedInstanceCapacity", 500, "", providers.Capacity, zone, 1, ""},
		{"InsufficientSomethingNewCapacity", 500, "", providers.Capacity, zone, 1, ""},
		{"SpotMaxPriceTooLow", 400, "", providers.Capacity, zone, 1, ""},
		{"InsufficientFreeAddressesInSubnet", 400, "", providers.Capacity, zone, 1, "larger subnet"},
		{"VcpuLimitExceeded", 400, "", providers.Quota, inRegion, 1, "servicequotas"},
		{"InstanceLimitExceeded", 400, "", providers.Quota, inRegion, 1, "servicequotas"},
		{"MaxSpotInstanceCountExceeded", 400, "", providers.Quota, inRegion, 1, "servicequotas"},
		{"VolumeLimitExceeded", 400, "", providers.Quota, inRegion, 1, "us-east-1"},
		{"SomethingNewLimitExceeded", 400, "", providers.Quota, inRegion, 1, "servicequotas"},
		{"Unsupported", 400, "Your requested instance type (p5.48xlarge) is not supported in your requested Availability Zone", providers.Unsupported, zone, 1, "zone"},
		{"UnsupportedOperation", 400, "", providers.Unsupported, zone, 1, ""},
		{"InvalidParameterValue", 400, "Value () for parameter iamInstanceProfile.name is invalid", providers.Invalid, account, 1, "instance_profile"},
		{"InvalidParameterValue", 400, "odd", providers.Invalid, inRegion, 1, ""},
		{"InvalidParameterCombination", 400, "", providers.Invalid, inRegion, 1, ""},
		{"InvalidAMIID.NotFound", 400, "", providers.Invalid, inRegion, 1, "image"},
		{"InvalidAMIID.Malformed", 400, "", providers.Invalid, inRegion, 1, "image"},
		{"InvalidSubnetID.NotFound", 400, "", providers.Invalid, inRegion, 1, "subnets"},
		{"InvalidGroup.NotFound", 400, "", providers.Invalid, inRegion, 1, "security_group"},
		{"InvalidInstanceType", 400, "", providers.Invalid, inRegion, 1, "instance type"},
		{"UnauthorizedOperation", 403, "You are not authorized to perform this operation.", providers.Auth, account, 1, "sky check aws"},
		{"AuthFailure", 401, "", providers.Auth, account, 1, "aws configure"},
		{"AuthFailure.ServiceLinkedRoleCreationNotPermitted", 403, "", providers.Auth, account, 1, "create-service-linked-role"},
		{"ExpiredToken", 400, "", providers.Auth, account, 1, "aws sso login"},
		{"ExpiredTokenException", 400, "", providers.Auth, account, 1, "aws sso login"},
		{"RequestExpired", 400, "", providers.Auth, account, 1, "clock"},
		{"OptInRequired", 403, "", providers.Auth, inRegion, 1, "region"},
		{"PendingVerification", 400, "", providers.Auth, account, 1, "verifying"},
		{"Blocked", 403, "", providers.Auth, account, 1, "account"},
		{"IdempotentParameterMismatch", 400, "", providers.Conflict, inRegion, 1, ""},
		{"RequestLimitExceeded", 503, "", providers.Throttled, inRegion, 3, ""},
		{"Throttling", 400, "", providers.Throttled, inRegion, 3, ""},
		{"EC2ThrottledException", 400, "", providers.Throttled, inRegion, 3, ""},
		{"InternalError", 500, "", providers.Transient, inRegion, 3, ""},
		{"ServiceUnavailable", 503, "", providers.Transient, inRegion, 3, ""},
		{"Unavailable", 503, "", providers.Transient, inRegion, 3, ""},
		{"NobodyKnowsThis", 400, "", providers.Invalid, inRegion, 1, ""},
		{"NobodyKnowsThis", 500, "", providers.Transient, inRegion, 3, ""},
	} {
		t.Run(fmt.Sprintf("%s %d", tt.code, tt.status), func(t *testing.T) {
			t.Parallel()
			url, calls := answer(t, tt.status, nil, ec2Error(tt.code, tt.message+" Encoded authorization failure message: AbCdEf"))
			err := at(t, url, nil).Delete(t.Context(), providers.InstanceRef{ID: "i-0123456789abcdef0", Region: region})
			e := fault(t, err)
			if e.Kind != tt.kind || e.Scope != tt.scope || e.Code != tt.code || e.Op != "delete" || e.Provider != "aws" {
				t.Errorf("%+v, want %s, scope %s", e, tt.kind, tt.scope)
			}
			if n := calls(); n != tt.calls {
				t.Errorf("%d calls, want %d", n, tt.calls)
			}
			if !strings.Contains(e.Hint, tt.hint) || strings.Contains(e.Hint, "{") {
				t.Errorf("hint %q, want %q", e.Hint, tt.hint)
			}
			if s := e.Error(); strings.Contains(s, "AbCdEf") || strings.Contains(s, "secret") || strings.Contains(s, "\n") {
				t.Errorf("says %q", s)
			}
			if tt.kind == providers.Throttled && e.RetryAfter <= 0 {
				t.Error("no time to wait")
			}
		})
	}
}

func TestRefusalNamesPermission(t *testing.T) {
	t.Parallel()
	url, _ := answer(t, 403, nil, ec2Error("UnauthorizedOperation", "You are not authorized to perform this operation."))
	err := at(t, url, nil).Delete(t.Context(), providers.InstanceRef{ID: "i-0123456789abcdef0", Region: region})
	if !strings.Contains(err.Error(), "ec2:TerminateInstances") {
		t.Errorf("%v does not name the permission", err)
	}
}

func TestUnreadableAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		status int
		header http.Header
		body   string
		kind   providers.Kind
		wait   time.Duration
	}{
		{"a proxy's page", 502, nil, "<html><body>Bad gateway</body></html>", providers.Transient, 0},
		{"a page of success", 200, nil, "<html><body>Sign in to the network</body></html>", providers.Transient, 0},
		{"nothing", 500, nil, "", providers.Transient, 0},
		{"half an answer", 500, nil, "<Response><Errors><Error><Code>Intern", providers.Transient, 0},
		{"busy", 429, http.Header{"Retry-After": {"7"}}, "slow down", providers.Throttled, 7 * time.Second},
		{"throttled with a time", 503, http.Header{"Retry-After": {"11"}}, ec2Error("RequestLimitExceeded", ""), providers.Throttled, 11 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url, _ := answer(t, tt.status, tt.header, tt.body)
			for _, err := range at(t, url, nil).Describe(t.Context(), providers.Selector{Token: "x", Region: region}) {
				e := fault(t, err)
				if e.Kind != tt.kind || e.RetryAfter != tt.wait || e.Op != "describe" {
					t.Errorf("%+v, want %s after %s", e, tt.kind, tt.wait)
				}
				return
			}
			if tt.status != 200 {
				t.Error("no error")
			}
		})
	}
}

func TestNoServer(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.NotFoundHandler())
	url := s.URL
	s.Close()
	err := at(t, url, nil).Delete(t.Context(), providers.InstanceRef{ID: "i-0123456789abcdef0", Region: region})
	if e := fault(t, err); e.Kind != providers.Transient || e.Code != "network" {
		t.Errorf("%+v", e)
	}
}

// broken are credentials that cannot be had.
type broken struct{ err error }

func (b broken) Retrieve(context.Context) (sdk.Credentials, error) { return sdk.Credentials{}, b.err }

// TestCredentials is not parallel: the SDK reads the environment.
func TestCredentials(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	empty := write("empty", "")
	conf := write("config", `[profile company]
sso_session = s
sso_account_id = 111122223333
sso_role_name = dev
region = eu-central-1
[sso-session s]
sso_region = eu-central-1
sso_start_url = https://company.awsapps.com/start
sso_registration_scopes = sso:account:access
[profile tool]
credential_process = /bin/sh -c "echo a-secret-of-the-tool >&2; exit 1"
`)
	url, _ := answer(t, 400, nil, ec2Error("NobodyKnowsThis", ""))
	for _, tt := range []struct {
		name, profile, code, hint string
		creds                     sdk.CredentialsProvider
	}{
		{"none", "", "no-credentials", "aws configure", nil},
		{"no such profile", "nobody", "no-profile", "--profile nobody", nil},
		{"SSO was never begun", "company", "sso-expired", "aws sso login --profile company", nil},
		{"a tool that fails", "tool", "credential-process", "credential_process", nil},
		{"something else", "", "no-credentials", "aws configure", broken{errors.New("the vault is sealed")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, k := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"} {
				t.Setenv(k, "")
			}
			t.Setenv("HOME", dir)
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", empty)
			t.Setenv("AWS_CONFIG_FILE", conf)
			p, err := aws.New(providers.Config{Settings: map[string]string{"endpoint_url": url, "profile": tt.profile}}, aws.Options{Credentials: tt.creds})
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			_, err = p.CheckAccount(t.Context())
			e := fault(t, err)
			if e.Kind != providers.Auth || e.Code != tt.code || !strings.Contains(e.Hint, tt.hint) {
				t.Errorf("%+v, want code %s, hint %q", e, tt.code, tt.hint)
			}
			if strings.Contains(e.Error(), "a-secret-of-the-tool") {
				t.Errorf("tells a secret: %v", e)
			}
			if d := time.Since(began); d > 20*time.Second {
				t.Errorf("took %s: somebody who is not there was waited for", d)
			}
		})
	}
}

// TestNewCredentials replaces credentials that were refused in the file they come from.
func TestNewCredentials(t *testing.T) {
	path := filepath.Join(t.TempDir(), "credentials")
	keysOf := func(id string) {
		if err := os.WriteFile(path, []byte("[default]\naws_access_key_id = "+id+"\naws_secret_access_key = x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Authorization"), "AKIAOLD") {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, ec2Error("ExpiredToken", "The security token included in the request is expired"))
			return
		}
		_, _ = io.WriteString(w, `<TerminateInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"></TerminateInstancesResponse>`)
	}))
	defer s.Close()
	for _, k := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"} {
		t.Setenv(k, "")
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", path)
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	p, err := aws.New(providers.Config{Settings: map[string]string{"endpoint_url": s.URL}}, aws.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ref := providers.InstanceRef{ID: "i-0123456789abcdef0", Region: region}
	keysOf("AKIAOLD")
	if e := fault(t, p.Delete(t.Context(), ref)); e.Code != "ExpiredToken" {
		t.Fatalf("%+v", e)
	}
	keysOf("AKIANEW")
	if err := p.Delete(t.Context(), ref); err != nil {
		t.Errorf("with new credentials: %v", err)
	}
}
