package check

import (
	"fmt"
	"slices"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/nearest"
)

// planned is one check to run, with all that the document says about it.
type planned struct {
	def      *engine.Definition
	suite    string // the suite named under "suites" that brought it
	builtin  string // the suite of ours that it is from, "" when named itself
	demanded bool
	params   []setting
	uses     []placedUse
	custom   *customSpec
	note     string
	// Where the document names it, for problems without a nearer place.
	path string
	line int
	file string
}

// planner turns picks into checks to run and collects what is wrong.
type planner struct {
	spec     *SuiteSpec
	registry *engine.Registry
	problems []Problem
	within   []string // the definitions being expanded
}

// planAll expands the suites and checks of the document.
func (s *SuiteSpec) planAll() []Problem {
	registry, err := s.Kind.Registry()
	if err != nil {
		return []Problem{{Message: err.Error()}}
	}
	p := &planner{spec: s, registry: registry}
	s.planned = nil
	for i := range s.suitePicks {
		for _, c := range p.expand(&s.suitePicks[i]) {
			c.suite = s.suitePicks[i].name
			s.planned = append(s.planned, c)
		}
	}
	for i := range s.checkPicks {
		s.planned = append(s.planned, p.expand(&s.checkPicks[i])...)
	}
	for i := range s.defined { // those that nothing names must be right too
		if d := &s.defined[i]; !p.used(d.name) {
			p.expandDefinition(d, &pick{name: d.name, path: d.path, line: d.line, file: d.file})
		}
	}
	return append(p.problems, s.planSchema(registry)...)
}

// used tells whether a definition is expanded on behalf of a suite.
func (p *planner) used(name string) bool {
	byName := func(k pick) bool { return k.name == name && k.kind != checkPick }
	if slices.ContainsFunc(p.spec.suitePicks, byName) {
		return true
	}
	return slices.ContainsFunc(p.spec.defined, func(d ownSuite) bool { return slices.ContainsFunc(d.picks, byName) })
}

func (p *planner) fault(k *pick, path string, line int, message string) {
	prob := Problem{File: k.file, Line: line, Path: path, Message: message}
	if !slices.Contains(p.problems, prob) { // a definition may be expanded more than once
		p.problems = append(p.problems, prob)
	}
}

// suiteNames lists the suites that a document may name.
func (p *planner) suiteNames() []string {
	names := p.spec.Kind.SuiteNames()
	for _, d := range p.spec.defined {
		names = append(names, d.name)
	}
	return names
}

func (p *planner) expand(k *pick) []planned {
	if k.custom != nil {
		return []planned{{def: k.custom.definition(), custom: k.custom, demanded: true, uses: k.conditions.uses, path: k.path, line: k.line, file: k.file}}
	}
	def := p.registry.Lookup(k.name)
	own := p.spec.definition(k.name)
	builtin := slices.Contains(p.spec.Kind.SuiteNames(), k.name)
	switch {
	case k.kind != suitePick && def != nil:
		return p.single(k, def)
	case k.kind == checkPick:
		message := unknown("check", k.name, p.registry.IDs())
		if builtin || own != nil {
			message = fmt.Sprintf("%q is a suite, which goes under \"suites\"", k.name)
		}
		p.fault(k, k.path, k.line, message)
		return nil
	case builtin:
		all := p.builtin(k)
		if all == nil {
			return nil
		}
		return p.change(k, all)
	case own != nil:
		all := p.expandDefinition(own, k)
		for _, s := range k.params {
			p.forAll(k, s, all)
		}
		return p.change(k, all)
	case p.spec.deferred: // an included file may define it
		return nil
	case k.kind == anyPick:
		known := append(p.suiteNames(), p.registry.IDs()...)
		p.fault(k, k.path, k.line, fmt.Sprintf("neither a suite nor a check is called %q%s; suites are %s", k.name, nearest.Hint(k.name, known), strings.Join(p.suiteNames(), ", ")))
		return nil
	}
	hint := nearest.Hint(k.name, p.suiteNames())
	if def != nil {
		hint = ": it is a check, which goes under \"checks\""
	}
	p.fault(k, k.path, k.line, fmt.Sprintf("unknown suite %q%s; known are %s", k.name, hint, strings.Join(p.suiteNames(), ", ")))
	return nil
}

// builtin is a suite of ours under the document's parameters for it, over
// which those of the pick go.
func (p *planner) builtin(k *pick) []planned {
	given, places := make(map[string]any), make(map[string]string)
	for name, v := range p.spec.SuiteParams[k.name] {
		given[name], places[name] = v, joinPath([]any{"suite_params", k.name, name})
	}
	for _, s := range k.params {
		if given[s.name], places[s.name] = s.value, s.path; s.value == nil {
			delete(given, s.name) // as in deepchecks, null means not given
		}
	}
	args, faults := p.spec.Kind.completeSuite(k.name, given)
	for _, f := range faults {
		path := places[fmt.Sprint(f.Path[0])]
		p.fault(k, path, p.spec.line(path), f.Message)
	}
	if len(faults) > 0 {
		return nil
	}
	var out []planned
	for _, u := range p.spec.Kind.suiteUses(k.name, args) {
		c := planned{def: u.def, builtin: k.name, path: k.path, line: k.line, file: k.file}
		for _, from := range []map[string]any{handOn(u.def, args), u.params} {
			for _, name := range sortedKeys(from) {
				c.params = merge(c.params, []setting{{name, from[name], places[name]}})
			}
		}
		conditions := u.conditions
		if conditions == nil {
			conditions = u.def.Defaults
		}
		for _, use := range conditions {
			c.uses = append(c.uses, placedUse{use, ""})
		}
		out = append(out, c)
	}
	return out
}

