package tasks

import (
	"fmt"
	"math"
	"strings"
)

// accForm says how accelerators were written, which decides what several mean.
type accForm uint8

const (
	accNone accForm = iota
	accText         // one name, or one memory request
	accMap          // any of them
	accList         // in this order
)

// accChoice is one alternative of an accelerators field.
type accChoice struct {
	acc        Accelerator
	fromMemory bool
}

const accForms = "NAME, NAME:COUNT, a map of name to count, a list of those, or a memory such as 32GB+"

// reAccMemory matches [vendor:]SIZE UNIT[+][:COUNT].
var reAccMemory = newPattern(`^(?:([a-zA-Z]+):)?([0-9]+(?:\.[0-9]+)?)([kKmMgGtT][bBiI])(\+)?(?::([0-9.]+))?$`)

// accelerators reads the field; several choices come back in written order.
// inner is true inside an alternative, where only one may be named.
func (c *checker) accelerators(v *value, at string, inner bool) ([]accChoice, accForm) {
	if v == nil {
		return nil, accNone
	}
	switch v.kind {
	case kindText:
		return c.accelerator(v, at, v.text), accText
	case kindMap:
		if len(v.entries) == 0 {
			c.fail(v.pos, at, "the map of accelerators is empty", accForms, "leave it out for none")
			return nil, accMap
		}
		if inner && len(v.entries) > 1 {
			c.fail(v.pos, at, fmt.Sprintf("an alternative names one accelerator, not %d", len(v.entries)), "NAME:COUNT", "write one alternative for each")
			return nil, accMap
		}
		var out []accChoice
		for _, e := range v.entries {
			name := e.name()
			p := join(at, name)
			if e.key.kind != kindText {
				c.fail(e.key.pos, p, e.key.show()+" is not the name of an accelerator", accForms, "")
				continue
			}
			switch {
			case e.val.isNull():
			case e.val.kind&kindNumber != 0:
				name += ":" + pyStr(e.val)
			default:
				c.wrongKind(e.val, p, &field{kinds: kindNumber})
				continue
			}
			out = append(out, c.accelerator(e.key, p, name)...)
		}
		return dedupe(out), accMap
	case kindList:
		if inner {
			c.fail(v.pos, at, "an alternative names one accelerator, not a list", "NAME:COUNT", "write one alternative for each")
			return nil, accList
		}
		if len(v.items) == 0 {
			c.fail(v.pos, at, "the list of accelerators is empty", accForms, "leave it out for none")
		}
		var out []accChoice
		for i, it := range v.items {
			p := index(at, i)
			if it.kind != kindText {
				c.wrongKind(it, p, &field{kinds: kindText})
				continue
			}
			out = append(out, c.accelerator(it, p, it.text)...)
		}
		return dedupe(out), accList
	}
	return nil, accNone
}

func dedupe(in []accChoice) []accChoice {
	seen := map[accChoice]bool{}
	var out []accChoice
	for _, a := range in {
		if !seen[a] {
			seen[a] = true
			out = append(out, a)
		}
	}
	return out
}

// accelerator reads NAME[:COUNT], or a memory request, which may stand for
// several.
func (c *checker) accelerator(v *value, at, s string) []accChoice {
	s = strings.TrimSpace(s)
	if m := reAccMemory.FindStringSubmatch(s); m != nil {
		return c.byMemory(v, at, s, m)
	}
	name, countText, given := strings.Cut(s, ":")
	name = strings.TrimSpace(name)
	count := 1.0
	ok := name != ""
	if given {
		var parsed bool
		count, parsed = pyParseFloat(countText)
		ok = ok && parsed
	}
	if !ok {
		suggestion := ""
		if strings.HasSuffix(s, "+") {
			suggestion = "the count of accelerators is exact; remove the +"
		}
		c.fail(v.pos, at, quote(s)+" is not an accelerator", accForms, suggestion)
		return nil
	}
	if count <= 0 {
		c.fail(v.pos, at, fmt.Sprintf("the count of %s must be greater than 0, not %s", name, formatNumber(count)), accForms, "leave accelerators out for none")
		return nil
	}
	return []accChoice{{acc: Accelerator{Name: name, Count: count}}}
}

// byMemory expands a memory request into the accelerators that have it. When
// none has, the text stays as a name, for a catalogue to reject.
func (c *checker) byMemory(v *value, at, s string, m []string) []accChoice {
	want, ok := pyParseFloat(m[2])
	factor, unit := unitGB[strings.ToLower(m[3])]
	count := 1.0
	if m[5] != "" {
		var parsed bool
		count, parsed = pyParseFloat(m[5])
		ok = ok && parsed && count > 0
	}
	if !ok || !unit {
		c.fail(v.pos, at, quote(s)+" is not a request by memory", accForms, "")
		return nil
	}
	want *= factor
	var out []accChoice
	for _, g := range acceleratorFacts {
		if m[1] != "" && !strings.EqualFold(m[1], g.vendor) {
			continue
		}
		if g.memoryGB == want || (m[4] == "+" && g.memoryGB > want) {
			out = append(out, accChoice{acc: Accelerator{Name: g.name, Count: count}, fromMemory: true})
		}
	}
	if len(out) == 0 {
		c.warn(v.pos, at, "no known accelerator has the memory "+quote(s), "", "")
		return []accChoice{{acc: Accelerator{Name: strings.TrimSuffix(s, ":"+m[5]), Count: count}}}
	}
	return out
}

