package tasks

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"sort"
	"strings"
	"time"
)

// Semantics returns what the task means, JSON-encodable: the keys and value
// forms of SkyPilot's parsed task, plus tests, artifacts, budget and a few more
// of ours when given. Scripts appear as length and SHA-256. Values of secrets
// are redacted, also where substitution placed them.
func (t *Task) Semantics() map[string]any {
	envs := make(map[string]any, len(t.Envs))
	for k, v := range t.Envs {
		envs[k] = v
	}
	secrets := make(map[string]any, len(t.Secrets))
	for k := range t.Secrets {
		secrets[k] = Redacted
	}
	out := map[string]any{
		"name":              orNull(t.Name),
		"num_nodes":         t.NumNodes,
		"envs":              envs,
		"secrets":           secrets,
		"setup":             scriptDigest(t.Setup, t.HasSetup),
		"run":               scriptDigest(t.Run, t.HasRun),
		"event_callback":    orNull(t.EventCallback),
		"file_mounts":       t.fileMountMap(t.show),
		"storage_mounts":    t.storageSemantics(),
		"volumes":           t.volumeMap(t.show),
		"volume_mounts":     nil,
		"workdir":           t.workdirValue(t.show),
		"service":           t.serviceValue(t.show),
		"estimated_inputs":  nil,
		"outputs":           nil,
		"blocked_resources": nil,
		"config_overrides":  nil,
		"resources_kind":    t.Resources.Kind,
	}
	if t.Inputs != nil {
		out["estimated_inputs"] = t.Inputs.URI
	}
	if t.Outputs != nil {
		out["outputs"] = t.Outputs.URI
	}
	res := make([]map[string]any, 0, len(t.Resources.Alternatives))
	for i := range t.Resources.Alternatives {
		res = append(res, t.Resources.Alternatives[i].semantics(t.Config.Values))
	}
	if t.Resources.Kind == KindAnyOf {
		sort.SliceStable(res, func(i, j int) bool { return sortKey(res[i]) < sortKey(res[j]) })
	}
	out["resources"] = res
	t.ownSemantics(out)
	return out
}

// ownSemantics adds the keys SkyPilot does not have, when they say something.
func (t *Task) ownSemantics(out map[string]any) {
	if len(t.ManagedSecrets) > 0 {
		out["managed_secrets"] = t.managedSecretList()
	}
	if len(t.Config.Hooks) > 0 {
		out["hooks"] = t.hookList()
	}
	if len(t.Tests) > 0 {
		tests := make([]any, len(t.Tests))
		for i := range t.Tests {
			tests[i] = t.Tests[i].Raw
		}
		out["tests"] = tests
	}
	if len(t.Artifacts) > 0 {
		list := make([]any, len(t.Artifacts))
		for i, a := range t.Artifacts {
			list[i] = map[string]any{"path": a.Path, "dest": orNull(a.Dest)}
		}
		out["artifacts"] = list
	}
	if t.Budget != (Budget{}) {
		out["budget"] = t.Budget.semantics()
	}
}

