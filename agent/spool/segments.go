package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const segmentSuffix = ".seg"

func segmentPath(dir string, base uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", base, segmentSuffix))
}

// listSegments returns the base offsets of the segments in dir, ascending.
func listSegments(dir string) ([]uint64, error) {
	names, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list segments: %w", err)
	}
	bases := make([]uint64, 0, len(names))
	for _, n := range names {
		digits, ok := strings.CutSuffix(n.Name(), segmentSuffix)
		if !ok {
			continue
		}
		if base, err := strconv.ParseUint(digits, 10, 62); err == nil {
			bases = append(bases, base)
		}
	}
	slices.Sort(bases)
	return bases, nil
}

// extent is what a scan of one segment found.
type extent struct {
	valid    int64  // bytes of the file that are whole frames
	end      uint64 // logical offset behind them
	complete bool   // the last frame says that nothing follows
	body     int64  // valid, without the final end frame
}

// scanSegment walks the frames of a segment, up to the first that is torn or does not continue the one before.
func scanSegment(f io.ReaderAt, base uint64) (extent, error) {
	x := extent{end: base}
	buf := make([]byte, 0, 1<<20)
	for {
		n, err := f.ReadAt(buf[len(buf):cap(buf)], x.valid+int64(len(buf)))
		if err != nil && !errors.Is(err, io.EOF) {
			return x, fmt.Errorf("scan segment: %w", err)
		}
		buf = buf[:len(buf)+n]
		used := 0
		for {
			fr, ferr := parseFrame(buf[used:])
			if ferr != nil || fr.offset != x.end {
				break
			}
			used += fr.size()
			x.end = fr.end()
			x.complete = fr.kind == frameEnd
			if !x.complete {
				x.body = x.valid + int64(used)
			}
		}
		x.valid += int64(used)
		buf = buf[:copy(buf[:cap(buf)], buf[used:])]
		if used == 0 || n == 0 {
			return x, nil
		}
	}
}

// treeBytes sums the sizes of the segments of every stream of the job that dir's stream belongs to, and of dir alone.
func treeBytes(dir string) (job, own int64) {
	streams, err := os.ReadDir(filepath.Dir(dir))
	if err != nil {
		return 0, 0
	}
	for _, s := range streams {
		files, err := os.ReadDir(filepath.Join(filepath.Dir(dir), s.Name()))
		if err != nil {
			continue
		}
		for _, f := range files {
			info, err := f.Info()
			if err != nil {
				continue // acked and gone meanwhile
			}
			job += info.Size()
			if s.Name() == filepath.Base(dir) {
				own += info.Size()
			}
		}
	}
	return job, own
}
