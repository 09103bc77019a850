package ec2lab

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
)

// typeFacts is what moto says of an instance type in a region.
type typeFacts struct {
	exists bool
	archs  []string
	vcpus  int
	spot   bool
	zones  []string
}

// typeFacts asks moto once for each type and region.
func (l *Lab) typeFacts(ctx context.Context, q *request, name string) (typeFacts, *response) {
	key := "type " + q.region + " " + name
	l.mu.Lock()
	f, ok := l.known[key].(typeFacts)
	l.mu.Unlock()
	if ok {
		return f, nil
	}
	out := l.ask(ctx, q.region, "DescribeInstanceTypes", map[string]string{"InstanceType.1": name})
	switch {
	case out.code == "InvalidInstanceType":
		return f, nil
	case out.code != "":
		return f, failure(q, "InternalError", "moto: DescribeInstanceTypes: %s", out.code)
	}
	var types struct {
		Types []struct {
			Archs []string `xml:"processorInfo>supportedArchitectures>item"`
			VCPUs int      `xml:"vCpuInfo>defaultVCpus"`
			Uses  []string `xml:"supportedUsageClasses>item"`
		} `xml:"instanceTypeSet>item"`
	}
	if err := xml.Unmarshal(out.body, &types); err != nil {
		return f, failure(q, "InternalError", "moto: %v", err)
	}
	if len(types.Types) == 0 {
		return f, nil
	}
	f.exists, f.archs, f.vcpus = true, types.Types[0].Archs, types.Types[0].VCPUs
	for _, u := range types.Types[0].Uses {
		f.spot = f.spot || u == "spot"
	}
	out = l.ask(ctx, q.region, "DescribeInstanceTypeOfferings", map[string]string{"LocationType": "availability-zone", "Filter.1.Name": "instance-type", "Filter.1.Value.1": name})
	if out.code != "" {
		return f, failure(q, "InternalError", "moto: DescribeInstanceTypeOfferings: %s", out.code)
	}
	var offers struct {
		Zones []string `xml:"instanceTypeOfferingSet>item>location"`
	}
	if err := xml.Unmarshal(out.body, &offers); err != nil {
		return f, failure(q, "InternalError", "moto: %v", err)
	}
	f.zones = offers.Zones
	l.mu.Lock()
	l.known[key] = f
	l.mu.Unlock()
	return f, nil
}

type subnet struct{ zone, vpc string }

// subnet asks moto once for each subnet.
func (l *Lab) subnet(ctx context.Context, region, id string) (subnet, error) {
	key := "subnet " + region + " " + id
	l.mu.Lock()
	s, ok := l.known[key].(subnet)
	l.mu.Unlock()
	if ok {
		return s, nil
	}
	out := l.ask(ctx, region, "DescribeSubnets", map[string]string{"SubnetId.1": id})
	var v struct {
		Subnets []struct {
			Zone string `xml:"availabilityZone"`
			VPC  string `xml:"vpcId"`
		} `xml:"subnetSet>item"`
	}
	if out.code != "" {
		return s, errors.New(out.code)
	}
	if err := xml.Unmarshal(out.body, &v); err != nil {
		return s, err
	}
	if len(v.Subnets) == 0 {
		return s, fmt.Errorf("there is no subnet %s", id)
	}
	s = subnet{v.Subnets[0].Zone, v.Subnets[0].VPC}
	l.mu.Lock()
	l.known[key] = s
	l.mu.Unlock()
	return s, nil
}
