package aws

import (
	"fmt"
	"slices"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"aloft/providers"
)

// tier is a class of disks.
type tier struct {
	kind       types.VolumeType
	iops       int32 // 0 = what the kind has anyway
	throughput int32 // MB/s; 0 = what the kind has anyway
}

// tiers are SkyPilot's, but that low is a gp3 disk without extras instead of a magnetic one: no dearer, never slower.
func tiers() map[string]tier {
	return map[string]tier{
		"low":    {kind: types.VolumeTypeGp3},
		"medium": {types.VolumeTypeGp3, 3500, 218},
		"high":   {types.VolumeTypeGp3, 7000, 437},
		"ultra":  {kind: types.VolumeTypeIo2, iops: 20000},
	}
}

func tierNames() string {
	var names []string
	for n := range tiers() {
		names = append(names, n)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// Limits of EBS: operations per second that a GB may have, and those that a gp3 disk has anyway.
const (
	gp3PerGB    = 500
	io2PerGB    = 1000
	gp3Baseline = 3000
)

// rootDisk is the one disk of a machine: encrypted, and gone with it.
func (s settings) rootDisk(spec providers.NodeSpec, img image) (types.BlockDeviceMapping, error) {
	size, name := spec.DiskGB, spec.DiskTier
	if size == 0 {
		size = s.diskGB
	}
	switch name {
	case "", "none":
		name = s.diskTier
	case "best":
		name = "high"
	}
	t, ok := tiers()[name]
	if !ok {
		return types.BlockDeviceMapping{}, invalid("create", "disk_tier", "", "disk_tier %q; allowed: best, %s", name, tierNames())
	}
	if size < img.diskGB {
		return types.BlockDeviceMapping{}, invalid("create", "disk_size", fmt.Sprintf("set disk_size to %d or more", img.diskGB),
			"disk_size %d is smaller than the image %s, which needs %d GB", size, img.id, img.diskGB)
	}
	disk := &types.EbsBlockDevice{
		DeleteOnTermination: sdk.Bool(true), Encrypted: sdk.Bool(true), VolumeSize: sdk.Int32(size), VolumeType: t.kind,
	}
	most := size * gp3PerGB
	if t.kind == types.VolumeTypeIo2 {
		most = size * io2PerGB
	}
	if n := min(t.iops, max(most, gp3Baseline)); n > 0 {
		disk.Iops = sdk.Int32(n)
		if t.throughput > 0 {
			disk.Throughput = sdk.Int32(min(t.throughput, n/4))
		}
	}
	if t.kind == types.VolumeTypeIo2 {
		disk.Iops = sdk.Int32(min(t.iops, most))
	}
	return types.BlockDeviceMapping{DeviceName: sdk.String(img.root), Ebs: disk}, nil
}
