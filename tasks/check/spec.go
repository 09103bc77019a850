package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/livemodel"
	"aloft/tasks/check/schema"
)

// SuiteSpec is a suite document: which checks to run on which files.
type SuiteSpec struct {
	// Kind is the kind of data.
	Kind Kind
	// Name is what the data are called in reports; the train file by default.
	Name string
	// Suites names the suites to run, in order.
	Suites []string
	// SuiteParams are parameters of the suites, by the suite's name.
	SuiteParams map[string]map[string]any
	// Checks names single checks, run after the suites.
	Checks []string
	// Train and Test are the files of the tables, or patterns of them, or
	// folders. Train is needed.
	Train, Test []string
	// Images are what is set instead of Train, Test and all that is of tables
	// where the data are images.
	Images ImageSpec
	// Texts are what is set besides where the data are texts.
	Texts TextSpec
	// CSV is the dialect of CSV files.
	CSV frame.Dialect
	// MaxRows is the number of rows above which only those are kept in memory
	// that the checks look at.
	MaxRows int
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
	// TrainPredictions and TestPredictions are files with the columns y_pred
	// and proba_<class>; nil when absent.
	TrainPredictions, TestPredictions []string
	// SchemaFile and Schema are what the columns must be like: a file, or the
	// schema itself.
	SchemaFile string
	Schema     *schema.Schema
	// Segments are the parts of the data that are checked by themselves too.
	Segments []Segmentation
	// Columns names the columns of the tables that hold predictions; nil when
	// predictions are files.
	Columns *PredictionColumns
	// Model is a live model, nil for none.
	Model *livemodel.Spec
	// ImportanceFile is a CSV file with the columns feature and importance,
	// and Importance holds the weights themselves; both may be absent.
	ImportanceFile string
	Importance     map[string]float64
	// ImportanceOptions say how importances are computed when none are given.
	ImportanceOptions engine.ImportanceOptions
	// Models are models to compare, in the order of the document.
	Models []ModelSpec
	// Seed is the seed of every sampling.
	Seed uint32
	// FailOn is the verdict from which the report fails.
	FailOn FailOn
	// Compat is the mode of the run.
	Compat engine.Mode

	// Progress, when set, is told of checks as they begin and end, by any
	// goroutine, one call at a time.
	Progress func(engine.Step)

	file  string
	lines map[string]int // line of each key, by path

	suitePicks, checkPicks []pick
	defined                []ownSuite
	deferred               bool // files to include could not be read yet
	planned                []planned
	items                  []engine.Item
}

// Problem is one fault of a suite document.
type Problem struct {
	File    string // the file included by the document, "" for itself
	Line    int    // 0 when the document is not a file
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
		b.WriteString(cmp.Or(p.File, e.File))
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

// builtins lists the suites of ours that the document runs something of.
func (s *SuiteSpec) builtins() []string {
	var out []string
	for _, c := range s.planned {
		if c.builtin != "" && !slices.Contains(out, c.builtin) {
			out = append(out, c.builtin)
		}
	}
	return out
}

// build makes the items of the checks planned.
func (s *SuiteSpec) build() error {
	var problems []Problem
	s.items = nil
	for i := range s.planned {
		item, faults := s.item(&s.planned[i])
		problems = append(problems, faults...)
		s.items = append(s.items, item)
	}
	if len(problems) > 0 {
		return &SpecError{File: s.file, Problems: problems}
	}
	return nil
}

func (s *SuiteSpec) item(c *planned) (engine.Item, []Problem) {
	params := make(map[string]any)
	for _, p := range c.def.Params {
		if p.Name == "random_state" {
			params[p.Name] = int(s.Seed)
		}
	}
	places := make(map[string]string)
	for _, p := range c.params {
		params[p.name], places[p.name] = p.value, p.path
	}
	uses := make([]engine.Use, len(c.uses))
	for i, u := range c.uses {
		uses[i] = u.Use
	}
	item, faults := c.def.Build(params, uses, s.Compat)
	if c.custom != nil {
		item.Args = c.custom.args()
	}
	item.Suite, item.Demanded, item.Note = c.suite, c.demanded, c.note
	var problems []Problem
	for _, f := range faults {
		p := Problem{File: c.file, Path: c.path, Line: c.line, Message: f.Message}
		path := ""
		switch {
		case len(f.Path) > 1 && f.Path[0] == "params":
			if name, ok := f.Path[1].(string); ok {
				path = places[name]
			}
		case len(f.Path) > 1 && f.Path[0] == "conditions":
			if i, ok := f.Path[1].(int); ok && c.uses[i].path != "" {
				path = joinPath(append([]any{c.uses[i].path}, f.Path[2:]...))
			}
		}
		if path != "" {
			p.Path, p.Line = path, cmp.Or(s.line(path), c.line)
		} else {
			p.Message = c.def.ID + ": " + p.Message
		}
		problems = append(problems, p)
	}
	return item, problems
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
