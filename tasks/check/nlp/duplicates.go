package nlp

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

// ratioCondition bounds a share of the texts.
func ratioCondition(id string, def float64, name string, worse engine.Verdict, details func(v ratioed) string) engine.ConditionDef {
	return engine.ConditionDef{
		ID:     id,
		Params: []engine.Param{fraction("max_ratio", def, "largest share of the texts that passes")},
		New: func(r engine.Request) (engine.Condition, error) {
			limit := r.Args.Float("max_ratio")
			return engine.Condition{
				Name: name + " is less or equal to " + format.Percent(limit),
				Judge: func(result engine.Result) (engine.Verdict, string, error) {
					v, ok := result.Value.(ratioed)
					if !ok {
						return engine.Broken, "", engine.Errorf(engine.ValueError, "the condition does not fit results of type %T", result.Value)
					}
					if v.ratio() > limit {
						return worse, details(v), nil
					}
					return engine.Pass, details(v), nil
				},
			}, nil
		},
	}
}

// ratioed is a value with a share of the texts.
type ratioed interface{ ratio() float64 }

func textDuplicates() *engine.Definition {
	return &engine.Definition{
		ID:      "TextDuplicates",
		Summary: "Finds texts that are there more than once.",
		Formula: normalFormula + " `1 − distinct / texts`.",
		Differs: fmt.Sprintf("the value lists the largest %d groups, and the first %d characters of a text; there, all.", keptGroups, keptText),
		Scope:   engine.SingleDataset,
		Params:  slices.Concat(normalParams(), []engine.Param{count("n_to_show", 5, "groups to show")}, sampleParams(allTexts), []engine.Param{shownParam(30)}),
		Conditions: []engine.ConditionDef{ratioCondition("ratio_less_or_equal", 0.05, "Duplicate data ratio", engine.Warn, func(v ratioed) string {
			return fmt.Sprintf("Found %s duplicate data", format.Percent(v.ratio()))
		})},
		Defaults: []engine.Use{{ID: "ratio_less_or_equal"}},
		New:      func(a engine.Args, m engine.Mode) (engine.Check, error) { return duplicates{a, m}, nil },
	}
}

type duplicates struct {
	args engine.Args
	mode engine.Mode
}

// Duplicates is the value of TextDuplicates.
type Duplicates struct {
	Ratio float64
	// Groups are the rows of equal texts, by their first row.
	Groups [][]int32
	texts  func(row int32) string
}

func (d Duplicates) ratio() float64 { return d.Ratio }

// Encode returns the ratio and the texts, by row.
func (d Duplicates) Encode() any {
	type entry struct {
		group int
		row   int32
	}
	var list []entry
	for k, g := range d.Groups {
		for _, r := range g {
			list = append(list, entry{k, r})
		}
	}
	slices.SortFunc(list, func(a, b entry) int { return cmp.Compare(a.row, b.row) })
	g := engine.Grid{Columns: []string{"Text"}, IndexNames: []string{"Duplicate", "Sample ID"}, Index: []any{}}
	for _, e := range list {
		g.Index, g.Rows = append(g.Index, []any{e.group, int(e.row)}), append(g.Rows, []any{d.texts(e.row)})
	}
	return engine.Object{{Key: "percent_of_duplicates", Value: d.Ratio}, {Key: "duplicates", Value: g}}
}

func (duplicates) ID() string { return "TextDuplicates" }

func (d duplicates) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	s := c.Side().Texts
	e, err := equalTexts(d.args, s, c.Side().TextRows(d.args))
	if err != nil {
		return engine.Result{}, err
	}
	if len(e.rows) == 0 {
		return engine.Result{}, engine.Errorf(engine.NotEnoughSamples, "there are no texts to compare")
	}
	largest := bySize(e.groups)
	value := Duplicates{Ratio: 1 - float64(e.distinct)/float64(len(e.rows)), Groups: e.groups, texts: func(r int32) string { return shown(d.mode, s.Texts[r]) }}
	if d.mode != engine.Deepchecks && len(e.groups) > keptGroups {
		value.Groups = largest[:keptGroups]
	}
	out := engine.Result{Value: value}
	if d.mode != engine.Deepchecks {
		out.Reduced = engine.Object{{Key: "Duplicate ratio", Value: value.Ratio}}
	}
	g := engine.Grid{Columns: []string{"Text", "Texts", "Rows"}}
	for _, rows := range largest[:min(len(largest), d.args.Int("n_to_show"))] {
		g.Rows = append(g.Rows, []any{excerpt(s.Texts[rows[0]], d.args.Int("max_text_length_for_display")), len(rows), rowList(rows)})
	}
	if len(g.Rows) > 0 {
		out.Displays = []engine.Display{engine.TableView{Title: "Most frequent texts", Grid: g}}
	}
	return out, nil
}

