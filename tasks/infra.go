package tasks

import (
	"fmt"
	"strings"
)

// cloudNames maps the names a task file may use to how they are displayed.
// The keys are canonical; k8s is an alias of kubernetes.
var cloudNames = map[string]string{
	"aws": "AWS", "azure": "Azure", "gcp": "GCP", "ibm": "IBM", "lambda": "Lambda", "scp": "SCP", "oci": "OCI",
	"kubernetes": "Kubernetes", "runpod": "RunPod", "vast": "Vast", "vsphere": "vSphere", "cudo": "Cudo",
	"fluidstack": "Fluidstack", "paperspace": "Paperspace", "primeintellect": "PrimeIntellect", "do": "DO",
	"nebius": "Nebius", "ssh": "SSH", "slurm": "Slurm", "hyperbolic": "Hyperbolic", "seeweb": "Seeweb",
	"shadeform": "Shadeform", "yotta": "Yotta", "mithril": "Mithril", "verda": "Verda",
}

// ownClouds are places SkyPilot does not have. The command line may name them;
// a file may not, so that files mean the same to both programs.
var ownClouds = map[string]string{"local": "Local", "docker": "Docker", "fake": "Fake"}

// String returns the form used in files: cloud[/region[/zone]] with * for a
// gap, or "" for anywhere.
func (i Infra) String() string {
	parts := []string{i.Cloud, i.Region, i.Zone}
	for len(parts) > 0 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	for j, p := range parts {
		if p == "" {
			parts[j] = "*"
		}
	}
	return strings.Join(parts, "/")
}

// DisplayCloud returns the cloud's name as people write it, e.g. AWS.
func (i Infra) DisplayCloud() string {
	if n, ok := cloudNames[i.Cloud]; ok {
		return n
	}
	if n, ok := ownClouds[i.Cloud]; ok {
		return n
	}
	return i.Cloud
}

// CloudNames returns every cloud a task file may name, sorted.
func CloudNames() []string { return sortedKeys(cloudNames) }

// ParseInfra reads cloud[/region[/zone]]. It also knows this program's own
// places, such as local.
func ParseInfra(s string) (Infra, error) {
	return parseInfra(s, sortedKeys(ownClouds))
}

func parseInfra(s string, extra []string) (Infra, error) {
	cloud, rest, hasRest := strings.Cut(s, "/")
	var out Infra
	if cloud != "*" {
		canonical, ok := canonicalCloud(cloud, extra)
		if !ok {
			return out, fmt.Errorf("the infra %s names no known cloud", quote(s))
		}
		out.Cloud = canonical
	}
	if !hasRest {
		return out, nil
	}
	if out.Cloud == "kubernetes" { // a context may contain slashes
		if rest == "" {
			return out, fmt.Errorf("the infra %s ends with a slash", quote(s))
		}
		out.Region = unstar(rest)
		return out, nil
	}
	parts := strings.Split(rest, "/")
	if len(parts) > 2 {
		return out, fmt.Errorf("the infra %s has more than three parts", quote(s))
	}
	for _, p := range parts {
		if p == "" {
			return out, fmt.Errorf("the infra %s has an empty part", quote(s))
		}
	}
	out.Region = unstar(strings.TrimSpace(parts[0]))
	if len(parts) == 2 {
		out.Zone = unstar(strings.TrimSpace(parts[1]))
	}
	return out, nil
}

func unstar(s string) string {
	if s == "*" {
		return ""
	}
	return s
}

func canonicalCloud(s string, extra []string) (string, bool) {
	low := strings.ToLower(s)
	if low == "k8s" {
		low = "kubernetes"
	}
	if _, ok := cloudNames[low]; ok {
		return low, true
	}
	return low, isChoice(low, extra, true)
}

const infraForms = "cloud[/region[/zone]], k8s[/context], ssh[/pool], slurm[/cluster[/partition]]; * stands for any"

// infra reads infra, or the older cloud, region and zone.
func (c *checker) infra(s section, base section, o Overrides) Infra {
	pick := func(name string) *value {
		if v := s.get(name); v != nil {
			return v
		}
		return base.get(name)
	}
	v := pick("infra")
	var old []string
	for _, n := range []string{"cloud", "region", "zone"} {
		if pick(n) != nil {
			old = append(old, n)
		}
	}
	if v != nil && len(old) > 0 {
		c.fail(pick(old[0]).pos, s.at(old[0]), fmt.Sprintf("%s cannot be used together with infra", strings.Join(old, ", ")), "infra alone",
			"put it into infra as cloud/region/zone")
		return Infra{}
	}
	extra := o.ExtraClouds
	if v == nil {
		return c.oldInfra(s, pick, extra)
	}
	if v.pos.file == "--infra" {
		extra = append(sortedKeys(ownClouds), extra...)
	}
	out, err := parseInfra(v.text, extra)
	if err != nil {
		cloud, _, _ := strings.Cut(v.text, "/")
		suggestion := didYouMean(cloud, append(CloudNames(), "k8s"))
		if _, own := ownClouds[strings.ToLower(cloud)]; own {
			suggestion = "pass --infra " + strings.ToLower(cloud) + " on the command line instead"
		} else if strings.TrimSpace(cloud) != cloud {
			suggestion = "remove the blanks"
		}
		c.fail(v.pos, s.at("infra"), err.Error(), infraForms, suggestion)
	}
	return out
}

func (c *checker) oldInfra(s section, pick func(string) *value, extra []string) Infra {
	var out Infra
	if v := pick("cloud"); v != nil {
		canonical, ok := canonicalCloud(v.text, extra)
		if !ok {
			c.fail(v.pos, s.at("cloud"), fmt.Sprintf("the cloud %s is not known", v.show()), strings.Join(CloudNames(), ", "),
				didYouMean(v.text, CloudNames()))
		}
		out.Cloud = canonical
	}
	if v := pick("region"); v != nil {
		out.Region = v.text
	}
	if v := pick("zone"); v != nil {
		out.Zone = v.text
	}
	return out
}
