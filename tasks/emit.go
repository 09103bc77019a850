package tasks

import (
	"bytes"
	"fmt"
	"sort"
	"time"
)

// omap is a map that keeps its order, for writing.
type omap []pair

type pair struct {
	key string
	val any
}

func (m *omap) add(key string, val any) { *m = append(*m, pair{key, val}) }

// addSet adds a value unless it is its type's "not given".
func (m *omap) addSet(key string, val any) {
	switch v := val.(type) {
	case nil:
		return
	case string:
		if v == "" {
			return
		}
	case omap:
		if len(v) == 0 {
			return
		}
	}
	m.add(key, val)
}

// YAML returns the normal form of the task: every value in its canonical
// spelling, defaults of num_nodes and disk_size written out, and secrets
// redacted. Where a secret went into another field, ${NAME} stands there. The
// result parses to the same task, up to the values of its secrets.
func (t *Task) YAML() []byte {
	var m omap
	m.addSet("name", t.Name)
	m.addSet("workdir", t.workdirValue(t.masked))
	m.add("num_nodes", max(t.NumNodes, 1))
	m.add("resources", t.Resources.normal())
	m.addSet("envs", stringMap(t.Envs))
	var secrets omap
	for _, k := range sortedKeys(t.Secrets) {
		secrets.add(k, Redacted)
	}
	m.addSet("secrets", secrets)
	m.addSet("managed_secrets", t.managedNormal())
	if mounts := t.mountsNormal(); len(mounts) > 0 || t.HasFileMounts {
		m.add("file_mounts", mounts)
	}
	if len(t.Volumes) > 0 {
		m.add("volumes", t.volumeMap(t.masked))
	}
	m.addSet("config", t.configNormal())
	if t.Service != nil {
		v := t.serviceValue(t.masked)
		if t.Service.Pool != nil {
			m.add("pool", t.Service.Pool.normal())
		} else {
			m.add("service", v)
		}
	}
	if t.HasSetup || t.Setup != "" {
		m.add("setup", t.Setup)
	}
	if t.HasRun || t.Run != "" {
		m.add("run", t.Run)
	}
	for _, d := range []struct {
		key string
		val *DataEstimate
	}{{"inputs", t.Inputs}, {"outputs", t.Outputs}} {
		if d.val != nil {
			m.add(d.key, omap{{d.val.URI, countNumber(d.val.SizeGB)}})
		}
	}
	m.addSet("event_callback", t.EventCallback)
	if t.APIServerAccess != nil {
		m.add("api_server_access", *t.APIServerAccess)
	}
	t.ownNormal(&m)
	var b bytes.Buffer
	w := yamlWriter{b: &b}
	w.mapping(m, 0)
	return b.Bytes()
}

func (t *Task) ownNormal(m *omap) {
	if len(t.Tests) > 0 {
		list := make([]any, len(t.Tests))
		for i := range t.Tests {
			list[i] = t.Tests[i].Raw
		}
		m.add("tests", list)
	}
	if len(t.Artifacts) > 0 {
		list := make([]any, len(t.Artifacts))
		for i, a := range t.Artifacts {
			list[i] = a.Path
			if a.Dest != "" {
				list[i] = omap{{"path", a.Path}, {"dest", a.Dest}}
			}
		}
		m.add("artifacts", list)
	}
	var b omap
	if t.Budget.MaxCost > 0 {
		b.add("max_cost", countNumber(t.Budget.MaxCost))
	}
	if t.Budget.MaxHourlyCost > 0 {
		b.add("max_hourly_cost", countNumber(t.Budget.MaxHourlyCost))
	}
	if t.Budget.MaxDuration > 0 {
		b.add("max_duration", durationText(t.Budget.MaxDuration))
	}
	m.addSet("budget", b)
}

// YAML returns the normal form of the whole document: a header when there is
// one, then every task.
func (d *Document) YAML() []byte {
	var b bytes.Buffer
	if len(d.Tasks) != 1 || d.Execution == ExecutionParallel {
		var h omap
		h.addSet("name", d.Name)
		if d.Execution == ExecutionParallel || d.Name != "" {
			h.add("execution", d.Execution)
		}
		if len(d.PrimaryTasks) > 0 {
			list := make([]any, len(d.PrimaryTasks))
			for i, n := range d.PrimaryTasks {
				list[i] = n
			}
			h.add("primary_tasks", list)
		}
		var delays omap
		for _, k := range sortedKeys(d.TerminationDelay) {
			delays.add(k, durationText(d.TerminationDelay[k]))
		}
		h.addSet("termination_delay", delays)
		if len(h) > 0 {
			w := yamlWriter{b: &b}
			w.mapping(h, 0)
			b.WriteString("---\n")
		}
	}
	for i, t := range d.Tasks {
		if i > 0 {
			b.WriteString("---\n")
		}
		b.Write(t.YAML())
	}
	return b.Bytes()
}

// durationText writes seconds, with milliseconds when there are any.
func durationText(d time.Duration) string {
	ms := d.Milliseconds()
	if ms%1000 == 0 {
		return fmt.Sprintf("%ds", ms/1000)
	}
	return fmt.Sprintf("%d.%03ds", ms/1000, ms%1000)
}

