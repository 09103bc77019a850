// Package boot makes the script that a rented machine runs as root at every boot. The script is what must be true before
// anybody can reach the machine: who may log in, which host key proves that it is the machine, and when it ends by itself.
package boot

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"text/template"
	"time"

	"aloft/providers"
	"aloft/providers/shell"
)

// Dir is where the script keeps its files on the machine.
const Dir = "/var/lib/aloft"

// Files below Dir that others use.
const (
	// DeadlineFile holds the unix time in seconds at which the machine ends by itself. The login may write it: that is how
	// a lease is renewed.
	DeadlineFile = Dir + "/deadline"
	// EndCommand ends the machine; its argument is terminate or stop.
	EndCommand = Dir + "/end"
	// HostKeyFile is sshd's only host key.
	HostKeyFile = shell.HostKeyFile
	// HostKeyReplaced exists once the first host key was replaced: later boots leave the key alone.
	HostKeyReplaced = shell.HostKeyReplaced
)

// Script says what a machine is to do at boot.
type Script struct {
	// User logs in; made, with sudo without a password, where it does not exist.
	User string
	Keys providers.Keys
	// Deadline is when the machine ends by itself unless the file is changed: CreateRequest.Lease, or where that is zero its
	// Deadline; zero = never.
	Deadline time.Time
	// Issued is CreateRequest.Issued: Deadline - Issued is how long the machine may run when its clock is wrong. Zero = not known.
	Issued time.Time
	// End are lines of shell that run before the shutdown that ends the machine, with $1 = terminate or stop: what the
	// cloud needs to be told so that a machine that shuts down is not billed. Empty where a shutdown is enough.
	End string
	// Extra are lines of shell that run last.
	Extra string
}

//go:embed boot.sh
var source string

var userName = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)

// Bytes is the script, for cloud-init (a boothook: early, at every boot) and for anything else that runs a file as root.
// It is the same for the same Script, byte for byte, so that a repeated create call is the same call.
func (s Script) Bytes() ([]byte, error) {
	if !userName.MatchString(s.User) {
		return nil, fmt.Errorf("boot script: %q is no user name", s.User)
	}
	host := s.Keys.FirstHost
	if len(host) == 0 {
		host = s.Keys.Host
	}
	if len(host) == 0 || len(s.Keys.User) == 0 {
		return nil, errors.New("boot script: no keys")
	}
	private, err := shell.PrivateKey(host, "")
	if err != nil {
		return nil, fmt.Errorf("boot script: %w", err)
	}
	public, err := shell.PublicKey(s.Keys.User, "aloft")
	if err != nil {
		return nil, fmt.Errorf("boot script: %w", err)
	}
	deadline := ""
	if !s.Deadline.IsZero() {
		deadline = strconv.FormatInt(s.Deadline.Unix(), 10)
	}
	t, err := template.New("boot").Parse(source)
	if err != nil {
		return nil, fmt.Errorf("boot script: %w", err)
	}
	var out bytes.Buffer
	err = t.Execute(&out, map[string]string{
		"User": s.User, "Dir": Dir, "HostKey": base64.StdEncoding.EncodeToString(private), "HostKeyFile": HostKeyFile, "Replaced": HostKeyReplaced,
		"Authorized": public, "Deadline": deadline, "DeadlineFile": DeadlineFile, "EndCommand": EndCommand, "End": s.End, "Extra": s.Extra,
	})
	if err != nil {
		return nil, fmt.Errorf("boot script: %w", err)
	}
	return out.Bytes(), nil
}
