package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"aloft/controller/socket"
	controlv1 "aloft/proto/sky/control/v1"
)

// client is a connection to the controller.
type client struct {
	controlv1.ControlClient
	conn *grpc.ClientConn
}

func (c *client) Close() { c.conn.Close() }

// errNoController says that none answers on the socket.
var errNoController = errors.New("no controller is running")

// connectLimit is how long a controller that is being born, or dying, is waited for.
const connectLimit = 30 * time.Second

// connect reaches the controller, starting one when none answers, and replaces one of another build. A controller that
// dies between two steps of this is simply followed by the next.
func (a *app) connect(ctx context.Context) (*client, error) {
	limit := time.Now().Add(connectLimit)
	for {
		c, info, err := a.dial(ctx)
		switch {
		case errors.Is(err, errNoController):
			if time.Now().After(limit) {
				return nil, &exitError{code: exitFailure, err: fmt.Errorf("no controller answers: see %s", filepath.Join(a.home, "controller.log"))}
			}
			a.spin("Starting the controller")
			err := a.startController(ctx)
			a.endSpin()
			if err != nil {
				return nil, err
			}
			continue
		case err != nil:
			return nil, err
		case info.GetVersion() == version && info.GetCommit() == commit:
			a.sshIncludes()
			return c, nil
		}
		// The daemon is of another build: it finishes its commits and goes; agents and jobs run on without it.
		a.note("Replacing the controller of version %s by %s.", info.GetVersion(), version)
		_, err = c.Shutdown(ctx, &controlv1.ShutdownRequest{})
		c.Close()
		if err != nil && status.Code(err) != codes.Unavailable {
			return nil, rpcError("stop the old controller", err)
		}
		if err := a.waitGone(ctx, info.GetPid()); err != nil {
			return nil, err
		}
	}
}

// dial reaches a running controller; errNoController when none answers.
func (a *app) dial(ctx context.Context) (*client, *controlv1.InfoResponse, error) {
	path, err := socket.Path(a.home)
	if err != nil {
		return nil, nil, &exitError{code: exitConfig, err: err}
	}
	probe, err := net.DialTimeout("unix", path, 2*time.Second)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
			return nil, nil, errNoController
		}
		if errors.Is(err, fs.ErrPermission) {
			return nil, nil, &exitError{code: exitConfig, err: fmt.Errorf("controller socket %s: %w\n  check the owner and permissions of %s, or set ALOFT_HOME to a directory of yours", path, err, a.home)}
		}
		return nil, nil, &exitError{code: exitFailure, err: fmt.Errorf("controller socket %s: %w", path, err)}
	}
	first := make(chan net.Conn, 1)
	first <- probe
	conn, err := grpc.NewClient("passthrough:///controller",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)),
		grpc.WithInitialWindowSize(4<<20), grpc.WithInitialConnWindowSize(8<<20), grpc.WithReadBufferSize(a.readBuffer),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			select {
			case c := <-first:
				return c, nil
			default:
			}
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}))
	if err != nil {
		probe.Close()
		return nil, nil, fmt.Errorf("connect to the controller: %w", err)
	}
	c := &client{ControlClient: controlv1.NewControlClient(conn), conn: conn}
	ictx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	info, err := c.Info(ictx, &controlv1.InfoRequest{})
	if err != nil {
		c.Close()
		if ctx.Err() != nil {
			return nil, nil, &exitError{code: exitInterrupted, err: errors.New("interrupted")}
		}
		if status.Code(err) == codes.Unavailable {
			return nil, nil, errNoController // it died as we called
		}
		return nil, nil, rpcError("ask the controller who it is", err)
	}
	return c, info, nil
}

// waitGone waits until the process is no more.
func (a *app) waitGone(ctx context.Context, pid int64) error {
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := syscall.Kill(int(pid), 0); errors.Is(err, syscall.ESRCH) {
			return nil
		}
		select {
		case <-ctx.Done():
			return &exitError{code: exitInterrupted, err: errors.New("interrupted")}
		case <-deadline.C:
			return &exitError{code: exitFailure, err: fmt.Errorf("the controller (pid %d) does not end: kill it and run again", pid)}
		case <-tick.C:
		}
	}
}

// startController runs `sky controller` in a session of its own and waits until it says that it serves.
// Several command lines may do this at once: the lock under the home lets one daemon live, the others see it answer.
func (a *app) startController(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	if err := os.MkdirAll(a.home, 0o700); err != nil {
		return &exitError{code: exitConfig, err: fmt.Errorf("make %s: %w", a.home, err)}
	}
	if err := a.shareKey(); err != nil {
		return err
	}
	logPath := filepath.Join(a.home, "controller.log")
	logFile, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return &exitError{code: exitConfig, err: fmt.Errorf("open the controller's log: %w", err)}
	}
	defer logFile.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	defer r.Close()
	cmd := exec.Command(self, "controller", "--ready-fd", "3")
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.ExtraFiles = []*os.File{w}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Env = append(os.Environ(), "ALOFT_HOME="+a.home)
	if err := cmd.Start(); err != nil {
		w.Close()
		return fmt.Errorf("start the controller: %w", err)
	}
	w.Close()
	go cmd.Wait() // reaps it when it ends before we do
	type answer struct {
		line string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		line, err := bufio.NewReader(r).ReadString('\n')
		got <- answer{strings.TrimSpace(line), err}
	}()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	select {
	case <-ctx.Done():
		return &exitError{code: exitInterrupted, err: errors.New("interrupted")}
	case <-limit.C:
		return &exitError{code: exitFailure, err: fmt.Errorf("the controller did not answer within 30 s: see %s", logPath)}
	case x := <-got:
		switch {
		case x.line == "ready":
			return nil
		case x.line == "running":
			// Another one has the home: it is being born or it is dying.
			pause := time.NewTimer(20 * time.Millisecond)
			defer pause.Stop()
			select {
			case <-pause.C:
			case <-ctx.Done():
			}
			return nil
		case x.line != "":
			return &exitError{code: exitConfig, err: errors.New(strings.ReplaceAll(x.line, "\\n", "\n"))}
		case errors.Is(x.err, io.EOF):
			return &exitError{code: exitFailure, err: fmt.Errorf("the controller ended at once: see %s", logPath)}
		}
		return &exitError{code: exitFailure, err: fmt.Errorf("start the controller: %w", x.err)}
	}
}
