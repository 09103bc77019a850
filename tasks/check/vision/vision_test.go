package vision_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"aloft/tasks/check/drift"
	"aloft/tasks/check/engine"
	"aloft/tasks/check/images"
	"aloft/tasks/check/split"
	"aloft/tasks/check/vision"
)

func tasks() []images.Task {
	return []images.Task{images.Classification, images.ObjectDetection, images.Segmentation}
}

// TestEveryCheckOfEveryTask runs all checks and says which of them a task has
// no use for.
func TestEveryCheckOfEveryTask(t *testing.T) {
	t.Parallel()
	none := map[images.Task][]string{
		images.Classification:  {"MeanAveragePrecisionReport", "MeanAverageRecallReport", "LabelPropertyOutliers"},
		images.ObjectDetection: {"SimpleModelComparison"},
		images.Segmentation: {"MeanAveragePrecisionReport", "MeanAverageRecallReport", "SimpleModelComparison", "ConfusionMatrixReport",
			"PropertyLabelCorrelation", "PropertyLabelCorrelationChange"},
		images.Other: {"ClassPerformance", "MeanAveragePrecisionReport", "MeanAverageRecallReport", "PredictionDrift", "SimpleModelComparison", "ConfusionMatrixReport",
			"WeakSegmentsPerformance", "NewLabels", "LabelDrift", "PropertyLabelCorrelationChange", "LabelPropertyOutliers", "PropertyLabelCorrelation", "SingleDatasetPerformance"},
	}
	for task, refused := range none {
		for _, mode := range []engine.Mode{engine.Mended, engine.Deepchecks} {
			t.Run(fmt.Sprint(task, mode), func(t *testing.T) {
				t.Parallel()
				train, test := scenery{task: task, n: 120, seed: 1, thumbs: true, blank: task == images.Other}.build(t), scenery{task: task, n: 100, seed: 2, thumbs: true, blank: task == images.Other}.build(t)
				r := runReport(t, all(), engine.Inputs{TrainImages: train, TestImages: test, Mode: mode})
				for _, o := range r.Outcomes {
					refuses := strings.Contains(strings.Join(refused, " ")+" ", o.Def.ID+" ")
					switch {
					case o.Err == nil && refuses:
						t.Errorf("%s ran", o.Def.ID)
					case o.Err != nil && refuses && o.Err.Cause != engine.Irrelevant:
						t.Errorf("%s: the task has no use for it, but the error counts as %s: %v", o.Def.ID, o.Err.Cause, o.Err)
					case o.Err != nil && !refuses && o.Def.ID != "WeakSegmentsPerformance" && !(mode == engine.Deepchecks && o.Err.Class == "ZeroDivisionError"):
						t.Errorf("%s: %v", o.Def.ID, o.Err)
					}
					if o.Err == nil && len(o.Result.Displays) == 0 && !strings.Contains("NewLabels ImagePropertyOutliers LabelPropertyOutliers PropertyLabelCorrelation PropertyLabelCorrelationChange", o.Def.ID) {
						t.Errorf("%s shows nothing", o.Def.ID)
					}
				}
				jsonOf(t, r)
			})
		}
	}
}

// TestMissingInputs runs all checks on images without labels and predictions.
func TestMissingInputs(t *testing.T) {
	t.Parallel()
	for _, task := range tasks() {
		set := scenery{task: task, n: 60, seed: 1, blank: true}.build(t)
		for _, o := range runReport(t, all(), engine.Inputs{TrainImages: set, TestImages: set}).Outcomes {
			switch o.Def.ID {
			case "HeatmapComparison", "ImagePropertyDrift", "ImageDatasetDrift", "ImagePropertyOutliers":
				ok(t, o)
			default:
				if o.Err == nil || o.Err.Cause == engine.Failed || o.Err.Class == engine.Internal {
					t.Errorf("%s of %s: got %+v, want an error for what is missing", o.Def.ID, task, o.Err)
				}
			}
		}
	}
	// Without images, what needs none runs.
	bare := &images.Set{Task: images.Classification, Records: make([]images.Record, 40)}
	for i := range bare.Records {
		bare.Records[i] = images.Record{HasLabel: true, Class: i % 2, HasPrediction: true, Proba: []float64{.6, .4}}
	}
	for _, o := range runReport(t, all(), engine.Inputs{TrainImages: bare, TestImages: bare}).Outcomes {
		switch o.Def.ID {
		case "ClassPerformance", "PredictionDrift", "SimpleModelComparison", "ConfusionMatrixReport", "NewLabels", "LabelDrift", "SingleDatasetPerformance":
			ok(t, o)
		default:
			if o.Err == nil || o.Err.Cause == engine.Failed || o.Err.Class == engine.Internal {
				t.Errorf("%s: got %+v, want an error for the images", o.Def.ID, o.Err)
			}
		}
	}
}

