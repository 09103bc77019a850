package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"aloft/controller/forge"
)

// runnersDir holds, below the home, one file for each runner that was launched and is not known to be gone.
const runnersDir = "runners"

// runnerRecord is what is known here of a runner. It is written before the forge is asked for the runner, so that nothing
// is forgotten that the forge may hold; it has no secret.
type runnerRecord struct {
	Name string `json:"name"` // also of its cluster
	// Forge, Host, Repo and Owner say where it is registered; Owner "" = the repository.
	Forge forge.Kind `json:"forge"`
	Host  string     `json:"host"`
	Repo  string     `json:"repo"`
	Owner string     `json:"owner,omitempty"`
	// ID is the forge's; "" = it is not known, or the runner registers itself.
	ID     string   `json:"id,omitempty"`
	Labels []string `json:"labels"`
	Keep   bool     `json:"keep,omitempty"` // it takes more than one job
	// ClusterID and JobID are the controller's; "" = the launch has not answered.
	ClusterID string `json:"cluster_id,omitempty"`
	JobID     string `json:"job_id,omitempty"`
	MadeMS    int64  `json:"made_ms"`
	// Seen says that the forge once called it online; Run is the run whose job it last had, as far as is known.
	Seen bool   `json:"seen,omitempty"`
	Run  string `json:"run,omitempty"`
	// Stopped says that somebody wants it gone.
	Stopped bool `json:"stopped,omitempty"`
}

// runnerFile is a record that this process holds: nobody else changes it or takes its runner for forgotten.
type runnerFile struct {
	runnerRecord
	path string
	lock *os.File
}

// errHeld says that another process has a runner in its hands.
var errHeld = errors.New("another `sky ci runner` has it in its hands")

// errTaken says that there is a runner of that name already.
var errTaken = errors.New("there is a record of a runner of that name")

// newRunnerFile makes the record of a runner that is to be. A name that is in use gives errTaken.
func newRunnerFile(home string, r runnerRecord) (*runnerFile, error) {
	dir := filepath.Join(home, runnersDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("keep a record of the runner: %w", err)
	}
	f := &runnerFile{runnerRecord: r, path: filepath.Join(dir, r.Name+".json")}
	if err := f.take(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(f.path); err == nil {
		f.release()
		return nil, errTaken
	}
	if err := f.save(); err != nil {
		f.release()
		return nil, err
	}
	return f, nil
}

// openRunnerFile takes a record into this process's hands; errHeld when another has it, fs.ErrNotExist when it is gone.
func openRunnerFile(home, name string) (*runnerFile, error) {
	f := &runnerFile{path: filepath.Join(home, runnersDir, name+".json")}
	if _, err := os.Stat(f.path); err != nil {
		return nil, err
	}
	if err := f.take(); err != nil {
		return nil, err
	}
	r, err := readRunner(f.path)
	if err != nil {
		f.release()
		return nil, err
	}
	f.runnerRecord = r
	return f, nil
}

// take locks the record. The lock ends with the process, however that ends.
func (f *runnerFile) take() error {
	for {
		l, err := os.OpenFile(f.lockPath(), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return fmt.Errorf("hold the record of the runner: %w", err)
		}
		if err := syscall.Flock(int(l.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			l.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return errHeld
			}
			return fmt.Errorf("hold the record of the runner: %w", err)
		}
		mine, err := l.Stat()
		there, serr := os.Stat(f.lockPath())
		if err == nil && serr == nil && os.SameFile(mine, there) {
			f.lock = l
			return nil
		}
		l.Close() // whoever forgot the runner has just removed this file
	}
}

func (f *runnerFile) lockPath() string { return strings.TrimSuffix(f.path, ".json") + ".lock" }

// release lets others have the record.
func (f *runnerFile) release() {
	if f.lock != nil {
		f.lock.Close()
		f.lock = nil
	}
}

// save writes the record, whole or not at all.
func (f *runnerFile) save() error {
	b, err := json.MarshalIndent(f.runnerRecord, "", "  ")
	if err != nil {
		return fmt.Errorf("keep a record of the runner: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(f.path), ".runner-*")
	if err != nil {
		return fmt.Errorf("keep a record of the runner: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(append(b, '\n'))
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), f.path)
	}
	if err != nil {
		return fmt.Errorf("keep a record of the runner: %w", err)
	}
	return nil
}

// forget removes the record, and lets go of it.
func (f *runnerFile) forget() error {
	if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the runner: %w", err)
	}
	if err := os.Remove(f.lockPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the runner: %w", err)
	}
	f.release()
	return nil
}

func readRunner(path string) (runnerRecord, error) {
	var r runnerRecord
	b, err := readBounded(path, 1<<20)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil || r.Name+".json" != filepath.Base(path) {
		return r, fmt.Errorf("%s is no record of a runner: look at it, and remove it when the forge has no runner of that name", path)
	}
	return r, nil
}

// runnerRecords are all records of a home, by name.
func runnerRecords(home string) ([]runnerRecord, error) {
	paths, err := filepath.Glob(filepath.Join(globbed(home), runnersDir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("read the records of runners: %w", err)
	}
	slices.Sort(paths)
	var out []runnerRecord
	for _, p := range paths {
		r, err := readRunner(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it ended meanwhile
		}
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// globbed is a path in which nothing is a pattern.
func globbed(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
