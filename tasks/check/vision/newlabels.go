package vision

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/images"
)

func newLabels() *engine.Definition {
	return &engine.Definition{
		ID:      "NewLabels",
		Summary: "Finds classes in the labels of the test images that no train image has: the model cannot know them.",
		Formula: "The labels of each class of the test images that has none among the train images, and all labels of the test images: images, boxes of detection, or the images in which a class of segmentation is present. The condition bounds the new ones' share of all.",
		Scope:   engine.TrainTest,
		Params: []engine.Param{
			count("max_images_to_display_per_label", 3, "images to show of each new class"),
			count("max_new_labels_to_display", 3, "new classes to show"),
			sampleParam(),
		},
		Conditions: []engine.ConditionDef{{
			ID:     "new_label_ratio_less_or_equal",
			Params: []engine.Param{fraction("max_allowed_new_labels_ratio", 0.005, "largest share of new labels that passes")},
			New:    fewNewLabels,
		}},
		Defaults: []engine.Use{{ID: "new_label_ratio_less_or_equal"}},
		New:      func(a engine.Args, _ engine.Mode) (engine.Check, error) { return newLabelsCheck{a}, nil },
	}
}

type newLabelsCheck struct{ args engine.Args }

// Newcomers is the value of NewLabels.
type Newcomers struct {
	Names  []string // of the new classes, the most frequent first
	Counts []int
	All    int
	shown  int
}

// Encode returns the labels of each new class and of all.
func (v Newcomers) Encode() any {
	return engine.Object{{Key: "new_labels", Value: v.byClass()}, {Key: "all_labels_count", Value: v.All}}
}

func (v Newcomers) byClass() engine.Object {
	out := make(engine.Object, len(v.Names))
	for i, n := range v.Names {
		out[i] = engine.Field{Key: n, Value: v.Counts[i]}
	}
	return out
}

func (newLabelsCheck) ID() string { return "NewLabels" }

// classesOf lists the class of each label of an image.
func classesOf(task images.Task, r *images.Record) []int {
	switch task {
	case images.Classification:
		return []int{r.Class}
	case images.ObjectDetection:
		out := make([]int, len(r.Boxes))
		for i, b := range r.Boxes {
			out[i] = b.Class
		}
		return out
	default:
		out := make([]int, len(r.Areas))
		for i, a := range r.Areas {
			out[i] = a.Class
		}
		return out
	}
}

// tally counts the labels of each class.
func (s sample) tally() (byClass map[int]int, all int) {
	byClass = make(map[int]int)
	for i := range s.at {
		for _, k := range classesOf(s.set.Task, s.record(i)) {
			byClass[k]++
			all++
		}
	}
	return byClass, all
}

func (n newLabelsCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	if err := known(c); err != nil {
		return engine.Result{}, err
	}
	train, err := labelled(c, c.Train(), n.args)
	if err != nil {
		return engine.Result{}, err
	}
	test, err := labelled(c, c.Test(), n.args)
	if err != nil {
		return engine.Result{}, err
	}
	old, _ := train.tally()
	now, all := test.tally()
	value := Newcomers{All: all, shown: n.args.Int("max_new_labels_to_display")}
	var fresh []int
	for k := range now {
		if old[k] == 0 {
			fresh = append(fresh, k)
		}
	}
	slices.SortFunc(fresh, func(a, b int) int { return cmp.Or(cmp.Compare(now[b], now[a]), cmp.Compare(a, b)) })
	for _, k := range fresh {
		value.Names, value.Counts = append(value.Names, className(c, k)), append(value.Counts, now[k])
	}
	return engine.Result{Value: value, Reduced: value.byClass(), Displays: n.displays(c, test, fresh, now)}, nil
}

// displays counts the new labels and shows images of the first of them.
func (n newLabelsCheck) displays(c *engine.Context, test sample, fresh []int, now map[int]int) []engine.Display {
	if len(fresh) == 0 {
		return nil
	}
	chart := engine.BarChart{Title: "Labels of classes that are in no train image", Unit: "labels", Series: []string{"Test"}}
	for _, k := range fresh {
		chart.Groups = append(chart.Groups, engine.BarGroup{Label: className(c, k), Values: []float64{float64(now[k])}})
	}
	out := []engine.Display{chart}
	for _, k := range fresh[:min(len(fresh), n.args.Int("max_new_labels_to_display"))] {
		g := gallery{sample: test, title: "New class " + className(c, k), most: n.args.Int("max_images_to_display_per_label"), classes: []int{k}}
		for i := range test.at {
			if slices.Contains(classesOf(test.set.Task, test.record(i)), k) {
				g.add(i, "label "+className(c, k))
			}
		}
		out = g.show(out)
	}
	return out
}

func fewNewLabels(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("max_allowed_new_labels_ratio")
	return engine.Condition{
		Name: "Percentage of new labels in the test set is less or equal to " + format.Percent(limit),
		Judge: engine.Judge(func(v Newcomers) (engine.Verdict, string, error) {
			if len(v.Names) == 0 {
				return engine.Pass, "No new labels were found in test set.", nil
			}
			n := 0
			for _, k := range v.Counts {
				n += k
			}
			share := float64(n) / float64(v.All)
			return verdict(share <= limit), fmt.Sprintf("%s of labels found in test set were not in train set. New labels most common in test set: %s",
				format.Percent(share), format.QuotedList(v.Names[:min(len(v.Names), max(v.shown, 1))])), nil
		}),
	}, nil
}
