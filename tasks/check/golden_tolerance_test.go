package check_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
)

// tolerance says how results of a check may differ from the recorded ones.
type tolerance struct {
	reason string
	// sets tells that rows of tables, lists of texts or numbers, and entries
	// of dicts in details come in no fixed order.
	sets bool
	// epsilon is how far numbers may differ; numbers in details are then not
	// compared.
	epsilon float64
	// crashes tells that recorded errors which are not deepchecks' own, but
	// crashes of Python, are proper results here.
	crashes bool
	// rows is the share of the recorded table's rows that must be among ours,
	// the first of them in its place.
	rows float64
	// ran compares only whether the check ran.
	ran bool
}

// goldenTolerances lists the checks whose recorded results are not to be met
// exactly, each with the reason.
func goldenTolerances() map[string]tolerance {
	return map[string]tolerance{
		"CalibrationScore":          {reason: "deepchecks crashes where a table has more classes than the model", crashes: true},
		"WeakSegmentsPerformance":   {reason: "where cuts are equally good but for rounding, scikit-learn draws one", rows: 0.8},
		"ModelInferenceTime":        {reason: "it measures time", ran: true},
		"NewCategoryTrainTest":      {reason: "lists and equal rows come in the order of Python sets", sets: true},
		"FeatureFeatureCorrelation": {reason: "differences of nearly equal entropies: rounding where the value is nearly 0", epsilon: 1e-14},
		"StringMismatch":            {reason: "spellings of one form come in the order of Python sets", sets: true},
		"StringMismatchComparison":  {reason: "lists come in the order of Python sets", sets: true},
	}
}

// within compares a result again under the tolerance of its check.
func within(got, want goldenCheck, rule tolerance) []string {
	crashed := want.Error != nil && !strings.HasPrefix(want.Error.Class, "Deepchecks") && !strings.HasSuffix(want.Error.Class, "ValidationError")
	if rule.crashes && crashed && got.Check == want.Check && got.Status == "ok" {
		return nil
	}
	if rule.ran && got.Check == want.Check && got.Dataset == want.Dataset && got.Status == want.Status {
		return nil
	}
	if rule.rows > 0 {
		got.Value = alike(got.Value, want.Value, rule.rows)
	}
	if rule.sets {
		got.Value, want.Value = unordered(got.Value), unordered(want.Value)
		got.Conditions, want.Conditions = unorderedDetails(got.Conditions), unorderedDetails(want.Conditions)
	}
	if rule.epsilon > 0 {
		got.Conditions, want.Conditions = maskedDetails(got.Conditions), maskedDetails(want.Conditions)
	}
	return compareExactly(got, want, rule.epsilon)
}

// alike returns want if got is a result whose table has the same first row and
// enough of the other rows, and got if not.
func alike(got, want any, share float64) any {
	g, _ := got.(map[string]any)
	w, _ := want.(map[string]any)
	a, _ := g["weak_segments_list"].(map[string]any)
	b, _ := w["weak_segments_list"].(map[string]any)
	mine, _ := a["data"].([]any)
	theirs, _ := b["data"].([]any)
	if len(mine) == 0 || len(theirs) == 0 || text(mine[0]) != text(theirs[0]) || text(g["avg_score"]) != text(w["avg_score"]) {
		return got
	}
	found := 0
	for _, row := range theirs {
		if slices.ContainsFunc(mine, func(m any) bool { return text(m) == text(row) }) {
			found++
		}
	}
	if float64(found) < share*float64(len(theirs)) {
		return got
	}
	return want
}

// unordered sorts lists, and tables by their index.
func unordered(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = unordered(e)
		}
		slices.SortFunc(out, func(a, b any) int { return strings.Compare(text(a), text(b)) })
		return out
	case map[string]any:
		if v["__type__"] == "DataFrame" {
			return unorderedTable(v)
		}
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = unordered(e)
		}
		return out
	}
	return v
}

func unorderedTable(v map[string]any) map[string]any {
	out := make(map[string]any, len(v))
	for k, e := range v {
		out[k] = e
	}
	index, _ := v["index"].([]any)
	data, _ := v["data"].([]any)
	if len(index) != len(data) {
		return out
	}
	type row struct{ name, cells any }
	rows := make([]row, len(index))
	for i := range rows {
		cells, _ := data[i].([]any)
		list := make([]any, len(cells))
		for j, c := range cells {
			list[j] = unordered(c)
		}
		rows[i] = row{index[i], list}
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(strings.Compare(text(a.name), text(b.name)), strings.Compare(text(a.cells), text(b.cells)))
	})
	names, cells := make([]any, len(rows)), make([]any, len(rows))
	for i, r := range rows {
		names[i], cells[i] = r.name, r.cells
	}
	out["index"], out["data"] = names, cells
	return out
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// unorderedDetails sorts what stands between braces in details.
func unorderedDetails(list []goldenCondition) []goldenCondition {
	out := slices.Clone(list)
	braces := regexp.MustCompile(`\{.*\}`)
	for i := range out {
		out[i].Details = braces.ReplaceAllStringFunc(out[i].Details, func(s string) string {
			parts := strings.Split(strings.Trim(s, "{}"), ", ")
			slices.Sort(parts)
			return "{" + strings.Join(parts, ", ") + "}"
		})
	}
	return out
}

// maskedDetails takes the numbers out of details.
func maskedDetails(list []goldenCondition) []goldenCondition {
	out := slices.Clone(list)
	number := regexp.MustCompile(`-?[0-9][0-9,.]*(E-?[0-9]+)?`)
	for i := range out {
		out[i].Details = number.ReplaceAllString(out[i].Details, "#")
	}
	return out
}

// close reports whether numbers agree to 1e-9 of their size or to epsilon.
func closeTo(got, want, epsilon float64) bool {
	return got == want || math.Abs(got-want) <= max(epsilon, 1e-9*math.Max(math.Abs(got), math.Abs(want)))
}
