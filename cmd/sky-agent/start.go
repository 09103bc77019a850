package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// startLimit is how long a new agent may take to listen.
const startLimit = 20 * time.Second

// start makes sure that an agent runs in the background and prints the socket where it listens: what a shipper calls.
// An agent that runs already is left alone.
func start(args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("start", flag.ContinueOnError)
	fs.SetOutput(stderr)
	node := fs.String("node", "", "who the node is")
	gang := fs.String("gang-address", "", "`host:port` for the agents of other nodes (default a free port)")
	state := fs.String("state-dir", "", "state directory (default ~/.aloft/agent)")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	path, err := ensureRunning(launch{state: *state, node: *node, gang: *gang}, systemService())
	if err != nil {
		fmt.Fprintln(stderr, "sky-agent start:", err)
		return 1
	}
	fmt.Fprintln(stdout, path)
	return 0
}

// launch is how an agent is to be started.
type launch struct{ state, node, gang string }

// args are those of `sky-agent`.
func (l launch) args() []string {
	a := []string{"run", "--state-dir", l.state, "--node", l.node}
	if l.gang != "" {
		a = append(a, "--gang-address", l.gang)
	}
	return a
}

func ensureRunning(l launch, sv *service) (string, error) {
	state := l.state
	if state == "" {
		h, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the home directory: %w", err)
		}
		state = filepath.Join(h, ".aloft", "agent")
	}
	l.state = state
	if err := os.MkdirAll(state, 0o700); err != nil {
		return "", fmt.Errorf("make the state directory: %w", err)
	}
	said := filepath.Join(state, "socket")
	lock, err := os.OpenFile(filepath.Join(state, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", fmt.Errorf("look for a running agent: %w", err)
	}
	defer lock.Close()
	var ended chan error
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
		// Nobody runs: what an agent before this one said of its socket is stale.
		if err := os.Remove(said); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("drop the stale socket name: %w", err)
		}
		if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_UN); err != nil {
			return "", fmt.Errorf("look for a running agent: %w", err)
		}
		if path, ok := sv.start(l, said); ok {
			return path, nil
		}
		if ended, err = spawn(l); err != nil {
			return "", err
		}
	}
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if b, err := os.ReadFile(said); err == nil && len(b) > 0 {
			return strings.TrimSpace(string(b)), nil
		}
		select {
		case <-tick.C:
		case err := <-ended:
			return "", fmt.Errorf("the agent ended at once (%v): see %s", err, filepath.Join(state, "agent.log"))
		case <-limit.C:
			return "", fmt.Errorf("the agent does not listen after %s: see %s", startLimit, filepath.Join(state, "agent.log"))
		}
	}
}

// spawn starts `sky-agent run` in a session of its own.
func spawn(l launch) (chan error, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this binary: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(l.state, "agent.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the agent's log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(self, l.args()...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the agent: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return ended, nil
}
