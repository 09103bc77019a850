package aws

import (
	"context"
	"regexp"
	"slices"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// Kinds of machines that need different images.
const (
	archX86    = "x86_64"
	archARM    = "arm64"
	kindGPU    = "gpu"
	kindNeuron = "neuron"
)

// machineType is what matters of an instance type.
type machineType struct {
	name   string
	arch   string
	vcpus  int32
	nvidia bool
	oldGPU bool // older than what the open driver knows
	neuron bool
	efa    bool
	cards  int32 // network cards that can carry EFA
	spot   bool
}

// oldGPUs are NVIDIA's before Turing: GPUs by EC2's names.
var oldGPUs = regexp.MustCompile(`^(K80|K520|M60|V100)$`)

// machine looks an instance type up.
func (pl *place) machine(ctx context.Context, name string) (machineType, error) {
	return pl.types.get(ctx, name, func(ctx context.Context) (machineType, error) {
		out, err := pl.ec2.DescribeInstanceTypes(ctx, &ec2.DescribeInstanceTypesInput{InstanceTypes: []types.InstanceType{types.InstanceType(name)}})
		if err != nil {
			return machineType{}, err
		}
		if len(out.InstanceTypes) == 0 {
			return machineType{}, invalid("create", "InvalidInstanceType", "choose an instance type that "+pl.region+" has", "there is no instance type %q in %s", name, pl.region)
		}
		return machineOf(out.InstanceTypes[0]), nil
	})
}

func machineOf(i types.InstanceTypeInfo) machineType {
	m := machineType{name: string(i.InstanceType), arch: archX86, spot: slices.Contains(i.SupportedUsageClasses, types.UsageClassTypeSpot)}
	if p := i.ProcessorInfo; p != nil && slices.Contains(p.SupportedArchitectures, types.ArchitectureTypeArm64) {
		m.arch = archARM
	}
	if v := i.VCpuInfo; v != nil {
		m.vcpus = sdk.ToInt32(v.DefaultVCpus)
	}
	if g := i.GpuInfo; g != nil {
		for _, x := range g.Gpus {
			if strings.EqualFold(sdk.ToString(x.Manufacturer), "NVIDIA") {
				m.nvidia, m.oldGPU = true, m.oldGPU || oldGPUs.MatchString(sdk.ToString(x.Name))
			}
		}
	}
	m.neuron = i.NeuronInfo != nil || i.InferenceAcceleratorInfo != nil
	if n := i.NetworkInfo; n != nil && sdk.ToBool(n.EfaSupported) {
		m.efa, m.cards = true, 1
		if n.EfaInfo != nil {
			m.cards = max(1, sdk.ToInt32(n.EfaInfo.MaximumEfaInterfaces))
		}
	}
	return m
}

// kind says which image the type needs.
func (m machineType) kind() string {
	switch {
	case m.nvidia:
		return kindGPU
	case m.neuron:
		return kindNeuron
	}
	return m.arch
}

// zoneOf is the first zone of the region, in the order of names, that has the type and one of the subnets.
func (pl *place) zoneOf(ctx context.Context, name string, have func(zone string) bool) (string, error) {
	var zones []string
	pages := ec2.NewDescribeInstanceTypeOfferingsPaginator(pl.ec2, &ec2.DescribeInstanceTypeOfferingsInput{
		LocationType: types.LocationTypeAvailabilityZone, Filters: []types.Filter{filter("instance-type", name)},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", err
		}
		for _, o := range page.InstanceTypeOfferings {
			zones = append(zones, sdk.ToString(o.Location))
		}
	}
	slices.Sort(zones)
	for _, z := range zones {
		if have(z) {
			return z, nil
		}
	}
	return "", invalid("create", "no-zone", hintZone, "%s is sold in no zone of %s that has a subnet to use (sold in: %s)", name, pl.region, strings.Join(zones, ", "))
}

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: sdk.String(name), Values: values}
}
