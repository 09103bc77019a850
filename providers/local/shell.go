package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"aloft/providers"
)

// passed are the variables that nodes get from the controller's environment. None of them carries a cloud's secrets.
func passed() []string {
	return []string{
		"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "USER", "LOGNAME", "SHELL", "TMPDIR",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
	}
}

// outputGrace is how long output of a command that has exited may still come from processes it left behind.
const outputGrace = 2 * time.Second

// Shell runs commands as processes of this host that belong to the node.
func (p *Provider) Shell(ctx context.Context, in providers.Instance, _ providers.Keys) (providers.Shell, error) {
	if !validID(in.ID) {
		return nil, fault("shell", providers.NotFound, "no-such-instance", fmt.Errorf("no instance %q", in.ID))
	}
	s := &shell{p: p, id: in.ID}
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

type shell struct {
	p  *Provider
	id string
}

// ready refuses nodes that do not run.
func (s *shell) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	rec, err := s.p.read(s.id)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fault("shell", providers.NotFound, "no-such-instance", fmt.Errorf("instance %s does not exist", s.id))
	case err != nil:
		return fault("shell", providers.Transient, "disk", err)
	case rec.State != stateRunning:
		return fault("shell", providers.Transient, "not-running", fmt.Errorf("instance %s is %s", s.id, rec.State))
	}
	return nil
}

// Run runs cmd in a session of its own, with the node's home and nothing of the controller's environment but passed.
func (s *shell) Run(ctx context.Context, c providers.Cmd) (providers.Exit, error) {
	if err := s.ready(ctx); err != nil {
		return providers.Exit{}, err
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", c.Line)
	cmd.Dir = s.p.HomeOf(s.id)
	cmd.Env = s.env()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, c.Stdout, c.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = outputGrace
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return providers.Exit{}, ctx.Err()
	case err == nil, errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState != nil:
		return exitOf(cmd.ProcessState), nil
	case errors.As(err, &exit):
		return exitOf(exit.ProcessState), nil
	}
	return providers.Exit{}, fault("shell", providers.Transient, "exec", err)
}

func exitOf(st *os.ProcessState) providers.Exit {
	if ws, ok := st.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return providers.Exit{Code: 128 + int(ws.Signal()), Signal: int(ws.Signal())}
	}
	return providers.Exit{Code: st.ExitCode()}
}

func (s *shell) env() []string {
	env := []string{"HOME=" + s.p.HomeOf(s.id), NodeEnv + "=" + s.id}
	path := false
	for _, name := range slices.Concat(passed(), s.p.set.env) {
		if v, ok := os.LookupEnv(name); ok && name != "HOME" && name != NodeEnv {
			env = append(env, name+"="+v)
			path = path || name == "PATH"
		}
	}
	if !path {
		env = append(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	return env
}

// Dial opens a stream to a socket of this host; a relative unix path is below the node's home.
func (s *shell) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if network == "unix" && !filepath.IsAbs(addr) {
		addr = filepath.Join(s.p.HomeOf(s.id), addr)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, fault("shell", providers.Transient, "dial", err)
	}
	return conn, nil
}

// Close does nothing: there is no connection.
func (s *shell) Close() error { return nil }
