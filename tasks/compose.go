package tasks

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// composer turns the library's nodes into typed values.
type composer struct {
	c       *checker
	budget  int                 // values left
	text    int                 // bytes of text left
	open    map[*yaml.Node]bool // nodes being expanded, to find cycles
	stopped bool
}

// documents parses every document of src. A null document is nil; false means
// that the text is not YAML, or too big once expanded.
func (c *checker) documents(src []byte) ([]*value, bool) {
	co := &composer{c: c, budget: maxValues, text: maxText, open: map[*yaml.Node]bool{}}
	nodes, err := decodeNodes(src)
	if err != nil {
		c.syntaxError(src, err)
	}
	ok := err == nil
	var out []*value
	for _, n := range nodes {
		if co.stopped {
			break
		}
		if n.Kind == 0 || len(n.Content) == 0 {
			out = append(out, nil)
			continue
		}
		v := co.value(n.Content[0], 0)
		if v.isNull() {
			v = nil
		}
		out = append(out, v)
	}
	return out, ok && !co.stopped
}

func decodeNodes(src []byte) (nodes []*yaml.Node, err error) {
	// The library reports errors by panicking inside and recovering; should one
	// of its own bugs come through, it becomes an error of the file.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the YAML parser gave up: %v", r)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(src))
	for {
		n := new(yaml.Node)
		if err := dec.Decode(n); err != nil {
			if errors.Is(err, io.EOF) {
				return nodes, nil
			}
			return nodes, err
		}
		nodes = append(nodes, n)
		if len(nodes) > maxDocuments {
			return nodes, fmt.Errorf("the file holds more than %d documents", maxDocuments)
		}
	}
}

// maxDocuments bounds the documents of one file.
const maxDocuments = 1000

var reYAMLLine = newPattern(`^yaml: (?:line (\d+): )?(.*)$`)

// syntaxError reports what the parser said, at the best position known.
func (c *checker) syntaxError(src []byte, err error) {
	msg := err.Error()
	p := position{}
	if m := reYAMLLine.FindStringSubmatch(strings.ReplaceAll(msg, "\n", " ")); m != nil {
		p.line, _ = strconv.Atoi(m[1])
		msg = m[2]
	}
	lines := bytes.Split(src, []byte{'\n'})
	if strings.Contains(msg, "cannot start any token") || strings.Contains(msg, "tab character") {
		// The parser's line may be one off; look for the tab around it.
		for _, l := range []int{p.line, p.line + 1, p.line - 1} {
			if l < 1 || l > len(lines) {
				continue
			}
			lead := len(lines[l-1]) - len(bytes.TrimLeft(lines[l-1], " \t"))
			if i := bytes.IndexByte(lines[l-1][:lead], '\t'); i >= 0 {
				c.fail(position{line: l, column: i + 1}, "", "a tab is used for indentation", "spaces", "replace the tab with spaces")
				return
			}
		}
	}
	if p.line > 0 && p.line <= len(lines) {
		p.column = len(lines[p.line-1]) - len(bytes.TrimLeft(lines[p.line-1], " ")) + 1
	}
	c.fail(p, "", "not valid YAML: "+msg, "", "check the indentation and the quotes around this line")
}

func nodePos(n *yaml.Node) position { return position{line: n.Line, column: n.Column} }

// value converts a node. It always returns a value; problems are reported.
func (co *composer) value(n *yaml.Node, depth int) *value {
	null := &value{kind: kindNull, pos: nodePos(n), broken: true}
	if co.stopped {
		return null
	}
	co.budget--
	co.text -= len(n.Value)
	if co.budget < 0 || co.text < 0 {
		co.stopped = true
		co.c.fail(nodePos(n), "", fmt.Sprintf("aliases make this file expand to more than %d values or %d MiB", maxValues, maxText>>20),
			"", "write the repeated parts out, or use fewer aliases of aliases")
		return null
	}
	if depth > maxDepth {
		co.stopped = true
		co.c.fail(nodePos(n), "", "values nest too deep here", fmt.Sprintf("at most %d levels", maxDepth), "")
		return null
	}
	switch n.Kind {
	case yaml.AliasNode:
		if n.Alias == nil || co.open[n.Alias] {
			co.c.fail(nodePos(n), "", fmt.Sprintf("the alias *%s refers to a value that contains it", n.Value), "", "")
			return null
		}
		return co.value(n.Alias, depth+1)
	case yaml.ScalarNode:
		return co.scalar(n)
	case yaml.SequenceNode:
		if !co.containerTag(n, "!!seq") {
			return null
		}
		co.open[n] = true
		defer delete(co.open, n)
		v := &value{kind: kindList, pos: nodePos(n)}
		for _, it := range n.Content {
			v.items = append(v.items, co.value(it, depth+1))
		}
		return v
	case yaml.MappingNode:
		if !co.containerTag(n, "!!map") {
			return null
		}
		co.open[n] = true
		defer delete(co.open, n)
		return co.mapping(n, depth)
	}
	return null
}

