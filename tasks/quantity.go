package tasks

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
)

// pyParseFloat accepts what Python's float() accepts of finite decimal numbers:
// blanks around, a sign, an exponent and single underscores between digits.
func pyParseFloat(s string) (float64, bool) {
	s = strings.TrimSpace(s)
	if !rePyFloat.MatchString(s) {
		return 0, false
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	return f, err == nil && isFinite(f)
}

var rePyFloat = newPattern(`^[-+]?(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:[eE][-+]?\d+(?:_\d+)*)?$`)

// unitGB is the size of a unit in binary gigabytes.
var unitGB = map[string]float64{
	"kb": 1.0 / (1 << 20), "ki": 1.0 / (1 << 20), "mb": 1.0 / (1 << 10), "mi": 1.0 / (1 << 10),
	"gb": 1, "gi": 1, "tb": 1 << 10, "ti": 1 << 10, "pb": 1 << 20, "pi": 1 << 20,
}

// splitUnit cuts a known two-letter unit from the end, in any case.
func splitUnit(s string) (number string, factor float64, ok bool) {
	if len(s) < 2 {
		return s, 1, false
	}
	f, ok := unitGB[strings.ToLower(s[len(s)-2:])]
	if !ok {
		return s, 1, false
	}
	return s[:len(s)-2], f, true
}

// ParseCPUs reads "4" or "4+".
func ParseCPUs(s string) (Quantity, error) {
	body, plus := strings.CutSuffix(s, "+")
	f, ok := pyParseFloat(body)
	if !ok {
		return Quantity{}, fmt.Errorf("%s is not a number of vCPUs", quote(s))
	}
	if f <= 0 {
		return Quantity{}, fmt.Errorf("the number of vCPUs %s is not greater than 0", quote(s))
	}
	return Quantity{Value: f, AtLeast: plus, Set: true, text: s}, nil
}

// ParseMemory reads "16", "16+", "16GB", "512Mi+" or "4x" (GB per vCPU). The
// result is in binary gigabytes.
func ParseMemory(s string) (Quantity, error) {
	body, plus := strings.CutSuffix(s, "+")
	body, ratio := strings.CutSuffix(body, "x")
	bad := fmt.Errorf("%s is not an amount of memory", quote(s))
	if plus && ratio {
		return Quantity{}, bad
	}
	text := body
	f, ok := pyParseFloat(body)
	if !ok {
		number, factor, hasUnit := splitUnit(body)
		if f, ok = pyParseFloat(number); !ok || !hasUnit {
			return Quantity{}, bad
		}
		f *= factor
		text = pyFloat(f)
	}
	if f <= 0 || !isFinite(f) {
		return Quantity{}, fmt.Errorf("the amount of memory %s is not greater than 0", quote(s))
	}
	if plus {
		text += "+"
	}
	if ratio {
		text += "x"
	}
	return Quantity{Value: f, AtLeast: plus, PerCPU: ratio, Set: true, text: text}, nil
}

const (
	cpuForms    = `a number, or "N+" for at least N`
	memoryForms = `GB as a number, or with a unit such as 16GB or 512Mi; "N+" for at least N; "Nx" for N GB per vCPU`
	diskForms   = "whole GB, or a number with KB, MB, GB, TB or PB (or Ki to Pi)"
)

// quantity reads cpus or memory from a number or a text.
func (c *checker) quantity(v *value, at, forms string, parse func(string) (Quantity, error)) Quantity {
	if v == nil {
		return Quantity{}
	}
	q, err := parse(pyStr(v))
	if err != nil {
		suggestion := ""
		if low := strings.TrimSuffix(strings.ToLower(v.text), "+"); strings.HasSuffix(low, "gib") || (strings.HasSuffix(low, "g") && forms == memoryForms) {
			suggestion = "write the unit as GB or Gi"
		}
		c.fail(v.pos, at, err.Error(), forms, suggestion)
	}
	return q
}

var reDisk = newPattern(`^([0-9]+)(kb|ki|mb|mi|gb|gi|tb|ti|pb|pi|KB|KI|MB|MI|GB|GI|TB|TI|PB|PI|Kb|Ki|Mb|Mi|Gb|Gi|Tb|Ti|Pb|Pi)?$`)

// diskSize reads a disk size as whole gigabytes.
func (c *checker) diskSize(v *value, at string) int {
	gb := math.NaN()
	if v.kind == kindInt {
		gb = v.number()
	} else if m := reDisk.FindStringSubmatch(v.text); m != nil {
		n, err := strconv.ParseFloat(m[1], 64)
		if err == nil {
			gb = n
			if m[2] != "" {
				gb *= unitGB[strings.ToLower(m[2])]
			}
		}
	}
	const most = 1 << 30
	switch {
	case math.IsNaN(gb):
		suggestion := ""
		if low := strings.ToLower(v.text); strings.HasSuffix(low, "gib") || strings.HasSuffix(low, "g") {
			suggestion = "write the unit as GB or Gi"
		}
		c.fail(v.pos, at, v.show()+" is not a disk size", diskForms, suggestion)
	case gb <= 0 || gb > most:
		c.fail(v.pos, at, fmt.Sprintf("the disk size must be at least 1 GB, not %s", v.show()), diskForms, "")
	case gb != math.Trunc(gb):
		c.fail(v.pos, at, v.show()+" does not come to whole gigabytes", diskForms, "")
	default:
		return int(gb)
	}
	return 0
}

var reLocalDisk = newPattern(`^(?i:(nvme|ssd)(?::([0-9]+(?:\.[0-9]+)?)(\+)?)?|([0-9]+(?:\.[0-9]+)?)(\+)?)$`)

const localDiskForms = "nvme, ssd, nvme:SIZE, nvme:SIZE+, SIZE or SIZE+ in GB"

func (c *checker) localDisk(v *value, at string) string {
	m := reLocalDisk.FindStringSubmatch(v.text)
	if m == nil || zeroText(m[2]) || zeroText(m[4]) {
		c.fail(v.pos, at, v.show()+" is not a local disk", localDiskForms, "")
		return ""
	}
	if m[1] != "" && m[2] == "" {
		return strings.ToLower(m[1]) + ":100+"
	}
	return strings.ToLower(v.text)
}

func zeroText(s string) bool { return s != "" && strings.Trim(s, "0.") == "" }

const portForms = `1 to 65535, a range "from-to", or a list of those`

// ports reads and merges ports; the result is sorted.
func (c *checker) ports(v *value, at string) []string {
	if v == nil {
		return nil
	}
	type span struct{ from, to int }
	var spans []span
	one := func(v *value, at string) {
		if v.kind == kindInt {
			if n, ok := v.smallInt(); ok && n >= 1 && n <= 65535 {
				spans = append(spans, span{n, n})
			} else {
				c.fail(v.pos, at, fmt.Sprintf("the port must be between 1 and 65535, not %s", v.show()), portForms, "")
			}
			return
		}
		for _, part := range strings.Split(v.text, ",") {
			from, to, err := parsePort(strings.TrimSpace(part))
			if err != nil {
				c.fail(v.pos, at, err.Error(), portForms, "")
				continue
			}
			spans = append(spans, span{from, to})
		}
	}
	if v.kind == kindList {
		for i, it := range v.items {
			if c.checkField(it, index(at, i), &field{kinds: kindInt | kindText}) {
				one(it, index(at, i))
			} else if it.isNull() {
				c.wrongKind(it, index(at, i), &field{kinds: kindInt | kindText})
			}
		}
		if len(v.items) == 0 {
			return nil
		}
	} else {
		one(v, at)
	}
	sort.Slice(spans, func(i, j int) bool { return spans[i].from < spans[j].from })
	var merged []span
	for _, s := range spans {
		if n := len(merged); n > 0 && s.from <= merged[n-1].to+1 {
			merged[n-1].to = max(merged[n-1].to, s.to)
			continue
		}
		merged = append(merged, s)
	}
	out := make([]string, 0, len(merged))
	for _, s := range merged {
		out = append(out, portText(s.from, s.to))
	}
	return out
}

func portText(from, to int) string {
	if from == to {
		return strconv.Itoa(from)
	}
	return fmt.Sprintf("%d-%d", from, to)
}

var rePort = newPattern(`^(\d{1,10})(?:-(\d{1,10}))?$`)

func parsePort(s string) (from, to int, err error) {
	m := rePort.FindStringSubmatch(s)
	if m == nil {
		return 0, 0, fmt.Errorf("%s is not a port or a range of ports", quote(s))
	}
	// The pattern bounds the digits, so Atoi cannot fail.
	from, _ = strconv.Atoi(m[1])
	to = from
	if m[2] != "" {
		to, _ = strconv.Atoi(m[2])
	}
	if from < 1 || to > 65535 {
		return 0, 0, fmt.Errorf("the port %s is not between 1 and 65535", quote(s))
	}
	if from > to {
		return 0, 0, fmt.Errorf("the range of ports %s runs backwards", quote(s))
	}
	return from, to, nil
}