// isTPU reports whether an accelerator is a Google TPU.
func isTPU(name string) bool { return strings.HasPrefix(strings.ToLower(name), "tpu") }

// tpu completes a resource that asks for a TPU: it runs on GCP unless another
// place that has TPUs is named, one per node, with a default runtime.
func (c *checker) tpu(r *Resources, p position, at string) {
	if len(r.Accelerators) == 0 || !isTPU(r.Accelerators[0].Name) {
		return
	}
	switch r.Infra.Cloud {
	case "":
		r.Infra.Cloud = "gcp"
	case "gcp":
	case "kubernetes", "ssh":
		return
	default:
		c.fail(p, at, fmt.Sprintf("%s is a TPU, which %s does not have", r.Accelerators[0].Name, r.Infra.DisplayCloud()), "infra: gcp or kubernetes", "")
		return
	}
	if r.Accelerators[0].Count != 1 {
		c.fail(p, at, fmt.Sprintf("the count of a TPU is part of its name, so it must be 1, not %s", formatNumber(r.Accelerators[0].Count)), "", "")
	}
	if _, given := r.AcceleratorArgs["runtime_version"]; given {
		return
	}
	args := map[string]any{}
	for k, v := range r.AcceleratorArgs {
		args[k] = v
	}
	args["runtime_version"] = tpuRuntime(strings.ToLower(r.Accelerators[0].Name), args["tpu_vm"])
	r.AcceleratorArgs = args
}

func tpuRuntime(name string, tpuVM any) string {
	switch {
	case tpuVM == false:
		return "2.12.0"
	case strings.HasPrefix(name, "tpu-v5"):
		return "v2-alpha-tpuv5"
	case strings.HasPrefix(name, "tpu-v6e"):
		return "v2-alpha-tpuv6e"
	}
	return "tpu-vm-base"
}

// countNumber gives a count its JSON form: whole counts are whole numbers.
func countNumber(f float64) any {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int64(f)
	}
	return f
}

type acceleratorFact struct {
	name, vendor string
	memoryGB     float64
}

// acceleratorFacts are the accelerators a memory request can mean, with the
// memory of one in GB, sorted by name.
var acceleratorFacts = []acceleratorFact{
	{"A10", "nvidia", 24}, {"A100", "nvidia", 40}, {"A100-80GB", "nvidia", 80}, {"A100-80GB-SXM", "nvidia", 80},
	{"A10G", "nvidia", 24}, {"A40", "nvidia", 48}, {"A4000", "nvidia", 16}, {"A6000", "nvidia", 48},
	{"B200", "nvidia", 180}, {"GH200", "nvidia", 96}, {"Gaudi HL-205", "intel", 32}, {"H100", "nvidia", 80},
	{"H100-MEGA", "nvidia", 80}, {"H100-NVL", "nvidia", 94}, {"H100-NVLINK", "nvidia", 80}, {"H100-SXM", "nvidia", 80},
	{"H200", "nvidia", 141}, {"H200-SXM", "nvidia", 141}, {"K80", "nvidia", 12}, {"L4", "nvidia", 24},
	{"L40", "nvidia", 48}, {"L40S", "nvidia", 48}, {"M4000", "nvidia", 8}, {"M60", "nvidia", 8}, {"MI300X", "amd", 192},
	{"P100", "nvidia", 16}, {"P4", "nvidia", 8}, {"P4000", "nvidia", 8}, {"RTX3060", "nvidia", 12},
	{"RTX3080", "nvidia", 10}, {"RTX3090", "nvidia", 24}, {"RTX4000-Ada", "nvidia", 20}, {"RTX4090", "nvidia", 24},
	{"RTX6000", "nvidia", 24}, {"RTX6000-Ada", "nvidia", 48}, {"RTX8000", "nvidia", 48}, {"RTXA4000", "nvidia", 16},
	{"RTXA4500", "nvidia", 20}, {"RTXA5000", "nvidia", 24}, {"RTXA6000", "nvidia", 48}, {"Radeon MI25", "amd", 16},
	{"Radeon Pro V520", "amd", 8}, {"T4", "nvidia", 16}, {"T4g", "nvidia", 16}, {"V100", "nvidia", 16},
	{"V100-32GB", "nvidia", 32},
}
