package text_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"aloft/tasks/check/frame"
	"aloft/tasks/check/text"
)

func parse(t testing.TB, csv string) *frame.Table {
	t.Helper()
	out, err := frame.Parse([]byte(csv), frame.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestProperties compares properties with what their definitions give by hand.
func TestProperties(t *testing.T) {
	t.Parallel()
	s := &text.Set{Name: "t", Texts: []string{
		"Hello, World! Visit https://a.example/x and https://a.example, mail me@a.example.", "", "ﬁn ☃ a_b", "One two. Three four five! Six?", "missing",
	}, Missing: []bool{false, false, false, false, true}}
	if err := s.Compute(text.Selection{All: true}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]float64{
		"Text Length":                  {81, 0, 8, 30},
		"Max Word Length":              {14, 0, 3, 5},
		"% Special Characters":         {0, 0, 2. / 8, 0},
		"% Punctuation":                {15. / 81, 0, 1. / 8, 3. / 30},
		"URLs Count":                   {2, 0, 0, 0},
		"Unique URLs Count":            {1, 0, 0, 0},
		"Email Addresses Count":        {1, 0, 0, 0},
		"Unique Email Addresses Count": {1, 0, 0, 0},
		"Reading Time":                 {1.09, 0, 0.09, 0.37},
		"Sentences Count":              {2, 0, 1, 3},
		"Average Words Per Sentence":   {4, 0, 3, 2},
		"Lexical Density":              {0.67, math.NaN(), 1, 1},
	} {
		c := s.Properties.Table.Column(name)
		if c == nil {
			t.Errorf("%s was not computed", name)
			continue
		}
		for i, w := range want {
			if g := c.Float(i); math.Abs(g-w) > 1e-9 || math.IsNaN(g) != math.IsNaN(w) {
				t.Errorf("%s of %q is %v, want %v", name, s.Texts[i], g, w)
			}
		}
		if !c.IsNull(4) {
			t.Errorf("%s of a missing text is %v", name, c.Float(4))
		}
	}
	why := text.Explain(s.Skipped)
	for _, want := range []string{"Toxicity", "language model", "Sentiment", "dictionary of sentiment", "Reading Ease", "pronounced", "give their values"} {
		if !strings.Contains(why, want) {
			t.Errorf("%q does not tell %q", why, want)
		}
	}
}

// TestGivenProperties keeps values that the user gives.
func TestGivenProperties(t *testing.T) {
	t.Parallel()
	s := &text.Set{Name: "t", Texts: []string{"a", "b"}, Properties: &text.Columns{Table: parse(t, "Toxicity,Text Length\n0.5,7\n0.1,8\n")}}
	if err := s.Compute(text.Selection{Include: []string{"Toxicity", "Text Length", "% Punctuation"}}); err != nil {
		t.Fatal(err)
	}
	if got := s.Properties.Table.Names(); !slices.Equal(got, []string{"Toxicity", "Text Length", "% Punctuation"}) || s.Properties.Table.Column("Text Length").Float(0) != 7 {
		t.Errorf("the properties are %v", got)
	}
	if len(s.Skipped) != 0 {
		t.Errorf("%v count as skipped though they were given", s.Skipped)
	}
	for _, sel := range []text.Selection{{Include: []string{"Text Lenght"}}, {Include: []string{"Text Length"}, Exclude: []string{"Toxicity"}}} {
		if err := s.Compute(sel); err == nil {
			t.Errorf("%+v was accepted", sel)
		}
	}
}

func TestNormal(t *testing.T) {
	t.Parallel()
	stop := text.StopWords()
	all := text.Normal{IgnoreCase: true, NoPunctuation: true, Unicode: true, NoStopWords: true}
	for in, want := range map[string]string{
		"The  CAT, sat.\tOn the mat": "cat sat mat", "ﬁne ① x": "fine 1 x", "": "", "it's": "", "don't": "dont",
	} {
		if got := all.Of(in, stop); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	all.NoSpace = true
	if got := all.Of("a b cat\nsat", stop); got != "bcatsat" {
		t.Errorf("without white space: %q", got)
	}
}

// TestFromTable reads every part of a set out of one table.
func TestFromTable(t *testing.T) {
	t.Parallel()
	table := parse(t, "text,y,p,proba_a,proba_b,e0,e1,Toxicity,source\nx y,a,a,0.75,0.25,1,2,0.5,web\n,b,a,0.5,0.5,3,4,0.1,mail\n")
	s, err := text.FromTable(table, text.Layout{Text: "text", Label: "y", Predicted: "p", Proba: "proba_*", Embeddings: "e*", Properties: []string{"Toxicity"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	if s.Task != text.Classification || !s.IsMissing(1) || s.IsMissing(0) || s.Label.Value(1).String() != "b" || !slices.Equal(s.Classes, []string{"a", "b"}) ||
		s.Proba[1][0] != 0.25 || s.Embeddings[1][0] != 3 || !slices.Equal(s.Metadata.Table.Names(), []string{"source"}) {
		t.Errorf("the set is %+v", s)
	}
	tokens := parse(t, "words,tags\n\"[\"\"New\"\", \"\"York\"\"]\",\"[\"\"B-LOC\"\", \"\"I-LOC\"\"]\"\na b c,O O O\n")
	s, err = text.FromTable(tokens, text.Layout{Tokens: "words", Label: "tags"})
	if err != nil {
		t.Fatal(err)
	}
	if s.Task != text.Tokens || s.Texts[0] != "New York" || !slices.Equal(s.Tags[0], []string{"B-LOC", "I-LOC"}) || len(s.Tags[1]) != 3 {
		t.Errorf("the set is %+v", s)
	}
}

// TestMultilabel reads labels of texts that have several.
func TestMultilabel(t *testing.T) {
	t.Parallel()
	table := parse(t, "text,y,z,p_a,p_b\nx,\"[0, 1]\",\"[\"\"b\"\", \"\"a\"\"]\",0.9,0.8\ny,,\"[]\",0.1,0.2\nz,\"[1, 1]\",\"[\"\"c\"\"]\",0.1,0.7\n")
	s, err := text.FromTable(table, text.Layout{Text: "text", Label: "y", Proba: "p_*", Classes: []string{"a", "b"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	if s.Task != text.Classification || !s.Multilabel() || !slices.Equal(s.Multi[0], []string{"b"}) || s.Labelled(1) || len(s.Multi[2]) != 2 ||
		!slices.Equal(s.PredictedLabels(0), []string{"a", "b"}) || len(s.PredictedLabels(1)) != 0 {
		t.Errorf("the set is %+v", s)
	}
	s, err = text.FromTable(table, text.Layout{Text: "text", Label: "z"})
	if err != nil || !slices.Equal(s.Multi[0], []string{"b", "a"}) || !s.Labelled(1) {
		t.Errorf("names: %+v %v", s, err)
	}
	if _, err := text.FromTable(table, text.Layout{Text: "text", Label: "y", Classes: []string{"a"}}); err == nil || !strings.Contains(err.Error(), "lists of 2 labels, and there are 1 classes") {
		t.Errorf("of another width: %v", err)
	}
}

// TestFaults tells what is wrong with input.
func TestFaults(t *testing.T) {
	t.Parallel()
	table := parse(t, "text,y,p,proba_a,proba_b,words\na,a,,0.5,0.6,\"[1, {}]\"\nb,b,a,0.2,x,q\n")
	for _, c := range []struct {
		layout text.Layout
		want   string
	}{
		{text.Layout{}, "name the column that holds the texts"},
		{text.Layout{Text: "text", Tokens: "words"}, "not both"},
		{text.Layout{Text: "txt"}, `no column "txt" (did you mean "text"?)`},
		{text.Layout{Text: "text", Predicted: "p"}, "missing cells"},
		{text.Layout{Text: "text", Proba: "proba"}, "must hold one *"},
		{text.Layout{Text: "text", Proba: "q_*"}, "has no column q_*"},
		{text.Layout{Text: "text", Proba: "proba_*"}, `"proba_b" must hold a probability`},
		{text.Layout{Text: "text", Embeddings: "proba_*"}, `"proba_b" of embeddings must hold a number`},
		{text.Layout{Tokens: "words"}, "entry 1 of the list"},
	} {
		if _, err := text.FromTable(table, c.layout); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v gives %v, want %q", c.layout, err, c.want)
		}
	}
	label := frame.NewTexts("y", []string{"a"})
	for _, c := range []struct {
		set  text.Set
		want string
	}{
		{text.Set{}, "there are no texts"},
		{text.Set{Texts: []string{"a", "b"}, Label: label}, "1 labels for 2 texts"},
		{text.Set{Texts: []string{"a", "b"}, Predicted: label}, "1 predictions for 2 texts"},
		{text.Set{Texts: []string{"a"}, Embeddings: [][]float32{{1}, {2}}}, "2 rows of embeddings for 1 texts"},
		{text.Set{Texts: []string{"a", "b"}, Embeddings: [][]float32{{1}, {2, 3}}}, "embedding 1 has 2 numbers"},
		{text.Set{Texts: []string{"a"}, Metadata: &text.Columns{Table: table}}, "2 rows of metadata"},
		{text.Set{Texts: []string{"a"}, Classes: []string{"a", "b"}, Proba: [][]float64{{0.5}, {0.6}}}, "sum up to 1.1, not to 1"},
		{text.Set{Texts: []string{"a"}, Classes: []string{"a", "b"}, Proba: [][]float64{{1.5}, {-0.5}}}, "must be from 0 to 1"},
		{text.Set{Texts: []string{"a"}, Classes: []string{"a", "b"}, Proba: [][]float64{{math.NaN()}, {1}}}, "must be from 0 to 1"},
		{text.Set{Texts: []string{"a"}, Classes: []string{"b", "a"}, Proba: [][]float64{{0.5}, {0.5}}}, "ascending order"},
		{text.Set{Texts: []string{"a"}, Classes: []string{"a"}, Proba: [][]float64{{0.5}, {0.5}}}, "2 classes and the names of 1"},
		{text.Set{Texts: []string{"a"}, Task: text.Tokens}, "needs tokens"},
		{text.Set{Texts: []string{"a b"}, Task: text.Tokens, Tokens: [][]string{{"a", "b"}}, Tags: [][]string{{"O"}}}, "2 tokens and 1 labels"},
		{text.Set{Texts: []string{"a"}, Task: text.Tokens, Tokens: [][]string{{"a"}}, Classes: []string{"a"}, Proba: [][]float64{{1}}}, "no probabilities"},
	} {
		if err := c.set.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v gives %v, want %q", c.set, err, c.want)
		}
	}
}

// TestAgree lets train decide which columns are categories.
func TestAgree(t *testing.T) {
	t.Parallel()
	set := func(csv string) *text.Set {
		return &text.Set{Name: "t", Metadata: &text.Columns{Table: parse(t, csv)}}
	}
	train, test := set("a,b\nx,0.25\ny,0.5\n"), set("a,b\nx,1\ny,1\n")
	if err := text.Agree(train, test, nil, nil); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(train.Metadata.Categorical, test.Metadata.Categorical) || !slices.Contains(test.Metadata.Categorical, "a") {
		t.Errorf("train has %v, test %v", train.Metadata.Categorical, test.Metadata.Categorical)
	}
	if err := text.Agree(train, test, []string{"c"}, nil); err == nil {
		t.Error("a categorical column that is not there was accepted")
	}
}

// npy is a file of numpy.
func npy(descr string, fortran string, rows, cols int, data any) []byte {
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': (%d, %d), }\n", descr, fortran, rows, cols)
	var b bytes.Buffer
	b.WriteString("\x93NUMPY\x01\x00")
	b.Write(binary.LittleEndian.AppendUint16(nil, uint16(len(header))))
	b.WriteString(header)
	if err := binary.Write(&b, binary.LittleEndian, data); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func TestMatrix(t *testing.T) {
	t.Parallel()
	want := [][]float32{{1, 2, 3}, {4, 5, -0.5}}
	for name, src := range map[string][]byte{
		"float32": npy("<f4", "False", 2, 3, []float32{1, 2, 3, 4, 5, -0.5}),
		"float64": npy("<f8", "False", 2, 3, []float64{1, 2, 3, 4, 5, -0.5}),
		"fortran": npy("<f4", "True", 2, 3, []float32{1, 4, 2, 5, 3, -0.5}),
		"float16": npy("<f2", "False", 2, 3, []uint16{0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0xb800}),
	} {
		got, err := text.ParseMatrix(src)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i := range want {
			if !slices.Equal(got[i], want[i]) {
				t.Errorf("%s: row %d is %v, want %v", name, i, got[i], want[i])
			}
		}
	}
	whole := npy("<f4", "False", 2, 3, []float32{1, 2, 3, 4, 5, 6})
	for n := range len(whole) {
		if _, err := text.ParseMatrix(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes were accepted", n, len(whole))
		}
	}
	for name, src := range map[string][]byte{
		"integers": npy("<i8", "False", 1, 1, []int64{1}), "NaN": npy("<f4", "False", 1, 1, []float32{float32(math.NaN())}),
		"huge": npy("<f4", "False", 1<<40, 1<<40, []float32{1}), "negative": npy("<f4", "False", -1, 1, []float32{1}),
	} {
		if _, err := text.ParseMatrix(src); err == nil {
			t.Errorf("%s were accepted", name)
		}
	}
}

func TestVocabulary(t *testing.T) {
	t.Parallel()
	v, err := text.ParseVocabulary(strings.NewReader("[PAD]\n[UNK]\nun\n##aff\n##able\nhello\n,\n中\n"))
	if err != nil {
		t.Fatal(err)
	}
	words := v.Words("Hello,unaffable  中文!")
	if want := []string{"Hello", ",", "unaffable", "中", "文", "!"}; !slices.Equal(words, want) {
		t.Errorf("the words are %q, want %q", words, want)
	}
	for word, known := range map[string]bool{"Hello": true, "Héllo": true, "unaffable": true, "unable": true, ",": true, "中": true, "文": false, "!": false, "unx": false, strings.Repeat("hello", 50): false} {
		if v.Knows(word) != known {
			t.Errorf("%q: known is %v", word, !known)
		}
	}
	cased, err := text.ParseVocabulary(strings.NewReader("[UNK]\nHello\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !cased.Knows("Hello") || cased.Knows("hello") {
		t.Error("a vocabulary with capital letters does not tell them apart")
	}
	for _, bad := range []string{"", "a\nb\n", "[UNK]\n\xff\xfe\n", "[UNK]\n" + strings.Repeat("x", 1<<17)} {
		if _, err := text.ParseVocabulary(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was accepted", bad[:min(len(bad), 20)])
		}
	}
}

func FuzzParseMatrix(f *testing.F) {
	f.Add(npy("<f4", "False", 2, 3, []float32{1, 2, 3, 4, 5, 6}))
	f.Add(npy("<f2", "True", 1, 2, []uint16{0x3c00, 0x7c00}))
	f.Fuzz(func(t *testing.T, src []byte) {
		rows, err := text.ParseMatrix(src)
		for _, r := range rows {
			if err == nil && len(r) != len(rows[0]) {
				t.Errorf("rows of %d and %d numbers", len(rows[0]), len(r))
			}
		}
	})
}

func FuzzParseList(f *testing.F) {
	for _, s := range []string{`["a", "b"]`, "a b", "[1, null]", "[", "", "\"x\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if list, err := text.ParseList(s); err == nil && list == nil {
			t.Errorf("%q gives no list and no error", s)
		}
	})
}

func FuzzVocabulary(f *testing.F) {
	f.Add("[UNK]\na\n##b\n", "ab c")
	f.Fuzz(func(t *testing.T, vocabulary, s string) {
		v, err := text.ParseVocabulary(strings.NewReader(vocabulary))
		if err != nil {
			return
		}
		for _, w := range v.Words(s) {
			if w == "" {
				t.Errorf("an empty word in %q", s)
			}
			v.Knows(w)
		}
	})
}

// FuzzProperties holds properties to what every text has.
func FuzzProperties(f *testing.F) {
	for _, s := range []string{"Hello. World!", "http://a", "a@b.cd@", "\x00\xff", "https://%41%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		set := &text.Set{Name: "f", Texts: []string{s}}
		if err := set.Compute(text.Selection{All: true}); err != nil {
			t.Fatal(err)
		}
		value := func(name string) float64 { return set.Properties.Table.Column(name).Float(0) }
		for _, share := range []string{"% Special Characters", "% Punctuation"} {
			if v := value(share); v < 0 || v > 1 {
				t.Errorf("%s of %q is %v", share, s, v)
			}
		}
		if value("Unique URLs Count") > value("URLs Count") || value("Unique Email Addresses Count") > value("Email Addresses Count") || value("Average Word Length") > value("Max Word Length") {
			t.Errorf("the properties of %q contradict each other", s)
		}
	})
}
