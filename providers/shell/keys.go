// Package shell reaches machines over SSH: it is a providers.Shell that verifies the machine it talks to, and the only
// package that knows the SSH protocol and its file formats.
package shell

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// PrivateKey is the file form of a key, as ssh and sshd read it (OpenSSH PEM, not encrypted). It is the same for the same
// key, byte for byte: what is made of it goes into create calls, and a repeated call must be the same call. (The SSH
// package's own form holds a random number.)
func PrivateKey(k ed25519.PrivateKey, comment string) ([]byte, error) {
	if len(k) != ed25519.PrivateKeySize {
		return nil, errors.New("write an SSH key: no key")
	}
	pub, err := ssh.NewPublicKey(k.Public())
	if err != nil {
		return nil, fmt.Errorf("write an SSH key: %w", err)
	}
	sum := sha256.Sum256(k)
	check := binary.BigEndian.Uint32(sum[:]) // twice, so that a reader sees a wrong passphrase; there is none
	inner := ssh.Marshal(struct {
		Check1, Check2 uint32
		Type           string
		Public         []byte
		Private        []byte
		Comment        string
	}{check, check, ssh.KeyAlgoED25519, []byte(k[ed25519.SeedSize:]), []byte(k), comment})
	for i := byte(1); len(inner)%8 != 0; i++ {
		inner = append(inner, i)
	}
	b := append([]byte("openssh-key-v1\x00"), ssh.Marshal(struct {
		Cipher, KDF, KDFOptions string
		Keys                    uint32
		Public                  []byte
		Private                 []byte
	}{"none", "none", "", 1, pub.Marshal(), inner})...)
	return pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: b}), nil
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
