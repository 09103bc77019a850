package check

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/schema"
)

// schema reads what the columns must be like: a file, or the schema itself.
func (d *decoder) schema(path string, n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		d.text(&d.spec.SchemaFile)(path, n)
		return
	}
	s, problems := schema.Parse(path, n)
	for _, p := range problems {
		d.report(p.Line, p.Path, p.Message)
	}
	d.spec.Schema = s
}

// planSchema adds the check of the schema, unless the document names it.
func (s *SuiteSpec) planSchema(registry *engine.Registry) []Problem {
	given := s.SchemaFile != "" || s.Schema != nil
	for _, c := range s.planned {
		switch {
		case c.def.ID != schema.ID:
		case given:
			return nil
		default:
			return []Problem{{File: c.file, Line: c.line, Path: c.path, Message: schema.ID + " needs a schema: add \"schema\" with a file, or with \"columns\""}}
		}
	}
	if !given {
		return nil
	}
	c := planned{def: registry.Lookup(schema.ID), demanded: true, path: "schema", line: s.line("schema")}
	for _, u := range c.def.Defaults {
		c.uses = append(c.uses, placedUse{u, ""})
	}
	s.planned = append(s.planned, c)
	return nil
}

// loadSchema returns the document's schema, read from its file if it has one.
func (s *SuiteSpec) loadSchema(dir string) (*schema.Schema, error) {
	if s.SchemaFile == "" {
		return s.Schema, nil
	}
	file := s.SchemaFile
	if !filepath.IsAbs(file) {
		file = filepath.Join(dir, file)
	}
	one := func(p Problem) error { return &SpecError{File: s.file, Problems: []Problem{p}} }
	src, err := readSmall(file)
	if err != nil {
		return nil, one(Problem{Line: s.line("schema"), Path: "schema", Message: fmt.Sprintf("cannot read %s: %v", s.SchemaFile, cause(err))})
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil {
		return nil, one(Problem{File: s.SchemaFile, Message: strings.TrimPrefix(err.Error(), "yaml: ")})
	}
	if len(doc.Content) == 0 || len(doc.Content[0].Content) != 2 || doc.Content[0].Content[0].Value != "schema" {
		return nil, one(Problem{File: s.SchemaFile, Line: 1, Message: "must have the one key \"schema\""})
	}
	out, problems := schema.Parse("schema", resolve(doc.Content[0].Content[1]))
	if len(problems) == 0 {
		return out, nil
	}
	bad := &SpecError{File: s.file}
	for _, p := range problems {
		bad.Problems = append(bad.Problems, Problem{File: s.SchemaFile, Line: p.Line, Path: p.Path, Message: p.Message})
	}
	return nil, bad
}

// InferSchema reads the train table that a document names, in the form of
// SpecFromMap, and writes down what its columns are like, as YAML.
func InferSchema(document map[string]any, dir string) ([]byte, error) {
	spec, err := SpecFromMap(document)
	if err != nil {
		return nil, err
	}
	spec.MaxRows = math.MaxInt // a schema is about all rows
	in, err := spec.load(dir)
	if err != nil {
		return nil, err
	}
	return schema.Write(schema.Infer(in.Train), in.Train), nil
}
