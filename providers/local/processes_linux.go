package local

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

// processesOf finds the processes of a node in /proc. Zombies are not counted: there is nothing left to end.
func processesOf(id string) ([]int, error) {
	es, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	mark := []byte(NodeEnv + "=" + id)
	self := os.Getpid()
	var table []process
	found := false
	for _, e := range es {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == self {
			continue
		}
		p := process{pid: pid}
		env, err := os.ReadFile("/proc/" + e.Name() + "/environ")
		if err != nil && !gone(err) {
			return nil, err
		}
		for v := range bytes.SplitSeq(env, []byte{0}) {
			if bytes.Equal(v, mark) {
				p.marked, found = true, true
				break
			}
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		// pid (name, which may hold anything) state parent ...
		_, rest, ok := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
		f := bytes.Fields(rest)
		if !ok || len(f) < 2 || len(f[0]) == 1 && (f[0][0] == 'Z' || f[0][0] == 'X') {
			continue
		}
		if p.parent, err = strconv.Atoi(string(f[1])); err != nil {
			continue
		}
		table = append(table, p)
	}
	if !found {
		return nil, nil
	}
	return family(table), nil
}

// gone reports whether a process ended while it was looked at, or is somebody else's and so none of ours.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ESRCH)
}
