package tasks

import (
	"fmt"
	"strings"
)

// defaultDiskGB is the boot disk when none is asked for.
const defaultDiskGB = 256

// resources reads the resources section into alternatives.
func (c *checker) resources(v *value, t *Task, o Overrides) {
	base := c.section(v, "resources", resourcesTable())
	anyOf, ordered := base.get("any_of"), base.get("ordered")
	if anyOf != nil && ordered != nil {
		c.fail(ordered.pos, "resources.ordered", "any_of and ordered cannot be used together", "one of the two", "")
	}
	accs, form := c.accelerators(c.accValue(base), "resources."+accKey(base), false)
	if len(accs) == 0 {
		accs = nil
	}
	list, key := anyOf, "any_of"
	if list == nil {
		list, key = ordered, "ordered"
	}
	if !c.affordable(v, list, len(accs)) {
		return
	}
	if list == nil || len(list.items) == 0 {
		t.Resources = c.plainResources(base, accs, form, t, o)
		return
	}
	if len(accs) > 1 && key == "ordered" {
		c.fail(c.accValue(base).pos, "resources."+accKey(base), "several accelerators cannot be combined with ordered", "one accelerator", "name the accelerator in each alternative")
	} else if form == accList && key == "any_of" {
		c.fail(c.accValue(base).pos, "resources."+accKey(base), "a list of accelerators cannot be combined with any_of", "a map of accelerators", "name the accelerator in each alternative")
	}
	// The keys outside are checked once, even when every alternative replaces them.
	c.alternative(base, section{c: c, path: "resources"}, nil, t, o)
	set := ResourceSet{Kind: key}
	for i, it := range list.items {
		at := index("resources."+key, i)
		if it.kind != kindMap {
			c.wrongKind(it, at, &field{kinds: kindMap})
			continue
		}
		s := c.section(it, at, alternativeTable())
		own, _ := c.accelerators(c.accValue(s), s.at(accKey(s)), true)
		if len(own) == 0 {
			own = accs
		}
		set.Alternatives = append(set.Alternatives, c.expand(s, base, own, t, o)...)
	}
	if len(set.Alternatives) == 1 && key == "any_of" {
		set.Kind = KindSingle
	}
	c.agree(list, set)
	t.Resources = set
}

// affordable bounds the alternatives and the work of reading them: every one
// reads the keys outside again.
func (c *checker) affordable(v, list *value, accs int) bool {
	count := max(accs, 1)
	shared := v.size()
	if list != nil {
		count *= max(len(list.items), 1)
		shared -= list.size()
	}
	if count <= maxAlternatives && count*shared <= maxWork {
		return true
	}
	c.fail(v.pos, "resources", fmt.Sprintf("the section makes %d alternatives of %d values", count, shared),
		fmt.Sprintf("at most %d alternatives", maxAlternatives), "")
	return false
}

func accKey(s section) string {
	if s.get("accelerators") == nil && s.get("gpus") != nil {
		return "gpus"
	}
	return "accelerators"
}

// accValue returns the accelerators of a section under either name.
func (c *checker) accValue(s section) *value {
	acc, gpus := s.get("accelerators"), s.get("gpus")
	if acc != nil && gpus != nil {
		c.fail(gpus.pos, s.at("gpus"), "gpus and accelerators mean the same and cannot be used together", "one of the two", "")
	}
	if acc != nil {
		return acc
	}
	return gpus
}

func (c *checker) plainResources(base section, accs []accChoice, form accForm, t *Task, o Overrides) ResourceSet {
	alts := c.expand(base, section{c: c, path: base.path}, accs, t, o)
	kind := KindSingle
	switch {
	case form == accList:
		kind = KindOrdered
	case len(alts) > 1:
		kind = KindAnyOf
	}
	return ResourceSet{Kind: kind, Alternatives: alts}
}

// expand makes one alternative for each accelerator choice.
func (c *checker) expand(s, base section, accs []accChoice, t *Task, o Overrides) []Resources {
	if len(accs) == 0 {
		return []Resources{c.alternative(s, base, nil, t, o)}
	}
	out := make([]Resources, 0, len(accs))
	for i := range accs {
		out = append(out, c.alternative(s, base, &accs[i], t, o))
	}
	return out
}

