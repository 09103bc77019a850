package nlp

import (
	"context"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/pps"
	"aloft/tasks/check/text"
)

func propertyCorrelation() *engine.Definition {
	return &engine.Definition{
		ID:      "PropertyLabelCorrelation",
		Header:  "Property-Label Correlation",
		Summary: "Finds properties of the texts, such as their length, that alone predict the label: a shortcut that a model may learn instead of what the texts say.",
		Formula: pps.Formula,
		Scope:   engine.SingleDataset,
		Params: slices.Concat([]engine.Param{
			{Name: "properties_to_include", Type: engine.TextsParam, Doc: "the properties to look at; null means all"},
			{Name: "properties_to_ignore", Type: engine.TextsParam, Doc: "properties to leave out; not together with the other"},
			pps.Param(), count("n_top_properties", 5, "properties to show"),
		}, sampleParams(driftTexts)),
		Conditions: []engine.ConditionDef{{
			ID:     "property_pps_less_than",
			Params: []engine.Param{{Name: "threshold", Type: engine.FloatParam, Default: 0.3, Doc: "score from which a property fails"}},
			New:    pps.PropertiesBelow,
		}},
		Defaults: []engine.Use{{ID: "property_pps_less_than"}},
		New: func(a engine.Args, _ engine.Mode) (engine.Check, error) {
			o, err := pps.Parse(a)
			return correlation{a, o}, err
		},
	}
}

type correlation struct {
	args    engine.Args
	options pps.Options
}

func (correlation) ID() string { return "PropertyLabelCorrelation" }

func (p correlation) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	if err := only(c, text.Classification); err != nil {
		return engine.Result{}, err
	}
	if err := oneLabel(c); err != nil {
		return engine.Result{}, err
	}
	side := c.Side()
	from := properties()
	from.only, from.ignore = "properties_to_include", "properties_to_ignore"
	names, err := from.choose(c, side, p.args)
	if err != nil {
		return engine.Result{}, err
	}
	rows, err := labelled(c, side, side.TextRows(p.args))
	if err != nil {
		return engine.Result{}, err
	}
	data, err := table(side.Texts.Properties, names, rows, labelOf(side.Texts, rows))
	if err != nil {
		return engine.Result{}, err
	}
	over, err := c.OnTables(ctx, engine.Inputs{Train: data, Task: engine.Multiclass})
	if err != nil {
		return engine.Result{}, err
	}
	every := make([]int32, data.Rows())
	for i := range every {
		every[i] = int32(i)
	}
	list, _, err := pps.Of(ctx, over, pps.Request{Side: over.Train(), Columns: names, Rows: every, Args: p.args, Options: p.options})
	if err != nil {
		return engine.Result{}, err
	}
	out := engine.Result{Value: pps.Scores(list)}
	chart := engine.BarChart{Title: "How well properties predict the label", Series: []string{"PPS"}}
	for _, s := range list {
		if len(chart.Groups) < p.args.Int("n_top_properties") {
			chart.Groups = append(chart.Groups, engine.BarGroup{Label: s.Column, Values: []float64{s.PPS}})
		}
		if c.Mode() != engine.Deepchecks { // there, it has none
			out.Reduced = append(out.Reduced, engine.Field{Key: s.Column, Value: s.PPS})
		}
	}
	if len(chart.Groups) > 0 {
		out.Displays = []engine.Display{chart, engine.Note{Text: "The predictive power score is 0 when the property alone predicts the label no better than a guess, and 1 when it predicts it perfectly."}}
	}
	return out, nil
}
