// Package fetch brings catalogues: from a URL where they lie in SkyPilot's layout, or from a cloud's own API.
package fetch

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"aloft/controller/catalog/sheet"
	"aloft/controller/catalog/shelf"
)

// PublicURL is where SkyPilot publishes its catalogues, refreshed every few hours.
const PublicURL = "https://raw.githubusercontent.com/skypilot-org/skypilot-catalog/master/catalogs/v8"

const (
	vms       = "vms.csv"
	maxBytes  = 1 << 30
	idleLimit = 60 * time.Second // a server that sends nothing for so long is given up
)

// Source brings a cloud's rows from the cloud itself: a provider with credentials can be one.
type Source interface {
	// Catalogue writes a vms.csv in SkyPilot's columns.
	Catalogue(ctx context.Context, w io.Writer) error
}

// Options say what is brought from where.
type Options struct {
	Shelf shelf.Shelf
	URL   string // "" = PublicURL
	// Sources are asked instead of the URL, by cloud.
	Sources map[string]Source
	// Force replaces files that the user has edited.
	Force bool
	Now   func() time.Time
	Log   *slog.Logger
	// Transport carries the requests; nil = the standard one.
	Transport http.RoundTripper
	// Retries of a request, and the pause before the first; 0 = 4, and one second.
	Retries int
	Pause   time.Duration
}

// Status says what became of a file.
type Status string

// What becomes of a file.
const (
	New       Status = "new"       // brought and put in place
	Unchanged Status = "unchanged" // what is here is the newest
	Kept      Status = "kept"      // the user's own or edited: left alone
	Absent    Status = "absent"    // not published; only files that are optional
)

// Result is what became of one file.
type Result struct {
	Cloud    string
	File     string
	Status   Status
	From     string
	Rows     int // of vms.csv
	Bad      int
	Problems []sheet.Problem
	Bytes    int64
}

// Updater brings catalogues.
type Updater struct {
	o      Options
	client *retryablehttp.Client
}

// NewUpdater makes an Updater. The error names a URL that is none.
func NewUpdater(o Options) (*Updater, error) {
	if o.URL == "" {
		o.URL = PublicURL
	}
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is no http or https URL", o.URL)
	}
	o.URL = strings.TrimRight(o.URL, "/")
	c := retryablehttp.NewClient()
	c.Logger = nil
	if o.Log != nil {
		c.Logger = o.Log
	}
	if o.Transport != nil {
		c.HTTPClient = &http.Client{Transport: o.Transport}
	}
	c.RetryMax, c.RetryWaitMin, c.RetryWaitMax = 4, time.Second, 30*time.Second
	if o.Retries > 0 {
		c.RetryMax = o.Retries
	}
	if o.Pause > 0 {
		c.RetryWaitMin, c.RetryWaitMax = o.Pause, max(o.Pause, 4*o.Pause)
	}
	// The last answer is looked at here: what it says is worth more than "giving up".
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	return &Updater{o: o, client: c}, nil
}

// files of a cloud beside vms.csv: not every cloud has them.
func extras() []string {
	return []string{"images.csv", "instance_quota_mapping.csv", "accelerator_quota_mapping.csv"}
}

// Update brings one cloud's files. A file is replaced whole, after it was read from end to end; on an error the old one stays.
func (u *Updater) Update(ctx context.Context, cloud string) ([]Result, error) {
	if !shelf.ValidCloud(cloud) {
		return nil, fmt.Errorf("%q is no name of a cloud", cloud)
	}
	dir := filepath.Join(u.o.Shelf.Dir, cloud)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	r, err := u.file(ctx, cloud, vms)
	if err != nil {
		return nil, fmt.Errorf("bring the catalogue of %s: %w", cloud, err)
	}
	out := []Result{r}
	if u.o.Sources[cloud] != nil {
		return out, nil
	}
	for _, f := range extras() {
		r, err := u.file(ctx, cloud, f)
		if err != nil {
			return out, fmt.Errorf("bring %s of %s: %w", f, cloud, err)
		}
		out = append(out, r)
	}
	return out, nil
}

