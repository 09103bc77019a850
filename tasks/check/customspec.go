package check

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"aloft/tasks/check/custom"
	"aloft/tasks/check/engine"
)

// customSpec is a check that is a command of the user's.
type customSpec struct {
	custom.Spec
	conditions edit
}

// custom reads `check: {name: …, command: …}`.
func (d *decoder) custom(path string, n *yaml.Node) *customSpec {
	c := &customSpec{Spec: custom.Spec{Scope: engine.SingleDataset, Timeout: custom.DefaultTimeout}}
	scope := string(c.Scope)
	before := len(d.problems)
	d.mapping(path, n, []entry{
		{"name", d.text(&c.Name)},
		{"command", d.text(&c.Command)},
		{"scope", d.choice(&scope, string(engine.SingleDataset), string(engine.TrainTest))},
		{"timeout", func(path string, n *yaml.Node) { c.Timeout = d.duration(path, n) }},
		{"params", func(path string, n *yaml.Node) {
			for _, s := range d.settings(path, n) {
				c.Params = append(c.Params, engine.Field{Key: s.name, Value: s.value})
			}
		}},
		{"conditions", func(path string, n *yaml.Node) {
			if n.Kind != yaml.SequenceNode {
				d.fault(n, path, "must be a list of conditions, not %s: a custom check has none to add to", describe(n))
				return
			}
			c.conditions = edit{exact: true, uses: d.conditions(path, n)}
		}},
	})
	c.Scope = engine.Scope(scope)
	if len(d.problems) > before {
		c.Name = "" // told already
		return c
	}
	registry, err := d.spec.Kind.Registry()
	switch {
	case err != nil:
		d.fault(n, path, "%v", err)
	case c.Name == "" || c.Command == "":
		d.fault(n, path, "a custom check needs \"name\" and \"command\"")
	case registry.Lookup(c.Name) != nil:
		d.fault(n, path+".name", "%q is a check already: choose another name", c.Name)
	default:
		return c
	}
	c.Name = ""
	return c
}

// duration reads a positive time such as 60s or 5m.
func (d *decoder) duration(path string, n *yaml.Node) time.Duration {
	v, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || v <= 0 {
		d.fault(n, path, "must be a time such as 60s or 5m, not %s", describe(n))
		return custom.DefaultTimeout
	}
	return v
}

// definition describes the check to reports.
func (c *customSpec) definition() *engine.Definition {
	return &engine.Definition{
		ID: c.Name, Scope: c.Scope, Params: c.params(),
		Summary: fmt.Sprintf("A check of your own: `%s`.", c.Command),
		New:     func(engine.Args, engine.Mode) (engine.Check, error) { return custom.New(c.Spec), nil },
	}
}

// params describes what the command is given; the values are its own matter.
func (c *customSpec) params() []engine.Param {
	out := make([]engine.Param, len(c.Params))
	for i, f := range c.Params {
		out[i] = engine.Param{Name: f.Key, Type: engine.AnyParam, Doc: "passed to the command"}
	}
	return out
}

func (c *customSpec) args() engine.Args {
	out := make(engine.Args, len(c.Params))
	for _, f := range c.Params {
		out[f.Key] = f.Value
	}
	return out
}
