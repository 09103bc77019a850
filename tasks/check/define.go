package check

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxInclude bounds an included file: definitions are small.
const maxInclude = 4 << 20

// ownSuite is a suite made of others.
type ownSuite struct {
	name  string
	path  string
	file  string
	line  int
	picks []pick
}

// define reads suites of the document's own.
func (d *decoder) define(path string, n *yaml.Node) {
	registry, err := d.spec.Kind.Registry()
	if err != nil {
		d.fault(n, path, "%v", err)
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fault(n, path, "must be a mapping of names to lists of suites and checks, not %s", describe(n))
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], resolve(n.Content[i+1])
		name := key.Value
		at := path + "." + name
		d.spec.lines[at] = key.Line
		switch before := d.spec.definition(name); {
		case name == "" || strings.ContainsAny(name, ".[]"):
			d.fault(key, path, "%q cannot be the name of a suite: it is empty or holds one of . [ ]", name)
			continue
		case slices.Contains(d.spec.Kind.SuiteNames(), name):
			d.fault(key, at, "%q is a suite already: choose another name", name)
			continue
		case registry.Lookup(name) != nil:
			d.fault(key, at, "%q is a check: choose another name", name)
			continue
		case before != nil:
			d.fault(key, at, "the suite %q is defined twice, first in %s", name, place(before.file, d.spec.file, before.line))
			continue
		}
		def := ownSuite{name: name, path: at, file: d.file, line: key.Line}
		def.picks = d.picks(at, value, "suites and checks", anyPick)
		if value.Kind == yaml.SequenceNode && len(value.Content) == 0 {
			d.fault(key, at, "the suite %q is empty", name)
		}
		d.spec.defined = append(d.spec.defined, def)
	}
}

// place names a line of a file, or of the document.
func place(file, document string, line int) string {
	if file == "" {
		file = document
	}
	if file == "" {
		return fmt.Sprintf("line %d", line)
	}
	return fmt.Sprintf("%s:%d", file, line)
}

// definition finds a suite of the document's own, or nil.
func (s *SuiteSpec) definition(name string) *ownSuite {
	for i := range s.defined {
		if s.defined[i].name == name {
			return &s.defined[i]
		}
	}
	return nil
}

// include reads the definitions of other files. A document without a file, a
// part of a task, cannot follow them yet: that is done beside the data.
func (d *decoder) include(path string, n *yaml.Node) {
	for _, f := range d.names(path, n) {
		if d.spec.file == "" {
			d.spec.deferred = true
			continue
		}
		from := d.file
		if from == "" {
			from = d.spec.file
		}
		file := f.name
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(from), file)
		}
		file = filepath.Clean(file)
		if slices.Contains(d.including, file) || file == filepath.Clean(d.spec.file) {
			d.report(f.line, f.path, fmt.Sprintf("%s includes itself: %s", f.name, strings.Join(append(slices.Clone(d.including), file), " includes ")))
			continue
		}
		if slices.Contains(d.included, file) {
			continue
		}
		d.included = append(d.included, file)
		d.includeFile(file, f)
	}
}

func (d *decoder) includeFile(file string, f named) {
	src, err := readSmall(file)
	if err != nil {
		d.report(f.line, f.path, fmt.Sprintf("cannot include %s: %v", f.name, cause(err)))
		return
	}
	before := d.file
	d.file, d.including = file, append(d.including, file)
	defer func() { d.file, d.including = before, d.including[:len(d.including)-1] }()
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil {
		d.report(0, "", strings.TrimPrefix(err.Error(), "yaml: "))
		return
	}
	if len(doc.Content) == 0 {
		d.report(0, "", "the document is empty")
		return
	}
	d.mapping("", doc.Content[0], []entry{{"include", d.include}, {"define", d.define}})
}

// errNotSmall reports an included file that cannot be one.
var errNotSmall = errors.New("it is no regular file, or larger than 4 MiB")

func readSmall(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxInclude {
		return nil, errNotSmall
	}
	return io.ReadAll(io.LimitReader(f, maxInclude))
}

// cause is what the operating system says, without the file's name.
func cause(err error) error {
	if pe := (*os.PathError)(nil); errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
