package tasks

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Service makes a task a served one, or a pool of workers.
type Service struct {
	// Probe tells when a replica is ready.
	Probe Probe
	// Policy says how many replicas run.
	Policy ReplicaPolicy
	// Port of the service; empty means the single port in resources.
	Port string
	// LoadBalancingPolicy is round_robin, least_load, instance_aware_least_load
	// or empty for the default, least_load.
	LoadBalancingPolicy string
	// StreamTimeoutSeconds is the longest silence of a stream; 0 means not given.
	StreamTimeoutSeconds float64
	// TLS is nil without a certificate.
	TLS *TLSFiles
	// Pool is set for pools; the other fields are then unused.
	Pool *Pool
}

// Probe is a readiness check.
type Probe struct {
	// Path starts with /.
	Path string
	// PostData is the JSON body; nil makes the probe a GET.
	PostData map[string]any
	Headers  map[string]string
	// InitialDelaySeconds and TimeoutSeconds default to 1200 and 15.
	InitialDelaySeconds, TimeoutSeconds float64
	// IntervalSeconds and FailureSeconds are 0 when not given (10 and 180).
	IntervalSeconds, FailureSeconds float64

	maskedPost string // post data that came from a secret, as written
}

// ReplicaPolicy is a number of replicas or a range.
type ReplicaPolicy struct {
	MinReplicas int
	// MaxReplicas is nil for a fixed number.
	MaxReplicas *int
	// TargetQPS is the load of one replica; TargetQPSByGPU replaces it.
	TargetQPS      *float64
	TargetQPSByGPU map[string]float64
	// Other holds the remaining keys as written; JSON-encodable.
	Other map[string]any
}

// TLSFiles are the paths of a key and a certificate.
type TLSFiles struct{ KeyFile, CertFile string }

// Pool is a fixed number of workers, or a range.
type Pool struct {
	// Workers is nil when a range is given.
	Workers *int
	// MinWorkers and MaxWorkers are nil for a fixed number.
	MinWorkers, MaxWorkers *int
	// QueueLengthThreshold adds a worker; 1 unless given. Only for a range.
	QueueLengthThreshold int
	// UpscaleDelaySeconds and DownscaleDelaySeconds are nil when not given.
	UpscaleDelaySeconds, DownscaleDelaySeconds *float64
}

const (
	defaultInitialDelay = 1200
	defaultProbeTimeout = 15
)

// service reads service or pool.
func (c *checker) service(s section, t *Task) {
	v, pool := s.get("service"), s.get("pool")
	if v != nil && pool != nil {
		c.fail(pool.pos, "pool", "service and pool cannot be used together", "one of the two", "")
		return
	}
	if pool != nil {
		t.Service = &Service{Pool: c.pool(pool)}
		return
	}
	if v == nil {
		return
	}
	sv := c.section(v, "service", serviceTable())
	out := &Service{
		Probe:               c.probe(sv.get("readiness_probe"), sv.at("readiness_probe")),
		Policy:              c.policy(sv),
		LoadBalancingPolicy: strings.ToLower(sv.text("load_balancing_policy")),
	}
	if p := sv.get("ports"); p != nil {
		if ports := c.ports(p, sv.at("ports")); len(ports) == 1 && !strings.Contains(ports[0], "-") {
			out.Port = ports[0]
		} else if len(ports) > 0 {
			c.fail(p.pos, sv.at("ports"), "a service has one port, not "+strings.Join(ports, ", "), "one port", "")
		}
	}
	if lb := sv.get("load_balancer"); lb != nil {
		s := c.section(lb, sv.at("load_balancer"), serviceTable().lookup("load_balancer").table)
		if n := s.get("stream_timeout_seconds"); n != nil {
			out.StreamTimeoutSeconds = n.number()
		}
	}
	if v := sv.get("tls"); v != nil {
		s := c.section(v, sv.at("tls"), serviceTable().lookup("tls").table)
		out.TLS = &TLSFiles{KeyFile: s.text("keyfile"), CertFile: s.text("certfile")}
	}
	if out.Policy.TargetQPSByGPU != nil && out.LoadBalancingPolicy != "instance_aware_least_load" {
		c.fail(sv.get("replica_policy").pos, sv.at("replica_policy.target_qps_per_replica"),
			"a map of GPU to load needs the load_balancing_policy instance_aware_least_load", "", "set load_balancing_policy: instance_aware_least_load")
	}
	t.Service = out
}

