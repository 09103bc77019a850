package tasks

import (
	"fmt"
	"sort"
	"strings"
	"time"
)

// task reads one document.
func (c *checker) task(v *value, vars variables, o Overrides) *Task {
	t := &Task{NumNodes: 1, file: c.file, prefix: c.prefix, positions: c.positions, masks: map[string]string{}}
	s := c.section(v, "", taskTable())
	t.Name = s.text("name")
	if n := s.get("num_nodes"); n != nil {
		nodes, ok := n.smallInt()
		if !ok || nodes > maxNodes {
			c.fail(n.pos, "num_nodes", fmt.Sprintf("%s is too many", n.show()), fmt.Sprintf("at most %d", maxNodes), "")
		}
		t.NumNodes = nodes
	}
	t.Setup, t.HasSetup = s.text("setup"), s.get("setup") != nil
	t.Run, t.HasRun = s.text("run"), s.get("run") != nil
	t.EventCallback = s.text("event_callback")
	if b := s.get("api_server_access"); b != nil {
		access := b.b
		t.APIServerAccess = &access
	}
	c.variables(s, t, vars)
	c.managedSecrets(s.get("managed_secrets"), "managed_secrets", t)

	sub := &substituter{c: c, envs: t.Envs, secrets: t.Secrets, masks: t.masks}
	for _, name := range []string{"workdir", "file_mounts", "volumes", "service"} {
		if sv := s.get(name); sv != nil {
			// Aliases share values; substitution must not reach the others.
			sv = sv.clone()
			sub.tree(sv, name)
			s.vals[name] = sv
		}
	}
	c.workdir(s.get("workdir"), t)
	c.fileMounts(s.get("file_mounts"), t)
	c.volumes(s.get("volumes"), t)
	c.config(s.get("config"), t)
	c.service(s, t)
	c.resources(s.get("resources"), t, o)
	t.Inputs = c.dataEstimate(s.get("inputs"), "inputs")
	t.Outputs = c.dataEstimate(s.get("outputs"), "outputs")
	c.tests(s.get("tests"), t)
	c.artifacts(s.get("artifacts"), t)
	c.budget(s.get("budget"), t)
	return t
}

// maxNodes keeps arithmetic on nodes far from overflow.
const maxNodes = 1_000_000

// clone copies a tree, so that it can be changed.
func (v *value) clone() *value {
	out := *v
	out.items, out.entries = nil, nil
	for _, it := range v.items {
		out.items = append(out.items, it.clone())
	}
	for _, e := range v.entries {
		out.entries = append(out.entries, &entry{key: e.key.clone(), val: e.val.clone()})
	}
	return &out
}

func (c *checker) workdir(v *value, t *Task) {
	switch {
	case v == nil:
	case v.kind == kindText:
		t.Workdir.Path = v.text
		if v.text == "" {
			c.fail(v.pos, "workdir", "the workdir is empty", "a directory", "write . for the current directory, or leave it out")
		}
	default:
		s := c.section(v, "workdir", gitTable())
		t.Workdir.Git = &GitSource{URL: s.text("url"), Ref: s.text("ref")}
	}
}

func (c *checker) dataEstimate(v *value, path string) *DataEstimate {
	if v == nil || len(v.entries) == 0 {
		return nil
	}
	if len(v.entries) > 1 {
		c.fail(v.entries[1].key.pos, path, fmt.Sprintf("%s takes one entry, not %d", path, len(v.entries)), "one URI with its size in GB", "")
	}
	e := v.entries[0]
	at := join(path, e.name())
	if !c.checkField(e.val, at, &field{kinds: kindNumber, bounds: atLeast(0, "at least 0")}) {
		return nil
	}
	return &DataEstimate{URI: e.name(), SizeGB: e.val.number()}
}

func (c *checker) volumes(v *value, t *Task) {
	if v == nil {
		return
	}
	seen := map[string]bool{}
	for _, e := range v.entries {
		at := join("volumes", e.label())
		c.sameTarget(seen, e, at)
		vol := Volume{MountPath: e.name(), Raw: e.val.data()}
		switch e.val.kind {
		case kindText:
			vol.Name = e.val.text
			if vol.Name == "" {
				c.fail(e.val.pos, at, "the volume has no name", "a name, or a map", "")
			}
		case kindMap:
			s := c.section(e.val, at, volumeTable())
			vol.Name, vol.SubPath = s.text("name"), s.text("sub_path")
			if size := s.get("size"); size != nil {
				vol.Size = size.text
			}
			if len(e.val.entries) == 0 || (vol.Name == "" && vol.Size == "") {
				c.fail(e.val.pos, at, "the volume has neither a name nor a size", "name for an existing volume, size for an ephemeral one", "")
			}
		default:
			c.wrongKind(e.val, at, &field{kinds: kindText | kindMap})
		}
		t.Volumes = append(t.Volumes, vol)
	}
	sort.SliceStable(t.Volumes, func(i, j int) bool { return t.Volumes[i].MountPath < t.Volumes[j].MountPath })
}

