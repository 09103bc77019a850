//go:build !linux

package local

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// processesOf finds the processes of a node in the table of ps, which shows environments of one's own processes.
func processesOf(id string) ([]int, error) {
	out, err := exec.Command("ps", "-axww", "-E", "-o", "pid=,ppid=,stat=,command=").Output()
	if err != nil {
		return nil, fmt.Errorf("ps: %w", err)
	}
	mark := NodeEnv + "=" + id
	var table []process
	sc := bufio.NewScanner(bytes.NewReader(out))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 4 || strings.HasPrefix(f[2], "Z") {
			continue
		}
		pid, err1 := strconv.Atoi(f[0])
		parent, err2 := strconv.Atoi(f[1])
		if err1 != nil || err2 != nil || pid == os.Getpid() {
			continue
		}
		p := process{pid: pid, parent: parent}
		for _, w := range f[3:] {
			p.marked = p.marked || w == mark
		}
		table = append(table, p)
	}
	return family(table), nil
}
