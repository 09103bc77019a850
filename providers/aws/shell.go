package aws

import (
	"context"
	"strings"

	"aloft/providers"
	"aloft/providers/shell"
)

// address is where a machine is reached.
func (p *Provider) address(in providers.Instance) (string, error) {
	if !p.set.useInternalIPs && in.PublicAddress != "" {
		return in.PublicAddress, nil
	}
	if in.Address == "" {
		return "", &providers.Error{Provider: Name, Op: "shell", Kind: providers.Transient, Scope: providers.ScopeZone, Code: "no-address", Err: errorf("the machine %s has no address yet", in.ID)}
	}
	return in.Address, nil
}

// Shell opens a shell on a machine, verified by its host key.
func (p *Provider) Shell(ctx context.Context, in providers.Instance, k providers.Keys) (providers.Shell, error) {
	host, err := p.address(in)
	if err != nil {
		return nil, err
	}
	return shell.Dial(ctx, shell.Target{Host: host, User: p.set.user, HostKeyAlias: in.ID, ProxyCommand: jump(p.set.proxyJump)}, shell.Options{Provider: Name, Keys: k, Pool: p.pool})
}

// SSH is how a person's own ssh reaches a machine.
func (p *Provider) SSH(_ context.Context, in providers.Instance) (providers.SSHTarget, error) {
	host, err := p.address(in)
	if err != nil {
		return providers.SSHTarget{}, err
	}
	return providers.SSHTarget{Host: host, User: p.set.user, ProxyJump: p.set.proxyJump}, nil
}

// jump is the command that is the way through other hosts: the user's own ssh, so that ~/.ssh/config counts.
func jump(hosts string) string {
	if hosts == "" {
		return ""
	}
	command := "ssh -o BatchMode=yes -W '[%h]:%p' "
	if i := strings.LastIndexByte(hosts, ','); i >= 0 {
		command += "-J " + hosts[:i] + " "
		hosts = hosts[i+1:]
	}
	// A port is written host:port, as in ProxyJump; ssh itself wants it as a URL.
	return command + "ssh://" + hosts
}
