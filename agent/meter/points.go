package meter

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"

	agentv1 "aloft/proto/sky/agent/v1"
)

// keepPoints writes points that did not come as lines of JSON as such lines, so that what comes back of the job holds all
// of its points. The file is as long as the state says: what a crash left behind it is written again.
func (m *Meter) keepPoints(b *agentv1.MetricBatch) error {
	if b.GetSource().GetKind() == kindLines || len(b.GetColumns()) == 0 {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(m.o.Dir, pointsFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("keep points: %w", err)
	}
	var out []byte
	for _, c := range b.GetColumns() {
		name, err := json.Marshal(c.GetName())
		if err != nil {
			continue
		}
		var step, at int64
		for i, v := range c.GetValue() {
			step, at = step+c.GetStep()[i], at+c.GetAtMs()[i]
			out = append(out, `{"step": `...)
			out = strconv.AppendInt(out, step, 10)
			out = append(out, `, "time": `...)
			out = strconv.AppendFloat(out, float64(at)/1000, 'f', 3, 64)
			out = append(append(append(out, ", "...), name...), ": "...)
			switch {
			case math.IsNaN(v):
				out = append(out, "NaN"...)
			case math.IsInf(v, 1):
				out = append(out, "Infinity"...)
			case math.IsInf(v, -1):
				out = append(out, "-Infinity"...)
			default:
				out = strconv.AppendFloat(out, v, 'g', -1, 64)
			}
			out = append(out, "}\n"...)
		}
	}
	_, err = f.WriteAt(out, int64(m.state.GetCollected()))
	if err == nil {
		m.state.Collected += uint64(len(out))
		err = f.Truncate(int64(m.state.GetCollected()))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("keep points: %w", err)
	}
	return nil
}

// merge makes one file of the rank's own lines and of the points that came from elsewhere, when there are such.
func (m *Meter) merge() {
	if m.state.GetCollected() == 0 {
		return
	}
	to := filepath.Join(m.o.Dir, mergedFile)
	err := os.MkdirAll(filepath.Dir(to), 0o700)
	var f *os.File
	if err == nil {
		f, err = os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	}
	if err != nil {
		m.o.Log.Warn("merge metrics", "err", err)
		return
	}
	for _, p := range []string{m.o.Lines, filepath.Join(m.o.Dir, pointsFile)} {
		src, err := os.Open(p)
		if err != nil {
			continue
		}
		if _, err := io.Copy(f, src); err != nil {
			m.o.Log.Warn("merge metrics", "err", err)
		}
		_ = src.Close()
	}
	if err := f.Close(); err != nil {
		m.o.Log.Warn("merge metrics", "err", err)
	}
}

// File is where all points of a rank lie as lines of JSON once its collection has been finished.
func File(dir, lines string) string {
	if p := filepath.Join(dir, mergedFile); exists(p) {
		return p
	}
	return lines
}

func exists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}
