package shell

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"

	"aloft/providers"
)

// Codes of the errors of a way to a machine.
const (
	// CodeRefused: the machine answers and nothing listens yet.
	CodeRefused = "connection-refused"
	// CodeTimeout: nothing answers.
	CodeTimeout = "connection-timeout"
	// CodeLost: the connection ended while it was in use.
	CodeLost = "connection-lost"
	// CodeLogin: the right machine answers and does not let us in.
	CodeLogin = "login-refused"
	// CodeHostKey: a machine answers that is not the one we expect.
	CodeHostKey = "host-key"
	// CodeUnknownHost: nobody said which host key the machine has.
	CodeUnknownHost = "unknown-host"
	// CodeKeyFile: a key of the user cannot be used.
	CodeKeyFile = "key-file"
)

// unreachable is the failure to reach sshd.
func (l *link) unreachable(err error) error {
	var e *providers.Error
	if errors.As(err, &e) {
		return err // of the machine that we go through
	}
	code := CodeTimeout
	var name *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		code = CodeRefused
	case errors.As(err, &name):
		code = "no-such-host"
	}
	return fault(l.o.Provider, providers.Transient, code, "", err)
}

// refused is the failure of a handshake.
func (l *link) refused(err error, v *verifier) error {
	if v.refused != nil {
		return v.refused
	}
	where := fmt.Sprintf("%s@%s", l.target.User, l.target.address())
	var algo *ssh.AlgorithmNegotiationError
	switch {
	case errors.As(err, &algo) && strings.Contains(err.Error(), "host key"):
		return fault(l.o.Provider, providers.Auth, CodeHostKey, v.hint,
			fmt.Errorf("the machine that answers at %s is not ours: it has no host key of the kind expected", l.target.address()))
	case strings.Contains(err.Error(), "unable to authenticate"):
		if len(l.o.Keys.User) > 0 {
			// While a machine boots, sshd may answer before it knows who may log in.
			return fault(l.o.Provider, providers.Transient, CodeLogin, "", fmt.Errorf("%s does not accept the cluster's key", where))
		}
		return fault(l.o.Provider, providers.Auth, CodeLogin, "see that `"+l.target.command("true")+"` works without asking anything",
			fmt.Errorf("%s accepts none of the keys at hand", where))
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, net.ErrClosed):
		return fault(l.o.Provider, providers.Transient, CodeTimeout, "", fmt.Errorf("%s: no answer from sshd", where))
	}
	return fault(l.o.Provider, providers.Transient, "handshake", "", fmt.Errorf("%s: %w", where, err))
}

// command is how a person would run a command on the machine.
func (t Target) command(line string) string {
	s := "ssh"
	if t.Port != 0 && t.Port != 22 {
		s += fmt.Sprintf(" -p %d", t.Port)
	}
	if t.Via != nil {
		s += " -J " + t.Via.User + "@" + t.Via.address()
	}
	return s + " " + t.User + "@" + t.Host + " " + line
}
