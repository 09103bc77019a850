package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"aloft/controller/forge/render"
	controlv1 "aloft/proto/sky/control/v1"
)

// runFile is the file beside a job's results that says where it ran, how long and at what cost, for reports that are made
// later and elsewhere.
const runFile = "run.json"

// maxRunFile bounds it.
const maxRunFile = 1 << 20

// runRecord is what stands in it.
type runRecord struct {
	Format int           `json:"format"` // 1
	Name   string        `json:"name"`   // of the task
	Job    string        `json:"job"`    // CLUSTER/JOB
	Failed bool          `json:"failed"`
	Facts  []render.Fact `json:"facts"`
}

// keepRun writes the file into a directory of results.
func keepRun(dir string, cl *controlv1.ClusterView, v *controlv1.JobView) error {
	j := v.GetJob()
	b, err := json.MarshalIndent(runRecord{Format: 1, Name: j.GetTask().GetName(), Job: fmt.Sprintf("%s/%d", j.GetClusterName(), j.GetNumber()),
		Failed: jobExit(j) != exitOK, Facts: runFacts(cl, v)}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", runFile, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("keep %s: %w", runFile, err)
	}
	return os.WriteFile(filepath.Join(dir, runFile), append(b, '\n'), 0o644)
}

// readRun reads the file of a directory of results; nil = there is none.
func readRun(dir string) (*runRecord, error) {
	path := filepath.Join(dir, runFile)
	if _, err := os.Stat(path); err != nil {
		return nil, nil
	}
	b, err := readBounded(path, maxRunFile)
	if err != nil {
		return nil, err
	}
	var r runRecord
	if err := json.Unmarshal(b, &r); err != nil || r.Format != 1 {
		return nil, fmt.Errorf("%s is none that sky launch writes", path)
	}
	return &r, nil
}
