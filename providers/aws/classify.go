package aws

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"aloft/providers"
)

// class is what a code of the vendor means to us.
type class struct {
	kind  providers.Kind
	scope providers.Scope
	hint  string
}

// Hints that several codes share. {region}, {profile} and {action} are filled in.
const (
	hintQuota  = "ask for more: https://console.aws.amazon.com/servicequotas/home/services/ec2/quotas (region {region})"
	hintLogin  = "run `aws sso login{profile}`, or get new credentials the way you got these"
	hintKeys   = "run `aws configure{profile}` with keys that exist, then `sky check aws`"
	hintPolicy = "grant it with docs/aws-policy.json; `sky check aws` names the command"
	hintImage  = "choose an image that exists in {region}: an AMI id, or none for the default"
	hintNet    = "correct vpc, subnets and security_group in the settings of aws; they must exist in {region}"
	hintOptIn  = "enable the region {region} for the account, or leave it out: `regions` in the settings of aws"
	hintBill   = "see https://console.aws.amazon.com/support: the account is not in order"
	hintZone   = "leave the zone out, or choose another instance type"
)

// classes are the documented codes of EC2, and of STS, SSM and IAM as far as they are used.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
func classes() map[string]class {
	const (
		zone, region, account = providers.ScopeZone, providers.ScopeRegion, providers.ScopeAccount
	)
	return map[string]class{
		// There is none to be had.
		"InsufficientInstanceCapacity":         {providers.Capacity, zone, ""},
		"InsufficientHostCapacity":             {providers.Capacity, zone, ""},
		"InsufficientReservedInstanceCapacity": {providers.Capacity, zone, ""},
		"InsufficientCapacity":                 {providers.Capacity, zone, ""},
		"InsufficientCapacityOnHost":           {providers.Capacity, zone, ""},
		"InsufficientVolumeCapacity":           {providers.Capacity, zone, ""},
		"InsufficientAddressCapacity":          {providers.Capacity, region, ""},
		"ReservationCapacityExceeded":          {providers.Capacity, zone, "the named reservation is full"},
		"SpotMaxPriceTooLow":                   {providers.Capacity, zone, ""},
		"InstanceTypeNotSupportedInZone":       {providers.Capacity, zone, hintZone},
		"InsufficientFreeAddressesInSubnet":    {providers.Capacity, zone, "use a larger subnet in this zone: subnets in the settings of aws"},
		"VolumeTypeNotAvailableInZone":         {providers.Capacity, zone, "choose another disk_tier"},

		// The account may not have more.
		"VcpuLimitExceeded":                {providers.Quota, region, hintQuota},
		"InstanceLimitExceeded":            {providers.Quota, region, hintQuota},
		"InstanceCountExceeded":            {providers.Quota, region, hintQuota},
		"MaxSpotInstanceCountExceeded":     {providers.Quota, region, hintQuota},
		"MaxSpotFleetRequestCountExceeded": {providers.Quota, region, hintQuota},
		"MaxIOPSLimitExceeded":             {providers.Quota, region, "choose a lower disk_tier, or " + hintQuota},
		"VolumeLimitExceeded":              {providers.Quota, region, hintQuota},
		"VolumeIOPSLimit":                  {providers.Quota, region, "choose a lower disk_tier, or " + hintQuota},
		"AddressLimitExceeded":             {providers.Quota, region, hintQuota},
		"NetworkInterfaceLimitExceeded":    {providers.Quota, region, hintQuota},
		"SecurityGroupLimitExceeded":       {providers.Quota, region, "remove security groups that are not needed, or name one: security_group in the settings of aws"},
		"RulesPerSecurityGroupLimitExceeded": {providers.Quota, region,
			"open fewer ports"},
		"PlacementGroupLimitExceeded":   {providers.Quota, region, hintQuota},
		"ResourceLimitExceeded":         {providers.Quota, region, hintQuota},
		"ResourceCountExceeded":         {providers.Quota, region, hintQuota},
		"TagLimitExceeded":              {providers.Invalid, account, "use fewer labels"},
		"CapacityReservationLimit":      {providers.Quota, region, hintQuota},
		"HostLimitExceeded":             {providers.Quota, region, hintQuota},
		"PendingSnapshotLimitExceeded":  {providers.Quota, region, hintQuota},
		"ServiceQuotaExceededException": {providers.Quota, region, hintQuota},
		"ConcurrentTagAccess":           {providers.Transient, region, ""},
		"DisallowedForDedicatedTenancy": {providers.Invalid, region, hintNet},
		"DryRunOperation":               {providers.KindUnknown, account, ""},
		"IdempotentParameterMismatch":   {providers.Conflict, region, ""},
		"IdempotentInstanceTerminated":  {providers.Conflict, region, ""},
		"InvalidClientToken":            {providers.Conflict, region, ""},
		"IncorrectInstanceState":        {providers.Transient, zone, ""},
		"IncorrectState":                {providers.Transient, zone, ""},
		"IncorrectSpotRequestState":     {providers.Unsupported, zone, ""},
		"OperationNotPermitted":         {providers.Invalid, account, "take the termination or stop protection off the machine"},
		"DependencyViolation":           {providers.Transient, region, ""},
		"InvalidPlacementGroup.InUse":   {providers.Transient, region, ""},
		"InvalidGroup.InUse":            {providers.Transient, region, ""},
		"ResourceNotReady":              {providers.Transient, region, ""},
		"ConcurrentModification":        {providers.Transient, region, ""},
		"SpotInterruptionInProgress":    {providers.Transient, zone, ""},
		"Client.InvalidInstanceID":      {providers.NotFound, zone, ""},
		"InvalidInstanceID":             {providers.NotFound, zone, ""},
		"InvalidInstanceID.NotFound":    {providers.NotFound, zone, ""},
		"InvalidInstanceID.Malformed":   {providers.NotFound, zone, ""},
		"InvalidInstanceID.NotLinkable": {providers.Invalid, zone, ""},
		"InvalidSpotInstanceRequestID":  {providers.NotFound, zone, ""},
		"InvalidPlacementGroup.Unknown": {providers.NotFound, region, ""},
		"InvalidGroupId.Malformed":      {providers.Invalid, region, hintNet},
		"ParameterNotFound":             {providers.NotFound, region, hintImage},
		"ParameterVersionNotFound":      {providers.NotFound, region, hintImage},
		"NoSuchResourceException":       {providers.NotFound, region, ""},
		"UnsupportedHibernationConfig":  {providers.Unsupported, zone, ""},
		"UnsupportedInstanceAttribute":  {providers.Unsupported, zone, ""},
		"UnsupportedTenancy":            {providers.Unsupported, zone, hintNet},
		"VolumeTypeNotSupported":        {providers.Unsupported, zone, "choose another disk_tier"},
		"UnsupportedException":          {providers.Unsupported, region, ""},
		"UnsupportedProtocol":           {providers.Invalid, account, ""},
		"UnknownOperationException":     {providers.Unsupported, account, ""},
		"InvalidAction":                 {providers.Unsupported, account, ""},
		"UnsupportedImageType":          {providers.Invalid, region, hintImage},
		"InvalidInstanceAttributeValue": {providers.Invalid, region, ""},
		"InvalidInstanceType":           {providers.Invalid, region, "choose an instance type that {region} has"},
		"InvalidInterface.IpAddressLimit": {providers.Invalid, region,
			hintNet},

		// The type and the place or the other wishes do not go together.
		"Unsupported":           {providers.Unsupported, zone, hintZone},
		"UnsupportedOperation":  {providers.Unsupported, zone, ""},
		"UnfulfillableCapacity": {providers.Capacity, zone, ""},
		"UnavailableHostRequirements": {providers.Capacity, zone,
			""},

		// Who asks.
		"AuthFailure": {providers.Auth, account, hintKeys},
		"AuthFailure.ServiceLinkedRoleCreationNotPermitted": {providers.Auth, account,
			"run `aws iam create-service-linked-role --aws-service-name spot.amazonaws.com` once, as an administrator"},
		"InvalidClientTokenId":          {providers.Auth, account, hintKeys},
		"UnrecognizedClientException":   {providers.Auth, account, hintKeys},
		"SignatureDoesNotMatch":         {providers.Auth, account, hintKeys},
		"IncompleteSignature":           {providers.Auth, account, hintKeys},
		"MissingAuthenticationToken":    {providers.Auth, account, hintKeys},
		"InvalidAccessKeyId":            {providers.Auth, account, hintKeys},
		"MissingClientTokenId":          {providers.Auth, account, hintKeys},
		"NotAuthorized":                 {providers.Auth, account, hintKeys},
		"ExpiredToken":                  {providers.Auth, account, hintLogin},
		"ExpiredTokenException":         {providers.Auth, account, hintLogin},
		"TokenRefreshRequired":          {providers.Auth, account, hintLogin},
		"InvalidIdentityToken":          {providers.Auth, account, hintLogin},
		"InvalidGrantException":         {providers.Auth, account, hintLogin},
		"UnauthorizedException":         {providers.Auth, account, hintLogin},
		"RequestExpired":                {providers.Auth, account, "set the clock of this computer right; else " + hintLogin},
		"RequestTimeTooSkewed":          {providers.Auth, account, "set the clock of this computer right"},
		"InvalidSignatureException":     {providers.Auth, account, "set the clock of this computer right; else " + hintKeys},
		"UnauthorizedOperation":         {providers.Auth, account, hintPolicy},
		"AccessDenied":                  {providers.Auth, account, hintPolicy},
		"AccessDeniedException":         {providers.Auth, account, hintPolicy},
		"OptInRequired":                 {providers.Auth, region, hintOptIn},
		"RegionDisabledException":       {providers.Auth, region, hintOptIn},
		"SubscriptionRequiredException": {providers.Auth, account, hintBill},
		"PendingVerification":           {providers.Auth, account, "Amazon is still verifying the account for this region; this can take hours"},
		"PendingAcceptance":             {providers.Auth, account, hintBill},
		"Blocked":                       {providers.Auth, account, hintBill},
		"AccountDisabled":               {providers.Auth, account, hintBill},
		"InvalidUserID.Malformed":       {providers.Invalid, account, ""},
		"ValidationError":               {providers.Invalid, account, ""},
		"ValidationException":           {providers.Invalid, account, ""},

		// Later.
		"RequestLimitExceeded":                   {providers.Throttled, region, ""},
		"Throttling":                             {providers.Throttled, region, ""},
		"ThrottlingException":                    {providers.Throttled, region, ""},
		"ThrottledException":                     {providers.Throttled, region, ""},
		"EC2ThrottledException":                  {providers.Throttled, region, ""},
		"RequestThrottled":                       {providers.Throttled, region, ""},
		"RequestThrottledException":              {providers.Throttled, region, ""},
		"TooManyRequestsException":               {providers.Throttled, region, ""},
		"SlowDown":                               {providers.Throttled, region, ""},
		"SnapshotCreationPerVolumeRateExceeded":  {providers.Throttled, region, ""},
		"ProvisionedThroughputExceededException": {providers.Throttled, region, ""},
		"RequestResourceCountExceeded":           {providers.Throttled, region, ""},
		"InternalError":                          {providers.Transient, region, ""},
		"InternalFailure":                        {providers.Transient, region, ""},
		"InternalServerError":                    {providers.Transient, region, ""},
		"InternalServiceError":                   {providers.Transient, region, ""},
		"ServiceException":                       {providers.Transient, region, ""},
		"ServiceUnavailable":                     {providers.Transient, region, ""},
		"Unavailable":                            {providers.Transient, region, ""},
		"Server.InternalError":                   {providers.Transient, region, ""},
		"RequestTimeout":                         {providers.Transient, region, ""},
		"RequestTimeoutException":                {providers.Transient, region, ""},
		"IDPCommunicationError":                  {providers.Transient, account, ""},
		"EIAInternalError":                       {providers.Transient, zone, ""},
	}
}