func stringMap(m map[string]string) omap {
	var out omap
	for _, k := range sortedKeys(m) {
		out.add(k, m[k])
	}
	return out
}

func (t *Task) managedNormal() omap {
	var out omap
	for _, s := range t.ManagedSecrets {
		key := managedPrefix
		if s.Scope != "" {
			key += s.Scope + "."
		}
		var v any
		if s.MountPath != "" {
			v = omap{{"mount_path", s.MountPath}}
		}
		out.add(key+s.Name, v)
	}
	return out
}

func (t *Task) mountsNormal() omap {
	out := omap{}
	for _, m := range t.FileMounts {
		out.add(t.masked(m.Dst), t.masked(m.Src))
	}
	for _, m := range t.StorageMounts {
		var s omap
		if m.Name != "" {
			s.add("name", t.masked(m.Name))
		}
		s.addSet("source", m.sourceValue(t.masked))
		s.addSet("store", m.Store)
		s.add("persistent", m.Persistent)
		s.add("mode", m.Mode)
		s.addSet("type", m.Type)
		if len(m.Config) > 0 {
			s.add("config", mapStrings(m.Config, t.masked))
		}
		out.add(t.masked(m.Dst), s)
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].key < out[j].key })
	return out
}

func (t *Task) configNormal() omap {
	var out omap
	for _, k := range sortedKeys(t.Config.Values) {
		out.add(k, t.Config.Values[k])
	}
	if len(t.Config.Hooks) > 0 {
		out.add("hooks", t.hookList())
	}
	return out
}

func (rs ResourceSet) normal() omap {
	if rs.Kind == KindSingle && len(rs.Alternatives) == 1 {
		return rs.Alternatives[0].yaml()
	}
	if len(rs.Alternatives) == 0 {
		return (&Resources{DiskSizeGB: defaultDiskGB}).yaml()
	}
	list := make([]any, len(rs.Alternatives))
	for i := range rs.Alternatives {
		list[i] = rs.Alternatives[i].yaml()
	}
	if rs.Kind == KindAnyOf {
		sort.SliceStable(list, func(i, j int) bool { return yamlText(list[i]) < yamlText(list[j]) })
	}
	return omap{{rs.Kind, list}}
}

func yamlText(v any) string {
	var b bytes.Buffer
	w := yamlWriter{b: &b}
	w.value(v, 0)
	return b.String()
}

// yaml is the normal form of one alternative.
func (r *Resources) yaml() omap {
	var m omap
	// The older keys take texts that infra cannot express, such as a slash.
	if again, err := parseInfra(r.Infra.String(), []string{r.Infra.Cloud}); r.Infra == (Infra{}) || (err == nil && again == r.Infra) {
		m.addSet("infra", r.Infra.String())
	} else {
		m.addSet("cloud", r.Infra.Cloud)
		m.addSet("region", r.Infra.Region)
		m.addSet("zone", r.Infra.Zone)
	}
	m.addSet("instance_type", r.InstanceType)
	if len(r.Accelerators) > 0 {
		m.add("accelerators", acceleratorMap(r.Accelerators))
	}
	if r.AcceleratorArgs != nil {
		m.add("accelerator_args", r.AcceleratorArgs)
	}
	m.addSet("cpus", r.CPUs.String())
	m.addSet("memory", r.Memory.String())
	if r.UseSpotSet || r.UseSpot {
		m.add("use_spot", r.UseSpot)
	}
	m.addSet("job_recovery", r.JobRecovery.normal())
	m.add("disk_size", r.DiskSizeGB)
	m.addSet("disk_tier", r.DiskTier)
	if r.EphemeralStorageGB > 0 {
		m.add("ephemeral_storage", countNumber(r.EphemeralStorageGB))
	}
	m.addSet("local_disk", r.LocalDisk)
	m.addSet("network_tier", r.NetworkTier)
	if len(r.Ports) > 0 {
		list := make([]any, len(r.Ports))
		for i, p := range r.Ports {
			list[i] = p
		}
		m.add("ports", list)
	}
	if r.Labels != nil {
		m.add("labels", stringMap(r.Labels))
	}
	if r.ImageID != nil {
		var img omap
		for _, region := range sortedKeys(r.ImageID) {
			if region == "" {
				img.add(nullKey, r.ImageID[region])
				continue
			}
			img.add(region, r.ImageID[region])
		}
		m.add("image_id", img)
	}
	m.addSet("autostop", r.Autostop.normal())
	if r.Priority != nil {
		m.add("priority", *r.Priority)
	}
	m.addSet("priority_class", r.PriorityClass)
	if r.MaxHourlyCost != nil {
		m.add("max_hourly_cost", countNumber(*r.MaxHourlyCost))
	}
	if r.Volumes != nil {
		m.add("volumes", r.Volumes)
	}
	if r.quietMissing || r.FromMemory {
		m.add("_no_missing_accel_warnings", true)
	}
	return m
}
