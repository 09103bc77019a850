package images

import (
	"fmt"
	"math"
)

// The bounds of a sample.
const (
	// MaxPixels bounds the pixels of an image.
	MaxPixels = 1 << 28
	// MaxClasses bounds class numbers.
	MaxClasses = 1 << 16
)

// validate tells what is wrong with a sample in a data set of the task; ""
// for nothing. Proba is the number of classes of earlier predictions, 0
// before the first.
func validate(s *Sample, task Task, proba int) string {
	if s.Image == nil && s.Label == nil && s.Prediction == nil && len(s.Values) == 0 {
		return "it has neither image nor label nor prediction"
	}
	if m := validateImage(s.Image); m != "" {
		return m
	}
	if s.Label != nil {
		if m := validateLabel(s, task); m != "" {
			return m
		}
	}
	if s.Prediction != nil {
		return validatePrediction(s, task, proba)
	}
	return ""
}

func validateImage(img *Image) string {
	if img == nil {
		return ""
	}
	n := img.Height * img.Width * img.Channels
	switch {
	case img.Height <= 0 || img.Width <= 0:
		return fmt.Sprintf("the image is empty: its shape is %d x %d x %d", img.Height, img.Width, img.Channels)
	case img.Height > MaxPixels/img.Width:
		return fmt.Sprintf("the image of %d x %d pixels is larger than %d pixels", img.Height, img.Width, MaxPixels)
	case img.Channels != 1 && img.Channels != 3:
		return fmt.Sprintf("the image's shape must be height x width x 1 or 3, not %d x %d x %d%s", img.Height, img.Width, img.Channels, channelsFirst(img))
	case len(img.Pix)+len(img.Float) != n:
		return fmt.Sprintf("the image of shape %d x %d x %d has %d values", img.Height, img.Width, img.Channels, len(img.Pix)+len(img.Float))
	case img.Float == nil:
		return ""
	}
	lowest, highest, whole := math.Inf(1), math.Inf(-1), true
	for _, v := range img.Float {
		x := float64(v)
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return "the image holds values that are no finite numbers"
		}
		lowest, highest, whole = min(lowest, x), max(highest, x), whole && x == math.Trunc(x)
	}
	switch {
	case highest <= 1 && !whole:
		return fmt.Sprintf("the image's values lie between %.4g and %.4g, which looks normalised: they must be between 0 and 255 (undo the normalisation, then multiply by 255)", lowest, highest)
	case lowest < 0 || highest > 255:
		return fmt.Sprintf("the image's values lie between %.4g and %.4g: they must be between 0 and 255", lowest, highest)
	}
	return ""
}

// channelsFirst is a hint for arrays of channels x height x width.
func channelsFirst(img *Image) string {
	if img.Height == 1 || img.Height == 3 {
		return " (this looks like channels first: move the first axis to the end)"
	}
	return ""
}

func validateLabel(s *Sample, task Task) string {
	l := s.Label
	switch task {
	case Classification:
		if l.Class < 0 || l.Class >= MaxClasses {
			return fmt.Sprintf("the label must be the number of a class from 0 to %d, not %d", MaxClasses-1, l.Class)
		}
	case ObjectDetection:
		for i, b := range l.Boxes {
			if m := validateBox(b); m != "" {
				return fmt.Sprintf("box %d of the label: %s", i+1, m)
			}
		}
	case Segmentation:
		return validateMask("label", l.Mask, s.Image)
	}
	return ""
}

func validateMask(what string, m *Mask, img *Image) string {
	switch {
	case m == nil:
		return fmt.Sprintf("the %s has no mask", what)
	case m.Height <= 0 || m.Width <= 0 || len(m.Classes) != m.Height*m.Width:
		return fmt.Sprintf("the mask of the %s, %d x %d, has %d values", what, m.Height, m.Width, len(m.Classes))
	case img != nil && (m.Height != img.Height || m.Width != img.Width):
		return fmt.Sprintf("the mask of the %s is %d x %d, the image %d x %d", what, m.Height, m.Width, img.Height, img.Width)
	}
	return ""
}

func validateBox(b Box) string {
	for _, v := range []float64{b.X, b.Y, b.W, b.H, b.Score} {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return "it holds values that are no finite numbers"
		}
	}
	switch {
	case b.Class < 0 || b.Class >= MaxClasses:
		return fmt.Sprintf("its class must be a number from 0 to %d, not %d", MaxClasses-1, b.Class)
	case b.W < 0 || b.H < 0:
		return fmt.Sprintf("its width and height must not be negative, they are %.6g and %.6g (boxes are x, y, width, height with x and y of the top left corner)", b.W, b.H)
	case b.X < 0 || b.Y < 0:
		return fmt.Sprintf("its corner must not be negative, it is %.6g, %.6g", b.X, b.Y)
	}
	return ""
}

func validatePrediction(s *Sample, task Task, proba int) string {
	p := s.Prediction
	switch task {
	case Classification:
		if len(p.Proba) == 0 {
			return "the prediction must be the probability of each class"
		}
		if proba > 0 && len(p.Proba) != proba {
			return fmt.Sprintf("the prediction has the probabilities of %d classes, those before had %d", len(p.Proba), proba)
		}
		sum := 0.0
		for i, v := range p.Proba {
			if !(v >= 0 && v <= 1.01) {
				return fmt.Sprintf("the predicted probability of class %d is %.6g: probabilities lie between 0 and 1 (apply a softmax to logits)", i, v)
			}
			sum += v
		}
		if sum < .99 || sum > 1.01 {
			return fmt.Sprintf("the predicted probabilities add up to %.6g, not to 1 (apply a softmax to logits)", sum)
		}
	case ObjectDetection:
		for i, b := range p.Boxes {
			if m := validateBox(b); m != "" {
				return fmt.Sprintf("box %d of the prediction: %s", i+1, m)
			}
			if b.Score < 0 || b.Score > 1 {
				return fmt.Sprintf("box %d of the prediction: its confidence must lie between 0 and 1, it is %.6g (boxes are x, y, width, height, confidence, class)", i+1, b.Score)
			}
		}
	case Segmentation:
		if m := validateMask("prediction", p.Mask, s.Image); m != "" {
			return m
		}
		if l := s.Label; l != nil && l.Mask != nil && (l.Mask.Height != p.Mask.Height || l.Mask.Width != p.Mask.Width) {
			return fmt.Sprintf("the mask of the prediction is %d x %d, that of the label %d x %d", p.Mask.Height, p.Mask.Width, l.Mask.Height, l.Mask.Width)
		}
	}
	return ""
}