// rules are for families of codes, tried in order after classes.
func rules() []struct {
	code *regexp.Regexp
	class
} {
	return []struct {
		code *regexp.Regexp
		class
	}{
		{regexp.MustCompile(`^Insufficient.*Capacity`), class{providers.Capacity, providers.ScopeZone, ""}},
		{regexp.MustCompile(`LimitExceeded$`), class{providers.Quota, providers.ScopeRegion, hintQuota}},
		{regexp.MustCompile(`^InvalidAMI`), class{providers.Invalid, providers.ScopeRegion, hintImage}},
		{regexp.MustCompile(`^(InvalidSubnet|InvalidVpc|InvalidGroup|InvalidSecurityGroup|InvalidSecurity)`), class{providers.Invalid, providers.ScopeRegion, hintNet}},
		{regexp.MustCompile(`^AuthFailure\.`), class{providers.Auth, providers.ScopeAccount, hintPolicy}},
		{regexp.MustCompile(`[Tt]hrottl`), class{providers.Throttled, providers.ScopeRegion, ""}},
		{regexp.MustCompile(`^(Invalid|Missing|Malformed|Unknown|VPC|Duplicate|Encrypted|Default|NonEBS|Gateway|Route|FilterLimit)`), class{providers.Invalid, providers.ScopeRegion, ""}},
		{regexp.MustCompile(`^Unsupported`), class{providers.Unsupported, providers.ScopeZone, ""}},
	}
}

