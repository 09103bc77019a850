package shell

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startProxy runs the command that is the way to the machine.
func startProxy(t Target) (net.Conn, error) {
	cmd := exec.Command("/bin/sh", "-c", "exec "+expandProxy(t))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("proxy command: %w", err)
	}
	out, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("proxy command: %w", err)
	}
	p := &proxy{cmd: cmd, in: in, out: out, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = write, &p.said, time.Second
	err = cmd.Start()
	_ = write.Close()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("proxy command: %w", err), out.Close())
	}
	go func() {
		_ = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// expandProxy puts host, port, user and name into the command.
func expandProxy(t Target) string {
	port := t.Port
	if port == 0 {
		port = 22
	}
	name := t.HostKeyAlias
	if name == "" {
		name = t.Host
	}
	return strings.NewReplacer("%%", "%", "%h", t.Host, "%p", strconv.Itoa(port), "%r", t.User, "%n", name).Replace(t.ProxyCommand)
}

// proxy is the command as a connection.
type proxy struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *os.File
	said  complaint
	ended chan struct{}
	once  sync.Once
}

// complaint keeps the beginning of what a command writes to its standard error.
type complaint struct {
	mu   sync.Mutex
	text []byte
}

const complaintLimit = 500

// Write keeps what fits.
func (c *complaint) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text = append(c.text, b[:min(len(b), complaintLimit-len(c.text))]...)
	return len(b), nil
}

func (c *complaint) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.TrimSpace(string(c.text))
}

// Read reads what the command writes.
func (p *proxy) Read(b []byte) (int, error) {
	n, err := p.out.Read(b)
	return n, p.why(err)
}

// Write writes to the command.
func (p *proxy) Write(b []byte) (int, error) {
	n, err := p.in.Write(b)
	return n, p.why(err)
}

// why is the command's own word about an end of the stream.
func (p *proxy) why(err error) error {
	if err == nil {
		return nil
	}
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-p.ended: // and has said why
	case <-t.C:
	}
	if said := p.said.String(); said != "" {
		return fmt.Errorf("the proxy command ended: %s", said)
	}
	return err
}

// Close ends the command and all that it started.
func (p *proxy) Close() error {
	p.once.Do(func() {
		_ = p.in.Close()
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
		t := time.AfterFunc(time.Second, func() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) })
		<-p.ended
		t.Stop()
		_ = p.out.Close()
	})
	return nil
}

// LocalAddr is no address.
func (p *proxy) LocalAddr() net.Addr { return noAddr{} }

// RemoteAddr is no address.
func (p *proxy) RemoteAddr() net.Addr { return noAddr{} }

// SetDeadline does nothing: whoever gives up closes.
func (p *proxy) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (p *proxy) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (p *proxy) SetWriteDeadline(time.Time) error { return nil }
