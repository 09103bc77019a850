package nlp

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/nearest"
	"aloft/tasks/check/stats"
	"aloft/tasks/check/text"
)

// sampleParams are the parameters by which a check looks at n texts only.
func sampleParams(n int) []engine.Param {
	return []engine.Param{
		{Name: "n_samples", Type: engine.IntParam, Default: n, Min: 1, Max: math.MaxFloat64, Null: true, Doc: "texts to look at, at most; null means all"},
		{Name: "random_state", Type: engine.IntParam, Default: 42, Min: 0, Max: math.MaxUint32, Doc: "seed of what is drawn"},
	}
}

// The samples of checks that look at all texts, or at most of them.
const (
	allTexts   = 10_000_000
	manyTexts  = 1_000_000
	driftTexts = 100_000
)

// count declares a parameter that says how many things to show.
func count(name string, def int, doc string) engine.Param {
	return engine.Param{Name: name, Type: engine.IntParam, Default: def, Min: 0, Max: math.MaxFloat64, Doc: doc}
}

// fraction declares a parameter from 0 to 1.
func fraction(name string, def float64, doc string) engine.Param {
	return engine.Param{Name: name, Type: engine.FloatParam, Default: def, Min: 0, Max: 1, Doc: doc}
}

// flag declares a parameter that is true or false.
func flag(name string, def bool, doc string) engine.Param {
	return engine.Param{Name: name, Type: engine.BoolParam, Default: def, Doc: doc}
}

// without leaves parameters out.
func without(params []engine.Param, names ...string) []engine.Param {
	return slices.DeleteFunc(slices.Clone(params), func(p engine.Param) bool { return slices.Contains(names, p.Name) })
}

// columns is a source of columns that a check looks at: properties or metadata.
type columns struct {
	what                  string // "properties" or "metadata"
	only, ignore, noun    string // the parameters that choose, and what a column is called
	get                   func(*text.Set) *text.Columns
	absent                string // how to give them
	segments, unannotated string // the names of the checks that search segments in them
	repeat                string // the parameter that lets a column have several segments
	repeats               bool
}

func properties() columns {
	return columns{
		what: "properties", only: "properties", ignore: "ignore_properties", noun: "property",
		get:      func(s *text.Set) *text.Columns { return s.Properties },
		absent:   "let the engine compute those that it can, or give a table of them (set_properties, or \"properties\" in a suite document)",
		segments: "PropertySegmentsPerformance", unannotated: "UnderAnnotatedPropertySegments", repeat: "multiple_segments_per_property",
	}
}

func metadata() columns {
	return columns{
		what: "metadata", only: "columns", ignore: "ignore_columns", noun: "column",
		get:      func(s *text.Set) *text.Columns { return s.Metadata },
		absent:   "give a table of it (set_metadata, or \"metadata\" in a suite document)",
		segments: "MetadataSegmentsPerformance", unannotated: "UnderAnnotatedMetaDataSegments", repeat: "multiple_segments_per_column", repeats: true,
	}
}

// params declares how columns are chosen.
func (k columns) params() []engine.Param {
	return []engine.Param{
		{Name: k.only, Type: engine.TextsParam, Doc: "the " + k.what + " to look at; null means all"},
		{Name: k.ignore, Type: engine.TextsParam, Doc: k.what + " to leave out; not together with the other"},
	}
}

// choose lists the columns of a side that a check looks at.
func (k columns) choose(c *engine.Context, s *engine.Side, args engine.Args) ([]string, error) {
	from := k.get(s.Texts)
	if from == nil {
		message := fmt.Sprintf("Check requires %s of the texts, but the %s texts have none: %s", k.what, s.Which, k.absent)
		if k.what == "properties" && len(s.Texts.Skipped) > 0 {
			message += ". " + text.Explain(s.Texts.Skipped)
		}
		return nil, c.MissingInput(message)
	}
	names := from.Table.Names()
	only, ignore := args.Texts(k.only), args.Texts(k.ignore)
	if only != nil && ignore != nil {
		return nil, engine.Errorf(engine.ValueError, "give %s or %s, not both", k.only, k.ignore)
	}
	for _, name := range slices.Concat(only, ignore) {
		if !slices.Contains(names, name) {
			return nil, engine.Errorf(engine.ValueError, "the %s texts have no %s %q%s; there are %s", s.Which, k.noun, name, nearest.Hint(name, names), strings.Join(names, ", "))
		}
	}
	if only != nil {
		return only, nil
	}
	names = slices.DeleteFunc(names, func(n string) bool { return slices.Contains(ignore, n) })
	if len(s.Texts.Skipped) > 0 && k.what == "properties" {
		c.Note(text.Explain(s.Texts.Skipped))
	}
	return names, nil
}

// only refuses the tasks that a check has no use for.
func only(c *engine.Context, tasks ...text.Task) error {
	if task := c.TextTask(); !slices.Contains(tasks, task) {
		return c.NotForTask(fmt.Sprintf("Check is irrelevant for data of the task %s", task))
	}
	return nil
}

// oneLabel refuses texts that may have several labels each.
func oneLabel(c *engine.Context) error {
	if c.Train().Texts.Multilabel() {
		return c.NotForTask("Check is irrelevant for texts with several labels each (multilabel)")
	}
	return nil
}

// labelled returns the rows of a sample that have a label, or the error for
// their absence.
func labelled(c *engine.Context, s *engine.Side, rows []int32) ([]int32, error) {
	out := slices.DeleteFunc(slices.Clone(rows), func(r int32) bool { return !s.Texts.Labelled(int(r)) })
	if len(out) == 0 {
		return nil, c.MissingInput(fmt.Sprintf("Check requires labels, but the %s texts have none", s.Which))
	}
	return out, nil
}

// predicted refuses a side without predictions.
func predicted(c *engine.Context, s *engine.Side) error {
	if s.Texts.HasPredictions() {
		return nil
	}
	return c.MissingInput(fmt.Sprintf("Check requires predictions, but the %s texts have none", s.Which))
}

// falling returns the descending order of values, with equal ones where
// pandas' sort_values leaves them: it sorts the reversed list and reverses.
func falling(values []float64) []int32 {
	n := len(values)
	reversed := slices.Clone(values)
	slices.Reverse(reversed)
	out := make([]int32, n)
	for i, at := range rising(reversed) {
		out[n-1-i] = int32(n-1) - at
	}
	return out
}

// rising returns the ascending order of values, with equal ones where numpy's
// argsort leaves them.
func rising(values []float64) []int32 {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	sorted = slices.Compact(sorted)
	ranks := make([]int, len(values))
	for i, v := range values {
		ranks[i], _ = slices.BinarySearch(sorted, v)
	}
	return stats.Argsort(ranks)
}

// excerpt is a text cut to n characters.
func excerpt(s string, n int) string {
	at := 0
	for i := range s {
		if at++; at > n {
			return s[:i] + "..."
		}
	}
	return s
}

// entity turns a tag of a token into its entity: without B- or I- before it.
func entity(tag string) string {
	if len(tag) > 2 && (tag[0] == 'B' || tag[0] == 'I') && tag[1] == '-' {
		return tag[2:]
	}
	return tag
}
