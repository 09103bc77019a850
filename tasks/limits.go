package tasks

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"unicode/utf8"
)

// Bounds on what a task file may be. They keep memory and time bounded for
// hostile input and are far above anything a person writes.
const (
	// MaxFileSize is the largest file read, in bytes.
	MaxFileSize = 10 << 20
	// maxValues bounds the values of a file after aliases are expanded.
	maxValues = 200_000
	// maxText bounds the text of a file after aliases are expanded, and of a dotenv
	// file after its variables are, in bytes.
	maxText = 4 * MaxFileSize
	// maxAlternatives bounds resources, maxWork what reading them all takes.
	maxAlternatives = 1000
	maxWork         = 100_000
	// maxPostData bounds a JSON body given as text, in bytes.
	maxPostData = 64 << 10
	// maxPositions bounds the fields whose positions are remembered.
	maxPositions = 20_000
	// maxPathKey bounds one key within a field path.
	maxPathKey = 200
	// maxDepth bounds how deep values may nest.
	maxDepth = 100
	// maxScanDepth bounds nesting before parsing, where counting is approximate.
	maxScanDepth = 1000
	// maxDiagnostics bounds the report about one file.
	maxDiagnostics = 200
)

// readBounded reads a file of at most limit bytes without ever holding more.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	defer func() { _ = f.Close() }()
	if st, err := f.Stat(); err == nil && st.IsDir() {
		return nil, fmt.Errorf("%s is a directory, not a file", path)
	}
	src, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if int64(len(src)) > limit {
		return nil, fmt.Errorf("%s is larger than %d MiB", path, limit>>20)
	}
	return src, nil
}

// checkLimits looks at the raw bytes before the YAML library sees them. It
// reports at most one problem and whether parsing may go on.
func (c *checker) checkLimits(src []byte) bool {
	if len(src) > MaxFileSize {
		c.fail(position{}, "", fmt.Sprintf("the file has %d bytes", len(src)),
			fmt.Sprintf("at most %d MiB", MaxFileSize>>20), "")
		return false
	}
	if i := bytes.IndexByte(src, 0); i >= 0 {
		c.fail(positionAt(src, i), "", "the file contains a NUL byte", "UTF-8 text", `write "\0" in double quotes if it is meant`)
		return false
	}
	if !utf8.Valid(src) {
		i := firstInvalid(src)
		c.fail(positionAt(src, i), "", fmt.Sprintf("byte 0x%02x is not valid UTF-8", src[i]), "UTF-8 text",
			"save the file as UTF-8")
		return false
	}
	return c.prescan(src)
}

func firstInvalid(src []byte) int {
	for i := 0; i < len(src); {
		r, n := utf8.DecodeRune(src[i:])
		if r == utf8.RuneError && n <= 1 {
			return i
		}
		i += n
	}
	return len(src) - 1
}

// positionAt converts a byte offset to a line and a column counted in runes.
func positionAt(src []byte, off int) position {
	start := bytes.LastIndexByte(src[:off], '\n') + 1
	return position{
		line:   bytes.Count(src[:off], []byte{'\n'}) + 1,
		column: utf8.RuneCount(src[start:off]) + 1,
	}
}

// prescan is an approximate tokeniser that bounds nesting and the number of
// values before the recursive parser runs. It skips quoted text, comments and
// block scalars, so that shell scripts full of brackets do not count. When in
// doubt it counts too little: the parser has its own, higher, limits.
func (c *checker) prescan(src []byte) bool {
	var (
		depth, values int
		blockIndent   = -1 // indentation of the line that opened a block scalar
		quote         byte // inside a quoted scalar that spans lines
	)
	for off := 0; off < len(src); {
		end := bytes.IndexByte(src[off:], '\n')
		if end < 0 {
			end = len(src)
		} else {
			end += off
		}
		line := src[off:end]
		indent := 0
		for indent < len(line) && line[indent] == ' ' {
			indent++
		}
		blank := len(bytes.TrimSpace(line)) == 0
		switch {
		case blockIndent >= 0 && (blank || indent > blockIndent):
		case blank:
		default:
			blockIndent = -1
			var s lineScan
			s.scan(line, indent, quote)
			quote = s.quote
			values += s.values
			depth = max(depth+s.delta, 0)
			if s.block {
				blockIndent = indent
			}
			if s.dashes > maxScanDepth || depth+s.peak > maxScanDepth {
				c.fail(positionAt(src, off), "", "values nest too deep here", fmt.Sprintf("at most %d levels", maxDepth), "")
				return false
			}
			if values > maxValues {
				c.fail(positionAt(src, off), "", "the file holds too many values", fmt.Sprintf("at most %d", maxValues), "")
				return false
			}
		}
		off = end + 1
	}
	return true
}

// lineScan is what prescan learns from one line.
type lineScan struct {
	values, delta, peak, dashes int
	block                       bool
	quote                       byte
}

func (s *lineScan) scan(line []byte, i int, quote byte) {
	s.quote = quote
	s.values = 1
	tokenStart := true // a quote opens a scalar only where a scalar may start
	for ; i < len(line); i++ {
		b := line[i]
		if s.quote != 0 {
			switch {
			case b == '\\' && s.quote == '"':
				i++
			case b == s.quote:
				s.quote = 0
			}
			continue
		}
		next := byte(' ')
		if i+1 < len(line) {
			next = line[i+1]
		}
		switch {
		case b == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t'):
			return
		case (b == '"' || b == '\'') && tokenStart:
			s.quote = b
			tokenStart = false
		case b == '[' || b == '{':
			s.delta++
			s.values++
			s.peak = max(s.peak, s.delta)
			tokenStart = true
		case b == ']' || b == '}':
			s.delta--
			tokenStart = false
		case b == ',':
			s.values++
			tokenStart = true
		case (b == ':' || b == '?' || b == '-') && (next == ' ' || next == '\t' || next == '\r'):
			s.values++
			if b != ':' {
				s.dashes++
			}
			tokenStart = true
		case (b == '|' || b == '>') && tokenStart && s.delta <= 0:
			s.block = true
			return
		case b == ' ' || b == '\t' || b == '\r':
		default:
			tokenStart = false
		}
	}
}
