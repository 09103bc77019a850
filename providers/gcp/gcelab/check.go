package gcelab

import (
	"encoding/base64"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// object is a JSON object, as requests and answers carry them.
type object = map[string]any

// violation is a value that its discovery document does not allow.
type violation struct {
	field   string // dotted, from the body's name: resource.disks[0].boot
	reason  string // Google's: invalid, required, invalidParameter, badRequest
	message string
}

func (v *violation) Error() string { return v.message }

// checkParameters checks the path's and the query's parameters and gives all of them by name.
func (m *method) checkParameters(path map[string]string, query url.Values) (map[string]string, *violation) {
	out := map[string]string{}
	for name, v := range path {
		out[name] = v
		if p := m.Parameters[name]; p != nil {
			if bad := p.check(name, v); bad != nil {
				return nil, bad
			}
		}
	}
	for name, values := range query {
		// Clients written by Google's generators put system parameters behind a dollar.
		if name == "$alt" {
			for _, a := range strings.Split(values[0], ";") {
				if a != "json" && !strings.HasPrefix(a, "enum-encoding=") {
					return nil, badParameter(name, fmt.Sprintf("Invalid value '%s'. Values must be one of: [json]", values[0]))
				}
			}
			continue
		}
		// Lists take this parameter: the document's text says so, its tables do not.
		if name == "returnPartialSuccess" && (strings.HasSuffix(m.ID, ".list") || strings.HasSuffix(m.ID, ".aggregatedList")) {
			out[name] = strings.ToLower(values[0])
			continue
		}
		p := m.Parameters[name]
		if p == nil || p.Location != "query" {
			p = m.doc.Parameters[name]
		}
		if p == nil {
			p = m.doc.Parameters["$"+strings.TrimPrefix(name, "$")]
		}
		if p == nil {
			return nil, &violation{field: name, reason: "badRequest",
				message: fmt.Sprintf("Invalid JSON payload received. Unknown name %q: Cannot bind query parameter. Field '%s' could not be found in request message.", name, name)}
		}
		if len(values) > 1 && !p.Repeated {
			return nil, badParameter(name, fmt.Sprintf("Parameter '%s' is given %d times.", name, len(values)))
		}
		for _, v := range values {
			if bad := p.check(name, v); bad != nil {
				return nil, bad
			}
		}
		out[name] = values[0]
	}
	for name, p := range m.Parameters {
		if _, ok := out[name]; !ok && p.Required && !(p.Location == "path" && m.FlatPath != m.Path) {
			return nil, &violation{field: name, reason: "required", message: "Required parameter: " + name}
		}
	}
	return out, nil
}

func badParameter(name, text string) *violation {
	return &violation{field: name, reason: "invalidParameter", message: text}
}

func (p *parameter) check(name, v string) *violation {
	if p.pattern != nil && !p.pattern.MatchString(v) {
		return badParameter(name, fmt.Sprintf("Invalid value for field '%s': '%s'. Must be a match of regex '%s'", name, v, p.Pattern))
	}
	if len(p.Enum) > 0 && !slices.Contains(p.Enum, v) {
		return badParameter(name, fmt.Sprintf("Invalid value '%s'. Values must be one of: [%s]", v, strings.Join(p.Enum, ", ")))
	}
	switch p.Type {
	case "boolean":
		if l := strings.ToLower(v); l != "true" && l != "false" { // Python's clients write True
			return badParameter(name, fmt.Sprintf("Invalid boolean value: '%s'.", v))
		}
	case "integer":
		n, err := strconv.ParseInt(v, 10, 64)
		low, lerr := strconv.ParseInt(p.Minimum, 10, 64)
		high, herr := strconv.ParseInt(p.Maximum, 10, 64)
		if err != nil || !fits(p.Format, float64(n)) || (lerr == nil && n < low) || (herr == nil && n > high) {
			return badParameter(name, fmt.Sprintf("Invalid value for field '%s': '%s'.", name, v))
		}
	case "string":
		if bad := textFormat(p.Format, v); bad != "" {
			return badParameter(name, fmt.Sprintf("Invalid value for field '%s': '%s'. %s", name, v, bad))
		}
	}
	return nil
}

// checker checks one body.
type checker struct {
	doc *document
	// method is whose request the body is; "" for an answer, which gets no leniency and lacks nothing by annotation.
	method string
}

// check checks v against s and gives it as the lab keeps it: 64-bit numbers as strings, everything else as it came.
func (c checker) check(field string, s *schema, v any) (any, *violation) {
	if s == nil {
		return v, nil
	}
	if s.Ref != "" {
		to := c.doc.Schemas[s.Ref]
		if to == nil {
			return nil, &violation{field: field, reason: "internalError", message: "the document has no schema " + s.Ref}
		}
		return c.check(field, to, v)
	}
	switch s.Type {
	case "object":
		m, ok := v.(object)
		if !ok {
			return nil, wrongType(field, s, v)
		}
		return c.object(field, s, m)
	case "array":
		list, ok := v.([]any)
		if !ok {
			return nil, wrongType(field, s, v)
		}
		out := make([]any, len(list))
		for i, e := range list {
			got, bad := c.check(fmt.Sprintf("%s[%d]", field, i), s.Items, e)
			if bad != nil {
				return nil, bad
			}
			out[i] = got
		}
		return out, nil
	case "boolean":
		if _, ok := v.(bool); !ok {
			return nil, wrongType(field, s, v)
		}
	case "integer":
		n, ok := v.(float64)
		if text, is := v.(string); is && c.method != "" {
			parsed, err := strconv.ParseInt(text, 10, 64)
			n, ok = float64(parsed), err == nil
		}
		if !ok || n != math.Trunc(n) || !fits(s.Format, n) {
			return nil, wrongType(field, s, v)
		}
		return n, nil
	case "number":
		if _, ok := v.(float64); !ok {
			return nil, wrongType(field, s, v)
		}
	case "string":
		return c.text(field, s, v)
	case "any", "":
	}
	return v, nil
}

func (c checker) object(field string, s *schema, m object) (any, *violation) {
	out := make(object, len(m))
	for name, v := range m {
		p := s.Properties[name]
		if p == nil {
			p = s.AdditionalProperties
		}
		if p == nil {
			return nil, &violation{field: field + "." + name, reason: "badRequest",
				message: fmt.Sprintf("Invalid JSON payload received. Unknown name %q at '%s': Cannot find field.", name, field)}
		}
		if v == nil && c.method != "" {
			continue // null in a request is a field that is not given
		}
		got, bad := c.check(field+"."+name, p, v)
		if bad != nil {
			return nil, bad
		}
		out[name] = got
	}
	for name, p := range s.Properties {
		if p.Annotations == nil || c.method == "" || !slices.Contains(p.Annotations.Required, c.method) {
			continue
		}
		if v, ok := out[name]; !ok || v == "" {
			return nil, &violation{field: field + "." + name, reason: "required",
				message: fmt.Sprintf("Invalid value for field '%s.%s': ''. Required field '%s.%s' not specified", field, name, field, name)}
		}
	}
	return out, nil
}

func (c checker) text(field string, s *schema, v any) (any, *violation) {
	text, ok := v.(string)
	if n, is := v.(float64); is && c.method != "" && (s.Format == "int64" || s.Format == "uint64") && n == math.Trunc(n) {
		text, ok = strconv.FormatInt(int64(n), 10), true
	}
	if !ok {
		return nil, wrongType(field, s, v)
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, text) && !(text == "" && c.method != "") {
		return nil, &violation{field: field, reason: "invalid",
			message: fmt.Sprintf("Invalid value at '%s' (TYPE_ENUM), %q", field, text)}
	}
	if s.pattern != nil && text != "" && !s.pattern.MatchString(text) {
		return nil, &violation{field: field, reason: "invalid",
			message: fmt.Sprintf("Invalid value for field '%s': '%s'. Must be a match of regex '%s'", field, text, s.Pattern)}
	}
	if bad := textFormat(s.Format, text); bad != "" {
		return nil, &violation{field: field, reason: "invalid", message: fmt.Sprintf("Invalid value for field '%s': '%s'. %s", field, text, bad)}
	}
	return text, nil
}

func wrongType(field string, s *schema, v any) *violation {
	what := s.Type
	if s.Format != "" {
		what = s.Format
	}
	text := fmt.Sprint(v)
	if t, ok := v.(string); ok {
		text = strconv.Quote(t)
	}
	return &violation{field: field, reason: "invalid",
		message: fmt.Sprintf("Invalid value at '%s' (TYPE_%s), %s", field, strings.ToUpper(what), text)}
}

func fits(format string, n float64) bool {
	switch format {
	case "int32":
		return n >= math.MinInt32 && n <= math.MaxInt32
	case "uint32":
		return n >= 0 && n <= math.MaxUint32
	}
	return true
}

// textFormat says what is wrong with a string of a format; "" = nothing.
func textFormat(format, v string) string {
	var err error
	switch format {
	case "int64":
		_, err = strconv.ParseInt(v, 10, 64)
	case "uint64":
		_, err = strconv.ParseUint(v, 10, 64)
	case "byte":
		if _, err = base64.StdEncoding.DecodeString(v); err != nil {
			_, err = base64.URLEncoding.DecodeString(v)
		}
	case "google-datetime":
		_, err = time.Parse(time.RFC3339Nano, v)
	case "google-duration":
		_, err = time.ParseDuration(v)
	}
	if err != nil {
		return "It is no " + format + "."
	}
	return ""
}
