package text

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"aloft/tasks/check/frame"
	"aloft/tasks/check/nearest"
	"aloft/tasks/check/stats"
)

// Property is a property of a text that deepchecks has.
type Property struct {
	Name        string
	Categorical bool
	// Default properties are computed unless others are named.
	Default bool
	// Doc says what it is.
	Doc string
	// Missing says why it is not computed here; "" when it is.
	Missing string
	value   func(d *document) float64
}

// The reasons for which a property is not computed.
const (
	needsModel   = "it needs a language model, which the engine has not"
	needsLexicon = "it needs a dictionary of how words are pronounced, which the engine has not"
	needsTagger  = "it needs a tagger of parts of speech, which the engine has not"
	needsOpinion = "it needs a dictionary of sentiment, which the engine has not"
	needsGuess   = "it needs a model that recognises languages, which the engine has not"
)

// Builtin lists the properties that have a name, in their order.
func Builtin() []Property {
	return []Property{
		{Name: "Text Length", Default: true, Doc: "characters", value: func(d *document) float64 { return float64(d.length) }},
		{Name: "Average Word Length", Default: true, Doc: "mean length of the words of the text in lower case without punctuation, 0 without words", value: func(d *document) float64 { return d.words().mean }},
		{Name: "Max Word Length", Default: true, Doc: "length of the longest of these words", value: func(d *document) float64 { return float64(d.words().longest) }},
		{Name: "% Special Characters", Default: true, Doc: "share of characters that are no letter, digit, white space or common punctuation", value: func(d *document) float64 { return d.share(special) }},
		{Name: "% Punctuation", Default: true, Doc: "share of characters that are ASCII punctuation", value: func(d *document) float64 { return d.share(punctuation) }},
		{Name: "Language", Categorical: true, Default: true, Doc: "code of the language", Missing: needsGuess},
		{Name: "Sentiment", Default: true, Doc: "from -1 (negative) to 1 (positive)", Missing: needsOpinion},
		{Name: "Subjectivity", Default: true, Doc: "from 0 (facts) to 1 (opinions)", Missing: needsOpinion},
		{Name: "Average Words Per Sentence", Default: true, Doc: "words by sentences, of at most 300 sentences, to 3 digits", value: wordsPerSentence},
		{Name: "Reading Ease", Default: true, Doc: "Flesch reading ease", Missing: needsLexicon},
		{Name: "Lexical Density", Default: true, Doc: "distinct words by words, to 2 digits", value: lexicalDensity},
		{Name: "Toxicity", Doc: "from 0 to 1", Missing: needsModel},
		{Name: "Fluency", Doc: "from 0 to 1", Missing: needsModel},
		{Name: "Formality", Doc: "from 0 to 1", Missing: needsModel},
		{Name: "Unique Noun Count", Doc: "distinct nouns", Missing: needsTagger},
		{Name: "English Text", Categorical: true, Doc: "whether the language is English", Missing: needsGuess},
		{Name: "URLs Count", Doc: "addresses that begin with http:// or https://", value: func(d *document) float64 { return float64(len(d.urls())) }},
		{Name: "Unique URLs Count", Doc: "distinct ones", value: func(d *document) float64 { return distinct(d.urls()) }},
		{Name: "Email Addresses Count", Doc: "e-mail addresses", value: func(d *document) float64 { return float64(len(d.emails())) }},
		{Name: "Unique Email Addresses Count", Doc: "distinct ones", value: func(d *document) float64 { return distinct(d.emails()) }},
		{Name: "Unique Syllables Count", Doc: "distinct words of known pronunciation", Missing: needsLexicon},
		{Name: "Reading Time", Doc: "seconds, at 14.69 ms for each character that is not blank, to 2 digits", value: readingTime},
		{Name: "Sentences Count", Doc: "sentences", value: func(d *document) float64 { return float64(len(sentences(d.text))) }},
		{Name: "Average Syllable Length", Doc: "syllables by sentences", Missing: needsLexicon},
	}
}

