package gcp

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"aloft/providers"
)

// defaultNetwork is made when it is absent: nothing is in it but our machines and our rules.
const defaultNetwork = "aloft-vpc"

// settings are the parsed settings of the provider.
type settings struct {
	project        string // "" = that of the credentials
	endpoint       string // "" = Google's
	anonymous      bool
	regions        []string
	network        string // name or projects/P/global/networks/N
	subnet         string // name or path; "" = the network's own in the region
	serviceAccount string
	oidcProvider   string // projects/NUMBER/...; "" = the credentials that Google's tools left
	oidcAccount    string // acted as with the CI job's token; "" = the job itself
	oidcAudience   string // "" = the provider's name
	image          string
	user           string
	internal       bool
	proxyJump      string
	reservations   []string
	ssh            []string // ranges
	lag, lateness  time.Duration
}

// options documents the settings.
func options() []providers.Option {
	return []providers.Option{
		{Name: "project", Help: "project that machines are made in (empty = that of the credentials, or of gcloud)", Env: "ALOFT_GCP_PROJECT"},
		{Name: "regions", Help: "regions that are listed and may be used, by comma (empty = all)", Env: "ALOFT_GCP_REGIONS"},
		{Name: "network", Help: "VPC network, by name or as projects/HOST/global/networks/NAME; only aloft-vpc is made when absent", Default: defaultNetwork, Env: "ALOFT_GCP_NETWORK"},
		{Name: "subnet", Help: "subnetwork, by name or path (empty = the network's own in the region)", Env: "ALOFT_GCP_SUBNET"},
		{Name: "service_account", Help: "e-mail of the service account that machines act as (empty = none); with compute.instances.delete they can delete themselves", Env: "ALOFT_GCP_SERVICE_ACCOUNT"},
		{Name: "oidc_provider", Help: "workload identity provider that trusts the OIDC token of the CI job, which is used instead of any other credentials: projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER", Env: "ALOFT_GCP_WORKLOAD_IDENTITY_PROVIDER"},
		{Name: "oidc_service_account", Help: "e-mail of the service account that the CI job then acts as (empty = none)", Env: "ALOFT_GCP_OIDC_SERVICE_ACCOUNT"},
		{Name: "oidc_audience", Help: "for whom that token is made (empty = the workload identity provider)", Env: "ALOFT_GCP_OIDC_AUDIENCE"},
		{Name: "image", Help: "boot image where the task names none: projects/P/global/images/I or .../images/family/F", Env: "ALOFT_GCP_IMAGE"},
		{Name: "ssh_user", Help: "login that is made on machines", Default: "sky", Env: "ALOFT_GCP_SSH_USER"},
		{Name: "ssh_source_ranges", Help: "addresses that may reach port 22, as CIDR ranges by comma; fixed when the rule is made", Default: "0.0.0.0/0", Env: "ALOFT_GCP_SSH_SOURCE_RANGES"},
		{Name: "use_internal_ips", Help: "true: machines get no public address", Env: "ALOFT_GCP_USE_INTERNAL_IPS"},
		{Name: "proxy_jump", Help: "bastion on the way to machines, as in ssh_config: user@host:port", Env: "ALOFT_GCP_PROXY_JUMP"},
		{Name: "reservations", Help: "names of reservations that machines come from, by comma", Env: "ALOFT_GCP_RESERVATIONS"},
		{Name: "endpoint", Help: "address of the Compute API, for tests", Env: "ALOFT_GCP_ENDPOINT"},
		{Name: "auth", Help: "none: no credentials are used, only with an endpoint", Env: "ALOFT_GCP_AUTH"},
		{Name: "visibility_lag", Help: "how stale listings may be", Default: "10s", Env: "ALOFT_GCP_VISIBILITY_LAG"},
		{Name: "request_lateness", Help: "how much later a call without an answer may take effect", Default: "60s", Env: "ALOFT_GCP_REQUEST_LATENESS"},
	}
}

// longestRun is the longest maxRunDuration that GCE takes, shortestRun the shortest.
const (
	longestRun  = 120 * 24 * time.Hour
	shortestRun = 30 * time.Second
)

var (
	userPattern    = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
	projectPattern = regexp.MustCompile(`^([a-z0-9.-]+:)?[a-z0-9][a-z0-9-]{0,62}$`)
	jumpPattern    = regexp.MustCompile(`^([\w.-]+@)?\w[\w.-]*(:\d+)?(,([\w.-]+@)?\w[\w.-]*(:\d+)?)*$`)
	namePattern    = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)
)