// TestIdenticalSets compares a set with itself: nothing drifts.
func TestIdenticalSets(t *testing.T) {
	t.Parallel()
	for _, task := range tasks() {
		set := scenery{task: task, n: 100, seed: 3, custom: []images.Property{{Name: "camera", Kind: images.Categorical}}}.build(t)
		for _, id := range []string{"LabelDrift", "PredictionDrift", "ImagePropertyDrift"} {
			v, is := ok(t, once(t, use{id: id}, set, set)).Result.Value.(drift.Scores)
			if !is {
				t.Fatalf("%s gave no scores", id)
			}
			for _, s := range v.List {
				if s.Value != 0 {
					t.Errorf("%s of %s: %s drifts by %v", id, task, s.Name, s.Value)
				}
			}
		}
		heat, is := ok(t, once(t, use{id: "HeatmapComparison"}, set, set)).Result.Value.(vision.Heat)
		if !is {
			t.Fatal("HeatmapComparison gave no heat")
		}
		for i, d := range heat.Diff {
			if d != 0 {
				t.Fatalf("pixel %d differs by %v", i, d)
			}
		}
		if (heat.Boxes != nil) != (task == images.ObjectDetection) {
			t.Errorf("boxes of %s: %d", task, len(heat.Boxes))
		}
		fresh, _ := ok(t, once(t, use{id: "NewLabels"}, set, set)).Result.Value.(vision.Newcomers)
		if len(fresh.Names) != 0 || fresh.All == 0 {
			t.Errorf("new labels in the same images: %+v", fresh)
		}
		if v, _ := ok(t, once(t, use{id: "ImageDatasetDrift"}, set, set)).Result.Value.(split.DomainDrift); v.Score > .3 {
			t.Errorf("the same images are told apart: %v", v.Score)
		}
	}
}

// TestPerfectPredictions scores predictions that are the labels.
func TestPerfectPredictions(t *testing.T) {
	t.Parallel()
	for _, task := range tasks() {
		set := scenery{task: task, n: 60, seed: 4, perfect: true}.build(t)
		for _, id := range []string{"ClassPerformance", "SingleDatasetPerformance"} {
			o := ok(t, once(t, use{id: id}, set, set))
			for _, f := range o.Result.Reduced {
				if f.Value != 1.0 {
					t.Errorf("%s of %s: %s is %v", id, task, f.Key, f.Value)
				}
			}
			if len(o.Result.Reduced) == 0 {
				t.Errorf("%s reduces to nothing", id)
			}
			if id == "ClassPerformance" && (o.Conditions[0].Verdict != engine.Pass || o.Conditions[0].Details != "Found max degradation of 0% for metric "+firstMetric(task)+" and class "+firstClass(o)+".") {
				t.Errorf("%s: %+v", task, o.Conditions[0])
			}
		}
	}
	boxes := scenery{task: images.ObjectDetection, n: 60, seed: 4, perfect: true}.build(t)
	for _, id := range []string{"MeanAveragePrecisionReport", "MeanAverageRecallReport"} {
		v, _ := ok(t, once(t, use{id: id, params: map[string]any{"area_range": []any{60, 100}}}, boxes, nil)).Result.Value.(vision.Areas)
		for i, row := range v.Scores {
			for k, s := range row {
				if s != 1 && !strings.HasPrefix(v.Columns[k], "AR@1 ") {
					t.Errorf("%s: %s, %s is %v", id, v.Areas[i], v.Columns[k], s)
				}
			}
		}
	}
	simple := scenery{task: images.Classification, n: 60, seed: 4, perfect: true}.build(t)
	if o := ok(t, once(t, use{id: "SimpleModelComparison"}, simple, simple)); o.Conditions[0].Verdict != engine.Pass {
		t.Errorf("%+v", o.Conditions)
	}
}

func firstMetric(task images.Task) string {
	return map[images.Task]string{images.Classification: "Precision", images.ObjectDetection: "Average Precision", images.Segmentation: "Dice"}[task]
}

func firstClass(o engine.Outcome) string {
	v, _ := o.Result.Value.(vision.Scores)
	return v.List[0].Name
}