// config reads the task's configuration. Sections nest, so tables do too.
func (c *checker) config(v *value, t *Task) {
	if v == nil {
		return
	}
	table := configTable()
	c.nested(v, "config", table)
	values, _ := v.data().(map[string]any)
	delete(values, "hooks")
	t.Config.Values = values
	hooks := v.get("hooks")
	if hooks == nil || hooks.kind != kindList {
		return
	}
	if len(hooks.items) > maxHooks {
		c.fail(hooks.pos, "config.hooks", fmt.Sprintf("there are %d hooks", len(hooks.items)), fmt.Sprintf("at most %d", maxHooks), "")
	}
	for i, it := range hooks.items {
		t.Config.Hooks = append(t.Config.Hooks, c.hook(it, index("config.hooks", i)))
	}
}

const (
	maxHooks       = 32
	maxHookLength  = 16384
	defaultTimeout = time.Hour
)

// nested checks sections whose rows carry tables, all the way down.
func (c *checker) nested(v *value, path string, t *table) {
	s := c.section(v, path, t)
	for i := range t.fields {
		f := &t.fields[i]
		if sub := s.get(f.name); sub != nil && f.table != nil && sub.kind == kindMap {
			c.nested(sub, s.at(f.name), f.table)
		}
	}
}

func hookEvents() []string { return []string{"stop", "preemption", "down"} }

func (c *checker) hook(v *value, at string) Hook {
	h := Hook{Events: hookEvents(), Timeout: defaultTimeout}
	if v.kind != kindMap {
		c.wrongKind(v, at, &field{kinds: kindMap})
		return h
	}
	s := c.section(v, at, hookTable())
	h.Run = s.text("run")
	if run := s.get("run"); run != nil && (h.Run == "" || len([]rune(h.Run)) > maxHookLength) {
		c.fail(run.pos, s.at("run"), fmt.Sprintf("the hook has %d characters", len([]rune(h.Run))), fmt.Sprintf("1 to %d", maxHookLength), "")
	}
	if ev := s.get("events"); ev != nil {
		h.Events = nil
		if len(ev.items) == 0 {
			c.fail(ev.pos, s.at("events"), "the list of events is empty", strings.Join(hookEvents(), ", "), "leave events out for all of them")
		}
		for i, it := range ev.items {
			at := index(s.at("events"), i)
			if !c.checkField(it, at, &field{kinds: kindText, choices: hookEvents()}) {
				continue
			}
			if isChoice(it.text, h.Events, false) {
				c.fail(it.pos, at, "the event "+it.text+" is given twice", "", "remove one of the two")
			}
			h.Events = append(h.Events, it.text)
		}
	}
	if n := s.get("timeout"); n != nil {
		sec, ok := n.smallInt()
		if !ok || sec > int(1<<31) {
			c.fail(n.pos, s.at("timeout"), n.show()+" is too long", "seconds", "")
		}
		h.Timeout = time.Duration(sec) * time.Second
	}
	return h
}

// readTerminationDelay reads a number of seconds, a duration, or a map of
// those by job name.
func (c *checker) readTerminationDelay(v *value, doc *Document) {
	if v.isNull() {
		return
	}
	doc.TerminationDelay = map[string]time.Duration{}
	one := func(v *value, at, name string) {
		switch {
		case v.kind == kindInt:
			if sec, ok := v.smallInt(); ok && sec >= 0 && sec <= 1<<31 {
				doc.TerminationDelay[name] = time.Duration(sec) * time.Second
				return
			}
		case v.kind == kindText:
			text := v.text
			if text != "" && strings.Trim(text, "0123456789") == "" {
				text += "s"
			}
			if strings.TrimRight(text, "0smhdw") == "" && text != "" {
				doc.TerminationDelay[name] = 0
				return
			}
			if d, err := ParseDuration(text); err == nil {
				doc.TerminationDelay[name] = d
				return
			}
		}
		c.fail(v.pos, at, v.show()+" is not a time to wait", "seconds, or a duration such as 30s, 5m, 1h", "")
	}
	if v.kind != kindMap {
		one(v, "termination_delay", "default")
		return
	}
	for _, e := range v.entries {
		one(e.val, join("termination_delay", e.name()), e.name())
	}
}

// sortedKeys returns the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
