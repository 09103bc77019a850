package forgetest

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

//go:embed openapi/github.json
var githubAPI []byte

// contract is what GitHub publishes of its API, trimmed to what is called (openapi/trim.go).
type contract struct {
	routes []route
}

type route struct {
	path     *regexp.Regexp
	template string
	item     *openapi3.PathItem
}

var parameter = regexp.MustCompile(`\\\{[a-z_]+\\\}`)

func loadContract() (*contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData(githubAPI)
	if err != nil {
		return nil, fmt.Errorf("read GitHub's description of its API: %w", err)
	}
	c := &contract{}
	for template, item := range doc.Paths.Map() {
		pattern := regexp.QuoteMeta(template)
		for _, last := range []string{`\{ref\}`, `\{path\}`} { // these hold slashes
			if head, ok := strings.CutSuffix(pattern, last); ok {
				pattern = head + "(.+)"
			}
		}
		re, err := regexp.Compile("^" + parameter.ReplaceAllString(pattern, "([^/]+)") + "$")
		if err != nil {
			return nil, fmt.Errorf("path %s: %w", template, err)
		}
		c.routes = append(c.routes, route{re, template, item})
	}
	// The one with the fewest parameters counts: runners/generate-jitconfig is no runner.
	slices.SortFunc(c.routes, func(a, b route) int {
		if d := strings.Count(a.template, "{") - strings.Count(b.template, "{"); d != 0 {
			return d
		}
		return strings.Compare(a.template, b.template)
	})
	return c, nil
}

// operation finds what a request is.
func (c *contract) operation(r *http.Request) (*openapi3.PathItem, *openapi3.Operation, error) {
	for _, x := range c.routes {
		if x.path.MatchString(r.URL.EscapedPath()) {
			if op := x.item.GetOperation(r.Method); op != nil {
				return x.item, op, nil
			}
		}
	}
	return nil, nil, fmt.Errorf("%s %s %w", r.Method, r.URL.Path, errNoPath)
}

var errNoPath = errors.New("is not in GitHub's description")

// request checks a request: its path, the names and types of its parameters, its body.
func (c *contract) request(r *http.Request, body []byte) error {
	item, op, err := c.operation(r)
	if err != nil {
		return err
	}
	for name, values := range r.URL.Query() {
		p := op.Parameters.GetByInAndName("query", name)
		if p == nil {
			p = item.Parameters.GetByInAndName("query", name)
		}
		if p == nil {
			return fmt.Errorf("there is no parameter %s of %s", name, r.URL.Path)
		}
		var v any = values[0]
		if n, err := strconv.ParseFloat(values[0], 64); err == nil && p.Schema.Value.Type.Is("integer") {
			v = n
		}
		if err := p.Schema.Value.VisitJSON(v); err != nil {
			return fmt.Errorf("parameter %s: %w", name, err)
		}
	}
	if op.RequestBody == nil {
		if len(body) > 0 {
			return fmt.Errorf("%s %s takes no body", r.Method, r.URL.Path)
		}
		return nil
	}
	if len(body) == 0 && !op.RequestBody.Value.Required {
		return nil
	}
	var doc any
	if err := json.Unmarshal(body, &doc); err != nil {
		return fmt.Errorf("the body is no JSON: %w", err)
	}
	schema := op.RequestBody.Value.Content.Get("application/json").Schema.Value
	if err := schema.VisitJSON(doc); err != nil {
		return fmt.Errorf("the body: %w", err)
	}
	if m, ok := doc.(map[string]any); ok {
		for k := range m {
			if !knows(schema, k) {
				return fmt.Errorf("the body has a field %s that there is not", k)
			}
		}
	}
	return nil
}

// knows looks for a property in a schema and its alternatives.
func knows(s *openapi3.Schema, name string) bool {
	if s.Properties[name] != nil {
		return true
	}
	for _, list := range []openapi3.SchemaRefs{s.OneOf, s.AnyOf, s.AllOf} {
		for _, x := range list {
			if knows(x.Value, name) {
				return true
			}
		}
	}
	return false
}