func (b Budget) semantics() map[string]any {
	out := map[string]any{"max_cost": nil, "max_hourly_cost": nil, "max_duration_seconds": nil}
	if b.MaxCost > 0 {
		out["max_cost"] = b.MaxCost
	}
	if b.MaxHourlyCost > 0 {
		out["max_hourly_cost"] = b.MaxHourlyCost
	}
	if b.MaxDuration > 0 {
		out["max_duration_seconds"] = b.MaxDuration.Seconds()
	}
	return out
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func scriptDigest(s string, given bool) any {
	if !given {
		return nil
	}
	sum := sha256.Sum256([]byte(s))
	return map[string]any{"sha256": hex.EncodeToString(sum[:]), "len": len([]rune(s))}
}

func sortKey(m map[string]any) string {
	b, err := json.Marshal(m)
	if err != nil {
		return "" // unencodable values do not occur; the order is cosmetic
	}
	return string(b)
}

func (t *Task) fileMountMap(show func(string) string) any {
	if !t.HasFileMounts && len(t.FileMounts) == 0 {
		return nil
	}
	out := make(map[string]any, len(t.FileMounts))
	for _, m := range t.FileMounts {
		out[show(m.Dst)] = show(m.Src)
	}
	return out
}

func (t *Task) storageSemantics() map[string]any {
	out := make(map[string]any, len(t.StorageMounts))
	for _, m := range t.StorageMounts {
		entry := map[string]any{"name": orNull(t.show(m.Name)), "source": m.sourceValue(t.show), "mode": m.Mode, "persistent": m.Persistent}
		out[t.show(m.Dst)] = entry
	}
	return out
}

func (m StorageMount) sourceValue(show func(string) string) any {
	if m.SourceIsList {
		out := make([]any, len(m.Sources))
		for i, s := range m.Sources {
			out[i] = show(s)
		}
		return out
	}
	if len(m.Sources) == 0 {
		return nil
	}
	return show(m.Sources[0])
}

func (t *Task) volumeMap(show func(string) string) map[string]any {
	out := make(map[string]any, len(t.Volumes))
	for _, v := range t.Volumes {
		out[show(v.MountPath)] = mapStrings(v.Raw, show)
	}
	return out
}

// mapStrings applies f to every string, and every key, of a JSON-like value.
func mapStrings(v any, f func(string) string) any {
	switch v := v.(type) {
	case string:
		return f(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = mapStrings(v[i], f)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[f(k)] = mapStrings(v[k], f)
		}
		return out
	}
	return v
}

func (t *Task) workdirValue(show func(string) string) any {
	switch {
	case t.Workdir.Git != nil:
		out := map[string]any{"url": show(t.Workdir.Git.URL)}
		if t.Workdir.Git.Ref != "" {
			out["ref"] = show(t.Workdir.Git.Ref)
		}
		return out
	case t.Workdir.Path != "":
		return show(t.Workdir.Path)
	}
	return nil
}

// show is how a substituted string appears in JSON: as it is, unless a secret
// went into it.
func (t *Task) show(s string) string {
	if m, ok := t.masks[s]; ok {
		return m
	}
	return s
}

func (t *Task) managedSecretList() []any {
	out := make([]any, len(t.ManagedSecrets))
	for i, m := range t.ManagedSecrets {
		out[i] = map[string]any{"name": m.Name, "scope": orNull(m.Scope), "mount_path": orNull(m.MountPath)}
	}
	return out
}

func (t *Task) hookList() []any {
	out := make([]any, len(t.Config.Hooks))
	for i, h := range t.Config.Hooks {
		events := make([]any, len(h.Events))
		for j, e := range h.Events {
			events[j] = e
		}
		out[i] = map[string]any{"run": h.Run, "events": events, "timeout": int(h.Timeout / time.Second)}
	}
	return out
}

// semantics of one alternative.
func (r *Resources) semantics(config map[string]any) map[string]any {
	overrides := any(map[string]any{})
	if len(config) > 0 {
		overrides = config
	}
	out := map[string]any{
		"cloud":                     orNull(r.Infra.DisplayCloud()),
		"region":                    orNull(r.Infra.Region),
		"zone":                      orNull(r.Infra.Zone),
		"instance_type":             orNull(r.InstanceType),
		"accelerators":              nil,
		"accelerator_args":          nil,
		"cpus":                      orNull(r.CPUs.String()),
		"memory":                    orNull(r.Memory.String()),
		"use_spot":                  r.UseSpot,
		"use_spot_specified":        r.UseSpotSet,
		"disk_size":                 r.DiskSizeGB,
		"disk_tier":                 nil,
		"network_tier":              nil,
		"local_disk":                orNull(r.LocalDisk),
		"ports":                     nil,
		"labels":                    nil,
		"image_id":                  r.imageValue("None"),
		"autostop_config":           r.Autostop.normal(),
		"job_recovery":              r.JobRecovery.normal(),
		"max_hourly_cost":           nil,
		"priority":                  nil,
		"volumes":                   nil,
		"cluster_config_overrides":  overrides,
		"no_missing_accel_warnings": r.quietMissing || r.FromMemory,
	}
	if r.Infra.Cloud == "ssh" && r.Infra.Region != "" {
		out["region"] = "ssh-" + r.Infra.Region
	}
	if len(r.Accelerators) > 0 {
		out["accelerators"] = acceleratorMap(r.Accelerators)
	}
	if r.facts != nil {
		if len(r.Accelerators) == 0 && len(r.facts.Accelerators) > 0 {
			out["accelerators"] = acceleratorMap(r.facts.Accelerators)
		}
		if !r.CPUs.Set {
			out["cpus"] = pyFloat(r.facts.VCPUs)
		}
		if !r.Memory.Set {
			out["memory"] = pyFloat(r.facts.MemoryGB)
		}
	}
	if r.AcceleratorArgs != nil {
		out["accelerator_args"] = r.AcceleratorArgs
	}
	if r.DiskTier != "" {
		out["disk_tier"] = "DiskTier." + strings.ToUpper(r.DiskTier)
	}
	if r.NetworkTier != "" {
		out["network_tier"] = "NetworkTier." + strings.ToUpper(r.NetworkTier)
	}
	if r.Ports != nil {
		out["ports"] = r.Ports
	}
	if r.Labels != nil {
		out["labels"] = r.Labels
	}
	if r.MaxHourlyCost != nil {
		out["max_hourly_cost"] = *r.MaxHourlyCost
	}
	if r.Priority != nil {
		out["priority"] = *r.Priority
	}
	if r.Volumes != nil {
		out["volumes"] = r.Volumes
	}
	if r.PriorityClass != "" {
		out["priority_class"] = r.PriorityClass
	}
	if r.EphemeralStorageGB > 0 {
		out["ephemeral_storage"] = r.EphemeralStorageGB
	}
	return out
}

func acceleratorMap(accs []Accelerator) map[string]any {
	out := make(map[string]any, len(accs))
	for _, a := range accs {
		out[a.Name] = countNumber(a.Count)
	}
	return out
}

// imageValue maps region to image; anyRegion is the key that holds everywhere.
func (r *Resources) imageValue(anyRegion string) any {
	if r.ImageID == nil {
		return nil
	}
	out := make(map[string]any, len(r.ImageID))
	for region, img := range r.ImageID {
		if region == "" {
			region = anyRegion
		}
		out[region] = img
	}
	return out
}

func (a *Autostop) normal() any {
	switch {
	case a == nil:
		return nil
	case !a.Enabled:
		return false
	}
	out := map[string]any{"idle_minutes": a.IdleMinutes, "down": a.Down}
	if a.WaitFor != "" {
		out["wait_for"] = a.WaitFor
	}
	return out
}

func (j *JobRecovery) normal() any {
	if j == nil {
		return nil
	}
	if j.raw != nil {
		return j.raw
	}
	out := map[string]any{"strategy": orNull(j.Strategy)}
	if j.MaxRestartsOnErrors > 0 {
		out["max_restarts_on_errors"] = j.MaxRestartsOnErrors
	}
	if len(j.RecoverOnExitCodes) > 0 {
		codes := make([]any, len(j.RecoverOnExitCodes))
		for i, n := range j.RecoverOnExitCodes {
			codes[i] = int64(n)
		}
		out["recover_on_exit_codes"] = codes
	}
	return out
}

// serviceValue is the normal form of service or pool.
func (t *Task) serviceValue(show func(string) string) any {
	s := t.Service
	if s == nil {
		return nil
	}
	if s.Pool != nil {
		return map[string]any{"pool": s.Pool.normal()}
	}
	probe := map[string]any{"path": show(s.Probe.Path), "initial_delay_seconds": countNumber(s.Probe.InitialDelaySeconds),
		"timeout_seconds": countNumber(s.Probe.TimeoutSeconds)}
	if s.Probe.maskedPost != "" {
		probe["post_data"] = s.Probe.maskedPost
	} else if s.Probe.PostData != nil {
		probe["post_data"] = mapStrings(s.Probe.PostData, show)
	}
	if s.Probe.Headers != nil {
		headers := map[string]any{}
		for k, v := range s.Probe.Headers {
			headers[show(k)] = show(v)
		}
		probe["headers"] = headers
	}
	if s.Probe.IntervalSeconds > 0 {
		probe["endpoint_probe_interval_seconds"] = countNumber(s.Probe.IntervalSeconds)
	}
	if s.Probe.FailureSeconds > 0 {
		probe["consecutive_failure_threshold_timeout"] = countNumber(s.Probe.FailureSeconds)
	}
	out := map[string]any{"readiness_probe": probe, "replica_policy": s.Policy.normal(show)}
	if s.Port != "" {
		out["ports"] = s.Port
	}
	if s.LoadBalancingPolicy != "" {
		out["load_balancing_policy"] = s.LoadBalancingPolicy
	}
	if s.StreamTimeoutSeconds > 0 {
		out["load_balancer"] = map[string]any{"stream_timeout_seconds": countNumber(s.StreamTimeoutSeconds)}
	}
	if s.TLS != nil {
		tls := map[string]any{}
		if s.TLS.KeyFile != "" {
			tls["keyfile"] = show(s.TLS.KeyFile)
		}
		if s.TLS.CertFile != "" {
			tls["certfile"] = show(s.TLS.CertFile)
		}
		out["tls"] = tls
	}
	return out
}

func (p ReplicaPolicy) normal(show func(string) string) map[string]any {
	out := map[string]any{}
	for k, v := range p.Other {
		out[k] = mapStrings(v, show)
	}
	out["min_replicas"] = p.MinReplicas
	if p.MaxReplicas != nil {
		out["max_replicas"] = *p.MaxReplicas
	}
	switch {
	case p.TargetQPSByGPU != nil:
		m := map[string]any{}
		for k, v := range p.TargetQPSByGPU {
			m[show(k)] = countNumber(v)
		}
		out["target_qps_per_replica"] = m
	case p.TargetQPS != nil:
		out["target_qps_per_replica"] = countNumber(*p.TargetQPS)
	}
	return out
}

func (p *Pool) normal() map[string]any {
	out := map[string]any{}
	for k, v := range map[string]*int{"workers": p.Workers, "min_workers": p.MinWorkers, "max_workers": p.MaxWorkers} {
		if v != nil {
			out[k] = *v
		}
	}
	if p.QueueLengthThreshold > 0 {
		out["queue_length_threshold"] = p.QueueLengthThreshold
	}
	for k, v := range map[string]*float64{"upscale_delay_seconds": p.UpscaleDelaySeconds, "downscale_delay_seconds": p.DownscaleDelaySeconds} {
		if v != nil {
			out[k] = countNumber(*v)
		}
	}
	return out
}
