package custom

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/images"
	"aloft/tasks/check/report"
)

// ImageSource names the files of one data set of images as the document does;
// all is empty where a program streams it.
type ImageSource struct {
	Form, Images, Table, Labels, Predictions string
}

// imageInput is the object that the command reads where the data are images.
// What is known of each image is in files that last as long as the command.
func (k *Check) imageInput(c *engine.Context) (input engine.Object, remove func(), err error) {
	dir, err := os.MkdirTemp("", "aloft-check-")
	if err != nil {
		return nil, nil, engine.Errorf(engine.ProcessError, "make a folder for the records of images: %v", err)
	}
	remove = func() { _ = os.RemoveAll(dir) } // a folder of ours for temporary files
	sets := engine.Object{{Key: "train", Value: nil}, {Key: "test", Value: nil}}
	for i, s := range []*engine.Side{c.Train(), c.Test()} {
		if s == nil {
			continue
		}
		path := fmt.Sprintf("%s/%s.jsonl", dir, s.Which)
		if err := records(path, s.Images); err != nil {
			remove()
			return nil, nil, engine.Errorf(engine.ProcessError, "write the records of images: %v", err)
		}
		from := k.place.TrainImages
		if s.Which == engine.Test {
			from = k.place.TestImages
		}
		sets[i].Value = engine.Object{
			{Key: "count", Value: len(s.Images.Records)}, {Key: "records", Value: path},
			{Key: "format", Value: orNull(from.Form)}, {Key: "images", Value: orNull(from.Images)}, {Key: "table", Value: orNull(from.Table)},
			{Key: "labels", Value: orNull(from.Labels)}, {Key: "predictions", Value: orNull(from.Predictions)},
		}
	}
	var dataset any
	if s := c.Side(); s != nil {
		dataset = string(s.Which)
	}
	params := k.spec.Params
	if params == nil {
		params = engine.Object{}
	}
	set := c.Train().Images
	names := make(engine.Object, 0, len(set.Classes))
	for _, class := range sortedClasses(set.Classes) {
		names = append(names, engine.Field{Key: fmt.Sprint(class), Value: set.Classes[class]})
	}
	properties := make([]any, len(set.Properties))
	for i, p := range set.Properties {
		properties[i] = p.Name
	}
	return engine.Object{
		{Key: "format", Value: formatVersion}, {Key: "check", Value: k.spec.Name}, {Key: "dataset", Value: dataset}, {Key: "params", Value: params},
		{Key: "seed", Value: int64(k.place.Seed)}, {Key: "kind", Value: engine.KindVision}, {Key: "task_type", Value: string(set.Task)},
		{Key: "label_map", Value: names}, {Key: "properties", Value: properties}, {Key: "sets", Value: sets},
	}, remove, nil
}

func sortedClasses(m map[int]string) []int {
	out := make([]int, 0, len(m))
	for class := range m {
		out = append(out, class)
	}
	slices.Sort(out)
	return out
}

// records writes what is known of each image, one JSON object in a line.
func records(path string, set *images.Set) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for i := range set.Records {
		line, err := report.Marshal(record(set, &set.Records[i]))
		if err == nil {
			_, err = w.Write(append(line, '\n'))
		}
		if err != nil {
			_ = f.Close()
			return err
		}
	}
	if err := w.Flush(); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

func record(set *images.Set, r *images.Record) engine.Object {
	out := engine.Object{{Key: "id", Value: r.ID}, {Key: "height", Value: r.Height}, {Key: "width", Value: r.Width}, {Key: "channels", Value: r.Channels}}
	values := make(engine.Object, 0, len(r.Values))
	for i, v := range r.Values {
		var value any = v
		if math.IsNaN(v) || math.IsInf(v, 0) {
			value = nil
		}
		values = append(values, engine.Field{Key: set.Properties[i].Name, Value: value})
	}
	out = append(out, engine.Field{Key: "properties", Value: values})
	var label, prediction any
	switch {
	case set.Task == images.Classification:
		if r.HasLabel {
			label = r.Class
		}
		if r.HasPrediction {
			prediction = plainNumbers(r.Proba)
		}
	case set.Task == images.ObjectDetection:
		if r.HasLabel {
			label = boxes(r.Boxes, func(b images.Box) []any { return []any{b.Class, b.X, b.Y, b.W, b.H} })
		}
		if r.HasPrediction {
			prediction = boxes(r.Predicted, func(b images.Box) []any { return []any{b.X, b.Y, b.W, b.H, b.Score, b.Class} })
		}
	case set.Task == images.Segmentation:
		if r.HasLabel {
			label = pixels(r.Areas)
		}
		if r.HasPrediction {
			prediction = pixels(r.PredictedArea)
		}
	}
	return append(out, engine.Field{Key: "label", Value: label}, engine.Field{Key: "prediction", Value: prediction})
}

func plainNumbers(list []float64) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}

func boxes(list []images.Box, row func(images.Box) []any) []any {
	out := make([]any, len(list))
	for i, b := range list {
		out[i] = row(b)
	}
	return out
}

// pixels are the pixels of each class.
func pixels(list []images.Area) engine.Object {
	out := make(engine.Object, len(list))
	for i, a := range list {
		out[i] = engine.Field{Key: fmt.Sprint(a.Class), Value: a.Pixels}
	}
	return out
}
