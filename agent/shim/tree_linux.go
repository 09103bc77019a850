package shim

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

// killTime bounds how long we keep killing what does not die (another user's process, one stuck in the kernel).
const killTime = 3 * time.Second

// procStat is the part of /proc/PID/stat that tells families apart.
type procStat struct {
	pid, ppid, session int
	zombie             bool
	start              uint64 // in clock ticks since boot
}

// readStat returns false for a process that is gone.
func readStat(pid int) (procStat, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return procStat{}, false
	}
	i := bytes.LastIndexByte(b, ')') // the name before it may hold anything
	if i < 0 {
		return procStat{}, false
	}
	f := bytes.Fields(b[i+1:])
	if len(f) < 20 {
		return procStat{}, false
	}
	s := procStat{pid: pid, zombie: f[0][0] == 'Z' || f[0][0] == 'X'}
	var err1, err2, err3 error
	s.ppid, err1 = strconv.Atoi(string(f[1]))
	s.session, err2 = strconv.Atoi(string(f[3]))
	s.start, err3 = strconv.ParseUint(string(f[19]), 10, 64)
	return s, err1 == nil && err2 == nil && err3 == nil
}

// processes lists every process there is.
func processes() []procStat {
	d, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	names, _ := d.Readdirnames(-1) // what was read is used
	_ = d.Close()
	var all []procStat
	for _, n := range names {
		if pid, err := strconv.Atoi(n); err == nil {
			if s, ok := readStat(pid); ok {
				all = append(all, s)
			}
		}
	}
	return all
}

// pidStart is when a process was started, 0 when it is gone.
func pidStart(pid int) uint64 {
	s, _ := readStat(pid)
	return s.start
}

// descendants of this process that are alive. As it adopts orphans, nothing that a child started can leave the tree.
func descendants(int) []int {
	all := processes()
	children := make(map[int][]procStat)
	for _, s := range all {
		children[s.ppid] = append(children[s.ppid], s)
	}
	var found []int
	queue := []int{os.Getpid()}
	for len(queue) > 0 {
		for _, s := range children[queue[0]] {
			queue = append(queue, s.pid)
			if !s.zombie {
				found = append(found, s.pid)
			}
		}
		queue = queue[1:]
	}
	return found
}

// marked lists the living processes of a rank whose shim is dead: those that carry the marker, and those in the session
// of its child as long as that session is certainly the same.
func marked(s slotState) []int {
	want := []byte(Marker + "=" + s.ID)
	leader, alive := readStat(s.PID)
	same := s.PID > 0 && alive && leader.start == s.PIDStart
	var found []int
	for _, p := range processes() {
		if p.zombie || p.pid == os.Getpid() {
			continue
		}
		if same && p.session == s.PID {
			found = append(found, p.pid)
			continue
		}
		env, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/environ")
		if err != nil {
			continue
		}
		for e := range bytes.SplitSeq(env, []byte{0}) {
			if bytes.Equal(e, want) {
				found = append(found, p.pid)
				break
			}
		}
	}
	return found
}

// killAll kills what list returns until it returns nothing. All are stopped before any is killed, so nobody sees a
// parent die and starts anew. It returns what is left after killTime.
func killAll(list func() []int) []int {
	deadline := time.Now().Add(killTime)
	pause := time.Millisecond
	for {
		stopped := map[int]bool{}
		var left []int
		for range 20 {
			left = list()
			fresh := false
			for _, pid := range left {
				if !stopped[pid] {
					stopped[pid], fresh = true, true
					_ = syscall.Kill(pid, syscall.SIGSTOP) // gone meanwhile, or not ours to signal: seen below
				}
			}
			if !fresh {
				break
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL) // as above
		}
		time.Sleep(pause) // the kernel needs a moment to take them away
		pause = min(2*pause, 50*time.Millisecond)
	}
}

// signalAll sends sig once to each.
func signalAll(pids []int, sig syscall.Signal) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, sig) // gone meanwhile
	}
}
