package vision

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/images"
	"aloft/tasks/check/nearest"
)

// property is something that is measured of each image, label or prediction:
// any number of values each.
type property struct {
	images.Property
	values func(r *images.Record) []float64
}

// categorical reports whether values are compared as categories.
func (p property) categorical() bool { return p.Kind != images.Numerical }

// imageProperties returns the properties of images that the parameter
// image_properties names; all of them when it is null.
func imageProperties(c *engine.Context, s *engine.Side, args engine.Args) ([]property, error) {
	var out []property
	for i, p := range s.Images.Properties {
		out = append(out, property{p, func(r *images.Record) []float64 {
			if i >= len(r.Values) {
				return []float64{math.NaN()}
			}
			return asGiven(c, args, p.Name, r, r.Values[i:i+1])
		}})
	}
	if test := c.Test(); test != nil && !slices.Equal(c.Train().Images.Properties, test.Images.Properties) {
		return nil, engine.Errorf(engine.ValueError, "the train images have other properties than the test images: %s, and %s", names(c.Train().Images), names(test.Images))
	}
	if len(out) == 0 {
		return nil, c.MissingInput("Check requires images, but the data have none")
	}
	return choose(out, args, "image_properties")
}

// names lists the properties of images.
func names(s *images.Set) string {
	list := make([]string, len(s.Properties))
	for i, p := range s.Properties {
		list[i] = fmt.Sprintf("%s (%s)", p.Name, p.Kind)
	}
	return strings.Join(list, ", ")
}

// white is the value of a white pixel.
const white = 255

// asGiven returns the values of a property. As deepchecks does it, brightness
// and contrast of colour images go from 0 to 1 once properties are named.
func asGiven(c *engine.Context, args engine.Args, name string, r *images.Record, values []float64) []float64 {
	if c.Mode() != engine.Deepchecks || args.IsNull("image_properties") || r.Channels != 3 || name != images.Brightness && name != images.RMSContrast {
		return values
	}
	return []float64{values[0] / white}
}

// labelProperties returns the properties of labels that the parameter
// label_properties names. Properties of the user's own may be named too.
func labelProperties(c *engine.Context, s *engine.Side, args engine.Args) ([]property, error) {
	return answers(c.ImageTask(), s, args, "label_properties", truth)
}

// predictionProperties returns the properties of predictions that the
// parameter prediction_properties names.
func predictionProperties(c *engine.Context, s *engine.Side, args engine.Args) ([]property, error) {
	return answers(c.ImageTask(), s, args, "prediction_properties", guess)
}

// answer is a label or a prediction.
type answer struct {
	present bool
	classes []float64 // of boxes or of the mask, or the one class
	boxes   []images.Box
	areas   []images.Area
}

// truth returns the label of an image.
func truth(task images.Task, r *images.Record) answer {
	a := answer{present: r.HasLabel, boxes: r.Boxes, areas: r.Areas}
	if task == images.Classification {
		a.classes = []float64{float64(r.Class)}
	}
	return a
}

// guess returns the prediction of an image.
func guess(task images.Task, r *images.Record) answer {
	a := answer{present: r.HasPrediction, boxes: r.Predicted, areas: r.PredictedArea}
	if task == images.Classification && a.present && len(r.Proba) > 0 {
		a.classes = []float64{float64(best(r.Proba))}
	}
	return a
}

// answers lists the properties of labels or predictions for a task.
func answers(task images.Task, s *engine.Side, args engine.Args, param string, of func(images.Task, *images.Record) answer) ([]property, error) {
	add := func(name string, kind images.PropertyKind, f func(answer) []float64) property {
		return property{images.Property{Name: name, Kind: kind}, func(r *images.Record) []float64 {
			a := of(task, r)
			if !a.present {
				return nil
			}
			return f(a)
		}}
	}
	var all []property
	switch task {
	case images.Classification:
		all = append(all, add("Samples Per Class", images.ClassID, func(a answer) []float64 { return a.classes }))
	case images.ObjectDetection:
		all = append(all,
			add("Samples Per Class", images.ClassID, func(a answer) []float64 {
				return each(a.boxes, func(b images.Box) float64 { return float64(b.Class) })
			}),
			add("Bounding Box Area (in pixels)", images.Numerical, func(a answer) []float64 {
				return each(a.boxes, func(b images.Box) float64 { return b.W * b.H })
			}),
			add("Number of Bounding Boxes Per Image", images.Numerical, func(a answer) []float64 { return []float64{float64(len(a.boxes))} }))
	case images.Segmentation:
		all = append(all,
			add("Samples Per Class", images.ClassID, func(a answer) []float64 {
				return each(a.areas, func(x images.Area) float64 { return float64(x.Class) })
			}),
			add("Segment Area (in pixels)", images.Numerical, func(a answer) []float64 {
				return each(a.areas, func(x images.Area) float64 { return float64(x.Pixels) })
			}),
			add("Number of Classes Per Image", images.Numerical, func(a answer) []float64 { return []float64{float64(len(a.areas))} }))
	}
	if args.IsNull(param) {
		return all, nil
	}
	for i, p := range s.Images.Properties { // a property of the user's own may be one of the label
		all = append(all, property{p, func(r *images.Record) []float64 {
			if i >= len(r.Values) {
				return nil
			}
			return r.Values[i : i+1]
		}})
	}
	return choose(all, args, param)
}

func each[T any](list []T, f func(T) float64) []float64 {
	out := make([]float64, len(list))
	for i, x := range list {
		out[i] = f(x)
	}
	return out
}

// choose keeps the properties that a parameter names, in its order.
func choose(all []property, args engine.Args, param string) ([]property, error) {
	if args.IsNull(param) {
		return all, nil
	}
	var known []string
	for _, p := range all {
		known = append(known, p.Name)
	}
	var out []property
	for _, wanted := range args.Texts(param) {
		at := slices.Index(known, wanted)
		if at < 0 {
			return nil, engine.Errorf(engine.ValueError, "%s names %q, which is no property here%s; there are %s", param, wanted, nearest.Hint(wanted, known), strings.Join(known, ", "))
		}
		if slices.ContainsFunc(out, func(p property) bool { return p.Name == wanted }) {
			return nil, engine.Errorf(engine.ValueError, "%s names %q twice", param, wanted)
		}
		out = append(out, all[at])
	}
	if len(out) == 0 {
		return nil, engine.Errorf(engine.ValueError, "%s is empty; null takes all", param)
	}
	return out, nil
}

// propertiesParam declares the parameter that names properties.
func propertiesParam(name, of string) engine.Param {
	return engine.Param{Name: name, Type: engine.TextsParam, Doc: "properties of " + of + " to look at, by name, those of one's own included; null means all that are built in" + map[bool]string{true: " and one's own"}[of == "images"]}
}

// numbers lists the values of a property over images, NaN left out.
func numbers(list []images.Record, p property) []float64 {
	var out []float64
	for i := range list {
		for _, v := range p.values(&list[i]) {
			if !math.IsNaN(v) {
				out = append(out, v)
			}
		}
	}
	return out
}
