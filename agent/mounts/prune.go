package mounts

import (
	"os"
	"path/filepath"
	"slices"
)

// prune removes working directories of forgotten jobs, all but the newest and the one that ~/sky_workdir means.
func (m *Mounts) prune() {
	m.old.Lock()
	defer m.old.Unlock()
	root := filepath.Join(m.o.StateDir, "jobs")
	ents, err := os.ReadDir(root)
	if err != nil {
		return
	}
	current, err := filepath.EvalSymlinks(filepath.Join(m.o.Home, WorkdirLink))
	if err != nil {
		current = ""
	}
	type dir struct {
		path string
		at   int64
	}
	var dirs []dir
	for _, e := range ents {
		path := filepath.Join(root, e.Name())
		wd := filepath.Join(path, workdirName)
		inside, err := os.ReadDir(path)
		// Only a forgotten job has nothing but its working directory left.
		if err != nil || len(inside) != 1 || inside[0].Name() != workdirName || wd == current || e.Name() == "shared" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		dirs = append(dirs, dir{path, info.ModTime().UnixNano()})
	}
	slices.SortFunc(dirs, func(a, b dir) int { return int(max(-1, min(1, b.at-a.at))) })
	for _, d := range dirs[min(len(dirs), keepWorkdirs):] {
		if err := os.RemoveAll(d.path); err != nil {
			m.o.Log.Warn("remove an old working directory", "dir", d.path, "err", err)
		}
	}
}
