package gcp

import (
	"fmt"
	"strings"

	"aloft/providers"
)

// attachable are the accelerators that attach to N1 machines, by the catalogue's name; others come with machine types of
// their own.
func attachable(name string) (string, bool) {
	t, ok := map[string]string{
		"t4": "nvidia-tesla-t4", "v100": "nvidia-tesla-v100", "p100": "nvidia-tesla-p100", "p4": "nvidia-tesla-p4", "k80": "nvidia-tesla-k80",
	}[strings.ToLower(name)]
	return t, ok
}

// family is the series of a machine type: n1, a2, c4a.
func family(machineType string) string {
	f, _, _ := strings.Cut(machineType, "-")
	return f
}

// arm reports whether a series has Arm processors.
func arm(family string) bool {
	switch family {
	case "t2a", "c4a", "n4a", "a4x":
		return true
	}
	return false
}

// compact reports whether machines of a series can be placed close together.
func compact(family string) bool {
	switch family {
	case "a2", "a3", "a4", "a4x", "c2", "c2d", "c3", "c3d", "c4", "c4d", "g2", "h3", "h4d", "n2", "n2d":
		return true
	}
	return false
}

// hyperdiskOnly reports whether a machine type boots from hyperdisks only.
func hyperdiskOnly(machineType string) bool {
	switch family(machineType) {
	case "a4", "a4x", "c4", "c4a", "c4d", "n4", "n4a", "n4d", "h4d", "x4", "m4":
		return true
	}
	return strings.HasPrefix(machineType, "a3-ultragpu")
}

// standardDisk reports whether a series can boot from pd-standard.
func standardDisk(family string) bool {
	switch family {
	case "n1", "n2", "n2d", "e2", "c2", "c2d", "a2", "t2d", "t2a", "m1", "m2":
		return true
	}
	return false
}

// extremeDisk reports whether a series can have hyperdisk-extreme or pd-extreme, for disk_tier ultra.
func extremeDisk(family string) string {
	switch family {
	case "n2", "m1", "m2":
		return "pd-extreme"
	case "a3", "c3", "c3d", "m3":
		return "hyperdisk-balanced"
	}
	return "pd-ssd"
}

// diskType is the kind of boot disk for a tier on a machine type.
func diskType(tier, machineType string) (string, error) {
	f := family(machineType)
	if hyperdiskOnly(machineType) {
		switch tier {
		case "", "low", "medium", "high", "ultra", "best", "none":
			return "hyperdisk-balanced", nil
		}
	}
	switch tier {
	case "", "none", "medium":
		return "pd-balanced", nil
	case "low":
		if standardDisk(f) {
			return "pd-standard", nil
		}
		return "pd-balanced", nil
	case "high":
		if f == "h3" {
			return "pd-balanced", nil
		}
		return "pd-ssd", nil
	case "ultra", "best":
		if f == "h3" {
			return "pd-balanced", nil
		}
		return extremeDisk(f), nil
	}
	return "", fmt.Errorf("disk_tier %q: allowed are low, medium, high, ultra, best", tier)
}

// Images that machines boot from where neither the task nor the settings name one. Families always mean their newest image.
const (
	imageCPU = "projects/ubuntu-os-cloud/global/images/family/ubuntu-2204-lts"
	imageArm = "projects/ubuntu-os-cloud/global/images/family/ubuntu-2204-lts-arm64"
	// imageGPU has NVIDIA's driver, CUDA and Docker.
	imageGPU = "projects/deeplearning-platform-release/global/images/family/common-cu129-ubuntu-2204-nvidia-580"
	// imageArmGPU has the driver for Grace machines.
	imageArmGPU = "projects/ubuntu-os-accelerator-images/global/images/family/ubuntu-accelerator-2204-arm64-with-nvidia-580"
)

// image is the boot image of a request: the task's, the settings', or the usual one for the machine.
func (s settings) imageFor(spec providers.NodeSpec) (string, error) {
	name := spec.Image
	if strings.HasPrefix(name, "docker:") {
		name = "" // the machine gets the usual image, the container is the agent's
	}
	if name == "" {
		name = s.image
	}
	if name == "" {
		gpu, a := spec.Accelerator != "", arm(family(spec.InstanceType))
		switch {
		case gpu && a:
			return imageArmGPU, nil
		case gpu:
			return imageGPU, nil
		case a:
			return imageArm, nil
		}
		return imageCPU, nil
	}
	if i := strings.Index(name, "/projects/"); i >= 0 {
		name = name[i+1:]
	}
	switch {
	case strings.HasPrefix(name, "projects/") && strings.Contains(name, "/global/images/"), strings.HasPrefix(name, "global/images/"):
		return name, nil
	case strings.HasPrefix(name, "family/") && namePattern.MatchString(strings.TrimPrefix(name, "family/")), namePattern.MatchString(name):
		return "global/images/" + name, nil
	}
	return "", fmt.Errorf("image_id %q: allowed are projects/PROJECT/global/images/IMAGE, projects/PROJECT/global/images/family/FAMILY, or the name of an image of your project", spec.Image)
}