// Kind tells of a property by name whether it is categorical; ok is false for
// one that is not built in.
func Kind(name string) (categorical, ok bool) {
	for _, p := range Builtin() {
		if p.Name == name {
			return p.Categorical, true
		}
	}
	return false, false
}

// Selection says which properties to compute; the zero value means the default
// ones. Include and Exclude exclude each other.
type Selection struct {
	Include, Exclude []string
	// All adds those that are not default.
	All bool
}

// properties lists what is selected.
func (s Selection) properties() ([]Property, error) {
	all := Builtin()
	if s.Include != nil && s.Exclude != nil {
		return nil, fmt.Errorf("name the properties to compute or those to leave out, not both")
	}
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.Name
	}
	for _, name := range slices.Concat(s.Include, s.Exclude) {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("there is no built-in property %q%s; there are %s", name, nearest.Hint(name, names), strings.Join(names, ", "))
		}
	}
	return slices.DeleteFunc(all, func(p Property) bool {
		if s.Include != nil {
			return !slices.Contains(s.Include, p.Name)
		}
		return !p.Default && !s.All || slices.Contains(s.Exclude, p.Name)
	}), nil
}

// Compute adds the selected properties to those that the set has: those that
// are given are kept as they are, and those that cannot be computed are listed
// in Skipped. Missing texts have no properties.
func (s *Set) Compute(sel Selection) error {
	wanted, err := sel.properties()
	if err != nil {
		return err
	}
	if s.Properties != nil {
		wanted = slices.DeleteFunc(wanted, func(p Property) bool { return s.Properties.Table.Column(p.Name) != nil })
	}
	values := make([][]float64, len(wanted))
	for k, p := range wanted {
		if p.Missing != "" {
			s.Skipped = append(s.Skipped, Skipped{p.Name, p.Missing})
			continue
		}
		values[k] = make([]float64, s.Len())
	}
	err = stats.Parallel(s.Len(), func(i int) {
		d := newDocument(s.Texts[i])
		for k, p := range wanted {
			switch {
			case values[k] == nil:
			case s.IsMissing(i):
				values[k][i] = math.NaN()
			default:
				values[k][i] = p.value(d)
			}
		}
	})
	if err != nil {
		return fmt.Errorf("compute properties: %w", err)
	}
	var columns []*frame.Column
	out := &Columns{}
	if s.Properties != nil {
		columns, out.Categorical = slices.Clone(s.Properties.Table.Columns()), s.Properties.Categorical
	}
	for k, p := range wanted {
		if values[k] != nil {
			columns = append(columns, frame.NewFloats(p.Name, values[k]))
		}
	}
	if len(columns) == 0 {
		return nil
	}
	if out.Table, err = frame.NewTable(s.Name+" properties", columns...); err != nil {
		return fmt.Errorf("compute properties: %w", err)
	}
	s.Properties = out
	return nil
}

// document is a text with what several properties need of it.
type document struct {
	text   string
	length int // in characters
	found  *wordLengths
	links  *[]string
	mails  *[]string
}

func newDocument(s string) *document { return &document{text: s, length: utf8.RuneCountInString(s)} }

type wordLengths struct {
	mean    float64
	longest int
}

// words are the pieces between characters that are no part of words, of the
// normal form of the text.
func (d *document) words() *wordLengths {
	if d.found != nil {
		return d.found
	}
	plain := Normal{IgnoreCase: true, NoPunctuation: true, Unicode: true}.Of(d.text, nil)
	d.found = &wordLengths{}
	total, n := 0, 0
	for _, w := range strings.FieldsFunc(plain, notWord) {
		length := utf8.RuneCountInString(w)
		total, n, d.found.longest = total+length, n+1, max(d.found.longest, length)
	}
	if n > 0 {
		d.found.mean = float64(total) / float64(n)
	}
	return d.found
}

// alphanumeric is what Python's str.isalnum accepts.
func alphanumeric(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }

