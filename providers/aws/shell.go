package aws

import (
	"context"
	"os/exec"
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
	if err := p.tunnelTools("shell"); err != nil {
		return nil, err
	}
	way := jump(p.set.proxyJump)
	if p.set.useSSM {
		way = p.session(in)
	}
	return shell.Dial(ctx, shell.Target{Host: host, User: p.set.user, HostKeyAlias: in.ID, ProxyCommand: way}, shell.Options{Provider: Name, Keys: k, Pool: p.pool})
}

// session is the command that is the way to a machine through Systems Manager, as AWS documents it for ssh.
func (p *Provider) session(in providers.Instance) string {
	c := "aws ssm start-session --target " + in.ID + " --region " + in.Region + " --document-name AWS-StartSSHSession --parameters portNumber=22"
	if p.set.profile != "" {
		c += " --profile '" + strings.ReplaceAll(p.set.profile, "'", `'\''`) + "'"
	}
	return c
}

// tunnelTools looks for the programs that a tunnel takes, before a machine is paid for that nobody could reach.
func (p *Provider) tunnelTools(op string) error {
	if !p.set.useSSM {
		return nil
	}
	for _, program := range []string{"aws", "session-manager-plugin"} {
		if _, err := exec.LookPath(program); err != nil {
			return &providers.Error{Provider: Name, Op: op, Kind: providers.Invalid, Scope: providers.ScopeProvider, Code: "no-session-manager",
				Err: errorf("use_ssm: there is no program %s", program), Hint: "install the AWS CLI and its session-manager-plugin, or set use_ssm: false"}
		}
	}
	return nil
}

// SSH is how a person's own ssh reaches a machine.
func (p *Provider) SSH(_ context.Context, in providers.Instance) (providers.SSHTarget, error) {
	host, err := p.address(in)
	if err != nil {
		return providers.SSHTarget{}, err
	}
	t := providers.SSHTarget{Host: host, User: p.set.user, ProxyJump: p.set.proxyJump}
	if p.set.useSSM {
		t.ProxyCommand = p.session(in)
	}
	return t, nil
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
