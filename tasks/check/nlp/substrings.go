package nlp

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/text"
)

func frequentSubstrings() *engine.Definition {
	return &engine.Definition{
		ID:      "FrequentSubstrings",
		Summary: "Finds runs of words that begin or end many texts: signatures, footers, greetings and other boilerplate.",
		Formula: "The words of the first and last n_sentences sentences of each text are cut into runs of min_ngram_length words and more. Runs in at least min_substring_ratio of the texts are kept. A run grows while the longer one is about as frequent (frequency_margin), and one within a longer one of about the same frequency is left out. The list ends at the largest drop of frequency (of min_relative_change or more) below significant_substring_ratio.",
		Scope:   engine.SingleDataset,
		Params: slices.Concat([]engine.Param{count("n_to_show", 5, "runs to show")}, sampleParams(10_000), []engine.Param{
			{Name: "n_sentences", Type: engine.IntParam, Default: 5, Min: 1, Max: 1000, Doc: "sentences to look at, at either end"},
			{Name: "min_ngram_length", Type: engine.IntParam, Default: 4, Min: 1, Max: 1000, Doc: "fewest words of a run"},
			fraction("min_substring_ratio", 0.05, "share of the texts in which a run must be"),
			fraction("significant_substring_ratio", 0.3, "share of the texts from which a run is listed whatever the others are"),
			fraction("frequency_margin", 0.02, "difference of two shares that are about the same"),
			fraction("min_relative_change", 0.05, "drop of shares, relative to the larger, that ends the list"),
		}),
		Conditions: []engine.ConditionDef{{
			ID:     "zero_result",
			Params: []engine.Param{{Name: "min_substrings", Type: engine.IntParam, Default: 1, Min: 1, Max: math.MaxFloat64, Doc: "runs from which it warns"}},
			New:    fewSubstrings,
		}},
		Defaults: []engine.Use{{ID: "zero_result"}},
		New:      func(a engine.Args, _ engine.Mode) (engine.Check, error) { return substrings{a}, nil },
	}
}

type substrings struct{ args engine.Args }

// Substring is a run of words with the texts that have it.
type Substring struct {
	Text  string
	Share float64
	Rows  []int32
}

// Substrings is the value of FrequentSubstrings, most frequent first.
type Substrings []Substring

// Encode returns the runs by column; an empty object when there are none.
func (v Substrings) Encode() any {
	if len(v) == 0 {
		return engine.Object{}
	}
	var texts, shares, percents, rows []any
	for _, s := range v {
		list := make([]any, len(s.Rows))
		for i, r := range s.Rows {
			list[i] = int(r)
		}
		texts, shares, percents, rows = append(texts, s.Text), append(shares, s.Share), append(percents, format.Percent(s.Share)), append(rows, list)
	}
	return engine.Object{{Key: "Text", Value: texts}, {Key: "Frequency", Value: shares}, {Key: "% In data", Value: percents}, {Key: "Sample IDs", Value: rows}}
}

func (substrings) ID() string { return "FrequentSubstrings" }

func (s substrings) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	set := c.Side().Texts
	var rows []int32
	var docs [][][]string // by text: its one or two parts
	for _, r := range c.Side().TextRows(s.args) {
		if !set.IsMissing(int(r)) {
			rows, docs = append(rows, r), append(docs, text.Ends(set.Texts[r], s.args.Int("n_sentences")))
		}
	}
	if len(rows) == 0 {
		return engine.Result{}, engine.Errorf(engine.NotEnoughSamples, "there are no texts to look at")
	}
	found := s.grow(docs)
	for i := range found {
		found[i].Share = float64(len(found[i].Rows)) / float64(len(rows))
		for k, at := range found[i].Rows {
			found[i].Rows[k] = rows[at]
		}
	}
	value := s.cut(found)
	out := engine.Result{Value: value}
	if c.Mode() != engine.Deepchecks {
		out.Reduced = engine.Object{{Key: "Frequent substrings", Value: len(value)}}
	}
	g := engine.Grid{Columns: []string{"Text", "% of texts", "Rows"}}
	for _, f := range value[:min(len(value), s.args.Int("n_to_show"))] {
		g.Rows = append(g.Rows, []any{excerpt(f.Text, keptText), format.Percent(f.Share), rowList(f.Rows)})
	}
	if len(g.Rows) > 0 {
		out.Displays = []engine.Display{engine.TableView{Title: "Frequent runs of words", Grid: g}}
	}
	return out, nil
}

