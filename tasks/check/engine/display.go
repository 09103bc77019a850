package engine

import "aloft/tasks/check/images"

// Display is something a report shows beside a result, as data: how it looks
// is the report's matter.
type Display interface{ display() }

// Note is a paragraph.
type Note struct{ Text string }

// TableView is a titled table.
type TableView struct {
	Title string
	Grid  Grid
}

// Heatmap is a matrix of counts shown as shades, rows against columns.
type Heatmap struct {
	Title            string
	RowName, ColName string // what rows and columns stand for
	Rows, Cols       []string
	Values           [][]float64
	// Shares, when set, are what the shades show (0 to 1 by row).
	Shares [][]float64
}

// Line is one curve of a LineChart.
type Line struct {
	Name string
	X, Y []float64
	// Mark is the index of a point to point out, with its text; -1 for none.
	Mark     int
	MarkText string
}

// LineChart is a set of curves on common axes.
type LineChart struct {
	Title, XName, YName    string
	XMin, XMax, YMin, YMax float64
	Diagonal               bool // draw the line of no skill
	Lines                  []Line
}

// BarGroup is one label of a BarChart with a value for each series; NaN is a
// value that could not be computed.
type BarGroup struct {
	Label  string
	Values []float64
}

// BarChart shows groups of bars side by side.
type BarChart struct {
	Title  string
	Unit   string // what the values are, "" for scores
	Series []string
	Groups []BarGroup
}

// Histogram compares the distributions of numbers: the share of each series in
// each bin.
type Histogram struct {
	Title, XName string
	Edges        []float64 // bins + 1, ascending
	Series       []string  // "Train", "Test"
	Shares       [][]float64
	// Marks are values pointed out on the axis, with their names.
	Marks     []float64
	MarkNames []string
}

// Scatter shows points; Color, when set, is 0 to 1 for each.
type Scatter struct {
	Title, XName, YName string
	X, Y                []float64
	Color               []float64
	ColorName           string
}

// Gauge shows one score against its limit, from 0 to Max.
type Gauge struct {
	Title      string
	Value, Max float64
	Limit      float64 // NaN for none
	Method     string
}

// Gallery shows sample images with what is known of each.
type Gallery struct {
	Title   string
	Samples []Shown
}

// Shown is one image of a Gallery.
type Shown struct {
	Thumb   images.Thumb
	ID      string
	Caption string
	// Boxes and Predicted are drawn over the image; in pixels of the original.
	Boxes, Predicted []images.Box
	// Names are the names of the classes of the boxes.
	Names map[int]string
}

// Shade shows one number per pixel as shades: an average image, a difference.
type Shade struct {
	Title string
	Unit  string // what the values are
	Mean  images.Mean
	// Max is the value of the strongest shade; 0 takes the largest value.
	Max float64
}

func (Gallery) display()   {}
func (Shade) display()     {}
func (Histogram) display() {}
func (Scatter) display()   {}
func (Gauge) display()     {}
func (Note) display()      {}
func (TableView) display() {}
func (Heatmap) display()   {}
func (LineChart) display() {}
func (BarChart) display()  {}
