package engine

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// GenericConditions lists the conditions that every check has besides its own.
// A check's own condition of the same name is meant first.
func GenericConditions() []ConditionDef {
	number := Param{Name: "value", Type: FloatParam, Required: true, Doc: "the limit"}
	where := []Param{
		{Name: "path", Type: TextParam, Doc: "where in the value to look; null means the reduced value, or the value itself when there is none"},
		{Name: "reduced", Type: TextParam, Doc: "key of the reduced value to look at; null means all of them"},
	}
	order := func(id, words string, holds func(v, limit float64) bool) ConditionDef {
		return ConditionDef{ID: id, Params: append([]Param{number}, where...), New: func(r Request) (Condition, error) {
			limit := r.Args.Float("value")
			return generic(r.Args, words+" "+short(limit), func(v any) bool {
				f, ok := asNumber(v)
				return ok && holds(f, limit)
			})
		}}
	}
	return []ConditionDef{
		order("greater_than", "greater than", func(v, l float64) bool { return v > l }),
		order("less_than", "less than", func(v, l float64) bool { return v < l }),
		order("greater_or_equal", "greater or equal to", func(v, l float64) bool { return v >= l }),
		order("less_or_equal", "less or equal to", func(v, l float64) bool { return v <= l }),
		{
			ID:     "equals",
			Params: append([]Param{{Name: "value", Type: AnyParam, Required: true, Doc: "what it must be"}}, where...),
			New: func(r Request) (Condition, error) {
				want := r.Args["value"]
				return generic(r.Args, "equal to "+shown(want), func(v any) bool { return same(v, want) })
			},
		},
		{
			ID: "between",
			Params: append([]Param{
				{Name: "low", Type: FloatParam, Required: true, Doc: "the least that passes"},
				{Name: "high", Type: FloatParam, Required: true, Doc: "the most that passes"},
			}, where...),
			New: func(r Request) (Condition, error) {
				low, high := r.Args.Float("low"), r.Args.Float("high")
				if low > high {
					return Condition{}, fmt.Errorf("low %s is above high %s", short(low), short(high))
				}
				return generic(r.Args, "between "+short(low)+" and "+short(high), func(v any) bool {
					f, ok := asNumber(v)
					return ok && f >= low && f <= high
				})
			},
		},
	}
}

// generic makes a condition that every value looked at must satisfy.
func generic(a Args, words string, holds func(any) bool) (Condition, error) {
	path, key := a.Text("path"), a.Text("reduced")
	if path != "" && key != "" {
		return Condition{}, fmt.Errorf("give path or reduced, not both")
	}
	what := "Result"
	switch {
	case path != "":
		if _, err := parsePath(path); err != nil {
			return Condition{}, err
		}
		what = "Result at " + path
	case key != "":
		what = "Reduced result " + key
	}
	return Condition{
		Name: what + " is " + words,
		Judge: func(r Result) (Verdict, string, error) {
			found, err := lookedAt(r, path, key)
			if err != nil {
				return Broken, "", Errorf(ValueError, "%v", err)
			}
			if len(found) == 0 {
				return Broken, "", Errorf(ValueError, "there is no value to judge")
			}
			var bad []string
			for _, l := range found {
				if !holds(l.Value) {
					bad = append(bad, labelled(l))
				}
			}
			switch {
			case len(bad) == 0 && len(found) == 1:
				return Pass, "Found " + labelled(found[0]), nil
			case len(bad) == 0:
				return Pass, fmt.Sprintf("All %d values are", len(found)), nil
			case len(found) == 1:
				return Fail, "Found " + bad[0], nil
			}
			const most = 10
			more := ""
			if len(bad) > most {
				bad, more = bad[:most], fmt.Sprintf(" and %d more", len(bad)-most)
			}
			return Fail, fmt.Sprintf("Not so for %s%s, of %d values", strings.Join(bad, ", "), more, len(found)), nil
		},
	}, nil
}

// lookedAt lists what a generic condition judges.
func lookedAt(r Result, path, key string) ([]Leaf, error) {
	switch {
	case path != "":
		return Find(r.Value.Encode(), path)
	case key != "":
		if r.Reduced == nil {
			return nil, fmt.Errorf("the check has no reduced result here")
		}
		return (step{name: key}).walk(Leaf{"", r.Reduced})
	case r.Reduced != nil:
		return leaves(Leaf{"", r.Reduced})
	}
	return leaves(Leaf{"", r.Value.Encode()})
}

func labelled(l Leaf) string {
	if l.Path == "" {
		return shown(l.Value)
	}
	return l.Path + " = " + shown(l.Value)
}

func asNumber(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case float64:
		return v, !math.IsNaN(v)
	}
	return 0, false
}

func same(a, b any) bool {
	x, ok := asNumber(a)
	y, ok2 := asNumber(b)
	if ok && ok2 {
		return cmp.Compare(x, y) == 0
	}
	return !ok && !ok2 && a == b
}

func shown(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case float64:
		return short(v)
	case string:
		return strconv.Quote(v)
	}
	return fmt.Sprint(v)
}

// short keeps six digits: two results that differ below them are one to people.
func short(f float64) string { return strconv.FormatFloat(f, 'g', 6, 64) }

// severityParam is accepted by every condition that has no parameter of this
// name: what its not passing counts as.
const severityParam = "severity"

// severity takes the severity out of the arguments of a condition; "" is none.
func severity(def *ConditionDef, given map[string]any) (map[string]any, Verdict, error) {
	v, ok := given[severityParam]
	if !ok {
		return given, "", nil
	}
	for _, p := range def.Params {
		if p.Name == severityParam {
			return given, "", nil
		}
	}
	rest := make(map[string]any, len(given))
	for k, e := range given {
		if k != severityParam {
			rest[k] = e
		}
	}
	switch v {
	case "fail":
		return rest, Fail, nil
	case "warn":
		return rest, Warn, nil
	}
	return rest, "", fmt.Errorf("%q must be fail or warn, not %v", severityParam, v)
}

// withSeverity makes a condition's not passing count as v.
func withSeverity(c Condition, v Verdict) Condition {
	judge := c.Judge
	c.Params = append(c.Params, Field{severityParam, strings.ToLower(string(v))})
	c.Judge = func(r Result) (Verdict, string, error) {
		verdict, details, err := judge(r)
		if verdict == Fail || verdict == Warn {
			verdict = v
		}
		return verdict, details, err
	}
	return c
}
