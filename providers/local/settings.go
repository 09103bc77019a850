package local

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"aloft/providers"
	"aloft/providers/nvidia"
)

// labelPrefix begins the labels of a task that change the settings for its cluster.
const labelPrefix = "aloft.dev/local-"

// settings are the parsed settings of the provider.
type settings struct {
	regions []string
	gpus    []gpu // nil = those the host has
	fail    []failure
	delay   time.Duration
	preempt time.Duration
	env     []string
}

// gpu is a kind of accelerator of this host.
type gpu struct {
	name     string
	count    int
	memoryGB float64
}

// failure is a refusal to play.
type failure struct {
	kind   providers.Kind
	times  int // -1 = always
	region string
}

func (f failure) scope() providers.Scope {
	switch f.kind {
	case providers.Capacity, providers.Transient:
		return providers.ScopeZone
	case providers.Quota:
		return providers.ScopeRegion
	}
	return providers.ScopeAccount
}

// options documents the settings.
func options() []providers.Option {
	return []providers.Option{
		{Name: "gpus", Help: "GPUs this host pretends to have: NAME:COUNT[:MEMORY_GB],... (empty = those it has)", Env: "ALOFT_LOCAL_GPUS"},
		{Name: "regions", Help: "regions this host pretends to be, best first", Default: Name, Env: "ALOFT_LOCAL_REGIONS"},
		{Name: "fail", Help: "creates to refuse: capacity|quota|auth|permission|transient[:TIMES|always][@REGION],...", Env: "ALOFT_LOCAL_FAIL"},
		{Name: "create_delay", Help: "how long a create call takes, like 10s", Env: "ALOFT_LOCAL_CREATE_DELAY"},
		{Name: "preempt_after", Help: "how long after its creation a node is taken away, like 5m", Env: "ALOFT_LOCAL_PREEMPT_AFTER"},
		{Name: "pass_env", Help: "names of environment variables that nodes get from the controller", Env: "ALOFT_LOCAL_PASS_ENV"},
	}
}

// parse reads settings; a key nobody knows is an error.
func parse(m map[string]string) (settings, error) {
	s := settings{regions: []string{Name}}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if m[key] == "" {
			continue
		}
		if err := s.put(key, m[key]); err != nil {
			return s, fmt.Errorf("setting %s: %w", key, err)
		}
	}
	return s, nil
}

// with is s changed by the labels of a task.
func (s settings) with(labels map[string]string) (settings, error) {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		name, ok := strings.CutPrefix(key, labelPrefix)
		if !ok {
			continue
		}
		if name = underscored(name); name == "regions" || name == "pass_env" {
			return s, fmt.Errorf("label %s: a cluster cannot change it", key)
		}
		if err := s.put(name, labels[key]); err != nil {
			return s, fmt.Errorf("label %s: %w", key, err)
		}
	}
	return s, nil
}

// underscored lets labels be written with dashes, as labels are.
func underscored(s string) string { return strings.ReplaceAll(s, "-", "_") }

func (s *settings) put(key, value string) error {
	var err error
	switch underscored(key) {
	case "gpus":
		s.gpus = []gpu{}
		for _, item := range split(value) {
			g, err := parseGPU(item)
			if err != nil {
				return err
			}
			s.gpus = append(s.gpus, g)
		}
	case "regions":
		s.regions = split(value)
	case "fail":
		s.fail = nil
		for _, item := range split(value) {
			f, err := parseFailure(item)
			if err != nil {
				return err
			}
			s.fail = append(s.fail, f)
		}
	case "create_delay":
		s.delay, err = duration(value)
	case "preempt_after":
		s.preempt, err = duration(value)
	case "pass_env":
		s.env = split(value)
	default:
		return fmt.Errorf("no such setting; there are %s", names())
	}
	return err
}

func duration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a duration such as 2s", s)
	}
	return d, nil
}

func names() string {
	var out []string
	for _, o := range options() {
		out = append(out, o.Name)
	}
	return strings.Join(out, ", ")
}

func split(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

func parseGPU(s string) (gpu, error) {
	f := strings.Split(s, ":")
	g := gpu{name: f[0], count: 1}
	if g.name == "" || len(f) > 3 {
		return g, fmt.Errorf("%q is not NAME:COUNT[:MEMORY_GB]", s)
	}
	var err error
	if len(f) > 1 {
		if g.count, err = strconv.Atoi(f[1]); err != nil || g.count < 1 {
			return g, fmt.Errorf("%q: %q is not a count", s, f[1])
		}
	}
	if g.memoryGB = nvidia.Memory(g.name); g.memoryGB == 0 {
		g.memoryGB = 16
	}
	if len(f) > 2 {
		if g.memoryGB, err = strconv.ParseFloat(f[2], 64); err != nil || g.memoryGB <= 0 {
			return g, fmt.Errorf("%q: %q is not a number of gigabytes", s, f[2])
		}
	}
	return g, nil
}

// failureKinds are the words of the setting `fail`.
var failureKinds = map[string]providers.Kind{
	"capacity": providers.Capacity, "quota": providers.Quota, "auth": providers.Auth, "permission": providers.Auth,
	"transient": providers.Transient, "throttled": providers.Throttled, "invalid": providers.Invalid,
}

func parseFailure(s string) (failure, error) {
	f := failure{times: -1}
	s, f.region, _ = strings.Cut(s, "@")
	word, times, counted := strings.Cut(s, ":")
	var ok bool
	if f.kind, ok = failureKinds[word]; !ok {
		return f, fmt.Errorf("%q is none of %s", word, strings.Join(slices.Sorted(maps.Keys(failureKinds)), ", "))
	}
	if counted && times != "always" {
		var err error
		if f.times, err = strconv.Atoi(times); err != nil || f.times < 0 {
			return f, fmt.Errorf("%q is neither a number nor always", times)
		}
	}
	return f, nil
}

// pretended is the file that tells a node's agent which GPUs to show; false = those the host has.
func (s settings) pretended(spec providers.NodeSpec) (string, bool) {
	if s.gpus == nil {
		return "", false
	}
	var b strings.Builder
	for _, g := range s.gpus {
		n := 0
		if strings.EqualFold(g.name, spec.Accelerator) {
			n = min(int(spec.Accelerators), g.count)
			if spec.Accelerators > 0 && n == 0 {
				n = 1 // a fraction of one
			}
		}
		for range n {
			fmt.Fprintf(&b, "%s %s\n", g.name, strconv.FormatFloat(g.memoryGB, 'f', -1, 64))
		}
	}
	return b.String(), true
}
