package vision

import (
	"context"
	"fmt"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/images"
	"aloft/tasks/check/pps"
)

const correlationFormula = pps.Formula + " Of detection each box is one row: the properties of the image within it, against its class."

// correlationParams are the parameters that both checks of correlation share.
func correlationParams() []engine.Param {
	return []engine.Param{
		propertiesParam("image_properties", "images"),
		count("n_top_properties", 3, "properties to show"),
		{Name: "min_pps_to_show", Type: engine.FloatParam, Default: 0.05, Doc: "properties whose scores are all below are not shown"},
		pps.Param(), sampleParam(), seedParam(),
	}
}

func propertyCorrelation() *engine.Definition {
	return &engine.Definition{
		ID:      "PropertyLabelCorrelation",
		Summary: "Finds properties of the images, such as their brightness, that alone predict the label: a shortcut that a model may learn instead of what is in the picture.",
		Formula: correlationFormula,
		Differs: "the scores of test are those of the test images; deepchecks' are those of train and test together.",
		Scope:   engine.SingleDataset,
		Params:  correlationParams(),
		Conditions: []engine.ConditionDef{{
			ID:     "property_pps_less_than",
			Params: []engine.Param{{Name: "threshold", Type: engine.FloatParam, Default: 0.3, Doc: "score from which a property fails"}},
			New:    pps.PropertiesBelow,
		}},
		New: func(a engine.Args, _ engine.Mode) (engine.Check, error) {
			o, err := pps.Parse(a)
			return correlationCheck{a, o}, err
		},
	}
}

type correlationCheck struct {
	args    engine.Args
	options pps.Options
}

func (correlationCheck) ID() string { return "PropertyLabelCorrelation" }

func (p correlationCheck) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	rows, err := rowsOf(c, c.Side(), p.args)
	if err != nil {
		return engine.Result{}, err
	}
	if c.Mode() == engine.Deepchecks && c.Side() == c.Test() {
		before, err := rowsOf(c, c.Train(), p.args)
		if err != nil {
			return engine.Result{}, err
		}
		rows = before.with(rows)
	}
	names := make([]string, len(rows.classes))
	for i, k := range rows.classes {
		names[i] = className(c, k)
	}
	list, err := rows.scores(ctx, c, scoring(p), frame.NewTexts(labelColumn, names), engine.Multiclass)
	if err != nil {
		return engine.Result{}, err
	}
	chart := engine.BarChart{Title: "How well properties predict the label", Series: []string{"PPS"}}
	for _, s := range list {
		if len(chart.Groups) < p.args.Int("n_top_properties") && s.PPS >= p.args.Float("min_pps_to_show") {
			chart.Groups = append(chart.Groups, engine.BarGroup{Label: s.Column, Values: []float64{s.PPS}})
		}
	}
	out := engine.Result{Value: pps.Scores(list)}
	for _, s := range list {
		out.Reduced = append(out.Reduced, engine.Field{Key: s.Column, Value: s.PPS})
	}
	if c.Mode() == engine.Deepchecks {
		out.Reduced = nil // there, it has none
	}
	if len(chart.Groups) > 0 {
		out.Displays = []engine.Display{chart, engine.Note{Text: "The predictive power score is 0 when the property alone predicts the label no better than a guess, and 1 when it predicts it perfectly."}}
	}
	return out, nil
}

// labelColumn is the name of the label among columns named by properties.
const labelColumn = " label"

// labelRows are properties against classes: of images, or of boxes.
type labelRows struct {
	which      engine.Which
	properties []property
	columns    [][]float64
	classes    []int
}

// rowsOf gathers the rows of a side.
func rowsOf(c *engine.Context, s *engine.Side, args engine.Args) (*labelRows, error) {
	if err := only(c, images.Classification, images.ObjectDetection); err != nil {
		return nil, err
	}
	properties, err := imageProperties(c, s, args)
	if err != nil {
		return nil, err
	}
	list, err := labelled(c, s, args)
	if err != nil {
		return nil, err
	}
	out := &labelRows{which: s.Which, properties: properties, columns: make([][]float64, len(properties))}
	add := func(class int, r *images.Record) {
		out.classes = append(out.classes, class)
		for k, p := range properties {
			v := math.NaN()
			if got := p.values(r); len(got) > 0 {
				v = got[0]
			}
			out.columns[k] = append(out.columns[k], v)
		}
	}
	cropped := false
	for i := range list.at {
		r := list.record(i)
		if s.Images.Task == images.Classification {
			add(r.Class, r)
			continue
		}
		for k, b := range r.Boxes {
			if k < len(r.Crops) && r.Crops[k] != nil {
				add(b.Class, &images.Record{Values: r.Crops[k], Channels: r.Channels})
				cropped = true
			}
		}
	}
	switch {
	case s.Images.Task == images.ObjectDetection && !cropped:
		return nil, c.MissingInput(fmt.Sprintf("Check requires images and the boxes of their labels, but the %s images have no properties of boxes", s.Which))
	case len(out.classes) == 0:
		return nil, c.MissingInput(fmt.Sprintf("Check requires labels, but the %s images have none", s.Which))
	}
	return out, nil
}

// with adds other rows below.
func (r *labelRows) with(more *labelRows) *labelRows {
	out := &labelRows{which: more.which, properties: r.properties, classes: slices.Concat(r.classes, more.classes)}
	for k := range r.columns {
		out.columns = append(out.columns, slices.Concat(r.columns[k], more.columns[k]))
	}
	return out
}

// scoring says how scores are found.
type scoring struct {
	args    engine.Args
	options pps.Options
}

// scores scores the properties against a label.
func (r *labelRows) scores(ctx context.Context, c *engine.Context, how scoring, label *frame.Column, task engine.Task) ([]pps.Score, error) {
	data, err := tableOf(string(r.which), r.properties, r.columns, label)
	if err != nil {
		return nil, err
	}
	over, err := c.OnTables(ctx, engine.Inputs{Train: data, Task: task})
	if err != nil {
		return nil, err
	}
	rows := make([]int32, data.Rows())
	names := make([]string, len(r.properties))
	for i := range rows {
		rows[i] = int32(i)
	}
	for k, p := range r.properties {
		names[k] = p.Name
	}
	list, _, err := pps.Of(ctx, over, pps.Request{Side: over.Train(), Columns: names, Rows: rows, Args: how.args, Options: how.options})
	return list, err
}

// distinct lists the classes of rows in ascending order.
func (r *labelRows) distinct() []int {
	out := slices.Clone(r.classes)
	slices.Sort(out)
	return slices.Compact(out)
}