func (co *composer) containerTag(n *yaml.Node, want string) bool {
	if n.Style&yaml.TaggedStyle == 0 || n.ShortTag() == want {
		return true
	}
	co.badTag(n)
	return false
}

func (co *composer) badTag(n *yaml.Node) {
	co.c.fail(nodePos(n), "", fmt.Sprintf("the tag %s is not supported in task files", quote(n.Tag)),
		"the standard tags !!str, !!int, !!float, !!bool, !!null, !!seq and !!map", "remove the tag")
}

func (co *composer) scalar(n *yaml.Node) *value {
	p := nodePos(n)
	quoted := n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	if n.Style&yaml.TaggedStyle != 0 {
		return co.tagged(n, p)
	}
	if quoted {
		return textValue(n.Value, p)
	}
	v, err := typePlain(n.Value)
	v.pos = p
	if err != nil {
		co.c.fail(p, "", fmt.Sprintf("%s: %v", quote(n.Value), err), "", "put it in quotes if it is text")
		return &value{kind: kindNull, pos: p, broken: true}
	}
	return &v
}

// tagged types a scalar with an explicit tag.
func (co *composer) tagged(n *yaml.Node, p position) *value {
	tag := n.ShortTag()
	if tag == "!!str" {
		return textValue(n.Value, p)
	}
	want := map[string]kind{"!!int": kindInt, "!!float": kindFloat, "!!bool": kindBool, "!!null": kindNull, "!!timestamp": kindTime}[tag]
	if want == 0 {
		co.badTag(n)
		return &value{kind: kindNull, pos: p, broken: true}
	}
	v, err := typePlain(n.Value)
	v.pos = p
	switch {
	case err == nil && v.kind == want:
		return &v
	case want == kindNull:
		return &value{kind: kindNull, pos: p}
	case want == kindFloat && err == nil && v.kind == kindInt:
		v.kind, v.f = kindFloat, v.number()
		return &v
	case want == kindFloat:
		if f, ferr := parseFloat(n.Value); ferr == nil {
			return &value{kind: kindFloat, f: f, text: n.Value, plain: true, pos: p}
		}
	}
	co.c.fail(p, "", fmt.Sprintf("%s does not fit its tag %s", quote(n.Value), tag), "", "remove the tag")
	return &value{kind: kindNull, pos: p, broken: true}
}

// mapping builds a map: merge keys first (an earlier merge wins over a later
// one, own keys win over both), then duplicate keys are reported.
func (co *composer) mapping(n *yaml.Node, depth int) *value {
	v := &value{kind: kindMap, pos: nodePos(n)}
	index := map[string]*entry{}
	put := func(key, val *value, override bool) {
		id := fmt.Sprintf("%d/%s", key.kind, pyStr(key))
		if e := index[id]; e != nil {
			if override {
				e.key, e.val = key, val
			}
			return
		}
		e := &entry{key: key, val: val}
		index[id] = e
		v.entries = append(v.entries, e)
	}
	own := map[string]position{}
	var keys, vals []*value
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, val := n.Content[i], n.Content[i+1]
		if isMerge(k) {
			if first, dup := own["<<"]; dup {
				co.duplicate(position{line: k.Line, column: k.Column}, "<<", first)
			}
			own["<<"] = nodePos(k)
			co.merge(val, depth, put)
			continue
		}
		key := co.value(k, depth+1)
		if key.kind == kindList || key.kind == kindMap {
			co.c.fail(key.pos, "", "a key must be a single value, not "+key.show(), "", "")
			continue
		}
		id := fmt.Sprintf("%d/%s", key.kind, pyStr(key))
		if first, dup := own[id]; dup {
			co.duplicate(key.pos, pyStr(key), first)
		} else {
			own[id] = key.pos
		}
		keys = append(keys, key)
		vals = append(vals, co.value(val, depth+1))
	}
	for i, k := range keys {
		put(k, vals[i], true)
	}
	return v
}

func (co *composer) duplicate(p position, key string, first position) {
	co.c.fail(p, key, fmt.Sprintf("the key %s is given twice, on lines %d and %d", quote(key), first.line, p.line),
		"", "remove one of the two")
}

func isMerge(k *yaml.Node) bool {
	return k.Kind == yaml.ScalarNode && k.Value == "<<" && (k.Style == 0 || k.ShortTag() == "!!merge")
}

func (co *composer) merge(n *yaml.Node, depth int, put func(k, v *value, override bool)) {
	v := co.value(n, depth+1)
	list := []*value{v}
	if v.kind == kindList {
		list = v.items
	}
	for _, m := range list {
		if m.kind != kindMap {
			if !co.stopped {
				co.c.fail(m.pos, "<<", "a merge key takes a map or a list of maps, not "+m.show(), "", "")
			}
			continue
		}
		for _, e := range m.entries {
			put(e.key, e.val, false)
		}
	}
}
