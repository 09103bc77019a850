package mounts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

const (
	listFile   = "files.json"
	partBytes  = 256 << 10
	retrySend  = time.Second
	retryLimit = 30 * time.Second
)

// results are files on their way to the controller. Each job attempt has a directory with its files under their digests
// and a list; a file leaves when the controller has acknowledged it.
type results struct {
	dir string
	gw  *gateway
	log *slog.Logger

	mu   sync.Mutex
	due  map[string]*bundle
	held map[string]*bundle // sent, and kept for another controller
	keep bool
	sent time.Time // when a part was last sent
	line []string  // keys of due, in order
	wake chan struct{}
}

// bundle is what one job attempt has to send.
type bundle struct {
	JobID   string                `json:"job_id"`
	Attempt int32                 `json:"attempt"`
	Files   []*statev1.StoredFile `json:"files"`
	dir     string
	sent    int // of Files
	tries   int
	after   time.Time
}

func openResults(dir string, gw *gateway, log *slog.Logger) (*results, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the results directory: %w", err)
	}
	r := &results{dir: dir, gw: gw, log: log, due: make(map[string]*bundle), held: make(map[string]*bundle), wake: make(chan struct{}, 1)}
	ents, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the results directory: %w", err)
	}
	for _, e := range ents {
		path := filepath.Join(dir, e.Name())
		b, err := os.ReadFile(filepath.Join(path, listFile))
		if err != nil {
			// Its list was not finished, so its verdict was not told: it will be collected again.
			_ = os.RemoveAll(path)
			continue
		}
		bd := &bundle{dir: path}
		if err := json.Unmarshal(b, bd); err != nil {
			return nil, fmt.Errorf("read %s: %w", filepath.Join(path, listFile), err)
		}
		r.put(bd)
	}
	return r, nil
}

func (r *results) put(b *bundle) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := key(b.JobID, b.Attempt)
	if _, ok := r.due[k]; !ok {
		r.line = append(r.line, k)
	}
	r.due[k] = b
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// forget drops what is left of a job: the controller wants no more of it.
func (r *results) forget(jobID string, attempt int32) {
	r.mu.Lock()
	k := key(jobID, attempt)
	b := r.due[k]
	if b == nil {
		b = r.held[k]
	}
	delete(r.due, k)
	delete(r.held, k)
	r.mu.Unlock()
	if b != nil {
		_ = os.RemoveAll(b.dir) // found again at the next start, and dropped then
	}
}

// run sends what is due, one file after the other, for ever.
func (r *results) run(ctx context.Context) {
	for ctx.Err() == nil {
		b, wait := r.next(time.Now())
		if b == nil {
			t := time.NewTimer(wait)
			select {
			case <-r.wake:
			case <-t.C:
			case <-ctx.Done():
			}
			t.Stop()
			continue
		}
		gw, err := r.gw.get(ctx)
		if err != nil {
			return
		}
		if err := r.sendBundle(ctx, gw, b); err != nil && ctx.Err() == nil {
			r.mu.Lock()
			b.tries++
			b.after = time.Now().Add(min(retryLimit, retrySend<<min(b.tries-1, 8)/4))
			r.mu.Unlock()
			r.log.Info("results are not delivered yet", "job", b.JobID, "err", err)
		}
	}
}

// next is the first bundle that may be tried, or how long there is none.
func (r *results) next(now time.Time) (*bundle, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	wait := retryLimit
	r.line = slices.DeleteFunc(r.line, func(k string) bool { return r.due[k] == nil })
	for i, k := range r.line {
		b := r.due[k]
		if left := b.after.Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		r.line = append(slices.Delete(r.line, i, i+1), k) // others first, should this one fail
		return b, 0
	}
	return nil, wait
}

