package vision

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/images"
	"aloft/tasks/check/stats"
)

const outliersFormula = "Of each property that is a number, `limits = Q1 − iqr_scale·(Q3 − Q1)` and `Q3 + iqr_scale·(Q3 − Q1)` with the percentiles `iqr_percentiles`; where these coincide, of the distance to the nearest other value. What lies outside is an outlier. The limits shown are within the values."

func outlierParams(properties engine.Param) []engine.Param {
	return []engine.Param{
		properties,
		count("n_show_top", 3, "outliers to show at either end"),
		{Name: "iqr_percentiles", Type: engine.NumbersParam, Default: []any{25, 75}, Doc: "the two percentiles, from 0 to 100"},
		{Name: "iqr_scale", Type: engine.FloatParam, Default: 1.5, Min: 1, Max: math.MaxFloat64, Doc: "how many times their distance is not yet an outlier"},
		count("min_samples", 10, "fewest values of a property"),
		sampleParam(),
	}
}

func imageOutliers() *engine.Definition {
	return &engine.Definition{
		ID:      "ImagePropertyOutliers",
		Summary: "Finds images whose properties, such as their brightness, lie far from those of the others: broken files, black frames, another camera.",
		Formula: outliersFormula,
		Differs: "outliers are listed by image in ascending order of the value; deepchecks names other images than it means once there is more than one batch.",
		Scope:   engine.SingleDataset,
		Params:  outlierParams(propertiesParam("image_properties", "images")),
		New: func(a engine.Args, m engine.Mode) (engine.Check, error) {
			return newOutliers("ImagePropertyOutliers", a, m)
		},
	}
}

func labelOutliers() *engine.Definition {
	return &engine.Definition{
		ID:      "LabelPropertyOutliers",
		Summary: "Finds images whose labels lie far from those of the others: boxes or segments of odd size, many of them or few.",
		Formula: outliersFormula + " Properties: of detection the area of each box and the boxes of each image, of segmentation the pixels of each class in an image and the classes of each image. Classification has none.",
		Differs: "outliers are listed by image in ascending order of the value; deepchecks names other images than it means.",
		Scope:   engine.SingleDataset,
		Params:  outlierParams(propertiesParam("label_properties", "labels")),
		New: func(a engine.Args, m engine.Mode) (engine.Check, error) {
			return newOutliers("LabelPropertyOutliers", a, m)
		},
	}
}

// outliersCheck finds outliers of images or of labels.
type outliersCheck struct {
	id       string
	args     engine.Args
	mode     engine.Mode
	lo, hi   float64
	ofLabels bool
}

func newOutliers(id string, args engine.Args, mode engine.Mode) (engine.Check, error) {
	c := outliersCheck{id: id, args: args, mode: mode, lo: 25, hi: 75, ofLabels: id == "LabelPropertyOutliers"}
	p := args.Numbers("iqr_percentiles")
	if len(p) != 2 || p[0] < 0 || p[1] > 100 || p[0] >= p[1] || p[1] < 1 {
		return c, engine.Errorf(engine.ValueError, "IQR range must contain two numbers between 0 to 100")
	}
	c.lo, c.hi = p[0], p[1]
	return c, nil
}

// Outlying is what was found of one property.
type Outlying struct {
	Property string
	// Images name the outliers by ascending value.
	Images    []string
	Low, High float64
	// TooFew tells that there were not enough values.
	TooFew bool
}

// Outliers is the value of ImagePropertyOutliers and LabelPropertyOutliers.
type Outliers []Outlying

// Encode returns outliers and limits by property.
func (v Outliers) Encode() any {
	out := make(engine.Object, len(v))
	for i, o := range v {
		out[i].Key = o.Property
		if o.TooFew {
			out[i].Value = "Not enough non-null samples to calculate outliers."
			continue
		}
		ids := make([]any, len(o.Images))
		for k, id := range o.Images {
			ids[k] = id
		}
		out[i].Value = engine.Object{{Key: "outliers_identifiers", Value: ids}, {Key: "lower_limit", Value: o.Low}, {Key: "upper_limit", Value: o.High}}
	}
	return out
}

func (o outliersCheck) ID() string { return o.id }

func (o outliersCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	properties, err := o.properties(c)
	if err != nil {
		return engine.Result{}, err
	}
	var value Outliers
	var reduced engine.Object
	var displays []engine.Display
	enough := false
	for _, p := range properties {
		found, shown := o.find(c.Side(), p, len(properties))
		enough = enough || !found.TooFew
		value, displays = append(value, found), append(displays, shown...)
		if !found.TooFew {
			reduced = append(reduced, engine.Field{Key: p.Name, Value: len(found.Images)})
		}
	}
	if !enough {
		return engine.Result{}, engine.Errorf(engine.NotEnoughSamples, "Need at least %d non-null samples to calculate outliers.", o.args.Int("min_samples"))
	}
	if o.mode == engine.Deepchecks {
		reduced = nil // there, it has none
	}
	return engine.Result{Value: value, Reduced: reduced, Displays: displays}, nil
}

