package check_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"aloft/tasks/check"
	"aloft/tasks/check/engine"
)

// pictures writes small images of two classes: train/{ants,bees}, test/{ants,bees}, with a table and label files beside them.
func pictures(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, data []byte) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	table := "image,label,proba_ants,proba_bees\n"
	coco := `{"images":[`
	boxes := `],"annotations":[`
	results := "["
	for _, side := range []string{"train", "test"} {
		for i := range 24 {
			class := []string{"ants", "bees"}[i%2]
			img := image.NewNRGBA(image.Rect(0, 0, 12, 10))
			for p := range 120 {
				img.Set(p%12, p/12, color.NRGBA{uint8(i*5 + p), uint8(p + 90*(i%2)), uint8(7 * p), 255})
			}
			var b bytes.Buffer
			if err := png.Encode(&b, img); err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("%s/%s/%02d.png", side, class, i)
			write(name, b.Bytes())
			mask := image.NewGray(img.Rect)
			mask.Pix[i] = 1
			b.Reset()
			if err := png.Encode(&b, mask); err != nil {
				t.Fatal(err)
			}
			write("masks/"+name, b.Bytes())
			write("yolo/"+strings.TrimSuffix(name, ".png")+".txt", fmt.Appendf(nil, "%d 0.5 0.5 0.5 0.5\n", i%2))
			write("guesses/"+strings.TrimSuffix(name, ".png")+".txt", fmt.Appendf(nil, "%d 0.5 0.5 0.5 0.5 0.9\n", i%2))
			if side == "train" {
				table += fmt.Sprintf("%s,%s,%v,%v\n", name, class, .9-.8*float64(i%2), .1+.8*float64(i%2))
				sep := map[bool]string{true: "", false: ","}[i == 0]
				coco += fmt.Sprintf(`%s{"id":%d,"file_name":%q}`, sep, i, name)
				boxes += fmt.Sprintf(`%s{"image_id":%d,"category_id":%d,"bbox":[1,1,%d,5]}`, sep, i, i%2, 3+i%5)
				results += fmt.Sprintf(`%s{"image_id":%d,"category_id":%d,"bbox":[1,1,%d,5],"score":0.9}`, sep, i, i%2, 3+i%5)
			}
		}
	}
	write("table.csv", []byte(table))
	write("coco.json", []byte(coco+boxes+`],"categories":[{"id":0,"name":"ant"},{"id":1,"name":"bee"}]}`))
	write("results.json", []byte(results+"]"))
	write("empty/readme.txt", []byte("no images"))
	return dir
}

// TestImageDocuments runs documents of every form.
func TestImageDocuments(t *testing.T) {
	t.Parallel()
	dir := pictures(t)
	for _, c := range []struct {
		name, doc string
		task      engine.Task
		train     int
		outcomes  string // a check that must have run
	}{
		{"folders", "train: train\ntest: test\nsuites: [data_integrity, train_test_validation]", "classification", 24, "LabelDrift"},
		{"a folder without classes", "train: train/ants\nsuites: [data_integrity]", "classification", 12, "ImagePropertyOutliers"},
		{"a table", "train: table.csv\nsuites: [model_evaluation]", "classification", 24, "ConfusionMatrixReport"},
		{"a table as a mapping", "train: {table: table.csv, images: .}\nlabel_map: [ants, bees]\nmax_samples: 12\nchecks: [ConfusionMatrixReport]", "classification", 24, "ConfusionMatrixReport"},
		{"COCO", "train: {images: ., labels: coco.json, predictions: results.json}\nsuites: [model_evaluation]", "object_detection", 24, "MeanAveragePrecisionReport"},
		{"YOLO", "train: {images: train, labels: yolo/train, predictions: guesses/train}\ntest: {images: test, labels: yolo/test, predictions: guesses/test}\nsuites: [full_suite]", "object_detection", 24, "ClassPerformance"},
		{"masks", "train: {format: masks, images: train, labels: masks/train, predictions: masks/train}\ntest: {format: masks, images: test, labels: masks/test, predictions: masks/test}\nsuites:\n  - full_suite", "semantic_segmentation", 24, "ClassPerformance"},
		{"only images", "task_type: other\ntrain: train\ntest: test\nchecks: [ImagePropertyDrift]", "other", 24, "ImagePropertyDrift"},
		{"chosen checks", "train: train\ntest: test\nsuites:\n  - suite: train_test_validation\n    only: [LabelDrift]\n    checks: {LabelDrift: {params: {n_samples: 10, min_samples: 5}, conditions: [{drift_score_less_than: {max_allowed_categorical_score: 0.5}}]}}", "classification", 24, "LabelDrift"},
		{"a suite of one's own", "train: train\ntest: test\ndefine: {mine: [LabelDrift, data_integrity]}\nsuites: [mine]", "classification", 24, "LabelDrift"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			spec, err := check.ParseSuite("suite.yaml", []byte("kind: vision\n"+c.doc+"\n"))
			if err != nil {
				t.Fatal(err)
			}
			r, err := check.RunSpec(context.Background(), spec, dir)
			if err != nil {
				t.Fatal(err)
			}
			if r.Kind != engine.KindVision || r.Task != c.task || r.Train.Rows != c.train || len(r.Train.Faults) > 0 || r.Err != nil {
				t.Errorf("kind %s, task %s, %+v, %v", r.Kind, r.Task, r.Train, r.Err)
			}
			ran := false
			for _, o := range r.Outcomes {
				ran = ran || o.Def.ID == c.outcomes && o.Err == nil
				if o.Err != nil && o.Err.Class == engine.Internal {
					t.Errorf("%s: %v", o.Def.ID, o.Err)
				}
			}
			if !ran {
				t.Errorf("%s did not run: %+v", c.outcomes, r.Outcomes)
			}
		})
	}
}

