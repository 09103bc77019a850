package gcp

import (
	"context"
	"errors"
	"strings"

	"aloft/providers"
	"aloft/providers/shell"
)

// SSH is how a person's own ssh reaches a machine.
func (p *Provider) SSH(_ context.Context, in providers.Instance) (providers.SSHTarget, error) {
	host := in.PublicAddress
	if host == "" || p.set.internal {
		host = in.Address
	}
	if host == "" {
		return providers.SSHTarget{}, &providers.Error{Provider: Name, Op: "shell", Kind: providers.Transient, Scope: providers.ScopeZone, Code: "no-address", Err: errors.New("the machine has no address yet")}
	}
	return providers.SSHTarget{Host: host, User: p.set.user, ProxyJump: p.set.proxyJump}, nil
}

// Shell opens a shell on a machine, through the bastion of the settings where there is one.
func (p *Provider) Shell(ctx context.Context, in providers.Instance, k providers.Keys) (providers.Shell, error) {
	t, err := p.SSH(ctx, in)
	if err != nil {
		return nil, err
	}
	return shell.Dial(ctx, shell.Target{Host: t.Host, Port: t.Port, User: t.User, ProxyCommand: jumpCommand(t.ProxyJump)},
		shell.Options{Provider: Name, Keys: k, Pool: p.pool})
}

// jumpCommand goes through bastions with the person's own ssh: its configuration, keys and known hosts are those that fit.
func jumpCommand(jump string) string {
	if jump == "" {
		return ""
	}
	before := ""
	if i := strings.LastIndex(jump, ","); i >= 0 {
		before, jump = " -J "+jump[:i], jump[i+1:]
	}
	host, port, ok := strings.Cut(jump, ":")
	if ok {
		before += " -p " + port
	}
	return "ssh -o BatchMode=yes" + before + " -W [%h]:%p " + host
}
