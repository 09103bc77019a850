package engine

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"aloft/tasks/check/nearest"
)

// ConditionDef describes a condition that a check offers.
type ConditionDef struct {
	ID     string
	Params []Param
	// New makes the condition out of complete arguments.
	New func(Request) (Condition, error)
}

// Request is what a condition is made from.
type Request struct {
	Args  Args // the condition's own arguments
	Check Args // the arguments of the check it judges
	Mode  Mode
}

// Definition describes a check: all that a suite document, a report or the
// documentation says about it.
type Definition struct {
	ID string
	// Former lists names that the check had before; documents may use them.
	Former  []string
	Header  string // the result's title when it is not Name
	Summary string // one sentence: what the check finds
	// Formula says how the value is computed, in Markdown for the reference:
	// one to four sentences with formulas as `code`.
	Formula string
	// Differs says where the default mode differs from deepchecks and why, in
	// Markdown; "" when it does not. Compat mode never differs.
	Differs string
	Scope   Scope
	// Predictions tells that the check has nothing to do without predictions.
	Predictions bool
	// Alone tells that nothing else may run beside the check: it measures time.
	Alone      bool
	Params     []Param
	Conditions []ConditionDef
	// Defaults are the conditions that suites add.
	Defaults []Use
	New      func(Args, Mode) (Check, error)
}

// Use names a condition with the arguments that differ from its defaults.
type Use struct {
	ID   string
	Args map[string]any
}

// Name is the ID split before each capital letter: "Data Duplicates".
func (d *Definition) Name() string {
	var b strings.Builder
	for i, r := range d.ID {
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Title is the header of the check's results.
func (d *Definition) Title() string {
	if d.Header != "" {
		return d.Header
	}
	return d.Name()
}

// Problem is one fault of a request to build a check, with the path of the
// offending part ("params.n_samples", "conditions[0]").
type Problem struct {
	Path    []any // keys (string) and positions (int)
	Message string
}

// Item is a check ready to run, with the conditions to judge it by.
type Item struct {
	Suite      string // the suite it came from; "" when named singly
	Def        *Definition
	Args       Args
	Check      Check
	Conditions []Condition
	// Demanded checks were named singly: not running is a failure.
	Demanded bool
	// Note is a remark for the report, "" for none.
	Note string
}

// Build makes an Item. Nil conditions mean the defaults; an empty list means
// none. All faults are returned together.
func (d *Definition) Build(params map[string]any, conditions []Use, mode Mode) (Item, []Problem) {
	args, problems := complete(d.Params, params, mode, []any{"params"})
	if conditions == nil {
		conditions = d.Defaults
	}
	item := Item{Def: d, Args: args}
	for i, use := range conditions {
		path := []any{"conditions", i}
		c, faults := d.condition(use, args, mode, path)
		problems = append(problems, faults...)
		item.Conditions = append(item.Conditions, c)
	}
	if len(problems) > 0 {
		return item, problems
	}
	check, err := d.New(args, mode)
	if err != nil {
		return item, []Problem{{Path: []any{"params"}, Message: err.Error()}}
	}
	item.Check = check
	return item, nil
}

func (d *Definition) condition(use Use, check Args, mode Mode, path []any) (Condition, []Problem) {
	var ids []string
	general := GenericConditions()
	for _, def := range slices.Concat(d.Conditions, general) {
		ids = append(ids, def.ID)
		if def.ID != use.ID {
			continue
		}
		below := append(slices.Clone(path), use.ID)
		given, counts, err := severity(&def, use.Args)
		if err != nil {
			return Condition{}, []Problem{{Path: append(below, severityParam), Message: err.Error()}}
		}
		args, problems := complete(def.Params, given, mode, below)
		if len(problems) > 0 {
			return Condition{}, problems
		}
		c, err := def.New(Request{Args: args, Check: check, Mode: mode})
		if err != nil {
			return Condition{}, []Problem{{Path: path, Message: err.Error()}}
		}
		c.ID, c.Params = def.ID, args.Object(def.Params)
		if counts != "" {
			c = withSeverity(c, counts)
		}
		return c, nil
	}
	hint := nearest.Hint(use.ID, ids)
	own, rest := ids[:len(d.Conditions)], strings.Join(ids[len(d.Conditions):], ", ")
	if len(own) == 0 {
		return Condition{}, []Problem{{Path: path, Message: fmt.Sprintf("%s has no condition %q%s; like every check it has %s", d.ID, use.ID, hint, rest)}}
	}
	return Condition{}, []Problem{{Path: path, Message: fmt.Sprintf("%s has no condition %q%s; it has %s, and like every check %s",
		d.ID, use.ID, hint, strings.Join(own, ", "), rest)}}
}

// complete checks the arguments given and fills in the defaults.
func complete(params []Param, given map[string]any, mode Mode, path []any) (Args, []Problem) {
	var problems []Problem
	known := make([]string, 0, len(params))
	args := make(Args, len(params))
	for _, p := range params {
		if p.CompatOnly && mode != Deepchecks {
			continue
		}
		known = append(known, p.Name)
		args[p.Name] = p.Default
		if p.Compat != nil && mode == Deepchecks {
			args[p.Name] = p.Compat
		}
		v, ok := given[p.Name]
		if !ok {
			if p.Required {
				problems = append(problems, Problem{path, fmt.Sprintf("the parameter %q is needed: %s", p.Name, p.Type)})
			}
			continue
		}
		converted, err := p.Convert(v)
		if err != nil {
			problems = append(problems, Problem{append(slices.Clone(path), p.Name), fmt.Sprintf("%q %v", p.Name, err)})
			continue
		}
		args[p.Name] = converted
	}
	for _, name := range sorted(given) {
		if !slices.Contains(known, name) {
			what := "it has no parameters"
			if len(known) > 0 {
				what = "known are " + strings.Join(known, ", ")
			}
			problems = append(problems, Problem{append(slices.Clone(path), name), fmt.Sprintf("unknown parameter %q%s; %s", name, nearest.Hint(name, known), what)})
		}
	}
	return args, problems
}

func sorted(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Registry is the set of checks that may be named.
type Registry struct {
	defs []*Definition
	byID map[string]*Definition // by former names too
}

// NewRegistry makes a registry of definitions with distinct IDs.
func NewRegistry(groups ...[]*Definition) (*Registry, error) {
	r := &Registry{byID: make(map[string]*Definition)}
	for _, group := range groups {
		for _, d := range group {
			for _, name := range append([]string{d.ID}, d.Former...) {
				if _, dup := r.byID[name]; dup {
					return nil, fmt.Errorf("the check %s is registered twice", name)
				}
				r.byID[name] = d
			}
			r.defs = append(r.defs, d)
		}
	}
	return r, nil
}

// Lookup returns the definition of a check by its ID or a former name, or nil.
func (r *Registry) Lookup(id string) *Definition { return r.byID[id] }

// All lists the definitions in the order of registration.
func (r *Registry) All() []*Definition { return r.defs }

// IDs lists the names of all checks.
func (r *Registry) IDs() []string {
	ids := make([]string, len(r.defs))
	for i, d := range r.defs {
		ids[i] = d.ID
	}
	return ids
}

// Suite is a named list of checks.
type Suite struct {
	Name  string
	Items []Item
}