// TestImageDocumentsRefused tells what is wrong with a document, and where.
func TestImageDocumentsRefused(t *testing.T) {
	t.Parallel()
	dir := pictures(t)
	for _, c := range []struct{ name, doc, want string }{
		{"an unknown kind", "kind: visoin\ntrain: train\nsuites: [data_integrity]", `suite.yaml:1: kind: must be tabular or vision or nlp, not "visoin"`},
		{"a key of tables", "kind: vision\ntrain: train\nlabel: y\nsuites: [data_integrity]", `suite.yaml:3: unknown key "label"; known are kind, name`},
		{"an unknown task", "kind: vision\ntask_type: clasification\ntrain: train\nsuites: [data_integrity]", `did you mean "classification"`},
		{"an unknown format", "kind: vision\ntrain: {format: cocoa, images: a}\nsuites: [data_integrity]", `did you mean "coco"`},
		{"a format without its files", "kind: vision\ntrain: {format: coco, images: a}\nsuites: [data_integrity]", `suite.yaml:2: train: the format coco needs "labels"`},
		{"a format with files of another", "kind: vision\ntrain: {format: folder, images: a, labels: b}\nsuites: [data_integrity]", `the format folder has no "labels"`},
		{"a task that the format has not", "kind: vision\ntask_type: object_detection\ntrain: train\nsuites: [data_integrity]", `the format folder holds no labels of the task object_detection`},
		{"test alone", "kind: vision\ntest: test\nsuites: [data_integrity]", `a single data set goes under "train"`},
		{"nothing to compare with", "kind: vision\ntrain: train\nsuites: [train_test_validation]", `train_test_validation compares two data sets: add "test"`},
		{"no predictions", "kind: vision\ntrain: train\nsuites: [model_evaluation]", `model_evaluation needs predictions`},
		{"a bad number", "kind: vision\ntrain: train\nmax_samples: some\nsuites: [data_integrity]", `suite.yaml:3: max_samples: must be a number of images, at least 1, not "some"`},
		{"a bad label map", "kind: vision\ntrain: train\nlabel_map: {one: x}\nsuites: [data_integrity]", `"one" is no number of a class`},
		{"a check of tables", "kind: vision\ntrain: train\nchecks: [FeatureDrift]", `unknown check "FeatureDrift"`},
		{"a suite of tables", "kind: vision\ntrain: train\nsuites: [production_suite]", `unknown suite "production_suite"`},
		{"nothing to run", "kind: vision\ntrain: train", `nothing to run`},
		{"no data", "kind: vision\nsuites: [data_integrity]", `no data: add "train" with a folder of images`},
		{"no such folder", "kind: vision\ntrain: nowhere\nsuites: [data_integrity]", `no such file`},
		{"a folder without images", "kind: vision\ntrain: empty\nsuites: [data_integrity]", `there is no image in it (.png, .jpg`},
		{"no such label file", "kind: vision\ntrain: {images: ., labels: none.json}\nsuites: [data_integrity]", `suite.yaml:2: train: read COCO file`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			spec, err := check.ParseSuite("suite.yaml", []byte(c.doc+"\n"))
			if err == nil {
				_, err = check.RunSpec(context.Background(), spec, dir)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, wanted %q", err, c.want)
			}
		})
	}
}

// TestImageCommand runs a check of one's own on images.
func TestImageCommand(t *testing.T) {
	t.Parallel()
	py, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3")
	}
	dir := pictures(t)
	script := `import json, sys
q = json.load(sys.stdin)
s = q["sets"][q["dataset"]]
rows = [json.loads(l) for l in open(s["records"])]
assert q["kind"] == "vision" and len(rows) == s["count"] == 24 and s["format"] == "folder", q
assert q["label_map"] == {"0": "ants", "1": "bees"} and rows[0]["label"] == 0 and rows[0]["prediction"] is None
dark = sum(r["properties"]["Brightness"] < q["params"]["limit"] for r in rows)
print(json.dumps({"value": {"dark": dark, "from": s["images"]}, "reduced": {"dark": dark}}))
`
	if err := os.WriteFile(filepath.Join(dir, "dark.py"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	doc := "kind: vision\ntrain: train\ntest: test\nchecks:\n  - check: {name: Dark, command: '" + py + " dark.py', params: {limit: 10}, conditions: [{less_than: {value: 1, reduced: dark}}]}\n"
	spec, err := check.ParseSuite("suite.yaml", []byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	r, err := check.RunSpec(context.Background(), spec, dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Outcomes) != 2 || !r.Passed() {
		t.Errorf("%+v", r.Outcomes)
	}
	for _, o := range r.Outcomes {
		if o.Err != nil || len(o.Conditions) != 1 || o.Conditions[0].Verdict != engine.Pass {
			t.Errorf("%s: %v %+v", o.Which, o.Err, o.Conditions)
		}
	}
}
