package aws

import (
	"context"
	"regexp"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

// image is what matters of an AMI.
type image struct {
	id     string
	root   string // device of its root disk
	diskGB int32  // the least
	arch   string
}

// dockerPrefix marks an image of containers: the machine itself gets the default image.
const dockerPrefix = "docker:"

var amiID = regexp.MustCompile(`^ami-[0-9a-f]{8,17}$`)

func isImage(s string) bool { return amiID.MatchString(s) || strings.HasPrefix(s, "/") }

// parameters are the public parameters that name today's images, the best first: not every region and partition has all.
func parameters(m machineType) []string {
	const (
		learning = "/aws/service/deeplearning/ami/"
		latest   = "/latest/ami-id"
	)
	switch kind := m.kind(); {
	case kind == kindGPU && m.oldGPU:
		return []string{
			learning + m.arch + "/base-proprietary-nvidia-driver-gpu-ubuntu-22.04" + latest,
			learning + m.arch + "/base-oss-nvidia-driver-gpu-ubuntu-22.04" + latest,
		}
	case kind == kindGPU:
		return []string{
			learning + m.arch + "/base-oss-nvidia-driver-gpu-ubuntu-24.04" + latest,
			learning + m.arch + "/base-oss-nvidia-driver-gpu-ubuntu-22.04" + latest,
			learning + m.arch + "/base-oss-nvidia-driver-gpu-amazon-linux-2023" + latest,
		}
	case kind == kindNeuron:
		return []string{
			"/aws/service/neuron/dlami/multi-framework/ubuntu-24.04/latest/image_id",
			"/aws/service/neuron/dlami/multi-framework/ubuntu-22.04/latest/image_id",
		}
	}
	canonical := "amd64"
	if m.arch == archARM {
		canonical = "arm64"
	}
	return []string{
		"/aws/service/canonical/ubuntu/server/24.04/stable/current/" + canonical + "/hvm/ebs-gp3/ami-id",
		"/aws/service/canonical/ubuntu/server/22.04/stable/current/" + canonical + "/hvm/ebs-gp2/ami-id",
		"/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-" + m.arch,
	}
}

// image finds what a machine starts from: what the task names, else the settings, else today's public image for its kind.
func (p *Provider) image(ctx context.Context, pl *place, wanted string, m machineType) (image, error) {
	var names []string
	switch {
	case wanted != "" && !strings.HasPrefix(wanted, dockerPrefix):
		wanted = strings.TrimPrefix(wanted, "ssm:")
		switch wanted {
		case "skypilot:gpu-ubuntu-2204", "skypilot:gpu-ubuntu-2004", "skypilot:cpu-ubuntu-2204", "skypilot:cpu-ubuntu-2004":
			names = parameters(m) // SkyPilot's own images are its account's; ours of the same kind serve as well
		default:
			if !isImage(wanted) {
				return image{}, invalid("create", "image_id", "", "image_id %q: allowed are an AMI id (ami-...), an SSM parameter (ssm:/...) and docker:IMAGE", wanted)
			}
			names = []string{wanted}
		}
	case p.set.images[m.kind()].of(pl.region) != "":
		names = []string{p.set.images[m.kind()].of(pl.region)}
	default:
		names = parameters(m)
	}
	i, err := pl.images.get(ctx, strings.Join(names, " "), func(ctx context.Context) (image, error) {
		id, err := pl.imageID(ctx, names)
		if err != nil {
			return image{}, err
		}
		return pl.imageOf(ctx, id)
	})
	if err == nil && i.arch != "" && i.arch != m.arch {
		return i, invalid("create", "architecture", "name an image for "+m.arch, "the image %s is for %s, %s is %s", i.id, i.arch, m.name, m.arch)
	}
	return i, err
}

// imageID is the AMI that the first of the names that exists stands for.
func (pl *place) imageID(ctx context.Context, names []string) (string, error) {
	var last error
	for _, name := range names {
		if amiID.MatchString(name) {
			return name, nil
		}
		out, err := pl.ssm.GetParameter(ctx, &ssm.GetParameterInput{Name: sdk.String(name)})
		switch {
		case hasCode(err, "ParameterNotFound"):
			last = invalid("create", "ParameterNotFound", "name an image: image_id in the task, or `image` in the settings of aws",
				"none of these images is published in %s: %s", pl.region, strings.Join(names, ", "))
			continue
		case err != nil:
			return "", err
		}
		if out.Parameter == nil || !amiID.MatchString(sdk.ToString(out.Parameter.Value)) {
			return "", invalid("create", "image_id", "name a parameter that holds an AMI id", "the SSM parameter %s holds no AMI id", name)
		}
		return sdk.ToString(out.Parameter.Value), nil
	}
	return "", last
}

// imageOf looks an AMI up.
func (pl *place) imageOf(ctx context.Context, id string) (image, error) {
	out, err := pl.ec2.DescribeImages(ctx, &ec2.DescribeImagesInput{ImageIds: []string{id}})
	if err != nil {
		return image{}, err
	}
	if len(out.Images) == 0 {
		return image{}, invalid("create", "InvalidAMIID.NotFound", strings.ReplaceAll(hintImage, "{region}", pl.region), "there is no image %s in %s, or it is not shared with this account", id, pl.region)
	}
	ami := out.Images[0]
	i := image{id: id, root: sdk.ToString(ami.RootDeviceName), arch: string(ami.Architecture)}
	if i.root == "" {
		i.root = "/dev/sda1"
	}
	for _, b := range ami.BlockDeviceMappings {
		if sdk.ToString(b.DeviceName) == i.root && b.Ebs != nil {
			i.diskGB = sdk.ToInt32(b.Ebs.VolumeSize)
		}
	}
	return i, nil
}