// file brings one file.
func (u *Updater) file(ctx context.Context, cloud, file string) (Result, error) {
	s := u.o.Shelf
	r := Result{Cloud: cloud, File: file}
	edited, err := s.Edited(cloud, file)
	if err != nil {
		return r, err
	}
	if edited && !u.o.Force {
		r.Status, r.From = Kept, filepath.Join(s.Dir, cloud, file)
		return r, nil
	}
	f, err := os.CreateTemp(filepath.Join(s.Dir, cloud), ".new-*")
	if err != nil {
		return r, fmt.Errorf("write the catalogue: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	m, status, err := u.bring(ctx, cloud, file, edited, f)
	r.Status, r.From = status, m.URL
	if err != nil || status == Absent {
		return r, err
	}
	if status == Unchanged {
		return r, s.Note(cloud, file, m)
	}
	if err := u.inspect(&r, f); err != nil {
		return r, err
	}
	if err := f.Chmod(0o644); err != nil {
		return r, fmt.Errorf("write the catalogue: %w", err)
	}
	if err := f.Close(); err != nil {
		return r, fmt.Errorf("write the catalogue: %w", err)
	}
	return r, s.Put(cloud, file, f.Name(), m)
}

// bring writes the newest content of a file to w, unless it is here already.
func (u *Updater) bring(ctx context.Context, cloud, file string, edited bool, w io.Writer) (shelf.Meta, Status, error) {
	sum := sha256.New()
	both := io.MultiWriter(w, sum)
	if src := u.o.Sources[cloud]; src != nil {
		m := shelf.Meta{URL: "api:" + cloud, CheckedMs: u.o.Now().UnixMilli()}
		if err := src.Catalogue(ctx, both); err != nil {
			return m, "", err
		}
		m.SHA256 = hex.EncodeToString(sum.Sum(nil))
		return m, New, nil
	}
	m := shelf.Meta{URL: u.o.URL + "/" + cloud + "/" + file}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, m.URL, nil)
	if err != nil {
		return m, "", fmt.Errorf("make a request: %w", err)
	}
	old, known := u.o.Shelf.Meta(cloud, file)
	_, statErr := os.Stat(filepath.Join(u.o.Shelf.Dir, cloud, file))
	if known && !edited && statErr == nil && old.URL == m.URL {
		if old.ETag != "" {
			req.Header.Set("If-None-Match", old.ETag)
		}
		if old.LastModified != "" {
			req.Header.Set("If-Modified-Since", old.LastModified)
		}
	}
	resp, err := u.client.Do(req)
	if err != nil {
		return m, "", fmt.Errorf("%s: %w", m.URL, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && known:
		old.CheckedMs = u.o.Now().UnixMilli()
		return old, Unchanged, nil
	case resp.StatusCode == http.StatusNotFound && file != vms:
		return m, Absent, nil
	case resp.StatusCode != http.StatusOK:
		return m, "", fmt.Errorf("%s: the server answers %s", m.URL, resp.Status)
	}
	idle := time.AfterFunc(idleLimit, cancel)
	defer idle.Stop()
	n, err := io.Copy(both, io.LimitReader(&watched{resp.Body, idle}, maxBytes+1))
	switch {
	case err != nil:
		return m, "", fmt.Errorf("%s: after %d bytes: %w", m.URL, n, err)
	case n > maxBytes:
		return m, "", fmt.Errorf("%s: more than %d bytes", m.URL, maxBytes)
	}
	m.ETag, m.LastModified = resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")
	m.CheckedMs, m.SHA256 = u.o.Now().UnixMilli(), hex.EncodeToString(sum.Sum(nil))
	return m, New, nil
}

// watched pushes a timer back whenever something is read.
type watched struct {
	r    io.Reader
	idle *time.Timer
}

// Read is the reader's.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.idle.Reset(idleLimit)
	return n, err
}

// inspect reads what was brought before it takes the place of what is there.
func (u *Updater) inspect(r *Result, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at what was brought: %w", err)
	}
	r.Bytes = info.Size()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("look at what was brought: %w", err)
	}
	if r.File != vms {
		return looksLikeCSV(r.From, f)
	}
	_, rep, err := sheet.Read(r.From, f)
	r.Rows, r.Bad, r.Problems = rep.Rows, rep.Bad, rep.Problems
	if err != nil {
		return err
	}
	if rep.Bad > rep.Rows {
		return fmt.Errorf("%w: %d of %d rows are bad: %s", sheet.ErrNotCatalogue, rep.Bad, rep.Bad+rep.Rows, rep.Problems[0])
	}
	return nil
}

// looksLikeCSV tells a table from a page that says something else.
func looksLikeCSV(name string, r io.Reader) error {
	line, err := bufio.NewReader(r).ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", name, err)
	}
	if !bytes.Contains(line, []byte(",")) || bytes.HasPrefix(bytes.TrimSpace(line), []byte("<")) {
		return fmt.Errorf("%s:1: %w: the first line is no header", name, sheet.ErrNotCatalogue)
	}
	return nil
}
