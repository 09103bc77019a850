package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// ErrInvalid is returned for a manifest that breaks the rules; it says which.
var ErrInvalid = errors.New("invalid manifest")

// Entry is one directory, regular file or symbolic link.
type Entry struct {
	// Path is relative to the root, with slashes.
	Path string
	// Mode has the permission bits and the type: fs.ModeDir, fs.ModeSymlink, or none for a regular file.
	Mode fs.FileMode
	// Size is the bytes of a regular file.
	Size int64
	// SHA256 is the digest of a regular file's contents, in lower-case hex.
	SHA256 string
	// Link is the target of a symbolic link.
	Link string
}

// Manifest is a tree; its entries are in byte order of their paths. The root itself has none.
type Manifest struct {
	Entries []Entry
}

// Ref names the contents of regular files.
type Ref struct {
	SHA256 string
	Size   int64
}

// Refs are the contents of the tree, each once, in order of first use.
func (m *Manifest) Refs() []Ref {
	seen := map[string]bool{}
	var out []Ref
	for _, e := range m.Entries {
		if e.Mode.IsRegular() && !seen[e.SHA256] {
			seen[e.SHA256] = true
			out = append(out, Ref{e.SHA256, e.Size})
		}
	}
	return out
}

// Bytes is the size of all regular files together.
func (m *Manifest) Bytes() int64 {
	var n int64
	for _, e := range m.Entries {
		n += e.Size
	}
	return n
}

// Files is the number of regular files.
func (m *Manifest) Files() int {
	n := 0
	for _, e := range m.Entries {
		if e.Mode.IsRegular() {
			n++
		}
	}
	return n
}

const header = "sky-manifest 1\n"

// Encode is the canonical encoding: a line per entry, with the type, the permissions in octal, and then for a file its
// size, digest and path, for a link its target and path, for a directory its path. Paths and targets are quoted as Go
// strings, so any bytes can stand in them.
func (m *Manifest) Encode() []byte {
	b := make([]byte, 0, len(header)+len(m.Entries)*128)
	b = append(b, header...)
	for _, e := range m.Entries {
		perm := strconv.FormatUint(uint64(e.Mode.Perm()), 8)
		switch {
		case e.Mode.IsDir():
			b = append(append(append(b, "d "...), perm...), ' ')
		case e.Mode&fs.ModeSymlink != 0:
			b = append(append(append(b, "l "...), perm...), ' ')
			b = append(strconv.AppendQuote(b, e.Link), ' ')
		default:
			b = append(append(append(b, "f "...), perm...), ' ')
			b = append(strconv.AppendInt(b, e.Size, 10), ' ')
			b = append(append(b, e.SHA256...), ' ')
		}
		b = append(strconv.AppendQuote(b, e.Path), '\n')
	}
	return b
}

// Digest is the sha256 of Encode in lower-case hex: the name of the snapshot.
func (m *Manifest) Digest() string { return digest(m.Encode()) }

func digest(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// Decode reads what Encode wrote and nothing else: a manifest has one encoding. The result is valid.
func Decode(b []byte) (*Manifest, error) {
	rest, ok := bytes.CutPrefix(b, []byte(header))
	if !ok {
		return nil, fmt.Errorf("%w: unknown format", ErrInvalid)
	}
	m := &Manifest{}
	for n := 1; len(rest) > 0; n++ {
		line, tail, ok := bytes.Cut(rest, []byte{'\n'})
		if !ok {
			return nil, fmt.Errorf("%w: entry %d is cut off", ErrInvalid, n)
		}
		rest = tail
		e, err := parseEntry(string(line))
		if err != nil {
			return nil, fmt.Errorf("%w: entry %d: %w", ErrInvalid, n, err)
		}
		m.Entries = append(m.Entries, e)
	}
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if !bytes.Equal(m.Encode(), b) {
		return nil, fmt.Errorf("%w: not in canonical form", ErrInvalid)
	}
	return m, nil
}

func parseEntry(line string) (e Entry, err error) {
	kind, rest, _ := strings.Cut(line, " ")
	perm, rest, _ := strings.Cut(rest, " ")
	p, err := strconv.ParseUint(perm, 8, 32)
	if err != nil || p > 0o777 {
		return e, fmt.Errorf("bad permissions %q", perm)
	}
	e.Mode = fs.FileMode(p)
	switch kind {
	case "d":
		e.Mode |= fs.ModeDir
	case "l":
		e.Mode |= fs.ModeSymlink
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return e, fmt.Errorf("bad link target: %w", err)
		}
		if e.Link, err = strconv.Unquote(quoted); err != nil {
			return e, fmt.Errorf("bad link target: %w", err)
		}
		rest = strings.TrimPrefix(rest[len(quoted):], " ")
	case "f":
		var size string
		size, rest, _ = strings.Cut(rest, " ")
		if e.Size, err = strconv.ParseInt(size, 10, 64); err != nil {
			return e, fmt.Errorf("bad size %q", size)
		}
		e.SHA256, rest, _ = strings.Cut(rest, " ")
	default:
		return e, fmt.Errorf("unknown type %q", kind)
	}
	if e.Path, err = strconv.Unquote(rest); err != nil {
		return e, fmt.Errorf("bad path: %w", err)
	}
	return e, nil
}

// Validate checks that the tree can be laid out below a root and nowhere else.
func (m *Manifest) Validate() error {
	dirs := map[string]bool{".": true}
	last := ""
	for _, e := range m.Entries {
		if err := e.validate(); err != nil {
			return fmt.Errorf("%w: %q: %w", ErrInvalid, e.Path, err)
		}
		if e.Path <= last {
			return fmt.Errorf("%w: %q: twice, or out of order", ErrInvalid, e.Path)
		}
		last = e.Path
		if !dirs[path.Dir(e.Path)] {
			return fmt.Errorf("%w: %q: not below a directory of the manifest", ErrInvalid, e.Path)
		}
		if e.Mode.IsDir() {
			dirs[e.Path] = true
		}
	}
	return nil
}

func (e *Entry) validate() error {
	if !validPath(e.Path) {
		return errors.New("bad path")
	}
	switch e.Mode.Type() {
	case fs.ModeDir:
		if e.Size != 0 || e.SHA256 != "" || e.Link != "" {
			return errors.New("a directory has no contents")
		}
	case fs.ModeSymlink:
		if e.Link == "" || len(e.Link) > 4095 || strings.Contains(e.Link, "\x00") || e.Size != 0 || e.SHA256 != "" {
			return errors.New("bad link")
		}
	case 0:
		if e.Size < 0 || e.Link != "" || !isDigest(e.SHA256) {
			return errors.New("bad size or digest")
		}
	default:
		return fmt.Errorf("bad type %v", e.Mode.Type())
	}
	if e.Mode&^(fs.ModePerm|fs.ModeType) != 0 {
		return fmt.Errorf("bad mode %v", e.Mode)
	}
	return nil
}

// validPath is fs.ValidPath for names of any bytes, as file systems have them; it refuses the root.
func validPath(p string) bool {
	for _, part := range strings.Split(p, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return !strings.Contains(p, "\x00")
}

func isDigest(s string) bool {
	if len(s) != 64 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// sortEntries puts entries into manifest order.
func sortEntries(es []Entry) {
	slices.SortFunc(es, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
}
