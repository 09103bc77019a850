package check

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/nearest"
)

// pick is one entry of a list of what to run: a suite, built in or defined,
// or a check, each with what is to be changed of it.
type pick struct {
	path string
	line int
	file string // "" is the document itself

	name       string // of the suite or check, "" when it could not be read
	kind       pickKind
	only, skip []named
	params     []setting
	conditions edit
	changes    []pick // of single checks of the suite
	custom     *customSpec
}

// pickKind says what a pick names.
type pickKind int

const (
	anyPick   pickKind = iota // a bare name in a definition: a suite or a check
	suitePick                 // a suite
	checkPick                 // a check
)

// named is a name with where it stands.
type named struct {
	name, path string
	line       int
}

// setting is a parameter's value with where it stands.
type setting struct {
	name  string
	value any
	path  string
}

// placedUse is a condition with where it stands.
type placedUse struct {
	engine.Use
	path string
}

// edit is what happens to the conditions that a check has.
type edit struct {
	exact   bool // uses are all there are
	uses    []placedUse
	remove  []named
	replace []placedUse
	add     []placedUse
}

// suites reads what is under "suites": a name, or a list of names and of
// mappings that name a suite and change it.
func (d *decoder) suites(path string, n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		n = &yaml.Node{Kind: yaml.SequenceNode, Line: n.Line, Content: []*yaml.Node{n}}
	}
	plain := make(map[string]bool)
	for _, p := range d.picks(path, n, "suites", suitePick) {
		bare := len(p.only)+len(p.skip)+len(p.params)+len(p.changes) == 0
		if bare && plain[p.name] {
			d.report(p.line, p.path, fmt.Sprintf("the suite %q is named twice", p.name))
			continue
		}
		plain[p.name] = plain[p.name] || bare
		if !slices.Contains(d.spec.Suites, p.name) {
			d.spec.Suites = append(d.spec.Suites, p.name)
		}
		d.spec.suitePicks = append(d.spec.suitePicks, p)
	}
}

// checks reads what is under "checks": names, and mappings that name a check
// and say how to run it.
func (d *decoder) checks(path string, n *yaml.Node) {
	d.spec.checkPicks = d.picks(path, n, "checks", checkPick)
	for _, p := range d.spec.checkPicks {
		d.spec.Checks = append(d.spec.Checks, p.name)
	}
}

// picks reads a list of entries of a kind.
func (d *decoder) picks(path string, n *yaml.Node, what string, kind pickKind) []pick {
	n = resolve(n)
	if n.Kind != yaml.SequenceNode {
		d.fault(n, path, "must be a list of %s, not %s", what, describe(n))
		return nil
	}
	var out []pick
	for i, e := range n.Content {
		e = resolve(e)
		at := fmt.Sprintf("%s[%d]", path, i)
		d.spec.lines[at] = e.Line
		if p := d.pick(at, e, kind); p.name != "" {
			out = append(out, p)
		}
	}
	return out
}

func (d *decoder) pick(at string, n *yaml.Node, kind pickKind) pick {
	p := pick{path: at, line: n.Line, file: d.file, kind: kind}
	if n.Kind == yaml.ScalarNode {
		d.text(&p.name)(at, n)
		return p
	}
	suite := entry{"suite", func(path string, n *yaml.Node) { p.kind = suitePick; d.text(&p.name)(path, n) }}
	check := entry{"check", func(path string, n *yaml.Node) {
		p.kind = checkPick
		if n.Kind == yaml.MappingNode {
			p.custom = d.custom(path, n)
			p.name, p.conditions = p.custom.Name, p.custom.conditions
			return
		}
		d.text(&p.name)(path, n)
	}}
	params := entry{"params", func(path string, n *yaml.Node) { p.params = d.settings(path, n) }}
	conditions := entry{"conditions", func(path string, n *yaml.Node) { p.conditions = d.edit(path, n) }}
	choice := []entry{
		{"only", func(path string, n *yaml.Node) { p.only = d.names(path, n) }},
		{"skip", func(path string, n *yaml.Node) { p.skip = d.names(path, n) }},
		{"checks", func(path string, n *yaml.Node) { p.changes = d.changes(path, n) }},
	}
	switch {
	case kind == suitePick:
		d.mapping(at, n, append([]entry{suite, params}, choice...))
	case kind == checkPick:
		d.mapping(at, n, []entry{check, params, conditions})
	case has(n, "suite"):
		d.mapping(at, n, append([]entry{suite, params}, choice...))
	default:
		d.mapping(at, n, []entry{check, params, conditions})
	}
	if p.name == "" && p.custom == nil && n.Kind == yaml.MappingNode {
		want := map[pickKind]string{suitePick: `"suite"`, checkPick: `"check"`, anyPick: `"suite" or "check"`}[kind]
		if !has(n, "suite") && !has(n, "check") {
			d.fault(n, at, "the key %s is missing: it names what to run", want)
		}
	}
	if p.custom != nil && (p.params != nil || has(n, "conditions")) {
		d.fault(n, at, "parameters and conditions of a custom check stand beside its command")
	}
	return p
}

func has(n *yaml.Node, key string) bool {
	if n.Kind != yaml.MappingNode {
		return false
	}
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return true
		}
	}
	return false
}

