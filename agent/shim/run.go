package shim

import (
	"os"
	"sync"
	"syscall"
	"time"

	"aloft/agent/spool"
)

// run is one child from its start to its verdict.
type run struct {
	s      *server
	spec   Spec // without Env and Redact
	st     slotState
	log    *spool.Writer
	note   string // what went wrong beside the child
	pipes  [2]pipe
	pumped chan struct{} // closed when both pipes are read to their end
	exited <-chan syscall.WaitStatus
	gone   <-chan struct{}
	stops  chan stopWork
	over   chan struct{} // closed when no stop is taken any more
	stays  bool          // something of the rank still lives: this shim must not take another

	deadlines sync.Mutex
	noMore    bool // stopReading was called
}

// pipe is one of the child's outputs.
type pipe struct {
	file *os.File
	fd   int32
}

func (r *run) state() slotState { return r.st }

// stop hands a stop order to watch.
func (r *run) stop(sig syscall.Signal, grace time.Duration) {
	select {
	case r.stops <- stopWork{Signal: int(sig), Grace: grace}:
	case <-r.over:
	}
}

// phase is where the end of a rank has got to.
type phase int

const (
	running  phase = iota
	draining       // the child has exited; what it left may end by itself
	ending         // what it left was asked to end
	killed         // what it left was killed
)

// watch sees the child to its end, and makes the verdict durable.
func (r *run) watch() slotState {
	var (
		ws       syscall.WaitStatus
		endedMS  int64
		at       = running
		stopping bool
		gone     bool
		pumped   = r.pumped
		kill     *time.Timer // of a stop
		killC    <-chan time.Time
		stepC    <-chan time.Time // of the end
		killAt   time.Time
		logEnd   uint64 // when the child ended, then at each look
	)
	exited, goneC := r.exited, r.gone
	for endedMS == 0 || pumped != nil || !gone {
		select {
		case o := <-r.stops:
			stopping = true
			if o.Signal != 0 {
				pids := descendants(r.st.PID)
				signalAll(pids, syscall.Signal(o.Signal))
				signalAll(pids, syscall.SIGCONT) // a stopped process would not see the signal
			}
			if t := time.Now().Add(o.Grace); killAt.IsZero() || t.Before(killAt) {
				killAt = t
				if kill != nil {
					kill.Stop()
				}
				kill = time.NewTimer(o.Grace)
				killC = kill.C
			}
		case <-killC:
			killC = nil
			r.killTree()
			if endedMS != 0 {
				at, stepC = killed, time.After(drainTime)
			}
		case ws = <-exited:
			exited, endedMS = nil, time.Now().UnixMilli()
		case <-goneC:
			goneC, gone = nil, true
		case <-pumped:
			pumped = nil
		case <-stepC:
			stepC = nil
			end := r.log.End()
			switch {
			case at == draining && !gone && !r.spec.KeepDaemons && end != logEnd && time.Now().UnixMilli() < endedMS+drainMost.Milliseconds():
				logEnd, stepC = end, time.After(drainTime) // a tee that is still printing what the child wrote
			case at == draining && !gone && !r.spec.KeepDaemons:
				signalAll(descendants(r.st.PID), syscall.SIGTERM)
				at, stepC = ending, time.After(daemonGrace)
			case at == ending && !gone:
				r.killTree()
				at, stepC = killed, time.After(drainTime)
			default:
				r.stopReading()
				// Left: daemons that stay on purpose, or processes that nothing can kill.
				if pumped != nil {
					<-pumped
					pumped = nil
				}
				r.stays = !gone
				gone, goneC = true, nil
			}
		}
		// During a stop the child's own children have until KILL, however early the child went: a shell dies at once,
		// the trainer under it is writing its checkpoint.
		if endedMS != 0 && at == running && (!stopping || gone || killC == nil) {
			at, logEnd = draining, r.log.End()
			if gone && pumped == nil {
				break
			}
			stepC = time.After(drainTime)
		}
	}
	close(r.over)
	if kill != nil {
		kill.Stop()
	}
	return r.settle(ws, endedMS)
}

func (r *run) killTree() {
	if left := killAll(func() []int { return descendants(r.st.PID) }); len(left) > 0 && r.note == "" {
		r.note = "some processes of the rank could not be killed"
	}
}

// settle closes the log and writes the verdict.
func (r *run) settle(ws syscall.WaitStatus, endedMS int64) slotState {
	v := Verdict{StartedMS: r.st.StartedMS, EndedMS: endedMS, LogError: r.note}
	if ws.Signaled() {
		v.Signal = int(ws.Signal())
		v.ExitCode = 128 + v.Signal
	} else {
		v.ExitCode = ws.ExitStatus()
	}
	if err := r.log.Complete(); err != nil {
		v.LogError = err.Error()
	}
	lost, why := r.log.Lost()
	v.LogGap, v.LogEnd = lost, r.log.End()
	if why != nil {
		v.LogError = why.Error()
	}
	if err := r.log.Close(); err != nil && v.LogError == "" {
		v.LogError = err.Error()
	}
	r.st.Verdict = &v
	if err := writeSlot(r.s.file, r.st, true); err != nil && v.LogError == "" {
		v.LogError = err.Error() // told, but a crash of the machine would lose it
	}
	return r.st
}
