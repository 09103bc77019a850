package engine

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// ParamType is the type of a check's or condition's parameter.
type ParamType string

// The types.
const (
	IntParam    ParamType = "a whole number"
	FloatParam  ParamType = "a number"
	BoolParam   ParamType = "true or false"
	TextParam   ParamType = "a text"
	TextsParam  ParamType = "a list of texts"
	ValuesParam ParamType = "a list of labels"
	// NumbersParam is a list of numbers; its default is a []any of them.
	NumbersParam ParamType = "a list of numbers"
	// MapParam is a mapping of names to plain values.
	MapParam ParamType = "a mapping"
	// AnyParam is one plain value.
	AnyParam ParamType = "a number, a text, or true or false"
	// NamesParam is a list of names, or a mapping from shown name to name.
	NamesParam ParamType = "a list of names, or a mapping of shown names to names"
)

// Param describes one parameter. One whose Default is nil may be null.
type Param struct {
	Name    string
	Type    ParamType
	Default any // nil, int, float64, bool, string, Object or []any
	// Compat, when set, is the default in mode Deepchecks.
	Compat any
	Doc    string
	// Min and Max bound numbers; both zero means unbounded.
	Min, Max float64
	// Allowed, when set, lists the texts accepted.
	Allowed []string
	// Null parameters may be null though their default is not.
	Null bool
	// Required parameters must be given.
	Required bool
	// CompatOnly parameters exist in deepchecks but have no effect.
	CompatOnly bool
}

// Args are parameter values by name, complete and of the declared types: int,
// float64, bool, string, []string, []any, [][2]string (NamesParam), Object
// (MapParam) or nil.
type Args map[string]any

// Int returns a whole number.
func (a Args) Int(name string) int {
	v, ok := a[name].(int)
	if !ok {
		return 0
	}
	return v
}

// Float returns a number.
func (a Args) Float(name string) float64 {
	v, ok := a[name].(float64)
	if !ok {
		return 0
	}
	return v
}

// Bool returns a truth value.
func (a Args) Bool(name string) bool {
	v, ok := a[name].(bool)
	return ok && v
}

// Text returns a text, "" for null.
func (a Args) Text(name string) string {
	v, ok := a[name].(string)
	if !ok {
		return ""
	}
	return v
}

// Texts returns a list of texts, nil for null.
func (a Args) Texts(name string) []string {
	v, ok := a[name].([]string)
	if !ok {
		return nil
	}
	return v
}

// Values returns a list of labels, nil for null.
func (a Args) Values(name string) []any {
	v, ok := a[name].([]any)
	if !ok {
		return nil
	}
	return v
}

// Map returns a mapping, nil for null.
func (a Args) Map(name string) Object {
	v, ok := a[name].(Object)
	if !ok {
		return nil
	}
	return v
}

// Names returns pairs of shown name and name, nil for null.
func (a Args) Names(name string) [][2]string {
	v, ok := a[name].([][2]string)
	if !ok {
		return nil
	}
	return v
}

// Numbers returns a list of numbers, nil for null.
func (a Args) Numbers(name string) []float64 {
	var out []float64
	for _, v := range a.Values(name) {
		switch v := v.(type) {
		case int:
			out = append(out, float64(v))
		case int64:
			out = append(out, float64(v))
		case float64:
			out = append(out, v)
		}
	}
	return out
}

// IsNull reports whether the parameter is null.
func (a Args) IsNull(name string) bool { return a[name] == nil }

// Object returns the arguments in the order of their declarations.
func (a Args) Object(params []Param) Object {
	out := make(Object, 0, len(params))
	for _, p := range params {
		if v, ok := a[p.Name]; ok {
			out = append(out, Field{p.Name, encodeArg(v)})
		}
	}
	return out
}

func encodeArg(v any) any {
	switch v := v.(type) {
	case []string:
		out := make([]any, len(v))
		for i, s := range v {
			out[i] = s
		}
		return out
	case [][2]string:
		out := make(Object, len(v))
		for i, p := range v {
			out[i] = Field{p[0], p[1]}
		}
		return out
	}
	return v
}

// Convert checks one value, as a YAML or JSON reader gives it, against the
// parameter and returns it in the form Args holds.
func (p Param) Convert(v any) (any, error) {
	if v == nil {
		if (p.Default != nil || p.Required) && !p.Null {
			return nil, fmt.Errorf("must be %s, not null", p.Type)
		}
		return nil, nil
	}
	switch p.Type {
	case IntParam, FloatParam:
		return p.number(v)
	case BoolParam:
		if b, ok := v.(bool); ok {
			return b, nil
		}
	case TextParam:
		if s, ok := v.(string); ok {
			return p.text(s)
		}
	case TextsParam:
		if out, ok := texts(v); ok {
			return out, nil
		}
	case ValuesParam:
		if list, ok := v.([]any); ok {
			return list, nil
		}
	case NumbersParam:
		if list, ok := v.([]any); ok && !slices.ContainsFunc(list, notNumber) {
			return list, nil
		}
	case MapParam:
		switch v := v.(type) {
		case Object:
			return v, nil
		case map[string]any:
			out := make(Object, 0, len(v))
			for _, k := range sorted(v) {
				out = append(out, Field{k, v[k]})
			}
			return out, nil
		}
	case AnyParam:
		switch v.(type) {
		case bool, int, int64, float64, string:
			return v, nil
		}
	case NamesParam:
		if out, ok := names(v); ok {
			return out, nil
		}
	}
	return nil, fmt.Errorf("must be %s, not %v", p.Type, v)
}

func notNumber(v any) bool {
	switch v.(type) {
	case int, int64, float64:
		return false
	}
	return true
}

func (p Param) text(s string) (any, error) {
	if len(p.Allowed) == 0 {
		return s, nil
	}
	for _, a := range p.Allowed {
		if s == a {
			return s, nil
		}
	}
	return nil, fmt.Errorf("must be one of %s, not %q", strings.Join(p.Allowed, ", "), s)
}

func (p Param) number(v any) (any, error) {
	var f float64
	switch n := v.(type) {
	case int:
		f = float64(n)
	case int64:
		f = float64(n)
	case float64:
		f = n
	default:
		return nil, fmt.Errorf("must be %s, not %v", p.Type, v)
	}
	if math.IsNaN(f) || (p.Min != 0 || p.Max != 0) && (f < p.Min || f > p.Max) {
		if p.Max == math.MaxFloat64 {
			return nil, fmt.Errorf("must be at least %v, not %v", p.Min, v)
		}
		return nil, fmt.Errorf("must be between %v and %v, not %v", p.Min, p.Max, v)
	}
	if p.Type == FloatParam {
		return f, nil
	}
	if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return nil, fmt.Errorf("must be %s, not %v", p.Type, v)
	}
	return int(f), nil
}

// texts accepts one text or a list of texts.
func texts(v any) ([]string, bool) {
	switch v := v.(type) {
	case string:
		return []string{v}, true
	case []string:
		return v, true
	case []any:
		out := make([]string, len(v))
		for i, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, false
			}
			out[i] = s
		}
		return out, true
	}
	return nil, false
}

func names(v any) ([][2]string, bool) {
	if object, ok := v.(Object); ok {
		out := make([][2]string, len(object))
		for i, f := range object {
			s, ok := f.Value.(string)
			if !ok {
				return nil, false
			}
			out[i] = [2]string{f.Key, s}
		}
		return out, true
	}
	list, ok := texts(v)
	if !ok {
		return nil, false
	}
	out := make([][2]string, len(list))
	for i, s := range list {
		out[i] = [2]string{"", s}
	}
	return out, true
}
