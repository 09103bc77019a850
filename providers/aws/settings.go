package aws

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"aloft/providers"
)

// settings are the parsed settings of the provider.
type settings struct {
	region          string   // where account-wide questions are asked; "" = that of the profile, else fallbackRegion
	regions         []string // to be swept; nil = every one that is enabled
	profile         string
	endpoint        string
	vpc             string // id or name; "" = the default one
	subnets         []string
	securityGroup   string
	images          map[string]choice // by kind of machine: x86_64, arm64, gpu
	instanceProfile string
	useInternalIPs  bool
	useInstanceRole bool
	oidcRole        string // "" = credentials of the default chain
	oidcAudience    string // "" = oidcAudience
	proxyJump       string
	user            string
	sshFrom         []netip.Prefix // nil = nobody
	useSSM          bool
	diskGB          int32
	diskTier        string
}

// choice is an image by region; "" holds for any region.
type choice map[string]string

// fallbackRegion is asked where neither settings nor profile name a region.
const fallbackRegion = "us-east-1"

// options documents the settings.
func options() []providers.Option {
	return []providers.Option{
		{Name: "profile", Help: "profile of ~/.aws/config to use", Env: "AWS_PROFILE"},
		{Name: "region", Help: "region in which account-wide questions are asked (default: the profile's, else us-east-1)"},
		{Name: "regions", Help: "regions that are swept for machines (default: every region enabled for the account)"},
		{Name: "endpoint_url", Help: "address to use instead of Amazon's", Env: "AWS_ENDPOINT_URL"},
		{Name: "vpc", Help: "id or name of the network (default: the default VPC of the region)"},
		{Name: "subnets", Help: "ids of the subnets to use (default: those of the network, public ones first)"},
		{Name: "security_group", Help: "id or name of a security group to use instead of our own; its rules are left alone"},
		{Name: "image", Help: "image for x86_64 machines: AMI id, SSM parameter, or REGION=AMI,..."},
		{Name: "image_arm64", Help: "the same for arm64 machines"},
		{Name: "image_gpu", Help: "the same for machines with NVIDIA GPUs"},
		{Name: "instance_profile", Help: "name or ARN of the IAM instance profile that machines get (default: none)"},
		{Name: "use_internal_ips", Help: "true: machines get no public address and are reached at their private one", Default: "false"},
		{Name: "use_ssm", Help: "true: machines are reached through AWS Systems Manager, and no port is open at all; takes instance_profile, the AWS CLI and its session-manager-plugin", Default: "false"},
		{Name: "use_instance_role", Help: "true: use the role of the machine or container this runs on", Default: "false"},
		{Name: "oidc_role", Help: "ARN of the role that is taken with the OIDC token of the CI job, instead of any other credentials", Env: "ALOFT_AWS_ROLE_ARN"},
		{Name: "oidc_audience", Help: "for whom that token is made (default: sts.amazonaws.com)", Env: "ALOFT_AWS_OIDC_AUDIENCE"},
		{Name: "proxy_jump", Help: "host through which machines are reached, as in ssh_config"},
		{Name: "ssh_user", Help: "user that logs in", Default: "ubuntu"},
		{Name: "ssh_from", Help: "networks from which SSH is allowed: CIDR,..., or none", Default: "0.0.0.0/0,::/0"},
		{Name: "disk_size", Help: "GB of disk where the task does not say", Default: "256"},
		{Name: "disk_tier", Help: "low, medium, high or ultra, where the task does not say", Default: "medium"},
	}
}

var (
	regionName = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-\d{1,2}$`)
	jumpHosts  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._@:-]*(,[A-Za-z0-9_][A-Za-z0-9._@:-]*)*$`)
	userName   = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
)

