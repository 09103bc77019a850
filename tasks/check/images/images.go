// Package images is what suites know of data sets of images: samples as they
// come from a folder, a label file or a Python loader, and the Set of numbers
// that one pass over them leaves. Images themselves are never kept.
package images

import "fmt"

// Task is what a model of images predicts.
type Task string

// The tasks.
const (
	Classification  Task = "classification"
	ObjectDetection Task = "object_detection"
	Segmentation    Task = "semantic_segmentation"
	// Other data have images and perhaps properties of their own, but no
	// labels that checks understand.
	Other Task = "other"
)

// Tasks lists the tasks that may be named.
func Tasks() []string {
	return []string{string(Classification), string(ObjectDetection), string(Segmentation), string(Other)}
}

// Image is a picture: Height x Width x Channels values from 0 to 255, row by
// row with the channels of a pixel side by side. Exactly one of Pix and Float
// is set. Channels is 1 (gray) or 3 (red, green, blue).
type Image struct {
	Height, Width, Channels int
	Pix                     []uint8
	Float                   []float32
}

// Box is a rectangle of an object: X and Y are its top left corner, W and H
// its size, all in pixels.
type Box struct {
	Class      int
	X, Y, W, H float64
	// Score is the confidence of a predicted box, 0 to 1; 1 for labels.
	Score float64
}

// Mask is the class of each pixel, row by row.
type Mask struct {
	Height, Width int
	Classes       []uint16
}

// Label is the truth about one image: of the fields only that of the data's
// task is set.
type Label struct {
	Class int
	Boxes []Box // may be empty
	Mask  *Mask
}

// Prediction is what a model answered for one image: of the fields only that
// of the data's task is set.
type Prediction struct {
	// Proba is the probability of each class by its number.
	Proba []float64
	Boxes []Box // may be empty
	// Mask is the most probable class of each pixel.
	Mask *Mask
}

// Sample is one element of a data set. Its image is valid only until the next
// sample is asked for.
type Sample struct {
	// ID names the image in reports: its path, or what a loader calls it; ""
	// means its number.
	ID    string
	Image *Image // nil when the loader gives none
	Label *Label // nil without a label
	// Prediction is nil without one.
	Prediction *Prediction
	// Values are values of the user's own properties, in the order of
	// Options.Custom.
	Values []float64
}

// Property says what one number of each image (or label, or prediction) is.
type Property struct {
	Name string
	// Kind is how the numbers are to be compared.
	Kind PropertyKind
}

// PropertyKind is how values of a property are to be compared.
type PropertyKind string

// The kinds.
const (
	Numerical   PropertyKind = "numerical"
	Categorical PropertyKind = "categorical"
	// ClassID properties are classes of the label, named by the label map.
	ClassID PropertyKind = "class_id"
)

// Record is what is kept of one sample.
type Record struct {
	ID                      string
	Height, Width, Channels int
	// Values are the properties of the image in the order of Set.Properties;
	// NaN where a property has no value (colours of gray images). Nil without
	// an image.
	Values []float64
	// Class is the label of a classification; HasLabel tells whether there is
	// a label at all.
	HasLabel bool
	Class    int
	Boxes    []Box
	// Areas are the pixels of each class present in the label's mask, by
	// ascending class.
	Areas []Area
	// HasPrediction tells whether there is a prediction at all.
	HasPrediction bool
	Proba         []float64
	Predicted     []Box
	PredictedArea []Area
	// Overlaps are the pixels on which label and predicted mask agree, by
	// ascending class, for classes with any.
	Overlaps []Area
	// Crops are the image's properties within each box of Boxes, in their
	// order; nil unless asked for.
	Crops [][]float64
}

// Area is a number of pixels of a class.
type Area struct{ Class, Pixels int }

// Thumb is a small picture for reports.
type Thumb struct {
	Width, Height int
	// Data is a whole PNG or JPEG file, Type its media type.
	Data []byte
	Type string
	// Scale is the size of the thumbnail over that of the image.
	Scale float64
}

// Fault is a sample that could not be used.
type Fault struct {
	ID      string
	Message string
}

// Set is what one pass over a data set left.
type Set struct {
	Name string
	Task Task
	// Classes names classes by number; classes that are not in it are named
	// by their number.
	Classes map[int]string
	// Properties are those of Record.Values.
	Properties []Property
	// Records are in the order in which the samples came.
	Records []Record
	// Total is how many samples the data set has; more than Records when only
	// some were taken, 0 when it is not known.
	Total int
	// Batch is how many samples a batch of the loader has; 0 when it has none.
	Batch int
	// Heat is the mean of the gray images, resized to the first one's size;
	// nil without images.
	Heat *Mean
	// BoxHeat is the share of images, in percent, in which a pixel is covered
	// by a box of the label; nil unless the task is object detection.
	BoxHeat *Mean
	// Thumbs are small pictures of some images, by position in Records.
	Thumbs map[int]Thumb
	// Faults are samples that could not be used, in order: a bad image file, a
	// label of the wrong shape. They are not in Records.
	Faults []Fault
	// Partial tells why the pass ended before the data did (the loader
	// raised), with the text to show; "" when it did not.
	Partial string
	// Ranks is how many ranks read a part each, 0 for one.
	Ranks int
}

// Mean is a picture of means, row by row.
type Mean struct {
	Height, Width int
	Values        []float64
	// Count is the number of images in it.
	Count int
}

// ClassName names a class for display.
func (s *Set) ClassName(class int) string {
	if name, ok := s.Classes[class]; ok {
		return name
	}
	return fmt.Sprint(class)
}
