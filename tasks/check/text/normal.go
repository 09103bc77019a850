package text

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Normal says how texts are made alike before they are compared.
type Normal struct {
	// IgnoreCase puts all in lower case, NoPunctuation leaves ASCII
	// punctuation out, Unicode applies the compatibility form NFKC,
	// NoStopWords leaves the commonest English words out and NoSpace all white
	// space.
	IgnoreCase, NoPunctuation, Unicode, NoStopWords, NoSpace bool
}

// Punctuation is what counts as punctuation: that of ASCII.
const Punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

// Of returns the normal form of a text.
func (n Normal) Of(s string, stop map[string]bool) string {
	if n.IgnoreCase {
		s = strings.ToLower(s)
	}
	if n.NoPunctuation {
		s = strings.Map(func(r rune) rune {
			if r < unicode.MaxASCII && strings.ContainsRune(Punctuation, r) {
				return -1
			}
			return r
		}, s)
	}
	if n.Unicode {
		s = norm.NFKC.String(s)
	}
	words := strings.FieldsFunc(s, isSpace)
	if n.NoStopWords {
		kept := words[:0]
		for _, w := range words {
			if !stop[w] {
				kept = append(kept, w)
			}
		}
		words = kept
	}
	if n.NoSpace {
		return strings.Join(words, "")
	}
	return strings.Join(words, " ")
}

// isSpace is what Python's str.split() splits at: the white space of Unicode
// and the four separators of ASCII.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

// StopWords returns the English words that comparisons leave out: the list of
// the Natural Language Toolkit.
func StopWords() map[string]bool {
	out := make(map[string]bool)
	for _, w := range strings.Fields(stopWords) {
		out[w] = true
	}
	return out
}

const stopWords = `i me my myself we our ours ourselves you you're you've you'll you'd your yours yourself yourselves he him his
himself she she's her hers herself it it's its itself they them their theirs themselves what which who whom this that that'll these
those am is are was were be been being have has had having do does did doing a an the and but if or because as until while of at by
for with about against between into through during before after above below to from up down in out on off over under again further
then once here there when where why how all any both each few more most other some such no nor not only own same so than too very s
t can will just don don't should should've now d ll m o re ve y ain aren aren't couldn couldn't didn didn't doesn doesn't hadn
hadn't hasn hasn't haven haven't isn isn't ma mightn mightn't mustn mustn't needn needn't shan shan't shouldn shouldn't wasn wasn't
weren weren't won won't wouldn wouldn't`
