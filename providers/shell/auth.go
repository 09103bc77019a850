package shell

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"aloft/providers"
)

// auth is how to log in; done ends what was opened for it.
func (l *link) auth() (methods []ssh.AuthMethod, done func(), err error) {
	if len(l.o.Keys.User) > 0 {
		s, err := ssh.NewSignerFromKey(l.o.Keys.User)
		if err != nil {
			return nil, nil, l.fault(providers.Invalid, CodeKeyFile, fmt.Errorf("the cluster's key: %w", err))
		}
		return []ssh.AuthMethod{ssh.PublicKeys(s)}, func() {}, nil
	}
	files, locked, problems := readIdentities(l.target.Identities)
	helper, done := dialAgent(l.target.AgentSocket)
	signers := files
	if helper != nil {
		more, err := helper.Signers()
		if err != nil {
			problems = append(problems, fmt.Sprintf("ssh-agent: %v", err))
		}
		signers = merge(files, more, locked, l.target.OnlyIdentities)
	}
	if len(signers) == 0 {
		done()
		hint := "name a key with identity_file, or add one to ssh-agent with ssh-add"
		if len(locked) > 0 {
			hint = "`ssh-add` a key that has a passphrase first"
		}
		return nil, nil, fault(l.o.Provider, providers.Auth, CodeKeyFile, hint,
			fmt.Errorf("no key to log in to %s with: %s", l.target.Host, orNone(problems)))
	}
	return []ssh.AuthMethod{ssh.PublicKeys(signers...)}, done, nil
}

func orNone(problems []string) string {
	if len(problems) == 0 {
		return "no key file and no ssh-agent"
	}
	return strings.Join(problems, "; ")
}

// readIdentities reads key files; of those with a passphrase only the public half is known.
func readIdentities(files []string) (signers []ssh.Signer, locked []ssh.PublicKey, problems []string) {
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		s, err := ssh.ParsePrivateKey(b)
		var missing *ssh.PassphraseMissingError
		switch {
		case err == nil:
			signers = append(signers, s)
		case errors.As(err, &missing):
			problems = append(problems, f+" has a passphrase")
			if pub := missing.PublicKey; pub != nil {
				locked = append(locked, pub)
			} else if pub, err := publicHalf(f + ".pub"); err == nil {
				locked = append(locked, pub)
			}
		default:
			problems = append(problems, fmt.Sprintf("%s: %v", f, err))
		}
	}
	return signers, locked, problems
}

func publicHalf(file string) (ssh.PublicKey, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pub, _, _, _, err := ssh.ParseAuthorizedKey(b)
	return pub, err
}

// merge orders keys: the files first, then what the agent holds for locked files, then the rest of the agent. Servers
// take a few tries only.
func merge(files, held []ssh.Signer, locked []ssh.PublicKey, only bool) []ssh.Signer {
	out := append([]ssh.Signer(nil), files...)
	seen := make(map[string]bool)
	for _, s := range files {
		seen[string(s.PublicKey().Marshal())] = true
	}
	wanted := make(map[string]bool)
	for _, k := range locked {
		wanted[string(k.Marshal())] = true
	}
	for _, first := range []bool{true, false} {
		if only && !first {
			break
		}
		for _, s := range held {
			if k := string(s.PublicKey().Marshal()); wanted[k] == first && !seen[k] {
				seen[k] = true
				out = append(out, s)
			}
		}
	}
	return out
}

// dialAgent calls ssh-agent; nil when it does not answer.
func dialAgent(socket string) (agent.ExtendedAgent, func()) {
	if socket == "" {
		return nil, func() {}
	}
	c, err := net.Dial("unix", socket)
	if err != nil {
		return nil, func() {}
	}
	return agent.NewClient(c), func() { _ = c.Close() }
}
