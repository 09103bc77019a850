package nlp

import (
	"hash/maphash"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/stats"
	"aloft/tasks/check/text"
)

// normalParams are the parameters that say what of texts is compared.
func normalParams() []engine.Param {
	return []engine.Param{
		flag("ignore_case", true, "upper and lower case are alike"),
		flag("remove_punctuation", true, "leave ASCII punctuation out"),
		flag("normalize_unicode", true, "apply the Unicode form NFKC, in which variants of a character are alike"),
		flag("remove_stopwords", true, "leave the commonest English words out"),
		flag("ignore_whitespace", false, "leave white space out"),
	}
}

// shownParam says how much of a text is shown.
func shownParam(n int) engine.Param {
	return count("max_text_length_for_display", n, "characters of a text to show")
}

const normalFormula = "Texts are compared in a normal form: lower case, without ASCII punctuation, in the Unicode form NFKC, without English stop words, words apart by one blank. Missing texts are left out."

// keptGroups bounds the groups that a value lists, keptText the characters of a
// text in it.
const (
	keptGroups = 1000
	keptText   = 400
)

// normalForms returns a number for each of the rows, the same for texts of the
// same normal form; -1 for missing texts. Forms are told apart by 128 bits of
// hash: all texts in another form would need as much memory again.
func normalForms(args engine.Args, known map[[2]uint64]int, seeds [2]maphash.Seed, s *text.Set, rows []int32) ([]int, error) {
	n := text.Normal{
		IgnoreCase: args.Bool("ignore_case"), NoPunctuation: args.Bool("remove_punctuation"), Unicode: args.Bool("normalize_unicode"),
		NoStopWords: args.Bool("remove_stopwords"), NoSpace: args.Bool("ignore_whitespace"),
	}
	stop := text.StopWords()
	hashes := make([][2]uint64, len(rows))
	err := stats.Parallel(len(rows), func(i int) {
		if !s.IsMissing(int(rows[i])) {
			form := n.Of(s.Texts[rows[i]], stop)
			hashes[i] = [2]uint64{maphash.String(seeds[0], form), maphash.String(seeds[1], form)}
		}
	})
	if err != nil {
		return nil, engine.Errorf(engine.Internal, "compare texts: %v", err)
	}
	out := make([]int, len(rows))
	for i, h := range hashes {
		if s.IsMissing(int(rows[i])) {
			out[i] = -1
			continue
		}
		k, ok := known[h]
		if !ok {
			k = len(known)
			known[h] = k
		}
		out[i] = k
	}
	return out, nil
}

func seeds() [2]maphash.Seed { return [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()} }

// equals are the groups of rows of the same normal form, by their first row.
// Only groups of several rows have a number.
type equals struct {
	rows     []int32 // as given, without missing texts
	of       []int   // by position in rows: the number of the group, -1 for none
	groups   [][]int32
	distinct int
}

func equalTexts(args engine.Args, s *text.Set, rows []int32) (*equals, error) {
	forms, err := normalForms(args, make(map[[2]uint64]int), seeds(), s, rows)
	if err != nil {
		return nil, err
	}
	out := &equals{}
	var size []int
	for i, f := range forms {
		if f < 0 {
			continue
		}
		out.rows = append(out.rows, rows[i])
		for f >= len(size) {
			size = append(size, 0)
		}
		size[f]++
	}
	out.distinct = len(size)
	number := make([]int, len(size))
	at := 0
	for i, f := range forms {
		switch {
		case f < 0:
			continue
		case size[f] < 2:
			out.of = append(out.of, -1)
		default:
			if number[f] == 0 {
				out.groups = append(out.groups, nil)
				number[f] = len(out.groups)
			}
			k := number[f] - 1
			out.of = append(out.of, k)
			out.groups[k] = append(out.groups[k], rows[i])
		}
		at++
	}
	return out, nil
}

// shown is a text as values and displays have it: whole as deepchecks does, or
// its beginning.
func shown(mode engine.Mode, s string) string {
	if mode == engine.Deepchecks {
		return s
	}
	return excerpt(s, keptText)
}
