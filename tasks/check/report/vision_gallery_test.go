package report_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"strings"
	"testing"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/images"
	"aloft/tasks/check/report"
)

// thumb draws a small picture: a bright disc on a gradient.
func thumb(t testing.TB, w, h, k int) images.Thumb {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			d := math.Hypot(float64(x)-float64(w)*.4, float64(y)-float64(h)*.5) / float64(max(w, h))
			c := color.RGBA{uint8(30 + 180*x/w), uint8(40 + 20*k%160), uint8(200 - 150*y/h), 255}
			if d < .25 {
				c = color.RGBA{240, uint8(200 - 10*k), 90, 255}
			}
			img.Set(x, y, c)
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return images.Thumb{Width: w, Height: h, Type: "image/png", Data: b.Bytes(), Scale: float64(w) / 480}
}

// visionReport has what reports of images show.
func visionReport(t testing.TB) *engine.Report {
	t.Helper()
	names := map[int]string{0: "ant", 1: "bee with a very long name that does not fit anywhere"}
	g := engine.Gallery{Title: "Images with unusual brightness"}
	for k := range 30 {
		w, h := 128, 96
		if k%3 == 1 {
			w, h = 60, 128
		}
		if k%7 == 2 {
			w, h = 32, 32
		}
		s := engine.Shown{Thumb: thumb(t, w, h, k), ID: "images/train/ants/" + strings.Repeat("long_", k%4*4) + "0013.png", Caption: "Brightness 212.8", Names: names}
		if k%2 == 0 {
			s.Boxes = []images.Box{{Class: 0, X: 60, Y: 40, W: 200, H: 180, Score: 1}, {Class: 1, X: 300, Y: 20, W: 400, H: 90, Score: 1}}
			s.Predicted = []images.Box{{Class: 0, X: 70, Y: 60, W: 190, H: 150, Score: .93}, {Class: 2, X: math.NaN(), Y: -20, W: 40, H: 9000, Score: .2}}
		}
		g.Samples = append(g.Samples, s)
	}
	plain := engine.Gallery{Title: "Images of new labels", Samples: []engine.Shown{{Thumb: thumb(t, 40, 40, 1), ID: "7", Caption: "d9"}}}
	bad := engine.Gallery{Title: "Broken", Samples: []engine.Shown{{ID: "x", Thumb: images.Thumb{Type: `image/svg+xml"><script>`, Data: []byte("x"), Width: 1, Height: 1, Scale: 1}}}}
	heat := func(title string, w, h int) engine.Shade {
		m := images.Mean{Width: w, Height: h, Count: 380}
		for y := range h {
			for x := range w {
				m.Values = append(m.Values, 255*math.Exp(-8*math.Pow(math.Hypot(float64(x)/float64(w)-.4, float64(y)/float64(h)-.6), 2)))
			}
		}
		return engine.Shade{Title: title, Unit: "brightness, 0 to 255", Mean: m, Max: 255}
	}
	r := assembled("ants and bees", 3, false)
	r.Kind, r.Task, r.Classes = engine.KindVision, "object_detection", nil
	r.Train, r.Test = engine.Shape{Rows: 380, Columns: 7, Ranks: 2}, &engine.Shape{Rows: 220, Columns: 7}
	r.Test.Partial = "Traceback (most recent call last):\n  File \"test.py\", line 7, in collate\nValueError: a <b>bad</b> batch"
	for i := range 70 {
		r.Train.Faults = append(r.Train.Faults, images.Fault{ID: fmt.Sprintf("images/%d.png", i), Message: "the file is cut off after 120 of 4,000 bytes"})
	}
	r.Outcomes = append(ran("ColumnsInfo", true, []engine.Display{g, plain, bad}, engine.Fail),
		ran("FeatureDrift", false, []engine.Display{heat("Mean of train", 224, 224), heat("Mean of test", 96, 40), heat("Difference", 8, 8), engine.Shade{Title: "none"}}, engine.Pass)...)
	return r
}

func TestGalleries(t *testing.T) {
	t.Parallel()
	r := visionReport(t)
	page := render(t, r, report.HTML)
	for _, want := range []string{"img-src data:", "6 more images are not shown.", `alt="images/train/ants/0013.png; labelled ant, bee with`, "Shades are brightness, 0 to 255.", "read by 2 ranks", "380 images, 7 properties", "and 20 more", "a &lt;b&gt;bad&lt;/b&gt; batch", "<title>ant 0.93</title>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "svg+xml") || strings.Contains(page, `="NaN`) {
		t.Error("a thumbnail of another type got into the page")
	}
	text := render(t, r, report.Markdown)
	if !strings.Contains(text, "Images with unusual brightness") || !strings.Contains(text, "Brightness 212.8") || strings.Contains(text, "base64") {
		t.Errorf("the Markdown form:\n%s", text)
	}
	for _, form := range []struct {
		what  string
		write func(io.Writer, *engine.Report) error
		want  string
	}{{"JSON", report.JSON, `"message": "the file is cut off after 120 of 4,000 bytes"`}, {"JUnit", report.JUnit, `<testsuite name="data" tests="52" failures="0" errors="52"`}, {"Markdown", report.Markdown, "- and 61 more"}} {
		if text := render(t, r, form.write); !strings.Contains(text, form.want) {
			t.Errorf("%s lacks %q:\n%.3000s", form.what, form.want, text)
		}
	}
	whole := *r
	whole.Train.Faults, whole.Test, whole.Outcomes = nil, nil, r.Outcomes[2:]
	if !whole.Passed() {
		t.Error("a report without faults fails")
	}
	whole.Train.Partial = "x"
	if whole.Passed() {
		t.Error("a partial report passes")
	}
	if old := render(t, r, report.Deepchecks); !strings.Contains(old, "data:image/png;base64,") {
		t.Error("deepchecks' form shows no image")
	}
}