// alternative reads one resource: the keys of s, with those of base as defaults.
func (c *checker) alternative(s, base section, acc *accChoice, t *Task, o Overrides) Resources {
	r := Resources{DiskSizeGB: defaultDiskGB}
	pick := func(name string) (*value, string) {
		if v := s.get(name); v != nil {
			return v, s.at(name)
		}
		return base.get(name), base.at(name)
	}
	text := func(name string) string {
		if v, _ := pick(name); v != nil && v.kind == kindText {
			return v.text
		}
		return ""
	}
	r.Infra = c.infra(s, base, o)
	r.InstanceType = text("instance_type")
	if acc != nil {
		r.Accelerators = []Accelerator{acc.acc}
		r.FromMemory = acc.fromMemory
	}
	if v, at := pick("accelerator_args"); v != nil {
		c.section(v, at, acceleratorArgsTable())
		r.AcceleratorArgs, _ = v.data().(map[string]any)
	}
	v, at := pick("cpus")
	r.CPUs = c.quantity(v, at, cpuForms, ParseCPUs)
	v, at = pick("memory")
	r.Memory = c.quantity(v, at, memoryForms, ParseMemory)
	if v, _ := pick("use_spot"); v != nil {
		r.UseSpot, r.UseSpotSet = v.b, true
	}
	if v, at := pick("disk_size"); v != nil {
		r.DiskSizeGB = c.diskSize(v, at)
	}
	if v, at := pick("ephemeral_storage"); v != nil {
		r.EphemeralStorageGB = float64(c.diskSize(v, at))
	}
	if v, at := pick("local_disk"); v != nil {
		r.LocalDisk = c.localDisk(v, at)
	}
	r.DiskTier = strings.ToLower(text("disk_tier"))
	r.NetworkTier = strings.ToLower(text("network_tier"))
	v, at = pick("ports")
	r.Ports = c.ports(v, at)
	r.Labels = c.labels(s, base)
	v, at = pick("image_id")
	r.ImageID = c.image(v, at, r.Infra)
	v, at = pick("autostop")
	r.Autostop = c.autostop(v, at, t)
	v, at = pick("job_recovery")
	r.JobRecovery = c.jobRecovery(v, at)
	if v, _ := pick("priority"); v != nil {
		n, _ := v.smallInt()
		r.Priority = &n
	}
	r.PriorityClass = text("priority_class")
	if v, at := pick("max_hourly_cost"); v != nil {
		f := v.number()
		if !isFinite(f) {
			c.fail(v.pos, at, v.show()+" is not an amount", "USD, greater than 0", "")
		}
		r.MaxHourlyCost = &f
	}
	if v, _ := pick("volumes"); v != nil {
		r.Volumes, _ = v.data().([]any)
	}
	if v, _ := pick("_no_missing_accel_warnings"); v != nil {
		r.quietMissing = v.b
	}
	if acc != nil {
		v := c.accValue(s)
		at := s.at(accKey(s))
		if v == nil {
			v, at = c.accValue(base), base.at(accKey(base))
		}
		c.tpu(&r, v.pos, at)
	}
	if r.InstanceType != "" && o.LookupInstance != nil {
		if facts, ok := o.LookupInstance(r.Infra.Cloud, r.InstanceType); ok {
			r.facts = &facts
		}
	}
	return r
}