// parse reads settings; a key nobody knows is an error.
func parse(m map[string]string) (settings, error) {
	s := settings{images: map[string]choice{}}
	for _, o := range options() {
		if o.Default != "" {
			if err := s.put(o.Name, o.Default); err != nil {
				return s, fmt.Errorf("setting %s: %w", o.Name, err)
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
	if s.useSSM {
		switch {
		case s.instanceProfile == "":
			return s, errors.New("setting use_ssm: name an instance_profile whose role has the policy AmazonSSMManagedInstanceCore")
		case s.proxyJump != "":
			return s, errors.New("setting use_ssm: it is a way of its own, proxy_jump another: set one of them")
		case m["ssh_from"] == "":
			s.sshFrom = nil // nobody needs to reach port 22
		}
	}
	return s, nil
}

func (s *settings) put(key, value string) (err error) {
	switch key {
	case "profile":
		s.profile = value
	case "region":
		s.region, err = aRegion(value)
	case "regions":
		s.regions = nil
		for _, r := range split(value) {
			if r, err = aRegion(r); err != nil {
				return err
			}
			s.regions = append(s.regions, r)
		}
	case "endpoint_url":
		s.endpoint = value
	case "vpc":
		s.vpc = value
	case "subnets":
		s.subnets = split(value)
		for _, id := range s.subnets {
			if !strings.HasPrefix(id, "subnet-") {
				return fmt.Errorf("%q is no subnet id such as subnet-0a1b2c3d", id)
			}
		}
	case "security_group":
		s.securityGroup = value
	case "image":
		s.images[archX86], err = aChoice(value)
	case "image_arm64":
		s.images[archARM], err = aChoice(value)
	case "image_gpu":
		s.images[kindGPU], err = aChoice(value)
	case "instance_profile":
		s.instanceProfile = value
	case "use_internal_ips":
		s.useInternalIPs, err = aBool(value)
	case "use_ssm":
		s.useSSM, err = aBool(value)
	case "use_instance_role":
		s.useInstanceRole, err = aBool(value)
	case "oidc_role":
		if !roleARN.MatchString(value) {
			return fmt.Errorf("%q is no role such as arn:aws:iam::111122223333:role/aloft-ci", value)
		}
		s.oidcRole = value
	case "oidc_audience":
		s.oidcAudience = value
	case "proxy_jump":
		if !jumpHosts.MatchString(value) {
			return fmt.Errorf("%q is not a list of [USER@]HOST[:PORT], by commas", value)
		}
		s.proxyJump = value
	case "ssh_user":
		if !userName.MatchString(value) {
			return fmt.Errorf("%q is no user name", value)
		}
		s.user = value
	case "ssh_from":
		s.sshFrom, err = networks(value)
	case "disk_size":
		n, perr := strconv.ParseInt(strings.TrimSuffix(value, "GB"), 10, 32)
		if perr != nil || n < 1 || n > 65536 {
			return fmt.Errorf("%q; allowed: 1 to 65536 (GB)", value)
		}
		s.diskGB = int32(n)
	case "disk_tier":
		if _, ok := tiers()[value]; !ok {
			return fmt.Errorf("%q; allowed: %s", value, tierNames())
		}
		s.diskTier = value
	default:
		var names []string
		for _, o := range options() {
			names = append(names, o.Name)
		}
		return fmt.Errorf("no such setting; there are %s", strings.Join(names, ", "))
	}
	return err
}

func aRegion(s string) (string, error) {
	if !regionName.MatchString(s) {
		return "", fmt.Errorf("%q is no region such as us-east-1", s)
	}
	return s, nil
}

func aBool(s string) (bool, error) {
	switch s {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("%q; allowed: true, false", s)
}

// aChoice reads "ami-1", "/an/ssm/parameter" or "us-east-1=ami-1,us-west-2=ami-2".
func aChoice(s string) (choice, error) {
	c := choice{}
	for _, item := range split(s) {
		region, image, ok := strings.Cut(item, "=")
		if !ok {
			region, image = "", item
		} else if _, err := aRegion(region); err != nil {
			return nil, err
		}
		if !isImage(image) {
			return nil, fmt.Errorf("%q is neither an AMI id (ami-...) nor an SSM parameter (/...)", image)
		}
		c[region] = image
	}
	return c, nil
}

// of is the image of a region; "" = none was chosen.
func (c choice) of(region string) string {
	if v, ok := c[region]; ok {
		return v
	}
	return c[""]
}

func networks(s string) ([]netip.Prefix, error) {
	if s == "none" {
		return nil, nil
	}
	var out []netip.Prefix
	for _, item := range split(s) {
		n, err := netip.ParsePrefix(item)
		if err != nil {
			return nil, fmt.Errorf("%q is no network such as 203.0.113.0/24 (or none)", item)
		}
		out = append(out, n.Masked())
	}
	return out, nil
}

func split(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}
