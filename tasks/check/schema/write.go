package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"aloft/tasks/check/format"
	"aloft/tasks/check/frame"
)

const preamble = `# What the columns of a table must be like, as they were in %s (%s rows).
# Edit it, then check other tables against it: schema: FILE in a suite document, or
#   sky test --train TABLE --schema FILE
# What is not said of a column is not asked of it; a column that may be absent has required: false.
schema:
  columns:
`

// Write makes the YAML document of a schema for people to edit.
func Write(s *Schema, d *frame.Dataset) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, preamble, strings.ReplaceAll(d.Name(), "\n", " "), format.Number(float64(d.Rows())))
	for _, c := range s.Columns {
		fmt.Fprintf(&b, "    %s:", scalar(c.Name))
		if col := d.Column(c.Name); col != nil {
			fmt.Fprintf(&b, " # %s", remark(col, d))
		}
		b.WriteByte('\n')
		line := func(key, value string) { fmt.Fprintf(&b, "      %s: %s\n", key, value) }
		if c.Kind != frame.Null {
			line("kind", c.Kind.String())
		}
		if !math.IsNaN(c.MaxNulls) {
			line("max_null_ratio", plainNumber(c.MaxNulls))
		}
		if c.Min != nil {
			line("min", bound(*c.Min, c.Kind))
		}
		if c.Max != nil {
			line("max", bound(*c.Max, c.Kind)+map[bool]string{true: " # later data need a later one: move it, or leave it out"}[c.Kind == frame.Time])
		}
		if c.Categories != nil {
			quoted := make([]string, len(c.Categories))
			for i, t := range c.Categories {
				quoted[i] = scalar(t)
			}
			line("categories", "["+strings.Join(quoted, ", ")+"]")
		}
		if c.MinLength >= 0 {
			line("min_length", strconv.Itoa(c.MinLength))
		}
		if c.MaxLength >= 0 {
			line("max_length", strconv.Itoa(c.MaxLength))
		}
		if c.Pattern != nil {
			p := strings.TrimSuffix(strings.TrimPrefix(c.Pattern.String(), "^(?:"), ")$")
			line("pattern", "'"+strings.ReplaceAll(p, "'", "''")+"'")
		}
		if c.Unique {
			line("unique", "true")
		}
	}
	return b.Bytes()
}

// remark tells people what was seen in a column.
func remark(c *frame.Column, d *frame.Dataset) string {
	distinct, _ := c.Distinct(all(c.Len()))
	text := fmt.Sprintf("%s distinct values", format.Number(float64(distinct)))
	if n := c.Len() - c.NonNull(); n > 0 {
		text += fmt.Sprintf(", %s missing", format.Percent(float64(n)/float64(c.Len())))
	}
	switch c {
	case d.Label():
		text += "; the label"
	case d.Index():
		text += "; the index"
	case d.Datetime():
		text += "; the time"
	default:
		if slices.Contains(d.CategoricalFeatures(), c.Name()) {
			text += "; taken as categories"
		}
	}
	return text
}

func bound(f float64, kind frame.Kind) string {
	if kind == frame.Time {
		return time.Unix(0, int64(f)).UTC().Format("2006-01-02T15:04:05.999999999Z07:00")
	}
	return plainNumber(f)
}

// plainNumber writes a number as YAML reads it back.
func plainNumber(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return ".inf"
	case math.IsInf(f, -1):
		return "-.inf"
	case f == math.Trunc(f) && math.Abs(f) < 1e15:
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// bare texts mean themselves in YAML.
var bare = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*( [A-Za-z0-9_]+)*$`)

// scalar writes a text so that YAML reads a text.
func scalar(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
	default:
		if bare.MatchString(s) {
			return s
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return strconv.Quote(s)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
