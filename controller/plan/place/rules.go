package place

import (
	"math"
	"slices"
	"strings"

	"aloft/controller/catalog/sheet"
	statev1 "aloft/proto/sky/state/v1"
)

// What SkyPilot's users get when they ask for little: these families of machines, this size.
const (
	usualRatio = 4 // GB of memory per vCPU
	tpuMachine = "TPU-VM"
)

// usualFamilies are prefixes of the machine types from which CPU-only machines are chosen; none = all without accelerators.
func usualFamilies(cloud string) []string {
	switch cloud {
	case "aws":
		return []string{"m6i.", "m6id.", "m7i.", "r6i.", "r6id.", "r7i.", "c6i.", "c6id.", "c7i."}
	case "gcp":
		return []string{"n4-standard-", "n4-highmem-", "n4-highcpu-", "n2-standard-", "n2-highmem-", "n2-highcpu-"}
	}
	return nil
}

// familyRank prefers the families that come first, where prices do not decide.
func familyRank(cloud, name string) int {
	families := usualFamilies(cloud)
	if i := slices.IndexFunc(families, func(p string) bool { return strings.HasPrefix(name, p) }); i >= 0 {
		return i
	}
	return len(families)
}

// machines are the types of the market that satisfy r, wherever they are sold.
func (m Market) machines(r *statev1.Resources) []machine {
	switch {
	case r.GetInstanceType() != "":
		return m.named(r)
	case r.GetAccelerator() != "":
		return m.accelerated(r)
	}
	families := usualFamilies(m.Cloud)
	var out []machine
	for i := range m.Sheet.Types {
		t := &m.Sheet.Types[i]
		usual := families == nil || slices.ContainsFunc(families, func(p string) bool { return strings.HasPrefix(t.Name, p) })
		if t.Name == "" || t.Accelerator != "" || !usual || !sized(r, t, usualSize(r)) {
			continue
		}
		out = append(out, machine{host: t, name: t.Name})
	}
	return out
}

// size is what is asked of a machine; 0 = anything.
type size struct {
	cpus    float64
	ratio   float64 // least GB per vCPU
	memory  float64 // least GB
	atLeast bool    // of cpus
}

func usualSize(r *statev1.Resources) size {
	var s size
	if r.GetCpus() == 0 && r.GetMemoryGb() == 0 {
		s.cpus, s.atLeast = usualCPUs, true
	}
	if r.GetMemoryGb() == 0 {
		s.ratio = usualRatio
	}
	return s
}

// sized reports whether t has the size that r asks for, and s where r asks for none.
func sized(r *statev1.Resources, t *sheet.Type, s size) bool {
	return enough(r.GetCpus(), t.CPUs, r.GetCpusAtLeast()) && enough(r.GetMemoryGb(), t.MemoryGB, r.GetMemoryAtLeast()) &&
		(s.cpus == 0 || enough(s.cpus, t.CPUs, s.atLeast)) && t.MemoryGB+countTolerance >= s.memory && t.MemoryGB+countTolerance >= s.ratio*t.CPUs
}

// named are the machines of the type that r names, with the accelerator that it asks for or that the type always has.
func (m Market) named(r *statev1.Resources) []machine {
	var out []machine
	for i := range m.Sheet.Types {
		t := &m.Sheet.Types[i]
		if t.Name == "" || !strings.EqualFold(t.Name, r.GetInstanceType()) || !sized(r, t, size{}) {
			continue
		}
		name, count := ownAccelerator(m.Cloud, t)
		switch {
		case r.GetAccelerator() == "" && t.Accelerator == "" && name != "":
			for _, acc := range m.attached(name, count) {
				out = append(out, machine{t, acc, t.Name})
			}
		case r.GetAccelerator() == "":
			out = append(out, machine{host: t, name: t.Name})
		case t.Accelerator != "":
			if strings.EqualFold(t.Accelerator, r.GetAccelerator()) && math.Abs(t.Count-asked(r)) <= countTolerance {
				out = append(out, machine{host: t, name: t.Name})
			}
		case m.carries(t, r.GetAccelerator(), asked(r)):
			for _, acc := range m.attached(r.GetAccelerator(), asked(r)) {
				out = append(out, machine{t, acc, t.Name})
			}
		}
	}
	return out
}

