package tasks

import (
	"fmt"
	"strings"
)

// checker collects the problems of one file.
type checker struct {
	file      string
	diags     Diagnostics
	prefix    string              // "[2]." while inside a document of several
	positions map[string]position // field path -> where its value is written
	dropped   bool                // problems beyond maxDiagnostics
}

func newChecker(file string) *checker {
	return &checker{file: file, positions: map[string]position{}}
}

func (c *checker) fail(p position, field, message, allowed, suggestion string) {
	c.add(SeverityError, p, field, message, allowed, suggestion)
}

func (c *checker) warn(p position, field, message, allowed, suggestion string) {
	c.add(SeverityWarning, p, field, message, allowed, suggestion)
}

func (c *checker) add(s Severity, p position, field, message, allowed, suggestion string) {
	if len(c.diags) >= maxDiagnostics {
		c.dropped = c.dropped || s == SeverityError
		return
	}
	file := c.file
	if p.file != "" {
		file = p.file
	}
	if field != "" {
		field = c.prefix + field
	} else {
		field = strings.TrimSuffix(c.prefix, ".")
	}
	c.diags = append(c.diags, Diagnostic{Severity: s, File: file, Line: p.line, Column: p.column,
		Field: field, Message: message, Allowed: allowed, Suggestion: suggestion})
}

// mark remembers where a field's value is written.
func (c *checker) mark(field string, p position) {
	if len(c.positions) < maxPositions {
		c.positions[field] = p
	}
}

// report is everything found, in file order.
func (c *checker) report() Diagnostics {
	ds := c.diags.sorted()
	if c.dropped {
		ds = append(ds, Diagnostic{Severity: SeverityError, File: c.file,
			Message: fmt.Sprintf("there are more problems than the %d shown", maxDiagnostics)})
	}
	return ds
}

// failed reports whether the file has errors.
func (c *checker) failed() bool { return c.dropped || c.diags.HasErrors() }