// classOf finds the class of a code; status is that of HTTP, for codes that nobody documented.
func classOf(code string, status int) class {
	if c, ok := classes()[code]; ok {
		return c
	}
	for _, r := range rules() {
		if r.code.MatchString(code) {
			return r.class
		}
	}
	switch {
	case status == http.StatusTooManyRequests:
		return class{providers.Throttled, providers.ScopeRegion, ""}
	case status >= 400 && status < 500:
		return class{providers.Invalid, providers.ScopeRegion, ""}
	}
	return class{providers.Transient, providers.ScopeRegion, ""}
}

// mayPass reports whether the same call may succeed at once.
func mayPass(code string) bool {
	k := classOf(code, 0).kind
	return k == providers.Transient || k == providers.Throttled
}

// throttlePause is how long to leave a region alone that complained of too many calls after quick attempts.
const throttlePause = 5 * time.Second

// apiCode is the vendor's code and words in an error.
func apiCode(err error) (code, message string) {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode(), e.ErrorMessage()
	}
	return "", ""
}

// hasCode reports whether err bears one of the codes.
func hasCode(err error, codes ...string) bool {
	got, _ := apiCode(err)
	for _, c := range codes {
		if got == c || strings.HasSuffix(c, ".") && strings.HasPrefix(got, c) {
			return true
		}
	}
	return false
}