func (c *checker) probe(v *value, at string) Probe {
	p := Probe{Path: "/", InitialDelaySeconds: defaultInitialDelay, TimeoutSeconds: defaultProbeTimeout}
	if v == nil {
		return p
	}
	path, pathAt := v, at
	if v.kind == kindMap {
		s := c.section(v, at, probeTable())
		path, pathAt = s.get("path"), s.at("path")
		for name, into := range map[string]*float64{
			"initial_delay_seconds": &p.InitialDelaySeconds, "timeout_seconds": &p.TimeoutSeconds,
			"endpoint_probe_interval_seconds": &p.IntervalSeconds, "consecutive_failure_threshold_timeout": &p.FailureSeconds,
		} {
			if n := s.get(name); n != nil {
				*into = n.number()
			}
		}
		if post := s.get("post_data"); post != nil {
			c.postData(post, s.at("post_data"), &p)
		}
		if h := s.get("headers"); h != nil {
			p.Headers = map[string]string{}
			for _, e := range h.entries {
				if c.checkField(e.val, join(s.at("headers"), e.label()), &field{kinds: kindText}) && e.val.kind == kindText {
					p.Headers[e.name()] = e.val.text
				}
			}
		}
	}
	if path != nil && path.kind == kindText {
		p.Path = path.text
		if !strings.HasPrefix(p.Path, "/") {
			c.fail(path.pos, pathAt, fmt.Sprintf("the path of a probe must start with a slash, not %s", path.show()), "", "write /"+strings.TrimLeft(path.plainText(), "/"))
		}
	}
	return p
}

func (c *checker) postData(v *value, at string, p *Probe) {
	if v.kind == kindMap {
		p.PostData, _ = v.data().(map[string]any)
		return
	}
	if len(v.text) > maxPostData {
		c.fail(v.pos, at, fmt.Sprintf("post_data has %d bytes", len(v.text)), fmt.Sprintf("at most %d KiB", maxPostData>>10), "")
		return
	}
	dec := json.NewDecoder(strings.NewReader(v.text))
	dec.UseNumber()
	var body any
	if err := dec.Decode(&body); err != nil || dec.More() {
		c.fail(v.pos, at, "post_data is not valid JSON", "a map, or JSON text", "write it as a YAML map")
		return
	}
	data, ok := body.(map[string]any)
	if !ok {
		c.fail(v.pos, at, "post_data must be a JSON object", "a map, or JSON text", "")
		return
	}
	if jsonDepth(data) > maxDepth/2 {
		c.fail(v.pos, at, "post_data nests too deep", fmt.Sprintf("at most %d levels", maxDepth/2), "")
		return
	}
	p.PostData, _ = plainNumbers(data).(map[string]any)
	if v.masked {
		p.maskedPost = v.mask
	}
}

