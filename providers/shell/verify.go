package shell

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"aloft/providers"
)

// verifier decides whether a machine is the one expected.
type verifier struct {
	address    string // as known_hosts has it
	algorithms []string
	check      ssh.HostKeyCallback
	hint       string
	refused    error // why it was not
	first      bool  // it bears the key it was created with
}

// verifier makes the verifier of one handshake.
func (l *link) verifier() (*verifier, error) {
	if len(l.o.Keys.Host) > 0 {
		return l.pinned()
	}
	return l.known()
}

// pinned accepts the machine's own key, and until that is in place the one it was created with.
func (l *link) pinned() (*verifier, error) {
	v := &verifier{address: l.target.address(), algorithms: []string{ssh.KeyAlgoED25519},
		hint: "another machine may have the address now: `sky status --refresh`"}
	want, err := publicKey(l.o.Keys.Host)
	if err != nil {
		return nil, l.fault(providers.Invalid, CodeKeyFile, err)
	}
	l.mu.Lock()
	settled := l.settled
	l.mu.Unlock()
	var first []byte
	if len(l.o.Keys.FirstHost) > 0 && !settled {
		if first, err = publicKey(l.o.Keys.FirstHost); err != nil {
			return nil, l.fault(providers.Invalid, CodeKeyFile, err)
		}
	}
	v.check = func(_ string, _ net.Addr, key ssh.PublicKey) error {
		switch got := string(key.Marshal()); {
		case got == string(want):
			return nil
		case first != nil && got == string(first):
			v.first = true
			return nil
		}
		v.refused = fault(l.o.Provider, providers.Auth, CodeHostKey, v.hint,
			fmt.Errorf("the machine that answers at %s is not ours: its host key is %s", v.address, ssh.FingerprintSHA256(key)))
		return v.refused
	}
	return v, nil
}

func publicKey(k ed25519.PrivateKey) ([]byte, error) {
	if len(k) != ed25519.PrivateKeySize {
		return nil, errors.New("a host key of the wrong size")
	}
	pub, err := ssh.NewPublicKey(k.Public())
	if err != nil {
		return nil, fmt.Errorf("a host key: %w", err)
	}
	return pub.Marshal(), nil
}

// known accepts what the user's known_hosts files say, and nothing else.
func (l *link) known() (*verifier, error) {
	t := l.target
	v := &verifier{address: t.address()}
	if t.HostKeyAlias != "" {
		v.address = net.JoinHostPort(t.HostKeyAlias, "22")
	}
	files := slices.DeleteFunc(slices.Clone(t.KnownHosts), func(f string) bool {
		_, err := os.Stat(f)
		return errors.Is(err, os.ErrNotExist)
	})
	where := strings.Join(t.KnownHosts, ", ")
	if where == "" {
		where = "any known_hosts file"
	}
	authorities := false
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, l.fault(providers.Invalid, CodeUnknownHost, fmt.Errorf("read known hosts: %w", err))
		}
		authorities = authorities || strings.Contains(string(b), "@cert-authority")
	}
	check, err := knownhosts.New(files...)
	if err != nil {
		return nil, l.fault(providers.Invalid, CodeUnknownHost, fmt.Errorf("read known hosts: %w", err))
	}
	unknown := fault(l.o.Provider, providers.Invalid, CodeUnknownHost,
		"log in once with `"+t.command("true")+"` and compare the fingerprint; or, on a network that you trust: `"+t.scan()+"`",
		fmt.Errorf("the host key of %s is not in %s", v.address, where))
	if !authorities {
		wanted, err := wantedKeys(check, v.address)
		if err != nil {
			return nil, l.fault(providers.Invalid, CodeUnknownHost, err)
		}
		if len(wanted) == 0 {
			return nil, unknown
		}
		v.algorithms = algorithmsOf(wanted)
	}
	v.check = func(host string, remote net.Addr, key ssh.PublicKey) error {
		err := check(host, noAddr{}, key)
		var ke *knownhosts.KeyError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &ke) && len(ke.Want) == 0:
			v.refused = unknown
		case errors.As(err, &ke):
			v.refused = fault(l.o.Provider, providers.Auth, CodeHostKey, "if the machine was made anew, remove the line there and see its hint again",
				fmt.Errorf("the machine that answers at %s is another one: its host key is %s, not that of %s:%d", v.address,
					ssh.FingerprintSHA256(key), ke.Want[0].Filename, ke.Want[0].Line))
		default:
			v.refused = l.fault(providers.Auth, CodeHostKey, fmt.Errorf("host key of %s: %w", v.address, err))
		}
		return v.refused
	}
	return v, nil
}

// scan is the command that notes a machine's host key without asking.
func (t Target) scan() string {
	port := t.Port
	if port == 0 {
		port = 22
	}
	return fmt.Sprintf("ssh-keyscan -p %d %s >> ~/.ssh/known_hosts", port, t.Host)
}

// noAddr keeps addresses out of the look-up: the name decides, as for ssh with CheckHostIP off.
type noAddr struct{}

// Network is empty.
func (noAddr) Network() string { return "" }

// String is no address of any machine.
func (noAddr) String() string { return "0.0.0.0:0" }

// probeKey is a key that no machine has, to ask for those a machine may have.
type probeKey struct{}

// Type is no algorithm.
func (probeKey) Type() string { return "none" }

// Marshal is empty.
func (probeKey) Marshal() []byte { return nil }

// Verify refuses.
func (probeKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }

// wantedKeys are the keys on file of an address.
func wantedKeys(check ssh.HostKeyCallback, address string) ([]ssh.PublicKey, error) {
	err := check(address, noAddr{}, probeKey{})
	var ke *knownhosts.KeyError
	if err == nil || !errors.As(err, &ke) {
		return nil, fmt.Errorf("look up %s: %w", address, err)
	}
	var out []ssh.PublicKey
	for _, k := range ke.Want {
		out = append(out, k.Key)
	}
	return out, nil
}

// algorithmsOf are the host key algorithms that the keys can be used with.
func algorithmsOf(keys []ssh.PublicKey) []string {
	var out []string
	for _, k := range keys {
		types := []string{k.Type()}
		if k.Type() == ssh.KeyAlgoRSA {
			types = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
		}
		for _, a := range types {
			if !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	return out
}
