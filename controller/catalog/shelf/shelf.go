// Package shelf keeps catalogues: one folder per cloud under $ALOFT_HOME/catalog, and for first use, when nothing was ever
// brought, what is built into the program.
package shelf

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"aloft/controller/catalog/sheet"
)

//go:embed builtin/*.csv
var builtin embed.FS

// Names of what lies in a shelf.
const (
	vmsFile  = "vms.csv"
	metaDir  = ".meta"
	cacheDir = ".cache"
)

// OldAfter is when prices are called old.
const OldAfter = 7 * 24 * time.Hour

// maxFile bounds a catalogue file in bytes.
const maxFile = 1 << 30

// Shelf is a directory of catalogues.
type Shelf struct {
	Dir string
	// Cache is where binary forms are kept; "" = nowhere.
	Cache string
	// Builtin lets clouds without a file have what is built in.
	Builtin bool
}

// Home is the shelf under $ALOFT_HOME.
func Home(home string) Shelf {
	dir := filepath.Join(home, "catalog")
	return Shelf{Dir: dir, Cache: filepath.Join(dir, cacheDir), Builtin: true}
}

// At is the shelf in a directory that the user named: nothing but what is there.
func At(home, dir string) Shelf { return Shelf{Dir: dir, Cache: Home(home).Cache} }

// Book is one cloud's catalogue and where it comes from.
type Book struct {
	Cloud    string
	Sheet    *sheet.Sheet
	Path     string          // "" = built in
	Date     time.Time       // when the file was brought or last found to be the newest; zero = built in
	Problems []sheet.Problem // rows that were left out
	Bad      int             // how many
	// Cached says that the binary form was read: problems of the file are not known.
	Cached bool
}

// ErrNone is the error for a cloud without a catalogue.
var ErrNone = errors.New("no catalogue")

// Clouds lists the clouds that have a catalogue here.
func (s Shelf) Clouds() ([]string, error) {
	var out []string
	entries, err := os.ReadDir(s.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list catalogues: %w", err)
	}
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(s.Dir, e.Name(), vmsFile)); err == nil && ValidCloud(e.Name()) {
			out = append(out, e.Name())
		}
	}
	if s.Builtin {
		for _, c := range BuiltinClouds() {
			if !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	slices.Sort(out)
	return out, nil
}

// BuiltinClouds are the clouds of which something is built in.
func BuiltinClouds() []string { return []string{"aws", "gcp"} }

// ValidCloud reports whether a name can be a cloud's: it becomes a folder and part of a URL.
func ValidCloud(name string) bool {
	return name != "" && len(name) <= 40 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// Open reads a cloud's catalogue. The error is ErrNone when there is none.
func (s Shelf) Open(cloud string) (*Book, error) {
	if !ValidCloud(cloud) {
		return nil, fmt.Errorf("%q is no name of a cloud", cloud)
	}
	path := filepath.Join(s.Dir, cloud, vmsFile)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && s.Builtin && slices.Contains(BuiltinClouds(), cloud):
		return openBuiltin(cloud)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w for %s: there is no %s", ErrNone, cloud, path)
	case err != nil:
		return nil, fmt.Errorf("read the catalogue: %w", err)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s: %d bytes, at most %d are allowed", path, info.Size(), maxFile)
	}
	b := &Book{Cloud: cloud, Path: path, Date: s.date(cloud, info)}
	zones := s.zoneFile(cloud)
	stamp, cache := stampOf(path, info, zones), s.cachePath(path)
	if cache != "" {
		if raw, err := os.ReadFile(cache); err == nil {
			if b.Sheet, err = sheet.Decode(raw, stamp); err == nil {
				b.Cached = true
				return b, nil
			}
		}
	}
	if err := b.read(path, zones); err != nil {
		return nil, err
	}
	if cache != "" && b.Bad == 0 {
		// A cache that cannot be written costs time, nothing else.
		_ = writeFile(cache, b.Sheet.Encode(stamp))
	}
	return b, nil
}

func (b *Book) read(path, zones string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read the catalogue: %w", err)
	}
	defer f.Close()
	sh, rep, err := sheet.Read(path, f)
	if err != nil {
		return fmt.Errorf("read the catalogue: %w", err)
	}
	b.Problems, b.Bad = rep.Problems, rep.Bad
	if zones != "" {
		names, err := readZones(zones)
		if err != nil {
			return err
		}
		sh = sh.WithZones(names)
	}
	b.Sheet = sh
	return nil
}

func openBuiltin(cloud string) (*Book, error) {
	name := "builtin/" + cloud + ".csv"
	raw, err := builtin.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read the built-in catalogue: %w", err)
	}
	sh, rep, err := sheet.Read(name, bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("read the built-in catalogue: %w", err)
	}
	return &Book{Cloud: cloud, Sheet: sh, Problems: rep.Problems, Bad: rep.Bad}, nil
}

