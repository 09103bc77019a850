package ec2lab

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"time"
)

// Moto is a running moto_server.
type Moto struct {
	url  string
	cmd  *exec.Cmd
	done chan struct{}
	once sync.Once
}

func motoAvailable() error {
	if _, err := exec.LookPath("moto_server"); err != nil {
		return errors.New("moto_server is not on PATH (pip install 'moto[server]', version 5)")
	}
	return nil
}

// StartMoto starts moto_server on a free port. It ends with Close, or with this process.
func StartMoto() (*Moto, error) {
	if err := motoAvailable(); err != nil {
		return nil, fmt.Errorf("ec2lab: %w", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("ec2lab: %w", err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	if err := ln.Close(); err != nil {
		return nil, fmt.Errorf("ec2lab: %w", err)
	}
	m := &Moto{url: fmt.Sprintf("http://127.0.0.1:%d", port), done: make(chan struct{})}
	m.cmd = exec.Command("moto_server", "-H", "127.0.0.1", "-p", fmt.Sprint(port))
	// The images are the proxy's own: those of moto take seconds to load.
	m.cmd.Env = append(os.Environ(), "MOTO_EC2_LOAD_DEFAULT_AMIS=false", "PYTHONDONTWRITEBYTECODE=1")
	endWithUs(m.cmd)
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("ec2lab: %w", err)
	}
	go func() {
		_ = m.cmd.Wait()
		close(m.done)
	}()
	deadline := time.After(2 * time.Minute)
	for {
		resp, err := http.Get(m.url + "/moto-api/")
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			return m, nil
		}
		select {
		case <-m.done:
			return nil, errors.New("ec2lab: moto_server ended at once")
		case <-deadline:
			_ = m.Close()
			return nil, errors.New("ec2lab: moto_server does not answer")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Close ends the server.
func (m *Moto) Close() error {
	m.once.Do(func() { _ = m.cmd.Process.Kill() })
	<-m.done
	return nil
}
