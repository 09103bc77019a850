package ec2lab

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// items is a set in EC2's XML.
type items[T any] struct {
	Items []T `xml:"item"`
}

type stateXML struct {
	Code int    `xml:"code"`
	Name string `xml:"name"`
}

type tagXML struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

type groupXML struct {
	ID   string `xml:"groupId"`
	Name string `xml:"groupName"`
}

type reasonXML struct {
	Code    string `xml:"code"`
	Message string `xml:"message"`
}

type placementXML struct {
	Zone    string `xml:"availabilityZone"`
	Group   string `xml:"groupName"`
	Tenancy string `xml:"tenancy"`
}

type profileXML struct {
	ARN string `xml:"arn"`
	ID  string `xml:"id"`
}

type metadataXML struct {
	State    string `xml:"state"`
	Tokens   string `xml:"httpTokens"`
	Hops     int    `xml:"httpPutResponseHopLimit"`
	Endpoint string `xml:"httpEndpoint"`
	Tags     string `xml:"instanceMetadataTags"`
}

type instanceXML struct {
	ID             string          `xml:"instanceId"`
	Image          string          `xml:"imageId"`
	State          stateXML        `xml:"instanceState"`
	PrivateDNS     string          `xml:"privateDnsName"`
	PublicDNS      string          `xml:"dnsName"`
	Reason         string          `xml:"reason"`
	Key            string          `xml:"keyName,omitempty"`
	Index          int             `xml:"amiLaunchIndex"`
	Type           string          `xml:"instanceType"`
	Launched       string          `xml:"launchTime"`
	Placement      placementXML    `xml:"placement"`
	Monitoring     string          `xml:"monitoring>state"`
	Subnet         string          `xml:"subnetId,omitempty"`
	VPC            string          `xml:"vpcId,omitempty"`
	PrivateIP      string          `xml:"privateIpAddress,omitempty"`
	PublicIP       string          `xml:"ipAddress,omitempty"`
	Groups         items[groupXML] `xml:"groupSet"`
	StateReason    *reasonXML      `xml:"stateReason,omitempty"`
	Arch           string          `xml:"architecture"`
	RootType       string          `xml:"rootDeviceType"`
	RootName       string          `xml:"rootDeviceName"`
	Virtualization string          `xml:"virtualizationType"`
	Token          string          `xml:"clientToken"`
	Tags           items[tagXML]   `xml:"tagSet"`
	Hypervisor     string          `xml:"hypervisor"`
	Lifecycle      string          `xml:"instanceLifecycle,omitempty"`
	SpotRequest    string          `xml:"spotInstanceRequestId,omitempty"`
	Profile        *profileXML     `xml:"iamInstanceProfile,omitempty"`
	Metadata       metadataXML     `xml:"metadataOptions"`
}

type reservationXML struct {
	ID        string             `xml:"reservationId"`
	Owner     string             `xml:"ownerId"`
	Groups    items[groupXML]    `xml:"groupSet"`
	Instances items[instanceXML] `xml:"instancesSet"`
}

func tagsXML(m map[string]string) items[tagXML] {
	var out items[tagXML]
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out.Items = append(out.Items, tagXML{k, m[k]})
	}
	return out
}

func (l *Lab) instanceXML(i Instance) instanceXML {
	x := instanceXML{
		ID: i.ID, Image: i.Image, State: stateXML{i.State.code(), string(i.State)}, Key: i.Key, Type: i.Type, Launched: i.Launched.Format("2006-01-02T15:04:05.000Z"),
		Placement: placementXML{i.Zone, i.Placement, "default"}, Monitoring: "disabled", Subnet: i.Subnet, VPC: i.VPC, PrivateIP: i.PrivateIP, PublicIP: i.PublicIP,
		Arch: i.Arch, RootType: "ebs", RootName: i.RootDevice, Virtualization: "hvm", Token: i.Token, Tags: tagsXML(i.Tags), Hypervisor: "xen",
		Metadata: metadataXML{"applied", cmp.Or(i.HTTPTokens, "optional"), 1, cmp.Or(i.HTTPEndpoint, "enabled"), "disabled"},
	}
	if i.TagsInMetadata {
		x.Metadata.Tags = "enabled"
	}
	for _, g := range i.Groups {
		x.Groups.Items = append(x.Groups.Items, groupXML{g, g})
	}
	if i.Reason != "" {
		x.StateReason = &reasonXML{i.Reason, i.Reason + ": as the laboratory was told"}
		at := i.Ended
		if at.IsZero() {
			at = time.Now()
		}
		x.Reason = fmt.Sprintf("%s (%s)", i.Reason, at.UTC().Format("2006-01-02 15:04:05 GMT"))
		if i.Reason == "Client.UserInitiatedShutdown" {
			x.Reason = fmt.Sprintf("User initiated (%s)", at.UTC().Format("2006-01-02 15:04:05 GMT"))
		}
	}
	if i.Spot {
		x.Lifecycle, x.SpotRequest = "spot", i.spotRequest
	}
	if i.Profile != "" {
		x.Profile = &profileXML{"arn:aws:iam::" + l.account + ":instance-profile/" + i.Profile, "AIPALABORATORY"}
	}
	if i.PrivateIP != "" {
		x.PrivateDNS = "ip-" + dashes(i.PrivateIP) + "." + i.Region + ".compute.internal"
	}
	if i.PublicIP != "" {
		x.PublicDNS = "ec2-" + dashes(i.PublicIP) + "." + i.Region + ".compute.amazonaws.com"
	}
	return x
}

func dashes(ip string) string {
	b := []byte(ip)
	for i := range b {
		if b[i] == '.' {
			b[i] = '-'
		}
	}
	return string(b)
}

func (l *Lab) reservationXML(id string, is []Instance) reservationXML {
	r := reservationXML{ID: id, Owner: l.account}
	for n, i := range is {
		x := l.instanceXML(i)
		x.Index = n
		r.Instances.Items = append(r.Instances.Items, x)
	}
	return r
}