// join appends a key to a field path.
func join(path, key string) string {
	if len(key) > maxPathKey {
		key = strings.ToValidUTF8(key[:maxPathKey], "") + "..."
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// position finds a field, or its nearest written parent.
func (t *Task) position(field string) position {
	for {
		if p, ok := t.positions[field]; ok {
			return p
		}
		i := strings.LastIndexAny(field, ".[")
		if i < 0 {
			return position{}
		}
		field = field[:i]
	}
}

// field is one key of a section: the grammar, the checks and the reference
// documentation come from the same row.
type field struct {
	name  string
	kinds kind
	// null says that null is a value of its own here; elsewhere a null key
	// counts as not given when the section drops nulls, and is an error if not.
	null bool
	// bounds of numbers; nil means any.
	bounds *bounds
	// choices of a text, compared without case when fold is set.
	choices []string
	fold    bool
	// table describes the keys of a map value.
	table *table
	// required keys must be present.
	required bool
	// ours marks keys SkyPilot does not have; internal ones are written by tools.
	ours, internal bool
	// typ and def replace the generated type and default in the reference.
	typ, def string
	doc      string
}

// table is the set of keys of one section.
type table struct {
	// title names the section in messages ("a task", "resources").
	title string
	// path is the section's place, for the reference.
	path   string
	fields []field
	// dropNull makes a null value the same as an absent key.
	dropNull bool
	// open sections only warn about unknown keys.
	open bool
	// stale maps keys of older versions and common slips to the right ones.
	stale map[string]string
	doc   string
}

func (t *table) lookup(name string) *field {
	for i := range t.fields {
		if t.fields[i].name == name {
			return &t.fields[i]
		}
	}
	return nil
}

func (t *table) names() []string {
	var out []string
	for _, f := range t.fields {
		if !f.internal {
			out = append(out, f.name)
		}
	}
	return out
}

// bounds of a number. Open excludes min itself.
type bounds struct {
	min, max float64
	open     bool
	text     string
}

func (b *bounds) admits(f float64) bool {
	if b.open && f <= b.min {
		return false
	}
	return f >= b.min && f <= b.max
}

// section is a map whose keys were checked against a table: vals holds the
// values that passed.
type section struct {
	c    *checker
	v    *value
	path string
	vals map[string]*value
}

func (s section) get(name string) *value { return s.vals[name] }

func (s section) at(name string) string { return join(s.path, name) }

// text returns a text value, or "".
func (s section) text(name string) string {
	if v := s.vals[name]; v != nil && v.kind == kindText {
		return v.text
	}
	return ""
}

// section checks the keys and kinds of a map. It reports every problem and
// never returns a nil map.
func (c *checker) section(v *value, path string, t *table) section {
	s := section{c: c, v: v, path: path, vals: map[string]*value{}}
	if v == nil {
		return s
	}
	for _, e := range v.entries {
		name := e.name()
		at := join(path, e.label())
		c.mark(at, e.val.pos)
		var f *field
		if e.key.kind == kindText {
			f = t.lookup(name)
		}
		if f == nil {
			c.unknownKey(e.key, at, e.label(), t)
			continue
		}
		if e.val.isNull() && !f.null {
			if !t.dropNull && !e.val.broken {
				c.wrongKind(e.val, at, f)
			}
			continue
		}
		if c.checkField(e.val, at, f) {
			s.vals[name] = e.val
		}
	}
	for _, f := range t.fields {
		if f.required && v.get(f.name) == nil {
			c.fail(v.pos, join(path, f.name), fmt.Sprintf("%s needs the key %s", t.title, f.name), "", "")
		}
	}
	return s
}

func (c *checker) unknownKey(key *value, at, name string, t *table) {
	allowed := strings.Join(t.names(), ", ")
	suggestion := didYouMean(name, t.names())
	if s, ok := t.stale[strings.ToLower(name)]; ok {
		suggestion = "use " + s + " instead"
	}
	msg := fmt.Sprintf("%s has no key %s", t.title, quote(name))
	if t.open {
		c.warn(key.pos, at, msg+"; it is kept but has no meaning here", allowed, suggestion)
		return
	}
	c.fail(key.pos, at, msg, allowed, suggestion)
}

func (c *checker) wrongKind(v *value, at string, f *field) {
	suggestion := ""
	if v.plain && f.kinds&kindText != 0 && v.kind&(kindBool|kindNumber|kindTime) != 0 {
		suggestion = fmt.Sprintf("write %s in quotes if it is meant as text", quote(v.text))
	} else if v.kind == kindText && f.kinds&kindText == 0 {
		if w, err := typePlain(strings.TrimSpace(v.text)); err == nil && w.text != "" && w.kind&f.kinds != 0 {
			suggestion = "remove the quotes"
		}
	}
	shown := v.show()
	if f.name == "secrets" { // the text may be a secret itself
		shown, suggestion = "this", ""
	}
	want := f.kinds.describe()
	if f.typ != "" {
		want = f.typ
	}
	c.fail(v.pos, at, fmt.Sprintf("must be %s, not %s", f.kinds.describe(), shown), want, suggestion)
}

// checkField checks one value against its row and reports whether it may be used.
func (c *checker) checkField(v *value, at string, f *field) bool {
	if v.isNull() {
		return f.null
	}
	if v.kind&f.kinds == 0 {
		c.wrongKind(v, at, f)
		return false
	}
	if v.kind&kindNumber != 0 && f.bounds != nil && !f.bounds.admits(v.number()) {
		c.fail(v.pos, at, fmt.Sprintf("must be %s, not %s", f.bounds.text, v.show()), f.bounds.text, "")
		return false
	}
	if v.kind == kindText && f.choices != nil && !isChoice(v.text, f.choices, f.fold) {
		c.fail(v.pos, at, fmt.Sprintf("%s is not known", v.show()), strings.Join(f.choices, ", "), didYouMean(v.text, f.choices))
		return false
	}
	return true
}

func isChoice(s string, choices []string, fold bool) bool {
	for _, c := range choices {
		if s == c || (fold && strings.EqualFold(s, c)) {
			return true
		}
	}
	return false
}