// bySize lists groups of rows, largest first.
func bySize(groups [][]int32) [][]int32 {
	out := slices.Clone(groups)
	slices.SortStableFunc(out, func(a, b []int32) int { return cmp.Compare(len(b), len(a)) })
	return out
}

// rowList joins the first numbers of rows.
func rowList(rows []int32) string {
	parts := make([]string, 0, len(rows))
	for _, r := range rows[:min(len(rows), 11)] {
		parts = append(parts, fmt.Sprint(r))
	}
	return format.Shorten(parts)
}

func conflictingLabels() *engine.Definition {
	return &engine.Definition{
		ID:      "ConflictingLabels",
		Summary: "Finds texts that are there more than once under different labels: no model can get them all right.",
		Formula: normalFormula + " `texts in groups of equal texts with more than one label / texts`; a text without a label conflicts with nothing.",
		Differs: fmt.Sprintf("the value lists the first %d groups, and the first %d characters of a text; there, all.", keptGroups, keptText),
		Scope:   engine.SingleDataset,
		Params:  slices.Concat(normalParams(), []engine.Param{count("n_to_show", 5, "groups to show")}, sampleParams(allTexts), []engine.Param{shownParam(30)}),
		Conditions: []engine.ConditionDef{ratioCondition("ratio_of_conflicting_labels_less_or_equal", 0, "Ambiguous sample ratio", engine.Fail, func(v ratioed) string {
			return "Ratio of samples with conflicting labels: " + format.Percent(v.ratio())
		})},
		Defaults: []engine.Use{{ID: "ratio_of_conflicting_labels_less_or_equal"}},
		New:      func(a engine.Args, m engine.Mode) (engine.Check, error) { return conflicts{a, m}, nil },
	}
}

type conflicts struct {
	args engine.Args
	mode engine.Mode
}

// Conflict is one text of a group with several labels.
type Conflict struct {
	Group int
	Row   int32
	Label string
	Text  string
}

// Conflicts is the value of ConflictingLabels.
type Conflicts struct {
	Ratio float64
	List  []Conflict
}

func (v Conflicts) ratio() float64 { return v.Ratio }

// Encode returns the ratio and the texts, by group.
func (v Conflicts) Encode() any {
	g := engine.Grid{Columns: []string{"Text"}, IndexNames: []string{"Duplicate", "Sample ID", "Label"}, Index: []any{}}
	for _, e := range v.List {
		g.Index, g.Rows = append(g.Index, []any{e.Group, int(e.Row), e.Label}), append(g.Rows, []any{e.Text})
	}
	return engine.Object{{Key: "percent_of_conflicting_samples", Value: v.Ratio}, {Key: "conflicting_samples", Value: g}}
}

func (conflicts) ID() string { return "ConflictingLabels" }

func (d conflicts) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	s := c.Side().Texts
	if !s.HasLabels() {
		return engine.Result{}, c.MissingInput(fmt.Sprintf("Check requires labels, but the %s texts have none", c.Side().Which))
	}
	if err := oneLabel(c); err != nil {
		return engine.Result{}, err
	}
	e, err := equalTexts(d.args, s, c.Side().TextRows(d.args))
	if err != nil {
		return engine.Result{}, err
	}
	if len(e.rows) == 0 {
		return engine.Result{}, engine.Errorf(engine.NotEnoughSamples, "there are no texts to compare")
	}
	value, n, groups := Conflicts{}, 0, 0
	g := engine.Grid{Columns: []string{"Labels", "Text", "Rows"}}
	for _, rows := range e.groups {
		var labels []string
		for _, r := range rows {
			if s.Labelled(int(r)) && !slices.Contains(labels, d.label(c, r)) {
				labels = append(labels, d.label(c, r))
			}
		}
		if len(labels) < 2 {
			continue
		}
		n += len(rows)
		if groups < d.args.Int("n_to_show") {
			slices.Sort(labels)
			g.Rows = append(g.Rows, []any{format.Shorten(labels), excerpt(s.Texts[rows[0]], d.args.Int("max_text_length_for_display")), rowList(rows)})
		}
		if groups < keptGroups || d.mode == engine.Deepchecks {
			for _, r := range rows {
				value.List = append(value.List, Conflict{groups, r, d.label(c, r), shown(d.mode, s.Texts[r])})
			}
		}
		groups++
	}
	value.Ratio = float64(n) / float64(len(e.rows))
	out := engine.Result{Value: value}
	if d.mode != engine.Deepchecks {
		out.Reduced = engine.Object{{Key: "Conflicting ratio", Value: value.Ratio}}
	}
	if len(g.Rows) > 0 {
		out.Displays = []engine.Display{engine.TableView{Title: "Equal texts with different labels", Grid: g}}
	}
	return out, nil
}

// label is the label of a text: its class, or the labels of its tokens.
func (conflicts) label(c *engine.Context, r int32) string {
	s := c.Side().Texts
	if s.Tags != nil {
		return format.List(s.Tags[r])
	}
	return s.Label.Value(int(r)).String()
}
