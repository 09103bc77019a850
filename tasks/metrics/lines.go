package metrics

import (
	"errors"
	"math"
	"time"
)

// Lines reads lines of JSON as a run appends them: {"step": 1, "loss": 0.3}. It is for one goroutine.
type Lines struct {
	names map[string]string // of series, so that a name is made once
	out   []Sample
	w     walker

	step, epoch float64
	hasStep     bool
	hasEpoch    bool
	atMS        int64
}

// NewLines makes a reader of lines.
func NewLines() *Lines {
	l := &Lines{names: make(map[string]string)}
	l.w.leaf, l.w.text = l.leaf, l.text
	return l
}

// Parse reads one line. The samples are valid until the next call. A line that is no object is an error and gives none; an
// empty line is neither.
func (l *Lines) Parse(line []byte) ([]Sample, error) {
	line = trimmed(line)
	l.out = l.out[:0]
	if len(line) == 0 {
		return nil, nil
	}
	l.hasStep, l.hasEpoch, l.atMS = false, false, 0
	l.w.b, l.w.i, l.w.name = line, 0, l.w.name[:0]
	if err := l.w.document(); err != nil {
		return nil, err
	}
	step, has, err := l.stepOf()
	if err != nil {
		return nil, err
	}
	for i := range l.out {
		l.out[i].Step, l.out[i].HasStep, l.out[i].AtMS = step, has, l.atMS
	}
	return l.out, nil
}

var errStep = errors.New("step is no whole number")

// stepOf is the line's step: "step", else a whole "epoch".
func (l *Lines) stepOf() (int64, bool, error) {
	if l.hasStep {
		if l.step != math.Trunc(l.step) || math.Abs(l.step) > 1<<53 {
			return 0, false, errStep
		}
		return int64(l.step), true, nil
	}
	if l.hasEpoch && l.epoch == math.Trunc(l.epoch) && math.Abs(l.epoch) <= 1<<53 {
		return int64(l.epoch), true, nil
	}
	return 0, false, nil
}

func (l *Lines) leaf(name []byte, nested bool, v float64) error {
	if !nested {
		switch string(name) {
		case "step":
			l.step, l.hasStep = v, true
			return nil
		case "epoch":
			l.epoch, l.hasEpoch = v, true
			return nil
		case "time", "ts", "timestamp":
			l.atMS = millis(v)
			return nil
		}
	}
	if len(name) == 0 {
		return errors.New("a number without a name")
	}
	known, ok := l.names[string(name)]
	if !ok {
		known = cleanName(string(name))
		if len(l.names) < 2*MostSeries {
			l.names[string(name)] = known
		}
	}
	l.out = append(l.out, Sample{Name: known, Value: v})
	return nil
}

func (l *Lines) text(name []byte, nested bool, s []byte) error {
	if v, ok := odd(s); ok {
		return l.leaf(name, nested, v)
	}
	if nested {
		return nil
	}
	switch string(name) {
	case "time", "ts", "timestamp":
		if t, err := time.Parse(time.RFC3339, string(s)); err == nil {
			l.atMS = t.UnixMilli()
		}
	}
	return nil
}

// millis makes Unix milliseconds of seconds, milliseconds or nanoseconds, by their size; 0 = it is no time.
func millis(v float64) int64 {
	switch {
	case !(v > 0) || v > 1e19:
		return 0
	case v < 1e11:
		return int64(v * 1000)
	case v < 1e14:
		return int64(v)
	case v < 1e17:
		return int64(v / 1e3)
	}
	return int64(v / 1e6)
}
