package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"aloft/providers"
	"aloft/providers/shell"
)

// Shell opens a shell under the lease of an instance: everything started through it ends with the lease.
func (p *Provider) Shell(ctx context.Context, in providers.Instance, _ providers.Keys) (providers.Shell, error) {
	gone := fault("shell", providers.NotFound, "no-such-instance", "", fmt.Errorf("instance %s does not exist", in.ID))
	h, key, ok, err := p.hostOf("shell", in.InstanceRef)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, gone
	}
	// The host may have been given to somebody else.
	a, _, err := p.act(ctx, h, "shell", look, key, nil)
	if err != nil {
		return nil, err
	}
	if a.state != "taken" || a.lease.Key != key {
		return nil, gone
	}
	sh, err := p.open(ctx, h)
	if err != nil {
		return nil, named("shell", h, err)
	}
	return &leased{Shell: sh, key: key}, nil
}

// leased marks what it runs.
type leased struct {
	providers.Shell
	key string
}

// Run runs a command that bears the lease's mark.
func (l *leased) Run(ctx context.Context, c providers.Cmd) (providers.Exit, error) {
	c.Line = "export " + LeaseEnv + "=" + l.key + "\n" + c.Line
	return l.Shell.Run(ctx, c)
}

// SSH is how a person's own ssh reaches an instance.
func (p *Provider) SSH(_ context.Context, in providers.Instance) (providers.SSHTarget, error) {
	h, _, ok, err := p.hostOf("ssh", in.InstanceRef)
	if err != nil {
		return providers.SSHTarget{}, err
	}
	if !ok {
		return providers.SSHTarget{}, fault("ssh", providers.NotFound, "no-such-instance", "", fmt.Errorf("instance %s does not exist", in.ID))
	}
	t, err := p.target(h)
	if err != nil {
		return providers.SSHTarget{}, fault("ssh", providers.Invalid, "ssh-config", h.At, err)
	}
	out := providers.SSHTarget{Host: t.Host, Port: t.Port, User: t.User, ProxyJump: jumps(t.Via), ProxyCommand: t.ProxyCommand, HostKeyAlias: t.HostKeyAlias, Own: true}
	if len(t.Identities) > 0 {
		out.Identity = t.Identities[0]
	}
	return out, nil
}

// jumps is a way as ssh_config has it.
func jumps(t *shell.Target) string {
	if t == nil {
		return ""
	}
	s := t.User + "@" + t.Host
	if t.Port != 0 {
		s = t.User + "@" + net.JoinHostPort(t.Host, strconv.Itoa(t.Port))
	}
	if t.Via != nil {
		s = jumps(t.Via) + "," + s
	}
	return s
}

// CheckAccount says which hosts can be used.
func (p *Provider) CheckAccount(ctx context.Context) (providers.Account, error) {
	v, err := p.inventory("check")
	if err != nil {
		return providers.Account{}, err
	}
	if len(v.hosts) == 0 {
		return providers.Account{}, fault("check", providers.Auth, "no-inventory", "list your machines in "+files(p.home, p.userHome)[0]+": see docs/providers.md",
			errors.New("the inventory is empty"))
	}
	errs := make([]error, len(v.hosts))
	each(len(v.hosts), func(i int) {
		sh, err := p.open(ctx, v.hosts[i])
		if err != nil {
			errs[i] = named("check", v.hosts[i], err)
			return
		}
		errs[i] = sh.Close()
	})
	acc := providers.Account{Identity: fmt.Sprintf("%d hosts in %d pools", len(v.hosts), len(v.pools)), Capabilities: []string{"compute"}}
	good := 0
	for i, err := range errs {
		var e *providers.Error
		switch {
		case err == nil:
			good++
		case errors.As(err, &e):
			note := fmt.Sprintf("host %s cannot be used: %v", v.hosts[i].Name, e.Err)
			if e.Hint != "" {
				note += "; " + e.Hint
			}
			acc.Notes = append(acc.Notes, note)
		default:
			return acc, err
		}
	}
	if good == 0 {
		return acc, errors.Join(errs...)
	}
	return acc, nil
}
