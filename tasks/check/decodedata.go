package check

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"aloft/tasks/check/frame"
)

// DefaultMaxRows is how many rows of a table are kept in memory before only
// those are that the checks look at.
const DefaultMaxRows = 10_000_000

// files reads one file or a list of them.
func (d *decoder) files(to *[]string) func(string, *yaml.Node) {
	return func(path string, n *yaml.Node) {
		if n.Kind == yaml.MappingNode {
			d.fault(n, path, "must be a file, a pattern or a list of them, not %s", describe(n))
			return
		}
		d.texts(to)(path, n)
		if slices.Contains(*to, "") || *to != nil && len(*to) == 0 {
			d.fault(n, path, "must be a text, not %s", "empty")
			*to = nil
		}
	}
}

func (d *decoder) maxRows(path string, n *yaml.Node) {
	v, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || v < 1 {
		d.fault(n, path, "must be a number of rows, at least 1, not %s", describe(n))
		return
	}
	d.spec.MaxRows = v
}

// dialect reads how CSV files are written.
func (d *decoder) dialect(path string, n *yaml.Node) {
	c := &d.spec.CSV
	d.mapping(path, n, []entry{
		{"delimiter", d.character(&c.Delimiter)},
		{"quote", func(p string, n *yaml.Node) {
			if n.Value == "none" {
				c.NoQuotes = true
				return
			}
			d.character(&c.Quote)(p, n)
		}},
		{"header", func(p string, n *yaml.Node) {
			var header bool
			if n.Kind != yaml.ScalarNode || n.Decode(&header) != nil {
				d.fault(n, p, "must be true or false, not %s", describe(n))
				return
			}
			c.NoHeader = !header
		}},
		{"names", d.texts(&c.Names)},
		{"decimal", d.character(&c.Decimal)},
		{"encoding", func(p string, n *yaml.Node) {
			if n.Kind != yaml.ScalarNode || !frame.KnownEncoding(n.Value) {
				d.fault(n, p, "unknown encoding %s; known are %s", describe(n), strings.Join(frame.Encodings(), ", "))
				return
			}
			c.Encoding = n.Value
		}},
	})
	if c.Delimiter != 0 && (c.Delimiter == c.Quote || c.Delimiter == c.Decimal || c.Delimiter == '"' && c.Quote == 0 && !c.NoQuotes) {
		d.fault(n, path, "delimiter, quote and decimal must be different characters")
	}
}

// character reads a character of one byte, or the word "tab".
func (d *decoder) character(to *byte) func(string, *yaml.Node) {
	return func(path string, n *yaml.Node) {
		v := n.Value
		if v == "tab" || v == `\t` {
			v = "\t"
		}
		if n.Kind != yaml.ScalarNode || len(v) != 1 || v[0] >= 0x80 || v == "\n" || v == "\r" {
			d.fault(n, path, "must be one ASCII character, or tab, not %s", describe(n))
			return
		}
		*to = v[0]
	}
}

// predictions reads the files of predictions, or the columns that hold them.
func (d *decoder) predictions(path string, n *yaml.Node) {
	s := d.spec
	var c PredictionColumns
	d.mapping(path, n, []entry{
		{"train", d.files(&s.TrainPredictions)},
		{"test", d.files(&s.TestPredictions)},
		{"column", d.text(&c.Column)},
		{"proba", func(p string, n *yaml.Node) {
			if n.Kind == yaml.MappingNode {
				c.Classes = make(map[string]string)
				for i := 0; i+1 < len(n.Content); i += 2 {
					var column string
					d.text(&column)(p+"."+n.Content[i].Value, resolve(n.Content[i+1]))
					c.Classes[n.Content[i].Value] = column
				}
				return
			}
			d.text(&c.Proba)(p, n)
			if strings.Count(c.Proba, "*") != 1 && c.Proba != "" {
				d.fault(n, p, "must be a pattern with one *, which stands for the class, such as proba_*, or a mapping from class to column")
			}
		}},
	})
	if c.Column == "" && c.Proba == "" && c.Classes == nil {
		return
	}
	if s.TrainPredictions != nil || s.TestPredictions != nil {
		d.fault(n, path, "predictions are either files or columns of the tables, not both")
		return
	}
	s.Columns = &c
}