// fault turns an error of the SDK into ours. Errors that are ours already, and those of a context that ended, are left as
// they are.
func (p *Provider) fault(ctx context.Context, op, region string, err error) error {
	var mine *providers.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &mine):
		mine.Op = op
		return mine
	case ctx.Err() != nil:
		return fmt.Errorf("aws: %s: %w", op, ctx.Err())
	}
	f := &providers.Error{Provider: Name, Op: op, Kind: providers.Transient, Scope: providers.ScopeRegion, Code: "network"}
	var response *smithyhttp.ResponseError
	status := 0
	if errors.As(err, &response) {
		status = response.HTTPStatusCode()
	}
	code, message := apiCode(err)
	switch {
	case roleRefused(err, f):
		if f.Kind == providers.Throttled || f.Kind == providers.Transient {
			f.Scope = providers.ScopeRegion
		}
	case p.noCredentials(err, f):
	case code != "" && code != "UnknownError":
		c := refine(classOf(code, status), code, message)
		f.Kind, f.Scope, f.Code, f.Hint = c.kind, c.scope, code, c.hint
		f.Err = errors.New(sentence(err, code, message))
	case status > 0: // a page of a proxy, or of a server in trouble
		f.Code = fmt.Sprintf("http-%d", status)
		if status == http.StatusTooManyRequests {
			f.Kind = providers.Throttled
		}
		f.Err = fmt.Errorf("%sthe answer (HTTP %d) cannot be read", operation(err), status)
	default:
		f.Err = errors.New(operation(err) + clip(root(err).Error()))
		f.Hint = "is the network there?"
	}
	if f.Kind == providers.Auth {
		p.relogin()
	}
	if f.Kind == providers.Throttled {
		f.RetryAfter = retryAfter(response)
	}
	f.Hint = strings.NewReplacer("{region}", region, "{profile}", p.profileFlag()).Replace(f.Hint)
	return f
}

// refine tells apart what one code stands for.
func refine(c class, code, message string) class {
	switch code {
	case "InvalidParameterValue", "InvalidParameterCombination", "UnsupportedOperation", "Unsupported":
		low := strings.ToLower(message)
		switch {
		case strings.Contains(low, "availability zone"), strings.Contains(low, "requested configuration is currently not supported"):
			return class{providers.Unsupported, providers.ScopeZone, hintZone}
		case strings.Contains(low, "iaminstanceprofile") || strings.Contains(low, "instance profile"):
			return class{providers.Invalid, providers.ScopeAccount, "correct instance_profile in the settings of aws"}
		}
	}
	return c
}

