package custom

import (
	"fmt"
	"math"

	"aloft/tasks/check/engine"
)

// maxCells bounds the tables and charts that a report shows.
const maxCells = 20_000

// display reads one display by its type.
func display(v any) (engine.Display, error) {
	o, ok := v.(engine.Object)
	if !ok {
		return nil, fmt.Errorf("must be an object with a type")
	}
	switch kind := text(o, "type"); kind {
	case "note":
		if text(o, "text") == "" {
			return nil, fmt.Errorf("a note needs a text")
		}
		return engine.Note{Text: text(o, "text")}, keys("it", o, "type", "text")
	case "table":
		return tableView(o)
	case "bars":
		return bars(o)
	case "lines":
		return lines(o)
	default:
		return nil, fmt.Errorf("type must be note, table, bars or lines, not %q", kind)
	}
}

func tableView(o engine.Object) (engine.Display, error) {
	if err := keys("it", o, "type", "title", "columns", "rows"); err != nil {
		return nil, err
	}
	t := engine.TableView{Title: text(o, "title")}
	names, err := names(o.Get("columns"))
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("columns must be a list of texts")
	}
	t.Grid.Columns = names
	rows := list(o.Get("rows"))
	if len(rows)*len(names) > maxCells {
		return nil, fmt.Errorf("a table shows at most %d cells", maxCells)
	}
	for i, r := range rows {
		cells := list(r)
		if len(cells) != len(names) {
			return nil, fmt.Errorf("rows[%d] must be a list of %d cells", i, len(names))
		}
		for _, c := range cells {
			switch c.(type) {
			case []any, engine.Object:
				return nil, fmt.Errorf("rows[%d]: a cell must be a plain value", i)
			}
		}
		t.Grid.Rows = append(t.Grid.Rows, cells)
	}
	return t, nil
}

func bars(o engine.Object) (engine.Display, error) {
	if err := keys("it", o, "type", "title", "unit", "series", "groups"); err != nil {
		return nil, err
	}
	b := engine.BarChart{Title: text(o, "title"), Unit: text(o, "unit")}
	series, err := names(o.Get("series"))
	if err != nil || len(series) == 0 {
		return nil, fmt.Errorf("series must be a list of texts")
	}
	b.Series = series
	for i, g := range list(o.Get("groups")) {
		group, ok := g.(engine.Object)
		if !ok {
			return nil, fmt.Errorf("groups[%d] must be an object with label and values", i)
		}
		values, err := numbers(group.Get("values"))
		if err != nil || len(values) != len(series) {
			return nil, fmt.Errorf("groups[%d]: values must be a list of %d numbers", i, len(series))
		}
		b.Groups = append(b.Groups, engine.BarGroup{Label: text(group, "label"), Values: values})
	}
	if len(b.Groups) == 0 || len(b.Groups)*len(series) > maxCells {
		return nil, fmt.Errorf("groups must be a list of 1 to %d bars", maxCells)
	}
	return b, nil
}

func lines(o engine.Object) (engine.Display, error) {
	if err := keys("it", o, "type", "title", "x", "y", "lines"); err != nil {
		return nil, err
	}
	c := engine.LineChart{
		Title: text(o, "title"), XName: text(o, "x"), YName: text(o, "y"),
		XMin: math.Inf(1), YMin: math.Inf(1), XMax: math.Inf(-1), YMax: math.Inf(-1),
	}
	points := 0
	for i, l := range list(o.Get("lines")) {
		line, ok := l.(engine.Object)
		if !ok {
			return nil, fmt.Errorf("lines[%d] must be an object with name, x and y", i)
		}
		x, err := numbers(line.Get("x"))
		y, err2 := numbers(line.Get("y"))
		if err != nil || err2 != nil || len(x) != len(y) || len(x) == 0 {
			return nil, fmt.Errorf("lines[%d]: x and y must be lists of as many numbers", i)
		}
		points += len(x)
		for k := range x {
			if math.IsNaN(x[k]) || math.IsNaN(y[k]) {
				return nil, fmt.Errorf("lines[%d]: a point is null", i)
			}
			c.XMin, c.XMax = min(c.XMin, x[k]), max(c.XMax, x[k])
			c.YMin, c.YMax = min(c.YMin, y[k]), max(c.YMax, y[k])
		}
		c.Lines = append(c.Lines, engine.Line{Name: text(line, "name"), X: x, Y: y, Mark: -1})
	}
	if len(c.Lines) == 0 || points > maxCells {
		return nil, fmt.Errorf("lines must be a list of lines with %d points at most", maxCells)
	}
	if c.XMin == c.XMax {
		c.XMax++
	}
	if c.YMin == c.YMax {
		c.YMax++
	}
	return c, nil
}

func names(v any) ([]string, error) {
	var out []string
	for _, e := range list(v) {
		s, ok := e.(string)
		if !ok {
			return nil, fmt.Errorf("must be a list of texts")
		}
		out = append(out, s)
	}
	return out, nil
}

// numbers reads a list of numbers, null being NaN.
func numbers(v any) ([]float64, error) {
	var out []float64
	for _, e := range list(v) {
		switch e := e.(type) {
		case nil:
			out = append(out, math.NaN())
		case int64:
			out = append(out, float64(e))
		case float64:
			if math.IsInf(e, 0) {
				return nil, fmt.Errorf("a number is out of range")
			}
			out = append(out, e)
		default:
			return nil, fmt.Errorf("must be a list of numbers")
		}
	}
	return out, nil
}