// names reads a list of names, each with its line.
func (d *decoder) names(path string, n *yaml.Node) []named {
	if n.Kind == yaml.ScalarNode {
		return []named{{n.Value, path, n.Line}}
	}
	if n.Kind != yaml.SequenceNode {
		d.fault(n, path, "must be a list of names, not %s", describe(n))
		return nil
	}
	out := []named{}
	for i, e := range n.Content {
		e = resolve(e)
		at := fmt.Sprintf("%s[%d]", path, i)
		if e.Kind != yaml.ScalarNode || e.Value == "" {
			d.fault(e, at, "must be a name, not %s", describe(e))
			continue
		}
		d.spec.lines[at] = e.Line
		out = append(out, named{e.Value, at, e.Line})
	}
	return out
}

// changes reads a mapping from checks of a suite to what is changed of them.
func (d *decoder) changes(path string, n *yaml.Node) []pick {
	if n.Kind != yaml.MappingNode {
		d.fault(n, path, "must be a mapping of the suite's checks to changes, not %s", describe(n))
		return nil
	}
	var out []pick
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], resolve(n.Content[i+1])
		p := pick{path: path + "." + key.Value, line: key.Line, file: d.file, name: key.Value, kind: checkPick}
		if slices.ContainsFunc(out, func(o pick) bool { return o.name == p.name }) {
			d.fault(key, path, "the check %q occurs twice", key.Value)
			continue
		}
		d.spec.lines[p.path] = key.Line
		d.mapping(p.path, value, []entry{
			{"params", func(path string, n *yaml.Node) { p.params = d.settings(path, n) }},
			{"conditions", func(path string, n *yaml.Node) { p.conditions = d.edit(path, n) }},
		})
		out = append(out, p)
	}
	return out
}

// settings reads parameters; their names and types are the check's to judge.
func (d *decoder) settings(path string, n *yaml.Node) []setting {
	given := d.params(path, n)
	out := make([]setting, 0, len(given))
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		if v, ok := given[key]; ok {
			out = append(out, setting{key, v, path + "." + key})
			delete(given, key)
		}
	}
	return out
}

// edit reads what happens to a check's conditions: a list is all of them, a
// mapping adds, removes and replaces.
func (d *decoder) edit(path string, n *yaml.Node) edit {
	if n.Kind == yaml.SequenceNode {
		return edit{exact: true, uses: d.conditions(path, n)}
	}
	var e edit
	if n.Kind != yaml.MappingNode {
		d.fault(n, path, "must be a list of conditions, or a mapping with add, remove and replace, not %s", describe(n))
		return e
	}
	d.mapping(path, n, []entry{
		{"add", func(path string, n *yaml.Node) { e.add = d.conditions(path, n) }},
		{"remove", func(path string, n *yaml.Node) { e.remove = d.names(path, n) }},
		{"replace", func(path string, n *yaml.Node) { e.replace = d.conditions(path, n) }},
	})
	return e
}

// conditions reads a list of condition names or of one-key mappings from a
// name to parameters, or to the one value of a general condition.
func (d *decoder) conditions(path string, n *yaml.Node) []placedUse {
	if n.Kind != yaml.SequenceNode {
		d.fault(n, path, "must be a list of conditions, not %s", describe(n))
		return nil
	}
	out := make([]placedUse, 0, len(n.Content))
	for i, e := range n.Content {
		e = resolve(e)
		at := fmt.Sprintf("%s[%d]", path, i)
		d.spec.lines[at] = e.Line
		switch {
		case e.Kind == yaml.ScalarNode && e.Tag == "!!str":
			out = append(out, placedUse{engine.Use{ID: e.Value}, at})
		case e.Kind == yaml.MappingNode && len(e.Content) == 2:
			u := engine.Use{ID: e.Content[0].Value}
			switch v := resolve(e.Content[1]); {
			case v.Tag == "!!null":
			case v.Kind == yaml.MappingNode:
				u.Args = d.params(at+"."+u.ID, v)
			default:
				if u.Args = d.limit(at+"."+u.ID, u.ID, v); u.Args == nil {
					continue
				}
			}
			out = append(out, placedUse{u, at})
		default:
			d.fault(e, at, "must be the name of a condition, or a mapping of one name to its parameters")
		}
	}
	return out
}

// limit reads the short form of a general condition: `greater_than: 0.8`,
// `between: [0, 1]`.
func (d *decoder) limit(path, id string, n *yaml.Node) map[string]any {
	v, err := plain(n)
	list, isList := v.([]any)
	general := slices.ContainsFunc(engine.GenericConditions(), func(c engine.ConditionDef) bool { return c.ID == id })
	switch {
	case err != nil:
		d.fault(n, path, "%v", err)
	case !general:
		d.fault(n, path, "must be a mapping of parameters to values, not %s", describe(n))
	case id == "between" && isList && len(list) == 2:
		return map[string]any{"low": list[0], "high": list[1]}
	case id == "between" || isList:
		d.fault(n, path, "must be %s, or a mapping of parameters to values, not %s", map[bool]string{true: "two numbers in a list", false: "one value"}[id == "between"], describe(n))
	default:
		return map[string]any{"value": v}
	}
	return nil
}

// report adds a problem that has no node.
func (d *decoder) report(line int, path, message string) {
	d.problems = append(d.problems, Problem{File: d.file, Line: line, Path: path, Message: message})
}

// unknown words a name that is not among those known.
func unknown(what, name string, known []string) string {
	return fmt.Sprintf("unknown %s %q%s; known are %s", what, name, nearest.Hint(name, known), strings.Join(known, ", "))
}
