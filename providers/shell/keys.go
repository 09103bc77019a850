// Package shell reaches machines over SSH: it is a providers.Shell that verifies the machine it talks to, and the only
// package that knows the SSH protocol and its file formats.
package shell

import (
	"crypto/ed25519"
	"encoding/pem"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// PrivateKey is the file form of a key, as ssh and sshd read it (OpenSSH PEM, not encrypted).
func PrivateKey(k ed25519.PrivateKey, comment string) ([]byte, error) {
	b, err := ssh.MarshalPrivateKey(k, comment)
	if err != nil {
		return nil, fmt.Errorf("write an SSH key: %w", err)
	}
	return pem.EncodeToMemory(b), nil
}

// PublicKey is the one-line form of a key's public half, as in authorized_keys and known_hosts, without a line's end.
func PublicKey(k ed25519.PrivateKey, comment string) (string, error) {
	pub, err := ssh.NewPublicKey(k.Public())
	if err != nil {
		return "", fmt.Errorf("write an SSH key: %w", err)
	}
	s := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(pub)))
	if comment != "" {
		s += " " + comment
	}
	return s, nil
}
