// Package boot makes the script that a rented machine runs as root at every boot. The script is what must be true before
// anybody can reach the machine: who may log in, which host key proves that it is the machine, and when it ends by itself.
package boot

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"aloft/providers"
	"aloft/providers/shell"
)

// Dir is where the script keeps its files on the machine.
const Dir = "/var/lib/aloft"

// Files below Dir that others use.
const (
	// DeadlineFile holds one line: the unix time in seconds at which the machine ends by itself and, after a space, in how
	// many seconds that is; the second number counts where it is there, as the machine's clock may be wrong. The login
	// owns the file and its directory: writing it, best by a rename, is how a lease is renewed.
	DeadlineFile = Dir + "/lease/deadline"
	// LeftFile holds in its first line how many seconds of the lease are left, as of some 20 seconds ago.
	LeftFile = Dir + "/lease.left"
	// EndCommand ends the machine; its argument is terminate or stop. Only root may run it.
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

// MaxSize is the most that every place takes as user data, in bytes.
const MaxSize = 16 << 10

//go:embed boot.sh
var source string

// delimiters end the here-documents of the script.
var delimiters = []string{"ALOFT_END", "ALOFT_DEADMAN", "ALOFT_UNIT"}

var userName = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)

// cloudInit is the first line of Bytes: to cloud-init it says how to run the rest.
const cloudInit = "#cloud-boothook\n"

// Startup is the script for places that run it as a file: it begins with an interpreter's name.
func (s Script) Startup() ([]byte, error) {
	b, err := s.Bytes()
	return bytes.TrimPrefix(b, []byte(cloudInit)), err
}

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
	end, err := lines("End", s.End)
	if err != nil {
		return nil, err
	}
	extra, err := lines("Extra", s.Extra)
	if err != nil {
		return nil, err
	}
	deadline, length := "", ""
	if !s.Deadline.IsZero() {
		deadline = strconv.FormatInt(s.Deadline.Unix(), 10)
		if !s.Issued.IsZero() {
			length = strconv.FormatInt(max(1, int64(s.Deadline.Sub(s.Issued)/time.Second)), 10)
		}
	}
	machine := sha256.Sum256(host.Public().(ed25519.PublicKey))
	out, err := fill(source, map[string]string{
		"User": s.User, "Dir": Dir, "HostKey": base64.StdEncoding.EncodeToString(private), "HostKeyFile": HostKeyFile, "Replaced": HostKeyReplaced,
		"Authorized": public, "Deadline": deadline, "Length": length, "DeadlineFile": DeadlineFile, "LeftFile": LeftFile,
		"EndCommand": EndCommand, "End": end, "Extra": extra, "Machine": hex.EncodeToString(machine[:16]),
	})
	if err != nil {
		return nil, fmt.Errorf("boot script: %w", err)
	}
	if len(out) > MaxSize {
		return nil, fmt.Errorf("boot script: %d bytes; places take %d", len(out), MaxSize)
	}
	return out, nil
}

// lines checks lines of shell that the script carries as a file of its own.
func lines(what, s string) (string, error) {
	if !utf8.ValidString(s) || strings.ContainsAny(s, "\x00\r") {
		return "", fmt.Errorf("boot script: %s is no text of plain lines", what)
	}
	s = strings.TrimRight(s, "\n")
	for l := range strings.SplitSeq(s, "\n") {
		if slices.Contains(delimiters, l) {
			return "", fmt.Errorf("boot script: %s has a line %s, which ends its document", what, l)
		}
	}
	return s, nil
}
