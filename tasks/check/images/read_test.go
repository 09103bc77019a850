package images_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aloft/tasks/check/images"
)

// files writes files below a folder.
func files(t testing.TB, content map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range content {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func pngOf(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func grayImage(h, w int, v uint8) image.Image {
	img := image.NewGray(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = v
	}
	return img
}

// npy writes an array file as NumPy does.
func npy(descr string, shape string, values any) []byte {
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shape)
	header += strings.Repeat(" ", 63-(len(header)+10)%64) + "\n"
	var b bytes.Buffer
	b.WriteString("\x93NUMPY\x01\x00")
	_ = binary.Write(&b, binary.LittleEndian, uint16(len(header)))
	b.WriteString(header)
	_ = binary.Write(&b, binary.LittleEndian, values)
	return b.Bytes()
}

// TestDecode reads each format and refuses what is none.
func TestDecode(t *testing.T) {
	t.Parallel()
	red := image.NewNRGBA(image.Rect(0, 0, 5, 4))
	for i := range 20 {
		red.Set(i%5, i/5, color.NRGBA{200, 10, 20, uint8(255 - i)})
	}
	palette := image.NewPaletted(image.Rect(0, 0, 5, 4), color.Palette{color.NRGBA{0, 0, 0, 255}, color.NRGBA{200, 10, 20, 255}})
	for i := range palette.Pix {
		palette.Pix[i] = 1
	}
	var jpg, gf bytes.Buffer
	if err := jpeg.Encode(&jpg, grayImage(4, 5, 90), nil); err != nil {
		t.Fatal(err)
	}
	if err := gif.Encode(&gf, palette, nil); err != nil {
		t.Fatal(err)
	}
	webp, err := os.ReadFile(filepath.Join("testdata", "red.webp"))
	if err != nil {
		t.Fatal(err)
	}
	whole := pngOf(t, red)
	huge := bytes.Clone(whole)
	binary.BigEndian.PutUint32(huge[16:], 1<<30)
	for _, c := range []struct {
		name     string
		data     []byte
		channels int
		first    []uint8
		want     string
	}{
		{"a PNG with transparency", whole, 3, []uint8{200, 10, 20}, ""},
		{"a gray PNG", pngOf(t, grayImage(4, 5, 90)), 1, []uint8{90}, ""},
		{"a PNG with a palette", pngOf(t, palette), 3, []uint8{200, 10, 20}, ""},
		{"a gray JPEG", jpg.Bytes(), 1, []uint8{90}, ""},
		{"a GIF", gf.Bytes(), 3, []uint8{200, 10, 20}, ""},
		{"a WebP without loss", webp, 3, []uint8{200, 10, 20}, ""},
		{"a PNG cut off", whole[:len(whole)/2], 0, nil, "the PNG file is damaged"},
		{"a PNG of a great size", huge, 0, nil, "damaged"}, // its checksum is wrong: nothing was allocated
		{"text", []byte("hello world"), 0, nil, `it begins with "hello wo"`},
		{"nothing", nil, 0, nil, "no PNG, JPEG"},
	} {
		img, err := images.Decode(bytes.NewReader(c.data))
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if img.Height != 4 || img.Width != 5 || img.Channels != c.channels || !bytes.Equal(img.Pix[:c.channels], c.first) {
			t.Errorf("%s: %d x %d x %d, first %v", c.name, img.Height, img.Width, img.Channels, img.Pix[:3])
		}
	}
}

func read(t *testing.T, d *images.Dataset, task images.Task) *images.Set {
	t.Helper()
	s, err := images.Read(context.Background(), d, images.Options{Task: task})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestFolder numbers classes by the names of folders, and tells of files that
// are no images.
func TestFolder(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string][]byte{
		"bees/a.png": pngOf(t, grayImage(3, 3, 10)), "ants/b.png": pngOf(t, grayImage(4, 4, 20)), "ants/deep/c.PNG": pngOf(t, grayImage(4, 4, 30)),
		"bees/broken.png": []byte("no image"), "bees/notes.txt": []byte("x"), ".hidden/x.png": []byte("x"), "loose.png": pngOf(t, grayImage(1, 1, 1)),
	})
	d, err := images.Folder(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := read(t, d, images.Classification)
	var got []string
	for _, r := range s.Records {
		got = append(got, fmt.Sprintf("%s=%s", r.ID, s.ClassName(r.Class)))
	}
	if strings.Join(got, " ") != "ants/b.png=ants ants/deep/c.PNG=ants bees/a.png=bees" {
		t.Errorf("records %v", got)
	}
	if len(s.Faults) != 2 || !strings.Contains(s.Faults[0].Message, "no PNG") || !strings.Contains(s.Faults[1].Message, "has no class") {
		t.Errorf("faults %+v", s.Faults)
	}
	// The numbers of train hold for test, which may have fewer or other classes.
	other, err := images.Folder(files(t, map[string][]byte{"bees/a.png": pngOf(t, grayImage(3, 3, 10)), "wasps/a.png": pngOf(t, grayImage(3, 3, 10))}), s.Classes)
	if err != nil {
		t.Fatal(err)
	}
	if n := other.Entries[0].Label.Class; n != 1 || other.Classes[2] != "wasps" || other.Classes[0] != "ants" {
		t.Errorf("bees are %d in test; classes %v", n, other.Classes)
	}
	if _, err := images.Folder(files(t, map[string][]byte{"x.txt": nil}), nil); err == nil || !strings.Contains(err.Error(), "no image in it") {
		t.Errorf("an empty folder: %v", err)
	}
}

// TestTables reads labels, probabilities and boxes from tables.
func TestTables(t *testing.T) {
	t.Parallel()
	img := pngOf(t, grayImage(10, 10, 10))
	dir := files(t, map[string][]byte{
		"a.png": img, "b.png": img, "c.csv": []byte("image,label,proba_cat,proba_ant\na.png,cat,0.9,0.1\nb.png,ant,0.5,0.2\n../x.png,ant,0.5,0.5\n"),
		"n.csv": []byte("image,label,proba_1,proba_0\na.png,1,0.9,0.1\nb.png,0,0.2,0.8\n"), "gap.csv": []byte("image,label,proba_0,proba_2\na.png,1,0.9,0.1\n"),
		"list.csv": []byte("image\na.png\nb.png\n"), "boxes.csv": []byte("image,class_id,x,y,w,h\na.png,1,2,3,4,5\na.png,0,0,0,1,1\n"),
		"preds.csv": []byte("image,x,y,w,h,score,class_id\nb.png,2,3,4,5,0.5,1\n"), "strange.csv": []byte("image,class_id,x,y,w,h\nz.png,1,2,3,4,5\n"),
	})
	at := func(name string) string { return filepath.Join(dir, name) }
	d, err := images.FromTables(images.Tables{Table: at("c.csv"), Dir: dir}, images.Classification, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := read(t, d, images.Classification)
	if len(s.Records) != 1 || s.Records[0].Class != 1 || fmt.Sprint(s.Records[0].Proba) != "[0.1 0.9]" || s.Classes[0] != "ant" {
		t.Errorf("%+v, %v", s.Records, s.Classes)
	}
	if len(s.Faults) != 2 || !strings.Contains(s.Faults[0].Message, "add up to 0.7") || !strings.Contains(s.Faults[1].Message, "leads out") {
		t.Errorf("faults %+v", s.Faults)
	}
	d, err = images.FromTables(images.Tables{Table: at("n.csv"), Dir: dir}, images.Classification, nil)
	if err != nil || fmt.Sprint(d.Entries[0].Prediction.Proba) != "[0.1 0.9]" {
		t.Errorf("numbered probabilities: %v %+v", err, d)
	}
	if _, err := images.FromTables(images.Tables{Table: at("gap.csv"), Dir: dir}, images.Classification, nil); err == nil || !strings.Contains(err.Error(), "every class needs one") {
		t.Errorf("a gap: %v", err)
	}
	d, err = images.FromTables(images.Tables{Table: at("list.csv"), Boxes: at("boxes.csv"), Predictions: at("preds.csv"), Dir: dir}, images.ObjectDetection, nil)
	if err != nil {
		t.Fatal(err)
	}
	s = read(t, d, images.ObjectDetection)
	if len(s.Records) != 2 || len(s.Records[0].Boxes) != 2 || len(s.Records[0].Predicted) != 0 || !s.Records[0].HasPrediction || s.Records[1].Predicted[0] != (images.Box{Class: 1, X: 2, Y: 3, W: 4, H: 5, Score: .5}) {
		t.Errorf("%+v", s.Records)
	}
	if _, err := images.FromTables(images.Tables{Table: at("list.csv"), Boxes: at("strange.csv"), Dir: dir}, images.ObjectDetection, nil); err == nil || !strings.Contains(err.Error(), `row 1 is of the image "z.png"`) {
		t.Errorf("a box of no image: %v", err)
	}
	if _, err := images.FromTables(images.Tables{Table: at("boxes.csv2")}, images.ObjectDetection, nil); err == nil {
		t.Error("a table that is not there")
	}
}

// TestCOCO reads instances and results.
func TestCOCO(t *testing.T) {
	t.Parallel()
	img := pngOf(t, grayImage(10, 10, 10))
	dir := files(t, map[string][]byte{
		"i/a.png": img, "i/b.png": img,
		"ok.json":  []byte(`{"images":[{"id":7,"file_name":"a.png"},{"id":9,"file_name":"b.png"}],"annotations":[{"image_id":9,"category_id":3,"bbox":[1,2,3,4]}],"categories":[{"id":3,"name":"cat"}]}`),
		"res.json": []byte(`[{"image_id":7,"category_id":3,"bbox":[1,2,3,4],"score":0.25},{"image_id":9,"category_id":3,"bbox":[1,2,3],"score":0.25}]`),
		"cut.json": []byte(`{"images":[{"id":7,`), "two.json": []byte(`{"images":[{"id":7,"file_name":"a.png"},{"id":7,"file_name":"b.png"}]}`),
		"lost.json": []byte(`{"images":[{"id":7,"file_name":"a.png"}],"annotations":[{"image_id":1,"category_id":3,"bbox":[1,2,3,4]}]}`),
	})
	at := func(name string) string { return filepath.Join(dir, name) }
	d, err := images.COCO(at("i"), at("ok.json"), at("res.json"))
	if err != nil {
		t.Fatal(err)
	}
	s := read(t, d, images.ObjectDetection)
	if len(s.Records) != 1 || s.Records[0].Predicted[0].Score != .25 || len(s.Faults) != 1 || !strings.Contains(s.Faults[0].Message, "result 2") || s.ClassName(3) != "cat" {
		t.Errorf("%+v %+v", s.Records, s.Faults)
	}
	for name, want := range map[string]string{"cut.json": "cut off", "two.json": "listed twice", "lost.json": "annotation 1 is of image 1", "none.json": "no such file"} {
		if _, err := images.COCO(at("i"), at(name), ""); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestYOLO reads boxes around their centres.
func TestYOLO(t *testing.T) {
	t.Parallel()
	img := pngOf(t, grayImage(100, 200, 10))
	dir := files(t, map[string][]byte{
		"images/a.png": img, "images/b.png": img, "images/c.png": img, "labels/a.txt": []byte("2 0.5 0.5 0.5 0.2\n\n0 0.1 0.1 0.1 0.1\n"), "labels/c.txt": []byte("1 0.5 0.5 7 0.2\n"),
		"preds/a.txt": []byte("2 0.5 0.5 0.5 0.2 0.75\n"),
	})
	at := func(name string) string { return filepath.Join(dir, name) }
	d, err := images.YOLO(at("images"), at("labels"), at("preds"))
	if err != nil {
		t.Fatal(err)
	}
	s := read(t, d, images.ObjectDetection)
	if len(s.Records) != 2 || s.Records[0].Boxes[0] != (images.Box{Class: 2, X: 50, Y: 40, W: 100, H: 20, Score: 1}) || s.Records[0].Predicted[0].Score != .75 || len(s.Records[1].Boxes) != 0 {
		t.Errorf("%+v", s.Records)
	}
	if len(s.Faults) != 1 || !strings.Contains(s.Faults[0].Message, `c.txt line 1: "7" is no share`) {
		t.Errorf("%+v", s.Faults)
	}
	if _, err := images.YOLO(at("images"), at("nothing"), ""); err == nil || !strings.Contains(err.Error(), "is no folder") {
		t.Errorf("%v", err)
	}
}

// TestMasks reads masks from pictures and arrays.
func TestMasks(t *testing.T) {
	t.Parallel()
	img := pngOf(t, grayImage(2, 3, 10))
	colours := image.NewNRGBA(image.Rect(0, 0, 3, 2))
	nan := math.NaN()
	dir := files(t, map[string][]byte{
		"i/a.png": img, "i/b.png": img, "i/c.png": img, "i/d.png": img,
		"m/a.png": pngOf(t, grayImage(2, 3, 4)), "m/b.npy": npy("<i8", "(2, 3)", []int64{0, 1, 2, 0, 1, 2}), "m/c.png": pngOf(t, colours),
		"p/a.npy": npy("<f4", "(2, 2, 3)", []float32{.1, .9, .5, .2, .3, .4, .9, .1, .5, .8, .7, .6}), "p/b.npy": npy("<f8", "(2, 2, 3)", []float64{nan, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0}), "p/c.npy": npy("|u1", "(2, 3)", []uint8{0, 0, 0, 0, 0, 0}),
	})
	d, err := images.Masks(filepath.Join(dir, "i"), filepath.Join(dir, "m"), filepath.Join(dir, "p"))
	if err != nil {
		t.Fatal(err)
	}
	s := read(t, d, images.Segmentation)
	if len(s.Records) != 2 || fmt.Sprint(s.Records[0].Areas, s.Records[0].PredictedArea, s.Records[0].Overlaps) != "[{4 6}] [{0 2} {1 4}] []" || fmt.Sprint(s.Records[1].Areas) != "[{0 2} {1 2} {2 2}]" {
		t.Errorf("%+v", s.Records)
	}
	if len(s.Faults) != 2 || !strings.Contains(s.Faults[0].Message, "picture in colours") || !strings.Contains(s.Faults[1].Message, "no predicted mask") {
		t.Errorf("%+v", s.Faults)
	}
	for name, data := range map[string][]byte{
		"is too small": npy("<f8", "(1000, 2000, 3000)", []float64{1}), "not [2] of": npy("<f8", "(2,)", []float64{1, 2}), "is of type": npy("<c16", "(1, 1)", []complex128{1}),
		"cut off": npy("|u1", "(2, 2)", []uint8{1, 2, 3, 4})[:30], "classes go from 0": npy("<i2", "(1, 2)", []int16{-1, 2}), "has the shape": npy("<i2", "(1, -2)", []int16{-1, 2}),
	} {
		path := filepath.Join(t.TempDir(), "x.npy")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := images.ReadMask(path); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzMask(f *testing.F) {
	f.Add(npy("<i8", "(2, 3)", []int64{0, 1, 2, 0, 1, 2}))
	f.Add(npy("<f4", "(2, 1, 1)", []float32{.1, .9}))
	f.Add(pngOf(f, grayImage(2, 3, 4)))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "m")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if m, err := images.ReadMask(path); err == nil && len(m.Classes) != m.Height*m.Width {
			t.Errorf("%d x %d has %d values", m.Height, m.Width, len(m.Classes))
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(pngOf(f, grayImage(2, 3, 4)))
	f.Add([]byte("RIFF\x00\x00\x00\x00WEBPVP8L"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if img, err := images.Decode(bytes.NewReader(data)); err == nil && len(img.Pix) != img.Height*img.Width*img.Channels {
			t.Errorf("%d x %d x %d has %d values", img.Height, img.Width, img.Channels, len(img.Pix))
		}
	})
}

func FuzzLabels(f *testing.F) {
	f.Add(`{"images":[{"id":7,"file_name":"a.png"}],"annotations":[{"image_id":7,"category_id":3,"bbox":[1,2,3,4]}],"categories":[{"id":3,"name":"cat"}]}`, "2 0.5 0.5 0.5 0.2")
	f.Fuzz(func(t *testing.T, coco, yolo string) {
		dir := files(t, map[string][]byte{"c.json": []byte(coco), "i/a.png": []byte("x"), "l/a.txt": []byte(yolo)})
		if d, err := images.COCO(dir, filepath.Join(dir, "c.json"), ""); err == nil {
			for _, e := range d.Entries {
				if e.Fault == "" && !strings.HasPrefix(e.File, dir) {
					t.Errorf("%s leads out of %s", e.File, dir)
				}
			}
		}
		if d, err := images.YOLO(filepath.Join(dir, "i"), filepath.Join(dir, "l"), ""); err != nil || len(d.Entries) != 1 {
			t.Errorf("%v", err)
		}
	})
}
