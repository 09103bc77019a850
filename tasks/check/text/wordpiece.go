package text

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Vocabulary is that of a WordPiece tokeniser such as BERT's: a file vocab.txt
// with one piece in each line, where pieces within a word begin with ##.
type Vocabulary struct {
	pieces map[string]bool
	// Lower puts words in lower case without accents, as uncased models do.
	Lower bool
}

// The bounds of a vocabulary and of the words it knows.
const (
	maxPieces     = 5_000_000
	maxPieceBytes = 1 << 16
	maxWord       = 100 // characters; BERT takes longer words for unknown
	unknownPiece  = "[UNK]"
)

// ReadVocabulary reads a file vocab.txt. A vocabulary in which no piece has a
// capital letter is one of an uncased model.
func ReadVocabulary(path string) (*Vocabulary, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the vocabulary: %w", err)
	}
	defer f.Close()
	v, err := ParseVocabulary(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

// ParseVocabulary is ReadVocabulary of a stream.
func ParseVocabulary(r io.Reader) (*Vocabulary, error) {
	v := &Vocabulary{pieces: make(map[string]bool), Lower: true}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxPieceBytes)
	for lines.Scan() {
		piece := strings.TrimRight(lines.Text(), "\r")
		if piece == "" {
			continue
		}
		if !utf8.ValidString(piece) {
			return nil, fmt.Errorf("line %d is no UTF-8: a vocabulary has one piece of a word in each line", len(v.pieces)+1)
		}
		if len(v.pieces) == maxPieces {
			return nil, fmt.Errorf("the vocabulary has more than %d pieces", maxPieces)
		}
		v.pieces[piece] = true
		if !strings.HasPrefix(piece, "[") && strings.ToLower(piece) != piece {
			v.Lower = false
		}
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return nil, fmt.Errorf("a line is longer than %d bytes: a vocabulary has one piece of a word in each line", maxPieceBytes)
		}
		return nil, fmt.Errorf("read the vocabulary: %w", err)
	}
	if !v.pieces[unknownPiece] {
		return nil, fmt.Errorf("the vocabulary has no piece %s, by which unknown words are told", unknownPiece)
	}
	return v, nil
}

// Words splits a text into the words that the vocabulary's pieces are pieces
// of: at white space, around punctuation and around Chinese characters.
func (v *Vocabulary) Words(s string) []string {
	var out []string
	begin := -1
	end := func(at int) {
		if begin >= 0 {
			out = append(out, s[begin:at])
		}
		begin = -1
	}
	for i, r := range s {
		switch {
		case r == 0 || r == unicode.ReplacementChar || unicode.Is(unicode.C, r) && !isSpace(r):
			end(i)
		case isSpace(r) || unicode.Is(unicode.Z, r):
			end(i)
		case single(r):
			end(i)
			out = append(out, string(r))
		case begin < 0:
			begin = i
		}
	}
	end(len(s))
	return out
}

// single characters are words by themselves.
func single(r rune) bool {
	if r < utf8.RuneSelf {
		return strings.ContainsRune(Punctuation, r)
	}
	return unicode.IsPunct(r) || unicode.Is(unicode.Han, r)
}

// Knows reports whether a word is made of pieces: the longest one at each
// place, as WordPiece takes them.
func (v *Vocabulary) Knows(word string) bool {
	if v.pieces[word] {
		return true
	}
	if v.Lower {
		word = strings.Map(func(r rune) rune {
			if unicode.Is(unicode.Mn, r) {
				return -1
			}
			return r
		}, norm.NFD.String(strings.ToLower(word)))
	}
	if utf8.RuneCountInString(word) > maxWord {
		return false
	}
	for rest, prefix := word, ""; rest != ""; prefix = "##" {
		n := len(rest)
		for n > 0 && !v.pieces[prefix+rest[:n]] {
			_, size := utf8.DecodeLastRuneInString(rest[:n])
			n -= size
		}
		if n == 0 {
			return false
		}
		rest = rest[n:]
	}
	return true
}
