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
)

func unknownTokens() *engine.Definition {
	return &engine.Definition{
		ID:      "UnknownTokens",
		Summary: "Finds words that a language model's vocabulary cannot spell: the model reads them all as the same unknown word.",
		Formula: "Words are split as BERT does: at white space, around punctuation and around Chinese characters. A word is unknown when the longest pieces of the WordPiece vocabulary, taken from its beginning on, do not make it up. `unknown words / words`.",
		Differs: "the tokeniser is a vocabulary file (vocab.txt) that you give. There, it is any tokeniser of the library transformers, by default that of bert-base-uncased, which is downloaded. Without a vocabulary the check does not run.",
		Scope:   engine.SingleDataset,
		Params: slices.Concat([]engine.Param{
			flag("group_singleton_words", false, "show words that occur once as one group"),
			count("n_most_common", 5, "words to show"),
		}, sampleParams(manyTexts), []engine.Param{shownParam(30)}),
		Conditions: []engine.ConditionDef{{
			ID:     "ratio_of_unknown_words_less_or_equal",
			Params: []engine.Param{fraction("ratio", 0, "largest share of unknown words that passes")},
			New:    fewUnknown,
		}},
		Defaults: []engine.Use{{ID: "ratio_of_unknown_words_less_or_equal"}},
		New:      func(a engine.Args, _ engine.Mode) (engine.Check, error) { return unknown{a}, nil },
	}
}

type unknown struct{ args engine.Args }

// UnknownWord is a word with the texts that have it.
type UnknownWord struct {
	Word  string
	Ratio float64 // of all words
	Rows  []int32
}

// Unknown is the value of UnknownTokens, most frequent words first.
type Unknown struct {
	Ratio float64
	Words []UnknownWord
}

// Encode returns the ratio and the words.
func (v Unknown) Encode() any {
	words := make(engine.Object, len(v.Words))
	for i, w := range v.Words {
		rows := make([]any, len(w.Rows))
		for k, r := range w.Rows {
			rows[k] = int(r)
		}
		words[i] = engine.Field{Key: w.Word, Value: engine.Object{{Key: "ratio", Value: w.Ratio}, {Key: "indexes", Value: rows}}}
	}
	return engine.Object{{Key: "unknown_word_ratio", Value: v.Ratio}, {Key: "unknown_word_details", Value: words}}
}

func (unknown) ID() string { return "UnknownTokens" }

func (u unknown) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	set := c.Side().Texts
	v := set.Vocabulary
	if v == nil {
		return engine.Result{}, c.MissingInput("UnknownTokens needs the vocabulary of a WordPiece tokeniser, and none was given: name its file vocab.txt " +
			"by \"vocabulary\" in the suite document or by --vocabulary; that of bert-base-uncased is a file of its model on huggingface.co")
	}
	total, bad := 0, 0
	type found struct {
		n    int
		rows []int32
	}
	known, words := make(map[string]bool), make(map[string]*found)
	var order []string
	for _, r := range c.Side().TextRows(u.args) {
		if set.IsMissing(int(r)) {
			continue
		}
		for _, w := range v.Words(set.Texts[r]) {
			total++
			ok, seen := known[w]
			if !seen {
				ok = v.Knows(w)
				known[w] = ok
			}
			if ok {
				continue
			}
			bad++
			f := words[w]
			if f == nil {
				f = &found{}
				words[w], order = f, append(order, w)
			}
			f.n++
			if len(f.rows) == 0 || f.rows[len(f.rows)-1] != r {
				f.rows = append(f.rows, r)
			}
		}
	}
	if total == 0 {
		return engine.Result{}, engine.Errorf(engine.NotEnoughSamples, "the texts hold no words")
	}
	value := Unknown{Ratio: float64(bad) / float64(total)}
	for _, w := range order {
		value.Words = append(value.Words, UnknownWord{w, float64(words[w].n) / float64(total), words[w].rows})
	}
	slices.SortStableFunc(value.Words, func(a, b UnknownWord) int { return cmp.Compare(b.Ratio, a.Ratio) })
	out := engine.Result{Value: value, Reduced: engine.Object{{Key: "Unknown word ratio", Value: value.Ratio}}}
	g := engine.Grid{Columns: []string{"Word", "% of words", "Texts", "Rows"}}
	var single []string
	for _, w := range value.Words {
		shown := excerpt(w.Word, u.args.Int("max_text_length_for_display"))
		if u.args.Bool("group_singleton_words") && words[w.Word].n == 1 {
			single = append(single, shown)
			continue
		}
		if len(g.Rows) < u.args.Int("n_most_common") {
			g.Rows = append(g.Rows, []any{shown, format.Percent(w.Ratio), len(w.Rows), rowList(w.Rows)})
		}
	}
	if len(g.Rows) > 0 {
		out.Displays = append(out.Displays, engine.TableView{Title: "Most frequent unknown words", Grid: g})
	}
	if len(single) > 0 {
		out.Displays = append(out.Displays, engine.Note{Text: fmt.Sprintf("%d words occur once: %s", len(single), strings.Join(single[:min(len(single), 20)], ", "))})
	}
	return out, nil
}

func fewUnknown(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("ratio")
	return engine.Condition{
		Name: "Ratio of unknown words is less than " + format.Percent(limit),
		Judge: engine.Judge(func(v Unknown) (engine.Verdict, string, error) {
			if math.IsNaN(v.Ratio) || v.Ratio > limit {
				return engine.Fail, "Ratio was " + format.Percent(v.Ratio), nil
			}
			return engine.Pass, "Ratio was " + format.Percent(v.Ratio), nil
		}),
	}, nil
}
