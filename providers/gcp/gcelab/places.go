package gcelab

import (
	"fmt"
	"slices"
	"strings"
)

// region is a region and the last letters of its zones.
type region struct{ name, zones string }

// regions are some of Google's, in its order of names.
func regions() []region {
	return []region{
		{"asia-east1", "abc"}, {"asia-northeast1", "abc"}, {"asia-northeast3", "abc"}, {"asia-south1", "abc"}, {"asia-southeast1", "abc"},
		{"australia-southeast1", "abc"}, {"europe-north1", "abc"}, {"europe-west1", "bcd"}, {"europe-west2", "abc"}, {"europe-west3", "abc"},
		{"europe-west4", "abc"}, {"me-west1", "abc"}, {"northamerica-northeast1", "abc"}, {"southamerica-east1", "abc"}, {"us-central1", "abcf"},
		{"us-east1", "bcd"}, {"us-east4", "abc"}, {"us-east5", "abc"}, {"us-south1", "abc"}, {"us-west1", "abc"}, {"us-west2", "abc"},
		{"us-west3", "abc"}, {"us-west4", "abc"},
	}
}

func zoneNames() []string {
	var out []string
	for _, r := range regions() {
		for _, z := range r.zones {
			out = append(out, r.name+"-"+string(z))
		}
	}
	return out
}

// regionOf is a zone's region.
func regionOf(zone string) string {
	if i := strings.LastIndexByte(zone, '-'); i > 0 {
		return zone[:i]
	}
	return zone
}

func knownRegion(name string) bool {
	return slices.ContainsFunc(regions(), func(r region) bool { return r.name == name })
}

// family is a series of machine types: prefix-N with N processors and that many GiB for each.
type family struct {
	prefix string
	cpus   []int
	memory float64
	metric string // quota of its processors
}

func families() []family {
	small, n1 := []int{2, 4, 8, 16, 32}, []int{2, 4, 8, 16, 32, 64, 96}
	n2 := []int{2, 4, 8, 16, 32, 48, 64, 80, 96, 128}
	n4 := []int{2, 4, 8, 16, 32, 48, 64, 80}
	c3 := []int{4, 8, 22, 44, 88, 176}
	return []family{
		{"e2-standard", small, 4, "CPUS"}, {"e2-highmem", []int{2, 4, 8, 16}, 8, "CPUS"}, {"e2-highcpu", small, 1, "CPUS"},
		{"n1-standard", append([]int{1}, n1...), 3.75, "CPUS"}, {"n1-highmem", n1, 6.5, "CPUS"}, {"n1-highcpu", n1, 0.9, "CPUS"},
		{"n2-standard", n2, 4, "N2_CPUS"}, {"n2-highmem", n2, 8, "N2_CPUS"}, {"n2-highcpu", n2[:9], 1, "N2_CPUS"},
		{"n2d-standard", n2, 4, "N2D_CPUS"}, {"n4-standard", n4, 4, "N4_CPUS"}, {"n4-highmem", n4, 8, "N4_CPUS"}, {"n4-highcpu", n4, 2, "N4_CPUS"},
		{"c3-standard", c3, 4, "C3_CPUS"}, {"c2-standard", []int{4, 8, 16, 30, 60}, 4, "C2_CPUS"}, {"t2d-standard", []int{1, 2, 4, 8, 16, 32, 48, 60}, 4, "T2D_CPUS"},
	}
}

// machineType is one that zones offer.
type machineType struct {
	name        string
	cpus        int
	memoryMB    int
	shared      bool
	metric      string
	accelerator string // implied, with its count
	count       int
	zones       []string // nil = all
}

// accelerator is a kind of GPU.
type accelerator struct {
	name, text, metric string
	most               int // cards in an instance
	attached           bool
	zones              []string
}

