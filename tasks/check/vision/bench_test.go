package vision_test

import (
	"context"
	"testing"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/images"
	"aloft/tasks/check/vision"
)

// BenchmarkSuites runs the suites on two sets of 5,000 images each, as a pass
// over the images leaves them. The pass itself is that of the package images.
func BenchmarkSuites(b *testing.B) {
	for _, task := range []images.Task{images.ObjectDetection, images.Classification, images.Segmentation} {
		train, test := scenery{task: task, n: 5000, seed: 1}.build(b), scenery{task: task, n: 5000, seed: 2}.build(b)
		for _, s := range []struct {
			name string
			defs []*engine.Definition
		}{{"model_evaluation", vision.Model()}, {"train_test_validation", vision.Split()}, {"data_integrity", vision.Integrity()}} {
			suite := engine.Suite{}
			for _, d := range s.defs {
				item, problems := d.Build(nil, nil, engine.Mended)
				if len(problems) > 0 {
					b.Fatal(problems)
				}
				suite.Items = append(suite.Items, item)
			}
			b.Run(string(task)+"/"+s.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := engine.Run(context.Background(), suite, engine.Inputs{TrainImages: train, TestImages: test}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
