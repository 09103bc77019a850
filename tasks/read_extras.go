package tasks

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"
)

// tests reads our tests section: one suite document or a list of them.
func (c *checker) tests(v *value, t *Task) {
	if v == nil {
		return
	}
	if v.kind == kindMap {
		t.Tests = append(t.Tests, c.test(v, "tests"))
		return
	}
	for i, it := range v.items {
		at := index("tests", i)
		if it.kind != kindMap {
			c.wrongKind(it, at, &field{kinds: kindMap})
			continue
		}
		t.Tests = append(t.Tests, c.test(it, at))
	}
}

func (c *checker) test(v *value, at string) TestSpec {
	s := c.section(v, at, testTable())
	spec := TestSpec{Name: s.text("name"), Kind: "tabular", Train: s.text("train"), Test: s.text("test"), FailOn: "fail"}
	if k := s.text("kind"); k != "" {
		spec.Kind = k
	}
	if f := s.text("fail_on"); f != "" {
		spec.FailOn = f
	}
	if l := s.get("label"); l != nil {
		spec.Label = pyStr(l)
	}
	switch suites := s.get("suites"); {
	case suites == nil:
	case suites.kind == kindText:
		spec.Suites = []string{suites.text}
	default:
		for i, it := range suites.items {
			if it.kind == kindMap { // the document's reader judges the rest
				for _, e := range it.entries {
					if e.name() == "suite" && e.val.kind == kindText {
						spec.Suites = append(spec.Suites, e.val.text)
					}
				}
				continue
			}
			if it.kind != kindText || it.text == "" {
				c.wrongKind(it, index(s.at("suites"), i), &field{kinds: kindText})
				continue
			}
			spec.Suites = append(spec.Suites, it.text)
		}
	}
	if p := s.get("predictions"); p != nil && p.kind == kindMap && spec.Kind == "tabular" { // of others the document's reader judges
		known := []string{"train", "test"}
		for _, e := range p.entries {
			if !isChoice(e.name(), known, false) {
				c.fail(e.key.pos, join(s.at("predictions"), e.name()), "predictions has no key "+quote(e.name()), "train, test", didYouMean(e.name(), known))
			}
		}
	}
	spec.Raw, _ = v.data().(map[string]any)
	return spec
}

// artifacts reads our artifacts section.
func (c *checker) artifacts(v *value, t *Task) {
	if v == nil {
		return
	}
	add := func(v *value, at, p, dest string) {
		if p == "" {
			c.fail(v.pos, at, "the artifact has an empty path", "a path or glob, relative to the workdir", "")
			return
		}
		if _, err := path.Match(p, ""); err != nil {
			c.fail(v.pos, at, quote(p)+" is not a valid glob", "* ? and [a-z]", "")
			return
		}
		t.Artifacts = append(t.Artifacts, Artifact{Path: p, Dest: dest})
	}
	switch v.kind {
	case kindText:
		add(v, "artifacts", v.text, "")
	case kindList:
		entry := &table{title: "an artifact", dropNull: true, stale: map[string]string{"src": "path", "dst": "dest", "destination": "dest"},
			fields: []field{{name: "path", kinds: kindText, required: true}, {name: "dest", kinds: kindText}}}
		for i, it := range v.items {
			at := index("artifacts", i)
			switch it.kind {
			case kindText:
				add(it, at, it.text, "")
			case kindMap:
				s := c.section(it, at, entry)
				if p := s.get("path"); p != nil {
					add(p, s.at("path"), p.text, s.text("dest"))
				}
			default:
				c.wrongKind(it, at, &field{kinds: kindText | kindMap})
			}
		}
	case kindMap:
		for _, e := range v.entries {
			at := join("artifacts", e.name())
			if !e.val.isNull() && e.val.kind != kindText {
				c.wrongKind(e.val, at, &field{kinds: kindText})
				continue
			}
			dest := ""
			if e.val.kind == kindText {
				dest = e.val.text
			}
			add(e.key, at, e.name(), dest)
		}
	}
}

// budget reads our budget section.
func (c *checker) budget(v *value, t *Task) {
	if v == nil {
		return
	}
	s := c.section(v, "budget", budgetTable())
	money := func(name string) float64 {
		m := s.get(name)
		if m == nil {
			return 0
		}
		if m.kind != kindText {
			if !isFinite(m.number()) {
				c.fail(m.pos, s.at(name), m.show()+" is not an amount", "USD, greater than 0", "")
				return 0
			}
			return m.number()
		}
		f, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimPrefix(m.text, "$")), 64)
		if err != nil || !isFinite(f) || f <= 0 {
			c.fail(m.pos, s.at(name), m.show()+" is not an amount", "USD, greater than 0", "write for example "+name+": 5.00")
			return 0
		}
		return f
	}
	t.Budget.MaxCost = money("max_cost")
	t.Budget.MaxHourlyCost = money("max_hourly_cost")
	if d := s.get("max_duration"); d != nil {
		dur, err := ParseDuration(d.text)
		if d.kind == kindInt {
			// YAML 1.1 may have read 1:30 as a number; its text is no duration.
			n, ok := d.smallInt()
			if err = nil; !ok || n > int(1<<31) {
				err = fmt.Errorf("%s is too long", d.show())
			}
			dur = time.Duration(n) * time.Minute
		}
		if err != nil {
			c.fail(d.pos, s.at("max_duration"), err.Error(), "a duration such as 30m, 2h or 1d", "")
		}
		t.Budget.MaxDuration = dur
	}
}
