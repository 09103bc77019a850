package metrics

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// MostInFile is how many metrics one file may have.
const MostInFile = 10_000

// Value is one number of a file, or a list of them of which the last counts.
type Value struct {
	Name   string
	Value  float64
	Series []float64 // nil = a single number
}

// ParseFile reads a file of metrics: JSON, whose objects are folded to names with dots, or lines NAME: VALUE, NAME = VALUE
// and NAME VALUE. Whatever is no number is left out. Of several values of one name the last counts.
func ParseFile(src []byte) ([]Value, error) {
	text := trimmed(src)
	f := &fileReader{at: map[string]int{}}
	switch {
	case len(text) == 0:
		return nil, nil
	case text[0] != '{':
		f.lines(string(text))
		return f.out, nil
	}
	w := walker{b: text,
		leaf: func(name []byte, _ bool, v float64) error { return f.add(Value{Name: string(name), Value: v}) },
		text: func(name []byte, _ bool, s []byte) error {
			if v, ok := odd(s); ok {
				return f.add(Value{Name: string(name), Value: v})
			}
			return nil
		},
		list: func(name []byte, all []float64) error {
			return f.add(Value{Name: string(name), Value: all[len(all)-1], Series: all})
		},
	}
	if err := w.document(); err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	return f.out, nil
}

// fileReader keeps the order of the file.
type fileReader struct {
	out []Value
	at  map[string]int
}

// add keeps the last of what has one name.
func (f *fileReader) add(x Value) error {
	x.Name = cleanName(x.Name)
	if i, ok := f.at[x.Name]; ok {
		f.out[i] = x
		return nil
	}
	if len(f.out) == MostInFile {
		return fmt.Errorf("there are more than %d", MostInFile)
	}
	f.at[x.Name] = len(f.out)
	f.out = append(f.out, x)
	return nil
}

var metricLine = regexp.MustCompile(`^(.*?\S)\s*(?:[:=]\s*|\s+)([-+]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|nan|NaN|inf|Infinity))\s*(%?)$`)

func (f *fileReader) lines(text string) {
	for line := range strings.SplitSeq(text, "\n") {
		found := metricLine.FindStringSubmatch(strings.TrimSpace(strings.TrimLeft(line, "-*# \t")))
		if found == nil {
			continue
		}
		v, err := strconv.ParseFloat(found[2], 64)
		if err != nil {
			continue
		}
		if found[3] == "%" {
			v /= 100
		}
		if f.add(Value{Name: strings.TrimSpace(found[1]), Value: v}) != nil {
			return
		}
	}
}
