package nlp

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/text"
)

func specialCharacters() *engine.Definition {
	return &engine.Definition{
		ID:      "SpecialCharacters",
		Summary: "Finds texts with many characters that are no letter, digit, blank or punctuation: markup, broken encodings, control characters.",
		Formula: "Of each text `special characters / characters`, of its first max_chars_to_review_per_sample. Letters, digits and what special_characters_allow_list holds are not special.",
		Differs: "the value lists only texts that have special characters; there, all of them.",
		Scope:   engine.SingleDataset,
		Params: slices.Concat([]engine.Param{
			{Name: "special_characters_allow_list", Type: engine.TextParam, Default: " " + text.Punctuation, Doc: "the characters that are not special"},
			count("max_samples_to_show", 5, "texts to show of each character"),
			count("max_special_chars_to_show", 5, "characters to show"),
			{Name: "max_chars_to_review_per_sample", Type: engine.IntParam, Default: 10_000, Min: 1, Max: math.MaxFloat64, Doc: "characters of a text to look at"},
		}, sampleParams(manyTexts), []engine.Param{shownParam(100)}),
		Conditions: []engine.ConditionDef{{
			ID: "samples_ratio_w_special_characters_less_or_equal",
			Params: []engine.Param{
				fraction("max_ratio", 0.05, "largest share of texts with too many special characters"),
				fraction("threshold_ratio_per_sample", 0.2, "share of a text's characters above which it has too many"),
			},
			New: fewSpecial,
		}},
		Defaults: []engine.Use{{ID: "samples_ratio_w_special_characters_less_or_equal"}},
		New:      func(a engine.Args, m engine.Mode) (engine.Check, error) { return special{a, m}, nil },
	}
}

type special struct {
	args engine.Args
	mode engine.Mode
}

// SpecialCharacter is a character with the texts that have it.
type SpecialCharacter struct {
	Character rune
	Rows      []int32
}

// Special is the value of SpecialCharacters.
type Special struct {
	Characters []SpecialCharacter // by falling number of texts
	Share      float64            // of texts with any
	Rows       []int32            // the texts looked at
	Ratios     []float64          // of each of them
	all        bool               // texts without special characters are listed too
}

// Encode returns the texts of each character and the share of each text.
func (v Special) Encode() any {
	by := make(engine.Object, len(v.Characters))
	for i, c := range v.Characters {
		rows := make([]any, len(c.Rows))
		for k, r := range c.Rows {
			rows[k] = int(r)
		}
		by[i] = engine.Field{Key: string(c.Character), Value: rows}
	}
	index, data := []any{}, []any{}
	for _, i := range falling(v.Ratios) {
		if v.Ratios[i] > 0 || v.all {
			index, data = append(index, int(v.Rows[i])), append(data, v.Ratios[i])
		}
	}
	series := engine.Object{{Key: "__type__", Value: "Series"}, {Key: "name", Value: nil}, {Key: "n", Value: len(data)}, {Key: "index", Value: index}, {Key: "data", Value: data}}
	return engine.Object{{Key: "samples_per_special_char", Value: by}, {Key: "percent_of_samples_with_special_chars", Value: v.Share}, {Key: "percent_special_chars_per_sample", Value: series}}
}

func (special) ID() string { return "SpecialCharacters" }

func (s special) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	set := c.Side().Texts
	value := Special{all: s.mode == engine.Deepchecks}
	allowed := s.args.Text("special_characters_allow_list")
	most := s.args.Int("max_chars_to_review_per_sample")
	place := make(map[rune]int)
	with := 0
	for _, r := range c.Side().TextRows(s.args) {
		if set.IsMissing(int(r)) {
			continue
		}
		n, found := 0, 0
		for _, ch := range set.Texts[r] {
			if n == most {
				break
			}
			n++
			if unicode.IsLetter(ch) || unicode.IsNumber(ch) || strings.ContainsRune(allowed, ch) {
				continue
			}
			found++
			k, ok := place[ch]
			if !ok {
				k = len(value.Characters)
				place[ch], value.Characters = k, append(value.Characters, SpecialCharacter{Character: ch})
			}
			if rows := value.Characters[k].Rows; len(rows) == 0 || rows[len(rows)-1] != r {
				value.Characters[k].Rows = append(rows, r)
			}
		}
		ratio := 0.0
		if found > 0 {
			with++
			ratio = float64(found) / float64(n)
		}
		value.Rows, value.Ratios = append(value.Rows, r), append(value.Ratios, ratio)
	}
	if len(value.Rows) == 0 {
		return engine.Result{}, engine.Errorf(engine.NotEnoughSamples, "there are no texts to look at")
	}
	value.Share = float64(with) / float64(len(value.Rows))
	slices.SortStableFunc(value.Characters, func(a, b SpecialCharacter) int { return cmp.Compare(len(b.Rows), len(a.Rows)) })
	out := engine.Result{Value: value}
	if s.mode != engine.Deepchecks {
		out.Reduced = engine.Object{{Key: "Share of texts with special characters", Value: value.Share}}
	}
	g := engine.Grid{Columns: []string{"Character", "% of texts", "Examples"}}
	for _, ch := range value.Characters[:min(len(value.Characters), s.args.Int("max_special_chars_to_show"))] {
		var examples []string
		for _, r := range ch.Rows[:min(len(ch.Rows), s.args.Int("max_samples_to_show"))] {
			examples = append(examples, excerpt(set.Texts[r], s.args.Int("max_text_length_for_display")))
		}
		g.Rows = append(g.Rows, []any{fmt.Sprintf("%q (%U)", ch.Character, ch.Character), format.Percent(float64(len(ch.Rows)) / float64(len(value.Rows))), strings.Join(examples, "\n")})
	}
	if len(g.Rows) > 0 {
		out.Displays = []engine.Display{engine.TableView{Title: "Special characters", Grid: g}}
	}
	return out, nil
}

func fewSpecial(r engine.Request) (engine.Condition, error) {
	limit, each := r.Args.Float("max_ratio"), r.Args.Float("threshold_ratio_per_sample")
	return engine.Condition{
		Name: fmt.Sprintf("Ratio of samples containing more than %s special characters is below %s", format.Percent(each), format.Percent(limit)),
		Judge: engine.Judge(func(v Special) (engine.Verdict, string, error) {
			n := 0
			for _, ratio := range v.Ratios {
				if ratio > each {
					n++
				}
			}
			details := fmt.Sprintf("Found %d samples with special char ratio above threshold", n)
			if float64(n)/float64(len(v.Ratios)) > limit {
				return engine.Fail, details, nil
			}
			return engine.Pass, details, nil
		}),
	}, nil
}
