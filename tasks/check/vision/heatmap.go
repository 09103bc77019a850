package vision

import (
	"context"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/images"
)

func heatmapComparison() *engine.Definition {
	return &engine.Definition{
		ID:      "HeatmapComparison",
		Summary: "Compares the mean train image with the mean test image, pixel by pixel; of detection also where the boxes are.",
		Formula: "Every image is turned gray and resized to the first train image's size; `diff = |mean_train − mean_test|` of each pixel, from 0 to 255. `diff_bbox` is the same of the share of images, in percent, in which a box of the label covers the pixel. All numbers are rounded down to whole ones.",
		Differs: "`n_samples` has no effect on the means, which are those of all images read.",
		Scope:   engine.TrainTest,
		Params:  []engine.Param{sampleParam()},
		New:     func(engine.Args, engine.Mode) (engine.Check, error) { return heatmapCheck{}, nil },
	}
}

type heatmapCheck struct{}

// Heat is the value of HeatmapComparison: whole numbers from 0 to 255 by pixel.
type Heat struct {
	Height, Width int
	Diff          []float64
	BoxHeight     int
	BoxWidth      int
	Boxes         []float64 // nil unless the task is object detection
}

// Encode returns height × width × 1 numbers.
func (h Heat) Encode() any {
	out := engine.Object{{Key: "diff", Value: pixels(h.Diff, h.Height, h.Width)}}
	if h.Boxes != nil {
		out = append(out, engine.Field{Key: "diff_bbox", Value: pixels(h.Boxes, h.BoxHeight, h.BoxWidth)})
	}
	return out
}

func pixels(values []float64, height, width int) []any {
	rows := make([]any, height)
	for y := range rows {
		row := make([]any, width)
		for x := range row {
			row[x] = []any{int(values[y*width+x])}
		}
		rows[y] = row
	}
	return rows
}

func (heatmapCheck) ID() string { return "HeatmapComparison" }

func (heatmapCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	train, test := c.Train().Images, c.Test().Images
	if train.Heat == nil || test.Heat == nil || train.Heat.Count == 0 || test.Heat.Count == 0 {
		return engine.Result{}, c.MissingInput("Check requires images, but the data have none")
	}
	a, b := train.Heat, test.Heat.Resized(train.Heat.Height, train.Heat.Width)
	value := Heat{Height: a.Height, Width: a.Width, Diff: apart(a, b)}
	most := highest(a, b)
	out := []engine.Display{
		engine.Shade{Title: "Mean train image", Unit: "brightness", Mean: *a, Max: most},
		engine.Shade{Title: "Mean test image", Unit: "brightness", Mean: *b, Max: most},
		engine.Shade{Title: "Difference of the mean images", Unit: "brightness", Mean: images.Mean{Height: a.Height, Width: a.Width, Values: value.Diff, Count: a.Count + b.Count}},
	}
	if c.ImageTask() == images.ObjectDetection && train.BoxHeat != nil && test.BoxHeat != nil {
		a, b := train.BoxHeat, test.BoxHeat.Resized(train.BoxHeat.Height, train.BoxHeat.Width)
		value.BoxHeight, value.BoxWidth, value.Boxes = a.Height, a.Width, apart(a, b)
		most := highest(a, b)
		out = append(out,
			engine.Shade{Title: "Where the boxes of train are", Unit: "% of images", Mean: *a, Max: most},
			engine.Shade{Title: "Where the boxes of test are", Unit: "% of images", Mean: *b, Max: most},
			engine.Shade{Title: "Difference of where the boxes are", Unit: "% of images", Mean: images.Mean{Height: a.Height, Width: a.Width, Values: value.Boxes, Count: a.Count + b.Count}})
	}
	return engine.Result{Value: value, Displays: out}, nil
}

// highest is the largest value of two pictures, which are shown on one scale.
func highest(a, b *images.Mean) float64 { return slices.Max(slices.Concat(a.Values, b.Values)) }

// apart is the distance of two means of the same size, by pixel: both are cut
// to whole numbers first.
func apart(a, b *images.Mean) []float64 {
	out := make([]float64, len(a.Values))
	for i := range out {
		out[i] = math.Abs(math.Floor(a.Values[i]) - math.Floor(b.Values[i]))
	}
	return out
}