func accelerators() []accelerator {
	a100 := []string{"us-central1-a", "us-central1-b", "us-central1-c", "us-central1-f", "us-east1-b", "us-west1-b", "europe-west4-a", "europe-west4-b", "asia-southeast1-b", "asia-southeast1-c"}
	l4 := []string{"us-central1-a", "us-central1-b", "us-central1-c", "us-east1-b", "us-east1-c", "us-east1-d", "us-east4-a", "us-east4-c", "us-west1-a", "us-west1-b", "us-west4-a", "us-west4-c", "europe-west1-b", "europe-west1-c", "europe-west4-a", "europe-west4-b", "europe-west4-c", "asia-northeast1-a", "asia-northeast1-b", "asia-southeast1-a", "asia-southeast1-b", "asia-southeast1-c"}
	t4 := []string{"us-central1-a", "us-central1-b", "us-central1-c", "us-central1-f", "us-east1-c", "us-east1-d", "us-east4-a", "us-east4-b", "us-east4-c", "us-west1-a", "us-west1-b", "us-west2-b", "us-west4-a", "europe-west1-b", "europe-west2-a", "europe-west3-b", "europe-west4-a", "europe-west4-b", "europe-west4-c", "asia-east1-a", "asia-east1-c", "asia-northeast1-a", "asia-south1-a", "asia-southeast1-a"}
	h100 := []string{"us-central1-a", "us-central1-b", "us-central1-c", "us-east4-a", "us-east4-b", "us-east5-a", "us-west1-a", "us-west1-b", "us-west4-a", "europe-west1-b", "europe-west4-b", "europe-west4-c", "asia-northeast1-b", "asia-southeast1-b"}
	return []accelerator{
		{"nvidia-tesla-t4", "NVIDIA T4", "NVIDIA_T4_GPUS", 4, true, t4},
		{"nvidia-tesla-v100", "NVIDIA V100", "NVIDIA_V100_GPUS", 8, true, []string{"us-central1-a", "us-central1-b", "us-central1-c", "us-central1-f", "us-east1-c", "us-west1-a", "us-west1-b", "europe-west4-a", "europe-west4-b", "europe-west4-c", "asia-east1-c"}},
		{"nvidia-tesla-p100", "NVIDIA Tesla P100", "NVIDIA_P100_GPUS", 4, true, []string{"us-central1-c", "us-central1-f", "us-east1-b", "us-east1-c", "us-west1-a", "us-west1-b", "europe-west1-b", "europe-west4-a", "asia-east1-a", "asia-east1-c"}},
		{"nvidia-tesla-p4", "NVIDIA Tesla P4", "NVIDIA_P4_GPUS", 4, true, []string{"us-central1-a", "us-central1-c", "us-east4-a", "us-east4-b", "us-east4-c", "us-west2-b", "us-west2-c", "europe-west4-b", "europe-west4-c", "asia-southeast1-b"}},
		{"nvidia-l4", "NVIDIA L4", "NVIDIA_L4_GPUS", 8, false, l4},
		{"nvidia-tesla-a100", "NVIDIA A100 40GB", "NVIDIA_A100_GPUS", 16, false, a100},
		{"nvidia-a100-80gb", "NVIDIA A100 80GB", "NVIDIA_A100_80GB_GPUS", 8, false, []string{"us-central1-a", "us-central1-c", "us-east4-c", "us-east5-b", "europe-west4-a", "asia-southeast1-c"}},
		{"nvidia-h100-80gb", "NVIDIA H100 80GB", "NVIDIA_H100_GPUS", 8, false, h100},
		{"nvidia-h100-mega-80gb", "NVIDIA H100 80GB Plus", "NVIDIA_H100_MEGA_GPUS", 8, false, h100},
		{"nvidia-h200-141gb", "NVIDIA H200 141GB", "NVIDIA_H200_GPUS", 8, false, []string{"us-central1-b", "us-east4-b", "us-east5-a", "us-west1-c", "europe-west1-b", "us-south1-b"}},
		{"nvidia-b200", "NVIDIA B200 180GB", "NVIDIA_B200_GPUS", 8, false, []string{"us-central1-b", "us-east1-b", "us-west2-c", "us-west3-b", "europe-north1-b", "asia-southeast1-b"}},
	}
}

// machineTypes are all that some zone offers, by name.
func machineTypes() map[string]machineType {
	out := map[string]machineType{}
	add := func(m machineType) { out[m.name] = m }
	for _, f := range families() {
		for _, n := range f.cpus {
			add(machineType{name: fmt.Sprintf("%s-%d", f.prefix, n), cpus: n, memoryMB: int(f.memory * float64(n) * 1024), metric: f.metric})
		}
	}
	for i, n := range []string{"e2-micro", "e2-small", "e2-medium"} {
		add(machineType{name: n, cpus: 2, memoryMB: 1024 << i, shared: true, metric: "CPUS"})
	}
	zones := map[string][]string{}
	for _, a := range accelerators() {
		zones[a.name] = a.zones
	}
	gpu := func(name string, cpus, gb int, accelerator string, count int, metric string) {
		add(machineType{name: name, cpus: cpus, memoryMB: gb * 1024, metric: metric, accelerator: accelerator, count: count, zones: zones[accelerator]})
	}
	for i, n := range []int{1, 2, 4, 8} {
		gpu(fmt.Sprintf("a2-highgpu-%dg", n), 12<<i, 85<<i, "nvidia-tesla-a100", n, "A2_CPUS")
		gpu(fmt.Sprintf("a2-ultragpu-%dg", n), 12<<i, 170<<i, "nvidia-a100-80gb", n, "A2_CPUS")
		gpu(fmt.Sprintf("a3-highgpu-%dg", n), 26<<i, 234<<i, "nvidia-h100-80gb", n, "A3_CPUS")
	}
	gpu("a2-megagpu-16g", 96, 1360, "nvidia-tesla-a100", 16, "A2_CPUS")
	gpu("a3-megagpu-8g", 208, 1872, "nvidia-h100-mega-80gb", 8, "A3_CPUS")
	gpu("a3-ultragpu-8g", 224, 2952, "nvidia-h200-141gb", 8, "A3_CPUS")
	gpu("a4-highgpu-8g", 224, 3968, "nvidia-b200", 8, "A4_CPUS")
	for _, g := range []struct{ cpus, gb, count int }{{4, 16, 1}, {8, 32, 1}, {12, 48, 1}, {16, 64, 1}, {24, 96, 2}, {32, 128, 1}, {48, 192, 4}, {96, 384, 8}} {
		gpu(fmt.Sprintf("g2-standard-%d", g.cpus), g.cpus, g.gb, "nvidia-l4", g.count, "CPUS")
	}
	return out
}

