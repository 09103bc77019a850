package gcelab

import (
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"sort"
	"strings"
)

// documents are Google's published discovery documents, cut down to the methods that the lab answers and the schemas they
// need, without descriptions. `go test ./providers/gcp/gcelab -run Documents -update` makes them anew.
//
//go:embed documents/*.json
var documents embed.FS

// document is one API as its discovery document describes it. The field names are those of the documents.
type document struct {
	ID          string                `json:"id"`
	Revision    string                `json:"revision"`
	ServicePath string                `json:"servicePath"`
	RootURL     string                `json:"rootUrl"`
	Parameters  map[string]*parameter `json:"parameters"`
	Methods     []*method             `json:"methods"`
	Schemas     map[string]*schema    `json:"schemas"`
}

// method is one call of an API.
type method struct {
	ID         string                `json:"id"`
	HTTPMethod string                `json:"httpMethod"`
	FlatPath   string                `json:"flatPath"`
	Path       string                `json:"path,omitempty"`
	Parameters map[string]*parameter `json:"parameters,omitempty"`
	Request    *schema               `json:"request,omitempty"`
	Response   *schema               `json:"response,omitempty"`

	doc      *document
	segments []segment
}

// parameter is one parameter of a method, in its path or its query.
type parameter struct {
	Location string   `json:"location"`
	Type     string   `json:"type"`
	Format   string   `json:"format,omitempty"`
	Pattern  string   `json:"pattern,omitempty"`
	Enum     []string `json:"enum,omitempty"`
	Minimum  string   `json:"minimum,omitempty"`
	Maximum  string   `json:"maximum,omitempty"`
	Required bool     `json:"required,omitempty"`
	Repeated bool     `json:"repeated,omitempty"`

	pattern *regexp.Regexp
}

// schema is the shape of a JSON value.
type schema struct {
	Ref                  string             `json:"$ref,omitempty"`
	Type                 string             `json:"type,omitempty"`
	Format               string             `json:"format,omitempty"`
	Pattern              string             `json:"pattern,omitempty"`
	Enum                 []string           `json:"enum,omitempty"`
	Properties           map[string]*schema `json:"properties,omitempty"`
	Items                *schema            `json:"items,omitempty"`
	AdditionalProperties *schema            `json:"additionalProperties,omitempty"`
	Annotations          *annotations       `json:"annotations,omitempty"`

	pattern *regexp.Regexp
}

// annotations name the methods in whose requests a property must be given.
type annotations struct {
	Required []string `json:"required,omitempty"`
}

// segment is one part of a path between slashes: a fixed word, or a parameter with what must follow it.
type segment struct {
	word   string
	param  string
	suffix string
}

// loadDocuments reads the embedded documents and compiles their patterns.
func loadDocuments() ([]*document, error) {
	names, err := documents.ReadDir("documents")
	if err != nil {
		return nil, fmt.Errorf("discovery documents: %w", err)
	}
	var out []*document
	for _, n := range names {
		b, err := documents.ReadFile("documents/" + n.Name())
		if err != nil {
			return nil, fmt.Errorf("discovery document %s: %w", n.Name(), err)
		}
		d, err := readDocument(b)
		if err != nil {
			return nil, fmt.Errorf("discovery document %s: %w", n.Name(), err)
		}
		out = append(out, d)
	}
	return out, nil
}

func readDocument(b []byte) (*document, error) {
	d := &document{}
	if err := json.Unmarshal(b, d); err != nil {
		return nil, err
	}
	for _, m := range d.Methods {
		m.doc = d
		for _, s := range strings.Split(strings.Trim(d.ServicePath+m.FlatPath, "/"), "/") {
			m.segments = append(m.segments, parseSegment(s))
		}
		for name, p := range m.Parameters {
			if err := compile(p.Pattern, &p.pattern); err != nil {
				return nil, fmt.Errorf("%s: parameter %s: %w", m.ID, name, err)
			}
		}
	}
	for name, s := range d.Schemas {
		if err := compileSchema(s); err != nil {
			return nil, fmt.Errorf("schema %s: %w", name, err)
		}
	}
	// The most words first: a path that fits two methods belongs to the more exact one.
	sort.SliceStable(d.Methods, func(i, j int) bool { return words(d.Methods[i]) > words(d.Methods[j]) })
	return d, nil
}

func words(m *method) int {
	n := 0
	for _, s := range m.segments {
		if s.param == "" {
			n++
		}
	}
	return n
}

func parseSegment(s string) segment {
	open, end := strings.IndexByte(s, '{'), strings.IndexByte(s, '}')
	if open != 0 || end < 0 {
		return segment{word: s}
	}
	return segment{param: strings.TrimPrefix(s[1:end], "+"), suffix: s[end+1:]}
}

func compile(p string, to **regexp.Regexp) error {
	if p == "" {
		return nil
	}
	r, err := regexp.Compile("^(?:" + p + ")$")
	*to = r
	return err
}

func compileSchema(s *schema) error {
	if s == nil {
		return nil
	}
	if err := compile(s.Pattern, &s.pattern); err != nil {
		return err
	}
	for n, p := range s.Properties {
		if err := compileSchema(p); err != nil {
			return fmt.Errorf("%s: %w", n, err)
		}
	}
	if err := compileSchema(s.Items); err != nil {
		return err
	}
	return compileSchema(s.AdditionalProperties)
}

// find gives the method that a request calls and the values in its path; nil when no document knows the path, and a method
// with ID "" when the path is known for other HTTP methods only.
func find(docs []*document, r *http.Request) (*method, map[string]string) {
	path := strings.Trim(r.URL.EscapedPath(), "/")
	if strings.HasPrefix(path, "projects/") {
		path = "compute/v1/" + path
	}
	parts := strings.Split(path, "/")
	known := false
	for _, d := range docs {
		for _, m := range d.Methods {
			values, ok := m.match(parts)
			if !ok {
				continue
			}
			known = true
			if m.HTTPMethod == r.Method {
				return m, values
			}
		}
	}
	if known {
		return &method{}, nil
	}
	return nil, nil
}

func (m *method) match(parts []string) (map[string]string, bool) {
	if len(parts) != len(m.segments) {
		return nil, false
	}
	values := map[string]string{}
	for i, s := range m.segments {
		p := parts[i]
		if s.param == "" {
			if p != s.word {
				return nil, false
			}
			continue
		}
		v, ok := strings.CutSuffix(p, s.suffix)
		if !ok || v == "" {
			return nil, false
		}
		v, err := url.PathUnescape(v)
		if err != nil {
			return nil, false
		}
		values[s.param] = v
	}
	return values, true
}