// properties are those that are numbers.
func (o outliersCheck) properties(c *engine.Context) ([]property, error) {
	of := imageProperties
	if o.ofLabels {
		of = labelProperties
		if o.args.IsNull("label_properties") {
			if err := known(c); err != nil {
				return nil, err
			}
			if c.ImageTask() == images.Classification {
				e := &engine.Error{Class: engine.ProcessError, Cause: engine.Irrelevant, Message: "task type classification does not have default label properties for label outliers."}
				return nil, e
			}
			if _, err := labelled(c, c.Side(), o.args); err != nil {
				return nil, err
			}
		}
	}
	all, err := of(c, c.Side(), o.args)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(p property) bool { return p.Kind != images.Numerical })
	if len(all) == 0 {
		return nil, engine.Errorf(engine.ProcessError, "none of the properties is a number: there can be no outliers")
	}
	return all, nil
}

// value is a value of an image.
type value struct {
	at int
	v  float64
}

// find looks for the outliers of one property, out of n.
func (o outliersCheck) find(side *engine.Side, p property, n int) (Outlying, []engine.Display) {
	list := records(side, o.args)
	var values []value
	for i := range list {
		for _, v := range p.values(&list[i]) {
			if !math.IsNaN(v) {
				values = append(values, value{i, v})
			}
		}
	}
	out := Outlying{Property: p.Name}
	if len(values) < max(o.args.Int("min_samples"), 1) {
		out.TooFew = true
		return out, nil
	}
	var sorted []float64
	for _, x := range values {
		if !math.IsInf(x.v, 0) { // what is infinite is an outlier whatever the others are
			sorted = append(sorted, x.v)
		}
	}
	if len(sorted) == 0 {
		out.TooFew = true
		return out, nil
	}
	stats.SortFloats(sorted)
	const sharpDrop = 0.9
	low, high := stats.IQRLimits(sorted, o.lo, o.hi, o.args.Float("iqr_scale"), sharpDrop)
	out.Low, out.High = max(low, sorted[0]), min(high, sorted[len(sorted)-1])
	var far []value
	for _, x := range values {
		if x.v < low || x.v > high {
			far = append(far, x)
		}
	}
	if o.mode == engine.Deepchecks {
		for _, x := range far {
			out.Images = append(out.Images, misnamed(side.Images, x.at, n))
		}
		slices.SortStableFunc(far, func(a, b value) int { return cmp.Compare(a.v, b.v) })
		return out, o.displays(side, out, sorted, far)
	}
	slices.SortStableFunc(far, func(a, b value) int { return cmp.Compare(a.v, b.v) })
	for _, x := range far {
		out.Images = append(out.Images, name(&list[x.at], x.at))
	}
	return out, o.displays(side, out, sorted, far)
}

// defaultBatch is how many images a batch has where the loader does not say.
const defaultBatch = 32

// misnamed is the image that deepchecks names for the one at a place: it
// counts on from the start of the batch, but one batch too few for every n
// batches, n the number of properties, and looks the number up among all.
func misnamed(set *images.Set, at, n int) string {
	size := cmp.Or(set.Batch, defaultBatch)
	batch := at / size
	at -= size * (batch - batch/n)
	return name(&set.Records[at], at)
}

// displays draws the distribution with the limits, and the farthest outliers
// at both ends.
func (o outliersCheck) displays(side *engine.Side, found Outlying, sorted []float64, far []value) []engine.Display {
	if len(far) == 0 {
		return nil
	}
	h := engine.Histogram{
		Title: fmt.Sprintf("%s: %d outliers", found.Property, len(far)), XName: found.Property, Series: []string{"images"},
		Marks: []float64{found.Low, found.High}, MarkNames: []string{"lower limit", "upper limit"},
	}
	const bins = 30
	low, width := sorted[0], sorted[len(sorted)-1]-sorted[0]
	if !(width > 0) || math.IsInf(width, 0) {
		low, width = low-0.5, 1 // all are equal, but for what is infinite
	}
	shares := make([]float64, bins)
	for i := range bins + 1 {
		h.Edges = append(h.Edges, low+width*float64(i)/bins)
	}
	for _, v := range sorted {
		shares[min(max(int((v-low)/width*bins), 0), bins-1)] += 1 / float64(len(sorted))
	}
	h.Shares = [][]float64{shares}
	out := []engine.Display{h}
	all := sample{set: side.Images, which: side.Which, at: make([]int, len(far))}
	below, above := gallery{sample: all, title: "Below the lower limit"}, gallery{sample: all, title: "Above the upper limit"}
	below.most, above.most = o.args.Int("n_show_top"), o.args.Int("n_show_top")
	for i, x := range far {
		all.at[i] = x.at
	}
	for i, x := range far {
		if x.v < found.Low && !below.full() {
			below.add(i, fmt.Sprintf("%s %s", found.Property, format.Number(x.v)))
		}
	}
	for i := len(far) - 1; i >= 0; i-- {
		if far[i].v > found.High && !above.full() {
			above.add(i, fmt.Sprintf("%s %s", found.Property, format.Number(far[i].v)))
		}
	}
	return above.show(below.show(out))
}