// zoneFile is the newest file that maps zone ids to an account's names; "" = none.
func (s Shelf) zoneFile(cloud string) string {
	files, err := filepath.Glob(filepath.Join(s.Dir, cloud, "az_mappings-*.csv"))
	if err != nil {
		return ""
	}
	best, at := "", time.Time{}
	for _, f := range files {
		if info, err := os.Stat(f); err == nil && (best == "" || info.ModTime().After(at)) {
			best, at = f, info.ModTime()
		}
	}
	return best
}

// readZones reads AvailabilityZoneName,AvailabilityZone.
func readZones(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the names of zones: %w", err)
	}
	defer f.Close()
	recs, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(recs) == 0 {
		return nil, fmt.Errorf("%s: %w: it is empty", path, sheet.ErrNotCatalogue)
	}
	name, id := slices.Index(recs[0], "AvailabilityZoneName"), slices.Index(recs[0], "AvailabilityZone")
	if name < 0 || id < 0 {
		return nil, fmt.Errorf("%s:1: %w: the header lacks AvailabilityZoneName or AvailabilityZone", path, sheet.ErrNotCatalogue)
	}
	out := make(map[string]string, len(recs))
	for _, r := range recs[1:] {
		out[r[id]] = r[name]
	}
	for _, r := range recs[1:] {
		if _, ok := out[r[name]]; !ok {
			out[r[name]] = r[name] // a catalogue from the cloud itself has the account's own names
		}
	}
	return out, nil
}

// Stamp tells one state of a cloud's catalogue from another, without reading it.
func (s Shelf) Stamp(cloud string) string {
	path := filepath.Join(s.Dir, cloud, vmsFile)
	info, err := os.Stat(path)
	if err != nil {
		return "" // built in
	}
	return stampOf(path, info, s.zoneFile(cloud)) + s.date(cloud, info).String()
}

// stampOf tells one state of a catalogue from another.
func stampOf(path string, info fs.FileInfo, zones string) string {
	s := fmt.Sprintf("%s|%d|%d", path, info.Size(), info.ModTime().UnixNano())
	if zones != "" {
		if zi, err := os.Stat(zones); err == nil {
			s += fmt.Sprintf("|%s|%d|%d", zones, zi.Size(), zi.ModTime().UnixNano())
		}
	}
	return s
}

func (s Shelf) cachePath(path string) string {
	if s.Cache == "" {
		return ""
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(abs))
	return filepath.Join(s.Cache, hex.EncodeToString(sum[:12])+".bin")
}

// Meta is what is known of a file that was brought from elsewhere.
type Meta struct {
	URL          string `json:"url"`
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
	CheckedMs    int64  `json:"checked_ms"` // when it was last found to be the newest
	Size         int64  `json:"size"`
	ModNs        int64  `json:"mod_ns"`
	SHA256       string `json:"sha256"`
}

func (s Shelf) metaPath(cloud, file string) string {
	return filepath.Join(s.Dir, metaDir, cloud, file+".json")
}

// Meta of a file; false when it was not brought by us.
func (s Shelf) Meta(cloud, file string) (Meta, bool) {
	raw, err := os.ReadFile(s.metaPath(cloud, file))
	if err != nil {
		return Meta{}, false
	}
	var m Meta
	if err := json.Unmarshal(raw, &m); err != nil {
		return Meta{}, false
	}
	return m, true
}

// date is when a catalogue was last the newest: as its meta says, or for a file of the user's own, when it was changed.
func (s Shelf) date(cloud string, info fs.FileInfo) time.Time {
	if m, ok := s.Meta(cloud, vmsFile); ok && m.Size == info.Size() && m.ModNs == info.ModTime().UnixNano() {
		return time.UnixMilli(m.CheckedMs)
	}
	return info.ModTime()
}

// Edited reports whether a file is not what was brought: the user's own, or changed since.
func (s Shelf) Edited(cloud, file string) (bool, error) {
	path := filepath.Join(s.Dir, cloud, file)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at the catalogue: %w", err)
	}
	m, ok := s.Meta(cloud, file)
	if !ok {
		return true, nil
	}
	if m.Size == info.Size() && m.ModNs == info.ModTime().UnixNano() {
		return false, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return false, fmt.Errorf("look at the catalogue: %w", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]) != m.SHA256, nil
}

// Put replaces a file at once with the one at tmp, which must be on the same disk, and notes where it comes from.
func (s Shelf) Put(cloud, file, tmp string, m Meta) error {
	path := filepath.Join(s.Dir, cloud, file)
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("replace the catalogue: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("look at the catalogue: %w", err)
	}
	m.Size, m.ModNs = info.Size(), info.ModTime().UnixNano()
	return s.Note(cloud, file, m)
}

// Note writes what is known of a file.
func (s Shelf) Note(cloud, file string, m Meta) error {
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("note where the catalogue comes from: %w", err)
	}
	return writeFile(s.metaPath(cloud, file), append(raw, '\n'))
}

// writeFile writes a file so that it is whole or not there.
func writeFile(path string, raw []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(raw); err != nil {
		f.Close()
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