func (r *results) sendBundle(ctx context.Context, gw agentv1.GatewayClient, b *bundle) error {
	r.mu.Lock()
	keep := r.keep
	r.mu.Unlock()
	for b.sent < len(b.Files) {
		f := b.Files[b.sent]
		if err := r.send(ctx, gw, b, f); err != nil {
			return fmt.Errorf("%s: %w", f.GetName(), err)
		}
		if keep {
			b.sent++
			continue
		}
		b.Files = slices.Delete(b.Files, b.sent, b.sent+1)
		if len(b.Files) > 0 {
			if err := b.write(); err != nil {
				return err
			}
		}
	}
	k := key(b.JobID, b.Attempt)
	r.mu.Lock()
	keep = keep && r.due[k] == b // not forgotten meanwhile
	if keep {
		delete(r.due, k)
		b.sent, b.tries, b.after = 0, 0, time.Time{}
		r.held[k] = b
	}
	r.mu.Unlock()
	if !keep {
		r.forget(b.JobID, b.Attempt)
	}
	return nil
}

func (r *results) send(ctx context.Context, gw agentv1.GatewayClient, b *bundle, file *statev1.StoredFile) error {
	f, err := os.Open(filepath.Join(b.dir, file.GetSha256()))
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer func() { _ = f.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := gw.PutResult(ctx)
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	part := header(b.JobID, b.Attempt, file)
	for buf := make([]byte, partBytes); ; part = new(agentv1.ResultPart) {
		n, rerr := io.ReadFull(f, buf)
		part.Data = buf[:n]
		if n > 0 || part.GetFile() != nil {
			if err := stream.Send(part); err != nil {
				break // the reply says why
			}
			r.mu.Lock()
			r.sent = time.Now()
			r.mu.Unlock()
		}
		if rerr != nil {
			break // the end of the file; a read error shows as a wrong digest
		}
	}
	ack, err := stream.CloseAndRecv()
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if ack.GetSha256() != file.GetSha256() {
		return fmt.Errorf("acknowledged as %s: %w", ack.GetSha256(), ErrDigest)
	}
	return nil
}

func (b *bundle) write() error {
	data, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("list results: %w", err)
	}
	path := filepath.Join(b.dir, listFile)
	if err := writeSynced(path+".tmp", data); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("list results: %w", err)
	}
	return syncDir(b.dir)
}

// batch gathers the files of one job attempt.
type batch struct {
	r     *results
	b     *bundle
	names map[string]bool
	made  bool
}

func (r *results) batch(jobID string, attempt int32) *batch {
	name := strings.NewReplacer("/", "_", "\x00", "_").Replace(jobID) + "-" + strconv.Itoa(int(attempt))
	return &batch{
		r: r, names: make(map[string]bool),
		b: &bundle{JobID: jobID, Attempt: attempt, dir: filepath.Join(r.dir, name)},
	}
}

// add copies a file; a name counts once.
func (b *batch) add(src io.Reader, file *statev1.StoredFile) error {
	if b.names[file.GetName()] {
		return nil
	}
	if !b.made {
		if err := os.MkdirAll(b.b.dir, 0o700); err != nil {
			return fmt.Errorf("keep results: %w", err)
		}
		b.made = true
	}
	tmp := filepath.Join(b.b.dir, "new")
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("keep results: %w", err)
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), src)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("keep %s: %w", file.GetName(), err)
	}
	file.Sha256, file.Bytes = hex.EncodeToString(h.Sum(nil)), uint64(n)
	if err := os.Rename(tmp, filepath.Join(b.b.dir, file.GetSha256())); err != nil {
		return fmt.Errorf("keep %s: %w", file.GetName(), err)
	}
	b.names[file.GetName()] = true
	b.b.Files = append(b.b.Files, file)
	return nil
}

// commit makes the batch durable and puts it in line.
func (b *batch) commit() ([]*statev1.StoredFile, error) {
	if len(b.b.Files) == 0 {
		return nil, nil
	}
	all := slices.Clone(b.b.Files)
	if err := b.b.write(); err != nil {
		return nil, err
	}
	if err := syncDir(b.r.dir); err != nil {
		return nil, err
	}
	b.r.put(b.b)
	return all, nil
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