// notWord is what \W matches in Python.
func notWord(r rune) bool { return r != '_' && !alphanumeric(r) }

// share is the share of characters of a kind.
func (d *document) share(of func(rune) bool) float64 {
	n := 0
	for _, r := range d.text {
		if of(r) {
			n++
		}
	}
	if d.length == 0 {
		return 0
	}
	return float64(n) / float64(d.length)
}

func special(r rune) bool {
	return !alphanumeric(r) && !isSpace(r) && !strings.ContainsRune("!\"#$%&'()*+,-./:;=?\\@", r)
}

func punctuation(r rune) bool { return strings.ContainsRune(Punctuation, r) }

// round rounds a number to digits after the point as Python's round does: by
// its exact value.
func round(v float64, digits int) float64 {
	f, err := strconv.ParseFloat(strconv.FormatFloat(v, 'f', digits, 64), 64)
	if err != nil {
		return v
	}
	return f
}

func readingTime(d *document) float64 {
	const millisecondsPerCharacter = 14.69
	n := 0
	for _, r := range d.text {
		if !isSpace(r) {
			n++
		}
	}
	return round(float64(n)*millisecondsPerCharacter/1000, 2)
}

// wordsPerSentence divides the words of a text without punctuation by its
// sentences. A text of more than maxSentences is judged by as many of them.
func wordsPerSentence(d *document) float64 {
	list := sentences(d.text)
	if len(list) > maxSentences {
		rows := stats.Sample(len(list), maxSentences, sentenceSeed)
		slices.Sort(rows)
		few := make([]string, len(rows))
		for i, r := range rows {
			few[i] = list[r]
		}
		list = few
	}
	if len(list) == 0 {
		return 0
	}
	words := 0
	for _, s := range list {
		words += len(strings.Fields(Normal{NoPunctuation: true}.Of(s, nil)))
	}
	return round(float64(words)/float64(len(list)), 3)
}

// The sentences of a long text that are looked at.
const (
	maxSentences = 300
	sentenceSeed = 42
)

// lexicalDensity is NaN for a text without words.
func lexicalDensity(d *document) float64 {
	words := strings.FieldsFunc(strings.ToLower(d.text), notWord)
	if len(words) == 0 {
		return math.NaN()
	}
	return round(distinct(words)/float64(len(words)), 2)
}

func distinct(items []string) float64 {
	seen := make(map[string]bool, len(items))
	for _, s := range items {
		seen[s] = true
	}
	return float64(len(seen))
}

// sentences splits a text after full stops, question and exclamation marks that
// white space follows.
func sentences(s string) []string {
	var out []string
	add := func(part string) {
		if part = strings.TrimFunc(part, isSpace); part != "" {
			out = append(out, part)
		}
	}
	begin, ended := 0, false
	for i, r := range s {
		if ended && isSpace(r) {
			add(s[begin:i])
			begin = i
		}
		ended = r == '.' || r == '!' || r == '?'
	}
	add(s[begin:])
	return out
}

// Explain tells in one sentence which properties were not computed, and why.
func Explain(list []Skipped) string {
	var reasons []string
	names := make(map[string][]string)
	for _, s := range list {
		if names[s.Why] == nil {
			reasons = append(reasons, s.Why)
		}
		names[s.Why] = append(names[s.Why], s.Name)
	}
	parts := make([]string, len(reasons))
	for i, why := range reasons {
		parts[i] = strings.Join(names[why], ", ") + " (" + why + ")"
	}
	return "Properties not computed: " + strings.Join(parts, "; ") + ". They are checked where you give their values."
}

// Ends returns the words of the first n and of the last n sentences of a text:
// one list where that is the whole text, else two.
func Ends(s string, n int) [][]string {
	list := sentences(s)
	words := func(part []string) []string { return strings.FieldsFunc(strings.Join(part, " "), isSpace) }
	if len(list) <= 2*n {
		return [][]string{words(list)}
	}
	return [][]string{words(list[:n]), words(list[len(list)-n:])}
}
