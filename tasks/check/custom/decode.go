package custom

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/nearest"
	"aloft/tasks/check/report"
)

// decode reads the object that a command wrote.
func decode(out []byte) (engine.Result, error) {
	v, err := report.Unmarshal(out)
	if err != nil {
		hint := ""
		if bytes.Contains(out, []byte("NaN")) || bytes.Contains(out, []byte("Infinity")) {
			hint = " (JSON has no NaN and no Infinity: write them as texts)"
		}
		return engine.Result{}, failed(engine.ProcessError, "", "the command did not write one JSON object: %v%s; it began with %s", err, hint, beginning(out))
	}
	o, ok := v.(engine.Object)
	if !ok {
		return engine.Result{}, failed(engine.ProcessError, "", "the command did not write a JSON object; it began with %s", beginning(out))
	}
	r, err := result(o)
	if err != nil && !isNamed(err) {
		return r, failed(engine.ProcessError, "", "the command's result: %v", err)
	}
	return r, err
}

func isNamed(err error) bool {
	_, ok := err.(*engine.Error)
	return ok
}

func beginning(out []byte) string {
	const most = 120
	text := strings.ToValidUTF8(string(out[:min(len(out), most)]), "?")
	if len(out) > most {
		return fmt.Sprintf("%q…", text)
	}
	if len(out) == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%q", text)
}

func result(o engine.Object) (engine.Result, error) {
	if err := keys("it", o, "value", "reduced", "displays", "conditions", "error"); err != nil {
		return engine.Result{}, err
	}
	if e := o.Get("error"); e != nil {
		return engine.Result{}, ownError(e)
	}
	r := engine.Result{Value: Value{o.Get("value")}}
	if v := o.Get("reduced"); v != nil {
		reduced, ok := v.(engine.Object)
		if !ok {
			return r, fmt.Errorf("\"reduced\" must be an object from names to numbers")
		}
		for _, f := range reduced {
			switch f.Value.(type) {
			case nil, int64, float64:
			default:
				return r, fmt.Errorf("\"reduced\" must be an object from names to numbers: %q is none", f.Key)
			}
		}
		r.Reduced = reduced
	}
	for i, v := range list(o.Get("displays")) {
		d, err := display(v)
		if err != nil {
			return r, fmt.Errorf("displays[%d]: %w", i, err)
		}
		r.Displays = append(r.Displays, d)
	}
	for i, v := range list(o.Get("conditions")) {
		j, err := judged(v)
		if err != nil {
			return r, fmt.Errorf("conditions[%d]: %w", i, err)
		}
		r.Judged = append(r.Judged, j)
	}
	for _, key := range []string{"displays", "conditions"} {
		if v := o.Get(key); v != nil && list(v) == nil {
			return r, fmt.Errorf("%q must be a list", key)
		}
	}
	if o.Get("value") == nil && r.Reduced == nil && r.Judged == nil {
		return r, fmt.Errorf("it has neither \"value\" nor \"reduced\" nor \"conditions\"")
	}
	return r, nil
}

// keys refuses keys that mean nothing.
func keys(what string, o engine.Object, known ...string) error {
	for i, f := range o {
		if !slices.Contains(known, f.Key) {
			return fmt.Errorf("%s has the unknown key %q%s; known are %s", what, f.Key, nearest.Hint(f.Key, known), strings.Join(known, ", "))
		}
		if slices.ContainsFunc(o[:i], func(g engine.Field) bool { return g.Key == f.Key }) {
			return fmt.Errorf("%s has the key %q twice", what, f.Key)
		}
	}
	return nil
}

func list(v any) []any {
	l, ok := v.([]any)
	if !ok {
		return nil
	}
	return l
}

func text(o engine.Object, key string) string {
	s, ok := o.Get(key).(string)
	if !ok {
		return ""
	}
	return s
}

var className = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}$`)

// ownError is an error that the command names itself.
func ownError(v any) error {
	o, ok := v.(engine.Object)
	if !ok {
		return fmt.Errorf("\"error\" must be an object with class and message")
	}
	if err := keys("error", o, "class", "kind", "message"); err != nil {
		return err
	}
	e := engine.Errorf(engine.ProcessError, "%s", text(o, "message"))
	if class := text(o, "class"); class != "" {
		if !className.MatchString(class) {
			return fmt.Errorf("error: class must be a name of letters and digits, not %q", class)
		}
		e.Class = engine.Class(class)
	}
	switch kind := text(o, "kind"); engine.Cause(kind) {
	case "", engine.Failed:
	case engine.Irrelevant, engine.Missing:
		e.Cause = engine.Cause(kind)
	default:
		return fmt.Errorf("error: kind must be error, irrelevant or missing_input, not %q", kind)
	}
	if e.Message == "" {
		return fmt.Errorf("error: the message is missing")
	}
	return e
}

func judged(v any) (engine.Judged, error) {
	o, ok := v.(engine.Object)
	if !ok {
		return engine.Judged{}, fmt.Errorf("must be an object with name, category and details")
	}
	if err := keys("it", o, "name", "category", "details"); err != nil {
		return engine.Judged{}, err
	}
	j := engine.Judged{ID: "custom", Name: text(o, "name"), Params: engine.Object{}, Verdict: engine.Verdict(text(o, "category")), Details: text(o, "details")}
	if j.Name == "" {
		return j, fmt.Errorf("the name is missing")
	}
	switch j.Verdict {
	case engine.Pass, engine.Warn, engine.Fail, engine.Broken:
		return j, nil
	}
	return j, fmt.Errorf("category must be PASS, WARN, FAIL or ERROR, not %q", text(o, "category"))
}