// TestOrderDoesNotMatter shuffles the test images: what has no seed is equal.
func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	for _, task := range tasks() {
		train, test := scenery{task: task, n: 80, seed: 5}.build(t), scenery{task: task, n: 70, seed: 6}.build(t)
		mixed := *test
		mixed.Records = append([]images.Record(nil), test.Records...)
		rand.New(rand.NewPCG(1, 1)).Shuffle(len(mixed.Records), func(i, j int) { mixed.Records[i], mixed.Records[j] = mixed.Records[j], mixed.Records[i] })
		for _, id := range []string{"ClassPerformance", "MeanAveragePrecisionReport", "MeanAverageRecallReport", "PredictionDrift", "ConfusionMatrixReport", "NewLabels", "LabelDrift",
			"ImagePropertyDrift", "ImagePropertyOutliers", "LabelPropertyOutliers", "SimpleModelComparison"} {
			a, b := once(t, use{id: id}, train, test), once(t, use{id: id}, train, &mixed)
			if a.Err != nil {
				continue
			}
			if x, y := fmt.Sprint(a.Result.Value.Encode()), fmt.Sprint(b.Result.Value.Encode()); x != y {
				t.Errorf("%s of %s depends on the order:\n%s\n%s", id, task, x, y)
			}
		}
	}
}

// TestSampleLimit looks at the first images only.
func TestSampleLimit(t *testing.T) {
	t.Parallel()
	set := scenery{task: images.Classification, n: 100, seed: 8}.build(t)
	head := *set
	head.Records, head.Total = set.Records[:40], 40
	for _, id := range []string{"ClassPerformance", "ConfusionMatrixReport", "LabelDrift", "ImagePropertyDrift", "PropertyLabelCorrelation", "ImagePropertyOutliers", "NewLabels"} {
		a := ok(t, once(t, use{id: id, params: map[string]any{"n_samples": 40}}, set, set))
		b := ok(t, once(t, use{id: id}, &head, &head))
		if x, y := fmt.Sprint(a.Result.Value.Encode()), fmt.Sprint(b.Result.Value.Encode()); x != y {
			t.Errorf("%s does not look at the first images:\n%s\n%s", id, x, y)
		}
		if a.Sampled.Train != 40 || a.Sampled.TrainTotal != 100 {
			t.Errorf("%s: the report says %+v", id, a.Sampled)
		}
	}
}

// TestOwnProperties looks at properties of the user's own.
func TestOwnProperties(t *testing.T) {
	t.Parallel()
	own := []images.Property{{Name: "camera", Kind: images.Categorical}, {Name: "sharpness", Kind: images.Numerical}}
	train, test := scenery{task: images.ObjectDetection, n: 80, seed: 1, custom: own}.build(t), scenery{task: images.ObjectDetection, n: 80, seed: 2, custom: own}.build(t)
	for i := range test.Records { // another camera
		test.Records[i].Values[len(test.Properties)-2] = 9
	}
	names := []string{"camera", "Brightness", "sharpness"}
	o := ok(t, once(t, use{id: "ImagePropertyDrift", params: map[string]any{"image_properties": names}}, train, test))
	v, _ := o.Result.Value.(drift.Scores)
	if len(v.List) != 3 || v.List[0].Name != "camera" || v.List[0].Method != drift.CramersV || v.List[0].Value < .8 || v.List[2].Method != drift.KolmogorovSmirnov {
		t.Errorf("got %+v", v.List)
	}
	if o.Conditions[0].Verdict != engine.Fail || !strings.Contains(o.Conditions[0].Details, "Found 1 categorical properties with Cramer's V above threshold: {'camera': ") {
		t.Errorf("got %+v", o.Conditions[0])
	}
	labels := ok(t, once(t, use{id: "LabelDrift", params: map[string]any{"label_properties": []string{"sharpness", "Number of Bounding Boxes Per Image"}}}, train, test))
	if v, _ := labels.Result.Value.(drift.Scores); len(v.List) != 2 || v.List[0].Name != "sharpness" {
		t.Errorf("got %+v", labels.Result.Value)
	}
	for _, bad := range []struct {
		names []string
		want  string
	}{
		{[]string{"Brightnes"}, `image_properties names "Brightnes", which is no property here (did you mean`},
		{[]string{"Area", "Area"}, `image_properties names "Area" twice`},
		{[]string{}, "image_properties is empty"},
	} {
		o := once(t, use{id: "ImagePropertyDrift", params: map[string]any{"image_properties": bad.names}}, train, test)
		if o.Err == nil || !strings.HasPrefix(o.Err.Message, bad.want) {
			t.Errorf("%v: got %v, want %s", bad.names, o.Err, bad.want)
		}
	}
}

