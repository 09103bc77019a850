// Package picture keeps the pictures of a report where those who read it can load them: in a bucket of one's own, under a
// name that is the content's.
package picture

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Most is how many bytes a picture may have.
const Most = 10 << 20

// Picture is a file of a report.
type Picture struct {
	Data []byte
	Type string // of media, as image/png
	Hash string // of the data, in hexadecimal digits
	ext  string
}

// Name is one that the same content always has.
func (p Picture) Name() string { return p.Hash[:32] + p.ext }

// ErrNone is returned for a file that is no picture.
var ErrNone = errors.New("it is no PNG, JPEG, GIF, WebP or SVG picture")

// Read reads a picture that a report names. It has to be below dir, also after symbolic links: what a report names may be
// a stranger's choice.
func Read(dir, name string) (Picture, error) {
	if filepath.IsAbs(name) {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return Picture{}, err
		}
		rel, err := filepath.Rel(abs, name)
		if err != nil || !filepath.IsLocal(rel) {
			return Picture{}, fmt.Errorf("%s is outside of %s, where the report is", name, abs)
		}
		name = rel
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Picture{}, err
	}
	defer root.Close()
	st, err := root.Stat(name)
	switch {
	case err != nil:
		return Picture{}, err
	case !st.Mode().IsRegular():
		return Picture{}, fmt.Errorf("%s is no file", name)
	case st.Size() > Most:
		return Picture{}, fmt.Errorf("%s is larger than %d MB", name, Most>>20)
	}
	b, err := fs.ReadFile(root.FS(), filepath.ToSlash(filepath.Clean(name)))
	if err != nil {
		return Picture{}, err
	}
	return New(b)
}

// New looks at what a file holds.
func New(b []byte) (Picture, error) {
	kind := http.DetectContentType(b)
	ext := map[string]string{"image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "image/webp": ".webp"}[kind]
	if ext == "" && vector(b) {
		kind, ext = "image/svg+xml", ".svg"
	}
	if ext == "" || len(b) > Most {
		return Picture{}, ErrNone
	}
	sum := sha256.Sum256(b)
	return Picture{Data: b, Type: kind, Hash: hex.EncodeToString(sum[:]), ext: ext}, nil
}

// vector recognises SVG: its root element is near the start.
func vector(b []byte) bool {
	head := bytes.TrimLeft(bytes.TrimPrefix(b[:min(len(b), 1024)], []byte("\xef\xbb\xbf")), " \t\r\n")
	return bytes.HasPrefix(head, []byte("<svg")) || (bytes.HasPrefix(head, []byte("<?xml")) || bytes.HasPrefix(head, []byte("<!DOCTYPE svg"))) && bytes.Contains(head, []byte("<svg"))
}

// Keeper keeps pictures and gives the address that a report shows them by.
type Keeper interface {
	Keep(ctx context.Context, p Picture) (string, error)
}

// Options say how a bucket is used.
type Options struct {
	// Public links without a signature: the bucket's policy lets anybody read. Otherwise links are signed, for a week at most.
	Public bool
	// Lookup reads the environment.
	Lookup func(string) (string, bool)
	Client *http.Client // nil = the standard one
}

// Open makes the keeper of s3://BUCKET/PREFIX or gs://BUCKET/PREFIX. It makes no request of the bucket.
func Open(ctx context.Context, where string, o Options) (Keeper, error) {
	u, err := url.Parse(where)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(u.Host, ":") {
		return nil, fmt.Errorf("%q is no bucket, as in s3://BUCKET/PREFIX or gs://BUCKET/PREFIX", where)
	}
	if o.Client == nil {
		o.Client = http.DefaultClient
	}
	prefix := strings.Trim(path.Clean("/"+u.Path), "/")
	switch u.Scheme {
	case "s3":
		return newS3(ctx, u.Host, prefix, o)
	case "gs":
		return newGCS(ctx, u.Host, prefix, o)
	}
	return nil, fmt.Errorf("%q: allowed: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX", where)
}

// escape is a path as signatures want it: all but the unreserved characters are escaped.
func escape(key string) string {
	var b strings.Builder
	for i := range len(key) {
		c := key[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~/", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