// answer completes an answer by the fields that GitHub's has and no client here reads, and checks it.
func (c *contract) answer(r *http.Request, rec *httptest.ResponseRecorder) ([]byte, error) {
	_, op, err := c.operation(r)
	if err != nil {
		return rec.Body.Bytes(), nil // an answer to what is not there
	}
	body := rec.Body.Bytes()
	resp := op.Responses.Status(rec.Code)
	if resp == nil {
		if rec.Code >= 400 {
			return body, nil // GitHub lists few of its refusals
		}
		return body, fmt.Errorf("%s %s does not answer with %d", r.Method, r.URL.Path, rec.Code)
	}
	media := resp.Value.Content.Get("application/json")
	if media == nil {
		if len(body) > 0 {
			return body, fmt.Errorf("%s %s: the answer %d has no body", r.Method, r.URL.Path, rec.Code)
		}
		return body, nil
	}
	var doc any
	if err := json.Unmarshal(body, &doc); err != nil {
		return body, fmt.Errorf("%s %s: the answer is no JSON: %w", r.Method, r.URL.Path, err)
	}
	doc = complete(media.Schema.Value, doc)
	if err := media.Schema.Value.VisitJSON(doc); err != nil {
		return body, fmt.Errorf("%s %s: the answer: %w", r.Method, r.URL.Path, err)
	}
	return json.Marshal(doc)
}

// complete adds the required fields that a document lacks, and takes away those that no schema knows.
func complete(s *openapi3.Schema, doc any) any {
	for _, list := range []openapi3.SchemaRefs{s.OneOf, s.AnyOf} {
		if len(list) > 0 {
			return complete(alternative(list, doc), doc)
		}
	}
	switch v := doc.(type) {
	case map[string]any:
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				if p := s.Properties[name]; p != nil {
					v[name] = least(p.Value)
				}
			}
		}
		for name, p := range s.Properties {
			if x, ok := v[name]; ok {
				v[name] = complete(p.Value, x)
			}
		}
		if len(s.Properties) > 0 {
			for name := range v {
				if s.Properties[name] == nil {
					delete(v, name)
				}
			}
		}
	case []any:
		for i := range v {
			if s.Items != nil {
				v[i] = complete(s.Items.Value, v[i])
			}
		}
	}
	return doc
}

// alternative is the schema that a document names by its field type, else the first.
func alternative(list openapi3.SchemaRefs, doc any) *openapi3.Schema {
	if m, ok := doc.(map[string]any); ok {
		for _, x := range list {
			if p := x.Value.Properties["type"]; p != nil && slices.Contains(p.Value.Enum, m["type"]) {
				return x.Value
			}
		}
	}
	return list[0].Value
}

// least is the smallest document that a schema takes.
func least(s *openapi3.Schema) any {
	if s.Nullable {
		return nil
	}
	if len(s.Enum) > 0 {
		return s.Enum[0]
	}
	for _, list := range []openapi3.SchemaRefs{s.OneOf, s.AnyOf, s.AllOf} {
		if len(list) > 0 {
			return least(list[0].Value)
		}
	}
	switch {
	case s.Type.Is("string"):
		switch s.Format {
		case "date-time":
			return "2026-01-02T03:04:05Z"
		case "uri":
			return "https://api.github.com/x"
		}
		return strings.Repeat("x", int(max(s.MinLength, 1)))
	case s.Type.Is("integer"), s.Type.Is("number"):
		return 1.0
	case s.Type.Is("boolean"):
		return false
	case s.Type.Is("array"):
		return []any{}
	}
	return complete(s, map[string]any{})
}

// checked answers a request under the contract: a request that is against it is refused, and every breach is noted.
func (s *Server) checked(rec *httptest.ResponseRecorder, r *http.Request) {
	if s.contract == nil {
		c, err := loadContract()
		if err != nil {
			s.Breaches = append(s.Breaches, err.Error())
			s.fail(rec, http.StatusInternalServerError, "no contract")
			return
		}
		s.contract = c
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	if err := s.contract.request(r, body); err != nil {
		s.Breaches = append(s.Breaches, err.Error())
		code := http.StatusUnprocessableEntity
		if errors.Is(err, errNoPath) {
			code = http.StatusNotFound
		}
		send(rec, code, map[string]string{"message": "Invalid request.\n\n" + err.Error(), "documentation_url": "https://docs.github.com/rest"})
		return
	}
	inner := httptest.NewRecorder()
	s.answer(inner, r)
	full, err := s.contract.answer(r, inner)
	if err != nil {
		s.Breaches = append(s.Breaches, err.Error())
	}
	for k, v := range inner.Header() {
		rec.Header()[k] = v
	}
	rec.WriteHeader(inner.Code)
	_, _ = rec.Write(full)
}