// TestNamedBrightness is from 0 to 255 however it is named; as deepchecks does
// it, from 0 to 1.
func TestNamedBrightness(t *testing.T) {
	t.Parallel()
	set := scenery{task: images.Classification, n: 60, seed: 1}.build(t)
	limits := func(mode engine.Mode, params map[string]any) float64 {
		v, _ := ok(t, once(t, use{id: "ImagePropertyOutliers", params: params, mode: mode}, set, nil)).Result.Value.(vision.Outliers)
		for _, o := range v {
			if o.Property == "Brightness" {
				return o.High
			}
		}
		return 0
	}
	named := map[string]any{"image_properties": []string{"Brightness"}}
	whole := limits(engine.Mended, nil)
	if whole < 100 || limits(engine.Mended, named) != whole || limits(engine.Deepchecks, nil) != whole || limits(engine.Deepchecks, named) != whole/255 {
		t.Errorf("upper limits: %v, named %v; with compat %v, named %v", whole, limits(engine.Mended, named), limits(engine.Deepchecks, nil), limits(engine.Deepchecks, named))
	}
}

// TestOtherProperties refuses sides that were measured differently.
func TestOtherProperties(t *testing.T) {
	t.Parallel()
	train := scenery{task: images.Classification, n: 60, seed: 1}.build(t)
	test := scenery{task: images.Classification, n: 60, seed: 1, custom: []images.Property{{Name: "camera", Kind: images.Categorical}}}.build(t)
	o := once(t, use{id: "ImagePropertyDrift"}, train, test)
	if o.Err == nil || !strings.HasPrefix(o.Err.Message, "the train images have other properties than the test images: Aspect Ratio (numerical), ") {
		t.Errorf("got %v", o.Err)
	}
}

// TestSegmentation counts masks by hand: two images of 2×2 pixels.
func TestSegmentation(t *testing.T) {
	t.Parallel()
	mask := func(c ...uint16) *images.Mask { return &images.Mask{Height: 2, Width: 2, Classes: c} }
	b := images.NewBuilder(images.Options{Task: images.Segmentation, Classes: map[int]string{0: "ground", 1: "road"}})
	picture := func() *images.Image {
		return &images.Image{Height: 2, Width: 2, Channels: 1, Pix: []uint8{10, 20, 30, 40}}
	}
	err := b.Add(
		images.Sample{Image: picture(), Label: &images.Label{Mask: mask(0, 0, 1, 1)}, Prediction: &images.Prediction{Mask: mask(0, 0, 0, 1)}},
		images.Sample{Image: picture(), Label: &images.Label{Mask: mask(0, 0, 0, 0)}, Prediction: &images.Prediction{Mask: mask(0, 0, 0, 0)}},
	)
	if err != nil {
		t.Fatal(err)
	}
	set := b.Set()
	scorers := []string{"dice_per_class", "dice_macro", "dice_micro", "iou_per_class", "iou_micro"}
	o := ok(t, once(t, use{id: "SingleDatasetPerformance", params: map[string]any{"scorers": scorers}}, set, nil))
	ground, road := (4.001/5.001+1)/2, 2.001/3.001
	want := []struct {
		name  string
		value float64
	}{
		{"dice_per_class ground", ground}, {"dice_per_class road", road}, {"dice_macro", (ground + road) / 2},
		{"dice_micro", (2*7 + .001) / (8 + 8 + .001)}, {"iou_per_class ground", (2.001/3.001 + 1) / 2}, {"iou_per_class road", 1.001 / 2.001}, {"iou_micro", 7.001 / 9.001},
	}
	for i, w := range want {
		f := o.Result.Reduced[i]
		got, _ := f.Value.(float64)
		if f.Key != w.name || math.Abs(got-w.value) > 1e-12 {
			t.Errorf("got %s %v, want %s %v", f.Key, got, w.name, w.value)
		}
	}
	drifts := ok(t, once(t, use{id: "LabelDrift", params: map[string]any{"min_samples": 1}}, set, set))
	v, _ := drifts.Result.Value.(drift.Scores)
	var names []string
	for _, s := range v.List {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, ", "); got != "Samples Per Class, Segment Area (in pixels), Number of Classes Per Image" {
		t.Errorf("properties of labels: %s", got)
	}
	fresh := ok(t, once(t, use{id: "NewLabels"}, set, set)).Result.Value
	if n, _ := fresh.(vision.Newcomers); n.All != 3 { // a class counts once for each image
		t.Errorf("%d labels, want 3", n.All)
	}
	out := ok(t, once(t, use{id: "LabelPropertyOutliers", params: map[string]any{"min_samples": 2}}, set, nil)).Result.Value
	if x, _ := out.(vision.Outliers); len(x) != 2 || x[0].Low != 2 || x[0].High != 4 {
		t.Errorf("got %+v", out)
	}
}