// parse reads settings; a key nobody knows is an error.
func parse(m map[string]string) (settings, error) {
	var s settings
	for _, o := range options() {
		if o.Default != "" {
			if err := s.put(o.Name, o.Default); err != nil {
				return s, err
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if m[key] == "" {
			continue
		}
		if err := s.put(key, m[key]); err != nil {
			return s, fmt.Errorf("setting %s: %w", key, err)
		}
	}
	if s.anonymous && s.endpoint == "" {
		return s, fmt.Errorf("setting auth: none works only with an endpoint")
	}
	return s, nil
}

func (s *settings) put(key, value string) error {
	value = strings.TrimSpace(value)
	var err error
	switch key {
	case "project":
		if !projectPattern.MatchString(value) {
			return fmt.Errorf("%q is no project id: lower-case letters, digits and dashes, as `gcloud projects list` shows them", value)
		}
		s.project = value
	case "regions":
		s.regions = split(value)
	case "network":
		s.network, err = reference(value, "networks")
	case "subnet":
		s.subnet, err = reference(value, "subnetworks")
	case "service_account":
		if !strings.Contains(value, "@") && value != "default" {
			return fmt.Errorf("%q is no service account: NAME@PROJECT.iam.gserviceaccount.com, or default", value)
		}
		s.serviceAccount = value
	case "oidc_provider":
		s.oidcProvider, err = poolName(value)
	case "oidc_service_account":
		if !accountPattern.MatchString(value) {
			return fmt.Errorf("%q is no service account: NAME@PROJECT.iam.gserviceaccount.com", value)
		}
		s.oidcAccount = value
	case "oidc_audience":
		s.oidcAudience = value
	case "image":
		s.image = value
	case "ssh_user":
		if !userPattern.MatchString(value) || value == "root" {
			return fmt.Errorf("%q is no login: lower-case letters, digits, _ and -, at most 32, not root", value)
		}
		s.user = value
	case "ssh_source_ranges":
		s.ssh = split(value)
		for _, r := range s.ssh {
			if _, err := netip.ParsePrefix(r); err != nil {
				return fmt.Errorf("%q is no range of addresses, like 203.0.113.0/24", r)
			}
		}
	case "use_internal_ips":
		if s.internal, err = strconv.ParseBool(value); err != nil {
			return fmt.Errorf("%q is not true or false", value)
		}
	case "proxy_jump":
		if !jumpPattern.MatchString(value) {
			return fmt.Errorf("%q is no bastion: [USER@]HOST[:PORT], several by comma", value)
		}
		s.proxyJump = value
	case "reservations":
		s.reservations = split(value)
	case "endpoint":
		u, perr := url.Parse(value)
		if perr != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("%q is no address, like http://127.0.0.1:5556", value)
		}
		s.endpoint = strings.TrimSuffix(strings.TrimSuffix(value, "/"), "/compute/v1")
	case "auth":
		switch value {
		case "none":
			s.anonymous = true
		case "default":
		default:
			return fmt.Errorf("%q is not none or default", value)
		}
	case "visibility_lag":
		s.lag, err = duration(value)
	case "request_lateness":
		s.lateness, err = duration(value)
	default:
		var names []string
		for _, o := range options() {
			names = append(names, o.Name)
		}
		return fmt.Errorf("there is no such setting; allowed: %s", strings.Join(names, ", "))
	}
	return err
}

// duration reads 90s or 5m, up to an hour.
func duration(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 || d > time.Hour {
		return 0, fmt.Errorf("%q is no duration up to an hour, like 90s", value)
	}
	return d, nil
}

// reference reads the name or the path of a resource; a full address is cut to its path.
func reference(value, collection string) (string, error) {
	if i := strings.Index(value, "/projects/"); i >= 0 {
		value = value[i+1:]
	}
	parts := strings.Split(value, "/")
	last := parts[len(parts)-1]
	if !namePattern.MatchString(last) || len(parts) > 1 && (parts[0] != "projects" || parts[len(parts)-2] != collection) {
		return "", fmt.Errorf("%q is neither a name nor projects/PROJECT/.../%s/NAME", value, collection)
	}
	return value, nil
}

func split(s string) []string {
	var out []string
	for _, x := range strings.Split(s, ",") {
		if x = strings.TrimSpace(x); x != "" {
			out = append(out, x)
		}
	}
	return out
}

// gcloudDir is where gcloud keeps its files.
func gcloudDir(getenv func(string) (string, bool)) string {
	if d, ok := getenv("CLOUDSDK_CONFIG"); ok && d != "" {
		return d
	}
	if d, ok := getenv("APPDATA"); ok && d != "" && filepath.Separator == '\\' {
		return filepath.Join(d, "gcloud")
	}
	home, ok := getenv("HOME")
	if !ok || home == "" {
		home, _ = os.UserHomeDir()
	}
	return filepath.Join(home, ".config", "gcloud")
}

// gcloudProject is the project of gcloud's active configuration; "" when there is none.
func gcloudProject(getenv func(string) (string, bool)) string {
	dir := gcloudDir(getenv)
	name := "default"
	if v, ok := getenv("CLOUDSDK_ACTIVE_CONFIG_NAME"); ok && v != "" {
		name = v
	} else if b, err := os.ReadFile(filepath.Join(dir, "active_config")); err == nil && strings.TrimSpace(string(b)) != "" {
		name = strings.TrimSpace(string(b))
	}
	b, err := os.ReadFile(filepath.Join(dir, "configurations", "config_"+filepath.Base(name)))
	if err != nil {
		return ""
	}
	section := ""
	for _, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[] ")
			continue
		}
		if k, v, ok := strings.Cut(line, "="); ok && section == "core" && strings.TrimSpace(k) == "project" {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