// labels merges the labels outside with those inside; the inner win. Each
// alternative gets a map of its own.
func (c *checker) labels(s, base section) map[string]string {
	var out map[string]string
	for _, sec := range []section{base, s} {
		v := sec.get("labels")
		if v == nil {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		for _, e := range v.entries {
			at := join(sec.at("labels"), e.name())
			if e.val.kind != kindText {
				c.fail(e.val.pos, at, fmt.Sprintf("the value of a label must be text, not %s", e.val.show()), "text", "put the value in quotes")
				continue
			}
			out[e.name()] = e.val.text
		}
	}
	return out
}

const dockerPrefix = "docker:"

// image reads image_id into a map of region to image.
func (c *checker) image(v *value, at string, infra Infra) map[string]string {
	if v == nil {
		return nil
	}
	k8s := infra.Cloud == "kubernetes"
	fix := func(img string) string {
		img = strings.TrimSpace(img)
		if k8s && img != "" && !strings.HasPrefix(img, dockerPrefix) {
			return dockerPrefix + img
		}
		return img
	}
	if v.kind == kindText {
		return map[string]string{infra.Region: fix(v.text)}
	}
	out := map[string]string{}
	if len(v.entries) == 0 {
		c.fail(v.pos, at, "the map of images is empty", "region: image", "leave image_id out for the default")
		return nil
	}
	docker := v.get("docker")
	for _, e := range v.entries {
		p := join(at, e.name())
		if e.val.kind != kindText {
			c.fail(e.val.pos, p, fmt.Sprintf("the image must be text, not %s", e.val.show()), "text", "")
			continue
		}
		img := fix(e.val.text)
		switch {
		case e.key.isNull():
			out[infra.Region] = img
			continue
		case e.val == docker && !strings.HasPrefix(img, dockerPrefix):
			img = dockerPrefix + img
		case docker != nil && e.val != docker && strings.HasPrefix(img, dockerPrefix):
			c.fail(e.val.pos, p, "the container is given both under docker and for the region "+e.name(), "one of the two", "")
		}
		out[strings.TrimSpace(e.name())] = img
	}
	return out
}

// autostop reads the many forms of autostop.
func (c *checker) autostop(v *value, at string, t *Task) *Autostop {
	if v == nil {
		return nil
	}
	switch v.kind {
	case kindBool:
		if !v.b {
			return &Autostop{}
		}
		return &Autostop{Enabled: true, IdleMinutes: defaultIdleMinutes}
	case kindInt:
		n, ok := v.smallInt()
		if !ok || n > 1<<31-1 || n < -(1<<31) {
			c.fail(v.pos, at, v.show()+" is out of range", "minutes", "")
		}
		return &Autostop{Enabled: true, IdleMinutes: n}
	case kindText:
		n, err := autostopMinutes(v.text)
		if err != nil {
			suggestion := ""
			if strings.EqualFold(v.text, "true") || strings.EqualFold(v.text, "false") {
				suggestion = "remove the quotes"
			}
			c.fail(v.pos, at, err.Error(), "minutes, or a number with m, h, d or w", suggestion)
		}
		return &Autostop{Enabled: true, IdleMinutes: n}
	}
	s := c.section(v, at, autostopTable())
	a := &Autostop{Enabled: true, WaitFor: strings.ToLower(s.text("wait_for"))}
	if b := s.get("down"); b != nil {
		a.Down = b.b
	}
	if n := s.get("idle_minutes"); n != nil {
		minutes, ok := n.smallInt()
		if !ok || minutes > 1<<31-1 || minutes < -(1<<31) {
			c.fail(n.pos, s.at("idle_minutes"), n.show()+" is out of range", "minutes", "")
		}
		a.IdleMinutes = minutes
	} else if v.get("idle_minutes") == nil {
		c.warn(v.pos, at, "idle_minutes is not given and counts as 0, which acts as 1 minute", "", "set idle_minutes")
	}
	c.legacyHook(s, a, t)
	return a
}

// legacyHook turns autostop.hook into a lifecycle hook.
func (c *checker) legacyHook(s section, a *Autostop, t *Task) {
	hook := s.get("hook")
	if hook == nil {
		return
	}
	event := "stop"
	if a.Down {
		event = "down"
	}
	h := &value{kind: kindMap, pos: hook.pos}
	h.set("run", hook)
	h.set("events", &value{kind: kindList, pos: hook.pos, items: []*value{textValue(event, hook.pos)}})
	if n := s.get("hook_timeout"); n != nil {
		h.set("timeout", n)
	}
	c.warn(hook.pos, s.at("hook"), "autostop.hook is an older form; it runs on "+event, "", "use config.hooks with events: ["+event+"]")
	parsed := c.hook(h, s.at("hook"))
	for _, have := range t.Config.Hooks {
		if have.Run == parsed.Run && have.Events[0] == event && len(have.Events) == 1 {
			return
		}
	}
	t.Config.Hooks = append(t.Config.Hooks, parsed)
}

// jobRecovery reads a strategy or a map. The word none means not given.
func (c *checker) jobRecovery(v *value, at string) *JobRecovery {
	if v == nil {
		return nil
	}
	if v.kind == kindText {
		if v.text == "" || strings.EqualFold(v.text, resetWord) {
			return nil
		}
		up := strings.ToUpper(v.text)
		return &JobRecovery{Strategy: up, raw: map[string]any{"strategy": up}}
	}
	s := c.section(v, at, jobRecoveryTable())
	j := &JobRecovery{}
	j.raw, _ = v.data().(map[string]any)
	j.raw["strategy"] = nil
	if st := s.text("strategy"); st != "" && !strings.EqualFold(st, resetWord) {
		j.Strategy = strings.ToUpper(st)
		j.raw["strategy"] = j.Strategy
	}
	if n := s.get("max_restarts_on_errors"); n != nil {
		j.MaxRestartsOnErrors, _ = n.smallInt()
	}
	codes := s.get("recover_on_exit_codes")
	if codes == nil {
		return j
	}
	items := []*value{codes}
	if codes.kind == kindList {
		items = codes.items
	}
	seen := map[int]bool{}
	for i, it := range items {
		p := s.at("recover_on_exit_codes")
		if codes.kind == kindList {
			p = index(p, i)
		}
		if it.isNull() || !c.checkField(it, p, &field{kinds: kindInt, bounds: exitCodes()}) {
			if it.isNull() {
				c.wrongKind(it, p, &field{kinds: kindInt})
			}
			continue
		}
		n, _ := it.smallInt()
		if seen[n] {
			c.fail(it.pos, p, fmt.Sprintf("the exit code %d is given twice", n), "", "remove one of the two")
		}
		seen[n] = true
		j.RecoverOnExitCodes = append(j.RecoverOnExitCodes, n)
	}
	return j
}

// agree checks what all alternatives must share.
func (c *checker) agree(list *value, set ResourceSet) {
	at := "resources." + set.Kind
	for i := 1; i < len(set.Alternatives); i++ {
		a, b := set.Alternatives[0], set.Alternatives[i]
		switch {
		case (a.Priority == nil) != (b.Priority == nil) || (a.Priority != nil && *a.Priority != *b.Priority):
			c.fail(list.pos, at, "the alternatives ask for different priorities", "one priority for all", "set priority outside the alternatives")
		case (a.Autostop == nil) != (b.Autostop == nil) || (a.Autostop != nil && *a.Autostop != *b.Autostop):
			c.warn(list.pos, at, "the alternatives have different autostop settings; a launch refuses that", "one autostop for all", "set autostop outside the alternatives")
		}
	}
}
