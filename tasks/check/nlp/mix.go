package nlp

import (
	"context"
	"fmt"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

func samplesMix() *engine.Definition {
	return &engine.Definition{
		ID:      "TrainTestSamplesMix",
		Summary: "Finds test texts that are also among the train texts: the score on them tells nothing.",
		Formula: normalFormula + " `test texts whose normal form is one of train / test texts`.",
		Differs: fmt.Sprintf("the value lists the first %d groups, and the first %d characters of a text; there, all.", keptGroups, keptText),
		Scope:   engine.TrainTest,
		Params:  slices.Concat(normalParams(), sampleParams(allTexts)[:1], []engine.Param{count("n_to_show", 10, "texts to show")}, sampleParams(allTexts)[1:], []engine.Param{shownParam(30)}),
		Conditions: []engine.ConditionDef{ratioCondition("duplicates_ratio_less_or_equal", 0.05, "Percentage of test data samples that appear in train data", engine.Fail, func(v ratioed) string {
			return "Percent of test data samples that appear in train data: " + format.Percent(v.ratio())
		})},
		Defaults: []engine.Use{{ID: "duplicates_ratio_less_or_equal"}},
		New:      func(a engine.Args, m engine.Mode) (engine.Check, error) { return mix{a, m}, nil },
	}
}

type mix struct {
	args engine.Args
	mode engine.Mode
}

// Mixed are the rows of both sides that hold the same text.
type Mixed struct{ Train, Test []int32 }

// Mix is the value of TrainTestSamplesMix.
type Mix struct {
	Ratio         float64
	List          []Mixed
	trainT, testT func(row int32) string
}

func (v Mix) ratio() float64 { return v.Ratio }

// Encode returns the ratio and the texts, by group.
func (v Mix) Encode() any {
	g := engine.Grid{Columns: []string{"Text"}, IndexNames: []string{"Duplicate", "Dataset", "Sample ID"}, Index: []any{}}
	for k, m := range v.List {
		for _, r := range m.Test {
			g.Index, g.Rows = append(g.Index, []any{k, "test", int(r)}), append(g.Rows, []any{v.testT(r)})
		}
		for _, r := range m.Train {
			g.Index, g.Rows = append(g.Index, []any{k, "train", int(r)}), append(g.Rows, []any{v.trainT(r)})
		}
	}
	return engine.Object{{Key: "ratio", Value: v.Ratio}, {Key: "duplicates", Value: g}}
}

func (mix) ID() string { return "TrainTestSamplesMix" }

func (m mix) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	train, test := c.Train().Texts, c.Test().Texts
	trainRows, testRows := c.Train().TextRows(m.args), c.Test().TextRows(m.args)
	known, seeds := make(map[[2]uint64]int), seeds()
	before, err := normalForms(m.args, known, seeds, train, trainRows)
	if err != nil {
		return engine.Result{}, err
	}
	ofTrain := len(known)
	after, err := normalForms(m.args, known, seeds, test, testRows)
	if err != nil {
		return engine.Result{}, err
	}
	place := make(map[int]int)
	value := Mix{trainT: func(r int32) string { return shown(m.mode, train.Texts[r]) }, testT: func(r int32) string { return shown(m.mode, test.Texts[r]) }}
	found, present := 0, 0
	for i, f := range after {
		if f >= 0 {
			present++
		}
		if f < 0 || f >= ofTrain {
			continue
		}
		found++
		k, ok := place[f]
		if !ok {
			if len(value.List) == keptGroups && m.mode != engine.Deepchecks {
				continue
			}
			k = len(value.List)
			place[f], value.List = k, append(value.List, Mixed{})
		}
		value.List[k].Test = append(value.List[k].Test, testRows[i])
	}
	for i, f := range before {
		if k, ok := place[f]; ok {
			value.List[k].Train = append(value.List[k].Train, trainRows[i])
		}
	}
	if present == 0 {
		return engine.Result{}, engine.Errorf(engine.NotEnoughSamples, "there are no test texts to compare")
	}
	value.Ratio = float64(found) / float64(present)
	out := engine.Result{Value: value}
	if m.mode != engine.Deepchecks {
		out.Reduced = engine.Object{{Key: "Mix ratio", Value: value.Ratio}}
	}
	g := engine.Grid{Columns: []string{"Text", "Train rows", "Test rows"}}
	for _, x := range value.List[:min(len(value.List), m.args.Int("n_to_show"))] {
		g.Rows = append(g.Rows, []any{excerpt(test.Texts[x.Test[0]], m.args.Int("max_text_length_for_display")), rowList(x.Train), rowList(x.Test)})
	}
	if len(g.Rows) > 0 {
		out.Displays = []engine.Display{engine.TableView{Title: "Test texts that are in train", Grid: g}}
	}
	return out, nil
}
