package vision

import (
	"fmt"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/images"
)

// sampleParam is the parameter by which a check is limited to n images.
func sampleParam() engine.Param {
	return engine.Param{Name: "n_samples", Type: engine.IntParam, Default: 10_000, Min: 1, Max: math.MaxFloat64, Null: true, Doc: "images to look at, at most: the first ones; null means all"}
}

// seedParam is the parameter of checks that draw.
func seedParam() engine.Param {
	return engine.Param{Name: "random_state", Type: engine.IntParam, Default: 42, Min: 0, Max: math.MaxUint32, Doc: "seed of what is drawn"}
}

// count declares a parameter that says how many things to show.
func count(name string, def int, doc string) engine.Param {
	return engine.Param{Name: name, Type: engine.IntParam, Default: def, Min: 0, Max: math.MaxFloat64, Doc: doc}
}

// fraction declares a parameter from 0 to 1.
func fraction(name string, def float64, doc string) engine.Param {
	return engine.Param{Name: name, Type: engine.FloatParam, Default: def, Min: 0, Max: 1, Doc: doc}
}

// without leaves parameters out.
func without(params []engine.Param, names ...string) []engine.Param {
	return slices.DeleteFunc(slices.Clone(params), func(p engine.Param) bool { return slices.Contains(names, p.Name) })
}

// records are the images that a check looks at.
func records(s *engine.Side, args engine.Args) []images.Record {
	r := s.Images.Records
	if !args.IsNull("n_samples") {
		r = r[:min(len(r), args.Int("n_samples"))]
	}
	return r
}

// labelled returns the images of a side that have a label, with their
// positions, or the error for their absence.
func labelled(c *engine.Context, s *engine.Side, args engine.Args) (sample, error) {
	out := sample{set: s.Images, which: s.Which}
	list := records(s, args)
	for i := range list {
		if list[i].HasLabel {
			out.at = append(out.at, i)
		}
	}
	if len(out.at) == 0 {
		return out, c.MissingInput(fmt.Sprintf("Check requires labels, but the %s images have none", s.Which))
	}
	return out, nil
}

// predicted returns the images of a side that have a prediction.
func predicted(c *engine.Context, s *engine.Side, args engine.Args) (sample, error) {
	out := sample{set: s.Images, which: s.Which}
	list := records(s, args)
	for i := range list {
		if answered(s.Images.Task, &list[i]) {
			out.at = append(out.at, i)
		}
	}
	if len(out.at) == 0 {
		return out, c.MissingInput(fmt.Sprintf("Check requires predictions, but the %s images have none", s.Which))
	}
	return out, nil
}

// answered reports whether an image has a prediction that can be used.
func answered(task images.Task, r *images.Record) bool {
	return r.HasPrediction && (task != images.Classification || len(r.Proba) > 0)
}

// judged returns the images of a side that have both label and prediction.
func judged(c *engine.Context, s *engine.Side, args engine.Args) (sample, error) {
	out, err := labelled(c, s, args)
	if err != nil {
		return out, err
	}
	if _, err := predicted(c, s, args); err != nil {
		return out, err
	}
	out.at = slices.DeleteFunc(out.at, func(i int) bool { return !answered(s.Images.Task, &s.Images.Records[i]) })
	if len(out.at) == 0 {
		return out, c.MissingInput(fmt.Sprintf("No image of the %s images has both a label and a prediction", s.Which))
	}
	return out, nil
}

// sample is a choice of the images of a set.
type sample struct {
	set   *images.Set
	which engine.Which
	at    []int // positions in set.Records
}

// record returns the i-th image of the sample.
func (s sample) record(i int) *images.Record { return &s.set.Records[s.at[i]] }

// only refuses the tasks that a check has no use for.
func only(c *engine.Context, tasks ...images.Task) error {
	task := c.ImageTask()
	if slices.Contains(tasks, task) {
		return nil
	}
	if c.Mode() != engine.Deepchecks {
		return c.NotForTask(fmt.Sprintf("Check is irrelevant for data of the task %s", task))
	}
	name := map[images.Task]string{
		images.Classification: "CLASSIFICATION", images.ObjectDetection: "OBJECT_DETECTION", images.Segmentation: "SEMANTIC_SEGMENTATION",
	}[task]
	if name == "" {
		name = "OTHER"
	}
	return c.NotForTask("Check is irrelevant for task of type TaskType." + name)
}

// known refuses data whose labels no check understands.
func known(c *engine.Context) error {
	return only(c, images.Classification, images.ObjectDetection, images.Segmentation)
}

// best returns the most probable class, the first of equals.
func best(proba []float64) int {
	at := 0
	for k, p := range proba {
		if p > proba[at] {
			at = k
		}
	}
	return at
}

func verdict(ok bool) engine.Verdict {
	if ok {
		return engine.Pass
	}
	return engine.Fail
}

// list converts numbers for an encoded value.
func list(values []float64) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = v
	}
	return out
}

// name is how a report names an image.
func name(r *images.Record, at int) string {
	if r.ID != "" {
		return r.ID
	}
	return fmt.Sprint(at)
}