// in reports whether a zone offers the type.
func (m machineType) in(zone string) bool { return m.zones == nil || slices.Contains(m.zones, zone) }

// image is a public image: its project, its family and its newest member.
type image struct {
	project, family, name string
	gb                    int
	arch                  string
}

func images() []image {
	return []image{
		{"debian-cloud", "debian-12", "debian-12-bookworm-v20261104", 10, "X86_64"},
		{"debian-cloud", "debian-12-arm64", "debian-12-bookworm-arm64-v20261104", 10, "ARM64"},
		{"debian-cloud", "debian-13", "debian-13-trixie-v20261104", 10, "X86_64"},
		{"ubuntu-os-cloud", "ubuntu-2204-lts", "ubuntu-2204-jammy-v20261105", 10, "X86_64"},
		{"ubuntu-os-cloud", "ubuntu-2404-lts-amd64", "ubuntu-2404-noble-amd64-v20261105", 10, "X86_64"},
		{"ubuntu-os-cloud", "ubuntu-2404-lts-arm64", "ubuntu-2404-noble-arm64-v20261105", 10, "ARM64"},
		{"ubuntu-os-accelerator-images", "ubuntu-accelerator-2204-amd64-with-nvidia-550", "ubuntu-accelerator-2204-amd64-with-nvidia-550-v20261105", 10, "X86_64"},
		{"ubuntu-os-accelerator-images", "ubuntu-accelerator-2204-amd64-with-nvidia-570", "ubuntu-accelerator-2204-amd64-with-nvidia-570-v20261105", 10, "X86_64"},
		{"ubuntu-os-accelerator-images", "ubuntu-accelerator-2404-amd64-with-nvidia-570", "ubuntu-accelerator-2404-amd64-with-nvidia-570-v20261105", 10, "X86_64"},
		{"ubuntu-os-accelerator-images", "ubuntu-accelerator-2404-amd64-with-nvidia-580", "ubuntu-accelerator-2404-amd64-with-nvidia-580-v20261105", 10, "X86_64"},
		{"ubuntu-os-cloud", "ubuntu-2204-lts-arm64", "ubuntu-2204-jammy-arm64-v20261105", 10, "ARM64"},
		{"ubuntu-os-accelerator-images", "ubuntu-accelerator-2204-arm64-with-nvidia-580", "ubuntu-accelerator-2204-arm64-with-nvidia-580-v20261105", 10, "ARM64"},
		{"deeplearning-platform-release", "common-cu129-ubuntu-2204-nvidia-580", "common-cu129-ubuntu-2204-nvidia-580-v20261020", 50, "X86_64"},
		{"rocky-linux-cloud", "rocky-linux-9", "rocky-linux-9-v20261104", 20, "X86_64"},
		{"cos-cloud", "cos-stable", "cos-stable-125-19216-0-94", 10, "X86_64"},
		{"deeplearning-platform-release", "common-cpu", "common-cpu-v20261020", 50, "X86_64"},
		{"deeplearning-platform-release", "common-cu128-ubuntu-2204-nvidia-570", "common-cu128-ubuntu-2204-nvidia-570-v20261020", 50, "X86_64"},
		{"deeplearning-platform-release", "common-cu124-debian-11", "common-cu124-debian-11-v20250326", 50, "X86_64"},
		{"deeplearning-platform-release", "pytorch-2-7-cu128-ubuntu-2204-nvidia-570", "pytorch-2-7-cu128-ubuntu-2204-nvidia-570-v20261020", 50, "X86_64"},
	}
}
