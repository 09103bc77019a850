package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"aloft/providers"
)

// Files on a machine that was made for us.
const (
	// HostKeyFile is sshd's only host key.
	HostKeyFile = "/etc/ssh/aloft_host_ed25519_key"
	// HostKeyReplaced exists once the first host key was replaced: later boots leave the key alone.
	HostKeyReplaced = "/var/lib/aloft/host-key-replaced"
)

// replaceScript takes a private key on standard input. sshd reads its keys again at SIGHUP; connections stay.
const replaceScript = `set -eu
umask 077
cat >KEY.new
chmod 600 KEY.new
mkdir -p DIR
: >DONE
mv -f KEY.new KEY
if [ -d /run/systemd/system ]; then
  systemctl reload ssh.service 2>/dev/null || systemctl reload sshd.service 2>/dev/null || :
else
  pid=$(cat /run/sshd.pid 2>/dev/null || :)
  if [ -z "$pid" ]; then pid=$(ps -eo pid=,ppid=,comm= 2>/dev/null | awk '$3=="sshd" && $2<=1 {print $1; exit}' || :); fi
  if [ -n "$pid" ]; then kill -HUP "$pid"; fi
fi`

// replaceHostKey gives the machine its lasting host key through a connection that was verified with the first one.
func (l *link) replaceHostKey(ctx context.Context, c *conn) error {
	key, err := PrivateKey(l.o.Keys.Host, "")
	if err != nil {
		return l.fault(providers.Invalid, CodeKeyFile, err)
	}
	script := strings.NewReplacer("KEY", HostKeyFile, "DONE", HostKeyReplaced, "DIR", path.Dir(HostKeyReplaced)).Replace(replaceScript)
	line := "if [ \"$(id -u)\" = 0 ]; then exec /bin/sh -c " + quote(script) + "; else exec sudo -n /bin/sh -c " + quote(script) + "; fi"
	c.slots <- struct{}{}
	s, err := c.open(ctx, l)
	if err != nil {
		<-c.slots
		return l.fault(providers.Transient, CodeLost, fmt.Errorf("replace the first host key: %w", err))
	}
	defer s.release()
	var said bytes.Buffer
	exit, err := s.run(ctx, providers.Cmd{Line: line, Stdin: bytes.NewReader(key), Stdout: &said, Stderr: &said})
	if err != nil {
		return err
	}
	if exit.Code != 0 {
		return fault(l.o.Provider, providers.Transient, "first-host-key", "the login needs sudo without a password",
			fmt.Errorf("replace the first host key of %s: exit code %d: %w", l.target.Host, exit.Code, errors.New(firstLine(said.String()))))
	}
	return nil
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}
