package machine

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// smiTimeout bounds nvidia-smi, which hangs when a driver does.
const smiTimeout = 20 * time.Second

// gpus lists the accelerators. A pretend-gpus file replaces the real ones, so that a rehearsal sees what it asked for.
func (h Host) gpus(ctx context.Context) ([]GPU, error) {
	pretended, err := h.pretended()
	if err != nil || pretended != nil {
		return pretended, err
	}
	return h.nvidia(ctx)
}

// pretended reads ~/.aloft/pretend-gpus: a line `NAME MEMORY_GB` for each, # begins a comment.
func (h Host) pretended() ([]GPU, error) {
	home := h.home()
	if home == "" {
		return nil, nil
	}
	path := filepath.Join(home, ".aloft", "pretend-gpus")
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("pretended GPUs: %w", err)
	}
	gpus := []GPU{}
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if len(f) < 2 {
			return nil, fmt.Errorf("pretended GPUs: %s:%d: want NAME MEMORY_GB", path, n)
		}
		gb, err := strconv.ParseFloat(f[len(f)-1], 64)
		if err != nil {
			return nil, fmt.Errorf("pretended GPUs: %s:%d: %w", path, n, err)
		}
		i := len(gpus)
		gpus = append(gpus, GPU{
			Index: i, Name: strings.Join(f[:len(f)-1], " "), UUID: fmt.Sprintf("pretended-%d", i), MemoryGB: gb, Pretended: true,
		})
	}
	return gpus, nil
}

// nvidia asks nvidia-smi. A node without it has no GPUs. Those that CUDA_VISIBLE_DEVICES hides from us (a batch system
// gave us a part of the machine) are not ours to hand out.
func (h Host) nvidia(ctx context.Context) ([]GPU, error) {
	smi := h.SMI
	if smi == "" {
		path, err := exec.LookPath("nvidia-smi")
		if err != nil {
			return nil, nil // no driver, no GPUs: the usual case
		}
		smi = path
	}
	ctx, cancel := context.WithTimeout(ctx, smiTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, smi, "--query-gpu=index,name,uuid,memory.total", "--format=csv,noheader,nounits")
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("nvidia-smi: %w: %s", errors.Join(err, context.Cause(ctx)), firstLine(append(stderr.Bytes(), out...)))
	}
	var gpus []GPU
	sc := bufio.NewScanner(bytes.NewReader(out))
	for sc.Scan() {
		f := strings.Split(sc.Text(), ",")
		if len(f) < 4 {
			continue // a blank line, or a warning between the rows
		}
		index, err := strconv.Atoi(strings.TrimSpace(f[0]))
		if err != nil {
			return nil, fmt.Errorf("nvidia-smi: row %q: %w", sc.Text(), err)
		}
		g := GPU{Index: index, Name: strings.TrimSpace(f[1]), UUID: strings.TrimSpace(f[2])}
		// Some boards share the machine's memory and answer [N/A].
		if mib, err := strconv.ParseFloat(strings.TrimSpace(f[3]), 64); err == nil {
			g.MemoryGB = round(mib / 1024)
		}
		gpus = append(gpus, g)
	}
	return visible(gpus, h.env("CUDA_VISIBLE_DEVICES")), nil
}

// visible keeps the GPUs that list names by index or by (the beginning of) UUID. An empty list says nothing.
func visible(gpus []GPU, list string) []GPU {
	if strings.TrimSpace(list) == "" {
		return gpus
	}
	names := strings.Split(list, ",")
	return slices.DeleteFunc(gpus, func(g GPU) bool {
		return !slices.ContainsFunc(names, func(n string) bool {
			n = strings.TrimSpace(n)
			return n == strconv.Itoa(g.Index) || strings.HasPrefix(n, "GPU-") && strings.HasPrefix(g.UUID, n)
		})
	})
}

func firstLine(b []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(b), []byte("\n"))
	return string(line[:min(len(line), 200)])
}
