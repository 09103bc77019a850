package check

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
)

// SuiteSpec is a suite document: which checks to run on which files.
type SuiteSpec struct {
	// Kind is the kind of data; "tabular" is the only one so far.
	Kind string
	// Name is what the data are called in reports; the train file by default.
	Name string
	// Suites names the suites to run, in order.
	Suites []string
	// SuiteParams are parameters of the suites, by the suite's name.
	SuiteParams map[string]map[string]any
	// Checks names single checks, run after the suites.
	Checks []CheckSpec
	// Train and Test are CSV files, gzip allowed. One is needed.
	Train, Test string
	// Label, Index and Datetime are column names, "" when absent.
	Label, Index, Datetime string
	// DatetimeUnit is the unit of a numeric datetime column.
	DatetimeUnit string
	// Task is binary, multiclass or regression; "" infers it.
	Task engine.Task
	// Features and Categorical are column names; nil infers them.
	Features, Categorical []string
	// Types fixes column types, NA lists spellings of a missing value.
	Types map[string]frame.Kind
	NA    []string
	// Classes are the model's classes; nil infers them.
	Classes []any
	// TrainPredictions and TestPredictions are CSV files with the columns
	// y_pred and proba_<class>; "" when absent.
	TrainPredictions, TestPredictions string
	// Seed is the seed of every sampling.
	Seed uint32
	// FailOn is the verdict from which the report fails.
	FailOn FailOn
	// Compat is the mode of the run.
	Compat engine.Mode

	file  string
	lines map[string]int // line of each key, by path
	items []engine.Item
}

// CheckSpec names one check.
type CheckSpec struct {
	Check      string
	Params     map[string]any
	Conditions []engine.Use // nil: the defaults; empty: none
}

// Problem is one fault of a suite document.
type Problem struct {
	Line    int // 0 when the document is not a file
	Path    string
	Message string
}

// SpecError lists all faults of a suite document.
type SpecError struct {
	File     string
	Problems []Problem
}

// Error lists the problems, one in a line.
func (e *SpecError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		var b strings.Builder
		b.WriteString(e.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		if p.Path != "" {
			b.WriteString(p.Path + ": ")
		}
		lines[i] = b.String() + p.Message
	}
	return strings.Join(lines, "\n")
}

// ParseSuite reads a suite document in YAML or JSON. The file is named in
// errors only. An error is a *SpecError with all problems found.
func ParseSuite(file string, src []byte) (*SuiteSpec, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil {
		return nil, &SpecError{File: file, Problems: []Problem{{Message: strings.TrimPrefix(err.Error(), "yaml: ")}}}
	}
	if len(doc.Content) == 0 {
		return nil, &SpecError{File: file, Problems: []Problem{{Message: "the document is empty"}}}
	}
	return decodeSpec(file, doc.Content[0])
}

// SpecFromMap reads a suite document that is a part of another one, such as
// the tests section of a task. Errors have no lines.
func SpecFromMap(m map[string]any) (*SuiteSpec, error) {
	var node yaml.Node
	if err := node.Encode(m); err != nil {
		return nil, &SpecError{Problems: []Problem{{Message: err.Error()}}}
	}
	return decodeSpec("", &node)
}

// SetCompat changes the mode and builds the checks anew.
func (s *SuiteSpec) SetCompat(mode engine.Mode) error {
	s.Compat = mode
	return s.build()
}

// build makes the items of the document's suites and checks.
func (s *SuiteSpec) build() error {
	registry, err := Registry()
	if err != nil {
		return fmt.Errorf("build checks: %w", err)
	}
	var problems []Problem
	s.items = nil
	for _, suite := range s.Suites {
		args, faults := completeSuite(suite, s.SuiteParams[suite])
		for _, f := range faults {
			path := joinPath(append([]any{"suite_params", suite}, f.Path...))
			problems = append(problems, Problem{Line: s.line(path), Path: path, Message: f.Message})
		}
		if len(faults) > 0 {
			continue
		}
		for _, u := range suiteUses(suite, args) {
			params := handOn(u.def, args)
			for k, v := range u.params {
				params[k] = v
			}
			item, faults := u.def.Build(s.seeded(u.def, params), u.conditions, s.Compat)
			for _, f := range faults {
				problems = append(problems, Problem{Line: s.line("suite_params." + suite), Path: suite + "." + u.def.ID, Message: f.Message})
			}
			item.Suite = suite
			s.items = append(s.items, item)
		}
	}
	for i, c := range s.Checks {
		def := registry.Lookup(c.Check)
		if def == nil {
			continue // reported by the decoder
		}
		item, faults := def.Build(s.seeded(def, c.Params), c.Conditions, s.Compat)
		for _, f := range faults {
			path := joinPath(append([]any{"checks", i}, f.Path...))
			problems = append(problems, Problem{Line: s.line(path), Path: path, Message: f.Message})
		}
		item.Demanded = true
		if c.Check != def.ID {
			item.Note = fmt.Sprintf("%s is the former name of %s: use the new one", c.Check, def.ID)
		}
		s.items = append(s.items, item)
	}
	if len(problems) > 0 {
		return &SpecError{File: s.file, Problems: problems}
	}
	return nil
}

// seeded adds the document's seed to parameters that do not set their own.
func (s *SuiteSpec) seeded(def *engine.Definition, params map[string]any) map[string]any {
	for _, p := range def.Params {
		if p.Name != "random_state" {
			continue
		}
		if _, set := params["random_state"]; set {
			return params
		}
		out := map[string]any{"random_state": int(s.Seed)}
		for k, v := range params {
			out[k] = v
		}
		return out
	}
	return params
}

// line finds the line of a path, or of the nearest part above it.
func (s *SuiteSpec) line(path string) int {
	for path != "" {
		if n, ok := s.lines[path]; ok {
			return n
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			return 0
		}
		path = path[:cut]
	}
	return 0
}

func joinPath(parts []any) string {
	var b strings.Builder
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", p)
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			fmt.Fprint(&b, p)
		}
	}
	return b.String()
}