// retryAfter is when the server said that it may be asked again.
func retryAfter(r *smithyhttp.ResponseError) time.Duration {
	if r != nil && r.Response != nil && r.Response.Response != nil {
		if d, err := time.ParseDuration(r.Response.Header.Get("Retry-After") + "s"); err == nil && d > 0 {
			return min(d, 10*time.Minute)
		}
	}
	return throttlePause
}

// noCredentials recognises that there are none, or that they ended, and fills f.
func (p *Provider) noCredentials(err error, f *providers.Error) bool {
	var (
		noProfile config.SharedConfigProfileNotExistError
		badFile   config.SharedConfigLoadError
		sso       *ssocreds.InvalidTokenError
		process   *processcreds.ProviderError
		op        *smithy.OperationError
	)
	auth := func(code, hint, format string, args ...any) bool {
		f.Kind, f.Scope, f.Code, f.Hint, f.Err = providers.Auth, providers.ScopeAccount, code, hint, fmt.Errorf(format, args...)
		return true
	}
	text := err.Error()
	switch {
	case errors.As(err, &noProfile):
		return auth("no-profile", "run `aws configure{profile}`, or name a profile that exists: AWS_PROFILE", "there is no profile %q in ~/.aws/config", noProfile.Profile)
	case errors.As(err, &badFile):
		return auth("bad-profile", "correct ~/.aws/config and ~/.aws/credentials", "the shared configuration cannot be read: %s", clip(root(badFile).Error()))
	case errors.As(err, &sso):
		return auth("sso-expired", "run `aws sso login{profile}`", "the SSO session has expired or was never begun")
	case errors.As(err, &process):
		return auth("credential-process", "run the profile's credential_process by hand to see why", "the credential_process of the profile failed")
	case strings.Contains(text, "get identity:") && strings.Contains(text, "ec2imds"), strings.Contains(text, "static credentials are empty"):
		return auth("no-credentials", "run `aws configure{profile}` or `aws sso login{profile}`", "no credentials were found")
	case strings.Contains(text, "cached SSO token"), strings.Contains(text, "SSO token"):
		return auth("sso-expired", "run `aws sso login{profile}`", "the SSO session has expired or was never begun")
	case strings.Contains(text, "get identity:"):
		if code, _ := apiCode(err); code != "" && code != "UnknownError" {
			return false // whoever gives the credentials says why not
		}
		if errors.As(err, &op) && strings.Contains(text, "request send failed") {
			return false // the network
		}
		return auth("no-credentials", "run `aws configure{profile}` or `aws sso login{profile}`", "no credentials could be got: %s", clip(root(err).Error()))
	}
	return false
}

// profileFlag is how the aws command is told of the profile.
func (p *Provider) profileFlag() string {
	if p.set.profile == "" {
		return ""
	}
	return " --profile " + p.set.profile
}

// operation names the call that failed: "RunInstances: ".
func operation(err error) string {
	var op *smithy.OperationError
	if errors.As(err, &op) {
		return op.Operation() + ": "
	}
	return ""
}

var (
	encoded = regexp.MustCompile(`\s*Encoded authorization failure message:.*`)
	allowed = regexp.MustCompile(`not authorized to perform:? ([a-z0-9-]+:[A-Za-z]+)`)
)

// sentence says what a refused call was and why, without what only the vendor can read.
func sentence(err error, code, message string) string {
	message = encoded.ReplaceAllString(message, "")
	if (code == "UnauthorizedOperation" || strings.HasPrefix(code, "AccessDenied")) && !allowed.MatchString(message) {
		var op *smithy.OperationError
		if errors.As(err, &op) {
			message = fmt.Sprintf("not allowed: %s:%s. %s", strings.ToLower(op.Service()), op.Operation(), message)
		}
	}
	return operation(err) + clip(message)
}

// clip is the first line of words that come from elsewhere: what follows may repeat the request with its credentials.
func clip(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	const most = 500
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + " ..."
	}
	return s
}

// root is the innermost error.
func root(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}