// maxRun bounds the words of a run: longer ones are texts that are all alike,
// which TextDuplicates finds.
const maxRun = 200

// grow finds the frequent runs of each length until there are none, and of
// those that say the same only the longest.
func (s substrings) grow(docs [][][]string) []Substring {
	least := s.args.Float("min_substring_ratio") * float64(len(docs))
	margin := s.args.Float("frequency_margin") * float64(len(docs))
	var kept, before []Substring
	for n := s.args.Int("min_ngram_length"); n <= maxRun; n++ {
		now := runs(docs, n, least, before)
		// What a run of this length holds about as often is told by it.
		for _, shorter := range before {
			told := slices.ContainsFunc(now, func(longer Substring) bool {
				return math.Abs(float64(len(shorter.Rows)-len(longer.Rows))) <= margin && strings.Contains(" "+longer.Text+" ", " "+shorter.Text+" ")
			})
			if !told {
				kept = append(kept, shorter)
			}
		}
		if len(now) == 0 {
			return kept
		}
		before = now
	}
	return append(kept, before...)
}

// runs finds the runs of n words that enough texts have. A run can be frequent
// only where the runs of n−1 words within it are: before holds those, nil for
// the first length.
func runs(docs [][][]string, n int, least float64, before []Substring) []Substring {
	known := make(map[string]bool, len(before))
	for _, b := range before {
		known[b.Text] = true
	}
	rows := make(map[string][]int32)
	var order []string
	for at, parts := range docs {
		for _, words := range parts {
			for i := 0; i+n <= len(words); i++ {
				if before != nil && (!known[strings.Join(words[i:i+n-1], " ")] || !known[strings.Join(words[i+1:i+n], " ")]) {
					continue
				}
				run := strings.Join(words[i:i+n], " ")
				list, ok := rows[run]
				if !ok {
					order = append(order, run)
				}
				if len(list) == 0 || list[len(list)-1] != int32(at) {
					rows[run] = append(list, int32(at))
				}
			}
		}
	}
	var out []Substring
	for _, run := range order {
		if n := len(rows[run]); n > 1 && float64(n) >= least {
			out = append(out, Substring{Text: run, Rows: rows[run]})
		}
	}
	return out
}

// cut sorts the runs by frequency and ends the list where frequencies drop most
// beyond the significant ones.
func (s substrings) cut(list []Substring) Substrings {
	slices.SortStableFunc(list, func(a, b Substring) int { return cmp.Compare(b.Share, a.Share) })
	end, worst := len(list), s.args.Float("min_relative_change")
	for i := 1; i < len(list); i++ {
		if list[i].Share >= s.args.Float("significant_substring_ratio") {
			continue
		}
		if drop := (list[i-1].Share - list[i].Share) / list[i-1].Share; drop >= worst && drop > 0 {
			end, worst = i, drop
		}
	}
	return list[:end]
}

func fewSubstrings(r engine.Request) (engine.Condition, error) {
	limit, ratio := r.Args.Int("min_substrings"), r.Check.Float("min_substring_ratio")
	return engine.Condition{
		Name: fmt.Sprintf("No more than %d substrings with ratio above %s", limit, format.Param(ratio)),
		Judge: engine.Judge(func(v Substrings) (engine.Verdict, string, error) {
			details := fmt.Sprintf("Found %d substrings with ratio above threshold", len(v))
			if len(v) >= limit {
				return engine.Warn, details, nil
			}
			return engine.Pass, details, nil
		}),
	}, nil
}