func (c *checker) policy(sv section) ReplicaPolicy {
	out := ReplicaPolicy{MinReplicas: 1}
	replicas, policy := sv.get("replicas"), sv.get("replica_policy")
	if replicas != nil && policy != nil {
		c.fail(replicas.pos, sv.at("replicas"), "replicas and replica_policy cannot be used together", "one of the two", "")
		return out
	}
	if replicas != nil {
		out.MinReplicas, _ = replicas.smallInt()
	}
	if policy == nil {
		return out
	}
	s := c.section(policy, sv.at("replica_policy"), policyTable())
	out.Other = map[string]any{}
	for name, v := range s.vals {
		switch name {
		case "min_replicas":
			out.MinReplicas, _ = v.smallInt()
		case "max_replicas":
			n, _ := v.smallInt()
			out.MaxReplicas = &n
		case "target_qps_per_replica":
			if v.kind != kindMap {
				f := v.number()
				out.TargetQPS = &f
				continue
			}
			out.TargetQPSByGPU = map[string]float64{}
			for _, e := range v.entries {
				if c.checkField(e.val, join(s.at(name), e.label()), &field{kinds: kindNumber, bounds: positive()}) && e.val.kind&kindNumber != 0 {
					out.TargetQPSByGPU[e.name()] = e.val.number()
				}
			}
		default:
			out.Other[name] = v.data()
		}
	}
	if out.MaxReplicas == nil {
		return out
	}
	maxAt := s.get("max_replicas")
	switch {
	case *out.MaxReplicas < out.MinReplicas:
		c.fail(maxAt.pos, s.at("max_replicas"), fmt.Sprintf("max_replicas %d is less than min_replicas %d", *out.MaxReplicas, out.MinReplicas),
			fmt.Sprintf("at least %d", out.MinReplicas), "")
	case *out.MaxReplicas != out.MinReplicas && s.get("target_qps_per_replica") == nil && s.get("queue_length_threshold") == nil:
		c.fail(maxAt.pos, s.at("max_replicas"), "scaling between min_replicas and max_replicas needs target_qps_per_replica", "",
			"set target_qps_per_replica, or make min_replicas and max_replicas equal")
	}
	return out
}

func (c *checker) pool(v *value) *Pool {
	s := c.section(v, "pool", poolTable())
	p := &Pool{}
	count := func(name string) *int {
		if v := s.get(name); v != nil {
			n, _ := v.smallInt()
			return &n
		}
		return nil
	}
	seconds := func(name string) *float64 {
		if v := s.get(name); v != nil {
			f := v.number()
			return &f
		}
		return nil
	}
	p.Workers, p.MinWorkers, p.MaxWorkers = count("workers"), count("min_workers"), count("max_workers")
	p.UpscaleDelaySeconds, p.DownscaleDelaySeconds = seconds("upscale_delay_seconds"), seconds("downscale_delay_seconds")
	ranged := p.MinWorkers != nil && p.MaxWorkers != nil
	switch {
	case p.Workers == nil && !ranged:
		c.fail(v.pos, "pool", "a pool needs workers, or both min_workers and max_workers", "workers, or min_workers and max_workers", "")
	case p.Workers != nil && (p.MinWorkers != nil || p.MaxWorkers != nil):
		c.fail(v.pos, "pool", "workers cannot be used together with min_workers or max_workers", "workers, or min_workers and max_workers", "")
	case ranged && *p.MinWorkers > *p.MaxWorkers:
		c.fail(s.get("max_workers").pos, "pool.max_workers", fmt.Sprintf("max_workers %d is less than min_workers %d", *p.MaxWorkers, *p.MinWorkers),
			fmt.Sprintf("at least %d", *p.MinWorkers), "")
	}
	if q := s.get("queue_length_threshold"); q != nil {
		p.QueueLengthThreshold, _ = q.smallInt()
		if p.MaxWorkers == nil {
			c.fail(q.pos, "pool.queue_length_threshold", "queue_length_threshold needs max_workers", "", "set min_workers and max_workers")
		}
	} else if ranged {
		p.QueueLengthThreshold = 1
	}
	return p
}

// plainNumbers turns JSON numbers into int64 where they are whole, else float64.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
		return v.String()
	case []any:
		for i := range v {
			v[i] = plainNumbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plainNumbers(v[k])
		}
	}
	return v
}

// jsonDepth is how deep a decoded value nests.
func jsonDepth(v any) int {
	deepest := 0
	switch v := v.(type) {
	case []any:
		for _, it := range v {
			deepest = max(deepest, jsonDepth(it))
		}
	case map[string]any:
		for _, it := range v {
			deepest = max(deepest, jsonDepth(it))
		}
	default:
		return 0
	}
	return deepest + 1
}