func (p *planner) expandDefinition(d *ownSuite, k *pick) []planned {
	if slices.Contains(p.within, d.name) {
		p.fault(k, k.path, k.line, fmt.Sprintf("the suite %q contains itself: %s", d.name, strings.Join(append(slices.Clone(p.within), d.name), " contains ")))
		return nil
	}
	p.within = append(p.within, d.name)
	defer func() { p.within = p.within[:len(p.within)-1] }()
	var out []planned
	for i := range d.picks {
		out = append(out, p.expand(&d.picks[i])...)
	}
	return out
}

// single is a check named by itself.
func (p *planner) single(k *pick, def *engine.Definition) []planned {
	c := planned{def: def, demanded: true, path: k.path, line: k.line, file: k.file, params: k.params}
	for _, u := range def.Defaults {
		c.uses = append(c.uses, placedUse{u, ""})
	}
	if k.name != def.ID {
		c.note = fmt.Sprintf("%s is the former name of %s: use the new one", k.name, def.ID)
	}
	p.edit(k, &c, &k.conditions)
	return []planned{c}
}

// change leaves checks out of a suite and changes others.
func (p *planner) change(k *pick, all []planned) []planned {
	var ids []string
	for _, c := range all {
		if !slices.Contains(ids, c.def.ID) {
			ids = append(ids, c.def.ID)
		}
	}
	known := func(n named) bool {
		if p.spec.deferred && p.spec.definition(k.name) != nil {
			return true
		}
		if slices.Contains(ids, p.current(n.name)) {
			return true
		}
		p.fault(k, n.path, n.line, fmt.Sprintf("the suite %q has no check %q%s; it has %s", k.name, n.name, nearest.Hint(n.name, ids), strings.Join(ids, ", ")))
		return false
	}
	listed := func(list []named, id string) bool {
		return slices.ContainsFunc(list, func(n named) bool { return p.current(n.name) == id })
	}
	before := len(p.problems)
	for _, n := range slices.Concat(k.only, k.skip) {
		if known(n) && listed(k.only, p.current(n.name)) && listed(k.skip, p.current(n.name)) {
			p.fault(k, n.path, n.line, fmt.Sprintf("%q stands under \"only\" and under \"skip\"", n.name))
		}
	}
	all = slices.DeleteFunc(all, func(c planned) bool {
		return k.only != nil && !listed(k.only, c.def.ID) || listed(k.skip, c.def.ID)
	})
	if len(all) == 0 && len(ids) > 0 && len(p.problems) == before {
		p.fault(k, k.path, k.line, fmt.Sprintf("nothing is left of the suite %q", k.name))
	}
	for i := range k.changes {
		ch := &k.changes[i]
		if !known(named{ch.name, ch.path, ch.line}) {
			continue
		}
		for j := range all {
			if c := &all[j]; c.def.ID == p.current(ch.name) {
				c.params = merge(c.params, ch.params)
				p.edit(ch, c, &ch.conditions)
			}
		}
	}
	return all
}

// current is the name of a check today.
func (p *planner) current(name string) string {
	if def := p.registry.Lookup(name); def != nil {
		return def.ID
	}
	return name
}

// forAll gives a parameter of a suite of the document's own to the checks that
// have it.
func (p *planner) forAll(k *pick, s setting, all []planned) {
	var known []string
	for _, q := range p.spec.Kind.suiteParams(k.name) {
		known = append(known, q.Name)
	}
	if !slices.Contains(known, s.name) {
		p.fault(k, s.path, p.spec.line(s.path), fmt.Sprintf("%s; others are set for single checks, under \"checks\"", unknown("parameter", s.name, known)))
		return
	}
	if s.value == nil {
		return
	}
	for i := range all {
		if slices.ContainsFunc(all[i].def.Params, func(q engine.Param) bool { return q.Name == s.name }) {
			all[i].params = merge(all[i].params, []setting{s})
		}
	}
}

// merge sets parameters over others.
func merge(below, above []setting) []setting {
	out := slices.Clone(below)
	for _, s := range above {
		if at := slices.IndexFunc(out, func(o setting) bool { return o.name == s.name }); at >= 0 {
			out[at] = s
		} else {
			out = append(out, s)
		}
	}
	return out
}

// edit changes the conditions of a check: first what is removed, then what is
// replaced in its place, then what is added.
func (p *planner) edit(k *pick, c *planned, e *edit) {
	if e.exact {
		c.uses = slices.Clone(e.uses)
		return
	}
	uses := slices.Clone(c.uses)
	find := func(id, path string, line int, doing string) int {
		at := slices.IndexFunc(uses, func(u placedUse) bool { return u.ID == id })
		if at < 0 {
			var ids []string
			for _, u := range uses {
				ids = append(ids, u.ID)
			}
			has := "it has " + strings.Join(ids, ", ")
			if len(ids) == 0 {
				has = "it has none"
			}
			p.fault(k, path, line, fmt.Sprintf("%s has no condition %q here to %s%s; %s", c.def.ID, id, doing, nearest.Hint(id, ids), has))
		}
		return at
	}
	for _, n := range e.remove {
		if at := find(n.name, n.path, n.line, "remove"); at >= 0 {
			uses = slices.Delete(uses, at, at+1)
		}
	}
	for _, u := range e.replace {
		if at := find(u.ID, u.path, p.spec.line(u.path), "replace"); at >= 0 {
			uses[at] = u
		}
	}
	c.uses = append(uses, e.add...)
}