// accelerated are the machines with the accelerators that r asks for.
func (m Market) accelerated(r *statev1.Resources) []machine {
	var out []machine
	var attach []*sheet.Type
	for i := range m.Sheet.Types {
		t := &m.Sheet.Types[i]
		if t.Accelerator == "" || !strings.EqualFold(t.Accelerator, r.GetAccelerator()) || math.Abs(t.Count-asked(r)) > countTolerance {
			continue
		}
		switch {
		case isTPU(t) && (t.Name == "" || strings.HasPrefix(t.Name, "TPU")):
			out = append(out, machine{host: t, name: tpuMachine})
		case t.Name == "":
			attach = append(attach, t)
		case sized(r, t, size{}):
			out = append(out, machine{host: t, name: t.Name})
		}
	}
	for _, acc := range attach {
		for i := range m.Sheet.Types {
			t := &m.Sheet.Types[i]
			if t.Name != "" && t.Accelerator == "" && m.carries(t, acc.Accelerator, acc.Count) && sized(r, t, hostSize(r, acc)) {
				out = append(out, machine{t, acc, t.Name})
			}
		}
	}
	return out
}

func isTPU(t *sheet.Type) bool { return strings.HasPrefix(strings.ToLower(t.Accelerator), "tpu-") }

// attached are the accelerators of that name and count that attach to a machine.
func (m Market) attached(name string, count float64) []*sheet.Type {
	var out []*sheet.Type
	for i := range m.Sheet.Types {
		t := &m.Sheet.Types[i]
		if t.Name == "" && strings.EqualFold(t.Accelerator, name) && math.Abs(t.Count-count) <= countTolerance {
			out = append(out, t)
		}
	}
	return out
}

// bound is a family of GCP's that is sold with one accelerator only, and the accelerator with it only: machine types by count.
type bound struct {
	accelerator string
	types       map[float64][]string
}

// boundFamilies are GCP's (https://cloud.google.com/compute/docs/gpus).
func boundFamilies() []bound {
	return []bound{
		{"A100", map[float64][]string{1: {"a2-highgpu-1g"}, 2: {"a2-highgpu-2g"}, 4: {"a2-highgpu-4g"}, 8: {"a2-highgpu-8g"}, 16: {"a2-megagpu-16g"}}},
		{"A100-80GB", map[float64][]string{1: {"a2-ultragpu-1g"}, 2: {"a2-ultragpu-2g"}, 4: {"a2-ultragpu-4g"}, 8: {"a2-ultragpu-8g"}}},
		{"L4", map[float64][]string{1: {"g2-standard-4", "g2-standard-8", "g2-standard-12", "g2-standard-16", "g2-standard-32"},
			2: {"g2-standard-24"}, 4: {"g2-standard-48"}, 8: {"g2-standard-96"}}},
		{"H100", map[float64][]string{1: {"a3-highgpu-1g"}, 2: {"a3-highgpu-2g"}, 4: {"a3-highgpu-4g"}, 8: {"a3-highgpu-8g"}}},
		{"H100-MEGA", map[float64][]string{8: {"a3-megagpu-8g"}}},
		{"H200", map[float64][]string{8: {"a3-ultragpu-8g"}}},
		{"B200", map[float64][]string{8: {"a4-highgpu-8g"}}},
	}
}

// ownAccelerator is the accelerator that a machine type always has although its row does not say so.
func ownAccelerator(cloud string, t *sheet.Type) (string, float64) {
	if cloud != "gcp" {
		return "", 0
	}
	for _, b := range boundFamilies() {
		for count, types := range b.types {
			if slices.Contains(types, t.Name) {
				return b.accelerator, count
			}
		}
	}
	return "", 0
}

// carries reports whether accelerators can be attached to t: to the types they are bound to, the others to N1.
func (m Market) carries(t *sheet.Type, accelerator string, count float64) bool {
	if m.Cloud != "gcp" {
		return false
	}
	for _, b := range boundFamilies() {
		if strings.EqualFold(b.accelerator, accelerator) {
			return slices.Contains(b.types[count], t.Name)
		}
	}
	return strings.HasPrefix(t.Name, "n1-")
}

// hostSize is the size of the machine that accelerators are attached to, where r leaves it open: about what AWS gives with
// as many of the same, and four GB for each vCPU.
func hostSize(r *statev1.Resources, acc *sheet.Type) size {
	for _, b := range boundFamilies() {
		if strings.EqualFold(b.accelerator, acc.Accelerator) {
			return size{}
		}
	}
	var s size
	cpus := r.GetCpus()
	if cpus == 0 && r.GetMemoryGb() == 0 {
		cpus = hostCPUs(acc)
		s.cpus, s.atLeast = cpus, true
	}
	if r.GetMemoryGb() == 0 {
		s.memory = cpus * usualRatio
	}
	return s
}

// hostCPUs is how many vCPUs go with accelerators.
func hostCPUs(acc *sheet.Type) float64 {
	switch strings.ToUpper(acc.Accelerator) {
	case "K80":
		return 4 * acc.Count
	case "T4":
		if acc.Count == 4 {
			return 48
		}
		return 4 * acc.Count
	}
	return 8 * acc.Count
}
